"""How do this host, the routers and the cluster stand? Gathers the facts; makes nothing of them.

Nothing is changed. Routers are called only where no running Onepeer has a session with them, and the call is ended
before a word is said.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import os
import platform
import re
import socket
import struct
import time
from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface
from pathlib import Path
from typing import Any, Final

from speaker.cluster.file import read_roster
from speaker.config import Router, Settings, SettingsError
from speaker.doctor.cluster_look import look_at_cluster
from speaker.doctor.facts import Address, Card, Facts, Held, Knock, Knocked, Listening, Process
from speaker.host.bfd import PORT as BFD
from speaker.net.sockets import SocketError, dialer, reason, reset, set_password
from speaker.serve.version import VERSION
from speaker.serve.views import StatusView

CALL: Final = 3.0
"""Seconds for TCP. A SYN goes out after 0, 1 and 3 s."""
STAY: Final = 1.0
"""Seconds in which a router hangs up on a stranger. FRR takes a millisecond."""

_CAPABILITIES: Final = {10: "CAP_NET_BIND_SERVICE", 12: "CAP_NET_ADMIN", 13: "CAP_NET_RAW"}
_PERMANENT: Final = 0x80  # IFA_F_PERMANENT
_TCP: Final = "tcp", "0A"
_UDP: Final = "udp", "07"
"""The files in /proc/net, and the state there of a socket that takes whoever comes."""
_SYSCTLS: Final = ("arp_ignore", "rp_filter", "promote_secondaries")
_UNSYNCHRONISED: Final = 5  # TIME_ERROR
_NOTIFICATION: Final = 3


async def look(settings: Settings, status: StatusView | None, control: Path, *, silent: str, mute: bool) -> Facts:
    """`status`: what the Onepeer at the socket `control` says, or `silent`: why there is none. `mute`: see Facts."""
    process = _process(_pid_behind(control) if status is not None else None)
    roster, trouble = _roster(settings, status)
    cards, ways, far = await _links(settings)
    ports = {settings.listen.port, 179}
    ports |= {settings.http.port} if settings.http else set()
    ports |= {settings.replicas.port} if settings.replicas else set()
    return Facts(
        settings=settings,
        version=VERSION,
        process=process,
        kernel=platform.release(),
        now=time.time(),
        status=status,
        silent=silent,
        mute=mute,
        roster=roster,
        roster_problem=trouble,
        md5=_md5(),
        synchronised=_synchronised(),
        cards=cards,
        listening=tuple(_listening(_TCP, ports)),
        bfd=tuple(_listening(_UDP, {BFD})) if settings.nodes.bfd else (),
        ways=ways,
        far=far,
        sysctls=_sysctls([card.name for card in cards]),
        knocks=await _knocks(settings, status),
        state_dir=_unwritable(settings.state_dir, process.pid),
        cluster=await look_at_cluster(settings) if settings.nodes.kubernetes else None,
    )


# --- the process


def _pid_behind(control: Path) -> int | None:
    """Whose socket it is, by the kernel; None where that process is in another namespace of pids."""
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(str(control))
            pid, _, _ = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        except OSError:
            return None
    return pid if pid > 0 and Path(f"/proc/{pid}/status").exists() else None


def _process(pid: int | None) -> Process:
    folder = Path(f"/proc/{pid or 'self'}")
    held = re.search(r"^CapEff:\s*([0-9a-f]+)", (folder / "status").read_text(), re.MULTILINE)
    bits = int(held[1], 16) if held else 0
    try:
        limit = re.search(r"^Max open files\s+\S+\s+(\d+)", (folder / "limits").read_text(), re.MULTILINE)
    except OSError:
        limit = None
    names = frozenset(name for bit, name in _CAPABILITIES.items() if bits >> bit & 1)
    return Process(pid, names, int(limit[1]) if limit else 2**20)


def _unwritable(folder: Path, pid: int | None) -> str | None:
    """By this user's rights; in the file system as the running Onepeer sees it, where this user may look there."""
    inside = Path(f"/proc/{pid or 'self'}/root")
    if os.access(inside, os.X_OK):
        folder = inside / folder.relative_to("/") if folder.is_absolute() else folder
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent  # it is made at the start
    volume = os.statvfs(folder)
    if os.access(folder, os.W_OK | os.X_OK):
        return None if volume.f_bavail or not volume.f_blocks else "no space left"
    read_only = volume.f_flag & os.ST_RDONLY
    return "read-only file system" if read_only else "permission denied"


# --- the host


def _md5() -> str | None:
    with socket.socket() as sock:
        try:
            set_password(sock, IPv4Address("127.0.0.1"), b"doctor")
        except SocketError as error:
            return error.why
    return None


def _synchronised() -> bool | None:
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))  # struct timex, all zero: only asks
    except (OSError, AttributeError):
        return None
    return None if state < 0 else bool(state != _UNSYNCHRONISED)


def _sysctls(cards: Collection[str]) -> dict[str, int]:
    found = {}
    for card in ("all", *cards):
        for name in _SYSCTLS:
            try:
                found[f"{card}/{name}"] = int(Path(f"/proc/sys/net/ipv4/conf/{card}/{name}").read_text())
            except (OSError, ValueError):
                continue
    return found


async def _links(settings: Settings) -> tuple[tuple[Card, ...], Mapping[Address, str | None], frozenset[Address]]:
    """Interfaces with their addresses, which of them leads to each router, and the routers behind another one."""
    pyroute2 = importlib.import_module("pyroute2")
    held: dict[int, list[Held]] = {}
    names: dict[int, tuple[str, int]] = {}
    ways: dict[Address, str | None] = {}
    far: set[Address] = set()
    async with pyroute2.AsyncIPRoute() as netlink:
        async for entry in await netlink.get_addr():
            own = entry.get("IFA_LOCAL") or entry.get("IFA_ADDRESS")
            flags = entry.get("IFA_FLAGS") or entry["flags"]
            address = ip_interface(f"{own}/{entry['prefixlen']}")
            held.setdefault(entry["index"], []).append(Held(address, bool(flags & _PERMANENT)))
        async for entry in await netlink.get_links():
            names[entry["index"]] = str(entry.get("IFLA_IFNAME")), int(entry.get("IFLA_MTU"))
        for router in settings.routers:
            index, gateway = await _way(netlink, router.address)
            ways[router.address] = names.get(index, (None, 0))[0]
            far |= {router.address} if gateway else set()
    cards = (Card(name, mtu, tuple(held.get(index, ()))) for index, (name, mtu) in names.items())
    return tuple(cards), ways, frozenset(far)


async def _way(netlink: Any, address: Address) -> tuple[int, bool]:
    """The index of the interface towards it, 0 where there is none, and whether it is behind a gateway."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        route = (await netlink.route("get", dst=str(address), family=family))[0]
    except (OSError, LookupError, importlib.import_module("pyroute2.netlink.exceptions").NetlinkError):
        return 0, False
    return int(route.get("RTA_OIF") or 0), route.get("RTA_GATEWAY") is not None


def _listening(kind: tuple[str, str], ports: Collection[int]) -> list[Listening]:
    """Who listens on these ports, as far as /proc says."""
    file, state = kind
    found: list[tuple[Address | None, int, str]] = []
    for name in (file, f"{file}6"):
        try:
            rows = Path("/proc/net", name).read_text().splitlines()[1:]
        except OSError:
            continue  # no IPv6 here
        for row in rows:
            words = row.split()
            where, _, port = words[1].partition(":")
            if words[3] == state and int(port, 16) in ports:
                found.append((_address(where), int(port, 16), words[9]))
    owners = _owners({inode for _, _, inode in found})
    return [Listening(address, port, *owners.get(inode, (None, ""))) for address, port, inode in found]


def _address(text: str) -> Address | None:
    """/proc has the words of an address in the host's own order of octets; None = all addresses."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    octets = struct.pack(f"={len(words)}I", *words)
    address: IPv4Address | IPv6Address = ip_address(octets)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return None if address.is_unspecified else address


def _owners(inodes: Collection[str]) -> dict[str, tuple[int, str]]:
    """Which process has which of these sockets."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, tuple[int, str]] = {}
    for folder in Path("/proc").glob("[0-9]*") if wanted else ():
        try:
            for file in os.scandir(folder / "fd"):
                inode = wanted.get(os.readlink(file.path))
                if inode is not None:
                    found[inode] = int(folder.name), (folder / "comm").read_text().strip()
        except OSError:
            continue  # another user's, or just gone
    return found


# --- the nodes and the routers


def _roster(settings: Settings, status: StatusView | None) -> tuple[int | None, str]:
    """How many addresses may peer, and why it is not known."""
    if settings.nodes.file is None:
        return (status.roster.nodes if status else None), ""
    try:
        return len(read_roster(settings)[0].by_address), ""
    except SettingsError as error:
        return None, str(error)


async def _knocks(settings: Settings, status: StatusView | None) -> tuple[Knocked, ...]:
    """Routers that have no session, called from each of our addresses for them."""
    kept = set()
    for view in status.routers if status else ():
        up = any(lane.session.state == "Established" for lane in view.lanes)
        if up or (view.lead is not None and view.lead.role != "leads"):
            kept.add(view.name)
    calls = []
    for router in settings.routers:
        if router.name in kept or router.connect == "passive":
            continue
        if settings.replicas is not None:
            calls.append(_knock(router, None))
        else:
            calls += [_knock(router, local) for local in router.local_addresses]
    return tuple(await asyncio.gather(*calls))


async def _knock(router: Router, local: Address | None) -> Knocked:
    loop = asyncio.get_running_loop()
    anywhere = IPv4Address(0) if router.address.version == 4 else IPv6Address(0)
    try:
        sock = dialer(local or anywhere, router.address, router.password, router.ttl_security)
    except SocketError as error:
        return Knocked(router.name, local, Knock.FAILED, f"{error.why}; {error.way_out}")
    try:
        async with asyncio.timeout(CALL):
            await loop.sock_connect(sock, (str(router.address), router.port))
        try:
            async with asyncio.timeout(STAY):
                said = await loop.sock_recv(sock, 19)
        except TimeoutError:
            return Knocked(router.name, local, Knock.ANSWERS)
        except ConnectionResetError:
            said = b""
        ended = not said or (len(said) > 18 and said[18] == _NOTIFICATION)
        return Knocked(router.name, local, Knock.HANGS_UP if ended else Knock.ANSWERS)
    except ConnectionRefusedError:
        return Knocked(router.name, local, Knock.REFUSED)
    except TimeoutError:
        return Knocked(router.name, local, Knock.SILENT)
    except OSError as error:
        return Knocked(router.name, local, Knock.FAILED, reason(error))
    finally:
        reset(sock)
