"""Both spellings of a field: protobuf JSON is read as `camelCase` and as `snake_case`, written as the first.

It must not touch free-form objects (schemas, arguments, results): their keys are the user's own.
Reference: https://protobuf.dev/programming-guides/json/ (read 2026-11-21)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from translators.errors import invalid
from translators.fields import Fields
from translators.wire import Json, JsonObject

_UNDERSCORE: Final = re.compile(r"_+([a-z0-9])")
_MAPS: Final = frozenset({"args", "response", "headers", "labels", "metadata"})


def camel(key: str) -> str:
    """`function_call` -> `functionCall`; a key that is camelCase already stays."""
    if "_" not in key:
        return key
    return _UNDERSCORE.sub(lambda match: match[1].upper(), key)


def camel_keys(message: JsonObject) -> JsonObject:
    """The object with its own keys (not those below) in camelCase; the same object when they are."""
    for key in message:
        if "_" in key:
            return {camel(key): value for key, value in message.items()}
    return message


def camel_deep(value: Json) -> Json:
    """A message and the messages in it in camelCase; maps of the user's own (`_MAPS`) stay as they are."""
    if isinstance(value, list):
        return [camel_deep(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: item if name in _MAPS else camel_deep(item)
        for name, item in camel_keys(value).items()
    }


class ProtoFields(Fields):
    """`Fields` of a protobuf message: keys are asked for in camelCase, paths show the client's spelling."""

    __slots__ = ("_spelled",)

    def __init__(self, raw: Json, path: str = "") -> None:
        self._spelled: dict[str, str] = {}
        if isinstance(raw, dict) and any("_" in key for key in raw):
            self._spelled = {camel(key): key for key in raw}
            raw = camel_keys(raw)
        super().__init__(raw, path)

    def at(self, key: str) -> str:
        """See Fields."""
        return super().at(self._spelled.get(key, key))

    def object(self, key: str) -> ProtoFields:
        """See Fields."""
        value = self.any(key)
        if not isinstance(value, dict):
            raise self._wrong(key, "an object", value)
        return ProtoFields(value, self.at(key))

    def optional_object(self, key: str) -> ProtoFields | None:
        """See Fields."""
        return None if self.any(key) is None else self.object(key)

    def items(self, key: str) -> Iterator[ProtoFields]:
        """See Fields."""
        base = self.at(key)
        for index, item in enumerate(self.array(key)):
            yield ProtoFields(item, f"{base}[{index}]")

    def int64(self, key: str) -> int | None:
        """An integer; protobuf JSON may write it as a string."""
        value = self.any(key)
        if isinstance(value, str):
            try:
                return int(value)
            except ValueError:
                raise invalid(self.at(key), "an integer", value) from None
        return self.optional_int(key)

    def word(self, key: str) -> str | None:
        """An enum's name in upper case (the API takes any case), None when absent."""
        value = self.optional_text(key)
        return value.upper() if value else None
