"""Which packets does a packet socket give? Those that a classic BPF program takes, judged in the kernel (bpf(4)).

Without one, a busy link's packets fill the socket and the one that is waited for is dropped.
"""

import ctypes
import socket
import struct
from collections.abc import Collection, Mapping
from typing import Final

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
    compared = [(at + i, part) for at, octets in wanted.items() for i, part in _parts(octets)]
    program = b""
    for number, (at, part) in enumerate(compared):
        program += _INSTRUCTION.pack(_LOAD[len(part)], 0, 0, at)
        to_the_end = 2 * (len(compared) - number) - 1
        program += _INSTRUCTION.pack(_JUMP_EQUAL, 0, to_the_end, int.from_bytes(part, "big"))
    _attach(sock, program + _INSTRUCTION.pack(_RETURN, 0, 0, _WHOLE) + _INSTRUCTION.pack(_RETURN, 0, 0, 0))
    _drain(sock)


def first_segments(sock: socket.socket, version: int, ports: Collection[int], most: int) -> None:
    """From now on just TCP's first segments (SYN without ACK) for these ports, `most` octets of each.

    The socket's packets begin with an IP header of this version, and one with options or extensions is left out. Raises
    OSError.
    """
    first, protocol, header = (0x45, 9, 20) if version == 4 else (0x60, 6, 40)
    tests: list[tuple[int, int, int, tuple[int, ...]]] = [
        (1, 0, 0xF0 if version == 6 else 0xFF, (first,)),
        (1, protocol, 0xFF, (_TCP,)),
    ]
    if version == 4:
        tests.append((2, 6, 0x1FFF, (0,)))  # not the rest of a fragmented packet
    tests += [(1, header + 13, _SYN | _ACK, (_SYN,)), (2, header + 2, 0xFFFF, tuple(ports))]
    left = sum(2 + len(values) for _, _, _, values in tests)
    program = b""
    for size, at, mask, values in tests:
        program += _INSTRUCTION.pack(_LOAD[size], 0, 0, at) + _INSTRUCTION.pack(_AND, 0, 0, mask)
        left -= 2 + len(values)
        for more in range(len(values) - 1, -1, -1):
            no = 0 if more else left + 1
            program += _INSTRUCTION.pack(_JUMP_EQUAL, more, no, values[len(values) - 1 - more])
    _attach(sock, program + _INSTRUCTION.pack(_RETURN, 0, 0, most) + _INSTRUCTION.pack(_RETURN, 0, 0, 0))
    _drain(sock)


def _attach(sock: socket.socket, program: bytes) -> None:
    kept = ctypes.create_string_buffer(program)
    count = len(program) // _INSTRUCTION.size
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", count, ctypes.addressof(kept)))


def _drain(sock: socket.socket) -> None:
    while True:
        try:
            sock.recv(1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return


def _parts(octets: bytes) -> list[tuple[int, bytes]]:
    """Loads of four, two and one octets, with their offsets."""
    parts, at = [], 0
    while at < len(octets):
        size = next(size for size in (4, 2, 1) if at + size <= len(octets))
        parts.append((at, octets[at : at + size]))
        at += size
    return parts
