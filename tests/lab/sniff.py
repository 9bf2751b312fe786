"""When did a host first dial: its packets, seen on its own interface."""

import socket
import struct
import threading
import time

from tests.lab.netns import Host

ETH_P_ALL = 0x0003
PROTOCOL_TCP = 6
SYN, ACK = 0x02, 0x10


class FirstDial:
    """The moment of the first TCP SYN that leaves a host for a port, IPv4."""

    def __init__(self, host: Host, port: int) -> None:
        self._port = port
        self._raw = host.inside(socket.socket, socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self._raw.settimeout(0.2)
        self._stop = threading.Event()
        self.at: float | None = None
        """time.monotonic() of it; None = not yet."""
        self._thread = threading.Thread(target=self._watch, name="first-dial", daemon=True)
        self._thread.start()
        host.lab.on_close(self.close)

    def close(self) -> None:
        """Stop looking. Safe to call twice."""
        self._stop.set()
        self._thread.join()
        self._raw.close()

    def _watch(self) -> None:
        while self.at is None and not self._stop.is_set():
            try:
                packet = self._raw.recv(256)
            except TimeoutError:
                continue
            if self._is_dial(packet):
                self.at = time.monotonic()

    def _is_dial(self, packet: bytes) -> bool:
        """Whether this IPv4 packet (RFC 791) is a TCP SYN without ACK (RFC 9293) to the port."""
        if len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != PROTOCOL_TCP:
            return False
        tcp = packet[(packet[0] & 0x0F) * 4 :]
        port: int = struct.unpack_from("!H", tcp, 2)[0]
        return port == self._port and tcp[13] & (SYN | ACK) == SYN
