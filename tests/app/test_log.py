"""The log alone tells the life of a session: these events, in this order, and nothing beside them."""

import pytest

from tests.app.stage import Stage, until
from tests.app.wire import Identity

PREFIX = "192.168.30.1/32"
START = ["started", "listening", "control_listening", "roster_changed", "waiting_for_nodes", "nodes_settled"]
MODES = ["mode_chosen", "mode_chosen", "end_of_rib_sent", "end_of_rib_sent"]
"""Of both families."""


def after_start(stage: Stage) -> list[str]:
    """What was said since."""
    names = stage.names()
    assert names[: len(START)] == START
    return names[len(START) :]


async def test_a_quiet_life(stage: Stage) -> None:
    """Up, a path, down, stopped: a router and a node."""
    router = await stage.router()
    await stage.start()
    await until(lambda: "end_of_rib_sent" in stage.names(), "the router is up")
    node = await stage.node(1, PREFIX)
    await until(lambda: router.hops(PREFIX), "the router has the path")
    node.hang_up()
    await until(lambda: not router.hops(PREFIX), "the path is gone")
    await stage.stop()
    assert after_start(stage) == [
        *("session_established", *MODES),
        *("session_established", "session_ended"),
        *("session_ended", "stopping", "stopped"),
    ]
    router_up, node_up = stage.said("session_established")
    assert router_up["router"] == stage.host(1)
    assert router_up["local"].startswith(f"{stage.host(10)}:")
    assert (node_up["node"], node_up["address"]) == ("leviathan1", stage.host(31))
    assert (node_up["asn"], node_up["router_id"], node_up["hold_time"]) == (64512, stage.host(31), 90)
    ended, stopped = stage.said("session_ended")
    assert (ended["level"], ended["cause"], ended["text"]) == (
        "warning",
        "connection-lost",
        "the peer closed the connection",
    )
    assert ended["paths"] == 1
    assert (stopped["level"], stopped["cause"]) == ("info", "stopped")


async def test_a_life_in_all_detail(stage: Stage) -> None:
    """At level debug: dialing, the OPENs, and what the node marks."""
    router = await stage.router()
    await stage.start(log={"level": "debug", "format": "json"}, count=1)
    await until(lambda: "end_of_rib_sent" in stage.names(), "the router is up")
    node = await stage.node(1, PREFIX)
    node.end_of_rib()
    await until(lambda: len(stage.said("end_of_rib_received")) == 2, "both families are marked")
    assert router.up
    assert [name for name in stage.names() if name not in START] == [
        *("dialing", "session_opened", "session_established", *MODES),
        *("session_opened", "session_established", "end_of_rib_received", "end_of_rib_received"),
    ]
    ours, theirs = stage.said("session_opened")
    assert (ours["dialed"], theirs["dialed"]) == (True, False)


async def test_a_router_that_is_away_and_comes_back(stage: Stage) -> None:
    """One line that it cannot be reached, with the reason and the next attempt; then that it is up."""
    await stage.start()
    await until(lambda: stage.said("dial_failed"), "it is dialed in vain")
    await stage.router()
    await until(lambda: "end_of_rib_sent" in stage.names(), "the router is up")
    assert after_start(stage) == ["dial_failed", "session_established", *MODES]
    (line,) = stage.said("dial_failed")
    assert (line["router"], line["text"]) == (stage.host(1), "connection refused")
    assert line["retry_in"] >= 0


async def test_a_node_that_tells_us_why_it_goes(stage: Stage) -> None:
    """Its NOTIFICATION in words, with its shutdown communication (RFC 9003)."""
    await stage.start(router={"connect": "passive"})
    node = await stage.node(1)
    text = b"kernel update"
    node.send(b"\xff" * 16 + bytes((0, 21 + 1 + len(text), 3, 6, 2, len(text))) + text)
    await until(lambda: stage.said("session_ended"), "the session has ended")
    (line,) = stage.said("session_ended")
    assert line["cause"] == "notification-received"
    assert line["notification"] == '6/2 Cease / Administrative Shutdown: "kernel update"'
    assert after_start(stage) == ["session_established", "session_ended"]


async def test_refusals(stage: Stage) -> None:
    """A wrong AS, its next call, a stranger, a second session: a line each, and none for what follows."""
    await stage.start(router={"connect": "passive"})
    for _ in range(3):
        wrong = await stage.call(31, Identity(stage.host(31), asn=65001))
        await until(lambda one=wrong: one.lost, "the call has ended")
    await stage.node(2)
    for number in (99, 99, 32, 32):
        call = await stage.call(number)
        await until(lambda one=call: one.lost, "the call has ended")
    assert after_start(stage) == [
        *("node_refused", "node_refused"),
        *("session_established", "stranger_refused", "node_refused"),
    ]


async def test_reloads(stage: Stage) -> None:
    """A good one, a broken one, the same broken one, and put right."""
    await stage.start(router={"connect": "passive"})
    stage.settings["guard"] = {"prefixes": ["192.168.31.0/24"]}
    await stage.reload()
    counters = stage.report().counters()
    for times, text in ((1, "asn: [\n"), (2, "asn: [ \n")):
        stage.write_text("onepeer.yaml", text)
        await until(lambda times=times: counters.settings_reload_failures == times, "it is refused")
    stage.write()
    await until(lambda: stage.status().settings_problem is None, "it is put right")
    assert after_start(stage) == ["settings_reloaded", "settings_refused"]
    assert stage.said("settings_reloaded")[0]["changed"] == ["guard"]
    assert "onepeer.yaml" in stage.said("settings_refused")[0]["problems"][0]


@pytest.mark.parametrize("form", ["json", "text"])
async def test_every_line_is_whole(stage: Stage, form: str) -> None:
    """One event a line, in either form, with a time first."""
    router = await stage.router()
    await stage.start(log={"format": form})
    await until(lambda: router.up, "the router is up")
    node = await stage.node(1, "10.0.0.1/32")
    await until(lambda: "paths_refused" in stage.log(), "it is refused")
    node.drop()
    await until(lambda: "session_ended" in stage.log(), "the session has ended")
    for line in stage.log().splitlines():
        assert line.startswith('{"timestamp": "20' if form == "json" else "20"), line
