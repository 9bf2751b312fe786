"""The machines of the e2e tests, and what is asked of them again and again. See the package for the picture."""

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e import objects
from tests.e2e.apiserver import ROOT, Cluster
from tests.e2e.kubelet import NAMESPACE, Pod
from tests.e2e.metallb import MetalLB, NodeSpeaker
from tests.lab import FRR, Banner, Lab, Peer, flows, wait_until
from tests.lab.netns import Process

ASN = 64512
ROUTER, ONEPEER = "192.168.3.1", "192.168.3.31"
MODES = {"leviathan1": "native", "leviathan2": "native", "leviathan3": "frr-k8s", "leviathan4": "native"}
MEMBERS = ("leviathan1", "leviathan2", "leviathan3")
"""The nodes that the cluster has when a test begins."""
NATIVE = ("leviathan1", "leviathan2")
EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
PORT = 80
POOL = "192.168.30.0/24"
TRAEFIK, GITEA = "192.168.30.1", "192.168.30.22"

SOON = 10.0
"""Seconds to wait at most for what takes a second or two."""
FRR_SOON = 30.0
"""The same where frr-k8s has a part in it: it reloads FRR by a script, and FRR waits a second here and there."""


class World:
    """All machines, up once a session. Onepeer's pod, BGPPeers and services come and go with the tests."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.router_host = lab.host("router", f"{ROUTER}/24")
        self.router_host.forward()
        self.client = lab.host("client")
        lab.link(self.client, ["10.99.0.2/24"], self.router_host, ["10.99.0.1/24"])
        self.client.ip("route add default via 10.99.0.1")
        self.hosts = {
            name: lab.host(name, f"192.168.3.{30 + number}/24", gateways=[ROUTER])
            for number, name in enumerate(MODES, 1)
        }
        self.stranger = lab.host("stranger", "192.168.3.66/24")
        self.cluster = Cluster(lab.host("cluster", "192.168.3.100/24"))
        self.router = FRR(self.router_host, ASN, [Peer(ONEPEER, ASN)])
        self.metallb = MetalLB(self.cluster)
        self.speakers = {
            name: NodeSpeaker(self.metallb, host, MODES[name])  # type: ignore[arg-type]
            for name, host in self.hosts.items()
        }
        self.pod: Pod | None = None
        self.members: tuple[str, ...] = MEMBERS
        """The nodes that carry traffic now, but for those that a test adds."""
        self._banners: set[tuple[str, str]] = set()

    def start(self) -> None:
        """Everything but Onepeer: a cluster whose nodes have nobody to peer with."""
        self.router.start()
        self.cluster.start()
        self.metallb.start()
        for name in MEMBERS:
            self.speakers[name].register()
        for name in MEMBERS:
            self.speakers[name].start()
        self.cluster.apply(objects.pool("services", POOL), objects.advertisement("services", ["services"]))

    # --- Onepeer ---

    def manifests(self, overlay: str = "", settings: str | None = None, component: str | None = None) -> Path:
        """A copy of deploy/, its settings file replaced by `settings` where given; the folder to apply."""
        copy = self.lab.folder / "deploy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(ROOT / "deploy", copy)
        folder = copy / overlay
        if settings is not None:
            (folder / "onepeer.yaml").write_text(settings)
        if component is not None:
            up = "../" * len(Path(overlay).parts)
            with (folder / "kustomization.yaml").open("a") as file:
                file.write(f"components: [{up}components/{component}]\n")
        return folder

    def deploy(self, overlay: str = "", settings: str | None = None, node: str = "leviathan1") -> Pod:
        """Label the node, apply deploy/, and be that node's kubelet; Onepeer answers when this returns."""
        return self.run_pod(self.manifests(overlay, settings), node)

    def run_pod(self, folder: Path, node: str = "leviathan1") -> Pod:
        """The same with this folder of manifests."""
        self.label(node)
        self.cluster.kubectl("apply", "-k", str(folder))
        self.pod = Pod(self.cluster, self.hosts[node])
        self.pod.schedule()
        self.pod.start()
        return self.pod

    def label(self, node: str) -> None:
        """What a person types to choose where Onepeer runs."""
        self.cluster.kubectl("label", "node", node, "onepeer.io/speaker=true", "--overwrite")

    def undeploy(self) -> None:
        """Delete all that makes pods, and the pod. Namespace and roles stay: `apply` puts those right."""
        if self.pod is None:
            return
        makers = "deployments,daemonsets,replicasets,poddisruptionbudgets,configmaps"
        # No garbage collector runs: each is named.
        self.cluster.kubectl("delete", makers, "--all", "-n", NAMESPACE, "--wait=false")
        self.pod.remove()
        self.pod = None
        # A pod that no node has yet would be taken for one of the next Deployment's.
        self.cluster.kubectl("delete", "pods", "--all", "-n", NAMESPACE, "--grace-period=0", "--force", "--wait=false")
        # The router keeps the routes of one that went gracefully, and would show them to the next test.
        self.router.replace_peers(self.router.peers)
        self.cluster.kubectl("label", "node", "--all", "onepeer.io/speaker-")
        self.forget_peers()

    def wipe(self) -> None:
        """Delete the namespace and the roles, too, and wait for the end of it: a cluster that never had Onepeer."""
        self.cluster.kubectl("delete", "-k", str(self.manifests()), "--ignore-not-found", "--wait=false")
        wait_until(lambda: self.cluster.find("namespaces", NAMESPACE) is None, 60, "the namespace is gone", every=0.3)

    def forget_peers(self) -> None:
        """Delete every BGPPeer; no speaker remembers any."""
        self.cluster.kubectl("delete", "bgppeers", "--all", "-n", objects.METALLB)
        if "leviathan3" in self.members:
            self.speakers["leviathan3"].forgets()

    def without_frr(self) -> None:
        """Keep the frr-k8s node out, whose every change takes ten seconds. Ended by `with_frr`."""
        self.cluster.kubectl("label", "node", "leviathan3", f"{EXCLUDED}=")
        self.members = NATIVE

    def with_frr(self) -> None:
        """Have it back."""
        self.cluster.kubectl("label", "node", "leviathan3", f"{EXCLUDED}-")
        self.members = MEMBERS
        self.forget_peers()

    def two_minutes_pass(self) -> None:
        """After Onepeer was away: FRR tries again only every 120 s, and no test waits for that."""
        self.speakers["leviathan3"].dial_now()

    @contextmanager
    def dual_stack(self, *names: str) -> Iterator[None]:
        """These nodes, the router and the client have IPv6 as well, and the router speaks it with Onepeer."""
        hosts = [self.hosts[name] for name in names]
        ends = [(self.router_host, "fd00:3::1/64 dev eth0"), (self.router_host, "fd00:99::1/64 dev to-client")]
        ends += [(self.client, "fd00:99::2/64 dev to-router")]
        ends += [(host, f"fd00:3::{host.v4.rpartition('.')[2]}/64 dev eth0") for host in hosts]
        for host, end in ends:
            host.ip(f"addr add {end} nodad")
            host.addresses = (*host.addresses, end.partition("/")[0])
        for host, via in ((self.client, "fd00:99::1"), *((host, "fd00:3::1") for host in hosts)):
            host.ip(f"route add default via {via}")
        self.router.replace_peers([Peer(ONEPEER, ASN, families=(4, 6))])
        try:
            yield
        finally:
            for host, end in ends:
                host.ip(f"addr del {end}")
                host.addresses = tuple(address for address in host.addresses if ":" not in address)
            self.router.replace_peers([Peer(ONEPEER, ASN)])

    # --- services ---

    def serve(self, name: str, address: str | None = None, *nodes: str, local: bool = False) -> str:
        """A Service with a pod on each of these nodes (all members unless said), and its address.

        Every node answers to the address, as kube-proxy would have it.
        """
        self.cluster.apply(objects.endpoints(name, *(nodes or self.members)))
        self.cluster.apply(objects.service(name, address, local=local))
        given: str = wait_until(lambda: self.address_of(name), SOON, f"MetalLB gives {name} an address")
        for host in self.hosts.values():
            if (host.name, given) not in self._banners:
                self._banners.add((host.name, given))
                host.add_service_address(given)
                Banner(host, given, PORT)
        return given

    def address_of(self, name: str) -> str | None:
        found = self.cluster.get("services", name, "default")
        ingress = found["status"]["loadBalancer"].get("ingress", [])
        return str(ingress[0]["ip"]) if ingress else None

    def withdraw(self, *names: str) -> None:
        """Delete services."""
        for name in names:
            self.cluster.delete("services", name, "default")
            self.cluster.delete("endpointslices", f"{name}-e2e", "default")

    # --- what the router and the client see ---

    def v4(self, *names: str) -> list[str]:
        """The addresses of these nodes."""
        return [self.hosts[name].v4 for name in names]

    def routed(self, address: str, *nodes: str, within: float = FRR_SOON) -> float:
        """Wait until the router's kernel has exactly these nodes as next hops; seconds that it took."""
        begun = time.monotonic()
        want = sorted(self.v4(*nodes))
        wait_until(
            lambda: self._alive() and self.router_host.route(f"{address}/32") == want,
            within,
            f"the router's kernel has {address} via {want}",
            seen=self.story,
            every=0.01,
        )
        return time.monotonic() - begun

    def _alive(self) -> bool:
        """Whether Onepeer runs, if it should; else what it said last is the failure."""
        assert self.pod is None or self.pod.alive(), f"Onepeer ended by itself:\n{self.pod.output()}"
        return True

    def who_answers(self, address: str, count: int = 90) -> set[str]:
        """The nodes that answered a client's connections."""
        return set(flows(self.client, address, PORT, count))

    def reached(self, address: str, *nodes: str) -> None:
        """A client reaches the service, and each of these nodes has a share of the traffic."""
        answered = self.who_answers(address)
        assert answered == set(nodes), f"answered by {answered}\n{self.story()}"

    def up(self) -> set[str]:
        """The nodes that have a session with Onepeer."""
        assert self.pod is not None
        return set(self.pod.status()["nodes_up"])

    def all_up(self, *nodes: str, within: float = FRR_SOON) -> None:
        """Wait until exactly these nodes have their session."""
        want = set(nodes)
        wait_until(lambda: self.up() == want, within, f"sessions of {sorted(want)}", seen=self.story, every=0.1)

    def missing_events(self, namespace: str = "default") -> list[objects.Object]:
        """The Events of what is not announced."""
        items = self.cluster.get("events", namespace=namespace)["items"]
        return [one for one in items if one["reason"] == "PathsMissing"]

    def story(self) -> str:
        """What explains a failure."""
        parts = [self.router_host.run("ip", "route", check=False)]
        if self.pod is not None:
            parts.append("onepeer said:\n" + self.pod.output()[-6000:])
        parts += [f"{name}'s speaker said:\n{one.output()[-1500:]}" for name, one in self.speakers.items()]
        return "\n".join(parts)


class Ping:
    """Echo requests from the client through the router to a service address, one each 10 ms."""

    def __init__(self, world: World, address: str, every: float = 0.01) -> None:
        self._process: Process = world.client.start("ping", "-n", "-q", "-i", str(every), address, log="ping.log")

    def lost(self) -> tuple[int, int]:
        """Stop; how many of how many got no answer."""
        self._process.signal(2)
        self._process.wait(5)
        found = re.findall(r"(\d+) packets transmitted, (\d+) received", self._process.output())
        sent, received = (int(number) for number in found[-1])
        return sent - received, sent
