"""JSON bytes in and out: one place that decides how this project reads and writes JSON.

orjson does the work. What it refuses although other readers accept it (a lone surrogate, an integer
beyond 64 bits on the way out) goes through the standard library, so that an odd but honest client
is still served. It must not know any protocol.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

type Json = Any
"""A JSON value as Python objects: dict, list, str, int, float, bool or None."""
type JsonObject = dict[str, Any]

LINE_SEPARATORS: Final = re.compile("[\u2028\u2029]")
_HUGE_INTEGER: Final = re.compile(rb"(?:^|[\[:,\s-])\d{19,}\s*(?:[,\]}]|$)")
_DIGITS: Final = re.compile(rb"\d+")
_DIGITS_TO_ZERO: Final = bytes.maketrans(b"123456789", b"0" * 9)
_NINETEEN_DIGITS: Final = b"0" * 19
"""Looked for first: that costs a tenth of the expression, and almost no text has so long a run of digits."""


class JsonSyntaxError(ValueError):
    """The bytes are not JSON; `line` and `column` count from 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"{message} at line {line}, column {column}")
        self.line = line
        self.column = column


def loads(data: bytes | bytearray | str) -> Json:
    """Parse one JSON text; `JsonSyntaxError` names the position.

    Integers keep every digit (orjson would turn those beyond 64 bits into floats).
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _tolerant_loads(raw)
    if _has_huge_integer(raw):
        return _tolerant_loads(raw)
    return value


def _has_huge_integer(raw: bytes) -> bool:
    """Whether a number may have 19 digits or more; only the long runs themselves are looked at closely."""
    zeros = raw.translate(_DIGITS_TO_ZERO)
    start = zeros.find(_NINETEEN_DIGITS)
    while start >= 0:
        if _HUGE_INTEGER.match(raw, max(start - 1, 0)):
            return True
        run = _DIGITS.match(raw, start)
        start = zeros.find(_NINETEEN_DIGITS, run.end() if run else start + 1)
    return False


def _tolerant_loads(raw: bytes) -> Json:
    try:
        value = json.loads(
            raw.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite
        )
        return _without_surrogates(value)
    except json.JSONDecodeError as error:
        raise JsonSyntaxError(error.msg, error.lineno, error.colno) from error
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise JsonSyntaxError("not valid UTF-8", line, column) from error
    except RecursionError as error:
        raise JsonSyntaxError("nested too deeply", 1, 1) from error
    except ValueError as error:
        raise JsonSyntaxError(str(error), 1, 1) from error


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    """A number as a float; 1e999 would become an infinity, which nothing can write again."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:20]} is out of range")
    return value


def _without_surrogates(value: Json) -> Json:
    """Replace lone surrogates by U+FFFD: they cannot be sent as UTF-8."""
    match value:
        case str():
            if value.isascii():
                return value
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_without_surrogates(item) for item in value]
        case dict():
            return {
                _without_surrogates(key): _without_surrogates(item) for key, item in value.items()
            }
        case _:
            return value


def dumps(value: Json) -> bytes:
    """Compact JSON (`,` and `:`), UTF-8 unescaped, keys in the order given."""
    try:
        return orjson.dumps(value)
    except TypeError:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.encode("utf-8", "replace")


def dump_text(value: Json) -> str:
    """`dumps` as a string, for JSON inside JSON (tool arguments)."""
    return dumps(value).decode()


def without_nulls(value: Mapping[str, Json]) -> JsonObject:
    """Drop keys whose value is null: the four protocols read null as absent (pitfalls PAR-13)."""
    return {key: item for key, item in value.items() if item is not None}
