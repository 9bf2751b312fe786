"""What is left in the kernel of a process that was killed? Its connections, which try to say goodbye for minutes.

They would stand in the way of a session that comes back to this host, and end it with the FIN that nobody was to hear
(quiet.py). sock_diag(7) takes them away without a word, since nobody owns them. Needs CAP_NET_ADMIN.
"""

import os
import socket
import struct
from collections.abc import Collection, Iterator
from ipaddress import ip_address

from speaker.net.sockets import Address

_NETLINK_SOCK_DIAG = 4
_BY_FAMILY, _DESTROY = 20, 21
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_ALL_STATES = 0xFFFFFFFF ^ (1 << 10)  # but listening
_HEAD = struct.Struct("IHHII")
_ID_AT, _ID_SIZE = 4, 48
_SOURCE_AT = 4  # in the identity, after the two ports


def bury(addresses: Collection[Address]) -> int:
    """Ends all TCP connections from these addresses, which nobody may own; how many there were. Raises OSError."""
    ended = 0
    for family, size in ((socket.AF_INET, 4), (socket.AF_INET6, 16)):
        for answer in list(_ask(family, _BY_FAMILY, _DUMP, bytes(_ID_SIZE))):
            identity = answer[_ID_AT : _ID_AT + _ID_SIZE]
            if ip_address(identity[_SOURCE_AT : _SOURCE_AT + size]) in addresses:
                list(_ask(family, _DESTROY, _ACK, identity))
                ended += 1
    return ended


def _ask(family: int, kind: int, flags: int, identity: bytes) -> Iterator[bytes]:
    body = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, _ALL_STATES) + identity
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(1.0)
        netlink.sendto(_HEAD.pack(_HEAD.size + len(body), kind, flags | _REQUEST, 1, 0) + body, (0, 0))
        while True:
            data = netlink.recv(1 << 17)
            while data:
                size, what, *_ = _HEAD.unpack_from(data)
                if what == _DONE:
                    return
                if what == _ERROR:
                    code = struct.unpack_from("i", data, _HEAD.size)[0]
                    if code:
                        raise OSError(-code, os.strerror(-code))
                    return
                yield data[_HEAD.size : size]
                data = data[(size + 3) & ~3 :]
