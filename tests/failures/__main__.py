"""`make failures`: every row on every router, several times, and the page. `--help` has the rest."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.failures import page
from tests.failures.measure import Outcome, measure
from tests.failures.routers import VARIANTS, Variant
from tests.failures.rows import ROWS, Row
from tests.failures.world import World
from tests.lab import Lab, NotInTime


def main() -> int:
    """The exit status: 1 where a run did not become whole again."""
    parser = argparse.ArgumentParser(prog="make failures", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="how often each row (default: 5)")
    parser.add_argument("--row", action="append", help="only rows with this in their name")
    parser.add_argument("--router", action="append", help="only these routers, by their whole name")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the runs in this file")
    parser.add_argument(
        "--read",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="take runs from these, the last of a row, and run none",
    )
    parser.add_argument("--write", action="store_true", help="write the tables into docs/failures.md")
    chosen = parser.parse_args()
    rows = [row for row in ROWS if not chosen.row or any(part in row.name for part in chosen.row)]
    variants = [variant for variant in VARIANTS if not chosen.router or variant.name in chosen.router]
    results: dict[str, Mapping[str, Sequence[Outcome]]] = {}
    good = True
    for path in chosen.read or ():
        for router, runs in page.load(path).items():
            results[router] = {**results.get(router, {}), **runs}
    for variant in variants if not chosen.read else ():
        results[variant.name], fine = _run(variant, rows, chosen.runs)
        good = good and fine
        if chosen.save:
            page.save(results, chosen.save)
    if chosen.write and good:
        page.write(results)
    print(page.tables(results))
    return 0 if good else 1


def _run(variant: Variant, rows: list[Row], runs: int) -> tuple[dict[str, list[Outcome]], bool]:
    outcomes: dict[str, list[Outcome]] = {}
    good = True
    with Lab() as lab:
        world = World(lab, variant)
        world.start()
        for row in rows:
            outcomes[row.name] = []
            for _ in range(runs):
                try:
                    outcomes[row.name].append(measure(world, row))
                except NotInTime as error:
                    # What is not whole again is no place for the next failure.
                    print(f"{variant.name}: {row.name}: {error}", file=sys.stderr)
                    return outcomes, False
                print(f"{variant.name}: {row.name}: {outcomes[row.name][-1]}", flush=True)
    return outcomes, good


if __name__ == "__main__":
    sys.exit(main())
