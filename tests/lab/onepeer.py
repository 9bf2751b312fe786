"""Onepeer itself, as its users run it: `onepeer run -c FILE`, asked through its own commands."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.lab.netns import Host, Process
from tests.lab.wait import wait_until

READY = 20.0
"""Seconds until its control socket answers; under a second on a quiet machine."""

IN_ITS_OWN_RUN = """
set -e
mount -t tmpfs none /run
mkdir /run/onepeer
mount --bind "$1" /run/onepeer
mkdir -p /var/lib/onepeer
mount --bind "$2" /var/lib/onepeer
shift 2
exec "$@"
"""
"""Shell: the rest of its arguments is run with the folders $1 and $2 as /run/onepeer and /var/lib/onepeer, so that the
settings file need not name them. The mounts are seen by that process alone: `ip netns exec` gives it a mount namespace
(ip-netns(8))."""

COMMAND = str(Path(sys.executable).parent / "onepeer")


def answer(control: Path, what: str) -> Any:
    """What `onepeer WHAT -o json` prints, without the half second that a start of Python takes."""
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(5)
        one.connect(str(control))
        one.sendall(f"GET /v1/{what} HTTP/1.0\r\n\r\n".encode())
        said = b"".join(iter(lambda: one.recv(65536), b""))
    return json.loads(said.partition(b"\r\n\r\n")[2])


class Onepeer:
    """One `onepeer run` on one host."""

    def __init__(self, host: Host, settings: str | Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> None:
        """`settings`: the settings file, as its text or as a tree; its `nodes.file` is nodes.yaml."""
        self.host = host
        self.nodes = [dict(node) for node in nodes]
        self.folder = host.folder
        self.run = self.folder / "run"
        """What it sees as /run/onepeer."""
        self.run.mkdir(exist_ok=True)
        self.state = self.folder / "state"
        """What it sees as /var/lib/onepeer."""
        self.state.mkdir(exist_ok=True)
        self.socket = self.run / "control.sock"
        self.file = self.folder / "onepeer.yaml"
        self.settings: dict[str, Any] = dict(yaml.safe_load(settings) if isinstance(settings, str) else settings)
        self._text = settings if isinstance(settings, str) else None
        self.environment: dict[str, str] = {}
        """Variables that it is started with, beside those of the tests."""
        self.process: Process | None = None
        self._log: Path | None = None

    def write_settings(self) -> None:
        """Write the settings file: the text that was given, or `self.settings` as it now is."""
        self.file.write_text(self._text or yaml.safe_dump(self.settings, sort_keys=False))

    def write_nodes(self) -> None:
        """Write the roster as `self.nodes` now is, in one move, as a deployment tool does."""
        fresh = self.folder / "nodes.yaml.new"
        lines = [yaml.safe_dump(node, default_flow_style=True, sort_keys=False, width=1000) for node in self.nodes]
        fresh.write_text("nodes:\n" + "".join(f"  - {line}" for line in lines))
        fresh.rename(self.folder / "nodes.yaml")

    def launch(self) -> Process:
        """Start it without waiting."""
        self.write_settings()
        self.write_nodes()
        start = ("sh", "-c", IN_ITS_OWN_RUN, "sh", str(self.run), str(self.state))
        self.process = self.host.start(
            *start, COMMAND, "run", "-c", str(self.file), log="onepeer.log", env=self.environment
        )
        self._log = self.process.log
        return self.process

    def start(self) -> None:
        """Start, and return once `onepeer status` is answered. Raises NotInTime with its log."""
        self.launch()
        wait_until(self.ready, READY, "onepeer answers", seen=self.output)

    def ready(self) -> bool:
        assert self.process is None or self.process.alive(), f"onepeer ended by itself:\n{self.output()}"
        # connect(2) is enough, and cheaper than the CLI, which costs a start of Python each time
        return self.socket.exists() and self._answers()

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as one:
            try:
                one.connect(str(self.socket))
            except OSError:
                return False
            return True

    def reload(self) -> None:
        """SIGHUP, after writing both files as they now are."""
        self.write_settings()
        self.write_nodes()
        self._running().signal(signal.SIGHUP)

    def stop(self, timeout: float = 10) -> int:
        """SIGTERM; its exit status. Fine when it does not run."""
        if self.process is None:
            return 0
        self.process.signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            self.process.kill()
            late = f"onepeer did not end within {timeout:g} s of SIGTERM"
            raise AssertionError(f"{late}:\n{self.output()}") from error
        self.process = None
        return status

    def kill(self) -> None:
        """Make sure that it does not run."""
        if self.process is not None:
            self.process.kill()
            self.process = None

    def crash(self) -> None:
        """SIGKILL."""
        self._running().kill()
        self.process = None

    def signal(self, number: signal.Signals) -> None:
        """Send it, while it runs."""
        self._running().signal(number)

    def output(self) -> str:
        """Its log of the current run, or of the last one."""
        return self._log.read_text(errors="replace") if self._log else ""

    def events(self, event: str | None = None) -> list[dict[str, Any]]:
        """Its log of this run as objects; only those of one event when named."""
        found = [json.loads(line) for line in self.output().splitlines() if line.startswith("{")]
        return [one for one in found if event is None or one.get("event") == event]

    def ask(self, *words: str) -> Any:
        """What `onepeer WORDS -o json` prints, decoded."""
        done = self.cli(*words, "-o", "json")
        said = f"{done.stdout}{done.stderr}"
        assert done.returncode in (0, 3), f"onepeer {words}: exit {done.returncode}\n{said}"
        return json.loads(done.stdout)

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of its commands to the end, against this instance."""
        env = {**os.environ, "ONEPEER_SOCKET": str(self.socket)}
        command = [COMMAND, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=env)

    def rss(self) -> int:
        """Its resident memory in bytes."""
        text = Path(f"/proc/{self._running().pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def _running(self) -> Process:
        assert self.process is not None, "onepeer is not running"
        return self.process
