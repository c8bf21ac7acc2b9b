"""Several answers in one stream: read, filtered, collected and written (C `n`, G `candidateCount`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from addons.relay import TranslatingRelay
from tests.support.crossfire import writing
from translators import PROTOCOLS, ir
from translators.base import Reading
from translators.errors import ErrorKind, StreamContractError
from translators.filters import filters_for, run
from translators.fold import Folder, unfold
from translators.grammar import Grammar
from translators.losses import Losses, Mode
from translators.sse import SseParser

ANSWERS = ir.Response(
    id="a",
    model="m",
    parts=(ir.Text(text="one"), ir.ToolCall(call_id="call_1", name="f", arguments='{"a":1}')),
    finish_reason=ir.FinishReason.TOOL_CALLS,
    usage=ir.Usage(input_tokens=5, output_tokens=9),
    alternatives=(
        ir.Candidate(parts=(ir.Text(text="two"),), finish_reason=ir.FinishReason.STOP),
        ir.Candidate(parts=(ir.Text(text="three"),), finish_reason=ir.FinishReason.LENGTH),
    ),
)


STOPPED: dict[str, Any] = {"finish_reason": ir.FinishReason.STOP}


def reading(choices: int = 3, **fields: Any) -> Reading:
    return Reading(provider="up", model="m", stream=True, choices=choices, **fields)


def chat(index: int, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {
        "id": "x",
        "model": "m",
        "choices": [{"index": index, "delta": delta, "finish_reason": finish}],
    }


def gemini(*candidates: tuple[int, str, str | None], **fields: Any) -> dict[str, Any]:
    return {
        "candidates": [
            {
                "index": index,
                "content": {"role": "model", "parts": [{"text": text}]},
                **({"finishReason": finish} if finish else {}),
            }
            for index, text, finish in candidates
        ],
        **fields,
    }


def read(
    protocol: str, frames: list[dict[str, Any]], given: Reading, losses: Losses | None = None
) -> list[ir.StreamEvent]:
    decoder = PROTOCOLS[protocol].decoder(given, losses or Losses())
    events: list[ir.StreamEvent] = []
    for frame in frames:
        events += decoder.feed(b"data: " + orjson.dumps(frame) + b"\n\n")
    events += decoder.feed(b"data: [DONE]\n\n") if protocol == "openai_chat" else []
    events += decoder.close()
    grammar = Grammar()
    for event in events:
        grammar.advance(event)
    assert grammar.ended
    return events


def collected(events: list[ir.StreamEvent]) -> ir.Response:
    folder = Folder()
    for event in events:
        folder.add(event)
    return folder.response()


def texts(response: ir.Response) -> list[str]:
    return [
        "".join(part.text for part in parts if isinstance(part, ir.Text))
        for parts in (response.parts, *(other.parts for other in response.alternatives))
    ]


INTERLEAVED = {
    "openai_chat": [
        chat(1, role="assistant", content=""),
        chat(0, role="assistant", content=""),
        chat(1, content="tw"),
        chat(0, content="on"),
        chat(2, content="thr"),
        chat(1, content="o", finish="stop"),
        chat(2, content="ee", finish="length"),
        chat(0, content="e", finish="stop"),
        {"id": "x", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 9}},
    ],
    "gemini": [
        gemini((1, "tw", None)),
        gemini((0, "on", None), (2, "thr", None)),
        gemini((2, "ee", "MAX_TOKENS"), (1, "o", "STOP")),
        gemini((0, "e", "STOP"), usageMetadata={"promptTokenCount": 5, "candidatesTokenCount": 9}),
    ],
}
BOTH = pytest.mark.parametrize("protocol", list(INTERLEAVED))


@BOTH
def test_par_10_interleaved_answers_are_told_apart(protocol: str) -> None:
    response = collected(read(protocol, INTERLEAVED[protocol], reading()))
    assert texts(response) == ["one", "two", "three"]
    assert [other.finish_reason.value for other in response.alternatives] == ["stop", "length"]
    assert (response.usage.input_tokens, response.usage.output_tokens) == (5, 9)


@BOTH
def test_an_answer_that_nobody_asked_for_is_left_out_with_a_warning(protocol: str) -> None:
    losses = Losses()
    response = collected(read(protocol, INTERLEAVED[protocol], reading(1), losses))
    assert texts(response) == ["one"]
    assert ["nobody asked for" in loss.reason for loss in losses.degradations] == [True]


@BOTH
def test_a_stream_in_which_one_answer_has_no_end_was_cut(protocol: str) -> None:
    frames = [
        frame
        for frame in INTERLEAVED[protocol]
        if b'"length"' not in orjson.dumps(frame) and b"MAX_TOKENS" not in orjson.dumps(frame)
    ]
    (*_, last) = read(protocol, frames, reading())
    assert isinstance(last, ir.StreamFailed)
    assert last.error.kind is ErrorKind.UPSTREAM_CUT


def test_calls_of_several_answers_keep_to_themselves() -> None:
    def call(index: int, **function: str) -> dict[str, Any]:
        return chat(index, tool_calls=[{"index": 0, "type": "function", "function": function}])

    frames = [
        call(0, name="f", arguments=""),
        call(1, name="g", arguments=""),
        call(0, arguments='{"a":'),
        call(1, arguments="{}"),
        call(0, arguments="1}"),
        chat(0, finish="tool_calls"),
        chat(1, finish="tool_calls"),
    ]
    response = collected(read("openai_chat", frames, reading(2)))
    (first,), (second,) = response.parts, response.alternatives[0].parts
    assert isinstance(first, ir.ToolCall)
    assert isinstance(second, ir.ToolCall)
    assert (first.name, first.arguments) == ("f", '{"a":1}')
    assert (second.name, second.arguments) == ("g", "{}")
    assert first.call_id != second.call_id
    assert response.alternatives[0].finish_reason is ir.FinishReason.TOOL_CALLS


def test_an_answer_that_breaks_breaks_the_stream() -> None:
    frames = [chat(0, content="a"), chat(1, tool_calls=[{"index": 0, "id": "c"}], finish="stop")]
    (*_, last) = read("openai_chat", [*frames, chat(0, finish="stop")], reading(2))
    assert isinstance(last, ir.StreamFailed)
    assert last.error.kind is ErrorKind.UPSTREAM_MALFORMED


# ----------------------------------------------------------------------------------------- writing


@BOTH
@pytest.mark.parametrize("source", ["unfolded", *INTERLEAVED])
def test_par_10_what_is_written_is_read_again(protocol: str, source: str) -> None:
    if source == "unfolded":
        events = list(unfold(ANSWERS))
    else:
        events = read(source, INTERLEAVED[source], reading())
    encoder = PROTOCOLS[protocol].encoder(writing(protocol), Losses())
    decoder = PROTOCOLS[protocol].decoder(reading(), Losses())
    out = b"".join(map(encoder.encode, events))
    again = collected([*decoder.feed(out), *decoder.close()])
    assert texts(again) == ["one", "two", "three"]
    assert [other.finish_reason.value for other in again.alternatives] == ["stop", "length"]
    assert again.finish_reason is collected(events).finish_reason


def test_each_choice_of_chat_begins_with_its_role_and_the_stream_ends_once() -> None:
    encoder = PROTOCOLS["openai_chat"].encoder(writing("openai_chat"), Losses())
    out = b"".join(map(encoder.encode, unfold(ANSWERS)))
    assert out.count(b"[DONE]") == 1
    frames = [frame.data for frame in SseParser().feed(out) if frame.data != b"[DONE]"]
    chunks = [orjson.loads(frame) for frame in frames]
    said = [choice for chunk in chunks for choice in chunk["choices"]]
    roles = [choice["index"] for choice in said if "role" in choice["delta"]]
    assert roles == [0, 1, 2]
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_several_candidates_in_one_json_array_are_one_array() -> None:
    asked = writing("gemini", array_framing=True)
    encoder = PROTOCOLS["gemini"].encoder(asked, Losses())
    chunks = orjson.loads(b"".join(map(encoder.encode, unfold(ANSWERS))))
    assert {chunk["candidates"][0]["index"] for chunk in chunks} == {0, 1, 2}
    assert sum("usageMetadata" in chunk for chunk in chunks) == 1


@pytest.mark.parametrize("protocol", ["anthropic", "openai_responses"])
def test_par_10_a_protocol_of_one_answer_says_what_it_leaves_out(protocol: str) -> None:
    losses = Losses()
    encoder = PROTOCOLS[protocol].encoder(writing(protocol), losses)
    out = b"".join(map(encoder.encode, unfold(ANSWERS)))
    assert b"one" in out
    assert b"two" not in out
    assert [loss.path for loss in losses.degradations] == ["response.alternatives"]


# ------------------------------------------------------------------------ filters, fold, grammar


def test_each_answer_is_filtered_by_itself() -> None:
    given = reading(cut_at=("e",))
    chain = filters_for(given, Losses())
    events = [made for event in unfold(ANSWERS) for made in run(chain, event)]
    response = collected(events)
    assert texts(response) == ["on", "two", "thr"]
    assert response.finish_reason is ir.FinishReason.STOP_SEQUENCE
    assert [other.finish_reason.value for other in response.alternatives] == [
        "stop",
        "stop_sequence",
    ]
    assert response.usage == ANSWERS.usage
    assert not any(step.finished for step in chain)


@pytest.mark.parametrize("place", [0, 1])
def test_an_answer_that_a_filter_refuses_fails_the_stream(place: int) -> None:
    said = [(ir.Text(text="{}"),), (ir.Text(text="{}"),)]
    said[place] = (ir.Text(text="no JSON"),)
    other = ir.Candidate(parts=said[1], finish_reason=ir.FinishReason.STOP)
    events = unfold(replace(ANSWERS, parts=said[0], alternatives=(other,), **STOPPED))
    given = reading(2, json_object=True)
    relay = TranslatingRelay(
        PROTOCOLS["openai_chat"].decoder(given, Losses()),
        PROTOCOLS["openai_chat"].encoder(writing("openai_chat"), Losses()),
        filters_for(given, Losses(Mode.STRICT)),
    )
    encoder = PROTOCOLS["openai_chat"].encoder(writing("openai_chat"), Losses())
    out = b"".join(relay(b"".join(map(encoder.encode, events))))
    assert relay.error is not None
    assert out.count(b"not the one JSON object") == 1
    assert b"[DONE]" not in out


def test_a_folded_stream_is_the_whole_answer() -> None:
    assert collected(list(unfold(ANSWERS))) == ANSWERS


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(
            [ir.OfChoice(choice=1, event=ir.Finish(reason=ir.FinishReason.STOP))],
            id="before the start",
        ),
        pytest.param(
            [
                ir.MessageStart(id="", model=""),
                ir.OfChoice(choice=1, event=ir.PartStart(index=0, part=ir.Text(text=""))),
                ir.Finish(reason=ir.FinishReason.STOP),
            ],
            id="the end before another answer's end",
        ),
        pytest.param(
            [
                ir.MessageStart(id="", model=""),
                ir.PartStart(index=0, part=ir.Text(text="")),
                ir.OfChoice(choice=1, event=ir.PartDelta(0, "x")),
            ],
            id="a piece of a part that only the first answer has",
        ),
    ],
)
def test_the_grammar_holds_for_each_answer(events: list[ir.StreamEvent]) -> None:
    grammar = Grammar()
    *before, last = events
    for event in before:
        grammar.advance(event)
    with pytest.raises(StreamContractError):
        grammar.advance(last)
