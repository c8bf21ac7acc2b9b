"""Answers that take several upstream calls: how many, and how what the calls brought becomes one answer.

A leg is one such call that went well. Either it brought one of several answers (`n` at a protocol that gives one per
call), or a piece of an answer whose upstream wants to be resumed (`ir.Resume`). Who makes the calls, and when to
stop, is the gateway's business; here is only what the pieces are together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Final

from translators import ir
from translators.base import StreamDecoder
from translators.errors import GatewayError
from translators.losses import Action, Loss, Losses

MAX_CALLS: Final = 8
"""Most calls for one request's answers; also the most that Gemini gives in one."""


def calls_for(request: ir.Request, losses: Losses) -> int:
    """How many calls the asked-for answers take at an upstream that gives one per call (section 2.1)."""
    count = request.candidates
    if count == 1:
        return 1
    path = request.path_of("candidates")
    if request.stream:
        losses.give_up(Loss.MEANING, path, "a stream of this provider carries one answer only")
        return 1
    calls = min(count, MAX_CALLS)
    fate = f"{calls} of {count} answers are" if calls < count else "each answer is"
    losses.choose(
        path,
        f"the provider gives one answer per call; {fate} asked for by a call of its own",
        strict=Action.REJECT,
        balanced=Action.REJECT,
        max_compat=Action.WARN,
    )
    return calls


def total(*counts: ir.Usage) -> ir.Usage:
    """The sum; a count is unknown only when no call reported it."""
    known = [usage for usage in counts if usage != ir.NO_USAGE]
    if len(known) < 2:
        return known[0] if known else ir.NO_USAGE
    sums: dict[str, int] = {}
    for item in fields(ir.Usage):
        values = [getattr(usage, item.name) for usage in known]
        reported = [value for value in values if value is not None]
        if reported:
            sums[item.name] = sum(reported)
    return ir.Usage(**sums)


def joined(begun: ir.Response, more: ir.Response) -> ir.Response:
    """An answer and what resuming it brought: it is known by its beginning and ends as the last piece does."""
    parts, further = begun.parts, more.parts
    if begun.resume is not None and begun.resume.open_text and parts and further:
        last, first = parts[-1], further[0]
        if isinstance(last, ir.Text) and isinstance(first, ir.Text):
            parts, further = (*parts[:-1], _one_text(last, first)), further[1:]
    return replace(
        more,
        id=begun.id,
        model=begun.model,
        created_s=begun.created_s,
        parts=(*parts, *further),
        finish_reason=_reason((*parts, *further), more.finish_reason),
        usage=total(begun.usage, more.usage),
        logprobs=(*begun.logprobs, *more.logprobs),
        service_tier=more.service_tier or begun.service_tier,
    )


def _one_text(last: ir.Text, first: ir.Text) -> ir.Text:
    """Offsets of the second text's citations count from its own beginning."""
    shift = len(last.text)
    moved = tuple(_moved(citation, shift, len(first.text)) for citation in first.citations)
    return replace(last, text=last.text + first.text, citations=(*last.citations, *moved))


def _moved(citation: ir.Citation, shift: int, length: int) -> ir.Citation:
    if not isinstance(citation, ir.UrlCitation):
        return citation
    end = length if citation.end is None else citation.end
    return replace(citation, start=shift + (citation.start or 0), end=shift + end)


def _reason(parts: tuple[ir.Part, ...], reason: ir.FinishReason) -> ir.FinishReason:
    """Calls decide, wherever in the answer they stand (section 14)."""
    called = any(isinstance(part, ir.ToolCall) for part in parts)
    return ir.FinishReason.TOOL_CALLS if called and reason is ir.FinishReason.STOP else reason


def side_by_side(answers: list[ir.Response]) -> ir.Response:
    """One response of several answers: the first, and the others as its alternatives."""
    first, *others = answers
    further = tuple(
        choice for other in others for choice in (candidate_of(other), *other.alternatives)
    )
    return replace(
        first,
        usage=total(*(answer.usage for answer in answers)),
        alternatives=(*first.alternatives, *further),
    )


def candidate_of(answer: ir.Response) -> ir.Candidate:
    """An answer as one of several."""
    return ir.Candidate(
        parts=answer.parts,
        finish_reason=answer.finish_reason,
        explanation=answer.explanation,
        logprobs=answer.logprobs,
    )


class LegDecoder:
    """A decoder whose stream may be one leg of the client's; `before` is the leg that it goes on from.

    `pauses` is asked when the upstream wants to be resumed: True = another leg follows, and the end is no end. Part
    numbers and usage go on from leg to leg; a text that was left open goes on as the same part.
    """

    def __init__(
        self,
        decoder: StreamDecoder,
        pauses: Callable[[ir.Resume, ir.FinishReason], bool],
        before: LegDecoder | None = None,
    ) -> None:
        self._decoder = decoder
        self._pauses = pauses
        self._resumed = before is not None
        self._parts = 0  # that have gone out
        self._called = False  # one of them was a call
        self._held: ir.PartEnd | None = None  # of a text that the next leg goes on with
        self._usage = ir.NO_USAGE  # of this leg and those before it
        self._joins = False  # the open part began in the leg before
        self._paused = False
        if before is not None:
            self._parts, self._called = before._parts, before._called
            self._held, self._usage = before._held, before._usage

    def bound(self, max_frame_bytes: int) -> None:
        """See StreamDecoder."""
        self._decoder.bound(max_frame_bytes)

    def feed(self, data: bytes) -> list[ir.StreamEvent]:
        """See StreamDecoder."""
        return self._passed(self._decoder.feed(data))

    def close(self, error: GatewayError | None = None) -> list[ir.StreamEvent]:
        """See StreamDecoder: a pause that nothing could follow is no end."""
        events = self._passed(self._decoder.close(error))
        if self._paused and error is not None:
            self._paused = False
            events.append(ir.StreamFailed(error, self._usage))
        return events

    def _passed(self, events: list[ir.StreamEvent]) -> list[ir.StreamEvent]:
        if not events or (len(events) == 1 and events[0].__class__ is ir.PartDelta):
            if self._resumed and events:
                return self._moved(events[0])
            return events
        if self._resumed:
            events = [moved for event in events for moved in self._moved(event)]
        else:
            starts = [event.part for event in events if isinstance(event, ir.PartStart)]
            self._parts += len(starts)
            self._called = self._called or any(isinstance(part, ir.ToolCall) for part in starts)
        if events and isinstance(finish := events[-1], ir.Finish) and finish.resume is not None:
            if self._pauses(finish.resume, finish.reason):
                self._paused, self._usage = True, finish.usage
                events.pop()
                end = events[-1] if events else None
                if finish.resume.open_text and isinstance(end, ir.PartEnd):
                    self._held = end
                    events.pop()
        return events

    def _moved(self, event: ir.StreamEvent) -> list[ir.StreamEvent]:
        """What an event of a later leg is in the client's stream. One part is open at a time: the last one."""
        index = self._parts - 1
        match event:
            case ir.PartDelta():
                return [ir.PartDelta(index, event.text, event.logprobs)]
            case ir.PartStart():
                return self._opened(event)
            case ir.PartEnd():
                self._joins = False
                return [replace(event, index=index)]
            case ir.CitationAdded():
                citation = event.citation
                if self._joins and isinstance(citation, ir.UrlCitation):
                    # Where the whole text's offsets begin is not known here: it cites all of it.
                    citation = replace(citation, start=None, end=None)
                return [ir.CitationAdded(index=index, citation=citation)]
            case ir.MessageStart():
                return []
            case ir.Finish():
                usage = total(self._usage, event.usage)
                return [*self._let_go(), replace(event, usage=usage, reason=self._reason(event))]
            case ir.StreamFailed():
                return [ir.StreamFailed(event.error, total(self._usage, event.usage))]
            case _:
                return [event]

    def _opened(self, start: ir.PartStart) -> list[ir.StreamEvent]:
        if self._held is not None and isinstance(start.part, ir.Text):
            self._held, self._joins = None, True
            return []
        closed = self._let_go()
        self._parts += 1
        self._called = self._called or isinstance(start.part, ir.ToolCall)
        return [*closed, replace(start, index=self._parts - 1)]

    def _let_go(self) -> list[ir.StreamEvent]:
        held, self._held = self._held, None
        return [] if held is None else [held]

    def _reason(self, finish: ir.Finish) -> ir.FinishReason:
        natural = finish.reason is ir.FinishReason.STOP
        return ir.FinishReason.TOOL_CALLS if self._called and natural else finish.reason
