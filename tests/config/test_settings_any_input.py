"""Whatever stands in the file, and whatever a duration looks like: a tree or a SettingsError, nothing else."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest
from good_settings import GOOD
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from speaker import settings_values as values
from speaker.config import EXAMPLES, Settings
from speaker.settings_check import cross_check, problems_of
from speaker.settings_file import Document, SettingsError, parse_document

TEXT = st.text(st.characters(codec="utf-8", max_codepoint=0xFFFF), max_size=8)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-10**9, 10**12), TEXT,
    st.sampled_from(["192.168.3.1", "fd00::1", "10.0.0.0/8", "90s", "2", "no-export", "64512:1", "::/0", "\0", "1.1",
                     "lanes", "spread", "passive"]),
)  # fmt: skip
KEYS = st.sampled_from(
    ["asn", "listen", "addresses", "port", "routers", "address", "name", "hold_time", "password_file", "nodes",
     "file", "guard", "prefixes", "router_id", "strip_communities", "http", "log", "level", "x",
     "local_address", "local_addresses", "mode", "link_bandwidth", "connect", "journal_size"]
)  # fmt: skip
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=12
)


def check(text: str) -> None:
    """What `load` does after the reading of the file, every step of it."""
    try:
        document = parse_document(text, "onepeer.yaml")
    except SettingsError as error:
        told = [str(problem) for problem in error.problems]
    else:
        told = judge(document)
    assert not any("\n" in line for line in told)


def judge(document: Document) -> list[str]:
    told = [*document.problems, *cross_check(document)]
    refused = False
    try:
        Settings.model_validate(document.data)
    except ValidationError as error:
        refused = True
        told += problems_of(error, Settings, document, EXAMPLES)
    assert told or not refused
    return [str(problem) for problem in told]


@given(st.text(alphabet=st.sampled_from(list("asn:[]{},-\"'#&*!?|>%@ \n\t0159/.~\x85\u2028\ufeff")), max_size=40))
@example("'\n")
@example("a:\n-\n%")
def test_any_text_is_read_or_refused(text: str) -> None:
    check(text)


@given(st.data())
def test_a_good_file_with_a_part_replaced_is_read_or_refused(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 12)))
    check(GOOD[:start] + data.draw(st.text(max_size=6)) + GOOD[end:])


@given(st.dictionaries(KEYS, TREES, max_size=6))
def test_any_values_at_any_keys_are_taken_or_refused(tree: dict[str, object]) -> None:
    assert not any("\n" in line for line in judge(Document("onepeer.yaml", tree, {(): 1})))


@given(TREES)
def test_what_is_read_is_what_was_written(tree: object) -> None:
    """JSON is YAML, but for characters beyond 16 bits in its escapes."""
    assert parse_document(json.dumps(tree), "onepeer.yaml").data == tree


@given(st.integers(0, 10**9 - 1), st.sampled_from(["ms", "s", "m", "h"]))
def test_a_duration_is_its_number_of_seconds(number: int, unit: str) -> None:
    seconds = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}[unit]
    assert values.duration(f"{number}{unit}") == float(number * seconds)


@given(st.text(alphabet="0123456789.smhe-+_ ", max_size=8) | SCALARS)
def test_what_has_no_unit_is_no_duration(value: object) -> None:
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?(ms|s|m|h)", value):
        assert values.duration(value) >= 0
    else:
        with pytest.raises(PydanticCustomError):
            values.duration(value)


@given(st.integers(0, 2**32 - 1))
def test_a_community_has_its_text_back(number: int) -> None:
    octets = number.to_bytes(4, "big")
    assert values.community(values.community_text(octets)) == octets
