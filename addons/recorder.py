"""Watch an answer to a Responses client go by, and give its final object to whoever stores it.

Looks at the bytes that the client gets, so it works alike for translated and for passed answers. It changes nothing,
and a failed or cut answer is not given on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from addons.relay import Relay
from translators.sse import SseParser
from translators.wire import JsonObject, JsonSyntaxError, loads

log = logging.getLogger(__name__)

_MARKS: Final = (b"response.completed", b"response.incomplete")
_TERMINAL: Final = frozenset({"response.completed", "response.incomplete"})
_KEPT: Final = frozenset({"completed", "incomplete"})
MAX_HELD_BYTES: Final = 16 * 1024 * 1024


class Recorder:
    """Calls `keep` once with the final response object, before the client has all of its bytes."""

    def __init__(self, keep: Callable[[JsonObject], None]) -> None:
        self._keep: Callable[[JsonObject], None] | None = keep
        self._held = b""

    def whole(self, body: bytes) -> None:
        """Take a whole answer."""
        try:
            self._take(loads(body))
        except JsonSyntaxError:
            log.debug("an answer could not be stored: it is not JSON")

    def around(self, relay: Relay) -> Callable[[bytes], list[bytes]]:
        """The relay of a streamed answer, watched."""

        def watched(data: bytes) -> list[bytes]:
            pieces = relay(data)
            if self._keep is not None:
                for piece in pieces:
                    self._watch(piece)
            return pieces

        return watched

    def _watch(self, piece: bytes) -> None:
        """Hold an unfinished frame until it ends; parse only what may be the terminal one."""
        held = self._held + piece if self._held else piece
        if not held.endswith((b"\n\n", b"\r\n\r\n")):
            self._held = held if len(held) <= MAX_HELD_BYTES else b""
            return
        self._held = b""
        if any(mark in held for mark in _MARKS):
            for event in held.split(b"\n\n"):
                if any(mark in event for mark in _MARKS):
                    for frame in SseParser().feed(event + b"\n\n"):
                        self._frame(frame.data)

    def _frame(self, data: bytes) -> None:
        try:
            event = loads(data)
        except JsonSyntaxError:
            return
        if isinstance(event, dict) and event.get("type") in _TERMINAL:
            self._take(event.get("response"))

    def _take(self, response: object) -> None:
        keep, self._keep = self._keep, None
        if (
            keep is not None
            and isinstance(response, dict)
            and isinstance(response.get("id"), str)
            and isinstance(response.get("output"), list)
            and response.get("status") in _KEPT
        ):
            keep(response)
