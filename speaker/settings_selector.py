"""Which objects does a label selector mean? Kubernetes' own rules, in both forms that people write. Pure.

As text, as `kubectl get nodes -l` takes it: `a=b`, `a!=b`, `a in (b, c)`, `a notin (b, c)`, `a`, `!a`, joined by
commas. As an object, as in a BGPPeer: matchLabels and matchExpressions. `!=` and `notin` mean also what has no such
label.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Operator(StrEnum):
    """As matchExpressions writes them."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    MISSING = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def met_by(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels meets it."""
        match self.operator:
            case Operator.EXISTS:
                return self.key in labels
            case Operator.MISSING:
                return self.key not in labels
            case Operator.IN:
                return labels.get(self.key) in self.values
        return labels.get(self.key) not in self.values

    def expression(self) -> dict[str, Any]:
        """As an item of matchExpressions."""
        values = {"values": list(self.values)} if self.values else {}
        return {"key": self.key, "operator": str(self.operator), **values}


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All of these must be met; none means everything."""

    requirements: tuple[Requirement, ...] = ()
    text: str = ""

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is meant."""
        return all(requirement.met_by(labels) for requirement in self.requirements)

    def __str__(self) -> str:
        return self.text


class SelectorError(ValueError):
    """It cannot be read; the text says which part."""


_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_KEY: Final = rf"(?:[a-z0-9](?:[a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_NAME}"
_VALUE: Final = rf"(?:{_NAME})?"
_PARTS: Final = (
    (re.compile(rf"({_KEY})\s*(?:==|=)\s*({_VALUE})"), Operator.IN),
    (re.compile(rf"({_KEY})\s*!=\s*({_VALUE})"), Operator.NOT_IN),
    (re.compile(rf"({_KEY})\s+in\s*\(([^()]*)\)"), Operator.IN),
    (re.compile(rf"({_KEY})\s+notin\s*\(([^()]*)\)"), Operator.NOT_IN),
    (re.compile(rf"!\s*({_KEY})()"), Operator.MISSING),
    (re.compile(rf"({_KEY})()"), Operator.EXISTS),
)


def parse_selector(text: str) -> LabelSelector:
    """The selector that a text is. Raises SelectorError."""
    parts = [part.strip() for part in re.split(r",(?![^(]*\))", text)]
    if parts == [""]:
        return LabelSelector()
    return LabelSelector(tuple(_requirement(part) for part in parts), text)


def _requirement(part: str) -> Requirement:
    for pattern, operator in _PARTS:
        found = pattern.fullmatch(part)
        if found is None:
            continue
        key, rest = found.groups()
        if operator in (Operator.EXISTS, Operator.MISSING):
            return Requirement(key, operator)
        values = tuple(value.strip() for value in rest.split(","))
        if all(re.fullmatch(_VALUE, value) for value in values):
            return Requirement(key, operator, values)
    raise SelectorError(part)


def selector_of(body: object) -> LabelSelector:
    """The selector that an object is, as Kubernetes has checked it. Raises SelectorError where it has not."""
    if not isinstance(body, dict):
        raise SelectorError(str(body))
    return LabelSelector((*_labels(body.get("matchLabels") or {}), *_expressions(body.get("matchExpressions") or [])))


def _labels(found: object) -> Iterator[Requirement]:
    if not isinstance(found, dict):
        raise SelectorError(str(found))
    for key, value in found.items():
        yield Requirement(str(key), Operator.IN, (str(value),))


def _expressions(found: object) -> Iterator[Requirement]:
    if not isinstance(found, list):
        raise SelectorError(str(found))
    for item in found:
        try:
            yield Requirement(str(item["key"]), Operator(item["operator"]), tuple(map(str, item.get("values") or ())))
        except (TypeError, KeyError, ValueError, AttributeError):
            raise SelectorError(str(item)) from None
