"""TTL security (RFC 5082): what has passed a router is dropped by the kernel, whoever called."""

import asyncio
import socket

import pytest

from tests.app.stage import ROUTER_PORT, Stage, until
from tests.app.wire import FULL, Identity, RawRouter

IP_MINTTL = 21
NEAR, FAR = 255, 254
"""TTL of a segment that comes from the next host, and from beyond one router."""


def strict(ttl: int = NEAR) -> socket.socket:
    """A socket of a router with `ttl-security hops 1`, whose own segments arrive with `ttl`."""
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    sock.setsockopt(socket.IPPROTO_IP, IP_MINTTL, NEAR)
    return sock


async def test_a_near_router_is_reached(stage: Stage) -> None:
    """Our segments have TTL 255, which such a router asks for."""
    router = RawRouter(stage.host(1), ROUTER_PORT, Identity(stage.host(1), capabilities=FULL))
    stage._routers.append(router)
    await router.listen(sock=strict())
    await stage.start(router={"ttl_security": 1})
    await until(lambda: router.up, "the router is up")


async def test_a_near_router_may_call(stage: Stage) -> None:
    """It drops our SYN-ACK if that has any other TTL."""
    await stage.start(router={"ttl_security": 1, "connect": "passive"})
    async with asyncio.timeout(2):
        call = await stage.call(1, Identity(stage.host(1), capabilities=FULL), sock=strict())
    await until(lambda: call.up, "the router is up")


async def test_a_far_router_gets_no_session(stage: Stage) -> None:
    """Whoever takes its address from elsewhere is not heard."""
    await stage.start(router={"ttl_security": 1, "connect": "passive"})
    far = await stage.call(1, Identity(stage.host(1), capabilities=FULL), sock=strict(FAR))
    await until(lambda: far.kinds() == [1], "our OPEN, for the handshake has no TTL to be judged by")
    with pytest.raises(AssertionError):
        await until(lambda: far.up, "it is up", 0.4)
    assert stage.router_view().lanes[0].session.state == "OpenSent"


async def test_hops_are_allowed_for(stage: Stage) -> None:
    """`ttl_security: 2` takes what has passed one router."""
    await stage.start(router={"ttl_security": 2, "connect": "passive"})
    call = await stage.call(1, Identity(stage.host(1), capabilities=FULL), sock=strict(FAR))
    await until(lambda: call.up, "the router is up")


async def test_nodes_are_not_concerned(stage: Stage) -> None:
    """The same listening socket serves them."""
    await stage.start(router={"ttl_security": 1, "connect": "passive"})
    node = await stage.node(1)
    assert node.up
