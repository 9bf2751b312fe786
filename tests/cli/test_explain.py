"""`onepeer explain`: one screen, an exit status for scripts, and a clear word where there is no such thing."""

import json
import re

from tests.cli.command import Done, ask
from tests.serve.example import Example


def asking(*words: str) -> Done:
    return ask(Example(), *words)


def test_a_node_that_is_missing_is_explained_with_its_next_step() -> None:
    """Why, since when, and what to do."""
    done = asking("explain", "node", "leviathan3")
    assert done.status == 3
    assert "never-dialed" in done.out
    assert "Look at its firewall." in done.out


def test_a_service_is_found_by_its_name_and_by_its_address() -> None:
    """And the router's side is on the same screen."""
    for words in (("service", "default/gitea"), ("192.168.30.22",)):
        done = asking("explain", *words)
        assert done.status == 3
        assert "2 of 3 nodes announce it" in done.out
        assert "leviathan3" in done.out
        assert "Prefix 192.168.30.22/32" in done.out


def test_a_node_that_is_well_is_no_finding() -> None:
    """Exit status 0, but for a router that gets nothing: that concerns every node."""
    source = Example(audit_changes={"routers": []})
    assert ask(source, "explain", "node", "leviathan1").status == 0
    done = asking("explain", "node", "leviathan1")
    assert done.status == 3
    assert "Router spare gets nothing" in done.out


def test_a_node_that_is_left_out_is_told_as_that_though_it_is_not_in_the_roster() -> None:
    """And no fault."""
    done = ask(Example(audit_changes={"routers": []}), "explain", "node", "leviathan9")
    assert done.status == 0
    assert "nothing is expected of it: excluded" in done.out


def test_a_service_that_nobody_should_announce_says_why_and_since_when() -> None:
    """Exit status 3 where that is an alarm."""
    done = ask(Example(audit_changes={"routers": []}), "explain", "192.168.30.7")
    assert done.status == 0
    assert re.search(r"nobody should announce it, for .* now: no-endpoints", done.out)


def test_json_has_the_same() -> None:
    """For scripts."""
    view = json.loads(asking("explain", "192.168.30.22", "-o", "json").out)
    assert view["findings"][0]["reason"] == "never-dialed"
    assert view["services"][0]["lacking"] == ["leviathan3"]


def test_what_does_not_exist_is_told_with_a_way_out() -> None:
    """No traceback."""
    for words in (("node", "nobody"), ("service", "default/nothing"), ("nonsense",)):
        done = asking("explain", *words)
        assert (done.status, done.out) == (1, "")
        assert "onepeer:" in done.err
