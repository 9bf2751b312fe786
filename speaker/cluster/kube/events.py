"""What is told in Events, so that `kubectl describe` shows it? Sessions up, down, refused, and alarms. Pure.

An Event is told when the state of a node differs from what was told of it last, so a session that flaps faster than
Events may come is told by where it ends. A node has 4 at once and one a minute; all nodes together 25 and one a
second: a cluster of 1000 nodes that comes up at once is told of within 17 minutes, and its API server does not feel it.

The first look tells nothing: after a start no session is up yet, and after a reload it has all been told.

An alarm of the audit is told once, on the Node or the Service that it is about. Where many nodes, or Services, have the
same alarm it is one Event on MetalLB's namespace: a rollout that went wrong is not thirty faults, nor is a
BGPAdvertisement that was deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from speaker.cluster.kube.client import Resource

# An Event that regards a Node, which has no namespace, must be in this one.
EVENTS: Final = Resource("events.k8s.io", "v1", "events", "default")

NODE_BURST: Final = 4.0
NODE_RATE: Final = 1 / 60
ALL_BURST: Final = 25.0
ALL_RATE: Final = 1.0
"""Events, and Events a second."""

NOTE: Final = 1000
"""Octets of a note; the API takes 1024."""


class Reason(StrEnum):
    """As Events have it."""

    UP = "SessionUp"
    DOWN = "SessionDown"
    REFUSED = "SessionRefused"
    MISSING = "PathsMissing"


@dataclass(frozen=True, slots=True)
class About:
    """What an Event regards. `uid` is what `kubectl describe` looks for."""

    kind: str
    name: str
    namespace: str = ""
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A fault that the audit has found: on which Node, or Service, and why."""

    about: About
    reason: str
    note: str


@dataclass(frozen=True, slots=True)
class Told:
    """One Event."""

    about: About
    reason: Reason
    note: str


class _Bucket:
    """Tokens that come back with time."""

    def __init__(self, most: float, rate: float, now: float) -> None:
        self._most, self._rate, self._left, self._at = most, rate, most, now

    def has(self, now: float) -> bool:
        """Whether one could be taken."""
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left >= 1

    def take(self) -> None:
        """One that `has` has seen."""
        self._left -= 1


class Teller:
    """What to tell of each look at the nodes."""

    def __init__(self, now: float) -> None:
        self.behind = False
        """Whether something is yet to be told, once Events may come again."""
        self._told: dict[str, Reason | None] | None = None
        self._all = _Bucket(ALL_BURST, ALL_RATE, now)
        self._each: dict[str, _Bucket] = {}

    def look(self, nodes: Mapping[str, str | None], now: float) -> Iterator[Told]:
        """`nodes`: why each is without a session, None where it has one."""
        self.behind = False
        if self._told is None:
            self._told = {name: _reason(why) for name, why in nodes.items() if why is None}
        for name in self._told.keys() - nodes.keys():
            del self._told[name]
            self._each.pop(name, None)
        for name, why in nodes.items():
            before, reason = self._told.setdefault(name, None), _reason(why)
            # Without a session from the start is the way of a node that has just come.
            if reason is before or (before is None and reason is Reason.DOWN):
                continue
            own = self._each.setdefault(name, _Bucket(NODE_BURST, NODE_RATE, now))
            if not self._all.has(now):
                self.behind = True
                return
            if own.has(now):
                self._all.take()
                own.take()
                self._told[name] = reason
                yield Told(About("Node", name), reason, _note(reason, why))
            else:
                self.behind = True


#: More nodes or Services with one alarm are one Event.
CROWD: Final = 3


class AlarmTeller:
    """What to tell of each look at the alarms; `namespace` is MetalLB's."""

    def __init__(self, namespace: str, now: float) -> None:
        self.behind = False
        """Whether something is yet to be told, once Events may come again."""
        self._namespace = namespace
        self._told: set[tuple[str, str, str, str]] = set()
        self._all = _Bucket(ALL_BURST, ALL_RATE, now)

    def look(self, alarms: Collection[Alarm], now: float) -> Iterator[Told]:
        """What is new of them."""
        self._told &= {_key(alarm) for alarm in alarms}
        fresh = [alarm for alarm in alarms if _key(alarm) not in self._told]
        self.behind = False
        for (kind, reason), crowd in _crowds(fresh).items():
            if len(crowd) > CROWD and self._all.has(now):
                self._all.take()
                self._told |= {_key(alarm) for alarm in crowd}
                names = ", ".join(sorted({_name(alarm.about) for alarm in crowd}))
                yield Told(About("Namespace", self._namespace), Reason.MISSING, _CROWDS[kind].format(reason, names))
        for alarm in fresh:
            if _key(alarm) in self._told:
                continue
            if not self._all.has(now):
                self.behind = True
                return
            self._all.take()
            self._told.add(_key(alarm))
            yield Told(alarm.about, Reason.MISSING, alarm.note)


_CROWDS: Final = {
    "Node": "Many nodes do not announce what they should ({}): {}",
    "Service": "Many Services are not announced as they should be ({}): {}",
}


def _crowds(alarms: Collection[Alarm]) -> dict[tuple[str, str], list[Alarm]]:
    found: dict[tuple[str, str], list[Alarm]] = {}
    for alarm in alarms:
        if alarm.about.kind in _CROWDS:
            found.setdefault((alarm.about.kind, alarm.reason), []).append(alarm)
    return found


def _name(about: About) -> str:
    return f"{about.namespace}/{about.name}" if about.namespace else about.name


def _key(alarm: Alarm) -> tuple[str, str, str, str]:
    return alarm.about.kind, alarm.about.namespace, alarm.about.name, alarm.reason


def event_body(told: Told, instance: str, at: datetime) -> dict[str, Any]:
    """An Event of events.k8s.io. All are in one namespace: what regards a Node must be there, and the rest may."""
    about = told.about
    where = {"namespace": about.namespace} if about.namespace else {}
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": "onepeer-", "namespace": EVENTS.namespace},
        "eventTime": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "onepeer.io/onepeer",
        "reportingInstance": instance[:128],
        "action": "Peering",
        "reason": str(told.reason),
        "type": "Normal" if told.reason is Reason.UP else "Warning",
        "note": told.note.encode()[:NOTE].decode(errors="ignore"),
        "regarding": {"apiVersion": "v1", "kind": about.kind, "name": about.name, "uid": about.uid, **where},
    }


def _reason(why: str | None) -> Reason:
    if why is None:
        return Reason.UP
    return Reason.REFUSED if why.startswith("refused") else Reason.DOWN


def _note(reason: Reason, why: str | None) -> str:
    match reason:
        case Reason.UP:
            return "The BGP session of this node's speaker with Onepeer is up"
        case Reason.REFUSED:
            return f"Onepeer lets no BGP session of this node come up: {why}"
    return f"The BGP session of this node's speaker with Onepeer is down: {why}"
