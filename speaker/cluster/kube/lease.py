"""Who leads? One Lease of Kubernetes, held by one of several candidates and renewed while it lives.

Not the client library's own election, which lets two lead at once (its clock is the wall clock, its requests have no
deadline). Every write names the version that was read, and a conflict is a loss. candidate.py decides; `Lease` carries
its requests. coordination.k8s.io/v1.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import structlog

from speaker.cluster.kube.candidate import EVERY, Candidate, Record
from speaker.cluster.kube.client import Api, ApiError, Object, Resource, Why
from speaker.log import LogEvent

CHANNEL: Final = "onepeer.io/channel"
"""The annotation with the address and port where the holder tells the others what it does."""

REQUEST: Final = 1.5
"""Seconds for one request."""


def leases_in(namespace: str) -> Resource:
    """The Leases of a namespace."""
    return Resource("coordination.k8s.io", "v1", "leases", namespace)


def lease_name(router: str) -> str:
    """Of a router's Lease: an RFC 1123 name in lower case, and another one for every router."""
    plain = re.sub(r"[^a-z0-9.-]+", "-", router.lower()).strip(".-")[:40].strip(".-")
    if plain != router:
        plain = f"{plain}-{hashlib.sha256(router.encode()).hexdigest()[:8]}".lstrip("-")
    return f"onepeer-{plain}"


class Lease:
    """One Lease with one candidate. `changed` is called after every answer, and `patience` asked before a write."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        name: str,
        candidate: Candidate,
        changed: Callable[[], None],
        patience: Callable[[], float],
    ) -> None:
        self.candidate = candidate
        self.name = name
        self.trouble: ApiError | None = None
        self._said: set[Why] = set()
        self._api, self._resource = api, leases_in(namespace)
        self._changed, self._patience = changed, patience
        self._loop = asyncio.get_running_loop()
        self._look = asyncio.Event()
        self._busy = asyncio.Lock()
        self._log = structlog.get_logger().bind(lease=name)

    async def run(self) -> NoReturn:
        """For ever."""
        while True:
            begun = self._loop.time()
            await self.round()
            now = self._loop.time()
            due = min(self.candidate.due(now, self._patience()), max(now, begun) + EVERY)
            # Never faster than this, also where every answer is a refusal at once.
            wait = max(due - now, EVERY / 10)
            try:
                async with asyncio.timeout(wait):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()

    def look(self) -> None:
        """Look now, and do not wait for the next time."""
        self._look.set()

    async def round(self) -> None:
        """Reads, and writes where that is to be done."""
        async with self._busy:
            try:
                if not (self.candidate.leads(self._loop.time()) and self.candidate.sure):
                    await self._read()
                await self._write()
                self._say(None)
            except ApiError as error:
                self._say(error)
        self._changed()

    async def give(self, to: str) -> bool:
        """Has another have it, or nobody (""). Whether that is written; we have let go of it in any case."""
        async with self._busy:
            gift = self.candidate.gift(to, _mark())
            if gift is None:
                return False
            try:
                return await self._put(gift, self._loop.time())
            except ApiError as error:
                self._say(error)
                return False

    async def _read(self) -> None:
        try:
            found = await self._api.get(self._resource.path(self.name), [], REQUEST)
        except ApiError as error:
            if error.why is not Why.NOT_FOUND:
                raise
            self.candidate.read(None, self._loop.time())
        else:
            self.candidate.read(record_of(found), self._loop.time())

    async def _write(self) -> None:
        asked = self._loop.time()
        proposal = self.candidate.proposal(asked, _mark(), self._patience())
        if proposal is not None:
            await self._put(proposal, asked)

    async def _put(self, proposal: Record, asked: float) -> bool:
        """Whether it was taken; False where somebody else was faster."""
        body = body_of(proposal, self.name, self._resource.namespace or "")
        method, path = ("PUT", self._resource.path(self.name)) if proposal.version else ("POST", self._resource.path())
        try:
            answer = await self._api.send(method, path, [], body, REQUEST)
        except ApiError as error:
            self.candidate.unanswered(contested=error.why is Why.CONFLICT)
            if error.why is Why.CONFLICT:
                self.look()
                return False
            raise
        self.candidate.written(record_of(answer), asked, self._loop.time())
        return True

    def _say(self, error: ApiError | None) -> None:
        self.trouble = error
        if error is None:
            self._said.clear()
        elif error.why not in self._said:
            self._said.add(error.why)
            self._log.warning(LogEvent.LEASE_TROUBLE, why=error.text, way_out=error.way_out)


def record_of(lease: Object) -> Record:
    """Of a Lease as the API server shows it. What is not there or is not right counts as empty."""
    spec, metadata = _mapping(lease.get("spec")), _mapping(lease.get("metadata"))
    seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    return Record(
        holder=str(spec.get("holderIdentity") or ""),
        seconds=float(seconds) if isinstance(seconds, int) else 0.0,
        renewed=str(spec.get("renewTime") or ""),
        version=str(metadata.get("resourceVersion") or ""),
        channel=str(_mapping(metadata.get("annotations")).get(CHANNEL) or ""),
        transitions=transitions if isinstance(transitions, int) else 0,
    )


def body_of(record: Record, name: str, namespace: str) -> dict[str, Any]:
    """The Lease that says this."""
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "annotations": {CHANNEL: record.channel}}
    if record.version:
        metadata["resourceVersion"] = record.version
    spec = {
        "holderIdentity": record.holder,
        "leaseDurationSeconds": int(record.seconds),
        "renewTime": record.renewed,
        "leaseTransitions": record.transitions,
    }
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mark() -> str:
    """For people; that it differs from the one before is all that counts."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
