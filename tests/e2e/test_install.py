"""docs/install.md, followed by the letter: every command is run as it is written, and prints what the page says.

Replaced are the machines that a namespace has not: kubelet (it runs nothing of the image nginx, and `kubectl exec` does
not reach it), the editor, the home folder, and the browser's side of the router.
"""

import os
import re
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.apiserver import ROOT, Refused
from tests.e2e.kubelet import NAMESPACE, Pod
from tests.e2e.world import ASN, MEMBERS, ONEPEER, World
from tests.lab import NotYet, Peer, wait_until
from tests.lab.onepeer import COMMAND

PAGE = (ROOT / "docs" / "install.md").read_text()
BLOCKS = re.findall(r"^```(console|router|client)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

EXEC = """#!/bin/sh
# kubectl, but for `exec`: no kubelet is here to carry it into the pod.
for word; do
  if [ "$word" = exec ]; then
    while [ "$1" != -- ]; do shift; done
    shift 2
    exec env ONEPEER_SOCKET={socket} {onepeer} "$@"
  fi
done
exec ip netns exec {namespace} {kubectl} "$@"
"""


class Kubelet(threading.Thread):
    """A kubelet and a scheduler for all nodes, as far as this page needs them."""

    def __init__(self, world: World) -> None:
        super().__init__(name="kubelet", daemon=True)
        self._world = world
        self._cluster = world.cluster.another()
        self._over = threading.Event()
        self.pod: Pod | None = None

    def run(self) -> None:
        while not self._over.wait(0.2):
            try:
                self._look()
            except (NotYet, Refused):
                continue

    def stop(self) -> None:
        self._over.set()
        self.join()

    def _look(self) -> None:
        cluster = self._cluster
        if self.pod is None and cluster.get("pods", namespace=NAMESPACE)["items"]:
            pod = Pod(cluster, self._world.hosts["leviathan1"])
            pod.schedule()
            pod.launch()
            self.pod = pod
        if self.pod is not None and self.pod.alive():
            self.pod.tell(ready=self.pod.probe("readinessProbe") == 200)
        for number, web in enumerate(cluster.get("pods", namespace="default")["items"]):
            if "podIP" not in web["status"]:
                self._run_web(web["metadata"]["name"], MEMBERS[number % len(MEMBERS)], f"10.0.{number}.7")

    def _run_web(self, name: str, node: str, address: str) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
        cluster = self._cluster
        cluster.request("POST", f"/api/v1/namespaces/default/pods/{name}/binding", binding)
        conditions = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions}
        cluster.patch("pods", name, {"status": status}, "default", "status")


class Reader:
    """Who follows the page."""

    def __init__(self, world: World, kubelet: Kubelet, folder: Path) -> None:
        self._world, self._kubelet = world, kubelet
        self.checkout = folder / "onepeer"
        self.checkout.mkdir()
        for name in ("deploy", "docs"):
            shutil.copytree(ROOT / name, self.checkout / name)
        self.home = folder / "home"
        (self.home / ".local/bin").mkdir(parents=True)
        self._bin = folder / "bin"
        self._bin.mkdir()

    def types(self, command: str) -> str:
        """Run a command in a shell; what it printed. A failure shows it."""
        cluster = self._world.cluster
        socket = self._kubelet.pod.socket if self._kubelet.pod else "none"
        names = {"socket": socket, "onepeer": COMMAND, "namespace": cluster.host.namespace}
        wrapper = self._bin / "kubectl"
        wrapper.write_text(EXEC.format(**names, kubectl=cluster.programs / "kubectl"))
        wrapper.chmod(0o755)
        path = f"{self._bin}:{self.home}/.local/bin:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.checkout,
            env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "HOME": str(self.home), "PATH": path}
            | {"EDITOR": "true"},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        print(f"$ {command}\n{done.stdout}{done.stderr}", end="")
        assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def kubelet(world: World) -> Iterator[Kubelet]:
    """Runs Onepeer's pod when one is made; everything is away afterwards."""
    world.wipe()
    world.router.replace_peers([])
    one = Kubelet(world)
    one.start()
    yield one
    one.stop()
    world.router.replace_peers([Peer(ONEPEER, ASN)])
    world.cluster.kubectl("delete", "deployments,replicasets,pods,services", "--all", "--wait=false", check=False)
    world.pod = one.pod
    world.undeploy()
    world.wipe()


def test_the_page_from_kubectl_to_the_first_reached_service(world: World, kubelet: Kubelet, tmp_path: Path) -> None:
    """A Service of type LoadBalancer answers a client behind the router."""
    reader = Reader(world, kubelet, tmp_path)
    for kind, text in BLOCKS:
        if kind == "console":
            _console(reader, text)
        elif kind == "router":
            wait_until(lambda: kubelet.pod, 15, "Onepeer's pod runs")
            world.router.configure(*text.splitlines())
        else:
            _client(world, text)


def test_the_page_shows_the_settings_file_as_it_is() -> None:
    """Else: copy deploy/onepeer.yaml into the page."""
    shown = re.search(r"<!-- made: deploy/onepeer.yaml -->\n\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    assert shown[1] == (ROOT / "deploy" / "onepeer.yaml").read_text()


def _console(reader: Reader, text: str) -> None:
    """`$ command` lines, each with the output expected below it: `...` stands for any lines or words."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, wanted = part.partition("\n")
        printed = reader.types(command)
        pattern = ".*".join(re.escape(piece) for piece in wanted.rstrip("\n").split("..."))
        assert re.search(pattern, printed, re.DOTALL), f"{command} printed:\n{printed}\ninstead of:\n{wanted}"


def _client(world: World, text: str) -> None:
    """Typed at the machine behind the router. A web server answers at the service's address on each node."""
    command = text.removeprefix("$ ").strip()
    address = re.search(r"http://([0-9.]+)/", command)
    assert address is not None
    assert world.address_of("web") == address[1], "the page names another address than MetalLB gives"
    folder = world.lab.folder / "www"
    folder.mkdir(exist_ok=True)
    (folder / "index.html").write_text("Welcome to nginx!\n")
    server = ("python3", "-m", "http.server", "80", "--bind", address[1], "--directory", str(folder))
    servers = []
    for name in MEMBERS:
        world.hosts[name].add_service_address(address[1])
        servers.append(world.hosts[name].start(*server, log="www.log"))
    world.routed(address[1], *MEMBERS)
    deadline = time.monotonic() + 10
    while "Welcome" not in (said := world.client.run(*shlex.split(command), check=False)):
        assert time.monotonic() < deadline, said
        time.sleep(0.2)
    for one in servers:
        one.terminate()
