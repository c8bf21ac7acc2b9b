"""The stream: frames of an upstream -> events, and a cheap watch on a passed-through stream.

The encoder is in encoder.py. Reference: https://platform.claude.com/docs/en/build-with-claude/streaming (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from translators import ir
from translators.anthropic import hosted
from translators.anthropic.citations import parse_citation
from translators.anthropic.errors import parse_error_event
from translators.anthropic.response import (
    CUT_REASONS,
    REASONS_IN,
    call_head,
    category,
    explanation,
    finish_reason,
    other_parts,
    unknown_block,
)
from translators.anthropic.usage import merge, parse_tier, parse_usage
from translators.anthropic.words import UNSIGNED
from translators.base import Reading
from translators.decoding import CUT, Decoder
from translators.errors import ErrorKind, GatewayError
from translators.ir import StateKind
from translators.losses import Losses
from translators.sse import Frame, SseParser
from translators.wire import Json, JsonObject, JsonSyntaxError, dump_text, loads


@dataclass(slots=True, eq=False)
class _Block:
    """A content block that is open on the wire; `part` opens with its first content."""

    kind: str
    part: ir.Part | None = None
    started: bool = False
    pieces: list[str] = field(default_factory=list)
    """Fragments of JSON input, of calls and hosted calls."""
    wire: JsonObject = field(default_factory=dict)
    state: ir.OpaqueState | None = None


class AnthropicDecoder(Decoder):
    """Reads one streamed answer; tolerates pings, unknown events and missing block stops.

    A text block opens its part with its first text. The end of a call is held back until what comes next shows
    whether the output limit cut it.
    """

    def __init__(self, reading: Reading, losses: Losses) -> None:
        super().__init__()
        self._reading = reading
        self._losses = losses
        self._blocks: dict[int, _Block] = {}
        self._usage_wire: JsonObject = {}
        self._message_id = ""
        self._calls = 0
        self._held_end: tuple[int, _Block] | None = None
        self._hosted: dict[str, JsonObject] = {}  # calls that wait for their results, by id
        self._delta: JsonObject | None = None  # what `message_delta` said

    def on_event(self, name: str | None, payload: Json) -> None:
        """See Decoder."""
        kind = payload.get("type") or name or ""
        if kind == "content_block_delta":
            self._on_delta(payload)
            return
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, payload)
        elif "error" in payload:
            self.fail(parse_error_event(payload))

    # -- message

    def _on_message_start(self, payload: JsonObject) -> None:
        message = payload["message"]
        self._usage_wire = merge(self._usage_wire, message.get("usage"))
        self.usage = parse_usage(self._usage_wire)
        self._message_id = str(message.get("id") or "")
        self.start(
            ir.MessageStart(
                id=self._message_id,
                model=str(message.get("model") or self._reading.model),
                usage=self.usage,
                service_tier=parse_tier(self._usage_wire),
            )
        )

    def _ensure_started(self) -> None:
        if not self.started:
            self.start(ir.MessageStart(id="", model=self._reading.model))

    def _on_message_delta(self, payload: JsonObject) -> None:
        self._ensure_started()
        self._usage_wire = merge(self._usage_wire, payload.get("usage"))
        self.usage = parse_usage(self._usage_wire)
        delta = payload.get("delta") or {}
        if delta.get("stop_reason") is not None:
            self._delta = delta
            self._release_end(REASONS_IN.get(delta["stop_reason"]) in CUT_REASONS)

    def _on_message_stop(self, _payload: JsonObject) -> None:
        if self._delta is None:
            # corpus of other gateways: a truncated answer with a bare message_stop (pitfalls STR-53)
            raise GatewayError(ErrorKind.UPSTREAM_CUT, CUT)
        delta = self._delta
        cut = REASONS_IN.get(str(delta.get("stop_reason"))) in CUT_REASONS
        self._release_end(cut)
        for index in tuple(self._blocks):  # servers that leave out the last block stops
            self._on_block_stop({"index": index})
            self._release_end(cut)
        for use in tuple(self._hosted.values()):
            self._emit(hosted.hosted_parts(use, None, ""))
        reason = finish_reason(
            delta.get("stop_reason"), has_call=self._calls > 0, losses=self._losses
        )
        sequence = delta.get("stop_sequence")
        self.finish(
            ir.Finish(
                reason=reason,
                usage=self.usage,
                stop_sequence=sequence if isinstance(sequence, str) else None,
                explanation=explanation(delta.get("stop_details")),
                category=category(delta.get("stop_details")),
                service_tier=parse_tier(self._usage_wire),
            )
        )

    def _on_ping(self, _payload: JsonObject) -> None:
        self.out.append(ir.Ping())

    def _on_error(self, payload: JsonObject) -> None:
        self.fail(parse_error_event(payload))

    # -- blocks

    def _on_block_start(self, payload: JsonObject) -> None:
        self._ensure_started()
        self._release_end(cut=False)
        index = payload["index"]
        wire = payload["content_block"]
        kind = wire.get("type")
        if index in self._blocks:
            self._on_block_stop({"index": index})
            self._release_end(cut=False)
        block = _Block(kind=kind, wire=wire)
        self._blocks[index] = block
        match kind:
            case "text":
                self._open_text(index, block, wire)
            case "thinking":
                block.part = ir.Reasoning()
                self._keep_signature(block, wire.get("signature"))
                self._text(index, block, wire.get("thinking") or "")
            case "tool_use":
                part = call_head(wire, self._message_id, self._calls, self._reading)
                self._calls += 1
                block.started = True
                self.parts.start(index, part)
            case _:
                pass  # whole blocks are read at their stop

    def _open_text(self, index: int, block: _Block, wire: JsonObject) -> None:
        block.part = ir.Text(text="")
        self._text(index, block, wire.get("text") or "")
        for citation in wire.get("citations") or ():
            self._cite(index, block, citation)

    def _on_delta(self, payload: JsonObject) -> None:
        index = payload["index"]
        delta = payload["delta"]
        kind = delta["type"]
        block = self._blocks.get(index)
        if block is None:
            block = self._unannounced(index, kind)
        if kind == "text_delta":
            self._text(index, block, delta["text"])
        elif kind == "input_json_delta":
            text = _checked(delta["partial_json"])
            block.pieces.append(text)
            if block.started:
                self.parts.delta(index, text)
        elif kind == "thinking_delta":
            self._text(index, block, delta["thinking"])
        elif kind == "signature_delta":
            self._keep_signature(block, delta["signature"])
        elif kind == "citations_delta":
            self._cite(index, block, delta["citation"])

    def _unannounced(self, index: int, delta_kind: str) -> _Block:
        """A delta without a block start: readable for text, not for a call, whose name it lacks."""
        parts: Mapping[str, ir.Part] = {
            "text_delta": ir.Text(text=""),
            "thinking_delta": ir.Reasoning(),
        }
        self._ensure_started()
        self._release_end(cut=False)
        part = parts.get(delta_kind)
        if part is None and delta_kind == "input_json_delta":
            raise GatewayError(
                ErrorKind.UPSTREAM_MALFORMED,
                "the provider sent arguments of a call without its name",
            )
        block = _Block(kind=delta_kind.removesuffix("_delta"), part=part)
        self._blocks[index] = block
        return block

    def _text(self, index: int, block: _Block, text: str) -> None:
        if _checked(text) == "" or block.part is None:
            return
        if not block.started:
            block.started = True
            self.parts.start(index, block.part)
        self.parts.delta(index, text)

    def _cite(self, index: int, block: _Block, wire: Json) -> None:
        citation = parse_citation(wire)
        if citation is None or not isinstance(block.part, ir.Text):
            return
        if not block.started:
            block.started = True
            self.parts.start(index, block.part)
        self.parts.cite(index, citation)

    def _keep_signature(self, block: _Block, value: Json) -> None:
        if isinstance(value, str) and value not in ("", UNSIGNED):
            block.state = self._reading.state(StateKind.ANTHROPIC_SIGNATURE, value)

    def _on_block_stop(self, payload: JsonObject) -> None:
        index = payload["index"]
        block = self._blocks.pop(index, None)
        if block is None:
            return
        match block.kind:
            case "tool_use":
                self._held_end = (index, block)
            case "thinking":
                if not block.started:
                    self.parts.start(index, ir.Reasoning())
                self.parts.end(index, block.state)
            case "text":
                if block.started:
                    self.parts.end(index)
            case "redacted_thinking":
                state = self._reading.state(
                    StateKind.ANTHROPIC_REDACTED, str(block.wire.get("data") or "")
                )
                self.parts.start(index, ir.Reasoning())
                self.parts.end(index, state)
            case _:
                self._end_hosted(block)

    def _release_end(self, cut: bool) -> None:
        """Let the end of the last call go out; `cut`: complete only if its input is whole all the same."""
        if self._held_end is None:
            return
        index, block = self._held_end
        self._held_end = None
        text = "".join(block.pieces)
        if not text and block.wire.get("input"):
            text = dump_text(block.wire["input"])  # servers that do not stream the input
            self.parts.delta(index, text)
        self.parts.end(index, complete=not cut or _is_object(text))

    def _end_hosted(self, block: _Block) -> None:
        """A block of a hosted tool; a call waits for its result."""
        wire = block.wire
        if block.kind in hosted.CALLS:
            text = "".join(block.pieces)
            if text:
                wire = {**wire, "input": hosted.streamed_input(text)}
            self._hosted[str(wire.get("id"))] = wire
        elif block.kind in hosted.RESULTS:
            use = self._hosted.pop(str(wire.get("tool_use_id")), None)
            self._emit(hosted.hosted_parts(use, wire, ""))
        elif wire:
            self._emit(other_parts(wire, self._reading, self._losses))
        else:
            unknown_block(block.kind, self._losses)

    def _emit(self, parts: tuple[ir.Part, ...]) -> None:
        for part in parts:
            self.parts.whole(object(), part)


def _checked(text: str) -> str:
    """A piece of text; anything else is a frame of an unreadable shape."""
    if text.__class__ is str:
        return text
    raise TypeError("text")  # Decoder makes an upstream_malformed of it


def _is_object(text: str) -> bool:
    try:
        return isinstance(loads(text), dict)
    except JsonSyntaxError:
        return False


type _Handler = Callable[[AnthropicDecoder, JsonObject], None]
_HANDLERS: Final[Mapping[str, _Handler]] = {
    "message_start": AnthropicDecoder._on_message_start,
    "content_block_start": AnthropicDecoder._on_block_start,
    "content_block_stop": AnthropicDecoder._on_block_stop,
    "message_delta": AnthropicDecoder._on_message_delta,
    "message_stop": AnthropicDecoder._on_message_stop,
    "ping": AnthropicDecoder._on_ping,
    "error": AnthropicDecoder._on_error,
}


class AnthropicObserver:
    """Watches a passed-through stream: only frames that can hold usage or an end are parsed."""

    def __init__(self) -> None:
        self._parser = SseParser()
        self._usage_wire: JsonObject = {}
        self._finish_reason: ir.FinishReason | None = None
        self._ended = False
        self.error: GatewayError | None = None
        """See StreamObserver."""

    def bound(self, max_frame_bytes: int) -> None:
        """See StreamObserver."""
        self._parser.max_frame_bytes = max_frame_bytes

    def feed(self, data: bytes) -> None:
        """See StreamObserver."""
        if self.error is not None:
            return
        try:
            for frame in self._parser.feed(data):
                self._look(frame)
        except GatewayError as error:
            self.error = error

    @property
    def usage(self) -> ir.Usage:
        """See StreamObserver."""
        return parse_usage(self._usage_wire)

    @property
    def finish_reason(self) -> ir.FinishReason | None:
        """See StreamObserver."""
        return self._finish_reason

    @property
    def ended(self) -> bool:
        """See StreamObserver."""
        return self._ended

    def failure(self, error: GatewayError) -> bytes:
        """See StreamObserver: every error event of this protocol looks the same."""
        return b""

    def _look(self, frame: Frame) -> None:
        data = frame.data
        if b'"message_' not in data and b'"error"' not in data:
            return
        try:
            payload = loads(data)
        except JsonSyntaxError:
            return
        if not isinstance(payload, dict):
            return
        match payload.get("type") or frame.event:
            case "message_start":
                message = payload.get("message")
                if isinstance(message, dict):
                    self._usage_wire = merge(self._usage_wire, message.get("usage"))
            case "message_delta":
                self._usage_wire = merge(self._usage_wire, payload.get("usage"))
                delta = payload.get("delta")
                reason = delta.get("stop_reason") if isinstance(delta, dict) else None
                if isinstance(reason, str):
                    self._finish_reason = REASONS_IN.get(reason, ir.FinishReason.STOP)
            case "message_stop" | "error":
                self._ended = True
            case _:
                pass
