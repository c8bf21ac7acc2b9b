"""Between a stream of events and a whole answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from translators import ir
from translators.decoding import CUT
from translators.errors import ErrorKind, GatewayError
from translators.legs import candidate_of

STREAMED: Final = (ir.Text, ir.Refusal, ir.Reasoning, ir.ToolCall)
"""Parts that arrive in deltas; all others come whole in their PartStart."""


class Folder:
    """Collect the events of one stream into a Response; bounded by `max_bytes` of text."""

    __slots__ = (
        "_citations",
        "_failure",
        "_finish",
        "_head",
        "_left",
        "_logprobs",
        "_others",
        "_parts",
        "_start",
        "_text",
    )

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._left = max_bytes
        self._start: ir.MessageStart | None = None
        self._finish: ir.Finish | None = None
        self._failure: ir.StreamFailed | None = None
        self._parts: list[ir.Part] = []
        self._head: ir.Part | None = None  # of the open part
        self._text: list[str] = []
        self._citations: list[ir.Citation] = []
        self._logprobs: list[ir.TokenLogprob] = []
        self._others: dict[int, Folder] = {}  # of further answers

    def add(self, event: ir.StreamEvent) -> None:
        """Take one event; `upstream_malformed` when the answer outgrows the bound."""
        match event:
            case ir.PartDelta():
                self._hold(event.text)
                self._logprobs.extend(event.logprobs)
            case ir.PartStart():
                self._head = event.part
            case ir.CitationAdded():
                self._citations.append(event.citation)
            case ir.PartEnd():
                self._parts.append(self._built(event.state, complete=event.complete))
                self._head = None
                self._text.clear()
                self._citations.clear()
            case ir.MessageStart():
                self._start = event
            case ir.Finish():
                self._finish = event
            case ir.OfChoice():
                self._others.setdefault(event.choice, Folder(self._left)).add(event.event)
            case ir.StreamFailed():
                self._failure = event
            case ir.Ping():
                pass

    @property
    def failure(self) -> ir.StreamFailed | None:
        """The failure that ended the stream, if one did."""
        return self._failure

    def response(self) -> ir.Response:
        """The whole answer; raises the stream's own error if it failed or is not over."""
        if self._failure is not None:
            raise self._failure.error
        if self._finish is None:
            raise GatewayError(ErrorKind.UPSTREAM_CUT, CUT)
        return self._response(tuple(self._parts), self._finish)

    def partial(self) -> ir.Response:
        """What has been collected so far, whatever the state: for logs and hooks.

        An open tool call is not `complete`, and an answer without its end counts as cut (LENGTH).
        """
        parts = tuple(self._parts)
        if self._head is not None:
            parts = (*parts, self._built(None, complete=False))
        usage = self._failure.usage if self._failure else ir.NO_USAGE
        cut = ir.Finish(reason=ir.FinishReason.LENGTH, usage=usage)
        return self._response(parts, self._finish or cut)

    def _hold(self, text: str) -> None:
        # Characters are a lower bound of bytes, good enough for a memory limit.
        self._left -= len(text)
        if self._left < 0:
            raise GatewayError(
                ErrorKind.UPSTREAM_MALFORMED,
                "the provider's answer is larger than can be collected",
                code="upstream_answer_too_large",
            )
        self._text.append(text)

    def _built(self, state: ir.OpaqueState | None, *, complete: bool) -> ir.Part:
        head = self._head
        text = "".join(self._text)
        match head:
            case ir.Text():
                citations = (*head.citations, *self._citations)
                return replace(head, text=head.text + text, citations=citations)
            case ir.Refusal():
                return replace(head, text=head.text + text)
            case ir.Reasoning():
                return replace(head, text=head.text + text, state=state or head.state)
            case ir.ToolCall():
                arguments = head.arguments + text
                return replace(head, arguments=arguments, complete=head.complete and complete)
            case None:
                return ir.Text(text=text)  # a PartEnd without its start: only a broken caller
            case _:
                return head

    def _response(self, parts: tuple[ir.Part, ...], finish: ir.Finish) -> ir.Response:
        start = self._start or ir.MessageStart(id="", model="")
        return ir.Response(
            id=start.id,
            model=start.model,
            parts=parts,
            finish_reason=finish.reason,
            created_s=start.created_s,
            stop_sequence=finish.stop_sequence,
            explanation=finish.explanation,
            category=finish.category,
            usage=start.usage if finish.usage == ir.NO_USAGE else finish.usage,
            logprobs=tuple(self._logprobs),
            service_tier=finish.service_tier or start.service_tier,
            resume=finish.resume,
            alternatives=tuple(
                candidate_of(self._others[choice].partial()) for choice in sorted(self._others)
            ),
        )


def unfold(response: ir.Response) -> Iterator[ir.StreamEvent]:
    """The events of a whole answer: one delta per part, further answers behind the first."""
    yield ir.MessageStart(
        id=response.id,
        model=response.model,
        created_s=response.created_s,
        usage=_known_at_start(response.usage),
        service_tier=response.service_tier,
    )
    scored = _scored_part(response)
    for index, part in enumerate(response.parts):
        logprobs = response.logprobs if index == scored else ()
        yield from _unfold_part(index, part, logprobs)
    for choice, other in enumerate(response.alternatives, start=1):
        for event in _unfold_candidate(other):
            yield ir.OfChoice(choice=choice, event=event)
    yield ir.Finish(
        reason=response.finish_reason,
        usage=response.usage,
        stop_sequence=response.stop_sequence,
        explanation=response.explanation,
        category=response.category,
        service_tier=response.service_tier,
        resume=response.resume,
    )


def _unfold_candidate(candidate: ir.Candidate) -> Iterator[ir.AnswerEvent]:
    scored = _scored_part(candidate)
    for index, part in enumerate(candidate.parts):
        yield from _unfold_part(index, part, candidate.logprobs if index == scored else ())
    yield ir.Finish(reason=candidate.finish_reason, explanation=candidate.explanation)


def _unfold_part(
    index: int, part: ir.Part, logprobs: tuple[ir.TokenLogprob, ...]
) -> Iterator[ir.AnswerEvent]:
    text = ""
    citations: tuple[ir.Citation, ...] = ()
    state: ir.OpaqueState | None = None
    complete = True
    head: ir.Part = part
    match part:
        case ir.Text():
            text, citations, head = part.text, part.citations, replace(part, text="", citations=())
        case ir.Refusal():
            text, head = part.text, replace(part, text="")
        case ir.Reasoning():
            text, state, head = part.text, part.state, replace(part, text="", state=None)
        case ir.ToolCall():
            text, complete = part.arguments, part.complete
            head = replace(part, arguments="", complete=True)
        case _:
            pass
    yield ir.PartStart(index=index, part=head)
    if text or logprobs:
        yield ir.PartDelta(index, text, logprobs)
    for citation in citations:
        yield ir.CitationAdded(index=index, citation=citation)
    yield ir.PartEnd(index=index, state=state, complete=complete)


def _scored_part(response: ir.Response | ir.Candidate) -> int | None:
    """The part whose delta carries the log probabilities: the first text, else the first streamed part."""
    if not response.logprobs:
        return None
    for kinds in ((ir.Text,), STREAMED):
        for index, part in enumerate(response.parts):
            if isinstance(part, kinds):
                return index
    return None


def _known_at_start(usage: ir.Usage) -> ir.Usage:
    """The counts that do not depend on the answer."""
    return ir.Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_long_tokens=usage.cache_write_long_tokens,
        cache_write_longest_tokens=usage.cache_write_longest_tokens,
        input_audio_tokens=usage.input_audio_tokens,
        input_image_tokens=usage.input_image_tokens,
        input_text_tokens=usage.input_text_tokens,
    )
