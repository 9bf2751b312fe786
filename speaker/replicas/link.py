"""Who has an address on this link, and how is the link told that we have it? ARP, and neighbor discovery for IPv6.

Packet sockets, so that an address can be asked for, and told of, that the kernel does not have. CAP_NET_RAW.
"""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Protocol

from speaker.net import arp, bpf, ip

Address = ip.Address

_SOLICITATION, _ADVERTISEMENT = 135, 136
_OVERRIDE: Final = 0x20 << 24
_SOURCE_LINK, _TARGET_LINK = 1, 2
_ALL_NODES = IPv6Address("ff02::1")
_SOLICITED_NODE: Final = IPv6Address("ff02::1:ff00:0").packed[:13]


@dataclass(frozen=True, slots=True)
class Heard:
    """Of another host. `mac` has the address `has`, and asks for `wants`."""

    mac: bytes
    has: Address | None
    wants: Address | None


class Link(Protocol):
    """One interface, for one version of IP. Nothing is said where the interface is down: its silence tells."""

    def fileno(self) -> int:
        """To wait for what others say."""
        ...

    def close(self) -> None: ...

    def ask(self, address: Address, own: Address | None) -> None:
        """Who has it? `own` is an address of ours; None asks without taking one (RFC 5227 2.1.1, RFC 4862 5.4.2)."""
        ...

    def announce(self, address: Address) -> None:
        """We have it: in the forms that others replace what they knew by (RFC 5227 3, RFC 4861 7.2.6)."""
        ...

    def heard(self) -> Iterator[Heard]:
        """What others have said since."""
        ...


def link(name: str, mac: bytes, version: int) -> Link:
    """The interface with this name and hardware address. Raises OSError."""
    return Arp(name, mac) if version == 4 else Discovery(name, mac)


class Arp:
    """RFC 826, RFC 5227."""

    def __init__(self, name: str, mac: bytes) -> None:
        self._name, self._mac = name, mac
        self._socket = _packets(name, arp.ETHERTYPE)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def ask(self, address: Address, own: Address | None) -> None:
        self._send(arp.REQUEST, own or IPv4Address(0), arp.NOBODY, address)

    def announce(self, address: Address) -> None:
        # The request form is what routers take; some take the reply form only.
        self._send(arp.REQUEST, address, arp.NOBODY, address)
        self._send(arp.REPLY, address, self._mac, address)

    def heard(self) -> Iterator[Heard]:
        for data, _ in _read(self._socket):
            said = arp.read(data)
            if said is not None and said.mac != self._mac:
                yield Heard(said.mac, said.sender, said.target if said.operation == arp.REQUEST else None)

    def _send(self, operation: int, sender: Address, target_mac: bytes, target: Address) -> None:
        body = arp.pack(operation, self._mac, IPv4Address(sender), target_mac, IPv4Address(target))
        _send(self._socket, body, (self._name, arp.ETHERTYPE, 0, 0, arp.EVERYBODY))


class Discovery:
    """RFC 4861, for IPv6."""

    def __init__(self, name: str, mac: bytes) -> None:
        self._name, self._mac = name, mac
        self._socket = _packets(name, ip.ETHERTYPE[6])
        try:
            bpf.only(self._socket, {6: bytes((ip.ICMPV6,))})
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def ask(self, address: Address, own: Address | None) -> None:
        to = IPv6Address(_SOLICITED_NODE + address.packed[-3:])
        option = self._option(_SOURCE_LINK) if own is not None else b""
        self._send(own or IPv6Address(0), to, _SOLICITATION, bytes(4) + address.packed + option)

    def announce(self, address: Address) -> None:
        body = struct.pack("!I", _OVERRIDE) + address.packed + self._option(_TARGET_LINK)
        self._send(address, _ALL_NODES, _ADVERTISEMENT, body)

    def heard(self) -> Iterator[Heard]:
        for said, mac in _read(self._socket):
            packet = ip.read(said)
            # Who is farther away than the link cannot have sent it with this hop limit (RFC 4861 7.1).
            if packet is None or packet.hops != ip.FAR or len(packet.payload) < 24 or mac == self._mac:
                continue
            target = IPv6Address(packet.payload[8:24])
            if packet.payload[0] == _ADVERTISEMENT:
                yield Heard(mac, target, None)
            elif packet.payload[0] == _SOLICITATION:
                yield Heard(mac, None, target)

    def _option(self, kind: int) -> bytes:
        return bytes((kind, 1)) + self._mac

    def _send(self, source: Address, to: IPv6Address, kind: int, body: bytes) -> None:
        message = struct.pack("!BBH", kind, 0, 0) + body
        pseudo = ip.pseudo_header(source, to, ip.ICMPV6, len(message))
        message = message[:2] + struct.pack("!H", ip.checksum(pseudo + message)) + message[4:]
        frame_to = b"\x33\x33" + to.packed[-4:]
        packet = ip.packet(source, to, ip.ICMPV6, message)
        _send(self._socket, packet, (self._name, ip.ETHERTYPE[6], 0, 0, frame_to))


class Segments:
    """TCP segments of `remote`, whether or not the kernel has the address that they are for.

    Opened beforehand: that takes 20 ms (measured), which a takeover has not. Raises OSError.
    """

    def __init__(self, name: str, remote: Address) -> None:
        protocol, source = (9, 12) if remote.version == 4 else (6, 8)
        self._wanted = {protocol: bytes((ip.TCP,)), source: remote.packed}
        self._socket = _packets(name, ip.ETHERTYPE[remote.version])
        bpf.nothing(self._socket)

    def close(self) -> None:
        self._socket.close()

    @contextmanager
    def heard(self) -> Iterator[socket.socket]:
        """Gives those that come in meanwhile, with their IP header. Raises OSError."""
        bpf.only(self._socket, self._wanted)
        try:
            yield self._socket
        finally:
            bpf.nothing(self._socket)


def _packets(name: str, kind: int) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
    try:
        sock.bind((name, kind))
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _read(sock: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Each packet with the hardware address it is from."""
    while True:
        try:
            data, sender = sock.recvfrom(2048)
        except OSError:
            return
        yield data, sender[4]


def _send(sock: socket.socket, data: bytes, to: tuple[str, int, int, int, bytes]) -> None:
    try:
        sock.sendto(data, to)
    except OSError:
        return  # the interface is down; the link says nothing then
