"""Where does a recording happen? In two network namespaces joined by one wire: `daemon` and `peer`.

Their names carry the pid, so that parallel runs do not meet; leaving the `with` block removes them, and ends
every program that was started in them, by its own process id. Needs root.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

CLONE_NEWNET = 0x40000000
HOSTNAME = "golden"
_libc = ctypes.CDLL(None, use_errno=True)


def run(*command: str, check: bool = True) -> str:
    """Run a program to its end and return what it printed; a failure shows what it said."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


@contextlib.contextmanager
def entered(namespace: str) -> Iterator[None]:
    """This thread inside `namespace`: a socket made here stays there."""
    with open("/proc/self/ns/net") as home, open(f"/run/netns/{namespace}") as there:
        _setns(there.fileno())
        try:
            yield
        finally:
            _setns(home.fileno())


def _setns(fd: int) -> None:
    # os.setns() is there from Python 3.12 on only.
    if _libc.setns(fd, CLONE_NEWNET):
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))


class Lab:
    """Namespaces on one wire, and the programs running in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._prefix = f"gold{os.getpid()}"
        self._namespaces: list[str] = []
        self._programs: list[subprocess.Popen[bytes]] = []
        self._bridge = f"{self._prefix}-wire"

    def __enter__(self) -> "Lab":
        run("ip", "netns", "add", self._bridge)
        self._namespaces.append(self._bridge)
        run("ip", "-n", self._bridge, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", self._bridge, "link", "set", "br0", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for program in reversed(self._programs):
            self.stop(program)
        for name in self._namespaces:
            run("ip", "netns", "del", name)

    def namespace(self, role: str, *addresses: str) -> str:
        """A namespace named after its role, with these addresses (with prefix lengths) on its eth0."""
        name = f"{self._prefix}-{role}"
        port = f"p-{role}"[:15]
        run("ip", "netns", "add", name)
        self._namespaces.append(name)
        # Without this the first seconds of a session over IPv6 are spent on duplicate address detection.
        run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        run(
            "ip",
            "-n",
            self._bridge,
            "link",
            "add",
            port,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            name,
        )
        run("ip", "-n", self._bridge, "link", "set", port, "master", "br0", "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        # A fixed MAC makes the link-local address, and with it a recorded next hop, the same every time.
        last = int(addresses[0].split("/")[0].rsplit(".", 1)[-1])
        run("ip", "-n", name, "link", "set", "eth0", "address", f"02:00:00:00:03:{last:02x}", "up")
        for address in addresses:
            run("ip", "-n", name, "address", "add", address, "dev", "eth0")
        return name

    def start(self, namespace: str, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a program in a namespace; its output goes to a log in the lab's folder."""
        name = f"{len(self._programs)}-{Path(command[0]).name}.log"
        # A host name of its own: it travels in OPEN (FQDN capability).
        renamed = ("unshare", "--uts", "sh", "-c", f'hostname {HOSTNAME} && exec "$@"', "-")
        with open(self.folder / name, "wb") as log:
            program = subprocess.Popen(
                ["ip", "netns", "exec", namespace, *renamed, *command],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **environment},
            )
        self._programs.append(program)
        return program

    def stop(self, program: subprocess.Popen[bytes], seconds: float = 10) -> None:
        """SIGTERM, and SIGKILL for what is still there after `seconds`."""
        if program.poll() is None:
            program.send_signal(signal.SIGTERM)
            try:
                program.wait(seconds)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()

    def socket(self, namespace: str, family: socket.AddressFamily) -> socket.socket:
        """A TCP socket of that namespace, for asyncio."""
        with entered(namespace):
            made = socket.socket(family, socket.SOCK_STREAM)
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return made
