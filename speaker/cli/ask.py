"""What does the running Onepeer say? HTTP over its control socket, and a sentence for all that can go wrong.

CannotAsk       nobody answers, or not as this version understands it; the text says what to do
"""

import errno
import http.client
import json
import os
import socket
import stat
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ValidationError

from speaker.serve.views import (
    AuditView,
    DrainOrder,
    DrainView,
    HistoryQuery,
    HistoryView,
    NodesView,
    RoutesView,
    StatusView,
)

View = TypeVar("View", bound=BaseModel)

PATIENCE = 10.0
"""Seconds of silence until an answer counts as not coming; a million paths come in slices, none that far apart."""


class CannotAsk(Exception):
    """There is no answer; the text is for the user. `nobody`: there is not even a socket."""

    def __init__(self, text: str, *, nobody: bool = False) -> None:
        super().__init__(text)
        self.nobody = nobody


class Asker:
    """The control API of one Onepeer."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def status(self) -> StatusView:
        """`onepeer status`. Raises CannotAsk, as the others do."""
        return self._ask("/v1/status", StatusView)

    def nodes(self) -> NodesView:
        """`onepeer nodes`."""
        return self._ask("/v1/nodes", NodesView)

    def audit(self) -> AuditView:
        """For `onepeer explain`."""
        return self._ask("/v1/audit", AuditView)

    def routes(self, prefix: str | None) -> RoutesView:
        """`onepeer routes [PREFIX]`."""
        query = "" if prefix is None else f"?prefix={quote(prefix, safe='')}"
        return self._ask(f"/v1/routes{query}", RoutesView)

    def history(self, query: HistoryQuery) -> HistoryView:
        """`onepeer history`."""
        return self._ask(f"/v1/history?{urlencode(query.model_dump(exclude_none=True))}", HistoryView)

    def drain(self, order: DrainOrder) -> DrainView:
        """`onepeer drain` and `undrain`."""
        return self._ask("/v1/drain", DrainView, order.model_dump_json())

    def _ask(self, target: str, view: type[View], order: str | None = None) -> View:
        status, server, body = self._get(target, order)
        try:
            if status == http.client.OK:
                return view.model_validate_json(body)
            text = json.loads(body)["error"]
        except (ValidationError, ValueError, KeyError, TypeError):
            raise CannotAsk(self._foreign(server)) from None
        if status == http.client.NOT_FOUND:
            raise CannotAsk(self._foreign(server))
        raise CannotAsk(str(text))

    def _get(self, target: str, order: str | None = None) -> tuple[int, str, bytes]:
        """Status, `Server` header and body; with an order it is a POST."""
        connection = _UnixConnection(self._path)
        try:
            connection.request("GET" if order is None else "POST", target, order)
            response = connection.getresponse()
            return response.status, response.getheader("Server", ""), response.read()
        except TimeoutError:
            why = f"Onepeer at {self._path} does not answer within {PATIENCE:g} s"
            raise CannotAsk(f"{why}: it is stopped or overloaded; its log tells more") from None
        except (http.client.HTTPException, ConnectionResetError, BrokenPipeError):
            why = f"what answers at {self._path} broke off"
            raise CannotAsk(f"{why}: it has just ended, or is no Onepeer; ask again") from None
        except OSError as error:
            nobody = error.errno in (errno.ENOENT, errno.ENOTDIR)
            raise CannotAsk(self._unreachable(error), nobody=nobody) from None
        finally:
            connection.close()

    def _foreign(self, server: str) -> str:
        from speaker.serve.version import VERSION

        theirs = server.removeprefix("onepeer/")
        if server.startswith("onepeer/") and theirs != VERSION:
            way_out = f"use the onepeer command of {theirs}, or restart it with this one"
            return f"the Onepeer at {self._path} is version {theirs}, this command is {VERSION}: {way_out}"
        return f"what answers at {self._path} does not speak as Onepeer {VERSION} does; is it another program?"

    def _unreachable(self, error: OSError) -> str:
        path = self._path
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            start = "start it with `onepeer run -c FILE`, or name its control.socket with --socket or ONEPEER_SOCKET"
            return f"no Onepeer runs here: there is no socket {path}; {start}"
        if error.errno in (errno.EACCES, errno.EPERM):
            return f"{path} is not for this user: ask as root or as the user that Onepeer runs as (sudo onepeer ...)"
        if error.errno == errno.ECONNREFUSED and not _is_socket(path):
            return f"{path} is not a socket; name Onepeer's control.socket with --socket or ONEPEER_SOCKET"
        if error.errno == errno.ECONNREFUSED:
            return f"Onepeer does not run: nobody answers at {path} any more; start it with `onepeer run -c FILE`"
        if error.errno == errno.EAGAIN:
            return f"Onepeer at {path} is there but takes no more calls: it is stopped or overloaded"
        return f"cannot ask Onepeer at {path}: {(error.strerror or str(error)).lower()}"


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._unix_path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._unix_path))
