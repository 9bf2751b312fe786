"""The results as a table for the terminal, as JSON, and as docs/benchmarks.md."""

import json
import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .results import Cell, Line, Results

OURS = "Onepeer"
HARNESS = "harness alone"
NOTES_BEGIN = "<!-- Notes kept by hand: `make bench` rewrites all of this page but what stands between these marks. -->"
NOTES_END = "<!-- End of the notes kept by hand. -->"

HOW = """\
Each reflector sits between the same raw speakers and the same receiving router, which are one small C program
(`tests/bench/rig.c`), in a network namespace that ends with the run. One round plays all reflectors, each
freshly started, then the next round begins with another one, so that noise hits all alike. The cells are
median [least–most]; less is better everywhere. "Onepeer : best" is Onepeer's median divided by the best of
the other four: below 1 is ahead.

- A node is MetalLB in native mode, byte for byte: its OPEN, one prefix per UPDATE, LOCAL_PREF 0. All nodes
  announce the same /32s. The router takes all paths by ADD-PATH, in messages of at most 4096 octets.
- A time ends when the router holds exactly the paths it should: every node's path for every prefix once,
  none besides.
- All sessions are Established first, and 1.5 s pass, since FRR sends a new neighbor nothing for its
  `coalesce-time` of 1 s. `advertisement-interval` is 0 for FRR. No reflector touches the kernel's routes,
  FRR runs without zebra.
- The router is the one that dials, for all alike; refused, it dials again after 10, 20, 40 ... 1000 ms. So
  "its first SYN" holds what a reflector makes a returning router wait, "its OPEN" does not, unless it
  happens after the OPEN.
- Nodes that reconnect dial like that too, and give up a connection without an OPEN after 10 s as MetalLB
  does.
- "By what the router takes" is Onepeer alone: a router with ADD-PATH, one without, and one without over four lines. A
  table counts as settled when it is right (on each line every prefix, no next hop on two lines) and nothing has
  changed for 0.5 s; the time is that of the last change. The share of the choice is measured in that very process, by
  its thread's CPU clock around all that `speaker/paths` decides (`tests/bench/profiled.py`).
- GoBGP's policy rejects all exports to nodes, and it sends them withdrawals all the same.
- CPU time and memory are sums over all processes of the reflector; memory is the peak resident set (VmHWM).
- The configurations are in `tests/bench/reflectors.py`."""


def _number(value: float) -> str:
    if value == 0:
        return "0"
    if value >= 99.5:
        return f"{value:,.0f}"
    if value >= 9.95:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "not run"
    failed = f"failed ({len(cell.failures)})" if cell.failures else ""
    if cell.not_reached and not failed:
        failed = f"not reached ({cell.not_reached})"
    if cell.median is None:
        return failed or "not run"
    text = _number(cell.median)
    if len(cell.samples) > 1:
        text += f" [{_number(min(cell.samples))}–{_number(max(cell.samples))}]"
    return f"{text}, {failed}" if failed else text


def _ratio(cells: dict[str, Cell]) -> str:
    ours = cells[OURS].median if OURS in cells else None
    others = {name: c.median for name, c in cells.items() if name not in (OURS, HARNESS) and c.median is not None}
    if ours is None or not others:
        return "–"
    best = min(others, key=lambda name: others[name])
    return f"{ours / others[best]:.2f} ({best})" if others[best] else "–"


def _markdown_table(rows: list[list[str]]) -> Iterable[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        yield "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
        if number == 0:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"


def tables(results: Results, names: list[str]) -> str:
    """One table per suite, then what failed and why."""
    suites: dict[str, list[Line]] = {}
    for line, cells in results.cells.items():
        if any(cell.samples or cell.failures or cell.not_reached for cell in cells.values()):
            suites.setdefault(line.suite, []).append(line)
    out: list[str] = []
    for suite, lines in suites.items():
        present = dict.fromkeys(name for line in lines for name in results.cells[line] if name != HARNESS)
        columns = names if present.keys() <= set(names) else list(present)
        header = ["", *columns]
        if OURS in columns and len(columns) > 1:
            header.append("Onepeer : best")
        rows = [header]
        for line in lines:
            cells = results.cells[line]
            row = [f"{line.title}, {line.unit}", *(_cell(cells.get(name)) for name in columns)]
            rows.append(row + [_ratio(cells)] * (len(header) - len(row)))
        harness = results.cells[lines[0]].get(HARNESS)
        out += [f"### {suite}", "", *_markdown_table(rows), ""]
        if harness and harness.samples:
            out += [
                f"The harness alone, nodes wired straight to the receiver: {_cell(harness)} {lines[0].unit}.",
                "",
            ]
    failures = list(_failures(results))
    if failures:
        out += ["### Failed, and why", "", *failures, ""]
    return "\n".join(out)


def _failures(results: Results) -> Iterable[str]:
    for line, cells in results.cells.items():
        for name, cell in cells.items():
            for reason in dict.fromkeys(cell.failures):
                yield f"- {name}, {line.suite}, {line.title}: {reason}"


def machine(versions: dict[str, str]) -> list[str]:
    """What it ran on, without anything that names this host."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    kernel = re.match(r"[\d.]+", platform.release())
    gigabytes = int(memory.group(1)) // 1000_000 if memory else 0
    return [
        f"{os.cpu_count()} cores ({cpu.group(1).strip() if cpu else platform.machine()}), {gigabytes} GB, "
        f"Linux {kernel.group() if kernel else platform.release()}, Python {platform.python_version()}",
        ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]


def as_json(results: Results, versions: dict[str, str]) -> str:
    """All samples, for other programs."""
    lines: list[dict[str, Any]] = [
        {
            "suite": line.suite,
            "line": line.title,
            "unit": line.unit,
            "reflectors": {
                name: {"median": cell.median, "samples": cell.samples, "failures": cell.failures}
                for name, cell in cells.items()
            },
        }
        for line, cells in results.cells.items()
    ]
    return json.dumps({"machine": machine(versions), "remarks": results.remarks, "lines": lines}, indent=2)


def write_page(path: Path, results: Results, versions: dict[str, str], names: list[str], command: str) -> None:
    """Writes the page anew and keeps the notes that stand in it."""
    notes = "\n"
    if path.exists():
        found = re.search(re.escape(NOTES_BEGIN) + "(.*?)" + re.escape(NOTES_END), path.read_text(), re.DOTALL)
        notes = found.group(1) if found else notes
    page = [
        "# Benchmarks",
        "",
        "How fast a path comes from a node to the router through Onepeer, beside four other reflectors.",
        "",
        "## Where and when it ran",
        "",
        *(f"- {fact}" for fact in [*machine(versions), *results.remarks]),
        "",
        f"Again: `make bench`, which runs `{command}`, as root, on Debian. `--quick` takes a minute.",
        "",
        "## Results",
        "",
        tables(results, names),
        "## How it is measured",
        "",
        HOW,
        "",
        "## Notes",
        "",
        NOTES_BEGIN + notes + NOTES_END,
        "",
    ]
    path.write_text("\n".join(page))
