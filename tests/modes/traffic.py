"""Real flows through the router: 10,000 short ones, and some hundred that stay open through a change.

A flow is one pair of address and port at each end, so a router that hashes addresses and ports (layer 4 policy) gives
each flow one next hop. Nodes do not share connections: a TCP flow that moves to another node is answered by a RST.
"""

import selectors
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.lab import Host

SERVICE_PORT = 8080
RCVBUFFORCE = 33
"""socket(7): a receive buffer above the system's limit."""
FIRST_PORT = 20000
SILENT = 1.0
"""Seconds without an answer after which a flow counts as broken; an answer takes one of milliseconds."""
BEAT = 0.1
"""Seconds between two requests on a flow that stays open."""


class Services:
    """What the nodes answer: UDP is counted, TCP is told the node's name and then hears back what it says."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.datagrams: Counter[str] = Counter()
        """UDP datagrams by the node they came to."""
        self._selector = selectors.DefaultSelector()
        self._connections: dict[str, set[socket.socket]] = {host.name: set() for host in hosts}
        self._wake, woken = socket.socketpair()
        self._selector.register(woken, selectors.EVENT_READ, None)
        for host in hosts:
            for kind, handle in ((socket.SOCK_DGRAM, self._count), (socket.SOCK_STREAM, self._accept)):
                listener = host.socket(4, kind)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if kind == socket.SOCK_DGRAM:
                    listener.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, 16 << 20)
                listener.bind(("0.0.0.0", SERVICE_PORT))
                if kind == socket.SOCK_STREAM:
                    listener.listen(1024)
                listener.setblocking(False)
                self._selector.register(listener, selectors.EVENT_READ, (handle, host.name))
        self._thread = threading.Thread(target=self._serve, name="services", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering. Safe to call twice."""
        if self._thread.is_alive():
            self._wake.send(b"x")
            self._thread.join()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._wake.close()
        self._selector.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                handle, name = key.data
                handle(key.fileobj, name)

    def _count(self, listener: socket.socket, name: str) -> None:
        try:
            while True:
                listener.recv(64)
                self.datagrams[name] += 1
        except BlockingIOError:
            return

    def _accept(self, listener: socket.socket, name: str) -> None:
        connection, _ = listener.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.send(name.encode().ljust(8))
        self._selector.register(connection, selectors.EVENT_READ, (self._echo, name))

    def _echo(self, connection: socket.socket, _: str) -> None:
        try:
            data = connection.recv(4096)
            if data:
                connection.send(data)
                return
        except OSError:  # the client has dropped it
            pass
        self._selector.unregister(connection)
        connection.close()


def short_flows(client: Host, addresses: Sequence[str], count: int) -> None:
    """Send `count` UDP datagrams, each from a port of its own, to these addresses in turn."""

    def send() -> None:
        for number in range(count):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
                flow.bind(("10.99.0.2", FIRST_PORT + number))
                flow.sendto(b"x", (addresses[number % len(addresses)], SERVICE_PORT))

    client.inside(send)


@dataclass(slots=True)
class Flow:
    """One TCP connection that stays open."""

    connection: socket.socket
    address: str
    """The service's."""
    node: str
    """Who answered."""
    asked: float | None = None
    """When it last said something that was not answered yet, time.monotonic()."""
    broken: bool = False


class LongFlows:
    """Clients that keep their connections and use them: who is cut off?"""

    def __init__(self, client: Host, addresses: Sequence[str], count: int) -> None:
        self.flows: list[Flow] = client.inside(_connect, addresses, count)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._use, name="long-flows", daemon=True)
        self._thread.start()

    def __enter__(self) -> "LongFlows":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> list[Flow]:
        """Use every flow once more, give the late ones their time, close all; all flows. Safe to call twice."""
        if self._thread.is_alive():
            self._stop.set()
            self._thread.join()
            for flow in self.flows:
                flow.connection.close()
        return self.flows

    def spread(self) -> Counter[str]:
        """Flows by node."""
        return Counter(flow.node for flow in self.flows)

    def _use(self) -> None:
        with selectors.DefaultSelector() as selector:
            for flow in self.flows:
                selector.register(flow.connection, selectors.EVENT_READ, flow)
            last_round = 0.0
            until: float | None = None
            while until is None or time.monotonic() < until:
                now = time.monotonic()
                if self._stop.is_set() and until is None:
                    until, last_round = now + SILENT, 0.0
                if now - last_round >= BEAT:
                    last_round = now
                    self._say(selector, now)
                for key, _ in selector.select(max(0.0, last_round + BEAT - time.monotonic())):
                    self._hear(selector, key.data)
                if until is not None and all(flow.broken or flow.asked is None for flow in self.flows):
                    return
            for flow in self.flows:
                flow.broken |= flow.asked is not None

    def _say(self, selector: selectors.BaseSelector, now: float) -> None:
        for flow in self.flows:
            if not flow.broken and flow.asked is None:
                self._attempt(selector, flow, lambda flow=flow: flow.connection.send(b"x"))
                flow.asked = now

    def _hear(self, selector: selectors.BaseSelector, flow: Flow) -> None:
        if self._attempt(selector, flow, lambda: flow.connection.recv(64)):
            flow.asked = None
        elif not flow.broken:
            self._drop(selector, flow)

    def _attempt(self, selector: selectors.BaseSelector, flow: Flow, act: Callable[[], object]) -> object:
        try:
            return act()
        except OSError:  # a RST: the packets go to another node now
            self._drop(selector, flow)
            return None

    def _drop(self, selector: selectors.BaseSelector, flow: Flow) -> None:
        flow.broken = True
        selector.unregister(flow.connection)


def _connect(addresses: Sequence[str], count: int) -> list[Flow]:
    flows = []
    for number in range(count):
        address = addresses[number % len(addresses)]
        connection = socket.create_connection((address, SERVICE_PORT), 2)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = connection.recv(8, socket.MSG_WAITALL).decode().strip()
        connection.setblocking(False)
        # RST at close, so that no port waits for the next flows
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        flows.append(Flow(connection, address, name))
    return flows
