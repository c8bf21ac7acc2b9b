"""A small language for the shape of a JSON request, so that a validator reads as its protocol's reference page.

A shape is data; `check` walks it over a value and raises on the first thing that the provider would refuse.
How that is said differs by provider: each validator brings its own `Words`. Rules that concern several
fields at once (pairing, order, conflicts) are code in the validators, not here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from scripts.fake.rejection import Rejection

type Json = Any
type JsonObject = dict[str, Any]
type Path = tuple[str | int, ...]


class Words(Protocol):
    """How one provider says no; `path` is a tuple of keys and indexes from the root of the body."""

    def unknown(self, path: Path, value: Json) -> Rejection: ...
    def missing(self, path: Path) -> Rejection: ...
    def wrong_type(self, path: Path, expected: str, value: Json) -> Rejection: ...
    def wrong_value(self, path: Path, allowed: tuple[str, ...], value: Json) -> Rejection: ...
    def out_of_range(self, path: Path, bound: str, value: Json) -> Rejection: ...
    def bad_pattern(self, path: Path, pattern: str, value: str) -> Rejection: ...
    def bad_length(self, path: Path, bound: str, length: int) -> Rejection: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Anything at all; `null` allows JSON null."""

    null: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bool(Shape):
    """true or false."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Shape):
    """A number between `low` and `high`, both allowed; `whole` refuses fractions."""

    low: float | None = None
    high: float | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Shape):
    """A string; `words` is a closed list of values, `shortest`/`longest` count characters."""

    words: tuple[str, ...] = ()
    pattern: str | None = None
    shortest: int = 0
    longest: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Items(Shape):
    """An array of one shape."""

    of: Shape
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Object(Shape):
    """An object with known fields; `open` lets unknown ones pass."""

    fields: Mapping[str, Shape] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged(Shape):
    """An object whose `key` picks the shape; `default` is the tag of an object without it."""

    key: str = "type"
    cases: Mapping[str, Shape]
    default: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Either(Shape):
    """A choice by JSON type: the first alternative whose JSON type fits is the one that counts."""

    of: tuple[Shape, ...]


ANY: Final = Shape(null=True)
FREE: Final = Object(open=True)

_JSON_TYPES: Final[Mapping[type[Shape], tuple[type, ...]]] = {
    Bool: (bool,),
    Number: (int, float),
    Text: (str,),
    Items: (list,),
    Object: (dict,),
    Tagged: (dict,),
}
_TYPE_WORDS: Final[Mapping[type[Shape], str]] = {
    Bool: "boolean",
    Number: "number",
    Text: "string",
    Items: "array",
    Object: "object",
    Tagged: "object",
}


def obj(required: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None) -> Object:
    """An object shape from its required and its optional fields."""
    return Object(fields={**required, **(optional or {})}, required=tuple(required))


def words(*values: str, null: bool = False) -> Text:
    """A string out of a closed list."""
    return Text(words=values, null=null)


def listed(text: str) -> tuple[str, ...]:
    """The words of a text: long lists of names read better without quotes."""
    return tuple(text.split())


def check(value: Json, shape: Shape, path: Path, say: Words) -> None:
    """Compare `value` with `shape`; raises the first `Rejection` in document order of the shape."""
    if value is None and shape.null:
        return
    match shape:
        case Either(of=alternatives):
            check(value, _alternative(value, alternatives, path, say), path, say)
        case Text():
            _check_text(value, shape, path, say)
        case Number():
            _check_number(value, shape, path, say)
        case Bool():
            _expect(value, shape, path, say)
        case Items():
            _check_items(value, shape, path, say)
        case Object():
            _check_object(value, shape, path, say)
        case Tagged():
            _check_tagged(value, shape, path, say)
        case _:
            return


def _fits(value: Json, shape: Shape) -> bool:
    kinds = _JSON_TYPES.get(type(shape))
    if kinds is None:
        return True
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, kinds)


def _type_words(shape: Shape) -> str:
    if isinstance(shape, Number) and shape.whole:
        return "integer"
    return _TYPE_WORDS.get(type(shape), "value")


def _expect(value: Json, shape: Shape, path: Path, say: Words) -> None:
    if not _fits(value, shape):
        raise say.wrong_type(path, _type_words(shape), value)


def _alternative(value: Json, shapes: tuple[Shape, ...], path: Path, say: Words) -> Shape:
    for shape in shapes:
        if _fits(value, shape):
            return shape
    raise say.wrong_type(path, " or ".join(dict.fromkeys(map(_type_words, shapes))), value)


def _check_text(value: Json, shape: Text, path: Path, say: Words) -> None:
    _expect(value, shape, path, say)
    if shape.words and value not in shape.words:
        raise say.wrong_value(path, shape.words, value)
    if len(value) < shape.shortest:
        raise say.bad_length(path, f"at least {shape.shortest}", len(value))
    if shape.longest is not None and len(value) > shape.longest:
        raise say.bad_length(path, f"at most {shape.longest}", len(value))
    if shape.pattern is not None and re.fullmatch(shape.pattern, value) is None:
        raise say.bad_pattern(path, shape.pattern, value)


def _check_number(value: Json, shape: Number, path: Path, say: Words) -> None:
    _expect(value, shape, path, say)
    if shape.whole and not float(value).is_integer():
        raise say.wrong_type(path, "integer", value)
    if shape.low is not None and value < shape.low:
        raise say.out_of_range(path, f">= {shape.low:g}", value)
    if shape.high is not None and value > shape.high:
        raise say.out_of_range(path, f"<= {shape.high:g}", value)


def _check_items(value: Json, shape: Items, path: Path, say: Words) -> None:
    _expect(value, shape, path, say)
    if len(value) < shape.least:
        raise say.bad_length(path, f"at least {shape.least}", len(value))
    if shape.most is not None and len(value) > shape.most:
        raise say.bad_length(path, f"at most {shape.most}", len(value))
    for index, item in enumerate(value):
        check(item, shape.of, (*path, index), say)


def _check_object(value: Json, shape: Object, path: Path, say: Words) -> None:
    _expect(value, shape, path, say)
    for name in shape.required:
        if name not in value:
            raise say.missing((*path, name))
    for name, item in value.items():
        known = shape.fields.get(name)
        if known is not None:
            check(item, known, (*path, name), say)
        elif not shape.open:
            raise say.unknown((*path, name), item)


def _check_tagged(value: Json, shape: Tagged, path: Path, say: Words) -> None:
    _expect(value, shape, path, say)
    tag = value.get(shape.key, shape.default)
    if tag is None:
        raise say.missing((*path, shape.key))
    case = shape.cases.get(tag) if isinstance(tag, str) else None
    if case is None:
        raise say.wrong_value((*path, shape.key), tuple(shape.cases), tag)
    check(value, case, path, say)


def dotted(path: Path) -> str:
    """`messages.0.content`, as Anthropic writes paths."""
    return ".".join(map(str, path))


def bracketed(path: Path) -> str:
    """`messages[0].content`, as OpenAI and Google write paths."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
