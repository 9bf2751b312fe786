"""`onepeer router verify` with what `onepeer routes -o json` printed."""

import json
from pathlib import Path

from tests.cli.command import Done, run

SHOWN = Path(__file__).parent / "shown" / "edgeos show ip bgp.txt"
PATH = {"path_id": 1, "stale": False, "best": True, "rank": 1, "rank_reason": None, "origin": "IGP", "as_path": ""}
REST = {"med": None, "local_pref": 100, "communities": []}


def verify(folder: Path, reason: str | None) -> Done:
    """With one path, of leviathan4, which was sent unless there is a reason."""
    sent = [{"router": "edge", "lane": None, "reason": reason}]
    path = {"node": "leviathan4", "next_hop": "192.168.3.34", **PATH, **REST, "sent": sent}
    route = {"prefix": "192.168.30.22/32", "family": "ipv4", "paths": [path], "refused": []}
    (folder / "routes.json").write_text(json.dumps({"routes": [route]}))
    return run("router", "verify", str(SHOWN), "--routes", str(folder / "routes.json"))


def test_a_missing_next_hop_has_the_name_of_its_node(tmp_path: Path) -> None:
    """And one that was not sent is told, too."""
    done = verify(tmp_path, None)
    assert (done.status, done.err) == (3, "")
    rows = [line.split() for line in done.out.splitlines()[2:]]
    assert rows == [
        ["bgp", "192.168.30.22/32", "leviathan4", "192.168.3.34", "missing"],
        ["bgp", "192.168.30.22/32", "-", "192.168.3.33", "extra"],
    ]


def test_nothing_sent_is_never_fine(tmp_path: Path) -> None:
    """Whoever removes the old lines on this answer must not read OK while the router's session is down."""
    done = verify(tmp_path, "session-down")
    assert (done.status, done.out) == (1, "")
    assert "nothing was sent to edge" in done.err
