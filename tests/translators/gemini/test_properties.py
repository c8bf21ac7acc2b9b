"""What must hold for any input: no surprise exceptions, and what is written reads back the same."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.translators.gemini.support import (
    STREAMS,
    answer,
    array,
    decode,
    encode,
    parse,
    parse_answer,
    render_answer,
    sse,
    state,
    target,
    writing,
)
from translators import ir
from translators.base import Reading
from translators.errors import GatewayError
from translators.fold import Folder, unfold
from translators.gemini import TRANSLATOR
from translators.losses import Losses, Mode, Side
from translators.wire import loads

QUICK = settings(max_examples=80, deadline=None, database=None)

KEYS = st.sampled_from(
    [
        "contents",
        "parts",
        "text",
        "role",
        "functionCall",
        "functionResponse",
        "name",
        "args",
        "response",
        "thought",
        "id",
        "data",
        "index",
        "thoughtSignature",
        "inlineData",
        "fileData",
        "fileUri",
        "mimeType",
        "candidates",
        "content",
        "finishReason",
        "usageMetadata",
        "promptTokenCount",
        "groundingMetadata",
        "groundingSupports",
        "segment",
        "logprobsResult",
        "tools",
        "toolConfig",
        "error",
        "functionDeclarations",
        "generationConfig",
        "thinkingConfig",
        "systemInstruction",
        "executableCode",
        "partialArgs",
        "willContinue",
        "promptFeedback",
        "blockReason",
        "responseSchema",
        "stopSequences",
        "safetySettings",
        "mode",
    ]
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=5), st.just("STOP")
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=25,
)
OBJECTS = st.dictionaries(KEYS, JSON, max_size=6)

PART_LISTS = st.lists(
    st.one_of(OBJECTS, st.dictionaries(KEYS, OBJECTS, min_size=1, max_size=3)), max_size=3
)
REQUESTS = st.one_of(
    OBJECTS,
    st.builds(
        lambda parts, rest: {
            "contents": [{"role": "model", "parts": parts}, {"parts": "x"}],
            **rest,
        },
        PART_LISTS,
        OBJECTS,
    ),
    st.builds(lambda extra: {"contents": "x", **extra}, st.dictionaries(KEYS, OBJECTS, max_size=3)),
    st.builds(lambda extra: {"contents": "x", "tools": [extra]}, OBJECTS),
    st.builds(lambda extra: {"contents": "x", "generationConfig": extra}, OBJECTS),
)
CHUNKS = st.one_of(
    OBJECTS,
    st.builds(
        lambda parts, rest: {"candidates": [{"content": {"parts": parts}, **rest}]},
        PART_LISTS,
        OBJECTS,
    ),
    st.just({"candidates": [{"finishReason": "STOP"}]}),
)

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
PARTS = st.lists(
    st.one_of(
        st.builds(ir.Text, text=WORDS),
        st.builds(ir.Reasoning, text=WORDS, state=st.just(state())),
        st.builds(
            ir.ToolCall,
            call_id=st.uuids().map(str),
            name=st.sampled_from(["f", "g.h"]),
            arguments=st.sampled_from(["{}", '{"a":"é"}', '{"n":12345678901234567890}']),
        ),
        st.builds(ir.Image, source=st.just(ir.Inline(media_type="image/png", data="iVBORw0KGgo="))),
    ),
    max_size=6,
)
READING = Reading(provider="p", model="m", stream=True)


def settled(parts: tuple[ir.Part, ...]) -> list[ir.Part]:
    """Parts with adjacent texts joined: a stream cannot keep them apart."""
    joined: list[ir.Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, ir.Text) and isinstance(last, ir.Text):
            joined[-1] = ir.Text(text=last.text + part.text)
        else:
            joined.append(part)
    return joined


@QUICK
@given(REQUESTS)
def test_any_object_is_a_request_or_refused(body: dict[str, Any]) -> None:
    for mode in Mode:
        try:
            request = parse(body)
            TRANSLATOR.render_request(request, target(), Losses(mode))
        except GatewayError:
            continue  # a refusal is an answer; anything else would fail this test


@QUICK
@given(CHUNKS)
def test_any_object_is_an_answer_or_an_error(body: dict[str, Any]) -> None:
    try:
        TRANSLATOR.render_response(parse_answer(body), writing(), Losses(side=Side.RESPONSE))
    except GatewayError:
        return  # the only exception that may come out


@QUICK
@given(st.lists(CHUNKS, max_size=4), st.booleans())
def test_any_stream_ends_once_and_by_the_grammar(items: list[Any], is_array: bool) -> None:
    events = decode((array if is_array else sse)(items))
    data = encode(events, writing(array_framing=True))
    assert isinstance(loads(data), list)


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_failure(data: bytes) -> None:
    assert isinstance(decode(data)[-1], ir.StreamFailed)


@QUICK
@given(PARTS, st.sampled_from([ir.FinishReason.LENGTH, ir.FinishReason.CONTENT_FILTER]))
def test_an_answer_reads_back_as_it_was_written(
    parts: list[ir.Part], reason: ir.FinishReason
) -> None:
    usage = ir.Usage(input_tokens=5, output_tokens=9, reasoning_tokens=4)
    response = answer(*parts, finish_reason=reason, usage=usage)
    losses = Losses(Mode.STRICT, Side.RESPONSE)
    whole = parse_answer(render_answer(response, losses))
    assert settled(whole.parts) == settled(response.parts)
    assert (whole.finish_reason, whole.usage) == (reason, usage)
    folder = Folder()
    for event in decode(encode(unfold(response), losses=losses), reading=READING):
        folder.add(event)
    assert settled(folder.response().parts) == settled(response.parts)
    assert losses.degradations == ()


@QUICK
@given(st.data())
def test_any_chunking_gives_the_same_events(data: st.DataObject) -> None:
    wire = sse(data.draw(st.sampled_from(STREAMS)))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(wire) - 1), max_size=6)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert [repr(e) for e in decode(pieces)] == [repr(e) for e in decode(wire)]
