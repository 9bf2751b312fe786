"""A real kube-apiserver on a real etcd, on loopback, that a test may kill, freeze and restart.

Nothing else of a cluster runs: no kubelet, no controller. What they would have made is written with `put`.
`scripts/tools kubernetes` builds the API server; etcd is Debian's.
"""

import base64
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.lab.wait import wait_until

ROOT = Path(__file__).parents[2]
ADMIN, ONEPEER, NOBODY = "admin-token", "onepeer-token", "nobody-token"
"""Tokens of: system:masters; the user `onepeer`, who may what RBAC says; a user who may nothing."""

RBAC = "/apis/rbac.authorization.k8s.io/v1"
GRANTED = {"granted-by": "test"}

Object = dict[str, Any]


def tools() -> Path:
    """The folder with kube-apiserver, built when it is not there yet."""
    command = [ROOT / "scripts/tools", "kubernetes"]
    return Path(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.strip())


def metallb_crds() -> Iterable[Path]:
    """MetalLB's own definitions, of the version that the tests build."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", "go.universe.tf/metallb"]
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "PATH": f"{os.environ['PATH']}:/usr/local/go/bin"}
    folder = ROOT / "tests/tools/metallb"
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True, text=True).stdout
    return sorted((Path(found.strip()) / "config/crd/bases").glob("*.yaml"))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Refused(Exception):
    """The API server has refused a request of the test's own."""


class ApiServer:
    """Both processes and their folder. `close` ends and removes all of it."""

    def __init__(self, *options: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="onepeer-kube-")
        self.folder = Path(self._folder.name)
        self.port, self._etcd_port = free_port(), free_port()
        self._options = options
        self._etcd: subprocess.Popen[bytes]
        self._api: subprocess.Popen[bytes]
        self._certificates()
        tokens = ((ADMIN, "admin", "system:masters"), (ONEPEER, "onepeer", ""), (NOBODY, "nobody", ""))
        lines = [f"{token},{user},{user}{f',{group}' if group else ''}" for token, user, group in tokens]
        (self.folder / "tokens.csv").write_text("\n".join(lines) + "\n")
        self.certificate = self.folder / "api.crt"

    # --- life

    def start(self) -> "ApiServer":
        """Both, and ready."""
        self.start_etcd()
        self.start_api()
        return self

    def start_etcd(self) -> None:
        url, peers = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{free_port()}"
        self._etcd = self._run(
            *("etcd", "--data-dir", f"{self.folder}/etcd", "--unsafe-no-fsync", "--log-level", "warn"),
            *("--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls", peers),
            *("--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}"),
        )

    def start_api(self) -> None:
        """The API server, and wait until it is ready: 2 to 5 s."""
        folder = self.folder
        self._api = self._run(
            *(str(tools() / "kube-apiserver"), f"--etcd-servers=http://127.0.0.1:{self._etcd_port}"),
            *("--bind-address=127.0.0.1", f"--secure-port={self.port}", "--advertise-address=127.0.0.1"),
            *(f"--tls-cert-file={folder}/api.crt", f"--tls-private-key-file={folder}/api.key"),
            *(f"--token-auth-file={folder}/tokens.csv", "--authorization-mode=RBAC"),
            *(f"--service-account-key-file={folder}/accounts.key", "--service-account-issuer=https://onepeer.test"),
            *(f"--service-account-signing-key-file={folder}/accounts.key", "--endpoint-reconciler-type=none"),
            *("--disable-admission-plugins=ServiceAccount", "--service-cluster-ip-range=10.96.0.0/16"),
            *self._options,
        )
        wait_until(self._ready, 90, "kube-apiserver is ready", every=0.2)

    def kill_api(self) -> None:
        """SIGKILL."""
        self._api.kill()
        self._api.wait()

    def freeze(self) -> None:
        """SIGSTOP: TCP is still answered by the kernel, nothing else is."""
        os.kill(self._api.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._api.pid, signal.SIGCONT)

    def close(self) -> None:
        for process in (self._api, self._etcd):
            process.kill()
            process.wait()
        self._folder.cleanup()

    def cpu(self) -> float:
        """Seconds of CPU that the API server has used."""
        fields = Path(f"/proc/{self._api.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # --- what is in it

    def kubeconfig(self, token: str = ADMIN, port: int | None = None, name: str = "kubeconfig") -> Path:
        """A kubeconfig for this token, perhaps by way of a proxy's port."""
        path = self.folder / f"{name}-{token}-{port or self.port}"
        server = {
            "server": f"https://127.0.0.1:{port or self.port}",
            "certificate-authority": str(self.certificate),
        }
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": server}],
            "users": [{"name": "test", "user": {"token": token}}],
        }
        path.write_text(json.dumps(config))
        return path

    def request(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Object:
        """One request as the administrator. Raises Refused."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=20, context=ssl.create_default_context(cafile=str(self.certificate))
        )
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": content_type}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if response.status >= 300:
            raise Refused(f"{method} {path}: {response.status} {text.decode()}")
        return dict(json.loads(text)) if text.startswith(b"{") else {"text": text.decode()}

    def put(self, path: str, body: Object) -> Object:
        """Create the object, or make it so (server-side apply)."""
        name = body["metadata"]["name"]
        target = f"{path}/{name}?fieldManager=test&force=true"
        return self.request("PATCH", target, body, "application/apply-patch+yaml")

    def delete(self, path: str) -> None:
        self.request("DELETE", path)

    def grant(self, *roles: Object) -> None:
        """These Roles, ClusterRoles and bindings, until `revoke`."""
        for role in roles:
            where = f"/namespaces/{role['metadata']['namespace']}" if "namespace" in role["metadata"] else ""
            role = {**role, "metadata": {**role["metadata"], "labels": GRANTED}}
            self.put(f"{RBAC}{where}/{role['kind'].lower()}s", role)

    def revoke(self) -> None:
        """What `grant` granted, in every namespace."""
        selector = "labelSelector=" + ",".join(f"{key}%3D{value}" for key, value in GRANTED.items())
        for kind in ("clusterrolebindings", "clusterroles"):
            self.delete(f"{RBAC}/{kind}?{selector}")
        for kind in ("rolebindings", "roles"):
            for one in self.request("GET", f"{RBAC}/{kind}?{selector}")["items"]:
                self.delete(f"{RBAC}/namespaces/{one['metadata']['namespace']}/{kind}/{one['metadata']['name']}")

    def put_node(self, name: str, *addresses: str, ready: bool = True, **metadata: Any) -> Object:
        """A Node with these InternalIPs, as its kubelet would have made it."""
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, **metadata}}
        self.put("/api/v1/nodes", body)
        said = [{"type": "InternalIP", "address": address} for address in addresses]
        condition = {"type": "Ready", "status": str(ready), "reason": "test", "message": ""}
        status = {"addresses": [*said, {"type": "Hostname", "address": name}], "conditions": [condition]}
        return self.request("PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, "application/merge-patch+json")

    def delete_nodes(self) -> None:
        self.delete("/api/v1/nodes")

    def install_metallb(self) -> None:
        """Its definitions and its namespace."""
        crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        for file in metallb_crds():
            name = f"{file.stem.split('_')[1]}.metallb.io"
            target = f"{crds}/{name}?fieldManager=test&force=true"
            self.request("PATCH", target, file.read_bytes(), "application/apply-patch+yaml")
        self.put(
            "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "metallb-system"}}
        )
        served = "/apis/metallb.io/v1beta2/namespaces/metallb-system/bgppeers"
        wait_until(lambda: self._answers(served), 30, "MetalLB's resources are served", every=0.2)

    def compact(self) -> None:
        """etcd forgets all versions but the present ones: a watch from an older one is told 410."""
        answer = self._etcd_request("/v3/kv/range", {"key": _b64("/registry/minions/")})
        revision = answer["header"]["revision"]
        self._etcd_request("/v3/kv/compaction", {"revision": revision, "physical": True})

    def delete_behind_its_back(self, node: str) -> None:
        """Out of etcd itself, while the API server is away."""
        self._etcd_request("/v3/kv/deleterange", {"key": _b64(f"/registry/minions/{node}")})

    # --- inside

    def _etcd_request(self, path: str, body: Object) -> Object:
        connection = http.client.HTTPConnection("127.0.0.1", self._etcd_port, timeout=10)
        try:
            connection.request("POST", path, json.dumps(body))
            return dict(json.loads(connection.getresponse().read()))
        finally:
            connection.close()

    def _ready(self) -> bool:
        if self._api.poll() is not None:
            raise RuntimeError(f"kube-apiserver ended: {self._log()}")
        return self._answers("/readyz")

    def _answers(self, path: str) -> bool:
        try:
            self.request("GET", path)
        except (OSError, Refused, http.client.HTTPException):
            return False
        return True

    def _run(self, *command: str) -> "subprocess.Popen[bytes]":
        log = self.folder / f"{Path(command[0]).name}.log"
        with log.open("ab") as file:
            return subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL)

    def _log(self) -> str:
        return (self.folder / "kube-apiserver.log").read_text()[-2000:]

    def _certificates(self) -> None:
        def openssl(*arguments: str) -> None:
            subprocess.run(["openssl", *arguments], capture_output=True, check=True)

        openssl("genrsa", "-out", f"{self.folder}/accounts.key", "2048")
        openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=onepeer-test"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", f"{self.folder}/api.key", "-out", f"{self.folder}/api.crt"),
        )


def within(seconds: float, condition: Callable[[], object], why: str) -> float:
    """Seconds until it was true."""
    begun = time.monotonic()
    wait_until(condition, seconds, why, every=0.02)
    return time.monotonic() - begun


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
