"""Filters: every splitting of the upstream's text gives the same answer, and the grammar holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators import ir
from translators.base import Reading
from translators.errors import ErrorKind, GatewayError
from translators.filters import filter_response, filters_for, run
from translators.fold import Folder, unfold
from translators.grammar import Grammar
from translators.losses import Losses, Mode, Side
from translators.profile import ModelProfile

CUSTOM = ir.ToolRef("patch")


def reading(**changes: Any) -> Reading:
    return Reading(provider="p", model="m", **changes)


def stream(
    *parts: ir.Part,
    size: int = 1,
    finish: ir.FinishReason = ir.FinishReason.STOP,
    complete: bool = True,
) -> list[ir.StreamEvent]:
    """An answer whose texts arrive in pieces of `size` characters."""
    events: list[ir.StreamEvent] = []
    whole = ir.Response(id="r", model="m", parts=parts, finish_reason=finish)
    for event in unfold(whole):
        if isinstance(event, ir.PartDelta):
            text = event.text
            events += [
                ir.PartDelta(event.index, text[i : i + size]) for i in range(0, len(text), size)
            ]
        elif isinstance(event, ir.PartEnd):
            events.append(ir.PartEnd(index=event.index, state=event.state, complete=complete))
        else:
            events.append(event)
    return events


def through(
    events: list[ir.StreamEvent], how: Reading, losses: Losses | None = None
) -> list[ir.StreamEvent]:
    """What comes out of the filters; checks the grammar on the way."""
    chain = filters_for(how, losses or Losses(side=Side.RESPONSE))
    grammar = Grammar()
    out = []
    for event in events:
        for made in run(chain, event):
            grammar.advance(made)
            if isinstance(made, ir.PartDelta):
                assert made.text or made.logprobs
            out.append(made)
        if any(item.finished for item in chain):
            assert grammar.ended
    return out


def folded(events: list[ir.StreamEvent]) -> ir.Response:
    folder = Folder()
    for event in events:
        folder.add(event)
    return folder.response()


def text(value: str) -> ir.Text:
    return ir.Text(text=value)


def call(arguments: str, name: str = "patch", call_id: str = "c1") -> ir.ToolCall:
    return ir.ToolCall(call_id=call_id, name=name, arguments=arguments)


def freeform(value: str) -> ir.ToolCall:
    return ir.ToolCall(call_id="c1", name="patch", arguments=value, kind=ir.ToolKind.CUSTOM)


ANSWER = reading(answer_tool=ir.ToolRef("answer"))
THINK = reading(profile=ModelProfile(think_tags=True))
OPTIONAL = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a"]}  # fmt: skip

CASES = [
    pytest.param(
        THINK, [text("<think>\nhm</think>\n\nyes")], [ir.Reasoning(text="hm"), text("yes")],
        id="think tags at the start become reasoning",
    ),
    pytest.param(
        THINK, [text("a <think>b</think>")], [text("a <think>b</think>")],
        id="think tags later in the text stay text",
    ),
    pytest.param(
        THINK, [text(" \n<think>x</think>y")], [ir.Reasoning(text="x"), text("y")],
        id="space before the tag is no text",
    ),
    pytest.param(
        THINK, [text("<think>\n\n</think>\n\nyes")], [text("yes")],
        id="empty thinking leaves no part behind",
    ),
    pytest.param(
        THINK, [text("<think>never closed </thin")], [ir.Reasoning(text="never closed </thin")],
        id="thinking that is never closed is all reasoning",
    ),
    pytest.param(THINK, [text("<thi")], [text("<thi")], id="half a tag is text"),
    pytest.param(
        THINK, [text("<think>x</think>y"), call("{}")],
        [ir.Reasoning(text="x"), text("y"), call("{}")],
        id="later parts are renumbered behind the reasoning",
    ),
    pytest.param(
        reading(wrapped=True), [text('{"value": [1, {"a": "}"}]}')], [text('[1, {"a": "}"}]')],
        id="a wrapped array comes out as it stands",
    ),
    pytest.param(
        reading(wrapped=True), [text(' {\n "value" : {"a":{}} \n } \n')], [text('{"a":{}}')],
        id="only the wrapper's own brace is taken off",
    ),
    pytest.param(
        reading(wrapped=True), [text('{"value":"x\\n"}')], [text('"x\\n"')],
        id="a wrapped string stays JSON",
    ),
    pytest.param(
        ANSWER, [call('{"city":"Oslo"}', name="answer")], [text('{"city":"Oslo"}')],
        id="OUT-04: the answer tool's arguments are the text",
    ),
    pytest.param(
        ANSWER, [text("Sure!"), call('{"a":1}', name="answer")], [text('{"a":1}')],
        id="OUT-04: words beside the answer would break it",
    ),
    pytest.param(
        ANSWER, [call('{"a":1}', name="answer"), call('{"a":2}', name="answer", call_id="c2")],
        [text('{"a":1}')], id="OUT-04: it answers once",
    ),
    pytest.param(
        ANSWER, [text("Let me see."), call("{}")], [text("Let me see."), call("{}")],
        id="OUT-04: calls of the client's tools stay, with what was said before",
    ),
    pytest.param(ANSWER, [text("I cannot.")], [text("I cannot.")], id="OUT-04: a model that did not call it"),
    pytest.param(
        reading(answer_tool=ir.ToolRef("answer"), wrapped=True),
        [call('{"value":[1]}', name="answer")], [text("[1]")], id="OUT-04: a wrapped root is taken out too",
    ),
    pytest.param(
        reading(wrapped=True), [text("I cannot do that")], [text("I cannot do that")],
        id="an answer that is not wrapped stays",
    ),
    pytest.param(
        reading(wrapped=True), [text('{"val')], [text('{"val')],
        id="a wrapper cut in its key is not swallowed",
    ),
    pytest.param(
        reading(custom=frozenset({CUSTOM})),
        [call('{"input":"*** Begin\\n\\"q\\" \\u00e9 \\ud83d\\ude00 \\\\ \\/ end"}')],
        [freeform('*** Begin\n"q" é 😀 \\ / end')],
        id="a freeform input is unescaped",
    ),
    pytest.param(
        reading(custom=frozenset({CUSTOM})), [call('{"input": {"a":1}}')], [freeform('{"a":1}')],
        id="an object as input becomes its JSON",
    ),
    pytest.param(
        reading(custom=frozenset({CUSTOM})), [call('{"patch":"p"}')], [freeform("p")],
        id="one string under another name is the input",
    ),
    pytest.param(
        reading(custom=frozenset({CUSTOM})), [call("raw *** text")], [freeform("raw *** text")],
        id="no JSON at all is the input",
    ),
    pytest.param(
        reading(custom=frozenset({CUSTOM})), [call("")], [freeform("")], id="no input is no input"
    ),
    pytest.param(
        reading(custom=frozenset({CUSTOM})), [call('{"input":"\\ud83d"}')], [freeform("�")],
        id="a lone surrogate cannot be said",
    ),
    pytest.param(
        reading(custom=frozenset({CUSTOM})), [call('{"input":"x"}', name="other")],
        [call('{"input":"x"}', name="other")], id="other tools are left alone",
    ),
    pytest.param(
        reading(single_call=True),
        [text("t"), call("{}", call_id="1"), call('{"x":1}', call_id="2"), text("u")],
        [text("t"), call("{}", call_id="1"), text("u")],
        id="only the first call is kept",
    ),
    pytest.param(
        reading(nulls_added={None: OPTIONAL}), [text('{"a":null,"b":null,"c":null}')],
        [text('{"a":null,"c":null}')], id="nulls that stand for absence are taken out",
    ),
    pytest.param(
        reading(nulls_added={CUSTOM: OPTIONAL}), [call('{"a":"x","b":null}'), text('{"b":null}')],
        [call('{"a":"x"}'), text('{"b":null}')], id="nulls of a tool's arguments alone",
    ),
]  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize(("how", "parts", "expected"), CASES)
def test_filter(how: Reading, parts: list[ir.Part], expected: list[ir.Part], size: int) -> None:
    assert list(folded(through(stream(*parts, size=size), how)).parts) == expected


@pytest.mark.parametrize(("how", "parts", "expected"), CASES)
def test_a_whole_answer_is_filtered_alike(
    how: Reading, parts: list[ir.Part], expected: list[ir.Part]
) -> None:
    candidate = ir.Candidate(parts=tuple(parts), finish_reason=ir.FinishReason.STOP)
    response = ir.Response(
        id="r",
        model="m",
        parts=tuple(parts),
        finish_reason=ir.FinishReason.STOP,
        usage=ir.Usage(output_tokens=3),
        alternatives=(candidate,),
    )
    answer = filter_response(response, how, Losses(side=Side.RESPONSE))
    assert list(answer.parts) == expected
    assert list(answer.alternatives[0].parts) == expected
    assert answer.usage == ir.Usage(output_tokens=3)


def test_a_plain_reading_needs_no_filter() -> None:
    assert filters_for(reading(), Losses()) == []
    response = ir.Response(id="r", model="m", parts=(), finish_reason=ir.FinishReason.STOP)
    assert filter_response(response, reading(), Losses()) is response


def cumulative(*chunks: str) -> list[ir.StreamEvent]:
    return [
        ir.MessageStart(id="r", model="m"),
        ir.PartStart(index=0, part=text("")),
        *(ir.PartDelta(0, chunk) for chunk in chunks),
        ir.PartEnd(index=0),
        ir.Finish(reason=ir.FinishReason.STOP),
    ]


def test_f43_cumulative_chunks_are_told_once() -> None:
    how = reading(profile=ModelProfile(cumulative_text=True))
    out = through(cumulative("a", "ab", "ab", "abc"), how)
    assert [event.text for event in out if isinstance(event, ir.PartDelta)] == ["a", "b", "c"]


def test_f43_cumulative_text_goes_through_the_think_filter() -> None:
    how = reading(profile=ModelProfile(cumulative_text=True, think_tags=True))
    out = folded(through(cumulative("<th", "<think>x</", "<think>x</think>y"), how))
    assert list(out.parts) == [ir.Reasoning(text="x"), text("y")]


@pytest.mark.parametrize("size", [1, 2, 7, 100])
@pytest.mark.parametrize(
    ("stops", "said", "kept", "stop"),
    [
        pytest.param(("END",), "abcENDdef", "abc", "END", id="cut at the stop"),
        pytest.param(("aab",), "aaab", "a", "aab", id="a false start does not hide the stop"),
        pytest.param(("abc", "b"), "xabc", "xa", "b", id="the stop that is complete first wins"),
        pytest.param(("ab", "b"), "xab", "x", "ab", id="of two complete at once the longer"),
        pytest.param(("x",), "xyz", "", "x", id="a stop at the very start leaves nothing"),
    ],
)
def test_stop_sequences_are_cut(
    stops: tuple[str, ...], said: str, kept: str, stop: str, size: int
) -> None:
    out = through(stream(text(said), call("{}"), size=size), reading(cut_at=stops))
    answer = folded(out)
    assert list(answer.parts) == ([text(kept)] if kept else [])
    assert answer.finish_reason is ir.FinishReason.STOP_SEQUENCE
    assert answer.stop_sequence == stop


def test_what_cannot_be_a_stop_is_not_held_back() -> None:
    chain = filters_for(reading(cut_at=("STOP",)), Losses())
    run(chain, ir.PartStart(index=0, part=text("")))
    sent = run(chain, ir.PartDelta(0, "hello S"))
    assert sent[-1] == ir.PartDelta(0, "hello ")
    assert run(chain, ir.PartDelta(0, "un")) == [ir.PartDelta(0, "Sun")]


def test_nothing_follows_a_cut() -> None:
    chain = filters_for(reading(cut_at=("x",)), Losses())
    for event in stream(text("axb"))[:5]:
        run(chain, event)
    assert chain[0].finished
    assert run(chain, ir.Finish(reason=ir.FinishReason.LENGTH)) == []


def test_a_stop_after_a_call_still_asks_for_the_tool() -> None:
    out = folded(through(stream(call("{}"), text("axb")), reading(cut_at=("x",))))
    assert out.finish_reason is ir.FinishReason.TOOL_CALLS


def test_tool_arguments_are_not_searched_for_stops() -> None:
    out = folded(through(stream(call('{"a":"x"}')), reading(cut_at=("x",))))
    assert list(out.parts) == [call('{"a":"x"}')]


def test_log_probabilities_are_cut_with_their_text() -> None:
    tokens = [ir.TokenLogprob(token=t, logprob=-1.0) for t in ("ab", "cE", "ND")]
    events: list[ir.StreamEvent] = [
        ir.MessageStart(id="r", model="m"),
        ir.PartStart(index=0, part=text("")),
        *(ir.PartDelta(0, token.token, (token,)) for token in tokens),
    ]
    answer = folded(through(events, reading(cut_at=("END",))))
    assert list(answer.parts) == [text("abc")]
    assert answer.logprobs == (tokens[0],)


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(THINK, id="think tags"),
        pytest.param(reading(wrapped=True), id="wrapped value"),
        pytest.param(ANSWER, id="answer tool"),
        pytest.param(reading(cut_at=("<thunder",)), id="stop sequence"),
        pytest.param(reading(nulls_added={None: OPTIONAL}), id="added nulls"),
    ],
)
def test_a_failing_stream_lets_held_text_go_first(how: Reading) -> None:
    held = '{"va' if how.wrapped else "<th"
    broken = ir.StreamFailed(GatewayError(ErrorKind.UPSTREAM_CUT, "cut"))
    out = through([*stream(text(held))[:-2], broken], how)
    assert out[-1] is broken
    said = "".join(event.text for event in out if isinstance(event, ir.PartDelta))
    assert said == held


FORCED = reading(forced_format_tool="f", tools={"f": ir.ToolRef("f", "ns")})


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        pytest.param([call("{}", name="answer")], ir.FinishReason.STOP, id="only the answer"),
        pytest.param(
            [call("{}", name="answer"), call("{}", call_id="c2")],
            ir.FinishReason.TOOL_CALLS,
            id="a call beside it",
        ),
    ],
)
def test_out_04_an_answer_is_no_call_of_a_tool(
    parts: list[ir.Part], reason: ir.FinishReason
) -> None:
    out = through(stream(*parts, finish=ir.FinishReason.TOOL_CALLS), ANSWER)
    assert folded(out).finish_reason is reason


def test_out_04_an_answer_that_the_limit_cut_stays_cut() -> None:
    cut = stream(call('{"a":', name="answer"), finish=ir.FinishReason.LENGTH, complete=False)
    answer = folded(through(cut, ANSWER))
    assert (answer.finish_reason, answer.parts) == (ir.FinishReason.LENGTH, (text('{"a":'),))


@pytest.mark.parametrize("size", [1, 100])
def test_forced_format_becomes_a_call(size: int) -> None:
    out = folded(through(stream(text(' {"a":1}'), size=size), FORCED))
    (part,) = out.parts
    assert isinstance(part, ir.ToolCall)
    assert (part.ref, part.arguments.strip(), part.complete) == (("f", "ns"), '{"a":1}', True)
    assert part.call_id.startswith("call_")
    assert out.finish_reason is ir.FinishReason.TOOL_CALLS


def test_a_forced_call_cut_by_the_limit_is_not_complete() -> None:
    out = folded(through(stream(text('{"a":'), finish=ir.FinishReason.LENGTH), FORCED))
    assert isinstance(out.parts[0], ir.ToolCall)
    assert not out.parts[0].complete
    assert out.finish_reason is ir.FinishReason.LENGTH


def test_a_refusal_instead_of_the_forced_format_stays_text() -> None:
    out = folded(through(stream(text("no."), finish=ir.FinishReason.REFUSAL), FORCED))
    assert list(out.parts) == [text("no.")]


def test_a_cut_freeform_call_stays_incomplete() -> None:
    how = reading(custom=frozenset({CUSTOM}))
    out = folded(through(stream(call('{"input":"ab\\u00'), complete=False), how))
    (part,) = out.parts
    assert isinstance(part, ir.ToolCall)
    assert (part.arguments, part.complete) == ("ab", False)


@pytest.mark.parametrize("mode", list(Mode))
def test_an_answer_that_is_no_json_object_is_refused_or_recorded(mode: Mode) -> None:
    losses = Losses(mode, Side.RESPONSE)
    out = through(stream(text("sorry")), reading(json_object=True), losses)
    if mode is Mode.MAX_COMPAT:
        assert isinstance(out[-1], ir.Finish)
        assert losses.degradations
    else:
        assert isinstance(out[-1], ir.StreamFailed)
        assert out[-1].error.kind is ErrorKind.UPSTREAM_MALFORMED


@pytest.mark.parametrize("finish", [ir.FinishReason.LENGTH, ir.FinishReason.TOOL_CALLS])
def test_an_answer_that_is_not_over_need_not_be_json(finish: ir.FinishReason) -> None:
    out = through(stream(text("{"), finish=finish), reading(json_object=True), Losses(Mode.STRICT))
    assert isinstance(out[-1], ir.Finish)


def test_a_json_object_passes() -> None:
    out = through(stream(text(' {"a":1}\n')), reading(json_object=True), Losses(Mode.STRICT))
    assert isinstance(out[-1], ir.Finish)


@given(st.text(), st.lists(st.integers(1, 9), min_size=1))
def test_any_splitting_of_a_freeform_input_gives_it_back(value: str, sizes: list[int]) -> None:
    import json

    arguments = json.dumps({"input": value})
    how = reading(custom=frozenset({CUSTOM}))
    events: list[ir.StreamEvent] = [
        ir.MessageStart(id="r", model="m"),
        ir.PartStart(index=0, part=call("")),
    ]
    place = turn = 0
    while place < len(arguments):
        size = sizes[turn % len(sizes)]
        events.append(ir.PartDelta(0, arguments[place : place + size]))
        place, turn = place + size, turn + 1
    events += [ir.PartEnd(index=0), ir.Finish(reason=ir.FinishReason.TOOL_CALLS)]
    assert folded(through(events, how)).parts == (freeform(value),)


EVERYTHING = reading(
    profile=ModelProfile(think_tags=True),
    wrapped=True,
    custom=frozenset({CUSTOM}),
    single_call=True,
    cut_at=("}}", "<"),
    nulls_added={CUSTOM: OPTIONAL},
)


@given(
    st.lists(
        st.one_of(
            st.text('{}"<>/thinkvalue: \\', max_size=30).map(text),
            st.text('{}"input:\\u', max_size=30).map(call),
        ),
        max_size=4,
    ),
    st.integers(1, 6),
)
def test_whatever_the_text_the_grammar_holds(parts: list[ir.Part], size: int) -> None:
    out = through(stream(*parts, size=size), EVERYTHING)
    assert isinstance(out[-1], ir.Finish)
