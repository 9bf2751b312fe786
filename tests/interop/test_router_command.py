"""`onepeer router` beside a real FRR: what it shows is read as it is, and what is printed for it is taken."""

import json
import os
import subprocess
from pathlib import Path

from tests.cli.command import COMMAND, environment
from tests.interop.network import ASN, CONVERGED, LONELY, PREFIX, Network
from tests.lab import FRR, Onepeer, wait_until
from tests.lab.netns import run

RECORDED = Path(__file__).parents[1] / "routers" / "shown"
ZEBRA = "show ip route bgp"
BGP = "show ip bgp"
SECOND = "192.168.3.11"
"""Another address of Onepeer's host."""


def shown(router: FRR, command: str) -> str:
    """What vtysh prints."""
    daemon = "zebra" if command.startswith(ZEBRA) else "bgpd"
    return run(["vtysh", "--vty_socket", str(router.folder), "-d", daemon, "-c", command])


def verify(onepeer: Onepeer, text: str) -> subprocess.CompletedProcess[str]:
    """Through a pipe, as with ssh."""
    words = [COMMAND, "router", "verify", "-", "--socket", str(onepeer.socket)]
    return subprocess.run(words, input=text, capture_output=True, text=True, check=False, env=environment())


def test_what_frr_shows_is_what_it_was_sent_until_a_next_hop_is_taken_away(net: Network) -> None:
    """In each table, as text and as JSON, also of Onepeer's own line; the missing one is named by its node."""
    router = net.router(FRR)
    onepeer = net.onepeer()
    net.nodes()
    net.sees(router, PREFIX[4], net.addresses(4))
    net.sees(router, LONELY[4], net.addresses(4)[2:])
    assert isinstance(router, FRR)
    over_ours = f"{BGP} neighbors {net.onepeer_host.v4} routes"
    for command in (BGP, f"{BGP} json", over_ours, f"{over_ours} json", ZEBRA, f"{ZEBRA} json"):
        text = shown(router, command)
        if os.environ.get("REWRITE_SHOWN"):
            (RECORDED / f"frr-8.4.4 {command.replace(net.onepeer_host.v4, 'ONEPEER')}.txt").write_text(text)
        done = verify(onepeer, text)
        assert (done.returncode, done.stderr) == (0, ""), f"{command}\n{text}\n{done.stdout}"
        assert "4 next hops of 2 prefixes were sent" in done.stdout

    lines = [line for line in shown(router, BGP).splitlines() if "192.168.3.32" not in line]
    done = verify(onepeer, "\n".join(lines))
    assert done.returncode == 3
    assert "n2" in done.stdout
    assert "missing" in done.stdout


def test_what_is_typed_is_what_frr_has_then_and_its_undo_takes_the_line_away(net: Network) -> None:
    """Typed into a running FRR that had no line for Onepeer, and compared with its running configuration."""
    router = net.run(FRR(net.router_host, ASN, []))
    onepeer = net.onepeer()
    assert isinstance(router, FRR)
    view = json.loads(onepeer.cli("router", "lines", "-c", str(onepeer.file), "-o", "json").stdout)
    router.configure(*view["lines"])
    running = router.vtysh("show running-config").splitlines()
    neighbor = f" neighbor {net.onepeer_host.v4} remote-as {ASN}"
    assert neighbor in view["lines"]
    assert set(view["lines"]) <= set(running)
    wait_until(lambda: router.established(net.onepeer_host.v4), CONVERGED, "the line is up")
    router.configure(*view["undo"])
    assert neighbor not in router.vtysh("show running-config")


def test_a_line_that_the_router_lacks_is_named_with_what_to_type_and_typed_it_is_there(net: Network) -> None:
    """Of two addresses one has no line; then it is shut down; then all is well. As text and as JSON."""
    net.onepeer_host.ip(f"address replace {SECOND}/24 dev eth0")
    router = net.router(FRR)
    assert isinstance(router, FRR)
    onepeer = net.onepeer(router={"local_addresses": [net.onepeer_host.v4, SECOND]})
    net.nodes()
    net.sees(router, PREFIX[4], net.addresses(4))
    for command in (f"{BGP} summary", f"{BGP} summary json"):
        done = verify(onepeer, shown(router, command))
        assert (done.returncode, done.stderr) == (3, "")
        assert [line.split() for line in done.stdout.splitlines()[2:4]] == [
            [net.onepeer_host.v4, str(ASN), "ipv4", "Established", "4", "4", "-"],
            [SECOND, "-", "-", "-", "-", "0", "no-neighbor-line"],
        ]
    router.configure(*[line for line in done.stdout.splitlines() if line.startswith("   ")])
    wait_until(lambda: router.established(SECOND), CONVERGED, "the second line is up")
    router.configure(f"router bgp {ASN}", f" neighbor {SECOND} shutdown")
    done = verify(onepeer, shown(router, f"{BGP} summary"))
    assert "shut-down" in done.stdout
    router.configure(*[line for line in done.stdout.splitlines() if line.startswith("   ")])
    wait_until(lambda: router.established(SECOND), CONVERGED, "the second line is up again")
    for command in (f"{BGP} summary", f"{BGP} summary json"):
        wait_until(
            lambda command=command: verify(onepeer, shown(router, command)).returncode == 0, CONVERGED, "all is well"
        )
