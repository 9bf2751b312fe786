"""Do packets get through? A thousand numbered datagrams a second from the client, over the router, to the nodes.

Many flows (source ports) send in turn, so that a router which hashes addresses and ports uses every next hop. Every
datagram says its flow and its number; who it came to is noted with them, so that what was lost can be told by the node
that the flow went to before.
"""

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.lab import Host
from tests.modes.traffic import RCVBUFFORCE

PORT = 8090
FLOWS = 64
RATE = 1000
TICK = 0.01
"""Seconds between two bursts: RATE * TICK datagrams each."""
LAST = 0.3
"""Seconds that the last datagrams may take."""
_FORM = struct.Struct("!HI")


@dataclass(frozen=True, slots=True)
class Loss:
    """What did not arrive, of `sent`. `by_node` is by the node that its flow had gone to last before."""

    sent: int
    by_node: Counter[str]

    @property
    def lost(self) -> int:
        """Datagrams, of all flows."""
        return self.by_node.total()

    def beside(self, *nodes: str) -> int:
        """Datagrams of flows that went to other nodes than these."""
        return self.lost - sum(self.by_node[node] for node in nodes)


class Receivers:
    """A socket on each node, and one thread that reads them all."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.arrived: dict[int, dict[int, str]] = {}
        """For each flow: the node, by the datagram's number."""
        self._selector = selectors.DefaultSelector()
        self._sockets = []
        self._wake, woken = socket.socketpair()
        self._selector.register(woken, selectors.EVENT_READ, "")
        for host in hosts:
            receiver = host.socket(4, socket.SOCK_DGRAM)
            receiver.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, 16 << 20)
            receiver.bind(("0.0.0.0", PORT))
            receiver.setblocking(False)
            self._selector.register(receiver, selectors.EVENT_READ, host.name)
            self._sockets.append(receiver)
        self._sockets.append(woken)
        self._thread = threading.Thread(target=self._read, name="receivers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._wake.send(b"x")
        self._thread.join()
        self._selector.close()
        for one in (self._wake, *self._sockets):
            one.close()

    def _read(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if not key.data:
                    return
                self._take(key.fileobj, key.data)  # type: ignore[arg-type]

    def _take(self, receiver: socket.socket, node: str) -> None:
        try:
            while True:
                flow, number = _FORM.unpack(receiver.recv(64))
                self.arrived.setdefault(flow, {})[number] = node
        except BlockingIOError:
            return


class Stream:
    """Sends from now on until `stop`."""

    def __init__(self, client: Host, receivers: Receivers, address: str) -> None:
        self._receivers = receivers
        receivers.arrived.clear()
        self._sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=client.inside, args=(self._send, address), name="stream", daemon=True)
        self._thread.start()

    def stop(self) -> Loss:
        """No more; what was lost."""
        self._stop.set()
        self._thread.join()
        time.sleep(LAST)
        return _loss(self._sent, {flow: dict(seen) for flow, seen in self._receivers.arrived.items()})

    def nodes(self) -> set[str]:
        """The nodes that have had a datagram so far."""
        return {node for seen in list(self._receivers.arrived.values()) for node in list(seen.values())}

    def _send(self, address: str) -> None:
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(FLOWS)]
        for one in sockets:
            one.connect((address, PORT))
        begun = time.monotonic()
        while not self._stop.wait(TICK):
            due = int((time.monotonic() - begun) * RATE)
            for number in range(self._sent, due):
                flow = number % FLOWS
                with contextlib.suppress(
                    OSError
                ):  # an ICMP error of an earlier one, told here; this one counts as lost
                    sockets[flow].send(_FORM.pack(flow, number // FLOWS))
            self._sent = due
        for one in sockets:
            one.close()


def _loss(sent: int, arrived: dict[int, dict[int, str]]) -> Loss:
    lost: Counter[str] = Counter()
    for flow in range(FLOWS):
        seen = arrived.get(flow, {})
        last = "nobody"
        for number in range((sent - flow + FLOWS - 1) // FLOWS):
            if number in seen:
                last = seen[number]
            else:
                lost[last] += 1
    return Loss(sent, lost)
