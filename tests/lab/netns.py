"""Where do the lab's machines live: a network namespace each, on one bridge, gone when the lab closes.

    switch (bridge "lan")
      ├── eth0 of every host added with `lan=...`
    `Lab.link()` adds a wire between two hosts, off the bridge (a client behind the router).

Rules: every name carries this process's id, so that labs side by side do not collide. Only processes started
through a `Lab` are killed, by their id. IPv6 duplicate address detection is off (an address could not be
bound to for a second otherwise), and so are router solicitations.
"""

import ctypes
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

QUIET = ("accept_dad", "router_solicitations")
"""Settings of IPv6 that only cost a test time."""

CLONE_NEWNET = 0x40000000
"""setns(2): the file descriptor is that of a network namespace."""

_libc = ctypes.CDLL(None, use_errno=True)
_labs = itertools.count(1)
_logs = itertools.count(1)


class CommandFailed(RuntimeError):
    """A command of the lab's own ended with an error. The text holds the command and what it printed."""


def run(command: Sequence[str], *, stdin: str | None = None, check: bool = True, timeout: float = 30) -> str:
    """Run a command to its end and return what it printed on stdout. Raises CommandFailed."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode != 0:
        said = f"{done.stdout}{done.stderr}{stdin or ''}"
        raise CommandFailed(f"{' '.join(command)}: exit {done.returncode}\n{said}")
    return done.stdout


class Process:
    """A process that runs for a while in a host, its output in a file."""

    def __init__(self, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.popen = popen
        self.log = log

    @property
    def pid(self) -> int:
        return self.popen.pid

    def alive(self) -> bool:
        return self.popen.poll() is None

    def output(self) -> str:
        """All it wrote to stdout and stderr so far."""
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        if self.alive():
            self.popen.send_signal(number)

    def wait(self, timeout: float) -> int:
        """Its exit status. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        return self.popen.wait(timeout)

    def kill(self) -> None:
        """End it and the children in its session now, as a crash would: no goodbye."""
        if self.alive():
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait(10)

    def terminate(self, timeout: float = 5) -> None:
        """Ask it to end, and end it after `timeout` seconds."""
        if self.alive():
            self.popen.terminate()
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()


class Host:
    """One machine of the lab: a namespace with eth0 on the bridge."""

    def __init__(self, lab: "Lab", name: str, namespace: str, addresses: tuple[str, ...]) -> None:
        self.lab = lab
        self.name = name
        self.namespace = namespace
        self.addresses = addresses
        """Its addresses on the bridge, without prefix length, in the order given."""
        self.folder = lab.folder / name
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o777)  # daemons write here under users of their own
        self._link_local: str | None = None

    @property
    def v4(self) -> str:
        return next(a for a in self.addresses if ":" not in a)

    @property
    def v6(self) -> str:
        return next(a for a in self.addresses if ":" in a)

    def address(self, family: int) -> str:
        """Its address of family 4 or 6 on the bridge."""
        return self.v6 if family == 6 else self.v4

    def link_local(self) -> str | None:
        """Its IPv6 link-local address on the bridge, which the kernel makes of the card's own."""
        if self._link_local is None:
            shown = self.ip_json("-6", "addr", "show", "dev", "eth0", "scope", "link")
            found = [one["local"] for entry in shown for one in entry.get("addr_info", []) if "local" in one]
            self._link_local = found[0] if found else None
        return self._link_local

    def ip(self, *lines: str) -> None:
        """Run lines of `ip` in this namespace, all in one process."""
        run(["ip", "-n", self.namespace, "-batch", "-"], stdin="\n".join(lines) + "\n")

    def ip_json(self, *arguments: str) -> list[dict[str, Any]]:
        """What `ip -j` prints here, decoded."""
        family = ["-6"] if any(":" in argument for argument in arguments) else []
        text = run(["ip", "-j", "-n", self.namespace, *family, *arguments])
        decoded: list[dict[str, Any]] = json.loads(text or "[]")
        return decoded

    def run(self, *command: str, check: bool = True, timeout: float = 30) -> str:
        """Run a command here to its end, and return its stdout."""
        return run(["ip", "netns", "exec", self.namespace, *command], check=check, timeout=timeout)

    def start(self, *command: str, log: str, env: dict[str, str] | None = None) -> Process:
        """Start a command here that keeps running; its output goes to a file of this name, numbered."""
        path = self.folder / f"{next(_logs)}-{log}"
        with path.open("wb") as out:
            popen = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,  # Ctrl-C is for the lab, which then ends these itself, children and all
            )
        process = Process(popen, path)
        self.lab.processes.append(process)
        return process

    def sysctl(self, **values: int) -> None:
        """Set kernel settings of this namespace; `__` stands for the dot: `net__ipv4__ip_forward=1`."""
        for key, value in values.items():
            self.inside(Path("/proc/sys", key.replace("__", "/")).write_text, str(value))

    def inside(self, function: Callable[..., T], *arguments: object) -> T:
        """Call `function` in a thread that is in this namespace. A socket made there stays in it."""
        result: list[T] = []
        errors: list[BaseException] = []

        def body() -> None:
            try:
                with open(f"/run/netns/{self.namespace}") as handle:
                    if _libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), f"setns {self.namespace}")
                result.append(function(*arguments))
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=body, name=f"in-{self.name}")
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return result[0]

    def socket(self, family: int = 4, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """An unbound socket of this namespace, of family 4 or 6."""
        return self.inside(socket.socket, socket.AF_INET6 if family == 6 else socket.AF_INET, kind)

    def forward(self) -> None:
        """Make it a router: packets pass, and flows (not only address pairs) spread over equal next hops."""
        self.sysctl(
            net__ipv4__ip_forward=1,
            net__ipv6__conf__all__forwarding=1,
            net__ipv4__fib_multipath_hash_policy=1,
            net__ipv6__fib_multipath_hash_policy=1,
        )

    def add_service_address(self, address: str) -> None:
        """Put a service address on lo, as kube-proxy's rules would: the host answers to it."""
        self.ip(f"addr replace {_host_prefix(address)} dev lo" + (" nodad" if ":" in address else ""))

    def route(self, prefix: str) -> list[str]:
        """The next hops that the kernel has for exactly this prefix, sorted; empty = no route.

        A link-local next hop (RFC 2545 section 3: FRR and BIRD prefer it) is told as its host's own address.
        """
        hops: set[str] = set()
        for entry in self.ip_json("route", "show", "exact", prefix):
            for hop in entry.get("nexthops", [entry]):
                via = hop.get("gateway") or (hop.get("via") or {}).get("host")
                if via:
                    hops.add(self.lab.global_of(via))
        return sorted(hops)

    def show_route(self, prefix: str) -> str:
        """The same as `ip route` prints it, for people."""
        family = ["-6"] if ":" in prefix else []
        return run(["ip", "-n", self.namespace, *family, "route", "show", "exact", prefix]).rstrip()

    def unplug(self) -> None:
        """Pull its cable: the bridge's end goes down, and the host's own addresses and routes stay."""
        self.lab.set_port(self, "down")

    def plug(self) -> None:
        """Put its cable back."""
        self.lab.set_port(self, "up")


class Lab:
    """All the hosts of one test, and their end.

    >>> with Lab() as lab:
    ...     router = lab.host("router", "192.168.3.1/24", "fd00:3::1/64")
    """

    def __init__(self) -> None:
        self._prefix = f"op{os.getpid()}x{next(_labs)}"
        self._hosts: dict[str, Host] = {}
        self._namespaces: list[str] = []
        self._closers: list[Callable[[], object]] = []
        self.processes: list[Process] = []
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self._prefix}-"))
        self.folder.chmod(0o755)
        self.switch = f"{self._prefix}-switch"
        """The namespace of the bridge."""

    def __enter__(self) -> Self:
        try:
            self._add_namespace(self.switch)
            run(
                ["ip", "-n", self.switch, "-batch", "-"],
                stdin="link add lan type bridge forward_delay 0 mcast_snooping 0\nlink set lan up\n",
            )
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def close(self) -> None:
        """End every process that the lab started, and remove its namespaces and files. Safe to call twice."""
        for closer in reversed(self._closers):
            closer()
        self._closers.clear()
        for process in self.processes:
            if process.alive():
                os.killpg(process.pid, signal.SIGKILL)
        for process in self.processes:
            process.popen.wait(10)
        self.processes.clear()
        for namespace in reversed(self._namespaces):
            run(["ip", "netns", "del", namespace], check=False)
        self._namespaces.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def on_close(self, closer: Callable[[], object]) -> None:
        """Have `closer` called when the lab closes, before its processes are ended."""
        self._closers.append(closer)

    def host(self, name: str, *addresses: str, gateways: Iterable[str] = ()) -> Host:
        """Add a host with these addresses (each with its prefix length) on the bridge.

        `gateways`: its default routes, one for each family wanted.
        """
        namespace = f"{self._prefix}-{name}"
        self._add_namespace(namespace)
        host = Host(self, name, namespace, tuple(address.partition("/")[0] for address in addresses))
        self._hosts[name] = host
        port = f"p{len(self._hosts)}"
        run(
            ["ip", "-n", self.switch, "-batch", "-"],
            stdin=f"link add {port} type veth peer name eth0 netns {namespace}\nlink set {port} master lan up\n",
        )
        self._configure(host, "eth0", addresses)
        host.ip(*(f"route add default via {gateway}" for gateway in gateways))
        return host

    def port(self, host: Host) -> str:
        """The bridge's end of a host's cable."""
        return f"p{list(self._hosts.values()).index(host) + 1}"

    def set_port(self, host: Host, state: str) -> None:
        """Take the bridge's end of a host's cable `up` or `down`."""
        run(["ip", "-n", self.switch, "link", "set", self.port(host), state])

    def global_of(self, address: str) -> str:
        """The IPv6 address of the host that has this link-local one on the bridge; any other as it is."""
        if not address.startswith("fe80:"):
            return address
        for host in self._hosts.values():
            if address == host.link_local():
                return host.v6
        return address

    def link(self, one: Host, one_addresses: Sequence[str], two: Host, two_addresses: Sequence[str]) -> None:
        """A wire between two hosts, off the bridge: device `to-<other's name>` at each end."""
        run(
            ["ip", "-n", one.namespace, "-batch", "-"],
            stdin=f"link add to-{two.name} type veth peer name to-{one.name} netns {two.namespace}\n",
        )
        self._configure(one, f"to-{two.name}", one_addresses)
        self._configure(two, f"to-{one.name}", two_addresses)

    def _configure(self, host: Host, device: str, addresses: Iterable[str]) -> None:
        nodad = {True: " nodad", False: ""}
        host.ip(
            f"link set {device} up",
            *(f"addr add {address} dev {device}{nodad[':' in address]}" for address in addresses),
        )

    def _add_namespace(self, namespace: str) -> None:
        run(["ip", "netns", "add", namespace])
        self._namespaces.append(namespace)
        run(["ip", "-n", namespace, "link", "set", "lo", "up"])
        quiet = "; ".join(f"echo 0 >/proc/sys/net/ipv6/conf/default/{key}" for key in QUIET)
        run(["ip", "netns", "exec", namespace, "sh", "-c", quiet])


def _host_prefix(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"
