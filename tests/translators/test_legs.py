"""What the pieces of an answer are together that several calls brought."""

from __future__ import annotations

from typing import Any

import pytest

from translators import ir
from translators.errors import ErrorKind, GatewayError
from translators.fold import Folder, unfold
from translators.grammar import Grammar
from translators.legs import LegDecoder, calls_for, joined, side_by_side, total
from translators.losses import Losses, Mode

OPEN = ir.Resume(protocol="gemini", wire={"continuationToken": "t"}, times=10, open_text=True)
CLOSED = ir.Resume(protocol="anthropic", wire={"content": []}, times=5)
CALL = ir.ToolCall(call_id="call_1", name="f", arguments="{}")


def answer(*parts: ir.Part, **fields: Any) -> ir.Response:
    fields = {"finish_reason": ir.FinishReason.STOP, "id": "a", "model": "m", **fields}
    return ir.Response(parts=parts, **fields)


def text(words: str, **fields: Any) -> ir.Text:
    return ir.Text(text=words, **fields)


def counts(given: int | None, made: int | None, **fields: int) -> ir.Usage:
    return ir.Usage(input_tokens=given, output_tokens=made, **fields)


# ------------------------------------------------------------------------------------------ usage


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        pytest.param([], ir.NO_USAGE, id="no call"),
        pytest.param([counts(1, 2)], counts(1, 2), id="one call"),
        pytest.param([counts(1, 2), counts(10, 20)], counts(11, 22), id="two calls"),
        pytest.param([counts(1, 2), ir.NO_USAGE], counts(1, 2), id="one that reported nothing"),
        pytest.param(
            [counts(1, None), counts(1, 5, cache_read_tokens=3)],
            counts(2, 5, cache_read_tokens=3),
            id="what only one reported",
        ),
    ],
)
def test_usage_is_summed_and_the_unknown_stays_unknown(
    usages: list[ir.Usage], expected: ir.Usage
) -> None:
    assert total(*usages) == expected


# ------------------------------------------------------------------------------- several answers


def test_par_10_answers_side_by_side_are_one_response() -> None:
    first = answer(text("one"), usage=counts(5, 1))
    second = answer(text("two"), usage=counts(5, 2), id="b", explanation="why")
    response = side_by_side([first, second, answer(text("three"), id="c")])
    assert (response.id, response.parts) == ("a", (text("one"),))
    assert [other.parts for other in response.alternatives] == [(text("two"),), (text("three"),)]
    assert response.alternatives[0].explanation == "why"
    assert response.usage == counts(10, 3)


@pytest.mark.parametrize(
    ("wanted", "stream", "calls"),
    [(1, False, 1), (3, False, 3), (20, False, 8), (3, True, 1)],
    ids=["one", "some", "too many", "a stream"],
)
def test_par_10_how_many_calls_answers_take(wanted: int, stream: bool, calls: int) -> None:
    said = ir.Message(role=ir.Role.USER, parts=(text("x"),))
    request = ir.Request(
        protocol="openai_chat",
        model="m",
        messages=(said,),
        candidates=wanted,
        stream=stream,
        paths={"candidates": "n"},
    )
    losses = Losses()
    assert calls_for(request, losses) == calls
    assert [loss.path for loss in losses.degradations] == (["n"] if wanted > 1 else [])
    if wanted > 1:
        for mode in (Mode.STRICT, Mode.BALANCED):
            with pytest.raises(GatewayError) as refused:
                calls_for(request, Losses(mode))
            assert (refused.value.kind, refused.value.path) == (ErrorKind.UNTRANSLATABLE, "n")


# ------------------------------------------------------------------------------- resumed answers


def cite(start: int | None, end: int | None) -> ir.UrlCitation:
    return ir.UrlCitation(url="https://x.test", start=start, end=end)


@pytest.mark.parametrize(
    ("begun", "more", "parts"),
    [
        pytest.param(
            answer(text("Hel"), resume=OPEN),
            answer(text("lo"), text("!")),
            (text("Hello"), text("!")),
            id="a text that was left open goes on",
        ),
        pytest.param(
            answer(text("one"), resume=CLOSED),
            answer(text("two")),
            (text("one"), text("two")),
            id="a text that was complete stays by itself",
        ),
        pytest.param(
            answer(text("Hel"), resume=OPEN), answer(CALL), (text("Hel"), CALL), id="a call follows"
        ),
        pytest.param(
            answer(resume=OPEN), answer(text("x")), (text("x"),), id="nothing had come yet"
        ),
        pytest.param(
            answer(text("Hel"), resume=OPEN), answer(), (text("Hel"),), id="nothing follows"
        ),
        pytest.param(
            answer(text("ab", citations=(cite(0, 1),)), resume=OPEN),
            answer(text("cde", citations=(cite(1, 2), cite(None, None)))),
            (text("abcde", citations=(cite(0, 1), cite(3, 4), cite(2, 5))),),
            id="citations move with their text",
        ),
    ],
)
def test_parts_of_a_resumed_answer(
    begun: ir.Response, more: ir.Response, parts: tuple[ir.Part, ...]
) -> None:
    assert joined(begun, more).parts == parts


def test_a_resumed_answer_is_known_by_its_beginning_and_ends_as_its_end_does() -> None:
    begun = answer(CALL, id="first", created_s=1, usage=counts(5, 1), resume=CLOSED)
    more = answer(text("x"), id="second", created_s=2, usage=counts(7, 2), stop_sequence="END")
    whole = joined(begun, more)
    assert (whole.id, whole.created_s, whole.stop_sequence) == ("first", 1, "END")
    assert (whole.usage, whole.resume) == (counts(12, 3), None)
    assert whole.finish_reason is ir.FinishReason.TOOL_CALLS
    cut = answer(text("x"), finish_reason=ir.FinishReason.LENGTH)
    assert joined(begun, cut).finish_reason is ir.FinishReason.LENGTH


# ------------------------------------------------------------------------------- resumed streams


class Playing:
    """A decoder that has the events of an answer ready: one event per feed, or all at the end."""

    def __init__(self, response: ir.Response, *, fails: GatewayError | None = None) -> None:
        self.events = list(unfold(response))
        if fails is not None:
            self.events[-1] = ir.StreamFailed(fails, response.usage)

    def bound(self, max_frame_bytes: int) -> None:
        pass

    def feed(self, data: bytes) -> list[ir.StreamEvent]:
        return [self.events.pop(0)] if self.events else []

    def close(self, error: GatewayError | None = None) -> list[ir.StreamEvent]:
        events, self.events = self.events, []
        return events


def streamed(
    *answers: ir.Response, step: int, goes_on: bool = True, fails: GatewayError | None = None
) -> list[ir.StreamEvent]:
    """The client's events of answers as legs of one stream; `step` events of each come one by one."""
    events: list[ir.StreamEvent] = []
    leg: LegDecoder | None = None
    for response in answers:
        last = fails if response is answers[-1] else None
        leg = LegDecoder(Playing(response, fails=last), lambda resume, reason: goes_on, leg)
        for _ in range(step):
            events += leg.feed(b"x")
        events += leg.close()
    grammar = Grammar()
    for event in events:
        grammar.advance(event)
    assert grammar.ended
    return events


STEPS = pytest.mark.parametrize("step", [0, 1, 2, 3, 99])
LEGS = (
    answer(ir.Reasoning(text="hm"), text("Hel"), usage=counts(5, 1), resume=OPEN),
    answer(text("lo"), resume=OPEN, usage=counts(6, 2)),
    answer(text(" you"), CALL, text("."), usage=counts(7, 3)),
)


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_a_stream_of_legs_says_what_the_joined_answer_says(step: int) -> None:
    folder = Folder()
    for event in streamed(*LEGS, step=step):
        folder.add(event)
    whole = joined(joined(LEGS[0], LEGS[1]), LEGS[2])
    assert folder.response() == whole
    assert folder.response().usage == counts(18, 6)
    assert whole.parts[1] == text("Hello you")


@STEPS
def test_a_text_that_nothing_goes_on_with_is_closed(step: int) -> None:
    events = streamed(answer(text("Hel"), resume=OPEN), answer(CALL), step=step)
    kinds = [type(event).__name__ for event in events]
    assert kinds[:5] == ["MessageStart", "PartStart", "PartDelta", "PartEnd", "PartStart"]
    assert streamed(answer(text("a"), resume=OPEN), answer(), step=step)[-2:] == [
        ir.PartEnd(index=0),
        ir.Finish(reason=ir.FinishReason.STOP),
    ]


@STEPS
def test_a_pause_that_may_not_go_on_is_an_end(step: int) -> None:
    begun = answer(text("Hel"), resume=OPEN, finish_reason=ir.FinishReason.LENGTH)
    events = streamed(begun, step=step, goes_on=False)
    assert isinstance(events[-1], ir.Finish)
    assert events[-1].reason is ir.FinishReason.LENGTH


@STEPS
def test_a_leg_that_breaks_ends_the_stream_with_what_all_took(step: int) -> None:
    error = GatewayError(ErrorKind.UPSTREAM_CUT, "cut")
    last = answer(text("lo"), usage=counts(7, 2))
    failed = streamed(LEGS[0], last, step=step, fails=error)[-1]
    assert failed == ir.StreamFailed(error, counts(12, 3))


def test_a_pause_that_nothing_could_follow_breaks_the_stream() -> None:
    error = GatewayError(ErrorKind.UNREACHABLE, "nobody there")
    leg = LegDecoder(Playing(LEGS[0]), lambda resume, reason: True)
    paused = leg.close()
    assert not isinstance(paused[-1], ir.Finish | ir.StreamFailed)
    assert leg.close(error) == [ir.StreamFailed(error, counts(5, 1))]
    assert leg.close(error) == []


def test_a_citation_of_a_text_that_began_earlier_cites_all_of_it() -> None:
    cited = answer(text("lo", citations=(cite(0, 2),)))
    events = streamed(answer(text("Hel"), resume=OPEN), cited, step=1)
    assert ir.CitationAdded(index=0, citation=cite(None, None)) in events
