"""Folding a stream and unfolding an answer are each other's inverse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators import ir
from translators.errors import ErrorKind, GatewayError
from translators.fold import Folder, unfold
from translators.grammar import Grammar

STATE = ir.OpaqueState(kind=ir.StateKind.ANTHROPIC_SIGNATURE, value="s", provider="p", model="m")

citations = st.builds(ir.UrlCitation, url=st.text(max_size=5), start=st.none() | st.integers(0, 9))
parts = st.one_of(
    st.builds(
        ir.Text, text=st.text(max_size=9), citations=st.lists(citations, max_size=2).map(tuple)
    ),
    st.builds(ir.Refusal, text=st.text(max_size=9)),
    st.builds(
        ir.Reasoning,
        text=st.text(max_size=9),
        state=st.sampled_from([None, STATE]),
        item_id=st.none() | st.just("rs_1"),
    ),
    st.builds(
        ir.ToolCall,
        call_id=st.just("c"),
        name=st.just("f"),
        arguments=st.text(max_size=9),
        kind=st.sampled_from(ir.ToolKind),
        namespace=st.none() | st.just("ns"),
        complete=st.booleans(),
    ),
    st.just(ir.Image(source=ir.Inline(media_type="image/png", data="aGk="))),
    st.just(ir.WebSearch(call_id="w", query="q", sources=(ir.WebSource(url="u"),))),
)
counts = st.none() | st.integers(0, 10**6)
usages = st.builds(
    ir.Usage, input_tokens=counts, output_tokens=counts, cache_read_tokens=counts,
    reasoning_tokens=counts, web_searches=counts,
)  # fmt: skip
responses = st.builds(
    ir.Response,
    id=st.text(max_size=5),
    model=st.text(max_size=5),
    parts=st.lists(parts, max_size=4).map(tuple),
    finish_reason=st.sampled_from(ir.FinishReason),
    created_s=counts,
    stop_sequence=st.none() | st.text(max_size=3),
    explanation=st.none() | st.text(max_size=3),
    usage=usages,
    service_tier=st.none() | st.just("default"),
)


def fold(events: list[ir.StreamEvent]) -> ir.Response:
    folder = Folder()
    for event in events:
        folder.add(event)
    return folder.response()


@given(responses)
def test_folding_the_unfolded_gives_the_answer_back(response: ir.Response) -> None:
    assert fold(list(unfold(response))) == response


@given(responses)
def test_unfolding_keeps_the_grammar(response: ir.Response) -> None:
    grammar = Grammar()
    for event in unfold(response):
        grammar.advance(event)
    assert grammar.ended


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(ir.Text(text=""), id="even an empty text carries them"),
        pytest.param(ir.Refusal(text="no"), id="without a text the first streamed part does"),
    ],
)
def test_log_probabilities_survive(part: ir.Part) -> None:
    token = ir.TokenLogprob(token="a", logprob=-0.5, bytes=(97,))
    response = ir.Response(
        id="r", model="m", parts=(part,), finish_reason=ir.FinishReason.STOP, logprobs=(token,)
    )
    assert fold(list(unfold(response))) == response


def test_usage_of_the_start_stands_when_the_end_has_none() -> None:
    usage = ir.Usage(input_tokens=7)
    out = fold(
        [
            ir.MessageStart(id="r", model="m", usage=usage),
            ir.Finish(reason=ir.FinishReason.STOP),
        ]
    )
    assert out.usage == usage


def test_a_failed_stream_raises_its_own_error_and_keeps_what_came() -> None:
    error = GatewayError(ErrorKind.OVERLOADED, "busy")
    folder = Folder()
    for event in (
        ir.MessageStart(id="r", model="m"),
        ir.PartStart(index=0, part=ir.ToolCall(call_id="c", name="f")),
        ir.PartDelta(0, '{"a":'),
        ir.StreamFailed(error, ir.Usage(input_tokens=3)),
    ):
        folder.add(event)
    with pytest.raises(GatewayError) as caught:
        folder.response()
    assert caught.value is error
    partial = folder.partial()
    assert partial.parts == (ir.ToolCall(call_id="c", name="f", arguments='{"a":', complete=False),)
    assert partial.finish_reason is ir.FinishReason.LENGTH
    assert partial.usage == ir.Usage(input_tokens=3)
    assert folder.failure is not None


def test_a_stream_that_is_not_over_is_cut() -> None:
    folder = Folder()
    folder.add(ir.MessageStart(id="r", model="m"))
    with pytest.raises(GatewayError) as caught:
        folder.response()
    assert caught.value.kind is ErrorKind.UPSTREAM_CUT


def test_the_bound_is_kept() -> None:
    folder = Folder(max_bytes=3)
    folder.add(ir.PartStart(index=0, part=ir.Text(text="")))
    folder.add(ir.PartDelta(0, "abc"))
    with pytest.raises(GatewayError) as caught:
        folder.add(ir.PartDelta(0, "d"))
    assert caught.value.kind is ErrorKind.UPSTREAM_MALFORMED
    assert folder.partial().parts == (ir.Text(text="abc"),)
