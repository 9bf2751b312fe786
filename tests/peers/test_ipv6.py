"""Sessions over IPv6, and routes of both families over either."""

import socket

from tests.app.stage import Stage, until
from tests.app.wire import FULL, Identity, call, nlri
from tests.bgp.bgp_wire import mp_reach, update

PREFIX6 = "fd00:30::1/128"
LOOPBACK = "::1"


async def test_a_node_over_ipv6_announces_ipv6(stage: Stage) -> None:
    """It is known by the address it calls from, and the router gets its path over IPv4."""
    router = await stage.router(1, Identity(stage.host(1), capabilities=FULL))
    with socket.create_server((LOOPBACK, 0), family=socket.AF_INET6) as found:
        port = found.getsockname()[1]
    stage.prepare(
        count=1,
        listen={"addresses": [stage.host(10), LOOPBACK], "port": port},
        guard={"prefixes": ["192.168.30.0/24", "fd00:30::/64"]},
    )
    stage.roster[0]["addresses"] = [LOOPBACK]
    await stage.start()
    assert stage.status().listen == [f"{stage.host(10)}:{port}", f"[::1]:{port}"]
    node = await call(LOOPBACK, LOOPBACK, port, Identity("192.0.2.31"))
    stage.keep(node)
    await until(lambda: node.up, "leviathan1 is up")
    attributes = bytes.fromhex("400101004002004005040000 0064".replace(" ", ""))
    hop = socket.inet_pton(socket.AF_INET6, LOOPBACK)
    node.send(update(attributes + mp_reach(nlri(PREFIX6), hop)))
    await until(lambda: router.hops(PREFIX6) == [LOOPBACK], "the router has the path")
    (up,) = stage.said("session_established", node="leviathan1")
    assert up["remote"].startswith("[::1]:")
    node.hang_up()
    await until(lambda: not router.hops(PREFIX6), "the path is gone")
