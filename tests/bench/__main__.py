"""`python -m tests.bench`: runs the benchmark and prints its tables.

Exit status: 0 also when a reflector failed in a scenario (the tables say so), 1 when Onepeer did, 2 usage.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from . import report, sandbox
from .reflectors import MODES, REFLECTORS
from .results import Results
from .rig import compile_rig
from .scenarios import SUITES, play, rounds, straight, table, warm_up

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bird2", "frr", "openbgpd", "gobgpd", "gcc", "libc6-dev", "iproute2", "util-linux")
NAMES = [reflector.name for reflector in REFLECTORS]
QUICK_SECONDS, FULL_SECONDS = 50, 14 * 60


def _chosen(known: list[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        by_lower = {name.lower(): name for name in known}
        wanted = [word.strip().lower() for word in text.split(",")]
        unknown = [word for word in wanted if word not in by_lower]
        if unknown:
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {', '.join(known)}")
        return [name for lower, name in by_lower.items() if lower in wanted]

    return parse


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    suites = [suite.name for suite in SUITES]
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default 5)")
    parser.add_argument("--only", type=_chosen(NAMES), default=NAMES, metavar="NAME,...", help=", ".join(NAMES))
    parser.add_argument("--scenario", type=_chosen(suites), default=suites, metavar="NAME,...", help=", ".join(suites))
    parser.add_argument("--quick", action="store_true", help="one round of 100x200, within a minute")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the page, keeping its notes")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.scenario = 1, ["100x200"]
    return options


def measure(options: argparse.Namespace) -> Results:
    """Plays the rounds until they are over or the time is, and says on stderr what it is doing."""
    results = Results()
    suites = [suite for suite in SUITES if suite.name in options.scenario]
    binary = compile_rig(sandbox.SCRATCH)
    warm_up(options.only)
    begun, others = time.monotonic(), _others_cpu_seconds()
    end = begun + (QUICK_SECONDS if options.quick else FULL_SECONDS)
    longest: dict[tuple[str, str], float] = {}
    skipped: set[str] = set()
    for suite in suites:
        if suite.play is table:
            for _ in range(options.rounds):
                straight(binary, suite, results)
    for suite, reflector in rounds(suites, options.only, options.rounds, results):
        started = time.monotonic()
        if started + longest.get((suite.name, reflector.name), 0) > end:
            skipped.add(f"{reflector.name} {suite.name}")
            continue
        print(f"{started - begun:4.0f} s  {suite.name}  {reflector.name}", file=sys.stderr, flush=True)
        play(binary, suite, reflector, results)
        taken = time.monotonic() - started
        longest[suite.name, reflector.name] = max(taken, longest.get((suite.name, reflector.name), 0))
    elapsed = time.monotonic() - begun
    share = 100 * (_others_cpu_seconds() - others) / elapsed
    results.remarks.append(
        f"{time.strftime('%Y-%m-%d')}, {options.rounds} rounds in {elapsed / 60:.1f} minutes; "
        f"meanwhile the rest of the machine used {max(share, 0):.0f}% of one core"
    )
    if skipped:
        results.remarks.append(f"fewer rounds than that, because the time was over: {', '.join(sorted(skipped))}")
    return results


def _others_cpu_seconds() -> float:
    return sandbox.machine_cpu_seconds() - sandbox.own_cpu_seconds()


def main(arguments: list[str]) -> int:
    """Runs it all."""
    options = parse(arguments)
    if not sandbox.inside():
        subprocess.run([ROOT / "scripts" / "debian", *PACKAGES], check=True, stdout=sys.stderr)
    sandbox.enter(arguments)
    versions = {reflector.name: reflector.version() for reflector in REFLECTORS if reflector.name in options.only}
    results = measure(options)
    if options.output == "json":
        print(report.as_json(results, versions))
    else:
        print("\n".join([*report.machine(versions), *results.remarks, ""]))
        print(report.tables(results, options.only))
    if options.write:
        report.write_page(options.write, results, versions, options.only, "python -m tests.bench")
    ours = {report.OURS, *(mode.name for mode in MODES)}
    cells = [cell for line in results.cells.values() for name, cell in line.items() if name in ours]
    return int(any(cell.failures for cell in cells))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
