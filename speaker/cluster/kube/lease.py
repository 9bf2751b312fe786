"""Who leads? One Lease of Kubernetes, held by one of several candidates and renewed while it lives.

Rules, and what each is for (the client library's own election keeps none of them):

- A holder counts from before its request was sent, and for less than the others wait: two never lead at once, however
  long a request takes, and whatever the wall clock does. No wall clock decides anything.
- The others count from their own sight of the last change, for as long as the Lease itself says.
- Every write names the version that was read. A conflict is a loss.
- A holder that cannot write for want of an answer *holds on*: it leads no more by the Lease, and yet nobody else does
  either. What it may still do then is its owner's question. It lets go when it sees another holder.

`Candidate` decides, without I/O and without a clock; `Lease` carries its requests. coordination.k8s.io/v1.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import structlog

from speaker.cluster.kube.client import Api, ApiError, Object, Resource, Why
from speaker.log import LogEvent

CHANNEL: Final = "onepeer.io/channel"
"""The annotation with the address and port where the holder tells the others what it does."""

HOLDS: Final = 0.6
"""For how much of the Lease's duration after a renewal its holder leads; the others wait for all of it."""

EVERY: Final = 1.0
"""Seconds between two renewals, and between two looks of those that wait."""

REQUEST: Final = 1.5
"""Seconds for one request."""

NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class Record:
    """What of a Lease counts. `holder` is empty where nobody has it; `seconds` its duration; `renewed` is a mark to
    tell one renewal from the next and no time; `channel` is "" where it is not known."""

    holder: str
    seconds: float
    renewed: str
    version: str = ""
    channel: str = ""
    transitions: int = 0


class Candidate:
    """One that may lead. `name` is its own, `channel` where others reach it, `seconds` how long a Lease lasts.

    `now` is any clock that only goes forward.
    """

    def __init__(self, name: str, channel: str, seconds: float) -> None:
        self.name, self.channel, self.seconds = name, channel, seconds
        self.record: Record | None = None
        self.valid_until = NEVER
        self.wants = True
        self._known = False  # whether `record` is what there was at the last look, with no write since
        self._contested = False
        self._changed = NEVER
        self._held = False

    def leads(self, now: float) -> bool:
        """Whether nobody else can lead now."""
        return self._held and now < self.valid_until

    def holds_on(self, now: float) -> bool:
        """Whether it led, could not renew, and has seen no other holder since."""
        return self._held and not self._contested and now >= self.valid_until

    def age(self, now: float) -> float | None:
        """Seconds since it was seen to change last."""
        return now - self._changed if self.record is not None else None

    @property
    def others_after(self) -> float:
        """When, at the earliest, somebody else can lead."""
        return self.valid_until + (1 - HOLDS) * self.seconds

    @property
    def sure(self) -> bool:
        """Whether it may write without another look."""
        return self._known

    @property
    def holder(self) -> str:
        """Who has it, as far as is known."""
        return self.record.holder if self.record is not None else ""

    def read(self, record: Record | None, now: float) -> None:
        """The API server has shown it; None where there is none. `now` is when the answer had come."""
        if record != self.record:
            self._changed = now
        self._known, self._contested, self.record = True, False, record
        if record is None or record.holder != self.name:
            self._let_go()

    def proposal(self, now: float, mark: str, patience: float = 0.0) -> Record | None:
        """What to write now, or None. `patience` is how much longer than it must it waits for others to go first."""
        if not self.wants or not self._known:
            return None
        mine = Record(self.name, self.seconds, mark, channel=self.channel)
        held = self.record
        if held is None:
            # One that was deleted may have a holder still, who has not noticed.
            return mine if now - self._changed >= self.seconds else None
        if held.holder == self.name:
            return replace(mine, version=held.version, transitions=held.transitions)
        if held.holder and now - self._changed < held.seconds + patience:
            return None
        if not held.holder and now - self._changed < patience:
            return None
        return replace(mine, version=held.version, transitions=held.transitions + 1)

    def due(self, now: float, patience: float = 0.0) -> float:
        """When to look or write again, at the latest."""
        held = self.record
        if held is None or held.holder in ("", self.name) or not self._known:
            return now + EVERY
        return min(now + EVERY, max(now, self._changed + held.seconds + patience))

    def written(self, record: Record, asked: float, now: float) -> None:
        """A proposal was taken. `asked` is from before it was sent."""
        self.record, self._known, self._contested, self._changed = record, True, False, now
        self._held = record.holder == self.name
        self.valid_until = asked + HOLDS * self.seconds if self._held else NEVER

    def unanswered(self, *, contested: bool) -> None:
        """A write may have been taken or not, or (`contested`) was not, since somebody else has written before."""
        self._known = False
        self._contested = self._contested or contested

    def gift(self, to: str, mark: str) -> Record | None:
        """What to write so that another has it ("": nobody), or None where it is not ours. From now on we do not
        lead, and do not want to."""
        held, ours = self.record, self._held
        self.wants = False
        self._let_go()
        if held is None or not ours:
            return None
        return replace(held, holder=to, renewed=mark, transitions=held.transitions + bool(to))

    def _let_go(self) -> None:
        self._held, self.valid_until = False, NEVER


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
