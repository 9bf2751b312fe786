"""docs/settings.md has every setting with the default that the code has, and its examples work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from speaker.cluster.file import NodesFile, read_roster
from speaker.config import Settings, load
from speaker.settings_check import model_in

PAGE = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
MAIN, NODES = PAGE.split("\n## nodes.yaml\n")[0], PAGE.split("\n## nodes.yaml\n")[1]
ROW = re.compile(r"^\| `([^`]+)` \| (.*) \| (.*) \| (.*) \|$", re.MULTILINE)
EXAMPLES = re.findall(r"```yaml\n# (\S+\.yaml)\n(.*?)```", PAGE, re.DOTALL)


def settings_of(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Each key with a value of its own, as the page writes it: `routers[].hold_time`."""
    for key, field in model.model_fields.items():
        inner, kind = model_in(field.annotation), str(field.annotation)
        several = "[]" if "tuple" in kind else ""
        if inner is None or several or "None" in kind:
            yield above + key, field
        if inner is not None:
            yield from settings_of(inner, f"{above}{key}{several}.")


def default_text(field: FieldInfo) -> str | None:
    """The default as the page writes it; None where it depends on other settings."""
    value: Any = field.default
    if field.is_required():
        return "required"
    if isinstance(value, BaseModel):
        return "on"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}s"
    if value is None:
        return "null" if "None" in str(field.annotation) else None
    return "[]" if value == () else str(value)


@pytest.mark.parametrize(("model", "text"), [(Settings, MAIN), (NodesFile, NODES)], ids=["onepeer", "nodes"])
def test_every_setting_is_in_the_reference_with_its_default(model: type[BaseModel], text: str) -> None:
    rows = {key: default.strip() for key, _, default, _ in ROW.findall(text)}
    settings = dict(settings_of(model))
    assert sorted(rows) == sorted(settings)
    wrong = {key: field for key, field in settings.items() if default_text(field) not in (None, rows[key])}
    assert not wrong


@pytest.mark.parametrize("model", [Settings, NodesFile])
def test_every_setting_says_its_reason_in_the_code(model: type[BaseModel]) -> None:
    assert [key for key, field in settings_of(model) if not field.description] == []


@pytest.mark.parametrize("at", [0, 2], ids=["smallest", "everything"])
def test_the_examples_of_the_reference_work(tmp_path: Path, at: int) -> None:
    for name, text in EXAMPLES[at : at + 2]:
        (tmp_path / name).write_text(text)
    for name in ("router.password", "nodes.password", "leviathan1.password"):
        (tmp_path / name).write_text("open sesame\n")
    settings = load(tmp_path / "onepeer.yaml")
    assert settings.asn == 64512
    roster, _ = read_roster(settings)
    assert [node.name for node in roster.nodes] == ["leviathan1", "leviathan2"][: 2 - at // 2]


def test_the_example_of_a_cluster_works(tmp_path: Path) -> None:
    (tmp_path / "nodes.password").write_text("open sesame\n")
    (tmp_path / "cluster.yaml").write_text(EXAMPLES[4][1])
    found = load(tmp_path / "cluster.yaml").nodes.kubernetes
    assert found is not None
    assert found.bgp_peers.password_secret == "bgp-password"


def test_the_full_example_has_every_key() -> None:
    (_, main), (_, nodes), (_, cluster) = EXAMPLES[2:]
    for model, text in ((Settings, main + cluster), (NodesFile, nodes)):
        words = set(re.findall(r"(\w+):", text))
        assert {key.split(".")[-1] for key, _ in settings_of(model)} <= words
