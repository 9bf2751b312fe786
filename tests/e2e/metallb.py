"""How does MetalLB come to run? Its controller beside the API server, one speaker in each node's namespace.

A speaker is native, or frr-k8s: then FRR, the reloader and frr-k8s itself run on the node, as its DaemonSet starts
them. Those know their files by fixed paths, so each gets folders of the lab bound over them, in a mount namespace of
its own (`ip netns exec` makes one).
"""

from pathlib import Path
from typing import Literal

from tests.e2e.apiserver import Cluster, module, tools
from tests.e2e.objects import FRR_K8S, METALLB, namespace, node, speaker_pod
from tests.lab import Host, Process, wait_until
from tests.lab.netns import run

Mode = Literal["native", "frr-k8s"]

RELOADER = Path("/etc/frr_reloader")
"""The host's path is made where it is missing, to bind over; nothing is written to it."""
FILES = {
    "vtysh.conf": "service integrated-vtysh-config\n",
    "frr.conf": "frr defaults traditional\nhostname Router\nline vty\n",
    "daemons": "bgpd=yes\nbfdd=yes\n",
}
READY = ("wait", "--for=condition=established", "--timeout=60s", "crd", "--all")


class MetalLB:
    """Its definitions and its controller."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.programs = tools("metallb")
        self.frr_k8s = module("github.com/metallb/frr-k8s")

    def start(self) -> None:
        """As `kubectl apply` of its manifests would, without the webhook."""
        self.cluster.apply(namespace(METALLB), namespace(FRR_K8S))
        for bases in (module("go.universe.tf/metallb") / "config/crd/bases", self.frr_k8s / "config/crd/bases"):
            self.cluster.kubectl("apply", "--server-side", "-f", str(bases))
        self.cluster.kubectl(*READY)
        self.cluster.host.start(
            *(str(self.programs / "metallb-controller"), "--webhook-mode=disabled", "--disable-cert-rotation"),
            log="metallb-controller.log",
            env=self.environment(),
        )

    def environment(self, **more: str) -> dict[str, str]:
        return {"METALLB_NAMESPACE": METALLB, "KUBECONFIG": str(self.cluster.kubeconfig), **more}


class NodeSpeaker:
    """MetalLB on one node."""

    def __init__(self, metallb: MetalLB, host: Host, mode: Mode) -> None:
        self.metallb = metallb
        self.host = host
        self.mode: Mode = mode
        self._processes: list[Process] = []

    def register(self) -> None:
        """The Node and the speaker's Pod, as its kubelet and the DaemonSet's controller would have them."""
        cluster = self.metallb.cluster
        cluster.apply(node(self.host.name, *self.host.addresses), speaker_pod(self.host.name, self.mode))
        # The API server taints a new Node; kube-controller-manager's node lifecycle would take that off a Ready one.
        cluster.patch("nodes", self.host.name, {"spec": {"taints": None}})

    def start(self) -> None:
        """All its containers."""
        more = {}
        if self.mode == "frr-k8s":
            self._start_frr_k8s()
            more = {"FRRK8S_NAMESPACE": FRR_K8S}
        speaker = self.host.start(
            str(self.metallb.programs / "metallb-speaker"),
            log="speaker.log",
            env=self.metallb.environment(
                METALLB_BGP_TYPE=self.mode,
                METALLB_NODE_NAME=self.host.name,
                METALLB_POD_NAME=f"speaker-{self.host.name}",
                METALLB_HOST=self.host.v4,
                **more,
            ),
        )
        self._processes.append(speaker)

    def stop(self) -> None:
        """SIGTERM, as its kubelet would."""
        for process in reversed(self._processes):
            process.terminate()
        self._processes.clear()

    def output(self) -> str:
        return "\n".join(process.output() for process in self._processes)

    def vtysh(self, command: str, daemon: str = "bgpd") -> str:
        """Ask the FRR of a node in frr-k8s mode."""
        return run(["vtysh", "--vty_socket", str(self._home / "run"), "-d", daemon, "-c", command])

    def dial_now(self) -> None:
        """What FRR does by itself every 120 s: it tries its neighbors again. Native speakers need no such help.

        Onepeer makes it a second where no speaker is native (test_frr.py); here some are.
        """
        if self.mode == "frr-k8s":
            self.vtysh("clear bgp *")

    def forgets(self) -> None:
        """Wait until FRR has no neighbor: one that comes back too soon would wait for those 120 s.

        After the API server was away, the speaker asks it again only every half minute.
        """
        if self.mode == "frr-k8s":
            wait_until(lambda: "neighbor" not in self.vtysh("show running-config"), 90, "FRR forgets", every=0.2)

    @property
    def _home(self) -> Path:
        return self.host.folder / "frr-k8s"

    def _start_frr_k8s(self) -> None:
        home = self._home
        for folder in ("etc", "run", "reloader", "tmp"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        for name, text in FILES.items():
            (home / "etc" / name).write_text(text)
        # FRR's daemons give up root for the user frr.
        run(["chown", "-R", "frr:frr", str(home)])
        RELOADER.mkdir(exist_ok=True)
        source = self.metallb.frr_k8s
        self._start_over(home, "/usr/lib/frr/zebra", "-A", "127.0.0.1")
        # As frr-k8s has it by default: nobody can dial it.
        self._start_over(home, "/usr/lib/frr/bgpd", "-A", "127.0.0.1", "-p", "0")
        self._start_over(home, "/usr/lib/frr/bfdd", "-A", "127.0.0.1")
        self._start_over(home, "bash", str(source / "frr-tools/reloader/frr-reloader.sh"), own_tmp=True)
        options = (f"--node-name={self.host.name}", f"--namespace={FRR_K8S}")
        self._start_over(home, str(self.metallb.programs / "frr-k8s"), *options)

    def _start_over(self, home: Path, *command: str, own_tmp: bool = False) -> None:
        over = {"etc": "/etc/frr", "run": "/var/run/frr", "reloader": str(RELOADER)}
        if own_tmp:
            over["tmp"] = "/tmp"  # last: it hides the lab's folder
        mounts = "".join(f"mount --bind {home / folder} {path} && " for folder, path in over.items())
        kubeconfig = {"KUBECONFIG": str(self.metallb.cluster.kubeconfig)}
        name = Path(command[0]).name
        shell = ("sh", "-c", f'{mounts} exec "$@"', "-")
        self._processes.append(self.host.start(*shell, *command, log=f"{name}.log", env=kubeconfig))
