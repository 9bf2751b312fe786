"""What key do the replicas of one Onepeer share? A Secret in their namespace, made by the first that needs it."""

import base64
import binascii
import contextlib
import os
from pathlib import Path
from typing import Final

from speaker.cluster.kube.client import Api, ApiError, Resource, Why

NAME: Final = "onepeer-replicas"
ENTRY: Final = "key"
OCTETS: Final = 32
SECONDS: Final = 5.0

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def own_namespace() -> str:
    """Of our pod: POD_NAMESPACE, or that of its ServiceAccount; outside of a cluster the one that deploy/ makes."""
    said = os.environ.get("POD_NAMESPACE", "").strip()
    if not said:
        with contextlib.suppress(OSError):  # not in a pod
            said = _ACCOUNT.read_text().strip()
    return said or "onepeer-system"


async def shared_key(api: Api, namespace: str) -> bytes:
    """The key, made where there is none. Raises ApiError."""
    secrets = Resource("", "v1", "secrets", namespace)
    found = await _there(api, secrets.path(NAME))
    if found is not None:
        return found
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": NAME, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": "onepeer"}},
        "type": "Opaque",
        "data": {ENTRY: base64.b64encode(os.urandom(OCTETS)).decode()},
    }
    try:
        return _key(await api.send("POST", secrets.path(), [], body, SECONDS))
    except ApiError as error:
        if error.why is not Why.CONFLICT:
            raise
    return _key(await api.get(secrets.path(NAME), [], SECONDS))


async def _there(api: Api, path: str) -> bytes | None:
    try:
        return _key(await api.get(path, [], SECONDS))
    except ApiError as error:
        if error.why is Why.NOT_FOUND:
            return None
        raise


def _key(secret: object) -> bytes:
    data = secret.get("data") if isinstance(secret, dict) else None
    said = data.get(ENTRY) if isinstance(data, dict) else None
    try:
        key = base64.b64decode(said or "", validate=True)
    except (binascii.Error, ValueError, TypeError):
        key = b""
    if len(key) < OCTETS:
        way_out = f"delete the Secret {NAME}: it is made again"
        raise ApiError(Why.NONSENSE, f"it has no {ENTRY} of {OCTETS} octets or more", way_out, f"secrets/{NAME}")
    return key
