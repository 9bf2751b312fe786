"""Calls when there is nothing left to take them with, and connections that must be got rid of."""

import asyncio
import ipaddress
import os
import resource
import socket

import pytest

from speaker.net import connection, listener
from speaker.net.listener import Listener
from tests.app.stage import PORT, ROUTER_PORT, Stage, until


async def test_calls_wait_while_there_are_no_file_descriptors(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told once, the loop does not spin, and the call is taken when there are some again."""
    monkeypatch.setattr(listener, "PAUSE", 0.2)
    told: list[str] = []
    callers: list[str] = []
    here = ipaddress.ip_address(stage.host(10))

    def take(caller: object, local: object) -> None:
        callers.append(str(caller))

    one = Listener(here, PORT, take, told.append)
    one.answer()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as sock:
        sock.setblocking(False)
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            await asyncio.get_running_loop().sock_connect(sock, (stage.host(10), PORT))
            await until(lambda: told, "it is told")
            assert told == ["calls cannot be taken: Too many open files"]
            assert callers == []
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await until(lambda: callers, "the call is taken")
    assert len(told) == 1
    one.close()


async def test_a_flood_of_calls_keeps_nobody_waiting(stage: Stage) -> None:
    """Some hundreds of strangers at once, and a node among them: it is up as if it were alone."""
    await stage.start()
    loop = asyncio.get_running_loop()
    socks = [socket.socket() for _ in range(400)]
    for sock in socks:
        sock.setblocking(False)
        sock.bind((stage.host(99), 0))
    flood = [asyncio.ensure_future(loop.sock_connect(sock, (stage.host(10), PORT))) for sock in socks]
    node = await stage.node(1)
    await asyncio.gather(*flood, return_exceptions=True)
    for sock in socks:
        sock.close()
    assert node.up
    await until(lambda: stage.report().counters().connections_refused["stranger"] == 400, "all are refused")
    assert len(stage.said("stranger_refused")) == 1


async def test_a_peer_that_never_reads_does_not_keep_its_connection(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session is ended while its buffers are full: the NOTIFICATION cannot leave, and TCP is cut off."""
    monkeypatch.setattr(connection, "CLOSE_TIME", 0.2)
    stage.prepare(guard={"prefixes": ["10.88.0.0/16"]})
    stage.settings["routers"].append({"address": stage.host(2), "port": ROUTER_PORT})
    router = await stage.router(2, receive_buffer=4096)
    await stage.start()
    await until(lambda: router.up, "the router is up")
    assert stage.speaker is not None
    lane = next(one for one in stage.speaker.peering.lanes() if one.up is not None)
    assert lane.up is not None
    transport = lane.up._transport
    assert transport is not None
    ours = transport.get_extra_info("socket")
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    router.wire.sleep()
    node = await stage.node(1)
    for high in range(36):
        node.announce(*(f"10.88.{high}.{low}/32" for low in range(250)), hop=stage.host(31))
    await until(lambda: transport.get_write_buffer_size() > 1000, "its buffers are full")
    del stage.settings["routers"][1]
    await stage.reload()
    await until(lambda: ours.fileno() == -1, "the connection is cut off", 2.0)
