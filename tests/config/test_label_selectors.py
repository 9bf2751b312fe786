"""A label selector means here what it means to kubectl and to MetalLB."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.settings_selector import SelectorError, parse_selector, selector_of

LABELS = {"zone": "a", "role": "worker", "example.com/spot": ""}
TABLE = [
    ("", True), ("zone=a", True), ("zone==a", True), ("zone = b", False), ("zone!=b", True), ("zone!=a", False),
    ("gpu!=x", True), ("zone in (a, b)", True), ("zone in (b)", False), ("zone notin (b,c)", True),
    ("zone notin (a)", False), ("gpu notin (a)", True), ("role", True), ("gpu", False), ("!gpu", True),
    ("! role", False), ("example.com/spot", True), ("example.com/spot=", True), ("zone=a,role=worker", True),
    ("zone in (a,b),role in (worker),!gpu", True), ("zone=a,role=x", False),
]  # fmt: skip


@pytest.mark.parametrize(("text", "selected"), TABLE)
def test_a_selector_selects_what_kubectl_would(text: str, selected: bool) -> None:
    selector = parse_selector(text)
    assert selector.selects(LABELS) is selected
    body = {"matchExpressions": [requirement.expression() for requirement in selector.requirements]}
    assert selector_of(body).selects(LABELS) is selected


@pytest.mark.parametrize("text", [",", "a=b,", "a b", "=b", "a in b", "a in (b", "a>1", "!a=b", "a=b=c", "-a", "a=ä"])
def test_what_kubectl_refuses_is_refused(text: str) -> None:
    with pytest.raises(SelectorError):
        parse_selector(text)


@pytest.mark.parametrize("body", [None, [], {"matchLabels": 1},
                                  {"matchExpressions": [{"key": "a"}]},
                                  {"matchExpressions": [{"key": "a", "operator": "Gt"}]}])  # fmt: skip
def test_an_object_that_is_no_selector_is_refused(body: object) -> None:
    with pytest.raises(SelectorError):
        selector_of(body)


def test_labels_and_expressions_must_all_be_met() -> None:
    zone = {"key": "zone", "operator": "In", "values": ["a"]}
    assert selector_of({"matchLabels": {"role": "worker"}, "matchExpressions": [zone]}).selects(LABELS)
    assert not selector_of({"matchLabels": {"role": "x"}, "matchExpressions": [zone]}).selects(LABELS)


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_selector(text)
    except SelectorError:
        return
