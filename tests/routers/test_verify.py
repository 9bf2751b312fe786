"""`onepeer router verify` with what `onepeer routes -o json` printed."""

import json
from pathlib import Path

from speaker.serve.views import LeadView
from tests.cli.command import Done, run
from tests.serve.example import EDGE, status

SHOWN = Path(__file__).parent / "shown" / "edgeos show ip bgp.txt"
SUMMARY = Path(__file__).parent / "summaries" / "edgeos show ip bgp summary.txt"
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


def summary(folder: Path, **changes: object) -> Done:
    """Of an EdgeRouter with lines for .10, .11 and .12; Onepeer has .10 and .13 for it, and sent one path over .10."""
    sent = [{"router": "edge", "lane": 1, "reason": None}]
    path = {"node": "leviathan3", "next_hop": "192.168.3.33", **PATH, **REST, "sent": sent}
    route = {"prefix": "192.168.30.22/32", "family": "ipv4", "paths": [path], "refused": []}
    (folder / "routes.json").write_text(json.dumps({"routes": [route]}))
    other = EDGE.lanes[0].model_copy(update={"lane": 2, "local_address": "192.168.3.13"})
    router = EDGE.model_copy(update={"lanes": [EDGE.lanes[0], other], **changes})
    (folder / "status.json").write_text(status(routers=[router]).model_dump_json())
    files = ("--routes", str(folder / "routes.json"), "--status", str(folder / "status.json"))
    return run("router", "verify", str(SUMMARY), *files)


def test_of_a_summary_each_of_our_lines_is_told(tmp_path: Path) -> None:
    """What more has come than was sent, and what to type where there is no line."""
    done = summary(tmp_path)
    assert (done.status, done.err) == (3, "")
    assert [line.split() for line in done.out.splitlines()[2:4]] == [
        ["192.168.3.10", "64512", "Established", "2", "1", "more-than-sent"],
        ["192.168.3.13", "-", "-", "-", "0", "no-neighbor-line"],
    ]
    assert "set protocols bgp 64512 neighbor 192.168.3.13 remote-as 64512" in done.out


def test_a_replica_that_does_not_speak_to_the_router_says_who_does(tmp_path: Path) -> None:
    """It has sent nothing, and would find everything wrong."""
    lead = LeadView(
        role="follows",
        leader="leviathan2",
        lease_age=0.1,
        problem=None,
        followers=[],
        mirrored=1,
        conflict=None,
        taken=None,
    )
    done = summary(tmp_path, lead=lead)
    assert (done.status, done.out) == (1, "")
    assert "leviathan2" in done.err
