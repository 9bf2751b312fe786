"""How does frr-k8s come to run on the node? FRR, the reloader and frr-k8s itself, as its DaemonSet starts them.

All three, and vtysh under them, know their files by fixed paths: each runs with folders of the lab bound over those.
"""

from pathlib import Path

from golden_cluster import NODE, Cluster, module
from golden_net import run

SYSTEM = "frr-k8s-system"
# The host's path is made where it is missing, to bind over; nothing is written to it.
RELOADER = Path("/etc/frr_reloader")
FILES = {
    "vtysh.conf": "service integrated-vtysh-config\n",
    "frr.conf": "frr defaults traditional\nhostname Router\nline vty\n",
    "daemons": "bgpd=yes\n",
}


class FrrK8s:
    """frr-k8s on the node of a cluster that runs."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._home = cluster.lab.folder / "frr-k8s"

    def start(self) -> None:
        """FRR with no configuration, the reloader, frr-k8s."""
        source = module("github.com/metallb/frr-k8s")
        self.cluster.kubectl("create", "namespace", SYSTEM)
        self.cluster.kubectl("apply", "--server-side", "-f", str(source / "config/crd/bases"))
        self.cluster.kubectl("wait", "--for=condition=established", "--timeout=60s", "crd", "--all")
        for folder in ("etc", "run", "reloader", "tmp"):
            (self._home / folder).mkdir(parents=True)
        for name, text in FILES.items():
            (self._home / "etc" / name).write_text(text)
        # FRR's daemons give up root for the user frr.
        run("chown", "-R", "frr:frr", str(self._home))
        self.cluster.lab.folder.chmod(0o755)
        RELOADER.mkdir(exist_ok=True)
        self._start("/usr/lib/frr/zebra", "-A", "127.0.0.1")
        # As frr-k8s has it by default: nobody can dial it.
        self._start("/usr/lib/frr/bgpd", "-A", "127.0.0.1", "-p", "0")
        self._start("bash", str(source / "frr-tools/reloader/frr-reloader.sh"), own_tmp=True)
        self._start(str(self.cluster.metallb / "frr-k8s"), f"--node-name={NODE}", f"--namespace={SYSTEM}")

    def _start(self, *command: str, own_tmp: bool = False) -> None:
        # `ip netns exec` has given the program a mount namespace of its own by now.
        over = {"etc": "/etc/frr", "run": "/var/run/frr", "reloader": str(RELOADER)}
        if own_tmp:
            over["tmp"] = "/tmp"  # last: it hides the lab's folder
        mounts = "".join(f"mount --bind {self._home / folder} {path} && " for folder, path in over.items())
        self.cluster.lab.start(
            self.cluster.node, "sh", "-c", f'{mounts} exec "$@"', "-", *command, KUBECONFIG=str(self.cluster.kubeconfig)
        )
