"""What does a kubelet do with Onepeer's pod? The container of the Deployment, run on a node of the lab.

Everything is read from the API server: image arguments, user, capabilities, read-only root, environment, volumes,
probes. The container's root is a tmpfs with the programs of this machine bound into it, and nothing else: no /tmp, no
/etc/ssl, no home. The image's entry point is that of deploy/Dockerfile.

    bound = created by the ReplicaSet's or the DaemonSet's controller, then given a node (a scheduler's work)
"""

import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e.apiserver import PORT, ROOT, Cluster
from tests.e2e.objects import Object
from tests.lab import Host, Process, wait_until
from tests.lab.onepeer import COMMAND, answer

NAMESPACE = "onepeer-system"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
IN_ETC = ("passwd", "group", "nsswitch.conf", "ld.so.cache", "localtime")
"""What an image has in /etc, as far as Python looks there."""

CONTAINER = """
set -e
root=$1; repo=$2; python=$3; shift 3
mount -t tmpfs -o mode=755 none "$root"
for place in /usr /proc /sys /dev "$repo" "$python"; do
  mkdir -p "$root$place"; mount --rbind "$place" "$root$place"
done
for name in bin sbin lib lib64; do
  if [ -L "/$name" ]; then ln -s "$(readlink "/$name")" "$root/$name"
  elif [ -d "/$name" ]; then mkdir -p "$root/$name"; mount --rbind "/$name" "$root/$name"; fi
done
mkdir -p "$root/etc" "$root/run" "$root/var"
ln -s ../run "$root/var/run"
for name in $IN_ETC; do [ ! -e "/etc/$name" ] || cp "/etc/$name" "$root/etc/$name"; done
while [ "$1" != -- ]; do
  mkdir -p "$root$2"; mount --rbind "$1" "$root$2"
  [ "$3" = rw ] || mount -o remount,bind,ro "$root$2"
  shift 3
done
shift
[ "$ROOT_MODE" = rw ] || mount -o remount,ro "$root"
exec chroot "$root" "$@"
"""
"""Shell: $1 becomes a root with volumes (SOURCE TARGET ro|rw, up to `--`), and the rest of the arguments runs in it.
All mounts are seen by that process alone: `ip netns exec` gives it a mount namespace (ip-netns(8))."""

_runs = itertools.count(1)


class Pod:
    """One pod of Onepeer's on one node, and its only container."""

    def __init__(self, cluster: Cluster, host: Host) -> None:
        self.cluster = cluster
        self.host = host
        self.process: Process | None = None
        self.folder = host.folder / f"pod{next(_runs)}"
        self.socket = self.folder / "run" / "control.sock"
        """Its control socket, from outside."""
        self._pod: Object = {}
        self._log: Path | None = None
        self._settings: dict[Path, str] = {}

    # --- the pod ---

    def schedule(self) -> None:
        """Take the pod that a controller has made for this node, or one that no node has yet."""
        found: Object = wait_until(self._free, 15, "a controller makes Onepeer's pod", every=0.1)
        name = found["metadata"]["name"]
        if not found["spec"].get("nodeName"):
            target = {"apiVersion": "v1", "kind": "Node", "name": self.host.name}
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
            self.cluster.request("POST", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/binding", binding)
        self._pod = self.cluster.get("pods", name, NAMESPACE)
        self._make_volumes()

    def _free(self) -> Object | None:
        for pod in self.cluster.get("pods", namespace=NAMESPACE)["items"]:
            wanted = pod["spec"].get("nodeName") or _affine_to(pod)
            ended = pod["metadata"].get("deletionTimestamp")
            if not ended and wanted in (None, self.host.name) and "phase" not in _running(pod):
                return dict(pod)
        return None

    def tell(self, ready: bool) -> None:
        """Its status, for the controllers and for `kubectl get pods`."""
        condition = [{"type": kind, "status": str(ready)} for kind in ("Ready", "ContainersReady")]
        status = {"phase": "Running", "podIP": self.host.v4, "hostIP": self.host.v4, "conditions": condition}
        self.cluster.patch("pods", self.name, {"status": status}, NAMESPACE, "status")

    def remove(self) -> None:
        """The end of the pod, its volumes with it: deleted by a person, or evicted."""
        self.stop()
        self.cluster.delete("pods", self.name, NAMESPACE)
        shutil.rmtree(self.folder)

    @property
    def name(self) -> str:
        return str(self._pod["metadata"]["name"])

    @property
    def container(self) -> Object:
        (container,) = self._pod["spec"]["containers"]
        return dict(container)

    # --- its volumes ---

    def _make_volumes(self) -> None:
        self.folder.mkdir(exist_ok=True)
        for volume in self._pod["spec"]["volumes"]:
            folder = self._volume(volume["name"])
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777)  # kubelet: emptyDir is 0777, whoever the pod's user is
        (self.folder / "root").mkdir(exist_ok=True)
        self.sync()
        self.renew_token()

    def _volume(self, name: str) -> Path:
        return self.folder / name

    def sync(self) -> None:
        """Bring ConfigMaps and Secrets up to date, each by one rename of the link ..data, as kubelet does."""
        for volume in self._pod["spec"]["volumes"]:
            files = self._files(volume)
            if files is not None:
                _swap(self._volume(volume["name"]), files)

    def _files(self, volume: Object) -> dict[str, str] | None:
        if "configMap" in volume:
            return dict(self.cluster.get("configmaps", volume["configMap"]["name"], NAMESPACE)["data"])
        if "secret" in volume:
            secret = self.cluster.find("secrets", volume["secret"]["secretName"], NAMESPACE)
            assert secret or volume["secret"].get("optional"), f"no Secret {volume['secret']['secretName']}"
            encoded = (secret or {}).get("data", {})
            return {key: base64.b64decode(value).decode() for key, value in encoded.items()}
        return None

    def renew_token(self) -> None:
        """Put a new token of its ServiceAccount where kubelet projects it."""
        account = self._pod["spec"]["serviceAccountName"]
        path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        token = self.cluster.request("POST", path, asked)["status"]["token"]
        ca = self.cluster.ca.read_text()
        _swap(self.folder / "account", {"token": token, "ca.crt": ca, "namespace": NAMESPACE})

    # --- its container ---

    def start(self) -> None:
        """Start the container, and wait until it answers. Raises NotInTime with its log."""
        self.launch()
        wait_until(self.answers, 20, "Onepeer answers", seen=self.output)

    def launch(self) -> None:
        """Start the container without waiting. After an end of it, this is a restart in the same pod."""
        container, number = self.container, next(_runs)
        assert self._pod["spec"]["hostNetwork"], "its router-facing address is the node's"
        wrapped = (*self._wrapping(), *self._user(), COMMAND, *container["args"])
        environment = {"IN_ETC": " ".join(IN_ETC), "ROOT_MODE": self._root_mode(), **self._environment()}
        self.process = self.host.start(*wrapped, log=f"onepeer-{number}.log", env=environment)
        self._log = self.process.log

    def _wrapping(self) -> tuple[str, ...]:
        base = str(Path(sys.base_prefix))
        mounts = [(self.folder / "account", ACCOUNT, "ro")] if self._pod["spec"]["automountServiceAccountToken"] else []
        for mount in self.container["volumeMounts"]:
            mode = "ro" if mount.get("readOnly") else "rw"
            mounts.append((self._volume(mount["name"]), mount["mountPath"], mode))
        flat = [str(word) for mount in mounts for word in mount]
        return ("sh", "-c", CONTAINER, "sh", str(self.folder / "root"), str(ROOT), base, *flat, "--")

    def _root_mode(self) -> str:
        return "ro" if self.container["securityContext"]["readOnlyRootFilesystem"] else "rw"

    def _user(self) -> tuple[str, ...]:
        """What the securityContext makes of it."""
        whole = {**self._pod["spec"].get("securityContext", {}), **self.container["securityContext"]}
        capabilities = whole["capabilities"]
        assert capabilities["drop"] == ["ALL"]
        added = "".join(f",+{name.lower()}" for name in capabilities.get("add", []))
        user, group = (str(whole[key]) for key in ("runAsUser", "runAsGroup"))
        limits = [f"--bounding-set=-all{added}", f"--inh-caps=-all{added}", "--clear-groups"]
        if not whole["allowPrivilegeEscalation"]:
            limits.append("--no-new-privs")
        return ("setpriv", f"--reuid={user}", f"--regid={group}", *limits)

    def _environment(self) -> dict[str, str]:
        # A container has what the manifest says and no more; the lab adds this machine's own, which is harmless.
        values = {"KUBERNETES_SERVICE_HOST": self.cluster.host.v4, "KUBERNETES_SERVICE_PORT": str(PORT)}
        fields = {
            "status.hostIP": self.host.v4,
            "status.hostIPs": ",".join(self.host.addresses),
            "spec.nodeName": self.host.name,
            "metadata.name": self.name,
            "metadata.namespace": NAMESPACE,
        }
        for entry in self.container.get("env", []):
            source = entry.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
            values[entry["name"]] = fields[source] if source else entry["value"]
        return values

    def stop(self, timeout: float = 10) -> int:
        """SIGTERM; its exit status. Fine when it does not run."""
        if self.process is None:
            return 0
        self.process.signal(signal.SIGTERM)
        status = self.process.wait(timeout)
        self.process = None
        return status

    def crash(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process = None

    # --- asking it ---

    def answers(self) -> bool:
        """Whether its readiness could be asked: its HTTP server is the last that it opens."""
        assert self.alive(), f"Onepeer ended by itself:\n{self.output()}"
        return bool(self.probe("livenessProbe") or self.events("http_listening"))

    def alive(self) -> bool:
        """Whether the container runs, or was stopped by the test."""
        return self.process is None or self.process.alive()

    def probe(self, name: str) -> int:
        """The HTTP status of one of its probes, asked as kubelet asks it; 0 = nobody answers."""
        asked = self.container[name]["httpGet"]
        where = f"http://{asked.get('host', self.host.v4)}:{asked['port']}{asked['path']}"
        text = self.host.run("curl", "-s", "-m", "1", "-o", "/dev/null", "-w", "%{http_code}", where, check=False)
        return int(text or 0)

    def metrics(self) -> str:
        """What a Prometheus on this host scrapes."""
        port = self.container["livenessProbe"]["httpGet"]["port"]
        return self.host.run("curl", "-s", "-m", "2", f"http://127.0.0.1:{port}/metrics")

    def output(self) -> str:
        """The log of this container, or of the last one."""
        return self._log.read_text(errors="replace") if self._log else ""

    def events(self, event: str | None = None) -> list[dict[str, Any]]:
        """Its log as objects; only those of one event when named."""
        found = [json.loads(line) for line in self.output().splitlines() if line.startswith("{")]
        return [one for one in found if event is None or one.get("event") == event]

    def status(self) -> Any:
        """What `onepeer status -o json` prints."""
        return self.ask("status")

    def ask(self, what: str) -> Any:
        """What `onepeer WHAT -o json` prints."""
        return answer(self.socket, what)

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of its commands against it."""
        env: Mapping[str, str] = {**os.environ, "ONEPEER_SOCKET": str(self.socket)}
        return subprocess.run([COMMAND, *words], capture_output=True, text=True, timeout=30, check=False, env=env)


def _affine_to(pod: Object) -> str | None:
    """The node that the DaemonSet's controller wants it on: it leaves the binding to the scheduler."""
    terms = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    for term in terms.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", []):
        for field in term.get("matchFields", []):
            if field["key"] == "metadata.name":
                return str(field["values"][0])
    return None


def _running(pod: Object) -> Object:
    return {key: value for key, value in pod.get("status", {}).items() if key == "phase" and value != "Pending"}


def _swap(folder: Path, files: Mapping[str, str]) -> None:
    """Replace the files of a volume all at once: a fresh folder, and the link ..data moved to it."""
    folder.mkdir(exist_ok=True)
    fresh = folder / f"..{next(_runs)}"
    fresh.mkdir()
    for name, text in files.items():
        (fresh / name).write_text(text)
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(f"..data/{name}")
    moved = folder / "..data_tmp"
    moved.symlink_to(fresh.name)
    moved.replace(folder / "..data")
