"""What must hold for any input: nothing but `GatewayError` comes out, and streams keep the grammar."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.translators.openai_chat.support import (
    CAPTURES,
    EXAMPLES,
    OPENAI,
    READING,
    STREAMS,
    body,
    decode,
    encode,
    frames,
    read_frames,
    response_losses,
)
from translators import ir
from translators.base import Call
from translators.errors import GatewayError
from translators.fold import Folder
from translators.openai_chat import TRANSLATOR

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(
        ["function", "custom", "text", "image_url", "auto", "data:image/png;base64,!"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "function", "name", "id", "content", "text", "index", "error"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
REQUESTS = [
    EXAMPLES["request"][0],
    {"model": "m", "messages": EXAMPLES["message"], "tools": EXAMPLES["tool"]},
    CAPTURES["opencode-1.18.33-reasoning-tool"][2],
]
FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All paths inside a JSON value."""
    found = [path] if path else []
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        items = ()
    for key, item in items:
        if key in ("parameters", "schema"):
            continue  # what a schema may hold has tests of its own
        found += places(item, (*path, key))
    return found


def with_junk(data: st.DataObject, value: Any) -> Any:
    """A copy of a JSON value in which one place holds something else, or nothing."""
    out = copy.deepcopy(value)
    *way, last = data.draw(st.sampled_from(places(out)))
    holder = out
    for key in way:
        holder = holder[key]
    if isinstance(holder, dict) and data.draw(st.booleans()):
        del holder[last]
    else:
        holder[last] = data.draw(JUNK)
    return out


@given(data=st.data())
@FUZZ
def test_a_request_is_read_and_written_or_refused(data: st.DataObject) -> None:
    wire = with_junk(data, data.draw(st.sampled_from(REQUESTS)))
    try:
        request = TRANSLATOR.parse_request(wire, Call(), None)
    except GatewayError as refused:
        named = refused.path
    else:
        _rendered_twice(request)
        return
    assert named


def _rendered_twice(request: ir.Request) -> None:
    before = repr(request)
    try:
        first = json.dumps(body(request, OPENAI))
    except GatewayError:
        return
    assert json.dumps(body(request, OPENAI)) == first
    assert repr(request) == before


@given(data=st.data())
@FUZZ
def test_an_answer_is_read_or_refused(data: st.DataObject) -> None:
    wire = with_junk(data, data.draw(st.sampled_from(EXAMPLES["response"])))
    try:
        TRANSLATOR.parse_response(wire, READING, response_losses())
    except GatewayError:
        return


@given(data=st.data())
@FUZZ
def test_a_stream_keeps_the_grammar_and_is_written_strictly(data: st.DataObject) -> None:
    chunks = with_junk(data, data.draw(st.sampled_from(STREAMS)))
    events = decode(frames(chunks))  # walks the grammar
    read_frames(encode(events))  # the SDK judges each chunk


@given(data=st.data())
@FUZZ
def test_an_error_body_is_always_read(data: st.DataObject) -> None:
    raw = data.draw(st.binary(max_size=60) | JUNK.map(lambda junk: json.dumps(junk).encode()))
    status = data.draw(st.integers(min_value=100, max_value=599))
    error = TRANSLATOR.parse_error(status, {"retry-after": "x"}, raw)
    assert error.message
    assert TRANSLATOR.render_error(error, "r").body["error"]["message"] == error.message


@given(
    texts=st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=4),
    arguments=st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)
@FUZZ
def test_folding_the_stream_gives_the_whole_answer(
    texts: list[str], arguments: dict[str, int]
) -> None:
    events: list[ir.StreamEvent] = [ir.MessageStart(id="chatcmpl-a", model="shown", created_s=7)]
    events.append(ir.PartStart(index=0, part=ir.Text(text="")))
    events += [ir.PartDelta(0, text) for text in texts]
    events.append(ir.PartEnd(index=0))
    call = ir.ToolCall(call_id="c", name="f")
    events.append(ir.PartStart(index=1, part=call))
    events.append(ir.PartDelta(1, json.dumps(arguments)))
    events.append(ir.PartEnd(index=1))
    events.append(
        ir.Finish(
            reason=ir.FinishReason.TOOL_CALLS, usage=ir.Usage(input_tokens=1, output_tokens=2)
        )
    )
    streamed, direct = Folder(), Folder()
    for event in decode(encode(events)):
        streamed.add(event)
    for event in events:
        direct.add(event)
    assert streamed.response() == direct.response()
