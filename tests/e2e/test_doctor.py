"""`onepeer doctor` in the pod that deploy/ makes: with its user, its rights and its token."""

import json
import subprocess
from pathlib import Path

from tests.e2e.kubelet import COMMAND, Pod
from tests.e2e.world import World


def doctor(pod: Pod) -> dict[str, list[tuple[str, str]]]:
    """By check, what is not ok and how bad it is. As `kubectl exec` runs it: in the container, as its user."""
    assert pod.process is not None
    pid = str(pod.process.pid)
    user = next(line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "Uid:" in line)
    environment = dict(entry.split("=", 1) for entry in Path(f"/proc/{pid}/environ").read_text().split("\0") if entry)
    inside = ("nsenter", "--target", pid, "--all", "--root", "--setuid", user, "--setgid", user, "--no-fork")
    command = [*inside, COMMAND, "doctor", "-c", "/etc/onepeer/onepeer.yaml", "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert done.stderr == "", done.stderr
    found: dict[str, list[tuple[str, str]]] = {}
    for finding in json.loads(done.stdout)["findings"]:
        wrong = [] if finding["level"] == "ok" else [(finding["level"], finding["what"])]
        found[finding["check"]] = found.get(finding["check"], []) + wrong
    bad = any(level != "hint" for wrong in found.values() for level, _ in wrong)
    assert done.returncode == (3 if bad else 0)
    return found


def test_in_its_own_pod_the_doctor_finds_nothing_and_hints_at_what_the_manifests_leave_out(running: World) -> None:
    """No CAP_NET_RAW, asked for nothing but ARP; the exit status is 0. The test machine's clock is its own."""
    assert running.pod is not None
    found = doctor(running.pod)
    del found["clock"]
    assert found.pop("rights") == [("hint", "the running Onepeer has no CAP_NET_RAW")]
    assert {check: wrong for check, wrong in found.items() if wrong} == {}
    assert {"cluster", "routers", "ports", "files"} <= set(found)
