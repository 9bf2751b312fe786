"""The nodes and the router of the benchmark: compiles `rig.c` and talks to it.

A command's answer is a dict; one that says the rig could not bring about what was asked raises `Failed`
with what was missing, in words.
"""

import json
import selectors
import subprocess
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("rig.c")
Answer = dict[str, Any]


class Failed(Exception):
    """The reflector did not do what the scenario asks; the text says what was missing."""


def compile_rig(folder: Path) -> Path:
    """Compiles the rig into the folder, which takes about a second."""
    binary = folder / "rig"
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", binary, SOURCE], check=True)
    return binary


class Rig:
    """Nodes and a router that dial one reflector; without one the nodes dial the receiver itself."""

    def __init__(
        self,
        binary: Path,
        nodes: int,
        prefixes: int,
        reflector: tuple[str, int] | None = None,
        router: str = "",
        asn: int = 64512,
    ) -> None:
        where = [reflector[0], str(reflector[1]), router, str(asn)] if reflector else ["--straight"]
        self._process = subprocess.Popen(
            [binary, str(nodes), str(prefixes), *where], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> "Rig":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, command: str, deadline: int = 30) -> Answer:
        """Sends one command and waits for its answer, `deadline` seconds and a little more."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{deadline} {command}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Failed("the rig has ended") from None
        with selectors.DefaultSelector() as ready:
            ready.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if ready.select(deadline + 60) else b""
        if not line:
            raise Failed(f"the rig gave no answer to: {command}")
        answer: Answer = json.loads(line)
        if not answer["ok"]:
            raise Failed(_why(answer, deadline))
        return answer


def _why(answer: Answer, deadline: int) -> str:
    if answer["lost"]:
        return f"{answer['lost']} sessions lost; the last: {answer['last']}"
    if answer["strange"]:
        return f"{answer['strange']} messages that no node's path explains"
    table = f"{answer['paths']} paths held, {answer['expected']} wanted, {answer['wrong']} cells differ"
    sessions = f"{answer['established']} sessions up; last trouble: {answer['last']}"
    return f"not within {deadline} s: {table}; {sessions}"
