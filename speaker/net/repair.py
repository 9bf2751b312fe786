"""How does a TCP connection go on in another process, or on another host? Linux's TCP_REPAIR, and a challenge.

`peek` tells what another host needs to know in advance. A planned handover reads the numbers of the connection at rest
(`numbers`); an unplanned one asks the peer for them: a SYN on an established connection is answered with a challenge
ACK (RFC 5961 4), which has them all (`Challenge`). `rebuild` makes the socket. What the peer has not acknowledged is
the caller's to write again. Needs CAP_NET_ADMIN, the challenge CAP_NET_RAW as well. Measured in docs/failures.md.
"""

import contextlib
import hashlib
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from speaker.net import ip
from speaker.net.sockets import Address, set_password, set_ttl_security

_TCP_MAXSEG, _TCP_INFO = 2, 11
_TCP_REPAIR, _QUEUE, _QUEUE_SEQ, _OPTIONS, _TIMESTAMP = 19, 20, 21, 22, 24
_NO_QUEUE, _RECEIVE, _SEND = 0, 1, 2
_WINDOW = 29
_WINDOW_FORM = struct.Struct("IIIII")  # from which octet, the peer's window, the largest so far, ours, from which octet
_ON = 1
_OFF_WITHOUT_PROBE = -1
_OPT_MSS, _OPT_WINDOW, _OPT_SACK, _OPT_TIMESTAMP, _OPT_MD5 = 2, 3, 4, 8, 19
_HAS_TIMESTAMPS, _HAS_SACK, _HAS_SCALE = 1, 2, 4
_SO_REUSEPORT = 15
_MODULO: Final = 1 << 32
_TCP_HEADER, _SYN, _RST, _ACK = 20, 0x02, 0x04, 0x10


@dataclass(frozen=True, slots=True)
class Numbers:
    """Where a connection stands. `send` is the first octet that the peer lacks, `receive` the next of the peer's,
    `window` how many octets the peer takes; `stamp` the timestamp (RFC 7323) to go on with, None without that option.
    `unread` came and was not read."""

    send: int
    receive: int
    window: int
    stamp: int | None
    unread: bytes = b""


def peek(sock: socket.socket) -> tuple[int, dict[str, Any]]:
    """The number of the next octet that is written, and the options that `rebuild` wants. Raises OSError."""
    sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, _ON)
    try:
        return _sequence(sock, _SEND), _options(sock)
    finally:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, struct.pack("i", _OFF_WITHOUT_PROBE))


def numbers(sock: socket.socket, unacknowledged: int) -> Numbers:
    """Of a connection that was hushed (sockets.py). `unacknowledged` octets wait in it. Raises OSError."""
    send, receive = _sequence(sock, _SEND), _sequence(sock, _RECEIVE)
    unread = b""
    with contextlib.suppress(BlockingIOError):
        unread = sock.recv(1 << 20, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    stamped = _options(sock)["options"] & _HAS_TIMESTAMPS
    stamp = sock.getsockopt(socket.IPPROTO_TCP, _TIMESTAMP) % _MODULO if stamped else None
    _, window, *_ = _WINDOW_FORM.unpack(sock.getsockopt(socket.IPPROTO_TCP, _WINDOW, _WINDOW_FORM.size))
    return Numbers((send - unacknowledged) % _MODULO, receive, window, stamp, unread)


def rebuild(
    local: tuple[Address, int],
    remote: tuple[Address, int],
    options: Mapping[str, Any],
    where: Numbers,
    password: bytes | None,
    hops: int | None,
) -> socket.socket:
    """The connection, established; `local` is an address of this host. Raises OSError, SocketError."""
    family = socket.AF_INET if local[0].version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, _SO_REUSEPORT, 1)
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, _ON)
        if password is not None:
            set_password(sock, remote[0], password)
        if hops is not None:
            set_ttl_security(sock, local[0], hops)
        sock.bind((str(local[0]), local[1]))
        for queue, number in ((_SEND, where.send), (_RECEIVE, where.receive)):
            sock.setsockopt(socket.IPPROTO_TCP, _QUEUE, queue)
            sock.setsockopt(socket.IPPROTO_TCP, _QUEUE_SEQ, struct.pack("I", number))
        sock.setsockopt(socket.IPPROTO_TCP, _QUEUE, _NO_QUEUE)
        sock.connect((str(remote[0]), remote[1]))
        sock.setsockopt(socket.IPPROTO_TCP, _OPTIONS, _repair_options(options))
        if where.stamp is not None:
            sock.setsockopt(socket.IPPROTO_TCP, _TIMESTAMP, struct.pack("I", where.stamp))
        _set_window(sock, where)
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, struct.pack("i", _OFF_WITHOUT_PROBE))
    except BaseException:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, _ON)  # so that closing it says nothing
        finally:
            sock.close()
        raise
    return sock


def _set_window(sock: socket.socket, where: Numbers) -> None:
    """The peer's window. Without it the kernel asks the peer, which answers one such question in 500 ms and has just
    answered the challenge: then nothing is sent for 3 s (measured)."""
    *_, ours, _ = _WINDOW_FORM.unpack(sock.getsockopt(socket.IPPROTO_TCP, _WINDOW, _WINDOW_FORM.size))
    form = _WINDOW_FORM.pack(where.receive, where.window, where.window, ours, where.receive)
    sock.setsockopt(socket.IPPROTO_TCP, _WINDOW, form)


def _sequence(sock: socket.socket, queue: int) -> int:
    sock.setsockopt(socket.IPPROTO_TCP, _QUEUE, queue)
    return int(sock.getsockopt(socket.IPPROTO_TCP, _QUEUE_SEQ)) % _MODULO


def _options(sock: socket.socket) -> dict[str, Any]:
    info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 8)
    mss = sock.getsockopt(socket.IPPROTO_TCP, _TCP_MAXSEG)
    return {"mss": mss, "options": info[5], "send_scale": info[6] & 15, "receive_scale": info[6] >> 4}


def _repair_options(options: Mapping[str, Any]) -> bytes:
    pairs = [(_OPT_MSS, options["mss"])]
    if options["options"] & _HAS_SCALE:
        pairs.append((_OPT_WINDOW, options["send_scale"] | options["receive_scale"] << 16))
    if options["options"] & _HAS_SACK:
        pairs.append((_OPT_SACK, 0))
    if options["options"] & _HAS_TIMESTAMPS:
        pairs.append((_OPT_TIMESTAMP, 0))
    return b"".join(struct.pack("II", code, value) for code, value in pairs)


# ---- the challenge


class Challenge:
    """A SYN from a connection's own end, and the answer. `scale` is that of the peer's windows (RFC 7323)."""

    def __init__(
        self, local: tuple[Address, int], remote: tuple[Address, int], password: bytes | None, scale: int
    ) -> None:
        self._local, self._remote, self._password, self._scale = local, remote, password, scale
        self._ports = struct.pack("!HH", local[1], remote[1])

    def packet(self) -> bytes:
        """The SYN with its IP header, for a raw socket."""
        options = bytes((_OPT_MD5, 18)) + b"\0" * 16 + b"\1\1" if self._password is not None else b""
        size = _TCP_HEADER + len(options)
        head = self._ports + struct.pack("!IIBBHHH", 0, 0, size // 4 << 4, _SYN, 1024, 0, 0)
        ends = self._local[0], self._remote[0]
        pseudo = ip.pseudo_header(*ends, ip.TCP, size)
        if self._password is not None:
            # RFC 2385 2: pseudo-header, header without options and with checksum 0, data, key.
            digest = hashlib.md5(pseudo + head + self._password, usedforsecurity=False).digest()
            options = options[:2] + digest + options[18:]
        checksum = struct.pack("!H", ip.checksum(pseudo + head + options))
        return ip.packet(*ends, ip.TCP, head[:16] + checksum + head[18:] + options)

    def read(self, packet: bytes) -> Numbers | None:
        """The numbers, where this IP packet is the answer. Raises ConnectionResetError where the peer knows of no such
        connection."""
        said = ip.read(packet)
        if said is None or said.protocol != ip.TCP or len(said.payload) < _TCP_HEADER:
            return None
        tcp = said.payload
        if (said.source, said.to) != (self._remote[0].packed, self._local[0].packed):
            return None
        if tcp[:4] != self._ports[2:] + self._ports[:2]:
            return None
        sequence, acknowledged = struct.unpack("!II", tcp[4:12])
        flags = tcp[13]
        if flags & _RST:
            raise ConnectionResetError("the router knows of no such connection")
        if flags & _SYN and flags & _ACK:
            raise ConnectionResetError("the router began a new connection")
        if not flags & _ACK:
            return None
        if len(tcp) > (tcp[12] >> 4) * 4:
            return None  # data, perhaps sent again: its number may be one that was acknowledged long ago
        window = int.from_bytes(tcp[14:16], "big") << self._scale
        return Numbers(acknowledged, sequence, window, _stamp(tcp[_TCP_HEADER:]))


def _stamp(options: bytes) -> int | None:
    """What to go on with: past what the peer has seen of ours (its echo)."""
    for kind, value in ip.tcp_options(options):
        if kind == _OPT_TIMESTAMP:
            return (int.from_bytes(value[4:8], "big") + 1) % _MODULO
    return None
