"""What the commands show of a running Onepeer: to people through a pipe, to programs, and by their exit status."""

import json

from speaker.serve.views import Health, NodesView, RoutesView, RouteView, StatusView
from tests.cli.command import ask
from tests.serve.example import (
    HEALTHY,
    NODES,
    NOW,
    ROUTES,
    SPARE,
    Example,
    carried,
    node,
    router,
    session,
    status,
)


def rows(out: str) -> list[str]:
    """The lines, whatever the widths of their columns."""
    return [" ".join(line.split()) for line in out.splitlines()]


# ---- status


def test_status_answers_at_a_glance() -> None:
    """The verdict, the routers, who is missing and why, and what the routers get."""
    done = ask(Example(), "status")
    assert done.out.splitlines()[:8] == [
        "DEGRADED  2 of 3 nodes up; 1 of 2 router sessions up, 3 paths sent",
        "",
        "ROUTER               AS     STATE        SINCE  FAMILY  MODE     PATHS  PENDING  REMARK",
        "edge (192.168.3.1)   64512  Established  3d4h   ipv4    addpath      3        0  -",
        "spare (192.168.3.2)  64512  Active       2m     -       -            -        -  hold-timer-expired, 2m ago",
        "",
        "MISSING NODE  SINCE  WHY",
        "leviathan3    59d    never dialed",
    ]
    assert "paths      3 ipv4 paths to 2 prefixes; 1 refused by the guard" in done.out.splitlines()
    assert (done.status, done.err) == (3, "")


def test_a_status_without_fault_is_short_and_exits_with_zero() -> None:
    """No table of missing nodes, no remarks."""
    done = ask(Example(status(**HEALTHY)), "status")
    assert done.out.startswith("OK  2 of 2 nodes up; router up, 3 paths sent\n")
    assert "MISSING" not in done.out
    assert "REMARK" not in done.out
    assert done.status == 0


def test_a_router_that_gets_nothing_is_down() -> None:
    """And the exit status says that something was answered."""
    done = ask(Example(status(health=Health.DOWN, routers=[SPARE])), "status")
    assert done.out.startswith("DOWN  2 of 3 nodes up; router down\n")
    assert done.status == 3


def test_what_is_refused_or_waited_for_stands_at_the_top() -> None:
    """Right below the verdict, each with what is in force meanwhile."""
    roster = status().roster.model_copy(update={"problem": "nodes.yaml:3: twice", "since": NOW - 90})
    warnings = ["disk full", "the last roster stays in force: nodes.yaml:3: twice"]  # of which one is told already
    view = status(roster=roster, settings_problem="onepeer.yaml:1: asn", waiting_for_nodes=True, warnings=warnings)
    lines = ask(Example(view), "status").out.splitlines()
    assert [line[:52] for line in lines[1:5]] == [
        "warning: /etc/onepeer/onepeer.yaml is refused, the o",
        "warning: the last roster stays in force, for 1m30s n",
        "warning: started a moment ago and waiting for its no",
        "warning: disk full",
    ]


def test_each_family_of_a_router_has_its_row() -> None:
    """IPv6 may be in another mode than IPv4."""
    six = carried(5).model_copy(update={"family": "ipv6", "mode": "spread", "mode_reason": "no ADD-PATH offered"})
    both = router("192.168.3.1", "192.168.3.1", session(), [carried(3), six])
    lines = rows(ask(Example(status(routers=[both])), "status").out)
    assert lines[3] == "192.168.3.1 64512 Established 1h ipv4 addpath 3 0 -"
    assert lines[4] == "192.168.3.1 64512 Established 1h ipv6 spread 5 0 no ADD-PATH offered"


def test_a_thousand_nodes_are_a_number_in_the_status() -> None:
    """Their names are for `onepeer nodes`."""
    names = [f"node{n}" for n in range(1000)]
    out = ask(Example(status(nodes_up=names, nodes_down=[])), "status").out
    assert "nodes up   1000\n" in out


# ---- nodes


def test_nodes_has_a_row_for_each_session() -> None:
    """With what the guard keeps out, and one example of it."""
    done = ask(Example(), "nodes")
    lines = rows(done.out)
    assert lines[0] == "NODE ADDRESS AS STATE SINCE PATHS REFUSED REMARK"
    assert lines[1].startswith("leviathan1 192.168.3.31 64512 Established ")
    assert lines[1].endswith(" 2 1 1 refused: outside-guard (10.0.0.0/8)")
    assert lines[3].startswith("leviathan3 192.168.3.33 64512 Idle ")
    assert lines[3].endswith("never dialed")
    assert done.status == 3


def test_nodes_that_are_all_up_exit_with_zero() -> None:
    """Also where the second address of one is silent."""
    both = NODES.nodes[0].model_copy(update={"sessions": [*NODES.nodes[0].sessions, *NODES.nodes[2].sessions]})
    assert ask(Example(nodes_view=NodesView(nodes=[both])), "nodes").status == 0
    assert ask(Example(nodes_view=NodesView(nodes=[])), "nodes").out == "The roster is empty: no node may peer.\n"


def test_nothing_is_cut_off_through_a_pipe() -> None:
    """One row is one line, however long; a name can be searched for."""
    name = "worker-" + "x" * 200 + ".example.org"
    out = ask(Example(nodes_view=NodesView(nodes=[node(name, 31, 1)])), "nodes").out
    assert out.splitlines()[1].startswith(f"{name}  ")
    assert len(out.splitlines()) == 2
    assert out.isascii()
    assert "\x1b" not in out


# ---- routes


def test_routes_has_a_row_for_each_path() -> None:
    """The best is starred; what a router does not get has its reason; what is refused too."""
    done = ask(Example(), "routes")
    assert rows(done.out)[0] == "PREFIX NODE NEXT HOP PATH ID RANK SENT TO"
    assert rows(done.out)[1] == "192.168.30.1/32 leviathan1 192.168.3.31 3232236319 1* edge, spare: session down"
    assert rows(done.out)[2].startswith("192.168.30.1/32 leviathan2 192.168.3.32 3232236320 2 edge, ")
    assert rows(done.out)[4] == "10.0.0.0/8 leviathan1 - - - refused: outside-guard"
    assert done.status == 0


def test_one_prefix_is_shown_with_the_decision() -> None:
    """Why the second path stands behind the first."""
    done = ask(Example(), "routes", "192.168.30.1/32")
    assert "WHY BEHIND" in done.out.splitlines()[0]
    assert done.out.splitlines()[2].endswith("igp            100  64512:100    router-id")


def test_a_prefix_that_nobody_announces_is_an_answer() -> None:
    """Said so, and no error."""
    done = ask(Example(), "routes", "192.168.30.99/32")
    assert (done.status, done.out) == (0, "No node announces a path for 192.168.30.99/32.\n")


def test_a_text_that_is_no_prefix_is_refused_in_one_line() -> None:
    """As the running Onepeer puts it."""
    done = ask(Example(), "routes", "gitea service?&x=1")
    assert (done.status, done.out) == (1, "")
    assert done.err == "onepeer: 'gitea service?&x=1' does not appear to be an IPv4 or IPv6 network\n"


# ---- JSON


def test_json_is_the_view_and_nothing_else() -> None:
    """Same keys, same order, a newline at the end; and the same exit status as the table."""
    done = ask(Example(), "status", "-o", "json")
    assert StatusView.model_validate_json(done.out) == status()
    assert list(json.loads(done.out)) == list(StatusView.model_fields)
    assert done.out.endswith("}\n")
    assert done.status == 3
    assert NodesView.model_validate_json(ask(Example(), "nodes", "-o", "json").out) == NODES


def test_a_large_table_comes_whole() -> None:
    """Ten thousand routes."""
    many = tuple(ROUTES[0].model_copy(update={"prefix": f"10.{n >> 8}.{n & 255}.0/24"}) for n in range(10_000))
    out = ask(Example(all_routes=many), "routes", "--output", "json").out
    found: list[RouteView] = RoutesView.model_validate_json(out).routes
    assert tuple(found) == many
