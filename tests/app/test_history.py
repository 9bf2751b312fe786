"""What a running Onepeer keeps of what happens to its neighbors."""

from speaker.serve.views import HistoryQuery
from tests.app.stage import Stage, until


async def told(stage: Stage, **query: object) -> list[str]:
    """What `onepeer history` would have, in words."""
    view = await stage.report().history(HistoryQuery.model_validate(query))
    return [record.text for record in view.records]


async def test_a_node_that_comes_and_goes_is_in_the_journal(stage: Stage) -> None:
    """Its session with the cause, and its paths as they came and went."""
    await stage.start()
    wire = await stage.node(1, "192.168.30.1/32", "192.168.30.2/32")
    await until(lambda: stage.routes(), "the paths are there")
    wire.drop()
    await until(lambda: not stage.routes(), "the paths are gone")
    said = await told(stage, node="leviathan1")
    assert said[0] == "roster of 2: added leviathan1, leviathan2"
    *_, up, came, down, went = said
    assert (up, came) == ("session up", "announced 192.168.30.1-192.168.30.2")
    assert down.startswith("session down: ")
    assert went == "withdrew 192.168.30.1-192.168.30.2"


async def test_what_happened_before_a_restart_is_still_known(stage: Stage) -> None:
    """Also to those who read the files while it is down."""
    await stage.start()
    await stage.node(1, "192.168.30.1/32")
    await until(lambda: stage.routes(), "the path is there")
    await stage.stop()
    await stage.start()
    said = await told(stage)
    assert "announced 192.168.30.1/32" in said
    assert said.index("Onepeer stopped (SIGTERM)") < len(said) - 1 - said[::-1].index("Onepeer 0.1.0 started")


async def test_a_journal_that_cannot_be_written_stops_nobody(stage: Stage) -> None:
    """A file is where its folder should be."""
    stage.prepare()
    stage.write_text("state", "no folder")
    await stage.start()
    await stage.node(1, "192.168.30.1/32")
    await until(lambda: stage.routes(), "the path is there")
    assert "announced 192.168.30.1/32" in await told(stage)
    assert len(stage.said("journal_unwritten")) == 1


async def test_the_journal_moves_with_its_settings(stage: Stage) -> None:
    """Without a restart."""
    await stage.start()
    stage.settings["state_dir"] = "elsewhere"
    await stage.reload()
    await stage.node(1, "192.168.30.1/32")
    await until(lambda: stage.routes(), "the path is there")
    assert "announced 192.168.30.1/32" in await told(stage)
    assert list((stage.folder / "elsewhere" / "journal").glob("*.jsonl"))
