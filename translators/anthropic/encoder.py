"""The stream for a client: events -> frames, in the exact event grammar of the protocol.

Text and thinking blocks open with their first content, so that none is ever empty; everything a delta needs around its
text is made when its block opens.
Reference: https://platform.claude.com/docs/en/build-with-claude/streaming (read 2026-11-21)
"""

from __future__ import annotations

from typing import Final, assert_never

from translators import freeform, ids, ir
from translators.anthropic.citations import render_citation
from translators.anthropic.errors import render_stream_error
from translators.anthropic.response import (
    citation_lost,
    message_id,
    reasoning_block,
    stop_details,
    stop_reason,
    told_finish,
    whole_blocks,
)
from translators.anthropic.usage import STREAM_KEYS, is_reported, render_usage
from translators.anthropic.words import CALL_PREFIX
from translators.arguments import arguments_object
from translators.base import Writing
from translators.errors import GatewayError
from translators.grammar import Grammar
from translators.losses import Losses
from translators.sse import escape_separators, event_frame
from translators.wire import JsonObject, dumps

PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
_STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_DELTA: Final = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{%b:'
)
_TEXT: Final = b'"type":"text_delta","text"'
_THINKING: Final = b'"type":"thinking_delta","thinking"'
_INPUT: Final = b'"type":"input_json_delta","partial_json"'
_DELTA_END: Final = b"}}\n\n"
_KEPT: Final = (ir.ToolCall, ir.Reasoning, ir.Refusal)


class AnthropicEncoder:
    """Events in, frames out; b"" is a normal answer. After an error event nothing follows."""

    def __init__(self, writing: Writing, losses: Losses) -> None:
        self._writing = writing
        self._losses = losses
        self._grammar = Grammar()
        self._call_ids = ids.CallIds(CALL_PREFIX, ids.WORD_CALL_ID)
        self._index = -1  # of the last block written
        self._part: ir.Part | None = None
        self._open = False  # whether the open part's block has begun
        self._head = b""  # everything of a delta frame in front of its text
        self._pieces: list[str] = []  # text of the open call, reasoning or refusal
        self._keeps = False
        self._quiet = False  # a freeform call: its input goes out whole
        self._has_call = False
        self._refusal = ""
        self._start_usage = ir.NO_USAGE
        self._ended = False

    def ping(self) -> bytes:
        """A heartbeat; none after the end."""
        return b"" if self._ended else PING

    def encode(self, event: ir.StreamEvent) -> bytes:
        """See StreamEncoder."""
        if self._ended:
            return b""
        self._grammar.advance(event)
        if event.__class__ is ir.PartDelta:
            return self._delta(event.text)
        return self._other(event)

    def _other(self, event: ir.StreamEvent) -> bytes:
        match event:
            case ir.MessageStart():
                return self._message_start(event)
            case ir.PartStart():
                return self._part_start(event.part)
            case ir.PartDelta():
                return self._delta(event.text)
            case ir.CitationAdded():
                return self._citation(event.citation)
            case ir.PartEnd():
                return self._part_end(event)
            case ir.Finish():
                try:
                    return self._finish(event)
                except GatewayError:
                    self._grammar.reopen()
                    raise
            case ir.StreamFailed():
                return self._fail(event.error)
            case ir.Ping():
                return PING
            case ir.OfChoice():
                self._losses.warn("response.alternatives", "only the first answer can be given")
                return b""
            case _:
                assert_never(event)

    # -- message

    def _message_start(self, event: ir.MessageStart) -> bytes:
        usage = event.usage
        if usage.input_tokens is None and self._writing.input_tokens_estimate is not None:
            # Claude Code sizes its context by this number (pitfalls USE-09).
            usage = ir.Usage(
                input_tokens=self._writing.input_tokens_estimate, output_tokens=usage.output_tokens
            )
        self._start_usage = usage
        message: JsonObject = {
            "id": message_id(event.id, self._writing),
            "type": "message",
            "role": "assistant",
            "model": self._writing.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": render_usage(usage, event.service_tier),
        }
        return event_frame("message_start", {"type": "message_start", "message": message})

    def _finish(self, event: ir.Finish) -> bytes:
        refused = bool(self._refusal)
        finish = told_finish(event.reason, event.stop_sequence)
        reason = stop_reason(finish, has_call=self._has_call, refused=refused)
        usage = event.usage
        if not is_reported(usage):
            self._losses.warn(
                "response.usage", "the provider reported no usage; zeros stand for it"
            )
        if usage.input_tokens is None:
            usage = ir.Usage(
                input_tokens=self._start_usage.input_tokens,
                cache_read_tokens=self._start_usage.cache_read_tokens,
                cache_write_tokens=self._start_usage.cache_write_tokens,
                output_tokens=usage.output_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                web_searches=usage.web_searches,
            )
        counts = render_usage(usage)
        payload: JsonObject = {
            "type": "message_delta",
            "delta": {
                "stop_reason": reason,
                "stop_sequence": event.stop_sequence if reason == "stop_sequence" else None,
            },
            "usage": {key: counts[key] for key in STREAM_KEYS if key in counts},
        }
        details = stop_details(reason, event.explanation or self._refusal, event.category)
        if details is not None:
            payload["delta"]["stop_details"] = details
        self._ended = True
        return event_frame("message_delta", payload) + _STOP

    def _fail(self, error: GatewayError) -> bytes:
        self._ended = True
        return render_stream_error(error, self._writing.request_id)

    # -- parts

    def _part_start(self, part: ir.Part) -> bytes:
        self._part = part
        self._open = False
        self._keeps = isinstance(part, _KEPT)
        self._quiet = False
        self._pieces.clear()
        match part:
            case ir.ToolCall():
                self._has_call = True
                self._quiet = part.kind is ir.ToolKind.CUSTOM
                block = {
                    "type": "tool_use",
                    "id": self._call_ids.take(part.call_id),
                    "name": part.name,
                    "input": {},
                }
                frames = self._block_start(block, _INPUT)
            case ir.Text() | ir.Refusal() | ir.Reasoning():
                frames = b""
            case _:
                return b"".join(map(self._whole, whole_blocks(part, self._losses)))
        text = _head_text(part)
        return frames + self._delta(text) if text else frames

    def _block_start(self, block: JsonObject, delta: bytes) -> bytes:
        self._index += 1
        self._open = True
        self._head = _DELTA % (self._index, delta)
        payload = {"type": "content_block_start", "index": self._index, "content_block": block}
        return event_frame("content_block_start", payload)

    def _delta(self, text: str) -> bytes:
        if self._keeps:
            self._pieces.append(text)
            if self._quiet:
                return b""
        if not text:
            return b""  # only log probabilities, which this protocol has no place for
        if self._open:
            return self._head + escape_separators(dumps(text)) + _DELTA_END
        return self._open_block() + self._head + escape_separators(dumps(text)) + _DELTA_END

    def _open_block(self) -> bytes:
        if isinstance(self._part, ir.Reasoning):
            block: JsonObject = {"type": "thinking", "thinking": "", "signature": ""}
            return self._block_start(block, _THINKING)
        return self._block_start({"type": "text", "text": ""}, _TEXT)

    def _citation(self, citation: ir.Citation) -> bytes:
        wire = render_citation(citation)
        if wire is None:
            citation_lost(self._losses)
            return b""
        opening = b"" if self._open else self._open_block()
        return opening + self._delta_frame({"type": "citations_delta", "citation": wire})

    def _delta_frame(self, delta: JsonObject) -> bytes:
        payload = {"type": "content_block_delta", "index": self._index, "delta": delta}
        return event_frame("content_block_delta", payload)

    def _block_stop(self) -> bytes:
        self._open = False
        payload = {"type": "content_block_stop", "index": self._index}
        return event_frame("content_block_stop", payload)

    def _part_end(self, event: ir.PartEnd) -> bytes:
        part = self._part
        match part:
            case ir.ToolCall():
                return self._end_call(part, event.complete)
            case ir.Reasoning():
                return self._end_reasoning(part, event.state)
            case ir.Refusal():
                self._refusal += "".join(self._pieces)
                return self._block_stop() if self._open else b""
            case _:
                return self._block_stop() if self._open else b""

    def _end_call(self, part: ir.ToolCall, complete: bool) -> bytes:
        arguments = "".join(self._pieces)
        if self._quiet:
            text = dumps(freeform.wrap_input(arguments))
            return self._head + escape_separators(text) + _DELTA_END + self._block_stop()
        if not arguments:
            return self._head + b'""' + _DELTA_END + self._block_stop()
        if complete:
            # Too late to mend what was sent, but a broken call must not pass in silence.
            fate = "had been sent before that was known"
            arguments_object(arguments, "response.content", self._losses, fate)
        return self._block_stop()

    def _end_reasoning(self, part: ir.Reasoning, state: ir.OpaqueState | None) -> bytes:
        whole = ir.Reasoning(
            text="".join(self._pieces), state=state or part.state, item_id=part.item_id
        )
        blocks = reasoning_block(whole, self._writing.seal)
        if not blocks:
            return b""
        block = blocks[0]
        if block["type"] == "redacted_thinking" and not self._open:
            return self._whole(block)
        opening = b"" if self._open else self._open_block()
        signature = block.get("signature") or block["data"]
        delta = self._delta_frame({"type": "signature_delta", "signature": signature})
        return opening + delta + self._block_stop()

    def _whole(self, block: JsonObject) -> bytes:
        """A block that comes in one piece; the input of a hosted call still travels in a delta."""
        if block.get("type") in ("server_tool_use", "mcp_tool_use") and block.get("input"):
            opening = self._block_start({**block, "input": {}}, _INPUT)
            text = dumps(dumps(block["input"]).decode())
            return opening + self._head + escape_separators(text) + _DELTA_END + self._block_stop()
        return self._block_start(block, _TEXT) + self._block_stop()


def _head_text(part: ir.Part) -> str:
    """Text that a part's head already holds; decoders leave it to the deltas."""
    match part:
        case ir.Text() | ir.Refusal() | ir.Reasoning():
            return part.text
        case ir.ToolCall():
            return part.arguments
        case _:
            return ""
