"""The views of serve/views.py as rows for people: type, default, and the comment beside a field."""

import ast
import inspect
import io
import json
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from speaker.serve import views as module

TYPES = {
    "str": "string",
    "int": "integer",
    "bool": "boolean",
    "Any": "anything",
    "None": "null",
    "Time": "number, seconds since the epoch",
    "Seconds": "number, seconds",
    "Health": " / ".join(f"`{one}`" for one in module.Health),
}


@dataclass(frozen=True, slots=True)
class Described:
    """A view, its docstring, and (field, type, meaning) for each field."""

    name: str
    meaning: str
    rows: list[tuple[str, ...]]


def views() -> Iterator[Described]:
    """Every view in the order of the code. A field without a comment fails."""
    source = inspect.getsource(module)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {one.start[0]: one.string.removeprefix("#").strip() for one in tokens if one.type == tokenize.COMMENT}
    for one in ast.parse(source).body:
        fields = [part for part in one.body if isinstance(part, ast.AnnAssign)] if isinstance(one, ast.ClassDef) else []
        if isinstance(one, ast.ClassDef) and fields:
            rows = [_row(one.name, field, comments) for field in fields]
            yield Described(one.name, ast.get_docstring(one) or "", rows)


def _row(view: str, field: ast.AnnAssign, comments: dict[int, str]) -> tuple[str, ...]:
    name = ast.unparse(field.target)
    lines = range(field.lineno, (field.end_lineno or field.lineno) + 1)
    said = [comments[line] for line in lines if line in comments]
    assert said, f"speaker/serve/views.py: {view}.{name} has no comment that says what it means"
    default = _default(getattr(module, view), name)
    return f"`{name}`", _type(field.annotation) + default, " ".join(said)


def _default(view: type[BaseModel], name: str) -> str:
    field = view.model_fields[name]
    return "" if field.is_required() else f" = `{json.dumps(field.default)}`"


def _type(one: ast.expr) -> str:
    match one:
        case ast.BinOp(left=left, right=right):
            return f"{_type(left)} or {_type(right)}"
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return f"array of {_type(item)}"
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[_, value])):
            return f"object of {_type(value)}"
        case ast.Constant(value=str(name)) | ast.Name(id=name):
            return TYPES.get(name) or f"[{name}](#{name.lower()})"
        case _:
            return TYPES[ast.unparse(one)]
