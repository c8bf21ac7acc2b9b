"""pydantic's findings as problems with file, line, key path, found and expected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Final, TypeAliasType, Union, get_args, get_origin

from pydantic import ValidationError

from config.checks import did_you_mean
from config.models import Config
from config.problems import KeyPath, Mark, Problem, mark_of, show_path, show_value, walk
from config.profiles import PROFILE_FIELDS, ProfilePatch
from config.section import Section

_SHOULD_BE: Final = "Input should be "
_VALUE_ERROR: Final = "Value error, "
_PLAIN_WORDS: Final = {
    "string_type": "a text (put it into quotes)",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "string_pattern_mismatch": "a name of letters, digits, `_`, `.` and `-`",
}


def explain(
    error: ValidationError,
    value: Any,
    marks: Mapping[KeyPath, Mark],
    places: Iterable[tuple[str | int, ...]],
) -> list[Problem]:
    """One problem per finding; `places` are the findings' locations in `value`."""
    return [
        _problem(dict(item), place, value, marks)
        for item, place in zip(error.errors(), places, strict=True)
    ]


def _problem(
    item: dict[str, Any],
    place: tuple[str | int, ...],
    value: Any,
    marks: Mapping[KeyPath, Mark],
) -> Problem:
    kind = item["type"]
    path, written = walk(value, place)
    missing = kind == "missing"
    if missing:
        path = (*path, place[-1])
    found = "nothing" if missing else show_value(written, path)
    expected = _expected(item)
    hint = ""
    if kind == "extra_forbidden":
        known = _known_keys(place[:-1])
        found, expected = "an unknown key", "one of the known keys"
        hint = did_you_mean(str(place[-1]), known)
        if not hint and known:
            hint = f"known: {', '.join(known)}"
    elif kind in ("enum", "literal_error") and isinstance(written, str):
        hint = did_you_mean(written, _words(expected))
    elif kind == "secret":
        if reason := item.get("ctx", {}).get("reason"):
            found, expected = f"a secret that cannot be used ({reason})", "a usable one"
    elif kind == "value_error" and isinstance(written, dict):
        found = f"a mapping of {', '.join(written)}" if written else "an empty mapping"
    return Problem(
        mark=mark_of(marks, path), path=show_path(path), found=found, expected=expected, hint=hint
    )


def _expected(item: Mapping[str, Any]) -> str:
    message = str(item["msg"])
    if item["type"] == "missing":
        return "a value: this key is needed"
    for opening in (_SHOULD_BE, _VALUE_ERROR):
        message = message.removeprefix(opening)
    return _PLAIN_WORDS.get(item["type"], message)


def _words(expected: str) -> list[str]:
    return expected.split("'")[1::2]


def _known_keys(place: tuple[str | int, ...]) -> list[str]:
    """The keys that the section at a place has."""
    types: list[Any] = [Config]
    for step in place:
        types = [inner for one in types for inner in _inside(one, step)] or types
    sections = [one for one in types if isinstance(one, type) and issubclass(one, Section)]
    return sorted(
        {field.alias or name for one in sections for name, field in one.model_fields.items()}
    )


def _inside(kind: Any, step: str | int) -> list[Any]:
    """The types that a step leads to, unions and annotations opened."""
    if isinstance(kind, type) and issubclass(kind, Section):
        field = kind.model_fields.get(str(step))
        return _opened(field.annotation) if field is not None else []
    arguments = get_args(kind)
    if arguments and isinstance(step, int):
        return _opened(arguments[0])
    return _opened(arguments[-1]) if len(arguments) > 1 else []


def _opened(kind: Any) -> list[Any]:
    if isinstance(kind, TypeAliasType):
        return _opened(kind.__value__)
    if kind is ProfilePatch:
        return [PROFILE_FIELDS]
    origin = get_origin(kind)
    if origin is Annotated:
        return _opened(get_args(kind)[0])
    if origin in (Union, UnionType):
        return [inner for one in get_args(kind) for inner in _opened(one)]
    return [kind]
