"""How is the API server asked? One request or one stream of lines at a time; every failure is an `ApiError`.

Configuration, TLS and tokens are the library's (`kubernetes.aio`). Its typed models, its Watch and its retries are
not used: a Node costs 0.8 ms to decode there and 0.06 ms with json, and a watch of its dies with the API server.

    ApiError    why     what kind of failure, and so what is to be done
                subject what was asked for: `bgppeers.metallb.io in metallb-system`
                text    what came back, for a person
                way_out what to do, or empty where waiting is all
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp

Object = Mapping[str, Any]
"""A JSON object as it came: nothing in it is certain."""

CONNECT: Final = 4.0
"""Seconds for TCP and TLS. A black hole answers neither; a SYN goes out after 0, 1 and 3 s, then with the next call."""

MOST: Final = 64 * 1024 * 1024
"""Octets of one answer. 50 Nodes of 40 images each are 0.6 MB; what is larger than this is no answer of Kubernetes."""


class Why(StrEnum):
    """What kind of failure."""

    CONFIGURATION = "no-configuration"  # no kubeconfig, no token, or one that cannot be read
    UNREACHABLE = "unreachable"  # no TCP, no TLS, or it broke
    SILENT = "silent"  # no answer in time
    UNTRUSTED = "untrusted"  # its certificate is not by our CA
    UNAUTHORIZED = "unauthorized"  # 401
    FORBIDDEN = "forbidden"  # 403
    NOT_FOUND = "not-found"  # 404
    CONFLICT = "conflict"  # 409
    GONE = "gone"  # 410: the resourceVersion or the continue token is too old
    BUSY = "busy"  # 429
    REFUSED = "refused"  # any other 4xx: a mistake of ours
    FAILED = "failed"  # 5xx
    NONSENSE = "nonsense"  # not what Kubernetes says


OWN_FAULT: Final = {Why.CONFIGURATION, Why.UNTRUSTED, Why.UNAUTHORIZED, Why.FORBIDDEN, Why.NOT_FOUND, Why.REFUSED}
"""Failures that a person ends, not time."""

_STATUS: Final = {
    401: Why.UNAUTHORIZED,
    403: Why.FORBIDDEN,
    404: Why.NOT_FOUND,
    409: Why.CONFLICT,
    410: Why.GONE,
    429: Why.BUSY,
}


class ApiError(Exception):
    """See the module."""

    def __init__(self, why: Why, text: str, way_out: str = "", subject: str = "") -> None:
        self.why, self.text, self.way_out, self.subject = why, text, way_out, subject
        said = f"{subject}: {text}" if subject else text
        super().__init__(f"{said}; {way_out}" if way_out else said)


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object, all of the cluster's or those of one namespace."""

    group: str
    """Empty for the core group."""
    version: str
    plural: str
    namespace: str | None = None

    def path(self, name: str = "") -> str:
        """Of the collection, or of one object in it."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        where = f"/namespaces/{quote(self.namespace, safe='')}" if self.namespace else ""
        return f"{root}{where}/{self.plural}" + (f"/{quote(name, safe='')}" if name else "")

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


def failure(status: int, message: str, subject: str) -> ApiError:
    """What an HTTP status other than 2xx means, or the same number in a Status object."""
    why = _STATUS.get(status, Why.FAILED if status >= 500 else Why.REFUSED)
    way_out = ""
    if why is Why.FORBIDDEN:
        way_out = "grant it: deploy/ has the roles with each verb and its reason"
    elif why is Why.UNAUTHORIZED:
        way_out = "renew the token or the certificate of the kubeconfig, or the ServiceAccount"
    elif why is Why.NOT_FOUND and ".metallb.io" in subject:
        way_out = "install MetalLB, or name its namespace with nodes.kubernetes.metallb_namespace"
    return ApiError(why, f"the API server says {status}: {message or 'no more than that'}", way_out, subject)


class Api:
    """The API server of one kubeconfig, or (None) the one whose pod we are in."""

    def __init__(self, kubeconfig: Path | None) -> None:
        self._kubeconfig = kubeconfig
        self._client: Any = None
        self._making = asyncio.Lock()

    async def close(self) -> None:
        """Give back the connections. A later request opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def get(self, path: str, query: Sequence[tuple[str, str]], seconds: float) -> Object:
        """The answer to one GET. Raises ApiError."""
        return await self.send("GET", path, query, None, seconds)

    async def send(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        body: Object | None,
        seconds: float,
        content_type: str = "application/json",
    ) -> Object:
        """The answer to one request, at most `seconds` of it all. Raises ApiError."""
        async with self._answer(method, path, query, body, seconds, content_type) as response:
            with _translated(path):
                octets = await _read(response, path)
        return _object(octets, path)

    async def apply(self, path: str, body: Object, manager: str, seconds: float) -> Object:
        """Server-side apply: the fields of `body` are `manager`'s from now on, whoever had them. Raises ApiError."""
        query = [("fieldManager", manager), ("force", "true")]
        return await self.send("PATCH", path, query, body, seconds, "application/apply-patch+yaml")

    @contextlib.asynccontextmanager
    async def stream(self, path: str, query: Sequence[tuple[str, str]], seconds: float) -> AsyncIterator[Lines]:
        """The lines of a watch, over after `seconds` at the latest. Raises ApiError, also while it is read."""
        async with self._answer("GET", path, query, None, seconds, "application/json") as response:
            yield Lines(response.content, path)

    @contextlib.asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        body: Object | None,
        seconds: float,
        content_type: str,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A 2xx answer whose body is yet to be read."""
        try:
            with _translated(path):
                response = await self._call(method, path, query, body, seconds, content_type)
        except ApiError as error:
            # A token or a CA that was replaced is read again: the library itself keeps a CA for ever, and a refused
            # token for up to 60 s.
            if error.why in (Why.UNAUTHORIZED, Why.UNTRUSTED):
                await self.close()
            raise
        try:
            yield response
        finally:
            response.close()

    async def _call(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        body: Object | None,
        seconds: float,
        content_type: str,
    ) -> aiohttp.ClientResponse:
        client = await self._connected()
        headers = {"Accept": "application/json", "Content-Type": content_type}
        call = await client.param_serialize(
            method, path, query_params=list(query), header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT)
        response: aiohttp.ClientResponse = (await client.call_api(*call, _request_timeout=timeout)).response
        if 200 <= response.status < 300:
            return response
        try:
            raise failure(response.status, _message(await _read(response, path)), _subject(path))
        finally:
            response.close()

    async def _connected(self) -> Any:
        async with self._making:
            if self._client is None:
                try:
                    # Importing takes 0.4 s and a TLS context 0.05 s: sessions must not wait for that.
                    configuration = await asyncio.to_thread(_new_configuration)
                    await self._load(configuration)
                    self._client = await asyncio.to_thread(_new_client, configuration)
                except Exception as error:
                    # The library checks little of a kubeconfig: a wrong one ends in TypeError, KeyError and others.
                    raise _no_configuration(error) from None
            return self._client

    async def _load(self, configuration: Any) -> None:
        from kubernetes.aio import config

        if self._kubeconfig is None:
            config.load_incluster_config(client_configuration=configuration)
        else:
            await config.load_kube_config(
                config_file=str(self._kubeconfig), client_configuration=configuration, persist_config=False
            )


class Lines:
    """The lines of a watch as they come. Ends where the server ends the watch."""

    def __init__(self, stream: aiohttp.StreamReader, path: str) -> None:
        self._stream, self._path = stream, path

    def __aiter__(self) -> Lines:
        return self

    async def __anext__(self) -> bytes:
        with _translated(self._path):
            # Above 4 MiB (the library's buffer) it raises ValueError; etcd keeps no object above 1.5 MiB.
            line = await self._stream.readline()
        if not line:
            raise StopAsyncIteration
        return line


def _new_configuration() -> Any:
    from kubernetes.aio import config  # noqa: F401  (imported here so that the loop does not wait for it later)
    from kubernetes.aio.client.api_client import ApiClient  # noqa: F401
    from kubernetes.aio.client.configuration import Configuration

    return Configuration()


def _new_client(configuration: Any) -> Any:
    from kubernetes.aio.client.api_client import ApiClient

    client = ApiClient(configuration)
    client.user_agent = "onepeer"
    return client


async def _read(response: aiohttp.ClientResponse, path: str) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_chunked(1 << 16):
        parts.append(part)
        size += len(part)
        if size > MOST:
            raise ApiError(Why.NONSENSE, f"an answer of more than {MOST >> 20} MiB", subject=_subject(path))
    return b"".join(parts)


def _object(octets: bytes, path: str) -> Object:
    try:
        found = json.loads(octets)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ApiError(Why.NONSENSE, f"the answer is no JSON object: {shown(octets)}", subject=_subject(path))
    return found


def _message(octets: bytes) -> str:
    """Of a Status object; what stands there instead where it is none."""
    try:
        found = json.loads(octets)
    except ValueError:
        found = None
    message = found.get("message") if isinstance(found, dict) else None
    return message if isinstance(message, str) else shown(octets)


def shown(octets: bytes) -> str:
    """The first of them, in one line."""
    return " ".join(octets[:120].decode("utf-8", "replace").split())


def _subject(path: str) -> str:
    """What a path asks for, as a person calls it: `nodes`, `bgppeers.metallb.io in metallb-system`."""
    parts = [part for part in path.split("/") if part]
    group = parts[1] if parts and parts[0] == "apis" else ""
    rest = parts[3:] if group else parts[2:]
    where = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        where, rest = f" in {rest[1]}", rest[2:]
    kind = "/".join(rest) or path
    return (f"{rest[0]}.{group}" + "".join(f"/{name}" for name in rest[1:]) if group and rest else kind) + where


@contextlib.contextmanager
def _translated(path: str) -> Iterator[None]:
    """The one map from what aiohttp, the system and the library raise to ApiError."""
    try:
        yield
    except ApiError:
        raise
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError, ssl.SSLError) as error:
        way_out = "see certificate-authority in the kubeconfig, and the names in the server's certificate"
        raise ApiError(Why.UNTRUSTED, _words(error), way_out, _subject(path)) from None
    except TimeoutError:
        raise ApiError(Why.SILENT, "the API server does not answer in time", subject=_subject(path)) from None
    except (aiohttp.ClientError, OSError) as error:
        raise ApiError(Why.UNREACHABLE, _words(error), subject=_subject(path)) from None
    except ValueError as error:
        # A token with a newline in it, a URL that is none, a line longer than the buffer.
        raise ApiError(Why.NONSENSE, _words(error), subject=_subject(path)) from None
    except Exception as error:
        # The library's own derive from nothing narrower, and must not be imported for a look at their type. A token
        # that is read again and is empty is one of them.
        if type(error).__module__.split(".")[0] == "kubernetes":
            raise _no_configuration(error) from None
        raise


def _no_configuration(error: Exception) -> ApiError:
    way_out = "name a kubeconfig with nodes.kubernetes.kubeconfig, or run in a pod with a ServiceAccount"
    return ApiError(Why.CONFIGURATION, f"the API server cannot be asked: {_words(error)}", way_out)


def _words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        return f"{error.host} port {error.port}: {os.strerror(error.os_error.errno).lower()}"
    return " ".join(str(error).split()) or type(error).__name__
