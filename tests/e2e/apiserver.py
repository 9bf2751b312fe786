"""How does the cluster come to run? etcd, kube-apiserver with RBAC and kube-controller-manager on one host.

`Cluster.request` is one HTTP request of the administrator's, for what is timed or asked often; `kubectl` is the real
one. Both work from the host itself, so that nothing a test does to the network stands in their way.
"""

import http.client
import json
import os
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.e2e.objects import Object
from tests.lab import Host, NotYet, Process, wait_until
from tests.lab.netns import run

ROOT = Path(__file__).parents[2]
ADMIN = "e2e-admin"
"""The administrator's token."""
PORT = 6443
IDLE = 60.0
"""Seconds after which a connection is not used again: the API server closes one that nobody uses after 90."""
READY = 60.0
"""Seconds that the API server may take; three are usual."""
CONTROLLED = ("deployment", "replicaset", "daemonset", "disruption", "endpointslice", "namespace")
CONTROLLERS = ",".join(f"{kind}-controller" for kind in CONTROLLED)
APPLY = "application/apply-patch+yaml"


def tools(which: str) -> Path:
    """The folder with the programs of one set of `scripts/tools`, built when they are not there yet."""
    script = [str(ROOT / "scripts/tools"), which]
    return Path(subprocess.run(script, stdout=subprocess.PIPE, check=True, text=True).stdout.strip())


def module(name: str) -> Path:
    """The folder of a Go module that MetalLB's programs were built from: its manifests are there."""
    go = [str(tools("go")), "-C", str(ROOT / "tests/tools/metallb")]
    run([*go, "mod", "download", name], timeout=300)
    return Path(run([*go, "list", "-m", "-f", "{{.Dir}}", name]).strip())


class Refused(Exception):
    """The API server's answer was none of the good ones."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(f"{status}: {text}")


class Cluster:
    """One API server on one host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.programs = tools("kubernetes")
        self.url = f"https://{host.v4}:{PORT}"
        self.ca = host.folder / "api.crt"
        self.kubeconfig = host.folder / "kubeconfig"
        self._etcd: Process
        self._api: Process
        self._connection: http.client.HTTPSConnection | None = None
        self._asked_at = 0.0
        host.lab.on_close(self._hang_up)

    def another(self) -> "Cluster":
        """The same for another thread: a connection is one thread's."""
        return Cluster(self.host)

    def start(self) -> None:
        """All of it, once; returns when it answers."""
        self._write_secrets()
        self.start_etcd()
        self.start_api()
        self.host.start(
            str(self.programs / "kube-controller-manager"),
            *(f"--kubeconfig={self.kubeconfig}", f"--controllers={CONTROLLERS}", "--leader-elect=false"),
            log="controller-manager.log",
        )

    def start_etcd(self) -> None:
        """etcd with the data that it had."""
        folder = str(self.host.folder / "etcd")
        options = ("--data-dir", folder, "--unsafe-no-fsync", "--log-level", "warn")
        self._etcd = self.host.start("etcd", *options, log="etcd.log")

    def kill_etcd(self) -> None:
        """SIGKILL."""
        self._etcd.kill()

    def start_api(self) -> None:
        """kube-apiserver, until it is ready. Raises NotInTime with its log."""
        folder = self.host.folder
        self._api = self.host.start(
            *(str(self.programs / "kube-apiserver"), "--etcd-servers=http://127.0.0.1:2379"),
            *(f"--tls-cert-file={self.ca}", f"--tls-private-key-file={folder}/api.key"),
            *(f"--token-auth-file={folder}/tokens.csv", "--authorization-mode=RBAC"),
            *(f"--service-account-key-file={folder}/accounts.key", "--service-account-issuer=https://e2e"),
            *(f"--service-account-signing-key-file={folder}/accounts.key", f"--advertise-address={self.host.v4}"),
            *("--disable-admission-plugins=ServiceAccount", "--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112"),
            log="api.log",
        )
        wait_until(self.ready, READY, "kube-apiserver is ready", seen=lambda: self._api.output()[-3000:], every=0.2)

    def kill_api(self) -> None:
        """SIGKILL."""
        self._api.kill()

    def signal_api(self, number: int) -> None:
        """SIGSTOP and SIGCONT: a server that takes connections and says nothing."""
        self._api.signal(number)

    def ready(self) -> bool:
        """Whether it says so itself, etcd included."""
        try:
            return bool(self.request("GET", "/readyz", timeout=3) == "ok")
        except (NotYet, Refused):
            return False

    def _write_secrets(self) -> None:
        folder = self.host.folder
        run(["openssl", "genrsa", "-out", f"{folder}/accounts.key", "2048"])
        names = f"subjectAltName=IP:{self.host.v4},IP:127.0.0.1"
        form = ("-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=e2e", "-addext", names)
        run(["openssl", "req", *form, "-keyout", f"{folder}/api.key", "-out", str(self.ca)])
        (folder / "tokens.csv").write_text(f'{ADMIN},admin,admin,"system:masters"\n')
        self.kubeconfig.write_text(json.dumps(self._administrator()))

    def _administrator(self) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "e2e",
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "admin"}}],
            "clusters": [{"name": "e2e", "cluster": {"server": self.url, "certificate-authority": str(self.ca)}}],
            "users": [{"name": "admin", "user": {"token": ADMIN}}],
        }

    # --- asking ---

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl; what it printed. Raises CommandFailed."""
        program = [str(self.programs / "kubectl"), "--kubeconfig", str(self.kubeconfig)]
        inside = ["ip", "netns", "exec", self.host.namespace, *program, *arguments]
        return run(inside, stdin=stdin, check=check, timeout=120)

    def environment(self) -> dict[str, str]:
        """For a shell in which a person would type kubectl."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "PATH": f"{self.programs}:{os.environ['PATH']}"}

    def request(
        self, method: str, path: str, body: Object | None = None, content_type: str = "", timeout: float = 15
    ) -> Any:
        """One request of the administrator's; the answer, decoded where it is JSON.

        Raises Refused, and NotYet where there is none.
        """
        if time.monotonic() - self._asked_at > IDLE:
            self._hang_up()
        connection, self._connection = self._connection, None  # kept only when all of it goes well
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": content_type or "application/json"}
        try:
            connection = connection or self.host.inside(self._connect, timeout)
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            if connection is not None:
                connection.close()
            raise NotYet(f"{method} {path}: {error}") from error
        self._connection, self._asked_at = connection, time.monotonic()
        if answer.status >= 300:
            raise Refused(answer.status, text)
        return json.loads(text) if text.startswith("{") else text

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self.ca))
        connection = http.client.HTTPSConnection(self.host.v4, PORT, timeout=timeout, context=context)
        connection.connect()
        return connection

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, kind: str, name: str = "", namespace: str | None = None) -> Any:
        """An object, or the list of a kind (`nodes`, `bgppeers`)."""
        return self.request("GET", path_of(kind, name, namespace))

    def find(self, kind: str, name: str, namespace: str | None = None) -> Any:
        """An object, or None."""
        try:
            return self.get(kind, name, namespace)
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def apply(self, *objects: Object) -> None:
        """Create or change objects, by server-side apply. A Node's status goes with it."""
        for one in objects:
            meta = one["metadata"]
            path = path_of(_plural(one["kind"]), meta["name"], meta.get("namespace"))
            # An apply takes one address of each type (the schema's key), and a Node of two families has two.
            said = {key: value for key, value in one.items() if key != "status"}
            self.request("PATCH", f"{path}?fieldManager=e2e&force=true", said, APPLY)
            if one["kind"] == "Node":
                self.patch("nodes", meta["name"], {"status": one["status"]}, subresource="status")

    def patch(self, kind: str, name: str, change: Object, namespace: str | None = None, subresource: str = "") -> None:
        """A merge patch."""
        path = path_of(kind, name, namespace) + (f"/{subresource}" if subresource else "")
        self.request("PATCH", path, change, "application/merge-patch+json")

    def delete(self, kind: str, name: str, namespace: str | None = None) -> None:
        """Delete an object at once; fine when it is not there."""
        try:
            self.request("DELETE", path_of(kind, name, namespace) + "?gracePeriodSeconds=0")
        except Refused as error:
            if error.status != 404:
                raise


_GROUPS = {
    "ipaddresspools": "metallb.io/v1beta1",
    "bgpadvertisements": "metallb.io/v1beta1",
    "bgppeers": "metallb.io/v1beta2",
    "bfdprofiles": "metallb.io/v1beta1",
    "endpointslices": "discovery.k8s.io/v1",
    "events": "events.k8s.io/v1",
    "leases": "coordination.k8s.io/v1",
    "deployments": "apps/v1",
    "daemonsets": "apps/v1",
    "roles": "rbac.authorization.k8s.io/v1",
    "clusterroles": "rbac.authorization.k8s.io/v1",
    "frrconfigurations": "frrk8s.metallb.io/v1beta1",
}
"""The API group and version of each kind outside the core group."""


def path_of(kind: str, name: str = "", namespace: str | None = None) -> str:
    """The path of an object, or of all of a kind."""
    group = _GROUPS.get(kind)
    root = f"/apis/{group}" if group else "/api/v1"
    where = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{where}/{kind}" + (f"/{name}" if name else "")


def _plural(kind: str) -> str:
    return kind.lower() + "s"
