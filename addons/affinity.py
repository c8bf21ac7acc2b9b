"""Sessions: what a request's conversation is recognised by, and where it went last. No I/O, no flow.

A session stays with one provider, model and key, so that prompt caches and account-bound reasoning keep working;
only a failure moves it. Bounded, and forgotten after a while.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Final

from config.payload import parse_path
from config.settings import Affinity
from translators import ir
from translators.wire import Json, JsonObject, dumps

MAX_VALUE_CHARS: Final = 4096

type Where = tuple[str, str, str]
"""Provider, model, key."""


def session_of(
    settings: Affinity,
    headers: Mapping[str, str],
    body: JsonObject,
    tenant: str,
    hub: Callable[[], ir.Request],
) -> str | None:
    """A hash that names the session, per tenant; None when nothing does."""
    if not settings.enabled:
        return None
    for name in settings.headers:
        if value := headers.get(name.lower(), "").strip():
            return _hash(tenant, "header", value)
    for path in settings.body_paths:
        if value := _text_at(body, path):
            return _hash(tenant, "body", value)
    if settings.first_message and (first := first_words(hub())):
        text, tools = first
        if len(text) >= settings.first_message_min_chars:
            return _hash(tenant, "message", text, *tools)
    return None


def _text_at(body: JsonObject, path: str) -> str:
    """The text at a path, or the `id` of an object there; "" when there is none."""
    value: Json = body
    for step in parse_path(path):
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, dict):
        value = value.get("id")
    return value.strip()[:MAX_VALUE_CHARS] if isinstance(value, str) else ""


def first_words(request: ir.Request) -> tuple[str, tuple[str, ...]] | None:
    """The first user message's text, and the names of the tools: the same in every turn of a session."""
    for message in request.messages:
        if message.role is ir.Role.USER:
            text = "\n".join(part.text for part in message.parts if isinstance(part, ir.Text))
            if text:
                tools = (
                    tool.name
                    for tool in request.tools
                    if isinstance(tool, ir.FunctionTool | ir.CustomTool)
                )
                return text, tuple(tools)
    return None


def _hash(*parts: str) -> str:
    return sha256(dumps(parts)).hexdigest()[:32]


class Sessions:
    """Where sessions went last. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._places: OrderedDict[tuple[str, str], tuple[Where, float]] = OrderedDict()

    def where(self, session: str, model: str, settings: Affinity) -> Where | None:
        """Where a session's requests for a model go, None when it is new or long over."""
        found = self._places.get((session, model))
        if found is None:
            return None
        if self._clock() - found[1] > settings.ttl_s:
            del self._places[(session, model)]
            return None
        return found[0]

    def remember(self, session: str, model: str, where: Where, settings: Affinity) -> None:
        """A request of the session was answered there."""
        self._places[(session, model)] = (where, self._clock())
        self._places.move_to_end((session, model))
        while len(self._places) > settings.max_sessions:
            self._places.popitem(last=False)

    def forget(self, session: str, model: str, where: Where) -> None:
        """It failed there: the next answer decides anew."""
        found = self._places.get((session, model))
        if found is not None and found[0] == where:
            del self._places[(session, model)]

    def clear(self) -> None:
        """Forget all."""
        self._places.clear()

    def __len__(self) -> int:
        return len(self._places)
