"""Which packets does a packet socket give? Those that a classic BPF program takes, judged in the kernel (bpf(4)).

Without one, a busy link's packets fill the socket and the one that is waited for is dropped.
"""

import ctypes
import socket
import struct
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

_SO_ATTACH_FILTER = 26
_INSTRUCTION = struct.Struct("=HBBI")
_LOAD: Final = {1: 0x30, 2: 0x28, 4: 0x20}
"""BPF_LD | BPF_ABS, by the size in octets."""
_JUMP_EQUAL, _RETURN, _AND = 0x15, 0x06, 0x54
_TCP, _SYN, _ACK = 6, 0x02, 0x10
_WHOLE: Final = 0x40000


def nothing(sock: socket.socket) -> None:
    """From now on no packet. Raises OSError."""
    _attach(sock, _INSTRUCTION.pack(_RETURN, 0, 0, 0))


def only(sock: socket.socket, wanted: Mapping[int, bytes]) -> None:
    """From now on just packets that have these octets at these offsets; what came before is thrown away.

    Offsets are from where the socket's packets begin. Raises OSError.
    """
    parts = ((at + i, part) for at, octets in wanted.items() for i, part in _parts(octets))
    tests = [_Test(len(part), at, (1 << 8 * len(part)) - 1, (int.from_bytes(part, "big"),)) for at, part in parts]
    _take(sock, tests, _WHOLE)


def first_segments(sock: socket.socket, version: int, ports: Collection[int], most: int) -> None:
    """From now on just TCP's first segments (SYN without ACK) for these ports, `most` octets of each.

    The socket's packets begin with an IP header of this version, and one with options or extensions is left out. Raises
    OSError.
    """
    first, protocol, header = (0x45, 9, 20) if version == 4 else (0x60, 6, 40)
    tests = [_Test(1, 0, 0xF0 if version == 6 else 0xFF, (first,)), _Test(1, protocol, 0xFF, (_TCP,))]
    if version == 4:
        tests.append(_Test(2, 6, 0x1FFF, (0,)))  # not the rest of a fragmented packet
    tests += [_Test(1, header + 13, _SYN | _ACK, (_SYN,)), _Test(2, header + 2, 0xFFFF, tuple(ports))]
    _take(sock, tests, most)


class _Test(NamedTuple):
    """`size` octets at this offset, as far as `mask` goes, are one of `values`."""

    size: int
    at: int
    mask: int
    values: tuple[int, ...]


def _take(sock: socket.socket, tests: Sequence[_Test], most: int) -> None:
    """From now on `most` octets of the packets that pass all tests; what came before is thrown away."""
    left = sum(2 + len(test.values) for test in tests)
    program = b""
    for size, at, mask, values in tests:
        program += _INSTRUCTION.pack(_LOAD[size], 0, 0, at) + _INSTRUCTION.pack(_AND, 0, 0, mask)
        left -= 2 + len(values)
        for more in range(len(values) - 1, -1, -1):
            no = 0 if more else left + 1
            program += _INSTRUCTION.pack(_JUMP_EQUAL, more, no, values[len(values) - 1 - more])
    _attach(sock, program + _INSTRUCTION.pack(_RETURN, 0, 0, most) + _INSTRUCTION.pack(_RETURN, 0, 0, 0))
    while True:
        try:
            sock.recv(1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return


def _attach(sock: socket.socket, program: bytes) -> None:
    kept = ctypes.create_string_buffer(program)
    count = len(program) // _INSTRUCTION.size
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", count, ctypes.addressof(kept)))


def _parts(octets: bytes) -> list[tuple[int, bytes]]:
    """Loads of four, two and one octets, with their offsets."""
    parts, at = [], 0
    while at < len(octets):
        size = next(size for size in (4, 2, 1) if at + size <= len(octets))
        parts.append((at, octets[at : at + size]))
        at += size
    return parts
