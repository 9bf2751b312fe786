"""`onepeer drain` and `undrain`: what is said, and what a script can go by."""

import json

from tests.cli.command import ask
from tests.serve.example import Example


def test_what_stays_is_named_and_the_exit_status_tells() -> None:
    """3 where a path has no other node."""
    done = ask(Example(), "drain", "leviathan3", "--wait")
    assert done.status == 3
    assert "leviathan3 is drained: 7 paths" in done.out
    assert "192.168.30.22/32" in done.out


def test_with_force_nothing_stays() -> None:
    """Exit status 0."""
    assert ask(Example(), "drain", "leviathan3", "--force").status == 0


def test_undrain_says_that_it_is_in() -> None:
    """In JSON, too."""
    done = ask(Example(), "undrain", "leviathan3", "-o", "json")
    assert (done.status, json.loads(done.out)["drained"]) == (0, False)


def test_a_node_that_is_not_there_is_told() -> None:
    """With where to look."""
    done = ask(Example(), "drain", "nobody")
    assert (done.status, done.out) == (1, "")
    assert "onepeer nodes" in done.err
