"""When did a host first dial, and when first announce: its packets, seen on its own interface."""

import socket
import struct
import threading
import time

from tests.lab.netns import Host

ETH_P_ALL = 0x0003
PROTOCOL_TCP = 6
SYN, ACK = 0x02, 0x10
MARKER = b"\xff" * 16
UPDATE = 2
END_OF_RIB = 23
"""Length of an empty UPDATE, which announces nothing (RFC 4724 section 2)."""


class FirstWords:
    """The moments of a host's first TCP SYN to a port, and of its first announcement there. IPv4."""

    def __init__(self, host: Host, port: int) -> None:
        self._port = port
        self._raw = host.inside(socket.socket, socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self._raw.settimeout(0.2)
        self._stop = threading.Event()
        self.dialled: float | None = None
        """time.monotonic() of its first SYN; None = not yet."""
        self.announced: float | None = None
        """time.monotonic() of its first UPDATE that holds something; None = not yet."""
        self._thread = threading.Thread(target=self._watch, name="first-words", daemon=True)
        self._thread.start()
        host.lab.on_close(self.close)

    def close(self) -> None:
        """Stop looking. Safe to call twice."""
        self._stop.set()
        self._thread.join()
        self._raw.close()

    def _watch(self) -> None:
        while self.announced is None and not self._stop.is_set():
            try:
                segment = self._segment(self._raw.recv(65535))
            except TimeoutError:
                continue
            if segment is None:
                continue
            flags, payload = segment
            if self.dialled is None and flags & (SYN | ACK) == SYN:
                self.dialled = time.monotonic()
            elif _announces(payload):
                self.announced = time.monotonic()

    def _segment(self, packet: bytes) -> tuple[int, bytes] | None:
        """The flags and payload of a TCP segment (RFC 9293) to the port; None for any other packet."""
        if len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != PROTOCOL_TCP:
            return None
        tcp = packet[(packet[0] & 0x0F) * 4 :]
        port: int = struct.unpack_from("!H", tcp, 2)[0]
        return (tcp[13], tcp[(tcp[12] >> 4) * 4 :]) if port == self._port else None


def _announces(payload: bytes) -> bool:
    """Whether whole BGP messages (RFC 4271 section 4.1) in this payload include an UPDATE that holds something."""
    while payload[:16] == MARKER and len(payload) >= 19:
        length: int = struct.unpack_from("!H", payload, 16)[0]
        if payload[18] == UPDATE and length > END_OF_RIB:
            return True
        payload = payload[length:]
    return False
