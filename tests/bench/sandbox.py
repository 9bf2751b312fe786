"""A world of its own for the benchmark: network, mounts and processes that end with it.

`enter` starts the program again inside new namespaces. They have no name, so two runs cannot meet; and the
process namespace ends with its first process, so no daemon, address or file outlives a run, not even one
that was killed.
"""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

INSIDE = "ONEPEER_BENCH_INSIDE"
SCRATCH = Path("/run/bench")


def inside() -> bool:
    """Whether this process is the one that runs in the namespaces."""
    return INSIDE in os.environ


def enter(arguments: list[str]) -> None:
    """Returns inside the namespaces; outside, it is replaced by the program that runs there."""
    if inside():
        _furnish()
        return
    if os.geteuid() != 0:
        sys.exit("bench: network namespaces and daemons on port 179 need root: sudo make bench")
    namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = ["unshare", *namespaces, sys.executable, "-m", "tests.bench", *arguments]
    os.environ[INSIDE] = "1"
    sys.stdout.flush()
    os.execvp("unshare", command)


def _furnish() -> None:
    # The first process of a process namespace ignores signals that it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for folder in ("/run", "/var/tmp"):  # FRR keeps its crash log in the second
        subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # One route makes the whole of 10/8 this host's own, where 1000 addresses would also be 1000 for each
    # daemon to read.
    subprocess.run(["ip", "route", "add", "local", "10.0.0.0/8", "dev", "lo"], check=True)
    SCRATCH.mkdir()
    Path("/run/openbgpd").mkdir(mode=0o755)  # where OpenBGPD locks itself in


def descendants(root: int) -> list[int]:
    """The process and all below it."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # The second field, the name in parentheses, may hold anything.
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    family = [root]
    for pid in family:
        family.extend(child for child, parent in parents.items() if parent == pid)
    return family


def cpu_seconds(root: int) -> float:
    """User and system time of the process and all below it, to the nanosecond where the kernel counts so."""
    total = 0
    for pid in descendants(root):
        for task in Path(f"/proc/{pid}/task").glob("*"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def peak_rss_mb(root: int) -> float:
    """The sum of the peak resident sets, MB (10^6 bytes)."""
    total = 0
    for pid in descendants(root):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            status = Path(f"/proc/{pid}/status").read_text()
            total += next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
    return total * 1024 / 1e6


def machine_cpu_seconds() -> float:
    """What all processes of the machine have used since it started, whoever they belong to."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq = fields[:7]
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def own_cpu_seconds() -> float:
    """What this process and all its ended children have used."""
    own = os.times()
    return own.user + own.system + own.children_user + own.children_system


def listening(port: int) -> bool:
    """Whether some process of this network namespace listens on the TCP port."""
    state_listen = "0A"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == state_listen and int(fields[1].rpartition(":")[2], 16) == port:
                return True
    return False
