"""ARP requests on a real link: a node is unplugged, and comes back."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator
from ipaddress import IPv4Address

import pytest

from speaker.host.probes import Probes
from tests.lab import Host, Lab

NODES = [IPv4Address(f"192.168.3.3{at}") for at in range(1, 4)]
SOON = 10.0


@pytest.fixture
def lab(real_parts: None) -> Iterator[Lab]:
    """A prober and three nodes."""
    with Lab() as made:
        made.host("prober", "192.168.3.10/24", "10.0.0.1/32")
        for node in NODES:
            made.host(f"n{node}", f"{node}/24")
        yield made


class Watch:
    """A prober at work, and what it has told."""

    def __init__(self) -> None:
        self.told: list[tuple[IPv4Address, bool]] = []
        self.probes = Probes(0.05, lambda address, alive: self.told.append((address, alive)))

    async def until(self, condition: Callable[[], bool], why: str) -> None:
        """Waits for it, ten seconds at most."""
        end = time.monotonic() + SOON
        while not condition():
            assert time.monotonic() < end, f"{why}: {self.told}"
            await asyncio.sleep(0.01)

    def alive(self) -> list[bool | None]:
        return [self.probes.pulse.alive(node) for node in NODES]


def watching(host: Host, story: Callable[[Watch], Coroutine[None, None, None]], *more: IPv4Address) -> None:
    """Runs a story in the namespace of this host while it probes the nodes."""

    async def body() -> None:
        watch = Watch()
        watch.probes.watch([*NODES, *more])
        task = asyncio.create_task(watch.probes.run())
        try:
            await story(watch)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    host.inside(asyncio.run, body())


def test_a_node_that_vanishes_is_dead_and_one_that_comes_back_alive(lab: Lab) -> None:
    """By its cable, without a word of its own; the others stay alive."""

    async def story(watch: Watch) -> None:
        await watch.until(lambda: watch.alive() == [True] * 3, "all answer")
        lab[f"n{NODES[1]}"].unplug()
        await watch.until(lambda: watch.told == [(NODES[1], False)], "it is dead")
        assert watch.alive() == [True, False, True]
        lab[f"n{NODES[1]}"].plug()
        await watch.until(lambda: watch.told[1:] == [(NODES[1], True)], "it is back")

    watching(lab["prober"], story)


def test_with_our_own_cable_pulled_nobody_is_called_dead(lab: Lab) -> None:
    """Nothing is known then; and all are alive again when it is back."""

    async def story(watch: Watch) -> None:
        await watch.until(lambda: watch.alive() == [True] * 3, "all answer")
        lab["prober"].unplug()
        await watch.until(lambda: watch.alive() == [None] * 3, "nothing is known")
        lab["prober"].plug()
        await watch.until(lambda: watch.alive() == [True] * 3, "all answer again")
        assert watch.told == []

    watching(lab["prober"], story)


def test_a_prober_that_was_kept_from_running_calls_nobody_dead(lab: Lab) -> None:
    """Half a second without a turn: the answers wait in the socket."""

    async def story(watch: Watch) -> None:
        await watch.until(lambda: watch.alive() == [True] * 3, "all answer")
        for _ in range(5):
            time.sleep(0.5)  # noqa: ASYNC251 (to keep the prober from running is the point)
            await asyncio.sleep(0.01)
        await watch.until(lambda: watch.alive() == [True] * 3, "all answer")
        assert watch.told == []

    watching(lab["prober"], story)


def test_what_is_on_no_link_of_ours_stays_unknown(lab: Lab) -> None:
    """A node behind a router, and our own address."""
    far, own = IPv4Address("172.16.0.1"), IPv4Address("192.168.3.10")

    async def story(watch: Watch) -> None:
        await watch.until(lambda: watch.alive() == [True] * 3, "all answer")
        assert watch.probes.pulse.watched == set(NODES)
        assert watch.probes.pulse.alive(far) is None

    watching(lab["prober"], story, far, own)
