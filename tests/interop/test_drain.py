"""A node is drained while traffic flows, on a real router."""

import pytest

from tests.interop.network import CONVERGED, LONELY, PREFIX, SERVICE, SERVICE_PORT, Network
from tests.lab import FRR, NOBODY, Traffic, wait_until


@pytest.mark.parametrize("add_path", [True, False], ids=["addpath", "spread"])
def test_a_drain_loses_no_new_connection(net: Network, add_path: bool) -> None:
    """The last path of a service stays; a restart of Onepeer remembers the drain; and all is back when it is over."""
    router = net.router(FRR, add_path=add_path)
    onepeer = net.onepeer()
    net.nodes()
    n1, n2, n3 = net.addresses(4)
    wait_until(lambda: net.router_host.route(PREFIX[4]), CONVERGED, "the service is there")
    if add_path:
        net.sees(router, PREFIX[4], [n1, n2, n3])
    traffic = Traffic(net.client, SERVICE[4], SERVICE_PORT)
    done = onepeer.cli("drain", "n3", "--wait")
    assert (done.returncode, LONELY[4] in done.stdout) == (3, True), done.stdout + done.stderr
    wait_until(lambda: n3 not in net.router_host.route(PREFIX[4]), CONVERGED, "n3 has left", seen=net.logs)
    assert net.router_host.route(LONELY[4]) == [n3]
    onepeer.stop()
    onepeer.start()
    wait_until(lambda: "drained" in str(onepeer.ask("nodes")), CONVERGED, "it answers")
    wait_until(lambda: onepeer.ask("status")["nodes_up"] == ["n1", "n2", "n3"], 60, "the nodes are back", seen=net.logs)
    assert n3 not in net.router_host.route(PREFIX[4])
    assert onepeer.cli("undrain", "n3", "--wait").returncode == 0
    if add_path:
        net.sees(router, PREFIX[4], [n1, n2, n3])
    answered = traffic.stop()
    print(f"{answered.total()} connections, {answered[NOBODY]} lost")
    assert answered[NOBODY] == 0
