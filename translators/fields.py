"""Typed reads of a JSON object that carry their path; what was never read is `unread()`.

Every getter treats null as absent (pitfalls PAR-13). A value of the wrong type raises
`GatewayError(invalid_request)` naming path, expected and found.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, overload

from translators.errors import ErrorKind, GatewayError, invalid
from translators.wire import Json, JsonObject

_MISSING: Final = object()


class Fields:
    """One JSON object and the path that leads to it ("" for the root)."""

    __slots__ = ("_read", "path", "raw")

    def __init__(self, raw: Json, path: str = "") -> None:
        if not isinstance(raw, dict):
            raise invalid(path or "$", "an object", raw)
        self.raw: JsonObject = raw
        self.path = path
        self._read: set[str] = set()

    def at(self, key: str) -> str:
        """The path of a key of this object."""
        return f"{self.path}.{key}" if self.path else key

    def any(self, key: str) -> Json:
        """The value as it is, None when absent or null; marks the key as read."""
        self._read.add(key)
        return self.raw.get(key)

    def text(self, key: str) -> str:
        """A required string."""
        value = self.any(key)
        if value.__class__ is str:
            return value
        raise self._wrong(key, "a string", value)

    @overload
    def optional_text(self, key: str) -> str | None: ...
    @overload
    def optional_text(self, key: str, default: str) -> str: ...
    def optional_text(self, key: str, default: str | None = None) -> str | None:
        """A string, or the default when absent."""
        value = self.any(key)
        if value is None:
            return default
        if value.__class__ is str:
            return value
        raise self._wrong(key, "a string", value)

    def optional_int(self, key: str, minimum: int | None = None) -> int | None:
        """An integer (2.0 counts, true does not), or None when absent."""
        value = self.any(key)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(key, "an integer", value)
        if minimum is not None and value < minimum:
            raise self._wrong(key, f"an integer of at least {minimum}", value)
        return value

    def optional_number(self, key: str) -> float | None:
        """A number as it was written (int stays int), or None when absent."""
        value = self.any(key)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(key, "a number", value)
        return value

    def optional_bool(self, key: str) -> bool | None:
        """true or false, or None when absent."""
        value = self.any(key)
        if value is None or isinstance(value, bool):
            return value
        raise self._wrong(key, "true or false", value)

    def object(self, key: str) -> Fields:
        """A required object."""
        value = self.any(key)
        if value.__class__ is not dict:
            raise self._wrong(key, "an object", value)
        return Fields(value, self.at(key))

    def optional_object(self, key: str) -> Fields | None:
        """An object, or None when absent."""
        return None if self.any(key) is None else self.object(key)

    def json_object(self, key: str) -> JsonObject | None:
        """A free-form object (a JSON Schema, say) that is not read further, or None when absent."""
        value = self.any(key)
        if value is None or isinstance(value, dict):
            return value
        raise self._wrong(key, "an object", value)

    def array(self, key: str) -> list[Json]:
        """An array, [] when absent."""
        value = self.any(key)
        if value is None:
            return []
        if value.__class__ is not list:
            raise self._wrong(key, "an array", value)
        return value

    def items(self, key: str) -> Iterator[Fields]:
        """The objects of an array, each with its path; nothing when absent."""
        base = self.at(key)
        for index, item in enumerate(self.array(key)):
            yield Fields(item, f"{base}[{index}]")

    def texts(self, key: str) -> tuple[str, ...]:
        """An array of strings, () when absent."""
        values = self.array(key)
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise invalid(f"{self.at(key)}[{index}]", "a string", value)
        return tuple(values)

    def skip(self, *keys: str) -> None:
        """Mark keys as known although nothing reads them."""
        self._read.update(keys)

    def unread(self) -> JsonObject:
        """Keys nobody asked for, with non-null values: unknown to this parser."""
        if len(self._read) >= len(self.raw) and self._read.issuperset(self.raw):
            return {}
        return {k: v for k, v in self.raw.items() if k not in self._read and v is not None}

    def _wrong(self, key: str, expected: str, value: Json) -> GatewayError:
        if value is None:
            path = self.at(key)
            return GatewayError(
                ErrorKind.INVALID_REQUEST, f"{path}: required field is missing", path=path
            )
        return invalid(self.at(key), expected, value)
