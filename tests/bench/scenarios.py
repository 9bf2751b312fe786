"""What is measured, in which order.

A suite starts one fresh reflector, wires nodes and router to it and goes through its lines. Everything is
timed by the rig, on one clock, from the first byte that it writes to the moment when the router's table is
exactly right.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .reflectors import ASN, MODES, PORT, REFLECTOR, REFLECTORS, ROUTER, Reflector, Running
from .results import Line, Recorder, Results
from .rig import Failed, Rig
from .sandbox import cpu_seconds, peak_rss_mb

# FRR sends a new neighbor nothing for `coalesce-time`, 1 s by default: every cold start begins after it,
# for all.
SETTLE_MS = 1500
# How many nodes dial at a time where that is not what is measured: BIRD's and OpenBGPD's listen backlogs
# are 8 and 5.
AT_ONCE = 4
IDLE_SECONDS = 20
# So long after the last change a table counts as settled.
QUIET_MS = 500
# A reflector that needs longer than this for the first line of a suite is not made to do it in every round.
SLOW_SECONDS, SLOW_ROUNDS = 5, 2
VERY_SLOW_SECONDS = 20


@dataclass(frozen=True, slots=True)
class World:
    """One running reflector with its nodes and router."""

    rig: Rig
    running: Running
    nodes: int
    patience: int  # seconds for a cold start

    def ask(self, command: str, deadline: int = 30) -> dict[str, float]:
        """Like Rig.ask; a failure also says whether the daemon is still there."""
        try:
            return self.rig.ask(command, deadline)
        except Failed:
            self.running.check_alive()
            raise

    def bring_up(self) -> None:
        """Router and all nodes Established, and everything at rest."""
        self.ask("router up")
        self.ask(f"nodes up 0 {self.nodes} {AT_ONCE}", 60)
        self.ask(f"rest {SETTLE_MS}")


def _table_lines(suite: str) -> list[Line]:
    return [
        Line(suite, "from cold: first UPDATE until the router has all paths", "ms"),
        Line(suite, "the same: CPU time of the reflector", "s"),
        Line(suite, "the same: peak memory", "MB"),
        Line(suite, "a node joins: first UPDATE until the router has its paths", "ms"),
        Line(suite, "a node's TCP ends, until the router has lost its paths", "ms"),
        Line(suite, "one new prefix, node to router", "ms"),
        Line(suite, "one prefix withdrawn, node to router", "ms"),
        Line(suite, "the router returns: its OPEN until it has all paths", "ms"),
        Line(suite, "the router returns: its first SYN until it has all paths", "ms"),
    ]


def table(world: World, lines: list[Line], record: Recorder) -> None:
    """A table from cold, one node more, one less, one prefix, and the router's return."""
    cold, cpu, memory, join, leave, new, gone, from_open, from_syn = lines
    nodes = world.nodes - 1  # the last one is the one that joins
    world.ask("router up")
    world.ask(f"nodes up 0 {nodes} {AT_ONCE}", 60)
    world.ask(f"rest {SETTLE_MS}")
    before = cpu_seconds(world.running.pid)
    record(cold, world.ask(f"announce 0 {nodes}", world.patience)["ms"])
    record(cpu, cpu_seconds(world.running.pid) - before)
    record(memory, peak_rss_mb(world.running.pid))
    world.ask(f"nodes up {nodes} {nodes + 1} 1")
    world.ask("rest 300")
    record(join, world.ask(f"announce {nodes} {nodes + 1}")["ms"])
    world.ask("rest 100")
    record(leave, world.ask("die 0")["ms"])
    world.ask("rest 100")
    samples = world.rig.ask("one 50 1500")["samples"]
    record(new, *(sample[0] for sample in samples))
    record(gone, *(sample[1] for sample in samples))
    answer = world.ask("router restart", 60)
    record(from_open, answer["from_open_ms"])
    record(from_syn, answer["ms"])


def reconnect(world: World, lines: list[Line], record: Recorder) -> None:
    """All nodes' TCP ends in one moment, and all dial at once."""
    world.bring_up()
    world.ask(f"announce 0 {world.nodes}", world.patience)
    world.ask("rest 300")
    record(lines[0], world.ask("reconnect", 100)["ms"] / 1000)


def idle(world: World, lines: list[Line], record: Recorder) -> None:
    """Nothing but keepalives."""
    world.bring_up()
    world.ask("announce 0 200", world.patience)
    world.ask("rest 3000")
    before, begun = cpu_seconds(world.running.pid), time.monotonic()
    world.ask(f"rest {IDLE_SECONDS * 1000}", IDLE_SECONDS + 10)
    record(lines[0], 100 * (cpu_seconds(world.running.pid) - before) / (time.monotonic() - begun))
    record(lines[1], peak_rss_mb(world.running.pid))


def million(world: World, lines: list[Line], record: Recorder) -> None:
    """A table of 1,000,000 paths from cold."""
    world.bring_up()
    before = cpu_seconds(world.running.pid)
    record(lines[0], world.ask(f"announce 0 {world.nodes}", world.patience)["ms"] / 1000)
    record(lines[1], cpu_seconds(world.running.pid) - before)
    record(lines[2], peak_rss_mb(world.running.pid))


def modes(world: World, lines: list[Line], record: Recorder) -> None:
    """A table from cold for a router that takes ADD-PATH or does not, until nothing moves any more."""
    settled, cpu, choice, moved = lines
    plain = world.running.reflector.plain_lines
    world.ask(f"router up plain {plain}" if plain else "router up")
    world.ask(f"nodes up 0 {world.nodes} {AT_ONCE}", 60)
    world.ask(f"rest {SETTLE_MS}")
    before = cpu_seconds(world.running.pid)
    answer = world.ask(f"settle 0 {world.nodes} {QUIET_MS}", world.patience)
    spent = cpu_seconds(world.running.pid) - before
    record(settled, answer["ms"])
    record(cpu, spent)
    record(choice, 100 * json.loads(world.running.stop())["choice_seconds"] / spent)
    record(moved, answer["moves"])


@dataclass(frozen=True, slots=True)
class Suite:
    """One fresh reflector per round, and the lines it fills."""

    name: str
    nodes: int
    prefixes: int
    play: Callable[[World, list[Line], Recorder], None]
    lines: list[Line]
    most_rounds: int
    patience: int
    paths_per_prefix: int  # how many the router is to hold
    reflectors: tuple[Reflector, ...] = REFLECTORS

    def among(self, programs: list[str]) -> list[Reflector]:
        """What is played in this suite where only these programs are wanted."""
        return [reflector for reflector in self.reflectors if reflector.program in programs]


def _suite_table(name: str, nodes: int, prefixes: int, patience: int) -> Suite:
    title = f"{nodes} nodes x {prefixes} prefixes = {nodes * prefixes:,} paths"
    return Suite(name, nodes + 1, prefixes, table, _table_lines(title), 100, patience, nodes + 1)


_MODES_TITLE = "250 nodes x 400 prefixes, by what the router takes"
_AT_ONCE_TITLE = "250 nodes, 5,000 paths"
_IDLE_TITLE = "1000 sessions, 10,000 paths"
_MILLION_TITLE = "1000 nodes x 1000 prefixes = 1,000,000 paths"

SUITES = (
    _suite_table("100x200", 100, 200, 15),
    _suite_table("250x400", 250, 400, 90),
    Suite(
        "modes", 250, 400, modes,
        [
            Line(_MODES_TITLE, "from cold: first UPDATE until nothing moves any more", "ms"),
            Line(_MODES_TITLE, "the same: CPU time", "s"),
            Line(_MODES_TITLE, "the same: the choice of paths, share of the CPU time", "%"),
            Line(_MODES_TITLE, "the same: paths that moved to another node", "times"),
        ], 100, 30, 250, MODES,
    ),
    Suite(
        "reconnect", 250, 20, reconnect,
        [Line(_AT_ONCE_TITLE, "all reconnect at once, until all are Established", "s")], 3, 60, 250,
    ),
    Suite(
        "million", 1000, 1000, million,
        [
            Line(_MILLION_TITLE, "from cold: first UPDATE until the router has all paths", "s"),
            Line(_MILLION_TITLE, "the same: CPU time of the reflector", "s"),
            Line(_MILLION_TITLE, "the same: peak memory", "MB"),
        ], 1, 90, 1000,
    ),
    Suite(
        "idle", 1000, 50, idle,
        [
            Line(_IDLE_TITLE, "idle: share of one core", "%"),
            Line(_IDLE_TITLE, "idle: peak memory so far", "MB"),
        ], 1, 60, 200,
    ),
)  # fmt: skip


def play(binary: Path, suite: Suite, reflector: Reflector, results: Results) -> None:
    """One round of one suite with one reflector; what fails is recorded, not raised."""
    with results.expecting(reflector.name, suite.lines) as record:
        if suite.paths_per_prefix > reflector.most_nodes:
            raise Failed(f"it sends at most {reflector.most_nodes} paths of a prefix")
        with (
            Running(reflector, suite.nodes) as running,
            Rig(binary, suite.nodes, suite.prefixes, (REFLECTOR, PORT), ROUTER, ASN) as rig,
        ):
            suite.play(World(rig, running, suite.nodes, suite.patience), suite.lines, record)


def warm_up(names: list[str]) -> None:
    """Starts each reflector once, so that no first round pays for files that are not in memory yet."""
    for reflector in REFLECTORS:
        if reflector.name in names:
            with contextlib.suppress(Failed), Running(reflector, 1):
                pass


def straight(binary: Path, suite: Suite, results: Results) -> None:
    """The harness without a reflector: what no reflector could be faster than."""
    line = suite.lines[0]
    with (
        results.expecting("harness alone", [line]) as record,
        Rig(binary, suite.nodes, suite.prefixes) as rig,
    ):
        rig.ask(f"nodes up 0 {suite.nodes} {AT_ONCE}")
        answer = rig.ask(f"announce 0 {suite.nodes}")
        record(line, answer["ms"] / (1000 if line.unit == "s" else 1))


def rounds(suites: list[Suite], names: list[str], count: int, results: Results) -> Iterator[tuple[Suite, Reflector]]:
    """What to play, round by round: all reflectors once, then again, each time another one first.

    Noise that comes and goes so hits all of them alike. A reflector that is slow in a suite is left out of
    its later rounds, and one that failed in it twice as well.
    """
    for number in range(count):
        for suite in suites:
            reflectors = suite.among(names)
            for position in range(len(reflectors)):
                reflector = reflectors[(position + number) % len(reflectors)]
                if number < suite.most_rounds and not _enough(suite, reflector, number, results):
                    yield suite, reflector


def _enough(suite: Suite, reflector: Reflector, number: int, results: Results) -> bool:
    line = suite.lines[0]
    cell = results.cell(line, reflector.name)
    slowest = max(cell.samples, default=0) / (1000 if line.unit == "ms" else 1)
    if len(cell.failures) >= SLOW_ROUNDS or slowest > VERY_SLOW_SECONDS:
        return True
    return slowest > SLOW_SECONDS and number >= SLOW_ROUNDS
