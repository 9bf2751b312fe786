"""How are BGP's sockets made? Listeners, connections, TCP MD5 signatures and TTL security.

TCP MD5 (RFC 2385) is per peer address and set on the listening socket, so that the kernel drops a call with a wrong or
missing key before anything of ours sees it. A key is set again on the accepted socket: a call that came in before the
roster had its key must not go on without.
"""

import errno
import os
import socket
import struct
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

Address = IPv4Address | IPv6Address

#: Calls that may wait: a thousand nodes come back at once. Linux cuts it to net.core.somaxconn, 4096 since 5.4.
BACKLOG = 4096

_TCP_MD5SIG = 14
_TCP_REPAIR = 19
_TCP_MD5SIG_MAXKEYLEN = 80
_IP_MINTTL = 21
_IPV6_MINHOPCOUNT = 73
_GTSM_TTL = 255
_SYSTEMS_OWN = -1
_SOCKADDR_STORAGE = 128

#: Counters of /proc/net/netstat that say a segment was dropped for its MD5 signature.
MD5_COUNTERS = {
    "TCPMD5NotFound": "missing",  # a key is set for the caller, and its segment had no signature
    "TCPMD5Unexpected": "unexpected",  # no key is set for the caller, and its segment was signed
    "TCPMD5Failure": "wrong",  # the signature was made with another key
}


class SocketError(Exception):
    """A socket cannot be had as the settings want it: for `what`, `why`, and the `way_out`."""

    def __init__(self, what: str, why: str, way_out: str) -> None:
        super().__init__(f"{what}: {why}; {way_out}")
        self.what = what
        self.why = why
        self.way_out = way_out


def listener(address: Address, port: int) -> socket.socket:
    """A listening socket. Raises SocketError where the address or port is not to be had."""
    sock = _socket(address)
    try:
        # A new replica binds while connections of the old one linger, and beside a dialing socket on the port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((str(address), port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _explained(error, address, port) from None
    return sock


def dialer(local: Address, remote: Address, password: bytes | None, hops: int | None, port: int = 0) -> socket.socket:
    """A socket to call `remote` from, bound to `local`, and to this port where one is given. Raises SocketError."""
    sock = _socket(local)
    try:
        if port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((str(local), port))
        if password is not None:
            set_password(sock, remote, password)
        if hops is not None:
            set_ttl_security(sock, local, hops)
    except OSError as error:
        sock.close()
        raise _explained(error, local, 0) from None
    except SocketError:
        sock.close()
        raise
    return sock


def tune(sock: socket.socket) -> None:
    """What every connection gets. A batch of UPDATEs is one write already, and must not wait for an ACK."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def hush(sock: socket.socket) -> None:
    """From now on nothing is sent on it any more, not even when it is closed. Raises OSError without CAP_NET_ADMIN."""
    sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)


def reset(sock: socket.socket) -> None:
    """Closes at once with a RST, leaving nothing behind: the cheapest refusal, for us and for the caller."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def set_password(sock: socket.socket, peer: Address, password: bytes | None) -> None:
    """Segments of this peer must be signed with this key, or with None not at all (RFC 2385).

    Raises SocketError where the kernel has no TCP MD5 or no room for another key.
    """
    key = password or b""
    if peer.version == 4:
        address = struct.pack("=H2x4s", socket.AF_INET, peer.packed)
    else:
        address = struct.pack("=H2xI16sI", socket.AF_INET6, 0, peer.packed, 0)
    value = address.ljust(_SOCKADDR_STORAGE, b"\0") + struct.pack("=BBHi", 0, 0, len(key), 0)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_MD5SIG, value + key.ljust(_TCP_MD5SIG_MAXKEYLEN, b"\0"))
    except OSError as error:
        if error.errno == errno.ENOENT and password is None:
            return  # there was no key to take away
        if error.errno == errno.ENOMEM:
            way_out = "raise the sysctl net.core.optmem_max, which bounds the keys of one socket"
            raise SocketError(f"the TCP MD5 key of {peer}", "there is no room for it", way_out) from None
        way_out = "use a kernel with CONFIG_TCP_MD5SIG, or take the password_file away"
        raise SocketError(f"the TCP MD5 key of {peer}", reason(error), way_out) from None


def set_ttl_security(sock: socket.socket, local: Address, hops: int) -> None:
    """Send with TTL 255 and drop what has come farther than `hops` hops (RFC 5082)."""
    least = _GTSM_TTL - hops + 1
    set_ttl(sock, local, far=False)
    if local.version == 4:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MINTTL, least)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MINHOPCOUNT, least)


def set_ttl(sock: socket.socket, local: Address, *, far: bool) -> None:
    """Send with the TTL that proves us near (RFC 5082 3), or with the system's own."""
    ttl = _SYSTEMS_OWN if far else _GTSM_TTL
    if local.version == 4:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)


def md5_drops() -> Mapping[str, int]:
    """Segments dropped so far in this network namespace for their MD5 signature, by MD5_COUNTERS' words.

    Empty where the kernel does not count them.
    """
    try:
        lines = Path("/proc/net/netstat").read_text().splitlines()
    except OSError:
        return {}
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        if names.startswith("TcpExt:"):
            found = dict(zip(names.split()[1:], values.split()[1:], strict=True))
            return {word: int(found[name]) for name, word in MD5_COUNTERS.items() if name in found}
    return {}


def _socket(address: Address) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    sock.setblocking(False)
    return sock


def _explained(error: OSError, address: Address, port: int) -> SocketError:
    where = f"{address} port {port}" if port else str(address)
    ways = {
        errno.EADDRINUSE: "another process listens there (ss -ltnp): stop it, or set another port",
        errno.EADDRNOTAVAIL: "no interface of this host has the address (ip address)",
        errno.EACCES: "ports below 1024 want root or CAP_NET_BIND_SERVICE",
    }
    return SocketError(where, reason(error), ways.get(error.errno or 0, "see connect(2) and bind(2) for the reason"))


def reason(error: OSError) -> str:
    """The system's own words. asyncio puts its own into `strerror`."""
    return os.strerror(error.errno).lower() if error.errno else str(error)
