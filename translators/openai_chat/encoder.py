"""Write a streamed answer for a Chat Completions client: hub events in, chunks out.

`id`, `created` and `model` are the same in every chunk, the role comes first, calls are numbered from 0, the
finish reason stands on the last chunk alone. The constant bytes of a chunk are built once per stream.
Reference: https://platform.openai.com/docs/api-reference/chat/streaming (read 2026-11-21)
"""

from __future__ import annotations

from typing import Final, assert_never

from translators import ids, ir
from translators.base import Writing
from translators.grammar import Grammar
from translators.losses import Losses
from translators.openai_chat.answer import (
    CALL_PREFIX,
    DECLINED,
    drop_part,
    finish_out,
    render_citation,
    render_logprobs,
    response_id,
)
from translators.openai_chat.errors import render_stream_error
from translators.openai_chat.response import image_object
from translators.openai_chat.usage import render_tier, render_usage
from translators.sse import escape_separators
from translators.wire import JsonObject, dumps

KEEP_ALIVE: Final = b": keep-alive\n\n"
DONE: Final = b"data: [DONE]\n\n"

_APART: Final = "\n\n"


class ChatEncoder:
    """See StreamEncoder. Each further choice is written by an encoder of its own."""

    def __init__(self, writing: Writing, losses: Losses, *, choice: int = 0) -> None:
        self._place = choice
        self._others: dict[int, ChatEncoder] = {}
        self._begun: ir.MessageStart | None = None
        self._writing = writing
        self._losses = losses
        self._legacy = writing.request.legacy_functions
        self._grammar = Grammar()
        self._ended = False
        self._head = b""  # up to the delta object
        self._tail = b""  # behind it
        # The open part: bytes around a delta's text; None = nothing of it is written.
        self._before: bytes | None = None
        self._after = b""
        self._call: ir.ToolCall | None = None
        self._call_count = 0
        self._call_ids = ids.CallIds(CALL_PREFIX)
        self._wrote = False  # anything of the open part
        self._prefix = ""  # what sets the open part apart from an earlier one in the same field
        self._is_text = False
        self._chars = 0  # of text so far
        self._part_start = 0  # where the open text part begins in it
        self._set_apart = False  # another part came since the last text
        self._thoughts = 0
        self._refusals = 0
        self._citations: list[ir.Citation] = []
        self._annotations: list[JsonObject] = []

    # -- StreamEncoder

    def encode(self, event: ir.StreamEvent) -> bytes:
        """See StreamEncoder."""
        self._grammar.advance(event)
        if event.__class__ is ir.PartDelta:
            return self._delta(event)
        if self._ended:
            return b""
        return self._other(event)

    def ping(self) -> bytes:
        """A comment: official clients skip it."""
        return b"" if self._ended else KEEP_ALIVE

    # -- events

    def _delta(self, event: ir.PartDelta) -> bytes:
        before = self._before
        if before is None or self._ended:
            return b""
        text = event.text
        if self._prefix and text:
            text = self._prefix + text
            self._part_start += len(self._prefix)
            self._prefix = ""
        if self._is_text:
            self._chars += len(text)
        self._wrote = True
        if event.logprobs:
            return self._with_logprobs(text, event.logprobs)
        return b"".join((before, escape_separators(dumps(text)), self._after))

    def _other(self, event: ir.StreamEvent) -> bytes:
        match event:
            case ir.PartStart():
                return self._start(event.part)
            case ir.PartEnd():
                return self._end(event)
            case ir.CitationAdded():
                self._citations.append(event.citation)
                return b""
            case ir.MessageStart():
                return self._begin(event)
            case ir.Finish():
                return self._finish(event)
            case ir.StreamFailed():
                self._ended = True
                return render_stream_error(event.error, self._writing.request_id or "")
            case ir.Ping():
                return KEEP_ALIVE
            case ir.OfChoice():
                return self._further(event)
            case ir.PartDelta():
                return self._delta(event)
            case _:
                assert_never(event)

    def _further(self, event: ir.OfChoice) -> bytes:
        other = self._others.get(event.choice)
        if other is not None:
            return other.encode(event.event)
        other = ChatEncoder(self._writing, self._losses, choice=event.choice)
        self._others[event.choice] = other
        start = self._begun or ir.MessageStart(id="", model="")
        return other.encode(start) + other.encode(event.event)

    def _begin(self, event: ir.MessageStart) -> bytes:
        self._begun = event
        now = self._writing.now_s
        head = dumps(
            {
                "id": response_id(event.id, event.model, now),
                "object": "chat.completion.chunk",
                "created": event.created_s if event.created_s is not None else now,
                "model": self._writing.model,
                **render_tier(event.service_tier),
            }
        )
        self._head = b"data: " + escape_separators(head[:-1])
        self._tail = b',"usage":null}\n\n' if self._writing.request.stream_usage else b"}\n\n"
        return self._chunk(b'{"role":"assistant","content":""}')

    def _chunk(self, delta: bytes, finish: bytes = b"null", logprobs: bytes = b"null") -> bytes:
        before, after = self._around(finish, logprobs)
        return before + delta + after

    def _around(self, finish: bytes = b"null", logprobs: bytes = b"null") -> tuple[bytes, bytes]:
        """What stands around the delta object in a chunk."""
        before = self._head + b',"choices":[{"index":%d,"delta":' % self._place
        after = b',"logprobs":%b,"finish_reason":%b}]' % (logprobs, finish) + self._tail
        return before, after

    def _carry(self, opening: bytes, closing: bytes) -> None:
        """Prepare the bytes around the text of the open part's deltas."""
        before, after = self._around()
        self._before = before + opening
        self._after = closing + after

    def _with_logprobs(self, text: str, logprobs: tuple[ir.TokenLogprob, ...]) -> bytes:
        key = b"content" if self._is_text else b"refusal"
        delta = b'{"%b":%b}' % (key, escape_separators(dumps(text)))
        return self._chunk(delta, logprobs=escape_separators(dumps(render_logprobs(logprobs))))

    # -- parts

    def _start(self, part: ir.Part) -> bytes:
        self._before = None
        self._wrote = False
        self._is_text = False
        self._prefix = ""
        match part:
            case ir.Text():
                self._is_text = True
                self._prefix = _APART if self._chars and self._set_apart else ""
                self._part_start = self._chars
                self._citations = list(part.citations)
                self._carry(b'{"content":', b"}")
                return b""
            case ir.Refusal():
                self._prefix = _APART if self._refusals else ""
                self._refusals += 1
                self._carry(b'{"refusal":', b"}")
                return b""
            case ir.Reasoning():
                return self._start_reasoning(part)
            case ir.ToolCall():
                return self._start_call(part)
            case ir.Image() if not isinstance(part.source, ir.FileId | ir.PlainText):
                drop_part(part, self._losses)  # allowed by the mode: the de-facto field is better
                return self._chunk(dumps({"images": [image_object(part.source)]}))
            case _:
                drop_part(part, self._losses)
                return b""

    def _start_reasoning(self, part: ir.Reasoning) -> bytes:
        field = self._writing.chat_reasoning
        if field is None:
            drop_part(part, self._losses)
            return b""
        self._prefix = _APART if self._thoughts else ""
        self._thoughts += 1
        self._carry(b"{%b:" % dumps(field), b"}")
        return b""

    def _start_call(self, call: ir.ToolCall) -> bytes:
        self._call = call
        index = self._call_count
        self._call_count += 1
        if self._legacy:
            return self._start_legacy_call(call, index)
        custom = call.kind is ir.ToolKind.CUSTOM
        kind = "custom" if custom else "function"
        inner = {"name": call.name, "input" if custom else "arguments": ""}
        head = {
            "index": index,
            "id": self._call_ids.take(call.call_id),
            "type": kind,
            kind: inner,
        }
        word = b'"custom":{"input":' if custom else b'"function":{"arguments":'
        self._carry(b'{"tool_calls":[{"index":%d,' % index + word, b"}}]}")
        return self._chunk(escape_separators(dumps({"tool_calls": [head]})))

    def _start_legacy_call(self, call: ir.ToolCall, index: int) -> bytes:
        if index:
            self._losses.warn("response.tool_calls", "`function_call` has room for one call only")
            return b""
        self._carry(b'{"function_call":{"arguments":', b"}}")
        return self._chunk(
            escape_separators(dumps({"function_call": {"name": call.name, "arguments": ""}}))
        )

    def _end(self, event: ir.PartEnd) -> bytes:
        out = b""
        call, self._call = self._call, None
        if self._is_text:
            self._cite()
            self._set_apart = False
        else:
            self._set_apart = True
        if call is not None and not self._wrote and self._before is not None and event.complete:
            if call.kind is ir.ToolKind.FUNCTION:
                # A call without arguments still has to parse at the client (STR-20).
                out = self._before + b'"{}"' + self._after
        self._before = None
        return out

    def _cite(self) -> None:
        for citation in self._citations:
            annotation = render_citation(citation, self._part_start, self._chars, self._losses)
            if annotation is not None:
                self._annotations.append(annotation)
        self._citations = []

    # -- the end

    def _finish(self, event: ir.Finish) -> bytes:
        self._ended = True
        out = []
        reason = finish_out(
            event.reason,
            self._losses,
            calls=bool(self._call_count),
            refused=bool(self._refusals),
            legacy=self._legacy,
        )
        if event.reason in DECLINED and event.explanation and not (self._refusals or self._chars):
            explained = dumps({"refusal": event.explanation})
            out.append(self._chunk(escape_separators(explained)))
        delta = dumps({"annotations": self._annotations}) if self._annotations else b"{}"
        out.append(self._chunk(escape_separators(delta), b'"%b"' % reason.encode()))
        if self._place:
            return b"".join(out)
        usage = render_usage(event.usage) if self._writing.request.stream_usage else None
        if usage is not None:
            out.append(self._head + b',"choices":[],"usage":' + dumps(usage) + b"}\n\n")
        out.append(DONE)
        return b"".join(out)
