"""Damaged input of any kind ends in a GatewayError or is read; nothing else escapes, no stream breaks the grammar."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.translators.openai_responses.support import (
    BROKEN,
    CAPTURES,
    EXAMPLES,
    READING,
    SEAL,
    STREAMS,
    check_events,
    decode,
    encode,
    payloads,
    render,
    sse,
    writing,
)
from translators import ir
from translators.base import Call
from translators.errors import GatewayError
from translators.fold import unfold
from translators.losses import Losses, Side
from translators.openai_responses import TRANSLATOR

ODD: tuple[Any, ...] = (
    None,
    5,
    -1.5,
    True,
    "",
    "x",
    [],
    {},
    [None],
    ["x"],
    [[]],
    {"type": "x"},
    {"a": None},
)

BODIES: list[dict[str, Any]] = [
    *EXAMPLES["request"],
    {"model": "m", "input": EXAMPLES["input_item"][0], "tools": EXAMPLES["tool"][0]},
    {"model": "m", "input": [{"role": "user", "content": EXAMPLES["input_part"][0]}]},
    *({"model": "m", "input": "x", "tool_choice": choice} for choice in EXAMPLES["tool_choice"][0]),
    *(
        {"model": "m", "input": "x", "text": {"format": form}}
        for form in EXAMPLES["text_format"][0]
    ),
    CAPTURES["codex-known-model-0.169.0-reasoning-tool"][-1],
]


def damaged(value: Any, odds: tuple[Any, ...] = ODD) -> Iterator[Any]:
    """Every copy of a JSON value with one place replaced by each odd value, or left out."""
    for path in _places(value):
        for odd in odds:
            yield _replaced(value, path, odd)
        yield _without(value, path)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in ("parameters", "schema"):  # free-form
                yield from _places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, (*path, index))


def _replaced(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    result = copy.copy(value)
    if len(path) == 1:
        result[path[0]] = odd
    else:
        result[path[0]] = _replaced(value[path[0]], path[1:], odd)
    return result


def _without(value: Any, path: tuple[Any, ...]) -> Any:
    result = copy.copy(value)
    if len(path) == 1:
        del result[path[0]]
    else:
        result[path[0]] = _without(value[path[0]], path[1:])
    return result


@pytest.mark.parametrize("number", range(len(BODIES)))
def test_a_damaged_request_is_read_or_refused(number: int) -> None:
    for body in damaged(BODIES[number]):
        with suppress(GatewayError):
            render(TRANSLATOR.parse_request(body, Call(), SEAL))


@pytest.mark.parametrize("body", [EXAMPLES["response"][0], {"output": EXAMPLES["output_item"][0]}])
def test_a_damaged_answer_is_read_or_refused(body: dict[str, Any]) -> None:
    for answer in damaged(body):
        with suppress(GatewayError):
            response = TRANSLATOR.parse_response(answer, READING, Losses(side=Side.RESPONSE))
            TRANSLATOR.render_response(response, writing(), Losses(side=Side.RESPONSE))


@pytest.mark.parametrize(
    "stream", [pytest.param(s, id=s[0]["response"]["id"]) for s in [*STREAMS, *BROKEN]]
)
def test_a_damaged_stream_keeps_the_grammar(stream: list[dict[str, Any]]) -> None:
    for position, event in enumerate(stream):
        for odd in damaged(event, (5, "", [None], {"type": "x"})):
            events = decode(_frames([*stream[:position], odd, *stream[position + 1 :]]))
            if isinstance(events[-1], ir.Finish) and not any(map(_is_foreign, events)):
                check_events(payloads(encode(events)))


def _is_foreign(event: ir.StreamEvent) -> bool:
    """An item of a type that nobody knows goes on as it is: the client may know it."""
    return isinstance(event, ir.PartStart) and isinstance(event.part, ir.Foreign)


def _frames(events: list[dict[str, Any]]) -> bytes:
    return b"".join(sse([event]) for event in events if isinstance(event.get("type"), str))


@pytest.mark.parametrize(
    "stream", [pytest.param(s, id=s[0]["response"]["id"]) for s in [*STREAMS, *BROKEN]]
)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_events_in_any_order_keep_the_grammar(
    stream: list[dict[str, Any]], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(stream))
    repeated = data.draw(st.lists(st.sampled_from(stream), max_size=5))
    decode(sse([*order, *repeated]))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_rubbish_is_a_failure(data: bytes) -> None:
    assert isinstance(decode(data)[-1], ir.StreamFailed)


_TEXTS = st.text(max_size=20)
_PARTS = st.one_of(
    _TEXTS.map(lambda text: ir.Text(text=text)),
    _TEXTS.map(lambda text: ir.Refusal(text=text)),
    _TEXTS.map(lambda text: ir.Reasoning(text=text)),
    st.builds(
        lambda call_id, arguments, custom: ir.ToolCall(
            call_id=call_id,
            name="f",
            arguments=arguments,
            kind=ir.ToolKind.CUSTOM if custom else ir.ToolKind.FUNCTION,
        ),
        _TEXTS,
        _TEXTS,
        st.booleans(),
    ),
)


@settings(max_examples=100, deadline=None)
@given(parts=st.lists(_PARTS, max_size=6), reason=st.sampled_from(ir.FinishReason))
def test_any_answer_is_a_valid_stream(parts: list[ir.Part], reason: ir.FinishReason) -> None:
    response = ir.Response(id="x", model="m", parts=tuple(parts), finish_reason=reason)
    final = check_events(payloads(encode(unfold(response))))
    spoken = "".join(part.text for part in parts if isinstance(part, ir.Text))
    assert final.output_text == spoken
