"""What does a router hear of a process that is killed? Nothing, where the host's kernel drops its FIN and RST.

The kernel closes the connections of a process that ends, and the router would drop the session and its routes before
another replica could go on with it. So while another one can, a rule of nf_tables drops what would end the session:
one table for each connection, by the connection's local address, which goes with it. Needs CAP_NET_ADMIN.

The messages are netlink's own (linux/netfilter/nf_tables.h): the host need not have nft(8), nor the image.
"""

import os
import socket
import struct
from collections.abc import Sequence
from typing import Final

from speaker.net.sockets import Address

_NETLINK_NETFILTER = 12
_SUBSYSTEM = 10 << 8
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE = 0, 2, 3, 6
_REQUEST, _ACK, _CREATE = 0x1, 0x4, 0x400
_NESTED = 0x8000
_ERROR = 2
_OUTPUT, _PRIORITY = 3, 0
_REGISTER, _VERDICT = 1, 0
_NETWORK, _TRANSPORT = 1, 2
_EQUAL, _UNEQUAL = 0, 1
_DROP = 0
_TCP = 6
_FIN_OR_RST = 0x05
_ANSWER: Final = 65536


def keep_quiet(local: tuple[Address, int], remote: tuple[Address, int]) -> None:
    """From now on no FIN or RST of this connection leaves the host, whatever becomes of its process. Raises OSError."""
    speak_again(local[0])
    table = _attribute(1, _name(local[0]))
    hook = _nested(4, _attribute(1, _number(_OUTPUT)), _attribute(2, _number(_PRIORITY)))
    chain = table + _attribute(3, b"output\0") + hook + _attribute(7, b"filter\0")
    rule = table + _attribute(2, b"output\0") + _nested(4, *_expressions(local, remote))
    _send([(_NEW_TABLE, table), (_NEW_CHAIN, chain), (_NEW_RULE, rule)], local[0])


def speak_again(local: Address) -> None:
    """The end of that, also of what an earlier process left. Raises OSError."""
    table = _attribute(1, _name(local))
    # Made where it is not there, so that one that is not is no error.
    _send([(_NEW_TABLE, table), (_DELETE_TABLE, table)], local)


def _name(local: Address) -> bytes:
    return f"onepeer-{local}".encode() + b"\0"


def _expressions(local: tuple[Address, int], remote: tuple[Address, int]) -> list[bytes]:
    ports = struct.pack("!HH", local[1], remote[1])
    flags = bytes((_FIN_OR_RST,))
    verdict = _nested(2, _nested(2, _attribute(1, _number(_DROP))))
    protocol, addresses = (9, 12) if local[0].version == 4 else (6, 8)
    return [
        *_compare(_NETWORK, protocol, bytes((_TCP,))),
        *_compare(_NETWORK, addresses, local[0].packed),
        *_compare(_NETWORK, addresses + len(local[0].packed), remote[0].packed),
        *_compare(_TRANSPORT, 0, ports),
        _load(_TRANSPORT, 13, 1),
        _expression("bitwise", _attribute(1, _number(_REGISTER)), _attribute(2, _number(_REGISTER)),
                    _attribute(3, _number(1)), _nested(4, _attribute(1, flags)), _nested(5, _attribute(1, b"\0"))),
        _expression("cmp", _attribute(1, _number(_REGISTER)), _attribute(2, _number(_UNEQUAL)),
                    _nested(3, _attribute(1, b"\0"))),
        _expression("immediate", _attribute(1, _number(_VERDICT)), verdict),
    ]  # fmt: skip


def _compare(base: int, offset: int, wanted: bytes) -> tuple[bytes, bytes]:
    value = _nested(3, _attribute(1, wanted))
    compared = _expression("cmp", _attribute(1, _number(_REGISTER)), _attribute(2, _number(_EQUAL)), value)
    return _load(base, offset, len(wanted)), compared


def _load(base: int, offset: int, size: int) -> bytes:
    fields = (_REGISTER, base, offset, size)
    return _expression("payload", *(_attribute(at, _number(value)) for at, value in enumerate(fields, 1)))


def _expression(name: str, *data: bytes) -> bytes:
    return _nested(1, _attribute(1, name.encode() + b"\0"), _nested(2, *data))


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _nested(kind: int, *inside: bytes) -> bytes:
    return _attribute(kind | _NESTED, b"".join(inside))


def _send(requests: Sequence[tuple[int, bytes]], local: Address) -> None:
    """All of it or nothing. Raises OSError."""
    family = socket.AF_INET if local.version == 4 else socket.AF_INET6
    batch = [_message(_BATCH_BEGIN, 0, 0, _SUBSYSTEM >> 8, b"", socket.AF_UNSPEC)]
    for number, (kind, body) in enumerate(requests, 1):
        last = _ACK if number == len(requests) else 0
        batch.append(_message(_SUBSYSTEM | kind, _CREATE | last, number, 0, body, family))
    batch.append(_message(_BATCH_END, 0, len(requests) + 1, _SUBSYSTEM >> 8, b"", socket.AF_UNSPEC))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as netlink:
        netlink.settimeout(1.0)
        netlink.sendto(b"".join(batch), (0, 0))
        answer = netlink.recv(_ANSWER)
    _, kind = struct.unpack_from("IH", answer)
    if kind == _ERROR and (code := struct.unpack_from("i", answer, 16)[0]):
        raise OSError(-code, os.strerror(-code))


def _message(kind: int, flags: int, number: int, resource: int, body: bytes, family: int) -> bytes:
    body = struct.pack("!BBH", family, 0, resource) + body
    return struct.pack("IHHII", 16 + len(body), kind, flags | _REQUEST, number, 0) + body
