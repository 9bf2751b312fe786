"""A speaker restarts, and the router is told nothing of it."""

from tests.app.stage import Stage, until
from tests.app.wire import NATIVE, RESTART, RawRouter, Wire
from tests.bgp.bgp_wire import parse_update

P1, P2 = "192.168.30.1/32", "192.168.30.2/32"


async def test_a_speaker_that_restarts_is_not_seen_by_the_router(stage: Stage) -> None:
    """Not one message: the paths stay, and what is announced again is what the router has."""
    router, _, node = await _with_two_nodes(stage)
    before = _told(router)
    await _lose(stage, node)
    assert stage.node_view(2).sessions[0].held is not None
    await stage.node(2, P1, P2)
    await until(lambda: stage.said("held_paths_ended"), "they are announced again")
    (line,) = stage.said("held_paths_ended")
    assert (line["fate"], line["dropped"]) == ("refreshed", 0)
    assert _told(router) == before
    assert stage.status().held == []


async def test_what_is_not_announced_again_goes_at_end_of_rib(stage: Stage) -> None:
    """A service went while the speaker was away."""
    router, _, node = await _with_two_nodes(stage)
    await _lose(stage, node)
    again = await stage.node(2, P1, capabilities=(*NATIVE, RESTART))
    again.end_of_rib()
    await until(lambda: router.hops(P2) == [], "what it does not announce again is gone")
    assert router.hops(P1) == [stage.host(31), stage.host(32)]
    assert stage.said("held_paths_ended")[-1]["fate"] == "settled"


async def test_a_withdrawal_is_believed_whatever_is_held(stage: Stage) -> None:
    """The speaker is back and says that a service is gone."""
    router, _, node = await _with_two_nodes(stage)
    await _lose(stage, node)
    again = await stage.node(2)
    again.withdraw(P1)
    await until(lambda: router.hops(P1) == [stage.host(31)], "the withdrawn path is gone")
    assert router.hops(P2) == [stage.host(32)]


async def test_a_held_node_that_leaves_the_roster_is_gone_at_once(stage: Stage) -> None:
    """Nothing is held of a node that is not there."""
    router, _, node = await _with_two_nodes(stage)
    await _lose(stage, node)
    stage.roster.pop()
    stage.write()
    await until(lambda: router.hops(P1) == [stage.host(31)], "the removed node is gone")
    assert router.hops(P2) == []
    assert stage.said("held_paths_ended")[-1]["fate"] == "removed"


async def test_paths_that_are_held_too_long_go_and_the_last_ones_later(stage: Stage) -> None:
    """Both times are settings."""
    router, _, node = await _with_two_nodes(stage, hold_paths="1s", hold_last="3s")
    await _lose(stage, node)
    await until(lambda: router.hops(P1) == [stage.host(31)], "what the other node has, too, goes first")
    assert router.hops(P2) == [stage.host(32)]
    await until(lambda: router.hops(P2) == [], "the last path goes")
    ended = stage.said("held_paths_ended", node="leviathan2")
    assert [(line["fate"], line["dropped"], line["left"]) for line in ended] == [("expired", 1, 1), ("expired", 1, 0)]


async def test_all_speakers_restart_at_once_and_the_router_keeps_everything(stage: Stage) -> None:
    """That is told, in the log and in the status, and is over when they are back."""
    router, *nodes = await _with_two_nodes(stage)
    before = _told(router)
    await _lose(stage, *nodes)
    (line,) = stage.said("mass_failure")
    assert (line["lost"], line["of"]) == (2, 2)
    assert stage.status().mass_failure is not None
    assert any(text.startswith("mass failure: 2 of 2") for text in stage.status().warnings)
    await stage.node(1, P1)
    await stage.node(2, P1, P2)
    await until(lambda: stage.said("mass_failure_over"), "it is over")
    assert _told(router) == before
    assert stage.status().mass_failure is None


async def _with_two_nodes(stage: Stage, **nodes: str) -> tuple[RawRouter, Wire, Wire]:
    """A router that has P1 from both nodes and P2 from the second."""
    await stage.start(nodes={"hold_paths": "60s", **nodes})
    router = await stage.router()
    one, two = await stage.node(1, P1), await stage.node(2, P1, P2)
    await until(lambda: router.hops(P2) == [stage.host(32)], "the router has it all")
    await until(lambda: len(router.hops(P1)) == 2, "from both")
    return router, one, two


async def _lose(stage: Stage, *nodes: Wire) -> None:
    """Their speakers die; returns once they are held."""
    before = len(stage.said("paths_held"))
    for node in nodes:
        node.drop()
    await until(lambda: len(stage.said("paths_held")) == before + len(nodes), "their paths are held")


def _told(router: RawRouter) -> int:
    """How many UPDATEs with routes the router has heard."""
    parsed = [parse_update(one, 4) for one in router.wire.updates()]
    return sum(bool(one.announced or one.withdrawn) for one in parsed)
