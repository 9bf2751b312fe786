"""Whatever goes wrong, the user reads one line that says what to do, and never a traceback."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from speaker.cli.ask import Asker, CannotAsk
from speaker.serve.control import serve_control
from tests.cli.command import COMMAND, Done, ask, environment, in_folder, onepeer, run, stranger
from tests.serve.example import ROUTES, Example, status


def one_line(done: Done) -> str:
    """The sentence on stderr of a command that failed."""
    assert (done.status, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert done.err.startswith("onepeer: ")
    return done.err.removeprefix("onepeer: ").removesuffix("\n")


def test_without_a_running_onepeer_it_says_how_to_start_it(tmp_path: Path) -> None:
    """The path that was tried, and where another comes from."""
    said = one_line(run("status", "--socket", str(tmp_path / "none.sock")))
    assert f"there is no socket {tmp_path}/none.sock; start it with `onepeer run -c FILE`" in said
    assert "ONEPEER_SOCKET" in said


def test_the_socket_can_be_named_in_the_environment(tmp_path: Path) -> None:
    """And an option goes before it."""
    assert "/from/env" in one_line(run("nodes", ONEPEER_SOCKET="/from/env"))
    assert "/from/option" in one_line(run("nodes", "--socket", "/from/option", ONEPEER_SOCKET="/from/env"))


def test_a_socket_that_a_crash_left_is_told_apart() -> None:
    """Nobody answers there any more."""

    async def left(path: Path) -> Done:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        return await onepeer("routes", "--socket", str(path))

    assert one_line(in_folder(left)).startswith("Onepeer does not run: nobody answers at ")


def test_a_file_that_is_no_socket_is_named() -> None:
    """A settings file after --socket, say."""
    assert one_line(run("status", "--socket", "/etc/passwd")).startswith("/etc/passwd is not a socket; name ")


def test_a_path_that_no_socket_can_have_is_named() -> None:
    """Longer than 107 octets."""
    assert one_line(run("status", "--socket", "/tmp/" + "x" * 200)).endswith("path too long")


def asked_as_nobody(path: Path) -> str:
    """In a child of ours, because nobody else may read this checkout."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            Asker(path).status()
        except CannotAsk as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as said:
        return said.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")
def test_a_user_who_may_not_ask_hears_who_may() -> None:
    """The socket is its owner's alone."""

    async def asked(path: Path) -> str:
        path.parent.chmod(0o755)
        async with serve_control(Example(), path):
            return asked_as_nobody(path)

    assert "is not for this user: ask as root or as the user that Onepeer runs as" in in_folder(asked)


@pytest.mark.parametrize("body", ["", "hello", "[]", '{"routes": 7}', '{"health": "ok"}', "{" * 100])
def test_another_programs_answer_is_not_taken_for_onepeers(body: str) -> None:
    """Not JSON, or another JSON."""

    async def asked(path: Path) -> Done:
        async with stranger(path, 200, body):
            return await onepeer("status", "--socket", str(path))

    assert one_line(in_folder(asked)).endswith("does not speak as Onepeer 0.1.0 does; is it another program?")


@pytest.mark.parametrize(("code", "body"), [(200, '{"health": "fine"}'), (404, '{"error": "Not Found"}'), (200, "x")])
def test_an_onepeer_of_another_version_is_told_so(code: int, body: str) -> None:
    """Both versions, and what to do."""

    async def asked(path: Path) -> Done:
        async with stranger(path, code, body, "onepeer/9.9.9"):
            return await onepeer("status", "--socket", str(path))

    said = one_line(in_folder(asked))
    assert "is version 9.9.9, this command is 0.1.0: use the onepeer command of 9.9.9, or restart it" in said


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"])
def test_an_answer_that_breaks_off_is_told_so(answer: bytes) -> None:
    """Onepeer ended in the middle of a word, or it is not HTTP at all."""

    async def asked(path: Path) -> Done:
        async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        async with await asyncio.start_unix_server(reply, path):
            return await onepeer("status", "--socket", str(path))

    assert one_line(in_folder(asked)).endswith("broke off: it has just ended, or is no Onepeer; ask again")


def test_a_fault_of_onepeers_own_points_to_its_log() -> None:
    """It is not the user's mistake, and still one line."""

    class Broken(Example):
        def status(self):  # type: ignore[no-untyped-def]
            raise ZeroDivisionError

    assert "its log says why" in one_line(ask(Broken(), "status"))


@pytest.mark.parametrize(
    "words",
    [
        ["statsu"],
        ["status", "--interval", "0"],
        ["status", "-o", "yaml"],
        ["run"],
        ["check", "-c"],
        ["routes", "a", "b"],
    ],
)
def test_wrong_usage_exits_with_two(words: list[str]) -> None:
    """And says what is wrong with it."""
    done = run(*words)
    assert done.status == 2
    assert "Error: " in done.err
    assert "Traceback" not in done.err


def test_a_pager_that_ends_early_is_no_error() -> None:
    """`onepeer routes | head -1`."""
    many = ROUTES * 5000

    async def piped(path: Path) -> tuple[bytes, bytes]:
        async with serve_control(Example(all_routes=many), path):
            command = f"'{COMMAND}' routes --socket '{path}' | head -n 1"
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_shell(command, stdout=pipe, stderr=pipe, env=environment())
            return await process.communicate()

    out, err = in_folder(piped)
    assert out.startswith(b"PREFIX")
    assert err == b""


def test_the_version_needs_no_running_onepeer() -> None:
    """For people and for programs."""
    assert run("version").out.startswith("onepeer 0.1.0 (exabgp 5.0.15, Python 3.")
    assert '"onepeer": "0.1.0"' in run("version", "-o", "json").out
    assert status().version == "0.1.0"
