"""Every table that a router's kernel had during a change, not only the first and the last.

`ip monitor route` tells each change as it happens; from these and the table at the start follows what each prefix had
at each moment.
"""

import re
import subprocess
import threading
import time

from tests.lab import Host
from tests.modes.stage import Table, kernel

QUIET = 0.3
"""Seconds without a change after which none is under way."""


class Watch:
    """Follows the IPv4 services in one router's kernel."""

    def __init__(self, host: Host) -> None:
        self.moments: list[tuple[str, frozenset[str]]] = []
        """Each change: the prefix, and its next hops from then on."""
        command = ["ip", "netns", "exec", host.namespace, "ip", "-4", "-o", "monitor", "route"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._last = time.monotonic()
        self._thread = threading.Thread(target=self._read, name="watch", daemon=True)
        self._thread.start()
        self.start: Table = kernel(host)

    def wait(self) -> None:
        """Return once nothing has changed for a while."""
        while time.monotonic() - self._last < QUIET:
            time.sleep(0.05)

    def stop(self) -> None:
        """End it. Safe to call twice."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
        self._thread.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def fewest(self) -> int:
        """The fewest next hops that any prefix had at any moment."""
        return min(len(hops) for hops in [*self.start.values(), *(hops for _, hops in self.moments)])

    def lacked(self) -> dict[str, set[str]]:
        """The next hops that each prefix lacked at some moment, of those that it had at the start."""
        lacked: dict[str, set[str]] = {}
        for prefix, hops in self.moments:
            gone = self.start.get(prefix, frozenset()) - hops
            if gone:
                lacked.setdefault(prefix, set()).update(gone)
        return lacked

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            found = re.match(r"(Deleted )?(?:unicast )?(192\.168\.30\.\d+)\b", line)
            if found:
                self._last = time.monotonic()
                hops = frozenset() if found[1] else frozenset(re.findall(r"via ([\d.]+)", line))
                self.moments.append((f"{found[2]}/32", hops))
