"""Health for supervisors and metrics for Prometheus, over a real port."""

import asyncio
import socket

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from speaker.serve.counters import Counters
from speaker.serve.http import serve_http
from speaker.serve.metrics import ROWS
from speaker.serve.site import ServeError
from speaker.serve.views import NodesView
from tests.serve.example import NOW, Example, busy, carried, router, session, status
from tests.serve.http import get


def ask(source: Example, target: str, address: str = "127.0.0.1", **headers: str) -> tuple[int, str, str]:
    """Serve `source` on any free port and ask it once."""

    async def once() -> tuple[int, str, str]:
        async with serve_http(source, address, 0) as url:
            return await get(url + target, **headers)

    return asyncio.run(once())


def samples(source: Example) -> dict[tuple[str, ...], float]:
    """Every sample by its name and label values, these in the order of the table."""
    order = {row.name: row.labels for row in ROWS}
    text = ask(source, "/metrics")[2]
    found = [sample for family in parse(text) for sample in family.samples]
    by_name = {
        (one.name, *(one.labels[label] for label in order.get(one.name, one.labels))): one.value for one in found
    }
    assert len(by_name) == len(found), "a series stands there twice"
    return by_name


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_health_is_asked_over_either_family(address: str) -> None:
    """The URL that is logged can be asked as it is."""
    assert ask(Example(), "/healthz", address)[::2] == (200, "alive\n")


def test_the_loop_that_is_stuck_is_not_healthy() -> None:
    """The supervisor reads the reason, and restarts."""
    assert ask(Example(is_alive=(False, "stuck")), "/healthz")[::2] == (503, "stuck\n")


def test_it_is_ready_when_it_says_so() -> None:
    """While it waits for its nodes, the reason is the body."""
    assert ask(Example(), "/readyz")[::2] == (200, "ready\n")
    waiting = Example(is_ready=(False, "waiting-for-nodes"))
    assert ask(waiting, "/readyz")[::2] == (503, "waiting-for-nodes\n")


def test_nothing_else_is_served() -> None:
    """The port is open to the network; the control API is not on it."""
    assert ask(Example(), "/v1/status")[0] == 404
    assert ask(Example(), "/v1/nodes")[0] == 404


def test_the_metrics_say_what_the_views_say() -> None:
    """The three questions of `status`, as series."""
    found = samples(Example())
    assert found["onepeer_router_session_up", "edge", "1"] == 1
    assert found["onepeer_router_session_up", "spare", "1"] == 0
    assert found["onepeer_router_paths_sent", "edge", "1", "ipv4"] == 3
    assert found["onepeer_router_mode", "edge", "1", "ipv4", "addpath"] == 1
    assert (found["onepeer_nodes_expected",], found["onepeer_nodes_missing",]) == (3, 1)
    assert found["onepeer_node_session_up", "leviathan3"] == 0
    assert found["onepeer_node_paths_accepted", "leviathan1", "ipv4"] == 2
    assert found["onepeer_node_paths_refused", "leviathan1", "outside-guard"] == 1
    assert found["onepeer_paths", "ipv4"] == 3
    assert found["onepeer_build_info", "0.1.0"] == 1


def test_counters_carry_their_labels() -> None:
    """What app.py counts arrives under the name that docs/metrics.md has."""
    found = samples(Example(counted=busy()))
    assert found["onepeer_sessions_ended_total", "node", "hold-timer-expired"] == 2
    assert found["onepeer_notifications_total", "router", "received", "6 Cease"] == 1
    assert found["onepeer_connections_refused_total", "stranger"] == 3
    assert found["onepeer_written_bytes_total",] == 500
    assert found["onepeer_settings_reload_failures_total",] == 1


def test_a_counter_that_never_moved_is_zero_not_absent() -> None:
    """An alert on its increase works from the first event on."""
    found = samples(Example())
    assert found["onepeer_updates_received_total",] == 0
    assert found["onepeer_settings_reload_failures_total",] == 0


def test_the_process_itself_is_measured() -> None:
    """Memory, CPU and open files, under the names that everybody uses."""
    found = samples(Example())
    assert found["process_resident_memory_bytes",] > 1e6
    assert ("process_cpu_seconds_total",) in found


def test_a_node_that_has_left_leaves_no_series() -> None:
    """Nothing is kept between two scrapes of one server."""
    source = Example()

    async def twice() -> tuple[str, str]:
        async with serve_http(source, "127.0.0.1", 0) as url:
            first = (await get(f"{url}/metrics"))[2]
            source.nodes_view = NodesView(nodes=[])
            return first, (await get(f"{url}/metrics"))[2]

    first, second = asyncio.run(twice())
    assert "leviathan1" in first
    assert "leviathan1" not in second


def test_the_roster_is_stale_from_when_it_was_refused() -> None:
    """Zero while it is current."""
    roster = status().roster.model_copy(update={"problem": "nodes.yaml:3: ...", "since": NOW - 90})
    assert samples(Example(status(roster=roster)))["onepeer_roster_stale_seconds",] == 90
    assert samples(Example())["onepeer_roster_stale_seconds",] == 0


def test_names_with_quotes_and_newlines_do_not_break_the_text() -> None:
    """Whatever a settings file calls a router."""
    odd = router('a"b\\c\nd', "192.168.3.1", session(), [carried(1)])
    assert samples(Example(status(routers=[odd])))["onepeer_router_session_up", 'a"b\\c\nd', "1"] == 1


def test_openmetrics_is_given_to_those_who_ask_for_it() -> None:
    """As Prometheus does; its parser is the strict one."""
    code, kind, text = ask(Example(counted=busy()), "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert (code, kind.split(";")[0]) == (200, "application/openmetrics-text")
    assert {"onepeer_nodes_missing", "onepeer_sessions_ended"} <= {family.name for family in openmetrics(text)}


def test_total_is_for_counters_and_only_for_them() -> None:
    """And every name is ours, said once, with a sentence."""
    for row in ROWS:
        assert row.name.endswith("_total") == (row.kind == "counter"), row.name
        assert row.name.startswith("onepeer_"), row.name
        assert row.help.endswith("."), row.name
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_every_counter_of_the_app_is_a_metric() -> None:
    """One that app.py adds to and nobody can read is a mistake."""
    quiet, moved = samples(Example()), Counters()
    for name in Counters.__dataclass_fields__:
        value = getattr(moved, name)
        if isinstance(value, int):
            setattr(moved, name, 11)
        else:
            width = {"sessions_ended": 2, "notifications": 3}.get(name, 1)
            value[tuple("x" * width) if width > 1 else "x"] = 11
    found = samples(Example(counted=moved))
    changed = [key for key, value in found.items() if value == 11 and quiet.get(key) != 11]
    assert len(changed) == len(Counters.__dataclass_fields__)


# ---- a port that cannot be had


def refused(address: str, port: int) -> str:
    async def start() -> None:
        async with serve_http(Example(), address, port):
            pass

    with pytest.raises(ServeError) as error:
        asyncio.run(start())
    return str(error.value)


def test_a_port_that_is_taken_is_named_with_the_way_out() -> None:
    """The key to change comes first."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert refused("127.0.0.1", port) == (
            f"http.port: cannot listen on 127.0.0.1:{port}: another program has it; "
            "choose another port, or stop that program"
        )


def test_an_address_of_another_host_is_named_with_the_way_out() -> None:
    """TEST-NET-1 is nobody's."""
    said = refused("192.0.2.1", 9790)
    assert said.startswith("http.address: cannot listen on 192.0.2.1:9790: this host has no such address; use one")
