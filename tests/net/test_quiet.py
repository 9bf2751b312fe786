"""A process that is killed says nothing to its peer, and leaves nothing that could later."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from speaker.net.orphans import bury
from speaker.net.quiet import keep_quiet, speak_again
from speaker.net.sockets import Address
from tests.lab import Host, Lab, wait_until

IPV4 = ip_address("192.168.3.10"), ip_address("192.168.3.1")
IPV6 = ip_address("fd00:3::10"), ip_address("fd00:3::1")
PORT = 1792


@dataclass(frozen=True)
class Wire:
    """Ours, which can be killed a process on, and the router."""

    ours: Host
    router: Host
    here: Address
    there: Address


@pytest.fixture(params=[IPV4, IPV6], ids=["ipv4", "ipv6"])
def wire(request: pytest.FixtureRequest, real_parts: None) -> Iterator[Wire]:
    here, there = request.param
    bits = 24 if here.version == 4 else 64
    with Lab() as lab:
        yield Wire(lab.host("ours", f"{here}/{bits}"), lab.host("router", f"{there}/{bits}"), here, there)


def connected(wire: Wire) -> tuple[int, socket.socket]:
    """A process of ours with one connection, and the router's end of it."""
    listening = wire.router.socket(wire.here.version)
    listening.bind((str(wire.there), 179))
    listening.listen()
    mine = wire.ours.socket(wire.here.version)
    mine.bind((str(wire.here), PORT))
    mine.connect((str(wire.there), 179))
    theirs, _ = listening.accept()
    listening.close()
    pid = os.fork()
    if not pid:
        while True:
            time.sleep(60)
    mine.close()
    theirs.setblocking(False)
    return pid, theirs


def ended(peer: socket.socket) -> bool:
    """Whether it has heard of the end."""
    try:
        return peer.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def states(wire: Wire) -> str:
    return wire.ours.run("ss", "-tanH", "src", f"[{wire.here}]")


@pytest.mark.parametrize("quiet", [True, False])
def test_the_peer_hears_of_a_kill_only_where_nobody_keeps_it_quiet(wire: Wire, quiet: bool) -> None:
    pid, peer = connected(wire)
    with peer:
        if quiet:
            wire.ours.inside(keep_quiet, (wire.here, PORT), (wire.there, 179))
        kill(pid)
        if not quiet:
            wait_until(lambda: ended(peer), 5, "the peer hears of it")
            return
        wait_until(lambda: "FIN-WAIT-1" in states(wire), 5, "the kernel tries to say it")
        assert wire.ours.inside(bury, [wire.here]) == 1
        assert not states(wire)
        peer.send(b"a KEEPALIVE")  # to nobody, who would answer with a RST
        wire.ours.run("ping", "-c", "1", str(wire.there))  # what was sent before has arrived before
        assert not ended(peer)


def test_only_that_one_connection_is_kept_quiet(wire: Wire) -> None:
    """And keeping it so twice, or ending that twice, is no error."""
    for _ in range(2):
        wire.ours.inside(keep_quiet, (wire.here, PORT + 1), (wire.there, 179))
    pid, peer = connected(wire)
    with peer:
        kill(pid)
        wait_until(lambda: ended(peer), 5, "the peer hears of it")
    for _ in range(2):
        wire.ours.inside(speak_again, wire.here)
    assert "onepeer" not in wire.ours.run("nft", "list", "ruleset")
