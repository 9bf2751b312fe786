"""A live TCP connection goes on from another host, and its other end sees nothing of it.

ours (192.168.3.31, has 192.168.3.10) ─┐
                                       ├─ lan ── router (192.168.3.1)
next (192.168.3.32, takes it over)   ──┘
"""

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from speaker.net import repair
from speaker.net.sockets import Address, hush, set_password
from speaker.replicas.follower import Copy
from speaker.replicas.ground import Ground
from speaker.replicas.messages import Described
from speaker.replicas.mirror import Beyond, Mirror
from tests.app.stage import until
from tests.lab import Lab, wait_until

STREAM = bytes(range(256)) * 40


@dataclass(frozen=True)
class Scene:
    """The three hosts, and the two addresses."""

    lab: Lab
    floating: Address
    router: Address
    bits: int

    def give(self, host: str) -> None:
        """The floating address, as a leader has it."""
        self.lab[host].ip(f"addr add {self.floating}/{self.bits} dev eth0 nodad")

    def take(self, host: str) -> None:
        self.lab[host].ip(f"addr del {self.floating}/{self.bits} dev eth0")

    def ground(self) -> Ground:
        return Ground(self.router, [self.floating])


@pytest.fixture(params=[("192.168.3.", 24), ("fd00:3::", 64)], ids=["ipv4", "ipv6"])
def scene(request: pytest.FixtureRequest, real_parts: None) -> Iterator[Scene]:
    net, bits = request.param
    with Lab() as lab:
        for name, number in (("router", 1), ("ours", 31), ("next", 32)):
            lab.host(name, f"{net}{number}/{bits}")
        yield Scene(lab, ip_address(f"{net}10"), ip_address(f"{net}1"), bits)


class Old:
    """The connection of the replica before, and what it tells of it in advance."""

    def __init__(self, scene: Scene, password: bytes | None) -> None:
        self.password, self.ends = password, (scene.floating, scene.router)
        router, ours = scene.lab["router"], scene.lab["ours"]
        scene.give("ours")
        with router.socket(scene.router.version) as listening:
            listening.bind((str(scene.router), 179))
            if password:
                set_password(listening, scene.floating, password)
            listening.listen()
            self.sock = ours.socket(scene.router.version)
            if password:
                set_password(self.sock, scene.router, password)
            self.sock.bind((str(scene.floating), 0))
            self.sock.connect((str(scene.router), 179))
            self.peer, _ = listening.accept()
        self.peer.settimeout(10)
        sequence, tcp = repair.peek(self.sock)
        port = self.sock.getsockname()[1]
        described = Described(str(scene.floating), port, str(scene.router), 179, b"", b"", sequence, tcp, ended=False)
        self.copy = Copy(described, Mirror(frozenset(), sequence))

    def go_on(self, where: repair.Numbers) -> socket.socket:
        """On the next host, which has the address."""
        said = self.copy.described
        assert said.tcp is not None
        ends = (self.ends[0], said.local_port), (self.ends[1], said.remote_port)
        return repair.rebuild(*ends, said.tcp, where, self.password, None)

    def heard(self, count: int) -> bytes:
        """What the router has read."""
        data = b""
        while len(data) < count:
            part = self.peer.recv(count - len(data))
            assert part, "the router saw the connection end"
            data += part
        return data


async def take(scene: Scene, old: Old) -> tuple[socket.socket, repair.Numbers]:
    """What a replica does that takes over from one that has vanished."""
    ground = scene.ground()
    await ground.open(None)
    try:
        assert await ground.taken() is None
        ground.announce()
        where = (await ground.challenge({0: old.copy}, {0: old.password}))[0]
        await ground.hold(5)
        ground.announce()
        return old.go_on(where), where
    finally:
        await ground.close()


@pytest.mark.parametrize("password", [None, b"blue-lantern"], ids=["plain", "md5"])
def test_a_host_that_vanishes_in_the_midst_of_a_message(scene: Scene, password: bytes | None) -> None:
    """What the router has is asked of the router, and it gets the rest: not an octet too many or too few."""
    old = Old(scene, password)
    old.copy.mirror.sends(STREAM)  # what it was about to send
    old.sock.sendall(STREAM[:5000])
    assert old.heard(5000) == STREAM[:5000]
    scene.lab["ours"].unplug()
    old.sock.sendall(STREAM[5000:7000])
    sock, where = scene.lab["next"].inside(asyncio.run, take(scene, old))
    with sock, old.peer:
        assert where.window > len(STREAM)  # and so nothing has to be asked before octets are sent
        sock.sendall(old.copy.mirror.missing(where.send))
        assert old.heard(len(STREAM) - 5000) == STREAM[5000:]
        old.peer.sendall(b"a KEEPALIVE")
        sock.settimeout(10)
        assert sock.recv(100) == b"a KEEPALIVE"
    hush(old.sock)
    old.sock.close()


def test_a_router_that_has_forgotten_where_the_address_is(scene: Scene) -> None:
    """It asks the link before it answers us, and is told, although the kernel has no such address yet."""
    old = Old(scene, None)
    scene.lab["ours"].unplug()
    scene.lab["router"].ip("neigh flush all")
    sock, _ = scene.lab["next"].inside(asyncio.run, take(scene, old))
    with sock, old.peer:
        sock.sendall(STREAM)
        assert old.heard(len(STREAM)) == STREAM
    hush(old.sock)
    old.sock.close()


def test_a_planned_handover_takes_along_what_is_on_its_way(scene: Scene) -> None:
    """Octets that were not acknowledged, and those that nobody has read."""
    old = Old(scene, None)
    old.copy.mirror.sends(STREAM)
    old.sock.sendall(STREAM[:5000])
    old.peer.sendall(b"half a mess")
    wait_until(lambda: len(old.sock.recv(100, socket.MSG_PEEK)) == 11, 5, "it is there")
    hush(old.sock)
    where = repair.numbers(old.sock, 0)
    old.sock.close()
    scene.take("ours")
    scene.give("next")
    scene.lab["router"].ip("neigh flush all")
    with scene.lab["next"].inside(old.go_on, where) as sock, old.peer:
        assert where.unread == b"half a mess"
        sock.sendall(old.copy.mirror.missing(where.send))
        old.peer.sendall(b"age")
        sock.settimeout(10)
        assert sock.recv(100) == b"age"
        assert old.heard(len(STREAM)) == STREAM


def test_an_address_that_somebody_answers_for_is_not_free(scene: Scene) -> None:
    """And who it is, is said."""
    scene.give("ours")

    async def asked() -> str | None:
        ground = scene.ground()
        await ground.open("eth0")
        try:
            return await ground.taken()
        finally:
            await ground.close()

    mac = scene.lab["ours"].ip_json("link", "show", "eth0")[0]["address"]
    assert scene.lab["next"].inside(asyncio.run, asked()) == mac


def test_another_host_that_takes_the_address_later_is_named(scene: Scene) -> None:
    """And the router goes on to send to us, since it is told anew."""
    mac = {name: scene.lab[name].ip_json("link", "show", "eth0")[0]["address"] for name in ("ours", "next")}

    async def lead() -> str | None:
        ground = scene.ground()
        await ground.open(None)
        try:
            await ground.hold(30)
            ground.announce()
            assert ground.contested() is None
            scene.give("ours")
            scene.lab["router"].run("ping", "-c", "1", "-w", "1", str(scene.floating), check=False)
            return await until(ground.contested, "it is noticed", 5)
        finally:
            ground.announce()
            await ground.close()

    assert scene.lab["next"].inside(asyncio.run, lead()) == mac["ours"]
    known = scene.lab["router"].run("ip", "neigh", "show", str(scene.floating))
    assert mac["next"] in known, known


def test_the_kernel_takes_an_address_away_that_nobody_renews(scene: Scene) -> None:
    async def hold() -> None:
        ground = scene.ground()
        await ground.open(None)
        await ground.hold(1)
        await ground.close()

    def there() -> bool:
        return str(scene.floating) in scene.lab["next"].run("ip", "addr")

    scene.lab["next"].inside(asyncio.run, hold())
    assert there()
    wait_until(lambda: not there(), 5, "it is gone")


def test_a_router_that_has_more_than_we_know_of_is_not_gone_on_with(scene: Scene) -> None:
    """Its leader sent what we were not told: there is no telling in what message it ended."""
    old = Old(scene, None)
    old.sock.sendall(STREAM[:5000])
    assert old.heard(5000)
    scene.lab["ours"].unplug()
    sock, where = scene.lab["next"].inside(asyncio.run, take(scene, old))
    with pytest.raises(Beyond):
        old.copy.mirror.missing(where.send)
    for one in (sock, old.sock, old.peer):
        hush(one)
        one.close()
