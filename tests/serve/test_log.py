"""The log: one line an event, in a vocabulary that is kept."""

import ast
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import pytest
import structlog

import speaker
from speaker.log import LogEvent, configure

SOURCES = sorted(Path(speaker.__path__[0]).rglob("*.py"))

LEVELS = ("debug", "info", "warning", "error", "exception", "critical")

EVERYWHERE = {"exc_info", "router", "lane", "node", "address"}
"""What structlog itself takes out of an event, and whom it is about, where that is not bound."""

pytestmark = pytest.mark.usefixtures("log_as_before")


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object_on_one_line() -> None:
    """Time, level and event in front, then what was bound, then its own keys."""
    stream = io.StringIO()
    configure("info", "json", stream)
    log = structlog.get_logger().bind(node="leviathan1")
    log.warning(LogEvent.SESSION_ENDED, cause="connection-lost", text="two\nlines", seen=Path("/tmp"))
    (said,) = lines(stream)
    assert list(said) == ["timestamp", "level", "event", "node", "cause", "text", "seen"]
    assert (said["event"], said["level"], said["seen"]) == ("session_ended", "warning", "/tmp")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(str(said["timestamp"]))).total_seconds()) < 60


def test_what_is_below_the_level_is_not_said() -> None:
    """Info has no states."""
    stream = io.StringIO()
    configure("info", "json", stream)
    structlog.get_logger().debug(LogEvent.DIALING)
    assert stream.getvalue() == ""


def test_a_reload_changes_loggers_that_were_bound_before_it() -> None:
    """Sessions that live on take up the new level and format."""
    stream = io.StringIO()
    configure("error", "json", stream)
    log = structlog.get_logger().bind(node="leviathan1")
    log.info(LogEvent.LISTENING)
    configure("debug", "text", stream)
    log.debug(LogEvent.DIALING, remote="Connect")
    (said,) = stream.getvalue().splitlines()
    assert said.endswith("[debug    ] dialing node=leviathan1 remote=Connect")


def test_through_a_pipe_it_is_json_unless_said() -> None:
    """And without colours where text was asked for."""
    stream = io.StringIO()
    configure("info", None, stream)
    structlog.get_logger().info(LogEvent.LISTENING, address="192.168.3.10:1790")
    configure("info", "text", stream)
    structlog.get_logger().info(LogEvent.LISTENING, address="192.168.3.10:1790")
    first, second = stream.getvalue().splitlines()
    assert first.startswith("{")
    assert "\x1b" not in second


def test_on_a_terminal_it_is_text_unless_said() -> None:
    """A pseudo terminal is one."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal:
        configure("info", None, terminal)
        structlog.get_logger().info(LogEvent.LISTENING, address="192.168.3.10:1790")
        said = os.read(ours, 4096).decode()
    os.close(ours)
    assert "listening" in said
    assert not said.startswith("{")


def test_libraries_speak_in_our_own_form() -> None:
    """aiohttp's errors and Python's warnings are events too."""
    stream = io.StringIO()
    configure("info", "json", stream)
    logging.getLogger("aiohttp.server").error("Error handling %s", "request")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("something is old", DeprecationWarning, stacklevel=1)
    first, second = lines(stream)
    assert (first["event"], first["logger"], first["text"]) == (
        "library_said",
        "aiohttp.server",
        "Error handling request",
    )
    assert "something is old" in str(second["text"])


def test_a_fault_is_logged_with_its_traceback_on_one_line() -> None:
    """So that it can be reported."""
    stream = io.StringIO()
    configure("info", "json", stream)
    try:
        raise ZeroDivisionError("here")
    except ZeroDivisionError:
        structlog.get_logger().exception(LogEvent.REQUEST_FAILED, path="/v1/status")
    (said,) = lines(stream)
    assert "ZeroDivisionError: here" in str(said["exception"])


def say_into(stream: TextIO) -> None:
    configure("info", "json", stream)
    structlog.get_logger().info(LogEvent.LISTENING, address="192.168.3.10:1790")


def test_a_reader_that_leaves_ends_no_session() -> None:
    """`onepeer run 2>&1 | head` goes on running."""
    read, write = os.pipe()
    with os.fdopen(write, "wb", buffering=0) as raw:
        stream = io.TextIOWrapper(raw, write_through=True)
        say_into(stream)
        os.close(read)
        say_into(stream)
        stream.detach()


def test_a_full_disk_ends_no_session() -> None:
    """/dev/full is one."""
    with open("/dev/full", "wb", buffering=0) as raw:
        stream = io.TextIOWrapper(raw, write_through=True)
        say_into(stream)
        stream.detach()


# ---- the vocabulary


def calls() -> Iterator[tuple[str, str, ast.expr, list[ast.keyword]]]:
    """Where, level, event and keys of everything that looks like `log.LEVEL(EVENT, key=...)` in Onepeer."""
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            if node.func.attr in LEVELS:
                yield f"{source.name}:{node.lineno}", node.func.attr, node.args[0], node.keywords


def test_every_event_is_said_with_its_own_level_and_keys() -> None:
    """docs/logs.md can be relied on for filters and alerts."""
    seen = set()
    for where, level, said, words in calls():
        if isinstance(said, ast.Attribute) and ast.unparse(said.value) == "LogEvent":
            event = LogEvent[said.attr]
            keys = {word.arg for word in words if word.arg is not None}
            assert keys - EVERYWHERE <= set(event.keys), f"{where}: {event} has keys that log.py does not list"
            assert level in (event.level, "exception"), f"{where}: {event} is {event.level}, not {level}"
            seen.add(event)
    assert LogEvent.CONTROL_LISTENING in seen


def test_nothing_is_said_that_is_not_in_the_vocabulary() -> None:
    """No event by a bare string."""
    bare = [where for where, _, said, _ in calls() if isinstance(said, ast.Constant | ast.JoinedStr)]
    assert bare == []


def test_an_event_is_its_name() -> None:
    """In JSON, in sets and in comparisons."""
    assert LogEvent("session_ended") is LogEvent.SESSION_ENDED
    assert json.dumps(LogEvent.SESSION_ENDED) == '"session_ended"'
    assert all(event == event.name.lower() for event in LogEvent)
