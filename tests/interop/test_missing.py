"""Why a node is missing, by what reaches this host of it: each fault at once, each with its own reason.

bad41   signs with another password       bad44   is kept out by a firewall of ours
bad42   does not sign, and should         bad45   calls port 179
bad43   signs, and should not             bad46   does not call at all
"""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from ipaddress import ip_address

import pytest

from speaker.net.sockets import set_password
from tests.interop.network import ASN, PORT, PREFIX, SOON, Network
from tests.lab import FRR, Peer, wait_until
from tests.lab.onepeer import answer

DIALS: Mapping[str, tuple[int, bytes | None]] = {
    "41": (PORT, b"wrong"),
    "42": (PORT, None),
    "43": (PORT, b"wrong"),
    "44": (PORT, None),
    "45": (179, None),
}
"""By the end of the address: the port, and the key."""
WHY = {
    "bad41": "wrong-password",
    "bad42": "wrong-password",
    "bad43": "wrong-password",
    "bad44": "blocked-here",
    "bad45": "wrong-port",
    "bad46": "never-dialed",
}
FIREWALL = "table inet fault { chain in { type filter hook input priority 0;\nip saddr 192.168.3.44 drop\n}\n}\n"


@pytest.fixture
def faulty(net: Network) -> Iterator[Network]:
    """All of them call, again and again."""
    host, stop = net.node_hosts[0], threading.Event()
    host.ip(*(f"addr replace 192.168.3.{end}/24 dev eth0" for end in (*DIALS, "46")))
    net.onepeer_host.run("sh", "-c", f"printf '{FIREWALL}' | nft -f -")
    callers = [threading.Thread(target=host.inside, args=(_dial, net, end, stop), daemon=True) for end in DIALS]
    for caller in callers:
        caller.start()
    yield net
    stop.set()
    for caller in callers:
        caller.join()
    net.onepeer_host.run("nft", "delete", "table", "inet", "fault")


def _dial(net: Network, end: str, stop: threading.Event) -> None:
    port, key = DIALS[end]
    while not stop.wait(0.3):
        with socket.socket() as one, suppress(OSError):
            one.settimeout(1.5)
            if key is not None:
                set_password(one, ip_address(net.onepeer_host.v4), key)
            one.bind((f"192.168.3.{end}", 0))
            one.connect((net.onepeer_host.v4, port))


def test_each_cause_is_told_apart_by_the_calls_that_reach_us(faulty: Network) -> None:
    """With certainty and for each node, though the kernel only counts what it drops."""
    (faulty.onepeer_host.folder / "key").write_text("right")
    roster = [{"name": f"bad{end}", "addresses": [f"192.168.3.{end}"]} for end in (*DIALS, "46")]
    for node in roster[:2]:
        node["password_file"] = "key"
    roster.append({"name": "n2", "addresses": [faulty.node_hosts[1].v4]})
    onepeer = faulty.onepeer(roster=roster, graceful_restart={"wait": "0s"})
    faulty.run(FRR(faulty.node_hosts[1], ASN, [Peer(faulty.onepeer_host.v4, ASN, port=PORT)], [PREFIX[4]]))

    def reasons() -> dict[str, str]:
        return {one["node"]: one["reason"] for one in answer(onepeer.socket, "audit")["findings"]}

    wait_until(lambda: reasons() == WHY, 4 * SOON, "each has its reason", seen=lambda: str(reasons()), every=0.2)
