"""The control socket: what it answers, who may open it, and what becomes of its file."""

import asyncio
import contextlib
import itertools
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from speaker.log import LogEvent
from speaker.serve.control import SLICE, serve_control
from speaker.serve.site import ServeError
from speaker.serve.views import RoutesView, RouteView, StatusView
from tests.serve.example import ROUTES, Example, status
from tests.serve.http import get


def ask(source: Example, path: Path, target: str) -> tuple[int, str]:
    """Serve `source` and ask it once."""

    async def once() -> tuple[int, str]:
        async with serve_control(source, path):
            code, kind, body = await get(f"http://onepeer{target}", path)
            assert kind.startswith("application/json")
            return code, body

    return asyncio.run(once())


def test_the_status_is_the_view_as_json(tmp_path: Path) -> None:
    """A client reads with views.py what the source made with it."""
    code, body = ask(Example(), tmp_path / "s", "/v1/status")
    assert code == 200
    assert StatusView.model_validate_json(body) == status()


def test_routes_come_whole_whatever_their_number(tmp_path: Path) -> None:
    """Slices leave nothing out and put nothing twice."""
    for number in (0, 1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE):
        routes = tuple(ROUTES[0].model_copy(update={"prefix": f"192.168.30.{n}/32"}) for n in range(number))
        _, body = ask(Example(all_routes=routes), tmp_path / "s", "/v1/routes")
        assert tuple(RoutesView.model_validate_json(body).routes) == routes


def test_one_prefix_is_asked_for_by_name(tmp_path: Path) -> None:
    """The slash of a prefix survives the query."""
    _, body = ask(Example(), tmp_path / "s", "/v1/routes?prefix=192.168.30.22/32")
    assert [route["prefix"] for route in json.loads(body)["routes"]] == ["192.168.30.22/32"]


def test_a_text_that_is_no_prefix_is_refused_with_a_sentence(tmp_path: Path) -> None:
    """Also where the source is a generator, which says so at its first step."""
    code, body = ask(Example(), tmp_path / "s", "/v1/routes?prefix=gitea")
    assert code == 400
    assert "'gitea' does not appear to be" in json.loads(body)["error"]


def test_an_unknown_path_is_an_error_in_json(tmp_path: Path) -> None:
    """A newer command hears in words that this Onepeer does not know what it wants."""
    code, body = ask(Example(), tmp_path / "s", "/v2/status")
    assert (code, json.loads(body)) == (404, {"error": "Not Found: GET /v2/status"})


def test_a_fault_of_ours_is_a_500_and_is_logged(tmp_path: Path) -> None:
    """The server lives on and says that the log has more."""

    class Broken(Example):
        def status(self) -> StatusView:
            raise ZeroDivisionError

    with structlog.testing.capture_logs() as said:
        code, body = ask(Broken(), tmp_path / "s", "/v1/status")
    assert code == 500
    assert "request_failed" in json.loads(body)["error"]
    assert [one["path"] for one in said if one["event"] == LogEvent.REQUEST_FAILED] == ["/v1/status"]


def test_the_sessions_run_between_two_slices_of_routes(tmp_path: Path) -> None:
    """A large table is no reason for the loop to stand still."""
    made = 0

    class Large(Example):
        def routes(self, prefix: str | None) -> Iterator[RouteView]:
            nonlocal made
            for _ in range(10 * SLICE):
                made += 1
                yield ROUTES[0]

    async def turns() -> list[int]:
        """How much was made at each turn of the loop in which something was."""
        seen = [0]
        async with serve_control(Large(), tmp_path / "s"):
            asked = asyncio.create_task(get("http://onepeer/v1/routes", tmp_path / "s"))
            while not asked.done():
                await asyncio.sleep(0)
                if made != seen[-1]:
                    seen.append(made)
        return seen

    seen = asyncio.run(turns())
    assert len(ROUTES[0].paths) == 2
    assert max(after - before for before, after in itertools.pairwise(seen)) <= SLICE / 2 + 1


# ---- the socket file


@contextlib.asynccontextmanager
async def serving(path: Path) -> AsyncIterator[None]:
    async with serve_control(Example(), path):
        yield


def test_only_its_own_user_can_open_the_socket(tmp_path: Path) -> None:
    """And folders that are missing are made."""
    path = tmp_path / "run" / "onepeer" / "control.sock"

    async def mode() -> int:
        async with serving(path):
            return stat.S_IMODE(path.stat().st_mode)

    assert asyncio.run(mode()) == 0o600
    assert not path.exists()


def test_a_socket_left_by_a_crash_is_replaced(tmp_path: Path) -> None:
    """Nobody has to remove a file by hand before the next start."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert ask(Example(), path, "/v1/status")[0] == 200


def test_two_onepeers_do_not_share_a_socket(tmp_path: Path) -> None:
    """The second is told so, and the first keeps answering."""
    path = tmp_path / "s"

    async def second() -> tuple[str, int]:
        async with serving(path):
            with pytest.raises(ServeError) as refused:
                await serving(path).__aenter__()
            return str(refused.value), (await get("http://onepeer/v1/status", path))[0]

    said, code = asyncio.run(second())
    assert said.startswith(f"control.socket: cannot listen on {path}: another Onepeer answers there; stop")
    assert code == 200


def test_of_many_that_start_at_once_one_has_the_socket(tmp_path: Path) -> None:
    """Over what a crash left behind, too."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    def attempt() -> int:
        """A process that tries, says so by its exit status, and lives until its stdin ends."""
        child = os.fork()
        if child:
            return child
        os.close(write)

        async def hold() -> None:
            async with serving(path):
                await asyncio.to_thread(os.read, read, 1)

        try:
            asyncio.run(hold())
            os._exit(0)
        except ServeError:
            os._exit(7)
        finally:
            os._exit(9)

    read, write = os.pipe()
    children = [attempt() for _ in range(5)]
    os.close(read)
    losers = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(4)]
    os.close(write)
    winner = os.waitstatus_to_exitcode(os.wait()[1])
    assert (losers, winner, len(children)) == ([7] * 4, 0, 5)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """A typo in control.socket must not cost a file."""
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(ServeError, match=r"control\.socket: .*no socket is there; remove it"):
        asyncio.run(serving(path).__aenter__())
    assert path.read_text() == "mine"


def test_a_path_that_cannot_be_is_said_so(tmp_path: Path) -> None:
    """108 octets are all that a Unix socket's address has."""
    with pytest.raises(ServeError, match=r"control\.socket: .*path too long; name another path"):
        asyncio.run(serving(tmp_path / ("x" * 108)).__aenter__())


def test_a_successors_socket_is_not_removed(tmp_path: Path) -> None:
    """The old one ends after the new one has taken the path."""
    path = tmp_path / "s"

    async def replaced() -> bool:
        async with serving(path):
            path.unlink()
            path.write_text("the successor's")
        return path.exists()

    assert asyncio.run(replaced())


def test_it_ends_within_a_second_while_a_client_reads_slowly(tmp_path: Path) -> None:
    """A stop does not wait for somebody's pager."""
    path = tmp_path / "s"
    endless = Example(all_routes=ROUTES * 20_000)

    async def stop() -> float:
        loop = asyncio.get_running_loop()
        reader, writer = None, None
        async with serve_control(endless, path):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(b"GET /v1/routes HTTP/1.1\r\nHost: onepeer\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            began = loop.time()
        writer.close()
        return loop.time() - began

    assert asyncio.run(stop()) < 5
