"""The five reflectors, each configured as its manual asks for a route reflector with nodes that come and go.

The same for all: they listen on port 179 of one address and dial nobody; the nodes are a range where the
daemon has ranges; hold time 90 s; all paths go to the router by ADD-PATH, none to a node; the kernel's
routes are left alone; no log but errors. Where a daemon has a timer or a limit that would make it slow for
no reason of its own, it is set so that it does not, and the comment says which.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .rig import Failed
from .sandbox import SCRATCH, listening

ASN = 64512
REFLECTOR = "10.255.0.1"
ROUTER = "10.255.0.2"
PORT = 179
NODE_RANGE = "10.1.0.0/16"
PREFIX_RANGE = "172.16.0.0/16"
START_SECONDS = 20
ROOT = Path(__file__).resolve().parents[2]


def node_address(index: int) -> str:
    """The address of a node, counted from 0: 10.1.0.1 and on, as in rig.c."""
    number = index + 1
    return f"10.1.{number >> 8}.{number & 255}"


BIRD = f"""
log stderr {{ error, fatal, bug }};
router id {REFLECTOR};
protocol device {{ scan time 3600; }}
# BIRD resolves an internal next hop in its own table: this is the route that the nodes are reached by.
protocol static {{ ipv4; route 10.0.0.0/8 via "lo"; }}
template bgp peers {{
    local {REFLECTOR} port {PORT} as {ASN};
    hold time 90;
    passive;
    # By itself it waits up to 300 s after an error, and 60 the first time.
    error wait time 1, 1;
}}
protocol bgp nodes from peers {{
    neighbor range {NODE_RANGE} as {ASN};
    dynamic name "node";
    rr client;
    ipv4 {{ import all; export none; }};
}}
protocol bgp edge from peers {{
    neighbor {ROUTER} as {ASN};
    ipv4 {{ import none; export where source = RTS_BGP; add paths tx; }};
}}
"""

FRR = f"""
hostname bench
log stdout errors
router bgp {ASN}
 bgp router-id {REFLECTOR}
 bgp listen limit 5000
 neighbor nodes peer-group
 neighbor nodes remote-as {ASN}
 neighbor nodes passive
 neighbor nodes timers 30 90
 neighbor nodes advertisement-interval 0
 bgp listen range {NODE_RANGE} peer-group nodes
 neighbor {ROUTER} remote-as {ASN}
 neighbor {ROUTER} passive
 neighbor {ROUTER} timers 30 90
 neighbor {ROUTER} advertisement-interval 0
 address-family ipv4 unicast
  neighbor nodes route-reflector-client
  neighbor nodes prefix-list none out
  neighbor {ROUTER} addpath-tx-all-paths
ip prefix-list none seq 5 deny any
"""

OPENBGPD = f"""
AS {ASN}
router-id {REFLECTOR}
fib-update no
listen on {REFLECTOR} port {PORT}
socket "{SCRATCH}/bgpd.sock"
group "nodes" {{
    neighbor {NODE_RANGE} {{
        remote-as {ASN}
        route-reflector
        holdtime 90
        export none
    }}
}}
neighbor {ROUTER} {{
    remote-as {ASN}
    passive
    holdtime 90
    announce add-path send all
}}
allow from any
allow to any
"""

GOBGP = f"""
[global.config]
  as = {ASN}
  router-id = "{REFLECTOR}"
  port = {PORT}
  local-address-list = ["{REFLECTOR}"]
[global.apply-policy.config]
  export-policy-list = ["nothing-to-nodes"]
  default-export-policy = "accept-route"
[[defined-sets.neighbor-sets]]
  neighbor-set-name = "nodes"
  neighbor-info-list = ["{NODE_RANGE}"]
[[policy-definitions]]
  name = "nothing-to-nodes"
  [[policy-definitions.statements]]
    [policy-definitions.statements.conditions.match-neighbor-set]
      neighbor-set = "nodes"
    [policy-definitions.statements.actions]
      route-disposition = "reject-route"
[[peer-groups]]
  [peer-groups.config]
    peer-group-name = "nodes"
    peer-as = {ASN}
  [peer-groups.timers.config]
    hold-time = 90
    keepalive-interval = 30
  [peer-groups.route-reflector.config]
    route-reflector-client = true
    route-reflector-cluster-id = "{REFLECTOR}"
  [[peer-groups.afi-safis]]
    [peer-groups.afi-safis.config]
      afi-safi-name = "ipv4-unicast"
[[dynamic-neighbors]]
  [dynamic-neighbors.config]
    prefix = "{NODE_RANGE}"
    peer-group = "nodes"
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{ROUTER}"
    peer-as = {ASN}
  # The router is no client, but only to clients does GoBGP send ORIGINATOR_ID and CLUSTER_LIST (RFC 4456 8).
  [neighbors.route-reflector.config]
    route-reflector-client = true
    route-reflector-cluster-id = "{REFLECTOR}"
  [neighbors.transport.config]
    passive-mode = true
  [neighbors.timers.config]
    hold-time = 90
    keepalive-interval = 30
    # By itself it stays idle for 30 s after a session ends.
    idle-hold-time-after-reset = 1
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv4-unicast"
    [neighbors.afi-safis.add-paths.config]
      send-max = 255
"""

ONEPEER = f"""
asn: {ASN}
listen: {{addresses: [{REFLECTOR}], port: {PORT}}}
routers:
  - {{address: {ROUTER}, connect: passive}}
nodes: {{file: nodes.yaml}}
guard: {{prefixes: [{PREFIX_RANGE}]}}
http: null
control: {{socket: {SCRATCH}/onepeer.sock}}
state_dir: {SCRATCH}/state
log: {{level: warning, format: json}}
"""

# The addresses that the rig dials from a router without ADD-PATH: one for each line.
LINES = ", ".join(f"10.255.{line}.1" for line in range(4))
ONEPEER_LANES = ONEPEER.replace(f"[{REFLECTOR}]", f"[{LINES}]").replace(
    "connect: passive", f"connect: passive, local_addresses: [{LINES}]"
)


@dataclass(frozen=True, slots=True)
class Reflector:
    """One daemon: what to write, what to start, how to ask for its version."""

    name: str
    config: str
    command: Callable[[Path], list[str]]  # given the path of its configuration
    version: Callable[[], str]
    most_nodes: int = 100_000  # how many paths of one prefix it can send at most
    of: str = ""  # the program, where `name` only says how it is used
    plain_lines: int = 0  # sessions of a router that takes no ADD-PATH; 0 for one session of a router that does

    @property
    def program(self) -> str:
        """What is measured."""
        return self.of or self.name


def _first_number(command: list[str]) -> Callable[[], str]:
    def ask() -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = re.search(r"\d+\.\d+[\w.]*", done.stdout + done.stderr)
        return found.group() if found else "unknown"

    return ask


def _onepeer_program() -> str:
    return str(Path(sys.executable).with_name("onepeer"))


REFLECTORS = (
    Reflector(
        "Onepeer",
        ONEPEER,
        lambda config: [_onepeer_program(), "run", "-c", str(config)],
        _first_number([_onepeer_program(), "version"]),
    ),
    Reflector(
        "BIRD",
        BIRD,
        lambda config: ["bird", "-f", "-c", str(config), "-s", str(SCRATCH / "bird.ctl")],
        _first_number(["bird", "--version"]),
    ),
    Reflector(
        "FRR",
        FRR,
        # Without zebra: a reflector installs nothing, and next hops count as reachable.
        lambda config: [
            "/usr/lib/frr/bgpd", "-f", str(config), "-Z", "-n", "-S", "-l", REFLECTOR, "-p", str(PORT),
            "-P", "0", "-i", str(SCRATCH / "frr.pid"), "--vty_socket", str(SCRATCH), "--log-level", "errors",
        ],
        _first_number(["/usr/lib/frr/bgpd", "--version"]),
    ),
    Reflector(
        "OpenBGPD",
        OPENBGPD,
        lambda config: ["/usr/sbin/bgpd", "-d", "-f", str(config)],
        _first_number(["/usr/sbin/bgpd", "-V"]),
    ),
    Reflector(
        "GoBGP",
        GOBGP,
        lambda config: ["gobgpd", "-t", "toml", "-f", str(config), "-l", "error", "--disable-stdlog",
                        "--pprof-disable", "--api-hosts", "127.0.0.1:50051"],
        _first_number(["gobgpd", "--version"]),
        most_nodes=255,  # send-max is one octet
    ),
)  # fmt: skip


def _profiled(name: str, config: str, plain_lines: int) -> Reflector:
    return Reflector(
        name,
        config,
        lambda path: [sys.executable, "-m", "tests.bench.profiled", "run", "-c", str(path)],
        REFLECTORS[0].version,
        of="Onepeer",
        plain_lines=plain_lines,
    )


# Onepeer towards three kinds of routers, and it says at its end what the choice of paths took.
MODES = (
    _profiled("ADD-PATH", ONEPEER, 0),
    _profiled("spread, one line", ONEPEER, 1),
    _profiled("four lanes", ONEPEER_LANES, 4),
)


def _environment() -> dict[str, str]:
    """Onepeer starts from compiled files, as it does once installed, wherever this run's own Python keeps them."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(SCRATCH / "pycache")}


class Running:
    """A started reflector, stopped and its traces removed when the block ends."""

    def __init__(self, reflector: Reflector, nodes: int) -> None:
        self.reflector = reflector
        self._folder = SCRATCH / "reflector"
        self._nodes = nodes
        self._log = SCRATCH / f"{reflector.name}.log"

    def __enter__(self) -> "Running":
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        config = self._folder / "config"
        config.write_text(self.reflector.config)
        config.chmod(0o600)  # OpenBGPD reads no configuration that others may
        if self.reflector.program == "Onepeer":
            roster = [f"  - {{name: n{i}, addresses: [{node_address(i)}]}}\n" for i in range(self._nodes)]
            (self._folder / "nodes.yaml").write_text("nodes:\n" + "".join(roster))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self.reflector.command(config),
                cwd=ROOT,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=_environment(),
            )
        self.pid = self._process.pid
        try:
            self._wait_until_it_listens()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            # Its own process group: OpenBGPD is three processes.
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        deadline = time.monotonic() + 5
        while listening(PORT) and time.monotonic() < deadline:
            time.sleep(0.01)
        # OpenBGPD's other processes have become children of this one, the first of its process namespace.
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not listening(PORT):
            if self._process.poll() is not None:
                raise Failed(f"it ended with status {self._process.returncode} at its start: {self.last_words()}")
            if time.monotonic() > deadline:
                raise Failed(f"it does not listen after {START_SECONDS} s: {self.last_words()}")
            time.sleep(0.02)

    def stop(self) -> str:
        """Asks it to end, waits until it has, and gives the last line that it wrote."""
        self._process.terminate()
        self._process.wait(timeout=START_SECONDS)
        return self._log.read_text(errors="replace").strip().rpartition("\n")[2]

    def check_alive(self) -> None:
        """Raises Failed when the daemon has ended, with what it said."""
        if self._process.poll() is not None:
            raise Failed(f"it ended with status {self._process.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        """The end of what it logged, on one line."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        # The page of results goes public: it does not tell where this checkout is.
        words = " | ".join(line.strip() for line in lines[-3:]).replace(f"{ROOT}/", "")
        return words[-300:] or "it said nothing"
