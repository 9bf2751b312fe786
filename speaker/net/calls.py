"""Whose calls reach this host, also those that the kernel throws away before anybody sees them?

A call with a wrong TCP MD5 signature, or one that a firewall of this host drops, leaves nothing but a counter. A packet
socket has its first segment before either of them, and says whose it is and whether it is signed. What the filter in
the kernel lets through is a packet a call; of more than MOST between two looks the rest is dropped unseen.
"""

import socket
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from speaker.net import bpf, ip
from speaker.net.sockets import Address

MOST: Final = 512
"""Calls that are read at a look, of each family: a millisecond or two."""

_SO_TIMESTAMP: Final = 29
_TIME: Final = struct.Struct("@ll")
_HEADERS: Final = 100
"""Octets: an IPv6 header and the longest of TCP."""
_MD5 = 19


@dataclass(frozen=True, slots=True)
class Call:
    """The first segment of a connection to us.

    at      wall clock, seconds
    signed  whether it has a TCP MD5 signature (RFC 2385), right or wrong
    """

    at: float
    caller: Address
    to: Address
    port: int
    signed: bool


class Calls:
    """Sees the calls for these ports. To close it takes 50 ms (measured). Raises OSError without CAP_NET_RAW."""

    def __init__(self, ports: Collection[int]) -> None:
        self._sockets: dict[int, socket.socket] = {}
        try:
            for version, kind in ip.ETHERTYPE.items():
                self._sockets[version] = _packets(version, kind, ports)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """No more."""
        for sock in self._sockets.values():
            sock.close()

    def read(self) -> Iterator[Call]:
        """Those that came since the last look."""
        for version, sock in self._sockets.items():
            for _ in range(MOST):
                try:
                    packet, told, _, _ = sock.recvmsg(_HEADERS, 64, socket.MSG_DONTWAIT)
                except OSError:  # EAGAIN: all is read. ENETDOWN is told once when a link goes down
                    break
                times = [_TIME.unpack(data) for _, kind, data in told if kind == _SO_TIMESTAMP]
                if times and (call := call_in(packet, version, times[0][0] + times[0][1] / 1e6)) is not None:
                    yield call


def call_in(packet: bytes, version: int, at: float) -> Call | None:
    """The call that a packet begins; None where it is too short to tell. It has passed the filter."""
    header = 20 if version == 4 else 40
    if len(packet) < header + 20:
        return None
    addresses = (packet[12:16], packet[16:20]) if version == 4 else (packet[8:24], packet[24:40])
    caller, to = map(ip_address, addresses)
    port = int.from_bytes(packet[header + 2 : header + 4], "big")
    options = packet[header + 20 : header + 4 * (packet[header + 12] >> 4)]
    return Call(at, caller, to, port, any(kind == _MD5 for kind, _ in ip.tcp_options(options)))


def _packets(version: int, kind: int, ports: Collection[int]) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, socket.htons(kind))
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMP, 1)
        bpf.first_segments(sock, version, ports, _HEADERS)
    except OSError:
        sock.close()
        raise
    return sock
