"""What does watching 1000 Nodes cost? `python -m tests.e2e.bench_nodes` prints a table for docs/benchmarks.md.

Real kube-apiserver and etcd, Onepeer in its pod as deploy/ has it; the Nodes are objects of 12 KB, 9 of them images, as
kubelet writes them. A heartbeat is what kubelet sends: a change of a condition's lastHeartbeatTime in the status.
Kubelet does so every 5 minutes, so 1000 of them are 3.3 a second; 100 a second are all of them in a bad moment.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from tests.e2e import objects
from tests.e2e.apiserver import Cluster, module
from tests.e2e.kubelet import Pod
from tests.e2e.world import ONEPEER
from tests.lab import Lab, wait_until

NODES = 1000
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Used:
    """What Onepeer had used at a moment."""

    at: float
    cpu: float
    """Seconds."""

    def share(self, later: "Used") -> float:
        """Of one core, in percent."""
        return 100 * (later.cpu - self.cpu) / (later.at - self.at)


def used(pod: Pod) -> Used:
    assert pod.process is not None
    words = Path(f"/proc/{pod.process.pid}/stat").read_text().rpartition(")")[2].split()
    return Used(time.monotonic(), (int(words[11]) + int(words[12])) / TICKS)


def memory(pod: Pod, which: str = "VmRSS") -> float:
    """Megabytes; VmHWM is the most that it ever was."""
    assert pod.process is not None
    lines = Path(f"/proc/{pod.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{which}:")).split()[1]) / 1024


def big_node(number: int) -> objects.Object:
    """A Node as kubelet writes it, as far as its size goes."""
    made = objects.node(f"node{number:04}", f"10.1.{number // 250}.{number % 250 + 1}")
    name = "registry.example.org/project/component-with-a-long-name"
    made["status"]["images"] = [
        {"names": [f"{name}@sha256:{image:064x}", f"{name}:v1.{image}.0"], "sizeBytes": 123456789 + image}
        for image in range(40)
    ]
    return made


def create(cluster: Cluster) -> None:
    """All Nodes."""
    for number in range(NODES):
        made = big_node(number)
        cluster.request("POST", "/api/v1/nodes", made)


def beat(cluster: Cluster, rate: float, seconds: float) -> int:
    """Heartbeats at this rate, one after another; how many there were."""
    begun, count = time.monotonic(), 0
    while time.monotonic() < begun + seconds:
        condition = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": stamp(count)}
        change = {"status": {"conditions": [condition]}}
        cluster.patch("nodes", f"node{count % NODES:04}", change, subresource="status")
        count += 1
        time.sleep(max(0.0, begun + count / rate - time.monotonic()))
    return count


def stamp(count: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_700_000_000 + count))


def known(pod: Pod) -> bool:
    return bool(pod.status()["roster"]["nodes"] > NODES)


def measure(cluster: Cluster, pod: Pod) -> None:
    """The table."""
    wait_until(lambda: pod.status()["roster"]["nodes"] == 1, 20, "its own Node is known", seen=pod.output)
    print(f"| roster of one Node: memory | {memory(pod):.0f} MB |")
    before = used(pod)
    create(cluster)
    wait_until(lambda: known(pod), 30, "all Nodes are known", seen=pod.output)
    after = used(pod)
    print(f"| {NODES} Nodes join in {after.at - before.at:.0f} s: CPU | {after.cpu - before.cpu:.1f} s |")
    pod.stop()
    begun = time.monotonic()
    pod.start()
    wait_until(lambda: known(pod), 30, "all Nodes are known", seen=pod.output)
    print(f"| start to a roster of {NODES} Nodes | {time.monotonic() - begun:.1f} s, {used(pod).cpu:.1f} s of CPU |")
    print(f"| memory after that (most ever) | {memory(pod):.0f} MB ({memory(pod, 'VmHWM'):.0f} MB) |")
    for name, rate, seconds in (("nothing happens", 0.0, 60), ("3.3 heartbeats a second", 3.3, 60), ("100", 100, 20)):
        first = used(pod)
        count = beat(cluster, rate, seconds) if rate else time.sleep(seconds) or 0
        last = used(pod)
        print(f"| {name} ({count} in {last.at - first.at:.0f} s): CPU | {first.share(last):.2f} % of a core |")
    print(f"| memory at the end | {memory(pod):.0f} MB |")


def main() -> None:
    with Lab() as lab:
        cluster = Cluster(lab.host("cluster", "192.168.3.100/24"))
        host = lab.host("leviathan1", f"{ONEPEER}/24")
        cluster.start()
        cluster.apply(objects.namespace(objects.METALLB))
        bases = module("go.universe.tf/metallb") / "config/crd/bases"
        cluster.kubectl("apply", "--server-side", "-f", str(bases))
        cluster.kubectl("wait", "--for=condition=established", "--timeout=60s", "crd", "--all")
        cluster.apply(objects.node("leviathan1", ONEPEER, labels={"onepeer.io/speaker": "true"}))
        cluster.kubectl("apply", "-k", "deploy")
        pod = Pod(cluster, host)
        pod.schedule()
        pod.start()
        measure(cluster, pod)
        pod.stop()


if __name__ == "__main__":
    main()
