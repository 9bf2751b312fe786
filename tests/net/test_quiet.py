"""A process that is killed says nothing to its peer, and leaves nothing that could later."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from speaker.net.orphans import bury
from speaker.net.quiet import keep_quiet, speak_again
from tests.lab import Host, Lab, wait_until

OURS, THEIRS = IPv4Address("192.168.3.10"), IPv4Address("192.168.3.1")


@pytest.fixture
def hosts(real_parts: None) -> Iterator[tuple[Host, Host]]:
    """Ours, which can be killed a process on, and the router."""
    with Lab() as lab:
        yield lab.host("ours", f"{OURS}/24"), lab.host("router", f"{THEIRS}/24")


def connected(ours: Host, router: Host) -> tuple[int, socket.socket]:
    """A process of ours with one connection, and the router's end of it."""
    listening = router.socket()
    listening.bind((str(THEIRS), 179))
    listening.listen()
    mine = ours.socket()
    mine.bind((str(OURS), 1792))
    mine.connect((str(THEIRS), 179))
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


def states(host: Host) -> str:
    return host.run("ss", "-tanH", "src", str(OURS))


@pytest.mark.parametrize("quiet", [True, False])
def test_the_peer_hears_of_a_kill_only_where_nobody_keeps_it_quiet(hosts: tuple[Host, Host], quiet: bool) -> None:
    ours, router = hosts
    pid, peer = connected(ours, router)
    with peer:
        if quiet:
            ours.inside(keep_quiet, (OURS, 1792), (THEIRS, 179))
        kill(pid)
        if not quiet:
            wait_until(lambda: ended(peer), 5, "the peer hears of it")
            return
        wait_until(lambda: "FIN-WAIT-1" in states(ours), 5, "the kernel tries to say it")
        assert ours.inside(bury, [OURS]) == 1
        assert not states(ours)
        peer.send(b"a KEEPALIVE")  # to nobody, who would answer with a RST
        ours.run("ping", "-c", "1", str(THEIRS))  # what was sent before has arrived before
        assert not ended(peer)


def test_only_that_one_connection_is_kept_quiet(hosts: tuple[Host, Host]) -> None:
    """And keeping it so twice, or ending that twice, is no error."""
    ours, router = hosts
    for _ in range(2):
        ours.inside(keep_quiet, (OURS, 1793), (THEIRS, 179))
    pid, peer = connected(ours, router)
    with peer:
        kill(pid)
        wait_until(lambda: ended(peer), 5, "the peer hears of it")
    for _ in range(2):
        ours.inside(speak_again, OURS)
    assert "onepeer" not in ours.run("nft", "list", "ruleset")
