"""Reasoning state for client protocols that have no field for it (portability rules, section 12).

The state of an answer is kept under the ids of the tool calls that it led to, and put back before those
calls when they return in a history. Bounded and forgetful: a miss costs quality, never correctness. The
clock is passed in; one tenant never sees another's state.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from translators import ir

TTL_S: Final = 3600.0
MAX_CHARS: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Entry:
    reasoning: tuple[ir.Reasoning, ...]
    before_text: bool
    chars: int
    expires_s: float


class ReasoningMemory:
    """Remember reasoning by tenant and tool call id, at most `max_chars` of it, for `ttl_s` seconds.

    The least recently used goes first when there is no room.
    """

    __slots__ = ("_chars", "_entries", "_max_chars", "_ttl_s")

    def __init__(self, ttl_s: float = TTL_S, max_chars: int = MAX_CHARS) -> None:
        self._ttl_s = ttl_s
        self._max_chars = max_chars
        self._chars = 0
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def remember(self, tenant: str, response_parts: Iterable[ir.Part], now_s: float) -> None:
        """Keep the reasoning with state that led to each call of an answer."""
        self._expire(now_s)
        for call, reasoning, before_text in _led_to(response_parts):
            chars = sum(map(_size, reasoning))
            if chars > self._max_chars:
                continue
            self._drop((tenant, call.call_id))
            self._entries[tenant, call.call_id] = _Entry(
                reasoning, before_text, chars, now_s + self._ttl_s
            )
            self._chars += chars
        while self._chars > self._max_chars:
            self._drop(next(iter(self._entries)))

    def restore(self, tenant: str, request: ir.Request, now_s: float) -> ir.Request:
        """The request with remembered reasoning before the calls that it led to.

        Assistant messages that have reasoning with state already are left alone, and so is the whole
        request (the same object) when nothing is remembered.
        """
        if not self._entries:
            return request
        messages = tuple(
            self._restored(tenant, message, now_s) if message.role is ir.Role.ASSISTANT else message
            for message in request.messages
        )
        changed = any(new is not old for new, old in zip(messages, request.messages, strict=True))
        return replace(request, messages=messages) if changed else request

    def _restored(self, tenant: str, message: ir.Message, now_s: float) -> ir.Message:
        if any(isinstance(part, ir.Reasoning) and part.state for part in message.parts):
            return message
        found = {
            part.call_id: entry
            for part in message.parts
            if isinstance(part, ir.ToolCall) and (entry := self._recall(tenant, part, now_s))
        }
        if not found:
            return message
        parts: list[ir.Part] = []
        first_text: int | None = None
        for part in message.parts:
            if isinstance(part, ir.Reasoning):
                continue  # the readable copy of what is put back whole
            if isinstance(part, ir.ToolCall):
                if entry := found.pop(part.call_id, None):
                    place = len(parts)
                    if entry.before_text and first_text is not None:
                        place = first_text
                    parts[place:place] = entry.reasoning
                first_text = None
            elif first_text is None:
                first_text = len(parts)
            parts.append(part)
        return replace(message, parts=tuple(parts))

    def _recall(self, tenant: str, call: ir.ToolCall, now_s: float) -> _Entry | None:
        key = (tenant, call.call_id)
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires_s <= now_s:
            self._drop(key)
            return None
        # A conversation that is still used lives on: its whole history is needed every turn.
        self._entries[key] = replace(entry, expires_s=now_s + self._ttl_s)
        self._entries.move_to_end(key)
        return entry

    def _expire(self, now_s: float) -> None:
        """Drop what is over; entries stand in the order of their last use, so in that of their end."""
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if entry.expires_s > now_s:
                return
            self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._chars -= entry.chars


def _led_to(
    parts: Iterable[ir.Part],
) -> Iterator[tuple[ir.ToolCall, tuple[ir.Reasoning, ...], bool]]:
    """Each call that reasoning led to, that reasoning, and whether text stands between the two."""
    waiting: list[ir.Reasoning] = []
    text_since = False
    for part in parts:
        if isinstance(part, ir.Reasoning):
            waiting.append(part)
            text_since = False
        elif isinstance(part, ir.ToolCall):
            if any(item.state for item in waiting):
                yield part, tuple(waiting), text_since
            waiting, text_since = [], False
        else:
            text_since = True


def _size(reasoning: ir.Reasoning) -> int:
    return len(reasoning.text) + (len(reasoning.state.value) if reasoning.state else 0)
