"""`onepeer doctor` on a machine of its own: before Onepeer runs, and beside it.

router 192.168.3.1 ──── onepeer 192.168.3.10
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import COMMAND
from tests.lab import FRR, Host, Lab, Onepeer, Peer, wait_until

ASN = 64512
TAKES_PORTS = """
import socket, time
one, other = socket.create_server(('192.168.3.10', 1790)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
other.bind(('', 3784))
print('up', flush=True)
time.sleep(60)
"""


@pytest.fixture
def lab(real_parts: None) -> Iterator[Lab]:
    """Both machines."""
    with Lab() as lab:
        lab.host("router", "192.168.3.1/24")
        lab.host("onepeer", "192.168.3.10/24")
        yield lab


def one(lab: Lab, **more: Any) -> Onepeer:
    """Not started."""
    tree = {
        "asn": ASN,
        "listen": {"addresses": ["192.168.3.10"]},
        "routers": [{"address": "192.168.3.1", "name": "edge"}],
        "nodes": {"file": "nodes.yaml"},
        "guard": {"prefixes": ["192.168.30.0/24"]},
        **more,
    }
    onepeer = Onepeer(lab["onepeer"], tree, [{"name": "n1", "addresses": ["192.168.3.31"]}])
    onepeer.write_settings()
    onepeer.write_nodes()
    return onepeer


def doctor(host: Host, *words: str, before: tuple[str, ...] = ()) -> dict[str, list[dict[str, str]]]:
    """What it finds, by check."""
    view = json.loads(host.run(*before, COMMAND, "doctor", "-o", "json", *words, check=False))
    found: dict[str, list[dict[str, str]]] = {}
    for finding in view["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    return found


def wrong(found: list[dict[str, str]]) -> list[str]:
    return [finding["what"] for finding in found if finding["level"] != "ok"]


def test_what_would_keep_it_from_running_is_seen_before_it_runs(lab: Lab) -> None:
    """Ports that are taken, an address that is elsewhere, a capability that is not there, a router that is off."""
    lanes = [{"address": "192.168.3.1", "name": "edge", "local_addresses": ["192.168.3.10", "192.168.3.11"]}]
    onepeer, host = one(lab, routers=lanes, nodes={"file": "nodes.yaml", "bfd": {}}), lab["onepeer"]
    process = host.start(sys.executable, "-c", TAKES_PORTS, log="taken.log")
    wait_until(lambda: "up" in process.output(), 10, "the ports are taken")
    words = ("-c", str(onepeer.file), "--socket", str(Path(host.folder) / "none.sock"))
    found = doctor(host, *words, before=("setpriv", "--bounding-set", "-net_raw"))
    taken = [what.partition(" is taken by ") for what in wrong(found["ports"])]
    assert {name for name, _, by in taken if f"(pid {process.pid})" in by} == {
        "192.168.3.10 port 1790",
        "UDP port 3784",
    }
    assert wrong(found["addresses"]) == ["192.168.3.11 is not on this host"]
    assert wrong(found["rights"]) == ["this user has no CAP_NET_RAW"]
    assert [one for one in wrong(found["routers"]) if "refuses the connection from 192.168.3.10" in one]


def test_a_line_that_is_missing_is_told_and_beside_a_running_onepeer_its_session_is_found(lab: Lab) -> None:
    """FRR takes the call of a stranger and hangs up. With the line, nothing is wrong, and no settings are named."""
    router = FRR(lab["router"], ASN, [Peer("192.168.3.77", ASN)])
    router.start()
    onepeer = one(lab)
    words = ("-c", str(onepeer.file), "--socket", str(onepeer.socket))
    wait_until(lambda: "hangs up at once" in str(wrong(doctor(lab["onepeer"], *words)["routers"])), 20, "it is told")
    router.configure(f"router bgp {ASN}", f" neighbor 192.168.3.10 remote-as {ASN}")
    onepeer.start()
    wait_until(lambda: router.established("192.168.3.10"), 20, "the session is up")
    found = doctor(lab["onepeer"], "--socket", str(onepeer.socket))
    for check in ("settings", "onepeer", "rights", "kernel", "addresses", "ports", "links", "roster", "routers"):
        assert wrong(found[check]) == [], check
    assert "Established; ipv4 addpath" in found["routers"][0]["what"]
    onepeer.stop()
    router.stop()
