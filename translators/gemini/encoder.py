"""Streams for a Gemini client: hub events in, chunks out, framed as SSE or as one JSON array.

Only `data: ` lines and blank lines are written: the official Python client takes any other line for JSON.
Reference: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent (read 2026-11-21)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from translators import ir
from translators.base import Writing
from translators.errors import GatewayError
from translators.gemini.answer import render_logprobs
from translators.gemini.errors import error_object
from translators.gemini.finish import render_finish
from translators.gemini.parts import PartWriter
from translators.gemini.response import response_id
from translators.gemini.usage import render_usage
from translators.grammar import Grammar
from translators.losses import Losses
from translators.sse import escape_separators
from translators.wire import JsonObject, dumps

_BLANK_LINE: Final = b"\r\n\r\n"
_SSE_LEAD: Final = b"data: "
_TEXT_HEAD: Final = b'{"candidates":[{"content":{"parts":[{"text":'
_PART_END: Final = b'}],"role":"model"},"index":%d}]'
_THOUGHT: Final = b',"thought":true'
_VISIBLE: Final = (ir.Text, ir.Refusal)


class GeminiEncoder:
    """Write one answer; text goes out as it comes, a call when it is complete.

    Each further candidate is written by an encoder of its own.
    """

    def __init__(self, writing: Writing, losses: Losses, *, candidate: int = 0) -> None:
        self._place = candidate
        self._others: dict[int, GeminiEncoder] = {}
        self._begun: ir.MessageStart | None = None
        self._writing = writing
        self._losses = losses
        self._grammar = Grammar()
        self._parts = PartWriter(writing, losses)
        self._lead = b"[" if writing.array_framing else _SSE_LEAD
        self._tail = b"" if writing.array_framing else _BLANK_LINE
        self._names = b""  # `modelVersion` and `responseId`, as every chunk ends
        self._text_end = self._thought_end = b""
        self._head: ir.Part | None = None  # of the open part
        self._plain_text = False  # a delta may go out without further thought
        self._pieces: list[str] = []  # of the open part, behind those of texts right before a text
        self._own = 0  # where the open part's pieces begin

    def encode(self, event: ir.StreamEvent) -> bytes:
        """See StreamEncoder."""
        self._grammar.advance(event)
        match event:
            case ir.PartDelta():
                return self._delta(event)
            case ir.PartStart():
                return self._start(event.part)
            case ir.PartEnd():
                return self._end(event)
            case ir.CitationAdded():
                self._cite(event.citation)
                return b""
            case ir.MessageStart():
                self._begin(event)
                return b""
            case ir.Finish():
                return self._finish(event)
            case ir.StreamFailed():
                return self._failed(event.error)
            case ir.OfChoice():
                return self._further(event)
            case ir.Ping():
                return self.ping()

    def ping(self) -> bytes:
        """See StreamEncoder: a blank line; nothing inside a JSON array."""
        return b"" if self._writing.array_framing or self._grammar.ended else _BLANK_LINE

    # -- parts

    def _further(self, event: ir.OfChoice) -> bytes:
        other = self._others.get(event.choice)
        if other is None:
            other = GeminiEncoder(self._writing, self._losses, candidate=event.choice)
            self._others[event.choice] = other
            other.encode(self._begun or ir.MessageStart(id="", model=""))
        other._lead = self._lead
        out = other.encode(event.event)
        self._lead = other._lead
        return out

    def _begin(self, event: ir.MessageStart) -> None:
        self._begun = event
        names = {
            "modelVersion": self._writing.model,
            "responseId": response_id(event.id, self._writing),
        }
        self._names = b"," + escape_separators(dumps(names))[1:]
        ending = _PART_END % self._place + self._names + self._tail
        self._text_end, self._thought_end = ending, _THOUGHT + ending

    def _start(self, part: ir.Part) -> bytes:
        if not (isinstance(part, _VISIBLE) and isinstance(self._head, _VISIBLE)):
            self._pieces.clear()
        self._own = len(self._pieces)
        self._head = part
        self._plain_text = isinstance(part, _VISIBLE) and not self._parts.is_enum
        if isinstance(part, (*_VISIBLE, ir.ToolCall)):
            return b""
        if isinstance(part, ir.Reasoning):
            return self._chunk(self._parts.rest())
        return self._chunk(self._parts.whole(part))

    def _delta(self, event: ir.PartDelta) -> bytes:
        text = event.text
        self._pieces.append(text)
        if self._plain_text:
            if event.logprobs or self._parts.signature is not None:
                return self._rich_delta(event)
            return self._framed(_TEXT_HEAD + escape_separators(dumps(text)) + self._text_end)
        if isinstance(self._head, ir.Reasoning) and text:
            return self._framed(_TEXT_HEAD + escape_separators(dumps(text)) + self._thought_end)
        return b""

    def _rich_delta(self, event: ir.PartDelta) -> bytes:
        """Text that carries a signature or log probabilities."""
        beside: JsonObject = {}
        logprobs = render_logprobs(event.logprobs)
        if logprobs is not None:
            beside["logprobsResult"] = logprobs
        return self._chunk([self._parts.signed({"text": event.text})], beside)

    def _end(self, event: ir.PartEnd) -> bytes:
        part = self._head
        self._plain_text = False
        if isinstance(part, ir.Text) and not self._parts.is_enum:
            return b""
        text = "".join(self._pieces[self._own :])
        match part:
            case ir.ToolCall():
                call = ir.ToolCall(
                    call_id=part.call_id,
                    name=part.name,
                    namespace=part.namespace,
                    arguments=text,
                    kind=part.kind,
                    complete=event.complete,
                )
                return self._chunk(self._parts.call(call))
            case ir.Reasoning():
                state = event.state or part.state
                whole = ir.Reasoning(text=text, state=state, item_id=part.item_id)
                return self._chunk(self._parts.reason(whole))
            case ir.Text() if text:
                return self._chunk([self._parts.signed({"text": self._parts.text(text)})])
            case _:
                return b""

    def _cite(self, citation: ir.Citation) -> None:
        """Offsets count from the first of adjacent texts: a client joins what it gets."""
        before = "".join(self._pieces[: self._own])
        text = before + "".join(self._pieces[self._own :])
        if isinstance(citation, ir.UrlCitation) and before:
            end = len(text) if citation.end is None else len(before) + citation.end
            start = len(before) + (citation.start or 0)
            citation = replace(citation, start=start, end=end)
        self._parts.cite(citation, text)

    # -- the end

    def _finish(self, event: ir.Finish) -> bytes:
        candidate: JsonObject = {
            "content": {"parts": self._parts.rest() or [{"text": ""}], "role": "model"},
            "finishReason": render_finish(event.reason, self._losses),
            "index": self._place,
        }
        if event.explanation:
            candidate["finishMessage"] = event.explanation
        grounding = self._parts.grounding.render()
        if grounding is not None:
            candidate["groundingMetadata"] = grounding
        body: JsonObject = {"candidates": [candidate]}
        usage = render_usage(event.usage)
        if usage is not None:
            body["usageMetadata"] = usage
        return self._framed(self._whole(body)) + (b"" if self._place else self._closing())

    def _failed(self, error: GatewayError) -> bytes:
        data = escape_separators(dumps(error_object(error)))
        return self._framed(data + self._tail) + self._closing()

    # -- framing

    def _chunk(self, parts: list[JsonObject], beside: JsonObject | None = None) -> bytes:
        """One chunk with these parts; b"" for none."""
        if not parts:
            return b""
        candidate: JsonObject = {"content": {"parts": parts, "role": "model"}, "index": self._place}
        if beside:
            candidate |= beside
        return self._framed(self._whole({"candidates": [candidate]}))

    def _whole(self, body: JsonObject) -> bytes:
        return escape_separators(dumps(body))[:-1] + self._names + self._tail

    def _framed(self, data: bytes) -> bytes:
        """With what stands before a chunk: `data: `, or the array's bracket or comma."""
        lead = self._lead
        if lead == b"[":
            self._lead = b",\r\n"
        return lead + data

    def _closing(self) -> bytes:
        return b"]" if self._writing.array_framing else b""
