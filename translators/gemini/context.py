"""What parsing one client request carries along: losses found on the way, and calls that wait for an answer."""

from __future__ import annotations

from typing import Final

from translators import ids, ir
from translators.gemini.spelling import ProtoFields
from translators.losses import Loss
from translators.seal import Seal
from translators.wire import Json

PROTOCOL: Final = "gemini"

_NO_EQUIVALENT: Final = "has no equivalent in the provider's protocol"


class CallPairs:
    """Give calls without an id one, and find the call that a response answers.

    By id where both have it, else by name in order of the calls: the first unanswered one (pitfalls ID-02).
    Ids are made from name and place, so that a longer history gives the same ones.
    """

    __slots__ = ("_count", "_named", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[tuple[str, str]] = []  # (name, id) of calls without an answer yet
        self._named: set[str] = set()  # the ids that calls brought themselves
        self._count = 0

    def call(self, name: str, given: str | None) -> str:
        """The id of the next call."""
        self._count += 1
        call_id = given or ids.made_call_id("call_", name, 0, self._count)
        self._waiting.append((name, call_id))
        if given:
            self._named.add(given)
        return call_id

    def answer(self, name: str, given: str | None) -> str:
        """The id of the call that a response belongs to; one that answers nothing keeps its own.

        A response with an id of its own never takes the place of that of a call with another.
        """
        by_id = [pair for pair in self._waiting if given and pair[1] == given]
        by_name = [
            pair
            for pair in self._waiting
            if pair[0] == name and not (given and self._named & {given, pair[1]})
        ]
        for pair in (*by_id, *by_name):
            self._waiting.remove(pair)
            return pair[1]
        self._count += 1
        return given or ids.made_call_id("call_", name, 1, self._count)


class Context:
    """One parse."""

    __slots__ = ("calls", "seal", "unshared")

    def __init__(self, seal: Seal | None) -> None:
        self.seal = seal
        self.unshared: list[ir.Unshared] = []
        self.calls = CallPairs()

    def lose(self, path: str, loss: Loss, reason: str = _NO_EQUIVALENT, value: Json = None) -> None:
        """Note a field that only Gemini has; with its value it goes on to an upstream of this protocol."""
        self.unshared.append(ir.Unshared(path=path, loss=loss, reason=reason, value=value))

    def lose_if_set(self, fields: ProtoFields, key: str, loss: Loss) -> None:
        """Note a field unless it is absent or says nothing (protobuf's default values)."""
        if key in fields.raw and not is_default(fields.any(key)):
            self.lose(fields.at(key), loss)

    def unknown(self, fields: ProtoFields) -> None:
        """Note every field that nothing has read."""
        for key in fields.unread():
            self.lose(fields.at(key), Loss.UNKNOWN, "is not a known field")


def is_default(value: Json) -> bool:
    """Whether a value is what protobuf means by absence: an enum's first word among them."""
    if isinstance(value, str):
        return not value or value.upper().endswith("_UNSPECIFIED")
    return value in (None, False, 0, [], {})
