"""Does traffic flow, and over whom: a TCP service on the nodes and a client that counts who answered.

`Banner` says the name of its host to whoever connects and hangs up, as an SSH server's first line would.
`flows()` opens connections one after another, each from a port of its own: a router that spreads flows by the
hash of addresses and ports sends them over all its next hops.
"""

import selectors
import socket
import threading
import time
from collections import Counter

from tests.lab.netns import Host

NOBODY = "nobody"
"""What `flows` counts a connection under that was refused or not answered in time."""


class Banner:
    """A TCP service on one address of a host. Answers every connection with the host's name."""

    def __init__(self, host: Host, address: str, port: int) -> None:
        self._name = host.name.encode()
        family = 6 if ":" in address else 4
        self._listener = host.socket(family)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((address, port))
        self._listener.listen(512)
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name=f"banner-{host.name}", daemon=True)
        self._thread.start()
        host.lab.on_close(self.close)

    def close(self) -> None:
        """Stop answering. Safe to call twice."""
        if self._thread.is_alive():
            self._wake.send(b"x")
            self._thread.join()
        self._listener.close()
        self._wake.close()
        self._woken.close()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while all(key.fileobj is not self._woken for key, _ in selector.select()):
                connection, _ = self._listener.accept()
                with connection:
                    connection.sendall(self._name)


def ask(client: Host, address: str, port: int, timeout: float = 1.0) -> str:
    """Open one connection from `client`, and return the name of the host that answered, or NOBODY."""
    with client.socket(6 if ":" in address else 4) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect((address, port))
            return connection.recv(64).decode() or NOBODY
        except OSError:  # refused, unreachable or silent: for a client all of these are "no service"
            return NOBODY


def flows(client: Host, address: str, port: int, count: int, timeout: float = 1.0) -> Counter[str]:
    """Open `count` connections one after another; how many were answered by whom."""
    return client.inside(lambda: Counter(_ask_here(address, port, timeout) for _ in range(count)))


def _ask_here(address: str, port: int, timeout: float) -> str:
    try:
        with socket.create_connection((address, port), timeout) as connection:
            return connection.recv(64).decode() or NOBODY
    except OSError:  # as in `ask`
        return NOBODY


class Traffic:
    """A client that keeps connecting until stopped: what a user of the service would notice."""

    def __init__(self, client: Host, address: str, port: int, every: float = 0.01) -> None:
        self.answers: Counter[str] = Counter()
        self.first: dict[str, float] = {}
        """When each host first answered, time.monotonic()."""
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=client.inside, args=(self._ask_on, address, port, every), name="traffic", daemon=True
        )
        self._thread.start()
        client.lab.on_close(self.stop)

    def _ask_on(self, address: str, port: int, every: float) -> None:
        while not self._stop.wait(every):
            answer = _ask_here(address, port, 1.0)
            self.answers[answer] += 1
            self.first.setdefault(answer, time.monotonic())

    def stop(self) -> Counter[str]:
        """Stop connecting; how many connections were answered by whom."""
        self._stop.set()
        self._thread.join()
        return self.answers
