"""The content of a streamed answer as a whole answer would have it, for a turn that may pause.

Collected beside the decoder, and only where tools were declared that can pause a turn (pausing.py).
Reference: https://platform.claude.com/docs/en/build-with-claude/streaming (read 2026-11-21)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from translators import ir
from translators.anthropic.hosted import streamed_input
from translators.anthropic.pausing import resume_of
from translators.anthropic.stream import AnthropicDecoder
from translators.base import Reading
from translators.errors import ErrorKind, GatewayError
from translators.losses import Losses
from translators.wire import Json, JsonObject

MAX_HELD_CHARS: Final = 64 * 1024 * 1024
_FIELDS: Final = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "input",
}
"""Deltas, and the field of the block that they fill; all but the last call it the same themselves."""
_JSON: Final = "partial_json"


class Transcript:
    """The content blocks of a streamed answer as a whole answer would have them."""

    def __init__(self) -> None:
        self._blocks: dict[int, JsonObject] = {}
        self._pieces: dict[tuple[int, str], list[str]] = {}
        self._container: Json = None
        self._left = MAX_HELD_CHARS

    def add(self, payload: JsonObject) -> None:
        """Take one event."""
        match payload.get("type"):
            case "content_block_start":
                self._blocks[payload["index"]] = dict(payload["content_block"])
            case "content_block_delta":
                self._delta(payload["index"], payload["delta"])
            case "message_delta":
                self._container = (payload.get("delta") or {}).get("container") or self._container
            case _:
                pass

    def _delta(self, index: int, delta: JsonObject) -> None:
        block = self._blocks.setdefault(index, {"type": "text", "text": ""})
        kind = delta["type"]
        if kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
            return
        name = _FIELDS.get(kind)
        if name is None:
            return
        text = delta[_JSON if name == "input" else name]
        self._left -= len(text)
        if self._left < 0:
            raise GatewayError(
                ErrorKind.UPSTREAM_MALFORMED,
                "the provider's answer is larger than can be held to resume it",
                code="upstream_stream_state_too_large",
            )
        self._pieces.setdefault((index, name), []).append(text)

    def resume(self) -> ir.Resume:
        """What goes back."""
        for (index, name), pieces in self._pieces.items():
            block, text = self._blocks[index], "".join(pieces)
            block[name] = streamed_input(text) if name == "input" else block.get(name, "") + text
        self._pieces.clear()
        return resume_of([self._blocks[index] for index in sorted(self._blocks)], self._container)


class PausingDecoder(AnthropicDecoder):
    """The decoder of an answer whose turn may pause."""

    def __init__(self, reading: Reading, losses: Losses) -> None:
        super().__init__(reading, losses)
        self._transcript = Transcript()

    def on_event(self, name: str | None, payload: Json) -> None:
        """See Decoder."""
        self._transcript.add(payload)
        super().on_event(name, payload)

    def finish(self, event: ir.Finish) -> None:
        """See Decoder."""
        if event.reason is ir.FinishReason.PAUSE:
            event = replace(event, resume=self._transcript.resume())
        super().finish(event)
