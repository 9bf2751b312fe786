"""`onepeer run` as a supervisor sees it: it starts, is asked, is stopped, and says why it cannot."""

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from tests.cli.command import COMMAND, DEADLINE, Done, environment, in_folder, onepeer, run

HOST = f"127.{os.getpid() >> 16 & 63 | 64}.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"
"""A loopback address of this run's own: tests that run beside it have others."""


def write_settings(folder: Path, http: int = 9790) -> Path:
    """Settings for one router and one node that are not there."""
    (folder / "nodes.yaml").write_text("nodes: [{name: leviathan1, addresses: [127.0.0.31]}]\n")
    path = folder / "onepeer.yaml"
    path.write_text(
        f"asn: 64512\nlisten: {{addresses: [{HOST}]}}\nrouters: [{{address: 127.0.0.9, connect: passive}}]\n"
        f"nodes: {{file: nodes.yaml}}\nguard: {{prefixes: [192.168.30.0/24]}}\n"
        f"control: {{socket: control.sock}}\nhttp: {{address: {HOST}, port: {http}}}\nstate_dir: state\n"
    )
    return path


@contextlib.asynccontextmanager
async def running(settings: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, list[dict[str, object]]]]:
    """`onepeer run`, from the moment it can be asked; and what it has logged until then."""
    pipe, said = asyncio.subprocess.PIPE, []
    process = await asyncio.create_subprocess_exec(COMMAND, "run", "-c", str(settings), stderr=pipe, env=environment())
    assert process.stderr is not None
    try:
        while not said or said[-1]["event"] != "http_listening":
            said.append(json.loads(await asyncio.wait_for(process.stderr.readline(), DEADLINE)))
        yield process, said
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def test_it_runs_until_sigterm_and_answers_meanwhile() -> None:
    """Its log is JSON from the first line on, and tells where it can be asked."""

    async def life(sock: Path) -> tuple[Done, Done, int, list[object]]:
        async with running(write_settings(sock.parent)) as (process, said):
            status = await onepeer("status", "--socket", str(sock))
            again = await onepeer("run", "-c", str(sock.parent / "onepeer.yaml"))
            process.send_signal(signal.SIGTERM)
            code = await asyncio.wait_for(process.wait(), DEADLINE)
        return status, again, code, [one["event"] for one in said]

    status, again, code, said = in_folder(life)
    assert status.out.startswith("DOWN  0 of 1 node up; router down\n")
    assert "leviathan1" in status.out
    assert (status.status, code) == (3, 0)
    assert said[0] == "started"
    assert "control_listening" in said
    assert again.status == 1
    assert json.loads(again.err.splitlines()[-1])["event"] == "listen_failed"


def test_a_port_that_is_taken_ends_it_with_one_event(tmp_path: Path) -> None:
    """The key to change and the way out; nothing is left behind."""
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        done = run("run", "-c", str(write_settings(tmp_path, http=port)))
    last = json.loads(done.err.splitlines()[-1])
    assert done.status == 1
    assert (last["event"], last["key"], last["address"]) == ("listen_failed", "http.port", f"{HOST}:{port}")
    assert last["way_out"] == "choose another port, or stop that program"
    assert "Traceback" not in done.err
    assert not (tmp_path / "control.sock").exists()


def test_settings_with_mistakes_do_not_start(tmp_path: Path) -> None:
    """Each mistake is a line on stderr, as `check` has it."""
    path = write_settings(tmp_path)
    path.write_text(path.read_text().replace("64512", "0") + "gaurd: {}\n")
    done = run("run", "-c", str(path))
    assert (done.status, done.out) == (1, "")
    first, second = done.err.splitlines()
    assert first.startswith(f"onepeer: {path}:1: asn: 0 is not to be used")
    assert second.startswith(f"onepeer: {path}:9: gaurd: is not a key")
