"""From a neighbor line per node to one: what is printed for configurations as people have them.

A file in `configurations/` is one; `plans/` has what is said about it. `REWRITE_PLANS=1` writes those anew.
"""

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.routers.terminal import UnreadableText
from speaker.routers.typed import read
from tests.cli.command import Done, run

HERE = Path(__file__).parent
CONFIGURATIONS = sorted((HERE / "configurations").iterdir())
SETTINGS = """\
asn: 64512
listen: {addresses: [192.168.3.10]}
routers: [{address: 192.168.3.1}]
nodes: {file: nodes.yaml}
guard: {prefixes: [192.168.30.0/24]}
"""
NODES = """\
nodes:
  - {name: leviathan1, addresses: [192.168.3.31]}
  - {name: leviathan2, addresses: [192.168.3.32]}
  - {name: leviathan3, addresses: [192.168.3.33]}
"""
PIECES = (
    "router bgp 1",
    "protocols {",
    "bgp 1 {",
    "neighbor 1.1.1.1",
    " remote-as ",
    "set protocols bgp ",
    "}",
    "{",
    "\n",
    " ",
)
WORDS = ("peer-group G", "address-family ipv6 unicast", "/*", "*/", '"', "system-as", "²", "99999999999999", "password")


def migrate(folder: Path, file: Path) -> Done:
    """With three nodes, of which leviathan3 is on no router."""
    (folder / "onepeer.yaml").write_text(SETTINGS)
    (folder / "nodes.yaml").write_text(NODES)
    return run("router", "migrate", str(file), "-c", str(folder / "onepeer.yaml"))


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_the_steps_are_printed_and_the_forgotten_node_is_named(path: Path, tmp_path: Path) -> None:
    """And no password is."""
    done = migrate(tmp_path, path)
    assert (done.status, done.err) == (3, "")
    assert done.out.startswith("leviathan3 (192.168.3.33) is missing on the router\n")
    assert "hunter2" not in done.out
    plan = HERE / "plans" / path.name
    if os.environ.get("REWRITE_PLANS"):
        plan.write_text(done.out)
    assert done.out == plan.read_text(), "run the tests once with REWRITE_PLANS=1, and read what has changed"


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_ends_of_lines_do_not_matter(path: Path) -> None:
    """A file may have been through any system."""
    assert read(path.read_text().replace("\n", "\r\n")) == read(path.read_text())


def test_what_is_no_configuration_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """With what to give instead."""
    (tmp_path / "cat.jpg").write_bytes(bytes(range(256)))
    for path in (tmp_path / "cat.jpg", tmp_path / "none"):
        done = migrate(tmp_path, path)
        assert (done.status, done.out) == (1, "")
        assert done.err.startswith(f"onepeer: {path}")


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES + WORDS)).map("".join)))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing else is ever raised."""
    with contextlib.suppress(UnreadableText):
        assert read(text).neighbors
