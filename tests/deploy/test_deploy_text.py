"""deploy/ as text: what holds without a cluster. The rest of it is applied to a real API server in tests/e2e."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
ROOT = DEPLOY.parent
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
STATE_ON_HOST = (DEPLOY / "components/state-on-host/kustomization.yaml").read_text()
SETTINGS = [DEPLOY / "onepeer.yaml", *DEPLOY.glob("overlays/*/onepeer.yaml")]

STAND_IN = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
  *"get pods"*) printf '%s' "{pods}" ;;
  *) case "$*" in *"$SILENT"*) exit 1 ;; esac; echo asked; exit 3 ;;
esac
"""
"""A kubectl that notes what it is asked, finds these pods, and of them one that does not answer."""


def test_the_base_image_is_pinned_to_a_patch_release() -> None:
    """Python 3.11, as the tests have it, on Debian 12."""
    (image,) = re.findall(r"^ARG PYTHON=(.*)$", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", image)
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${PYTHON}", "${PYTHON}"]


def test_every_package_in_the_image_has_its_hash() -> None:
    """pip and uv refuse what is not in requirements/ as it was pinned; our own wheel brings no dependency along."""
    installs = re.findall(r"(?:pip install|uv build)\b[^&\n]*", DOCKERFILE.replace("\\\n", " "))
    assert len(installs) == 4
    for line in installs:
        assert "--require-hashes" in line or "--no-deps" in line, line


def test_what_the_image_copies_is_there_and_sent_to_the_builder() -> None:
    """COPY of a path that the ignore file leaves out fails only in the builder."""
    allowed = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = {
        word.rstrip("/")
        for words in re.findall(r"^COPY (?!--)(.*)$", DOCKERFILE, re.MULTILINE)
        for word in words.split()[:-1]
    }
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_image_and_manifest_agree_on_the_user_and_the_version() -> None:
    """A number, so that kubelet can see that it is not root."""
    deployment = yaml.safe_load((DEPLOY / "base/deployment.yaml").read_text())
    context = deployment["spec"]["template"]["spec"]["securityContext"]
    (user,) = re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE)
    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    tag = yaml.safe_load((DEPLOY / "base/kustomization.yaml").read_text())["images"][0]["newTag"]
    assert version is not None
    assert version[1] == tag
    assert f"image: ghcr.io/onepeer/onepeer:{tag}\n" in STATE_ON_HOST
    assert f"-1, {context['runAsGroup']})" in STATE_ON_HOST


@pytest.mark.parametrize(("path", "count"), [("base/rbac.yaml", 16), ("overlays/replicas/rbac.yaml", 5)])
def test_every_verb_has_a_reason(path: str, count: int) -> None:
    """A comment behind each, in the file that people read before they apply it."""
    lines = (DEPLOY / path).read_text().splitlines()
    verbs = [line for line in lines if re.match(r"      - (get|list|watch|create|update|patch|delete)\b", line)]
    assert len(verbs) == count
    assert all(re.search(r"\S\s+# \S", line) for line in verbs), verbs
    assert not any("*" in line.split("#")[0] for line in lines)


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: path.parent.name)
def test_the_settings_files_are_good_in_a_pod(path: Path) -> None:
    """`onepeer check`, with the one thing that the pod adds: its host's addresses."""
    command = [ROOT / ".venv/bin/onepeer", "check", "-c", path]
    env = {**os.environ, "ONEPEER_HOST_IPS": "192.168.3.31,fd00:3::31"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_plugin_asks_every_replica_and_names_the_silent_one(tmp_path: Path) -> None:
    """The others' answers are shown, and the exit status is the worst."""
    done = _plugin(tmp_path, "a b c", "status", "-o", "json", silent="exec --stdin b")
    assert done.returncode == 1
    assert done.stdout == "asked\nasked\n"
    assert "kubectl onepeer: b could not be asked." in done.stderr
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[-1] == "--namespace=onepeer-system exec --stdin c --container=onepeer -- onepeer status -o json"


def test_the_plugin_hands_on_context_and_status(tmp_path: Path) -> None:
    """kubectl's own choice of cluster, and onepeer's 3 = something is missing."""
    done = _plugin(tmp_path, "a", "--context", "home", "-n", "bgp", "routes", "192.168.30.1")
    assert done.returncode == 3
    asked = (tmp_path / "asked").read_text().splitlines()
    flags = "--context=home --namespace=bgp"
    assert asked[0].startswith(f"{flags} get pods --selector=app.kubernetes.io/name=onepeer")
    assert asked[1] == f"{flags} exec --stdin a --container=onepeer -- onepeer routes 192.168.30.1"


def test_the_plugin_names_the_settings_in_the_pod_to_commands_that_read_them(tmp_path: Path) -> None:
    """Where the manifests have put them."""
    _plugin(tmp_path, "a", "doctor", "-o", "json")
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[-1].endswith("-- onepeer doctor -c /etc/onepeer/onepeer.yaml -o json")


@pytest.mark.parametrize(("words", "status"), [([], 2), (["run"], 2), (["--help"], 0)])
def test_the_plugin_runs_nothing_that_it_does_not_know(tmp_path: Path, words: list[str], status: int) -> None:
    """Usage instead."""
    done = _plugin(tmp_path, "a", *words)
    assert done.returncode == status
    assert "usage: kubectl onepeer" in done.stdout + done.stderr
    assert not (tmp_path / "asked").exists()


def test_the_plugin_asks_one_replica_of_the_router(tmp_path: Path) -> None:
    """Stdin can be read once, and only the one that leads has sent anything."""
    done = _plugin(tmp_path, "a b", "router", "verify", "-")
    assert (done.returncode, done.stdout) == (1, "")
    assert "--pod" in done.stderr
    _plugin(tmp_path, "a b", "--pod", "b", "router", "verify", "-")
    _plugin(tmp_path, "a", "router", "lines", "-d", "edgeos")
    asked = [line.partition("-- ")[2] for line in (tmp_path / "asked").read_text().splitlines() if "exec" in line]
    assert asked == ["onepeer router verify -", "onepeer router lines -c /etc/onepeer/onepeer.yaml -d edgeos"]


def test_the_plugin_says_where_it_looked(tmp_path: Path) -> None:
    """No pod there."""
    done = _plugin(tmp_path, "", "nodes")
    assert done.returncode == 1
    assert "no pod of Onepeer runs in namespace onepeer-system" in done.stderr


def _plugin(folder: Path, pods: str, *words: str, silent: str = "none") -> subprocess.CompletedProcess[str]:
    kubectl = folder / "kubectl"
    kubectl.write_text(STAND_IN.format(log=folder / "asked", pods=pods))
    kubectl.chmod(0o755)
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "SILENT": silent}
    command = [DEPLOY / "kubectl-onepeer", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, stdin=subprocess.DEVNULL)
