"""What would an operator see of a fault? All signs that there are: the audit, `explain`, the metrics, the shipped alert
rules in a real Prometheus, an Event in the cluster, and the status page in a real browser."""

import subprocess
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from tests.conftest import ROOT
from tests.e2e.kubelet import Pod
from tests.e2e.objects import METALLB
from tests.e2e.prometheus import Prometheus
from tests.e2e.world import TRAEFIK, World
from tests.lab import Host, wait_until
from tests.page.browser import Browser

NAMED = 60.0
"""Seconds until a fault is an alarm: the promise."""
TARGET = "127.0.0.1:9790"
RED = "[...document.querySelectorAll('.m[data-cell], .l[data-cell], .r[data-cell]')].map(one => one.dataset.cell)"
LINES = "[...document.querySelectorAll('#missing > li:not(.none)')].map(one => one.innerText)"


@dataclass(frozen=True, slots=True)
class Fault:
    """A reason, of a node, a Service or a router."""

    kind: str
    name: str
    reason: str

    @property
    def alert(self) -> tuple[str, ...]:
        """The rule that fires, and its labels."""
        if self.kind == "node":
            return ("OnepeerAddressesMissing", self.name, self.reason)
        return ("OnepeerServiceUnannounced", self.reason) if self.kind == "service" else ("OnepeerRouterDown",)

    @property
    def metric(self) -> str:
        """The beginning of a line that is there as long as the fault is."""
        if self.kind == "node":
            return f'onepeer_node_missing_addresses{{node="{self.name}",reason="{self.reason}"}}'
        if self.kind == "service":
            return f'onepeer_unannounced_addresses{{reason="{self.reason}"}}'
        return f'onepeer_router_session_up{{lane="1",router="{self.name}"}} 0.0'

    def is_told_by(self, text: str) -> bool:
        """Whether the text of an Event, or a line of the page, is about this."""
        if self.kind == "router":
            return f"outer {self.name}" in text
        return self.reason in text and self.name.partition("/")[2 if self.kind == "service" else 0] in text


def of_nodes(reasons: Collection[tuple[str, str]]) -> set[Fault]:
    """By node and reason."""
    return {Fault("node", name, reason) for name, reason in reasons}


class Signs:
    """Who looks at the Onepeer of a world from outside. Signs of other faults than those asked for count as wrong."""

    def __init__(self, world: World, host: Host) -> None:
        subprocess.run([ROOT / "scripts/debian", "prometheus", "chromium"], check=True, stdout=subprocess.DEVNULL)
        self._world = world
        self._prometheus, self._browser = Prometheus(host, TARGET), Browser(host)
        self._prometheus.start()
        self._browser.start()

    @property
    def pod(self) -> Pod:
        """The one that is looked at."""
        assert self._world.pod is not None
        return self._world.pod

    def named(self, faults: Collection[Fault], since: float) -> None:
        """Every sign says these and no other, within the promise; `since` is a time.monotonic()."""
        want, seen = set(faults), {}
        for what, look in self._looks(want).items():
            left = since + NAMED - time.monotonic()
            wait_until(lambda look=look: look() == want, left, f"{what} says {want}", seen=look, every=0.3)
            seen[what] = f"{what} {time.monotonic() - since:.0f}"
        assert f"\nonepeer_alarms {len(want)}.0" in self.pod.metrics()
        print(f"\n{', '.join(sorted({fault.reason for fault in want}))}: seconds to {', '.join(seen.values())}")

    def well(self, faults: Collection[Fault], within: float = NAMED) -> None:
        """None of these is seen any more, by any sign but the Events, which are of the past."""
        gone = set(faults)
        for what, look in self._looks(gone).items():
            if what != "event":
                wait_until(lambda look=look: not look() & gone, within, f"{what} is green", seen=look, every=0.3)

    def _looks(self, known: set[Fault]) -> dict[str, Callable[[], set[Fault]]]:
        """What each sign says of these faults; a browser and a rule come last, for they take their time."""
        return {
            "audit": self.alarms,
            "metrics": lambda: self._metrics(known),
            "event": lambda: self._events(known),
            "page": lambda: self._red(known),
            "explain": lambda: self._explained(known),
            "alert": lambda: self._alerts(known),
        }

    def alarms(self) -> set[Fault]:
        """By the audit, as the control socket has it."""
        said = self.pod.ask("audit")
        found = of_nodes([(one["node"], one["reason"]) for one in said["findings"] if one["alarm"]])
        found |= {Fault("service", one["service"], one["why_none"]) for one in said["services"] if one["alarm"]}
        return found | {Fault("router", one["router"], one["reason"]) for one in said["routers"] if one["alarm"]}

    def _metrics(self, known: set[Fault]) -> set[Fault]:
        said = self.pod.metrics()
        return {fault for fault in known if f"\n{fault.metric}" in said}

    def _events(self, known: set[Fault]) -> set[Fault]:
        """A node that announces nothing has it on the Node. What nodes lack of a Service is one Event on that, however
        many they are. A router is no object of the cluster's: it is told of on MetalLB's namespace, in the words of how
        its session ended."""
        items = [one for place in ("default", METALLB) for one in self._world.missing_events(place)]
        notes = [f"{one['regarding']['name']} {one['note']}" for one in items]
        of_services = [one["note"] for one in items if one["regarding"]["kind"] == "Service"]
        return {
            fault
            for fault in known
            if any(fault.is_told_by(note) for note in notes)
            or (fault.kind == "node" and any(fault.reason in note for note in of_services))
        }

    def _alerts(self, known: set[Fault]) -> set[Fault]:
        """Those whose expression is true."""
        said = self._prometheus.alerts()
        names = {fault.alert[0] for fault in known}
        others = {alert for alert in said if alert[0] in names} - {fault.alert for fault in known}
        return {Fault("alert", *alert[:2]) for alert in others} | {fault for fault in known if fault.alert in said}

    def _explained(self, known: set[Fault]) -> set[Fault]:
        """Exit status 3, and the word."""
        found = set()
        for name in {fault.name for fault in known}:
            of_it = {fault for fault in known if fault.name == name}
            kind = next(fault.kind for fault in of_it)
            done = self.pod.cli("explain", *((TRAEFIK,) if kind == "router" else (kind, name)))
            if done.returncode == 3:
                found |= {fault for fault in of_it if fault.reason in done.stdout}
        return found

    def _red(self, known: set[Fault]) -> set[Fault]:
        """In the list of what is missing, and of a node in its own column."""
        lines: list[str] = []
        cells: list[str] = []

        async def story(page: Browser) -> None:
            lines.extend(await page.ask(LINES))
            cells.extend(await page.ask(RED))

        self._browser.look(story)
        columns = {cell.split()[1] for cell in cells}
        return {
            fault
            for fault in known
            if any(fault.is_told_by(line) for line in lines) and (fault.kind != "node" or fault.name in columns)
        }
