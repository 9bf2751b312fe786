"""The lines that are printed: FRR's in the words of a real one, the others' as they were read and judged once.

A file in `lines/` is one dialect. `REWRITE_LINES=1` writes them anew.
"""

import json
import os
from pathlib import Path

import pytest

from speaker.config import Router, Settings, load
from speaker.routers.lines import Dialect, lines, undo
from speaker.routers.words import CannotSay
from tests.cli.command import run
from tests.lab.frr import dry_run
from tests.routers.test_migrate import NODES, SETTINGS

GOLDEN = Path(__file__).parent / "lines"
CASES = {
    "one line": ("{address: 192.168.3.1}", "192.168.30.0/24"),
    "two lanes, with a password": (
        "{address: 192.168.3.1, local_addresses: [192.168.3.11, 192.168.3.12], password_file: router.key}",
        "192.168.30.0/24",
    ),
    "another AS, both families": ("{address: 192.168.3.1, asn: 64500}", "192.168.30.0/24, 'fd00:30::/64'"),
    "the router dials": ("{address: 192.168.3.1, connect: passive}", "192.168.30.0/24"),
    "TTL security": ("{address: 192.168.3.1, asn: 64500, ttl_security: 1}", "192.168.30.0/24"),
    "TTL security in one AS": ("{address: 192.168.3.1, ttl_security: 1}", "192.168.30.0/24"),
}
ROUTERS = {
    "one line": "{address: 192.168.3.1}",
    "lanes": "{address: 192.168.3.1, local_addresses: [192.168.3.11, 192.168.3.12]}",
    "another AS": "{address: 192.168.3.1, asn: 64500}",
    "passive, with TTL security": "{address: 192.168.3.1, connect: passive, ttl_security: 1}",
}


@pytest.mark.parametrize("router", ROUTERS.values(), ids=ROUTERS)
@pytest.mark.parametrize("prefixes", ["192.168.30.0/24", "'fd00:30::/64'"], ids=["ipv4", "ipv6"])
def test_frr_takes_every_line(real_parts: None, tmp_path: Path, router: str, prefixes: str) -> None:
    """A dry run of bgpd reads them without a complaint."""
    settings = SETTINGS.replace("{address: 192.168.3.1}", router).replace("192.168.30.0/24", prefixes)
    (tmp_path / "onepeer.yaml").write_text(settings)
    (tmp_path / "nodes.yaml").write_text(NODES)
    done = run("router", "lines", "-c", str(tmp_path / "onepeer.yaml"), "-o", "json")
    assert done.status == 0, done.err
    view = json.loads(done.out)
    assert dry_run("\n".join([*view["lines"], ""])) == (0, "")


def loaded(folder: Path, router: str, prefixes: str) -> tuple[Settings, Router]:
    """Settings with this router."""
    path = folder / "onepeer.yaml"
    (folder / "router.key").write_text("secret of the router\n")
    path.write_text(SETTINGS.replace("{address: 192.168.3.1}", router).replace("192.168.30.0/24", prefixes))
    settings = load(path)
    return settings, settings.routers[0]


def said(dialect: Dialect, settings: Settings, router: Router) -> list[str]:
    """What is typed and its undo, or why there are no words for it."""
    try:
        return [*lines(dialect, settings, router), "--- undo", *undo(dialect, router)]
    except CannotSay as error:
        return [f"--- {error}"]


@pytest.mark.parametrize("dialect", Dialect)
def test_the_words_of_each_dialect_are_as_they_were_judged(dialect: Dialect, tmp_path: Path) -> None:
    """With the undo; what a dialect has no words for is said, and no password is printed."""
    text = ""
    for name, (router, prefixes) in CASES.items():
        found = said(dialect, *loaded(tmp_path, router, prefixes))
        text += "\n".join([f"=== {name}", *found, "", ""]).replace(f"{tmp_path}/", "")
    assert "secret" not in text
    golden = GOLDEN / f"{dialect}.txt"
    if os.environ.get("REWRITE_LINES"):
        golden.write_text(text)
    assert text == golden.read_text(), "run the tests once with REWRITE_LINES=1, and read what has changed"


def test_a_setting_without_words_ends_the_command_with_the_way_out(tmp_path: Path) -> None:
    """No traceback, and nothing half printed."""
    loaded(tmp_path, "{address: 192.168.3.1, connect: passive}", "192.168.30.0/24")
    done = run("router", "lines", "-d", "ios", "-c", str(tmp_path / "onepeer.yaml"))
    assert (done.status, done.out) == (1, "")
    assert "set connect of router 192.168.3.1 to both or active" in done.err


def test_vyos_has_words_of_its_own(tmp_path: Path) -> None:
    """With their undo."""
    (tmp_path / "onepeer.yaml").write_text(SETTINGS)
    done = run("router", "lines", "-d", "vyos", "-c", str(tmp_path / "onepeer.yaml"))
    assert done.out.splitlines() == [
        "set protocols bgp system-as 64512",
        "set protocols bgp neighbor 192.168.3.10 remote-as 64512",
        "set protocols bgp neighbor 192.168.3.10 address-family ipv4-unicast",
        "set protocols bgp address-family ipv4-unicast maximum-paths ibgp 32",
        "",
        "To undo it:",
        "delete protocols bgp neighbor 192.168.3.10",
    ]
