"""How does MetalLB come to run without a cluster? etcd, kube-apiserver and MetalLB's own programs, in namespaces.

No kubelet and no kube-controller-manager: the Node, the Pod and the EndpointSlices that they would have made are
written here. `scripts/tools` builds what Debian does not have.
"""

import asyncio
import contextlib
import json
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import Any

from golden_net import Lab, run

ROOT = Path(__file__).parents[2]
API = "192.168.3.100"
NODE, NODE4, NODE6 = "leviathan1", "192.168.3.31", "fd00:3::31"
PEER4, PEER6, PEER_PORT = "192.168.3.10", "fd00:3::10", 1790
SYSTEM = "metallb-system"
TOKEN = "golden"

Object = dict[str, Any]
# When it came (time.monotonic), and its two ends.
Call = tuple[float, asyncio.StreamReader, asyncio.StreamWriter]


def tools(which: str) -> Path:
    """What `scripts/tools` prints: the folder with the programs of one set, built when they are not there yet."""
    script = [str(ROOT / "scripts/tools"), which]
    return Path(subprocess.run(script, stdout=subprocess.PIPE, check=True, text=True).stdout.strip())


def module(name: str) -> Path:
    """The folder of a Go module that MetalLB's programs were built from: its manifests are there."""
    go = (str(tools("go")), "-C", str(ROOT / "tests/tools/metallb"))
    run(*go, "mod", "download", name)
    return Path(run(*go, "list", "-m", "-f", "{{.Dir}}", name).strip())


class Cluster:
    """One API server with the objects that MetalLB needs, and MetalLB."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.kubernetes, self.metallb = tools("kubernetes"), tools("metallb")
        self.home = lab.namespace("cluster", f"{API}/24")
        self.node = lab.namespace("node", f"{NODE4}/24", f"{NODE6}/64")
        self.peer = lab.namespace("peer", f"{PEER4}/24", f"{PEER6}/64")
        self.kubeconfig = lab.folder / "kubeconfig"
        self._speaker: subprocess.Popen[bytes]

    def start(self) -> None:
        """The API server, MetalLB's definitions, its controller, and the node."""
        self._start_api()
        self.kubectl("create", "namespace", SYSTEM)
        self.kubectl("apply", "-f", str(module("go.universe.tf/metallb") / "config/crd/bases"))
        self.kubectl("wait", "--for=condition=established", "--timeout=60s", "crd", "--all")
        self.apply(node(), speaker_pod())
        # A Node's addresses and a Pod's address are status, which `apply` leaves alone.
        self.kubectl("patch", "node", NODE, "--subresource=status", "-p", json.dumps({"status": node()["status"]}))
        self.lab.start(
            self.home,
            *(str(self.metallb / "metallb-controller"), "--webhook-mode=disabled", "--disable-cert-rotation"),
            **self._environment(),
        )

    def start_speaker(self, mode: str = "native", **more: str) -> None:
        """MetalLB's speaker on the node."""
        self._speaker = self.lab.start(
            self.node,
            str(self.metallb / "metallb-speaker"),
            **self._environment(
                METALLB_BGP_TYPE=mode,
                METALLB_NODE_NAME=NODE,
                METALLB_POD_NAME=f"speaker-{NODE}",
                METALLB_HOST=NODE4,
                **more,
            ),
        )

    def stop_speaker(self) -> None:
        """SIGTERM, as kubelet would."""
        self.lab.stop(self._speaker)

    def _environment(self, **more: str) -> dict[str, str]:
        return {"METALLB_NAMESPACE": SYSTEM, "KUBECONFIG": str(self.kubeconfig), **more}

    def _start_api(self) -> None:
        folder = self.lab.folder
        self.lab.start(self.home, "etcd", "--data-dir", f"{folder}/etcd", "--unsafe-no-fsync", "--log-level", "warn")
        run("openssl", "genrsa", "-out", f"{folder}/accounts.key", "2048")
        run(
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=golden"),
            *("-addext", f"subjectAltName=IP:{API},IP:127.0.0.1"),
            *("-keyout", f"{folder}/api.key", "-out", f"{folder}/api.crt"),
        )
        (folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
        self.kubeconfig.write_text(json.dumps(kubeconfig(folder)))
        self.lab.start(
            self.home,
            *(str(self.kubernetes / "kube-apiserver"), "--etcd-servers=http://127.0.0.1:2379"),
            *(f"--tls-cert-file={folder}/api.crt", f"--tls-private-key-file={folder}/api.key"),
            *(f"--token-auth-file={folder}/tokens.csv", "--authorization-mode=RBAC"),
            *(f"--service-account-key-file={folder}/accounts.key", "--service-account-issuer=https://golden"),
            *(f"--service-account-signing-key-file={folder}/accounts.key", f"--advertise-address={API}"),
            *("--disable-admission-plugins=ServiceAccount", "--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112"),
        )
        deadline = time.monotonic() + 60
        while self.kubectl("get", "--raw", "/readyz", check=False) != "ok":
            if time.monotonic() > deadline:
                raise RuntimeError("kube-apiserver was not ready within a minute")
            time.sleep(0.5)

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        """Run kubectl in the cluster's namespace."""
        program = (str(self.kubernetes / "kubectl"), "--kubeconfig", str(self.kubeconfig))
        return run("ip", "netns", "exec", self.home, *program, *arguments, check=check)

    def apply(self, *objects: Object) -> None:
        """Create or change objects."""
        path = self.lab.folder / "apply.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(path))

    def delete(self, kind: str, *names: str, namespace: str = "default") -> None:
        """Delete objects, where they are."""
        self.kubectl("delete", "--ignore-not-found", "-n", namespace, kind, *names)


def kubeconfig(folder: Path) -> Object:
    """The administrator's, for kubectl and for MetalLB alike."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "golden",
        "contexts": [{"name": "golden", "context": {"cluster": "golden", "user": "admin"}}],
        "clusters": [
            {
                "name": "golden",
                "cluster": {"server": f"https://{API}:6443", "certificate-authority": f"{folder}/api.crt"},
            }
        ],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
    }


def _metallb(kind: str, name: str, spec: Object, version: str = "v1beta1") -> Object:
    metadata = {"name": name, "namespace": SYSTEM}
    return {"apiVersion": f"metallb.io/{version}", "kind": kind, "metadata": metadata, "spec": spec}


def node() -> Object:
    """The Node, Ready."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        # frr-k8s is told its node by this label.
        "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}},
        "status": {
            "addresses": [{"type": "InternalIP", "address": NODE4}],
            "conditions": [{"type": "Ready", "status": "True", "reason": "golden", "message": ""}],
        },
    }


def speaker_pod() -> Object:
    """The speaker's own Pod: it looks itself up."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"speaker-{NODE}", "namespace": SYSTEM, "labels": {"component": "speaker"}},
        "spec": {"nodeName": NODE, "containers": [{"name": "speaker", "image": "none"}]},
    }


def pool(name: str, *ranges: str) -> Object:
    """An IPAddressPool."""
    return _metallb("IPAddressPool", name, {"addresses": list(ranges)})


def advertisement(name: str, pools: Sequence[str], **spec: Any) -> Object:
    """A BGPAdvertisement of these pools."""
    return _metallb("BGPAdvertisement", name, {"ipAddressPools": list(pools), **spec})


def peer(address: str = PEER4, my_asn: int = 64512, hold_time: str = "90s", **spec: Any) -> Object:
    """The BGPPeer: who records, in AS 64512."""
    spec = {
        "myASN": my_asn,
        "peerASN": 64512,
        "peerAddress": address,
        "peerPort": PEER_PORT,
        "holdTime": hold_time,
        **spec,
    }
    return _metallb("BGPPeer", "onepeer", spec, version="v1beta2")


def service(name: str, *addresses: str) -> list[Object]:
    """A Service of type LoadBalancer with these addresses, and one ready endpoint of it on the node."""
    families = ["IPv6" if ":" in address else "IPv4" for address in addresses]
    made: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": "default",
            "annotations": {"metallb.io/loadBalancerIPs": ",".join(addresses)},
        },
        "spec": {
            "type": "LoadBalancer",
            "ports": [{"port": 80, "protocol": "TCP"}],
            "allocateLoadBalancerNodePorts": False,
            "ipFamilies": families,
            "ipFamilyPolicy": "RequireDualStack" if len(families) > 1 else "SingleStack",
        },
    }
    endpoints: Object = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"port": 80, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "nodeName": NODE}],
    }
    return [made, endpoints]


@contextlib.asynccontextmanager
async def listening(cluster: Cluster, address: str) -> AsyncIterator[asyncio.Queue[Call]]:
    """A listener of the raw peer's; each call is put in the queue with its time."""
    calls: asyncio.Queue[Call] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await calls.put((time.monotonic(), reader, writer))

    sock = cluster.lab.socket(cluster.peer, AF_INET6 if ":" in address else AF_INET)
    sock.bind((address, PEER_PORT))
    server = await asyncio.start_server(accept, sock=sock)
    try:
        yield calls
    finally:
        server.close()
