"""Undo, on the stream of events, what rendering a request did (`Reading`), and mend odd upstreams.

Protocol-neutral: stop sequences that the gateway cuts itself, `<think>` tags, cumulative text, freeform
tools emulated as functions, an output schema wrapped under `value`, added nulls, one call per turn,
"the whole text must be one JSON object". A reading that needs none of it gets no filter at all.
A filter holds text back only while it cannot know what the text is; a failing stream lets it go first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from translators import ir
from translators.base import Reading
from translators.decoding import of_choice
from translators.errors import GatewayError
from translators.filter_base import EventFilter, Filter, TextFilter
from translators.fold import Folder, unfold
from translators.freeform import INPUT_KEY, unwrap_input
from translators.ids import made_call_id
from translators.losses import Loss, Losses
from translators.schema import WRAP_KEY, without_added_nulls
from translators.unescape import StringReader
from translators.wire import JsonObject, JsonSyntaxError, dump_text, loads

__all__ = ["EventFilter", "filter_response", "filters_for", "run"]


def filters_for(reading: Reading, losses: Losses) -> list[EventFilter]:
    """The filters that this answer needs, in order; [] for most."""
    chain = _chain(reading, losses)
    if chain and reading.choices > 1:
        return [EachChoice(lambda: _chain(reading, losses))]
    return chain


def _chain(reading: Reading, losses: Losses) -> list[EventFilter]:
    chain: list[EventFilter] = []
    if reading.profile.cumulative_text:
        chain.append(CumulativeText())
    if reading.profile.think_tags:
        chain.append(ThinkTags())
    if reading.answer_tool is not None:
        chain.append(AnswerTool(reading.answer_tool, losses))
    if reading.wrapped:
        chain.append(WrappedValue())
    if reading.forced_format_tool is not None:
        chain.append(ForcedFormat(reading.tool(reading.forced_format_tool)))
    if reading.nulls_added:
        chain.append(AddedNulls(reading))
    if reading.custom:
        chain.append(CustomTools(reading.custom))
    if reading.single_call:
        chain.append(SingleCall(losses))
    if reading.cut_at:
        chain.append(CutAt(reading.cut_at))
    if reading.json_object:
        chain.append(JsonObjectCheck(losses))
    return chain


def run(filters: Iterable[EventFilter], event: ir.StreamEvent) -> list[ir.StreamEvent]:
    """One event through a chain of filters."""
    events = [event]
    for item in filters:
        events = [made for event in events for made in item.apply(event)]
    return events


def filter_response(response: ir.Response, reading: Reading, losses: Losses) -> ir.Response:
    """The same for a whole answer; its alternatives are filtered each by itself."""
    if not filters_for(reading, losses):
        return response
    answer = _filtered(response, reading, losses)
    others = tuple(
        _filtered_candidate(item, response, reading, losses) for item in response.alternatives
    )
    return replace(answer, usage=response.usage, alternatives=others)


def _filtered(response: ir.Response, reading: Reading, losses: Losses) -> ir.Response:
    chain = _chain(reading, losses)
    folder = Folder()
    for event in unfold(replace(response, alternatives=())):
        for made in run(chain, event):
            folder.add(made)
    return folder.response()


def _filtered_candidate(
    candidate: ir.Candidate, response: ir.Response, reading: Reading, losses: Losses
) -> ir.Candidate:
    whole = ir.Response(
        id=response.id,
        model=response.model,
        parts=candidate.parts,
        finish_reason=candidate.finish_reason,
        explanation=candidate.explanation,
        logprobs=candidate.logprobs,
    )
    answer = _filtered(whole, reading, losses)
    return ir.Candidate(
        parts=answer.parts,
        finish_reason=answer.finish_reason,
        explanation=answer.explanation,
        logprobs=answer.logprobs,
    )


class EachChoice:
    """A chain of filters for each answer of a stream that carries several.

    A filter may end its own answer early; the stream ends when the provider has ended all of them.
    """

    finished = False

    def __init__(self, chain: Callable[[], list[EventFilter]]) -> None:
        self._chain = chain
        self._first = chain()
        self._others: dict[int, list[EventFilter]] = {}
        self._early: ir.Finish | None = None  # of the first answer, ended by a filter

    def apply(self, event: ir.StreamEvent) -> list[ir.StreamEvent]:
        """See EventFilter."""
        if isinstance(event, ir.OfChoice):
            chain = self._others.get(event.choice)
            if chain is None:
                chain = self._others[event.choice] = self._chain()
            return list(of_choice(event.choice, run(chain, event.event)))
        if self._early is not None:
            if isinstance(event, ir.Finish):
                return [replace(self._early, usage=event.usage)]
            return [event] if isinstance(event, ir.StreamFailed | ir.Ping) else []
        events = run(self._first, event)
        if not isinstance(event, ir.Finish) and events and isinstance(events[-1], ir.Finish):
            self._early = events[-1]
            events.pop()
        return events


# -- odd upstreams


class CumulativeText(TextFilter):
    """Every delta repeats all text so far: pass on what is new."""

    def __init__(self) -> None:
        super().__init__()
        self._seen = ""  # of the whole answer: a later part repeats the earlier ones too

    def feed(self, text: str) -> str:
        if text.startswith(self._seen):
            new = text[len(self._seen) :]
            self._seen = text
            return new
        self._seen += text
        return text


class ThinkTags(TextFilter):
    """`<think>…</think>` at the very start of the answer's text is reasoning."""

    OPEN: Final = "<think>"
    CLOSE: Final = "</think>"

    def __init__(self) -> None:
        super().__init__()
        self._held = ""
        self._mode = self._look
        self._thinking = False

    def feed(self, text: str) -> str:
        return self._mode(text)

    def flush(self) -> str:
        held, self._held = self._held, ""
        if self._thinking:
            self._think(held)
            self._close()
            return ""
        self._mode = self._pass
        return held

    def _pass(self, text: str) -> str:
        return text

    def _look(self, text: str) -> str:
        self._held += text
        text = self._held.lstrip()
        if text.startswith(self.OPEN):
            self._held = ""
            self._thinking = True
            self._mode = self._inside
            return self._inside(text[len(self.OPEN) :])
        if self.OPEN.startswith(text):
            return ""
        held, self._held = self._held, ""
        self._mode = self._pass
        return held

    def _inside(self, text: str) -> str:
        text = self._held + text
        place = text.find(self.CLOSE)
        if place < 0:
            keep = _overlap(text, self.CLOSE)
            self._held = text[len(text) - keep :]
            self._think(text[: len(text) - keep])
            return ""
        self._held = ""
        self._think(text[:place])
        self._close()
        return self._after(text[place + len(self.CLOSE) :])

    def _after(self, text: str) -> str:
        """The blank lines between thinking and answer belong to neither."""
        self._mode = self._after
        if text := text.lstrip():
            self._mode = self._pass
        return text

    def _think(self, text: str) -> None:
        if not self._open:
            text = text.lstrip("\n")
            if not text:
                return
            self.start(ir.Reasoning())
        self.emit(text)

    def _close(self) -> None:
        self._thinking = False
        if self._open:
            self.end()


# -- undoing emulations


class WrappedValue(TextFilter):
    """Take the answer out of `{"value": …}`; text of any other shape stays as it is."""

    PREFIX: Final = re.compile(rf'\s*\{{\s*"{WRAP_KEY}"\s*:\s*')
    COMPACT: Final = f'{{"{WRAP_KEY}":'

    def __init__(self) -> None:
        super().__init__()
        self.begin()

    def begin(self) -> None:
        self._held = ""
        self._mode: Callable[[str], str] = self._look

    def feed(self, text: str) -> str:
        return self._mode(text)

    def flush(self) -> str:
        held, self._held = self._held, ""
        return "" if self._mode == self._value and "}" in held else held

    def _look(self, text: str) -> str:
        self._held += text
        match = self.PREFIX.match(self._held)
        if match is None or match.end() == len(self._held):
            if match or self.COMPACT.startswith("".join(self._held.split())):
                return ""
            self._mode = self._other
            held, self._held = self._held, ""
            return held
        rest = self._held[match.end() :]
        self._held = ""
        self._mode = self._value
        return self._value(rest)

    def _other(self, text: str) -> str:
        return text

    def _value(self, text: str) -> str:
        """The wrapper's own closing brace is the last of the text: hold back what may be it."""
        self._held += text
        cut = _tail_start(self._held)
        out, self._held = self._held[:cut], self._held[cut:]
        return out


def _tail_start(text: str) -> int:
    """Where the run of spaces, at most one `}` and spaces begins that ends a text."""
    kept = text.rstrip()
    return len(kept[:-1].rstrip()) if kept.endswith("}") else len(kept)


class AnswerTool(Filter):
    """The arguments of one tool of ours are really the answer's text.

    Text beside it is held back: of a model that did not call the tool it is the answer, of one that did it would
    break the JSON.
    """

    def __init__(self, ref: ir.ToolRef, losses: Losses) -> None:
        super().__init__()
        self._ref = ref
        self._losses = losses
        self._held: list[tuple[ir.Text, list[str]]] = []
        self._in_text = False
        self._answered = False
        self._dropping = False
        self._calls = False

    def on_start(self, part: ir.Part) -> None:
        if isinstance(part, ir.Text):
            self._in_text = True
            self._held.append((part, []))
        elif isinstance(part, ir.ToolCall) and part.ref == self._ref:
            self._dropping = self._answered
            if not self._answered:
                self._answered = True
                self.start(ir.Text(text=""))
        else:
            if isinstance(part, ir.ToolCall):
                self._calls = True
                self._release()
            self.start(part)

    def on_delta(self, text: str) -> None:
        if self._in_text:
            self._held[-1][1].append(text)
            self._logprobs = ()
        elif not self._dropping:
            self.emit(text)

    def on_citation(self, citation: ir.Citation) -> None:
        if not self._in_text:
            super().on_citation(citation)

    def on_end(self, end: ir.PartEnd) -> None:
        if self._in_text:
            self._in_text = False
        elif self._dropping:
            self._dropping = False
        else:
            self.end(end)

    def on_finish(self, finish: ir.Finish) -> None:
        self._release()
        if self._answered and not self._calls and finish.reason is ir.FinishReason.TOOL_CALLS:
            finish = replace(finish, reason=ir.FinishReason.STOP)
        self._out.append(finish)

    def on_failure(self) -> None:
        if not self._open:
            self._release()

    def _release(self) -> None:
        """Let held text go, unless the answer has been given otherwise."""
        held, self._held = self._held, []
        if self._answered and any("".join(pieces).strip() for _, pieces in held):
            self._losses.warn(
                "response", "text beside the answer in the asked-for form was left out"
            )
        for head, pieces in held:
            text = "".join(pieces)
            if text and not self._answered:
                self.start(head)
                self.emit(text)
                self.end()


class ForcedFormat(Filter):
    """The JSON text of the answer is really the arguments of one tool."""

    def __init__(self, ref: ir.ToolRef) -> None:
        super().__init__()
        self._ref = ref
        self._response_id = ""
        self._head: ir.Text | None = None  # a text that has shown nothing but space yet
        self._space = ""
        self._in_call = False
        self._done = False
        self._held_end: ir.PartEnd | None = None

    def on_message(self, event: ir.MessageStart) -> None:
        self._response_id = event.id

    def on_start(self, part: ir.Part) -> None:
        self._let_end_go()
        if isinstance(part, ir.Text) and not self._done:
            self._head, self._space = part, ""
        else:
            self.start(part)

    def on_delta(self, text: str) -> None:
        if self._head is not None:
            self._space += text
            text = self._space
            if not text.strip():
                return
            if text.lstrip().startswith("{"):
                self._done = self._in_call = True
                call_id = made_call_id("call_", self._response_id, 0, 0)
                name, namespace = self._ref
                self.start(ir.ToolCall(call_id=call_id, name=name, namespace=namespace))
            else:
                self.start(self._head)
            self._head = None
        self.emit(text)

    def on_citation(self, citation: ir.Citation) -> None:
        if self._head is None and not self._in_call:
            super().on_citation(citation)

    def on_end(self, end: ir.PartEnd) -> None:
        if self._head is not None:
            self._head = None  # an empty text
        elif self._in_call:
            self._in_call = False
            self._held_end = end  # only the finish reason tells whether it is complete
        else:
            self.end(end)

    def on_finish(self, finish: ir.Finish) -> None:
        cut = finish.reason is ir.FinishReason.LENGTH
        self._let_end_go(complete=not cut)
        if self._done and finish.reason is ir.FinishReason.STOP:
            finish = replace(finish, reason=ir.FinishReason.TOOL_CALLS)
        self._out.append(finish)

    def _let_end_go(self, *, complete: bool = True) -> None:
        if self._held_end is not None:
            self._held_end = None
            self.end(ir.PartEnd(index=0, complete=complete))


class AddedNulls(Filter):
    """Take out the nulls that stand for properties which the client had left optional."""

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self._schemas = reading.nulls_added
        self._schema: JsonObject | None = None  # of the part that is being held
        self._held: list[str] = []

    def on_start(self, part: ir.Part) -> None:
        if isinstance(part, ir.Text):
            self._schema = self._schemas.get(None)
        elif isinstance(part, ir.ToolCall):
            self._schema = self._schemas.get(part.ref)
        self.start(part)

    def on_delta(self, text: str) -> None:
        if self._schema is None:
            self.emit(text)
        else:
            self._held.append(text)

    def on_end(self, end: ir.PartEnd) -> None:
        self._release()
        self.end(end)

    def on_failure(self) -> None:
        self._release()

    def _release(self) -> None:
        if self._schema is not None:
            text = "".join(self._held)
            try:
                text = dump_text(without_added_nulls(loads(text), self._schema))
            except JsonSyntaxError:
                pass  # cut or no JSON: it goes out as it came
            self.emit(text)
            self._schema = None
            self._held.clear()


class CustomTools(Filter):
    """Turn calls of the functions that stand in for freeform tools back into freeform calls."""

    PREFIX: Final = re.compile(rf'\s*\{{\s*"{INPUT_KEY}"\s*:\s*"')
    COMPACT: Final = f'{{"{INPUT_KEY}":"'

    def __init__(self, custom: frozenset[ir.ToolRef]) -> None:
        super().__init__()
        self._custom = custom
        self._inside = False
        self._reader: StringReader | None = None
        self._held = ""
        self._odd = False  # not the agreed shape: wait for the whole

    def on_start(self, part: ir.Part) -> None:
        if isinstance(part, ir.ToolCall) and part.ref in self._custom:
            self._inside, self._odd, self._held, self._reader = True, False, "", None
            part = replace(part, kind=ir.ToolKind.CUSTOM)
        self.start(part)

    def on_delta(self, text: str) -> None:
        if not self._inside:
            self.emit(text)
        elif self._reader is not None:
            self._say(self._reader.feed(text))
        else:
            self._held += text
            if not self._odd:
                self._look()

    def on_end(self, end: ir.PartEnd) -> None:
        self._release()
        self.end(end)

    def on_failure(self) -> None:
        self._release()

    def _release(self) -> None:
        if self._inside:
            self._inside = False
            self._say(unwrap_input(self._held) if self._reader is None else self._reader.flush())

    def _look(self) -> None:
        if match := self.PREFIX.match(self._held):
            self._reader = StringReader()
            self._say(self._reader.feed(self._held[match.end() :]))
        else:
            self._odd = not self.COMPACT.startswith("".join(self._held.split()))

    def _say(self, text: str) -> None:
        if text:
            self.emit(text)


class SingleCall(Filter):
    """Keep the first tool call of the answer; the model asks again for the rest."""

    def __init__(self, losses: Losses) -> None:
        super().__init__()
        self._losses = losses
        self._seen = False
        self._dropping = False

    def on_start(self, part: ir.Part) -> None:
        if isinstance(part, ir.ToolCall):
            self._dropping = self._seen
            self._seen = True
        if self._dropping:
            self._losses.warn(
                "response",
                "only the first of several calls was kept: the client takes one at a time",
            )
        else:
            self.start(part)

    def on_delta(self, text: str) -> None:
        if self._dropping:
            self._logprobs = ()
        else:
            self.emit(text)

    def on_end(self, end: ir.PartEnd) -> None:
        if self._dropping:
            self._dropping = False
        else:
            self.end(end)


# -- ending the answer


class CutAt(TextFilter):
    """End the answer at the first stop sequence in its text, as the provider would have."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        super().__init__()
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self._called = False
        self._usage = ir.NO_USAGE
        self._tier: str | None = None
        self._waiting: list[ir.TokenLogprob] = []  # of tokens that have not gone out whole

    def on_message(self, event: ir.MessageStart) -> None:
        self._usage, self._tier = event.usage, event.service_tier

    def on_start(self, part: ir.Part) -> None:
        self._called = self._called or isinstance(part, ir.ToolCall)
        super().on_start(part)

    def on_delta(self, text: str) -> None:
        if self._head is None:
            self.emit(text)
            return
        self._waiting.extend(self._logprobs)
        self._logprobs = ()
        self._held += text
        if found := self._first_match():
            place, stop = found
            self._put(place, keep_logprobs=False)
            if self._open:
                self.end()
            self._finish(stop)
            return
        keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        self._put(len(self._held) - keep)

    def flush(self) -> str:
        self._logprobs = tuple(self._waiting)
        self._waiting.clear()
        held, self._held = self._held, ""
        return held

    def _put(self, count: int, *, keep_logprobs: bool = True) -> None:
        """Let the first `count` held characters go, with the tokens that they complete."""
        text, self._held = self._held[:count], self._held[count:]
        if self._waiting:
            self._logprobs = self._tokens_of(len(text))
            if not keep_logprobs:
                self._waiting.clear()
        self.say(text)

    def _tokens_of(self, count: int) -> tuple[ir.TokenLogprob, ...]:
        taken = 0
        while taken < len(self._waiting) and count >= len(self._waiting[taken].token):
            count -= len(self._waiting[taken].token)
            taken += 1
        tokens, self._waiting = tuple(self._waiting[:taken]), self._waiting[taken:]
        return tokens

    def _first_match(self) -> tuple[int, str] | None:
        """Where a stop sequence begins: of those that are there, the one that was complete first."""
        found = [
            (place + len(stop), place, stop)
            for stop in self._stops
            if (place := self._held.find(stop)) >= 0
        ]
        return min(found)[1:] if found else None

    def _finish(self, stop: str) -> None:
        self.finished = True
        reason = ir.FinishReason.TOOL_CALLS if self._called else ir.FinishReason.STOP_SEQUENCE
        self._out.append(
            ir.Finish(reason=reason, usage=self._usage, stop_sequence=stop, service_tier=self._tier)
        )


class JsonObjectCheck(Filter):
    """The whole text of a finished answer must be one JSON object."""

    def __init__(self, losses: Losses) -> None:
        super().__init__()
        self._losses = losses
        self._text: list[str] = []
        self._in_text = False

    def on_start(self, part: ir.Part) -> None:
        self._in_text = isinstance(part, ir.Text)
        super().on_start(part)

    def on_delta(self, text: str) -> None:
        if self._in_text:
            self._text.append(text)
        super().on_delta(text)

    def on_finish(self, finish: ir.Finish) -> None:
        ended = (ir.FinishReason.STOP, ir.FinishReason.STOP_SEQUENCE)
        if finish.reason in ended and not _is_object("".join(self._text)):
            try:
                self._losses.give_up(
                    Loss.MEANING, "response", "the answer is not the one JSON object asked for"
                )
            except GatewayError as error:
                self._out.append(ir.StreamFailed(error, finish.usage))
                return
        self._out.append(finish)


def _is_object(text: str) -> bool:
    try:
        return isinstance(loads(text), dict)
    except JsonSyntaxError:
        return False


def _overlap(text: str, tag: str) -> int:
    """How many of a text's last characters could be the beginning of the tag."""
    for size in range(min(len(tag) - 1, len(text)), 0, -1):
        if text.endswith(tag[:size]):
            return size
    return 0
