"""What must hold whatever comes in, over all sixteen pairs of protocols: the invariants of the pitfall list.

The examples are bounded so that the file stays quick; a failure found here becomes a corpus case.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.relay import TranslatingRelay
from tests.support.crossing import (
    NAMES,
    PAIRS,
    SEAL,
    Case,
    asked,
    cases,
    events_of,
    parse,
    parse_body,
    render,
    whole,
    writing_for,
)
from tests.support.wirecheck import check_request, check_response, check_stream
from translators import PROTOCOLS, ir
from translators.base import Reading, Target
from translators.errors import ErrorKind, GatewayError
from translators.filters import filter_response, filters_for
from translators.fold import Folder, unfold
from translators.grammar import Grammar
from translators.losses import Losses, Mode, Side
from translators.wire import JsonObject, dumps

SETTINGS = settings(max_examples=25, deadline=None, database=None, derandomize=True)
FEW = settings(SETTINGS, max_examples=12)
READING = Reading(provider="up", model="up-model", stream=True)
STREAMS = [case for case in cases() if case.stream is not None]
ANSWERS = [case for case in cases() if case.response is not None and case.stream is not None]
REQUESTS = [
    case
    for case in cases()
    if case.request is not None and "operation" not in case.meta and "capture" not in case.name
]
HISTORY = {
    "openai_chat": "messages",
    "openai_responses": "input",
    "anthropic": "messages",
    "gemini": "contents",
}

every_pair = pytest.mark.parametrize(("client", "upstream"), PAIRS)
every_protocol = pytest.mark.parametrize("protocol", NAMES)
every_stream = pytest.mark.parametrize("case", [pytest.param(c, id=str(c)) for c in STREAMS])


# --------------------------------------------------------------------------- 1 determinism, prefixes

WORDS = st.text("abcdefgh é日🙂", min_size=1, max_size=12).filter(str.strip)
CITIES = st.sampled_from(["Oslo", "Rome", "São Paulo", 'a "quoted" \\ city'])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["say", "call", "calls", "think"]),
        WORDS,
        CITIES,
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = ir.FunctionTool(name="get_weather", description="Weather.", schema=SCHEMA, strict=False)


def _conversation(steps: Sequence[tuple[str, str, str, bool]], protocol: str) -> ir.Request:
    """A conversation of whole turns, which ends with what the model shall answer."""
    messages = [_message(ir.Role.SYSTEM, ir.Text(text="Be brief."))]
    messages.append(_message(ir.Role.USER, ir.Text(text="Begin.")))
    for turn, (kind, words, city, failed) in enumerate(steps):
        messages.extend(_turn(turn, kind, words, city, failed))
    return ir.Request(protocol=protocol, model="m", messages=tuple(messages), tools=(TOOL,))


def _turn(turn: int, kind: str, words: str, city: str, failed: bool) -> Iterator[ir.Message]:
    said = ir.Text(text=words)
    if kind == "say":
        yield _message(ir.Role.ASSISTANT, said)
        yield _message(ir.Role.USER, ir.Text(text=f"Go on: {words}"))
        return
    ids = [f"call_{turn}a", f"call_{turn}b"][: 2 if kind == "calls" else 1]
    calls = [_call(call_id, city) for call_id in ids]
    yield _message(ir.Role.ASSISTANT, *([said] if kind != "call" else []), *calls)
    yield _message(ir.Role.USER, *(_result(i, words, failed) for i in ids))


def _call(call_id: str, city: str) -> ir.ToolCall:
    arguments = json.dumps({"city": city}, ensure_ascii=False, separators=(",", ":"))
    return ir.ToolCall(call_id=call_id, name="get_weather", arguments=arguments)


def _result(call_id: str, words: str, failed: bool) -> ir.ToolResult:
    content = (ir.Text(text=words),)
    return ir.ToolResult(call_id=call_id, content=content, is_error=failed, name="get_weather")


def _message(role: ir.Role, *parts: ir.Part) -> ir.Message:
    return ir.Message(role=role, parts=parts)


def _wire(client: str, conversation: ir.Request) -> JsonObject:
    """The conversation as a client of this protocol would send it."""
    target = Target(provider="own", model="m")
    body = PROTOCOLS[client].render_request(conversation, target, Losses()).body
    return body if client != "anthropic" else {**body, "max_tokens": 100}


@every_pair
@FEW
@given(steps=STEPS)
def test_a_longer_conversation_begins_with_the_bytes_of_the_shorter(
    client: str, upstream: str, steps: list[tuple[str, str, str, bool]]
) -> None:
    earlier: JsonObject | None = None
    for length in range(1, len(steps) + 1):
        request = parse_body(client, _wire(client, _conversation(steps[:length], client)))
        body = render(request, upstream)[0].body
        assert dumps(body) == dumps(render(request, upstream)[0].body)
        if earlier is not None:
            _assert_prefix(earlier, body, HISTORY[upstream])
        earlier = body


def _assert_prefix(earlier: JsonObject, later: JsonObject, history: str) -> None:
    old, new = list(map(dumps, earlier[history])), list(map(dumps, later[history]))
    assert new[: len(old)] == old
    rest = [{k: v for k, v in body.items() if k != history} for body in (earlier, later)]
    assert dumps(rest[0]) == dumps(rest[1])


# ------------------------------------------------------------- 2 pairing, 8 nothing internal on the wire


@every_pair
@FEW
@given(steps=STEPS)
def test_every_conversation_is_a_valid_request(
    client: str, upstream: str, steps: list[tuple[str, str, str, bool]]
) -> None:
    """The strict provider checks that calls and results pair, the SDK's types that every key is known."""
    request = parse_body(client, _wire(client, _conversation(steps, client)))
    rendered, losses = render(request, upstream)
    check_request(upstream, rendered.body, rendered.headers)
    assert losses.degradations == ()


# ------------------------------------------------------------------------------- 3 grammar of streams


@every_stream
@FEW
@given(data=st.data())
def test_damaged_streams_still_follow_the_grammar(case: Case, data: st.DataObject) -> None:
    frames = _frames(case)
    order = data.draw(st.lists(st.integers(0, len(frames) - 1), min_size=1, max_size=len(frames)))
    keep_order = data.draw(st.booleans())
    chosen = [frames[place] for place in (sorted(order) if keep_order else order)]
    events = events_of(case.protocol, chosen, READING)
    _walk(events)


def _walk(events: list[ir.StreamEvent]) -> None:
    grammar = Grammar()
    for event in events:
        grammar.advance(event)
    assert grammar.ended


def _frames(case: Case) -> list[bytes]:
    data = case.stream or b""
    end = b"\r\n\r\n" if b"\r\n\r\n" in data else b"\n\n"
    return [frame + end for frame in data.split(end) if frame]


# ------------------------------------------------------------------------------------ 4 any chunking


@every_stream
def test_byte_by_byte_gives_the_same_events(case: Case) -> None:
    data = case.stream or b""
    pieces = [data[at : at + 1] for at in range(len(data))]
    events = events_of(case.protocol, pieces, READING)
    assert list(map(repr, events)) == list(map(repr, _events(case)))


@every_stream
def test_every_split_of_every_stream_gives_the_same_events(case: Case) -> None:
    data, whole_events = case.stream or b"", _events(case)
    spelled = list(map(repr, whole_events))
    for at in range(1, len(data)):
        events = events_of(case.protocol, (data[:at], data[at:]), READING)
        # Errors are equal to themselves alone: their words are compared.
        assert events == whole_events or list(map(repr, events)) == spelled, at


@every_stream
@FEW
@given(data=st.data())
def test_any_chunking_gives_every_client_the_same_bytes(case: Case, data: st.DataObject) -> None:
    whole_body = case.stream or b""
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole_body) - 1), max_size=8)))
    bounds = zip([0, *cuts], [*cuts, len(whole_body)], strict=True)
    pieces = [whole_body[a:b] for a, b in bounds]
    client = data.draw(st.sampled_from(NAMES))
    assert _client_bytes(case, client, pieces) == _client_bytes(case, client, [whole_body])


def _events(case: Case) -> list[ir.StreamEvent]:
    return events_of(case.protocol, [case.stream or b""], READING)


def _client_bytes(case: Case, client: str, pieces: Sequence[bytes]) -> bytes:
    reading, writing = asked(client, case.protocol, case.name)
    writing = replace(writing, request=replace(writing.request, stream_usage=True))
    encoder = PROTOCOLS[client].encoder(writing, Losses(side=Side.RESPONSE))
    return b"".join(map(encoder.encode, events_of(case.protocol, pieces, reading)))


# ------------------------------------------------------------------- 5 a stream says what the whole says


@every_pair
def test_a_folded_stream_is_the_whole_answer(client: str, upstream: str) -> None:
    """The client's own decoder reads the same out of the translated stream and the translated whole."""
    for case in ANSWERS:
        if case.protocol != upstream:
            continue
        body = whole(upstream, client, case.response or {}, case.name)[0]
        one = PROTOCOLS[client].parse_response(body, READING, Losses(side=Side.RESPONSE))
        data = _client_bytes(case, client, [case.stream or b""])
        other = _fold(events_of(client, [data], READING))
        assert _said(other) == _said(one), str(case)


def _fold(events: list[ir.StreamEvent]) -> ir.Response:
    folder = Folder()
    for event in events:
        folder.add(event)
    return folder.response()


def _said(response: ir.Response) -> Any:
    """What an answer says; ids, sealed state and times differ between two answers of a provider."""
    parts = [_content(part) for part in response.parts]
    return [part for part in parts if part], response.finish_reason, _counts(response.usage)


def _content(part: ir.Part) -> Any:
    match part:
        case ir.ToolCall():
            return part.name, json.loads(
                part.arguments
            ) if part.kind == "function" else part.arguments
        case ir.Text() | ir.Refusal():
            return type(part).__name__, part.text
        case ir.Reasoning(text=text):
            return ("Reasoning", text) if text else None
        case _:
            return part


def _counts(usage: ir.Usage) -> dict[str, int]:
    found = {item.name: getattr(usage, item.name) for item in fields(usage)}
    return {name: count for name, count in found.items() if count}


# ---------------------------------------------------------------------------------- 6 usage is conserved

COUNT = st.integers(0, 100_000)


@every_pair
@SETTINGS
@given(fresh=COUNT, cached=COUNT, reasoning=COUNT, spoken=st.integers(1, 100_000))
def test_usage_is_conserved(
    client: str, upstream: str, fresh: int, cached: int, reasoning: int, spoken: int
) -> None:
    usage = ir.Usage(
        input_tokens=fresh + cached,
        output_tokens=reasoning + spoken,
        cache_read_tokens=cached,
        reasoning_tokens=reasoning,
    )
    response = ir.Response(
        id="r",
        model="up-model",
        parts=(ir.Text(text="x"),),
        finish_reason=ir.FinishReason.STOP,
        usage=usage,
    )
    first = _through(upstream, response)
    assert _counts(first.usage) == _counts(usage)
    assert _counts(_through(client, first).usage) == _counts(usage)
    assert _counts(_through_stream(client, first).usage) == _counts(usage)


def _through(protocol: str, response: ir.Response) -> ir.Response:
    body = PROTOCOLS[protocol].render_response(
        response, _writing(protocol), Losses(side=Side.RESPONSE)
    )
    return PROTOCOLS[protocol].parse_response(body, READING, Losses(side=Side.RESPONSE))


def _through_stream(protocol: str, response: ir.Response) -> ir.Response:
    encoder = PROTOCOLS[protocol].encoder(_writing(protocol), Losses(side=Side.RESPONSE))
    data = b"".join(map(encoder.encode, unfold(response)))
    assert check_stream(protocol, data)
    return _fold(events_of(protocol, [data], READING))


def _writing(protocol: str) -> Any:
    case = Case(protocol, "text")
    request = replace(parse(case), stream_usage=True)
    return writing_for(request, case.request or {})


# ---------------------------------------------------------------- 7 a cut stream never looks finished


@every_stream
@every_protocol
def test_a_stream_cut_after_any_frame_ends_in_an_error_or_says_all(
    case: Case, protocol: str
) -> None:
    frames = _frames(case)
    events = _events(case)
    # Some are recorded as failures: of those no beginning may end well.
    complete = None if isinstance(events[-1], ir.StreamFailed) else _said(_fold(events))[0]
    for length in range(len(frames)):
        events = events_of(case.protocol, frames[:length], READING)
        well = isinstance(events[-1], ir.Finish)
        if well:  # only the tail after the terminal event may be missing: usage, [DONE]
            assert _said(_fold(events))[0] == complete
        if not isinstance(events[0], ir.MessageStart):
            assert isinstance(events[0], ir.StreamFailed)  # becomes a plain HTTP error
            continue
        encoder = PROTOCOLS[protocol].encoder(_writing(protocol), Losses(side=Side.RESPONSE))
        assert check_stream(protocol, b"".join(map(encoder.encode, events))) == well


# ------------------------------------------------- 8 no unknown key, and rendering leaves the hub alone


PARTS = st.lists(
    st.one_of(
        WORDS.map(lambda text: ir.Text(text=text)),
        WORDS.map(lambda text: ir.Reasoning(text=text)),
        st.builds(_call, st.uuids().map(str), CITIES),
    ),
    max_size=5,
)


@every_protocol
@SETTINGS
@given(parts=PARTS, reason=st.sampled_from(ir.FinishReason))
def test_answers_carry_no_unknown_key(
    protocol: str, parts: list[ir.Part], reason: ir.FinishReason
) -> None:
    if reason is ir.FinishReason.TOOL_CALLS and not any(isinstance(p, ir.ToolCall) for p in parts):
        reason = (
            ir.FinishReason.STOP
        )  # calls announced and not there are an error, tested elsewhere
    usage = ir.Usage(input_tokens=5, output_tokens=3)
    response = ir.Response(id="r", model="m", parts=tuple(parts), finish_reason=reason, usage=usage)
    before = repr(response)
    body = PROTOCOLS[protocol].render_response(
        response, _writing(protocol), Losses(side=Side.RESPONSE)
    )
    check_response(protocol, body)
    encoder = PROTOCOLS[protocol].encoder(_writing(protocol), Losses(side=Side.RESPONSE))
    assert check_stream(protocol, b"".join(map(encoder.encode, unfold(response))))
    assert repr(response) == before


@pytest.mark.parametrize("upstream", NAMES)
@pytest.mark.parametrize("case", [pytest.param(case, id=str(case)) for case in REQUESTS])
def test_rendering_changes_neither_hub_nor_body(case: Case, upstream: str) -> None:
    body = case.request or {}
    untouched = copy.deepcopy(body)
    request = parse_body(case.protocol, body)
    before = repr(request)
    outcomes = []
    for _ in range(2):
        try:
            outcomes.append(dumps(render(request, upstream)[0].body))
        except GatewayError as error:
            outcomes.append(str(error).encode())
    assert outcomes[0] == outcomes[1]
    assert repr(request) == before
    assert body == untouched


@pytest.mark.parametrize("mode", list(Mode))
@every_protocol
@every_stream
def test_a_stream_is_valid_or_an_honest_error_in_every_mode(
    case: Case, protocol: str, mode: Mode
) -> None:
    reading, writing = asked(protocol, case.protocol, case.name)
    losses = Losses(mode, Side.RESPONSE)
    events = events_of(case.protocol, [case.stream or b""], reading, losses)
    relay = TranslatingRelay(
        PROTOCOLS[case.protocol].decoder(reading, losses),
        PROTOCOLS[protocol].encoder(writing, losses),
        filters_for(reading, losses),
    )
    data = b"".join([*relay(case.stream or b""), *relay(b"")])
    ended_well = check_stream(protocol, data)
    if isinstance(events[-1], ir.StreamFailed):
        assert not ended_well
    elif mode is Mode.MAX_COMPAT:
        assert ended_well
    assert ended_well == (relay.error is None)


# ------------------------------------------------------------------------------ 9 losses are recorded


@pytest.mark.parametrize("upstream", NAMES)
@pytest.mark.parametrize("case", [pytest.param(case, id=str(case)) for case in REQUESTS])
def test_what_strict_refuses_is_recorded_or_refused_elsewhere(case: Case, upstream: str) -> None:
    request = parse(case)
    refusal = _refusal(request, upstream, Mode.STRICT)
    if refusal is None or _refusal(request, upstream, Mode.MAX_COMPAT) is not None:
        return
    assert refusal.kind in (ErrorKind.UNTRANSLATABLE, ErrorKind.INVALID_REQUEST)
    rendered, losses = render(request, upstream)
    kept = rendered.reading.cut_at  # stop sequences: the gateway itself applies them
    assert losses.degradations or kept, f"strict said {refusal.message!r}, max_compat nothing"


def _refusal(request: ir.Request, upstream: str, mode: Mode) -> GatewayError | None:
    try:
        render(request, upstream, mode)
    except GatewayError as error:
        return error
    return None


@pytest.mark.parametrize("mode", list(Mode))
@every_protocol
@pytest.mark.parametrize("case", [pytest.param(case, id=str(case)) for case in ANSWERS])
def test_a_stream_gives_up_what_the_whole_answer_gives_up(
    case: Case, protocol: str, mode: Mode
) -> None:
    assert _given_up(case, protocol, mode, stream=True) == _given_up(
        case, protocol, mode, stream=False
    )


def _given_up(case: Case, client: str, mode: Mode, *, stream: bool) -> set[Any] | str:
    """What is recorded on the way to this client, or what is refused."""
    reading, writing = asked(client, case.protocol, case.name)
    losses = Losses(mode, Side.RESPONSE)
    try:
        if stream:
            encoder = PROTOCOLS[client].encoder(writing, losses)
            for event in events_of(case.protocol, [case.stream or b""], reading, losses):
                if isinstance(event, ir.StreamFailed):
                    raise event.error
                encoder.encode(event)
        else:
            body = case.response or {}
            response = PROTOCOLS[case.protocol].parse_response(body, reading, losses)
            response = filter_response(response, reading, losses)
            PROTOCOLS[client].render_response(response, writing, losses)
    except GatewayError as error:
        return error.message
    return set(losses.degradations)


# ------------------------------------------------------------------------- fuzz: any JSON in, one error out

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
)
ODD = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["type", "text", "content", "parts", "id", "name", "role", "x"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


def _damage(draw: st.DrawFn, value: Any) -> Any:
    """A copy of a JSON value with one to three places replaced or taken out."""
    result = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(list(_places(result)) or [({}, "x")]))
        if draw(st.booleans()) or key not in _keys(holder):
            holder[key] = draw(ODD)
        else:
            del holder[key]
    return result


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in _keys(value):
        yield value, key
        yield from _places(value[key])


def _keys(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value)
    return list(range(len(value))) if isinstance(value, list) else []


@st.composite
def damaged_requests(draw: st.DrawFn) -> tuple[str, Any]:
    """A client's body, damaged or made of nothing in particular."""
    case = draw(st.sampled_from(REQUESTS))
    if draw(st.integers(0, 9)) == 0:
        return case.protocol, draw(st.dictionaries(st.text(max_size=8), ODD, max_size=4))
    return case.protocol, _damage(draw, case.request)


@pytest.mark.parametrize("upstream", NAMES)
@settings(SETTINGS, max_examples=150)
@given(damaged=damaged_requests())
def test_any_request_is_translated_or_refused(upstream: str, damaged: tuple[str, Any]) -> None:
    protocol, body = damaged
    with suppress(GatewayError):
        request = parse_body(protocol, body)
        for mode in Mode:
            with suppress(GatewayError):
                dumps(render(request, upstream, mode)[0].body)


@st.composite
def damaged_answers(draw: st.DrawFn) -> tuple[str, Any]:
    """An upstream's whole answer, damaged or made of nothing in particular."""
    case = draw(st.sampled_from(ANSWERS))
    if draw(st.integers(0, 9)) == 0:
        return case.protocol, draw(st.dictionaries(st.text(max_size=8), ODD, max_size=4))
    return case.protocol, _damage(draw, case.response)


@pytest.mark.parametrize("client", NAMES)
@settings(SETTINGS, max_examples=150)
@given(damaged=damaged_answers())
def test_any_answer_is_translated_or_refused(client: str, damaged: tuple[str, Any]) -> None:
    upstream, body = damaged
    losses = Losses(side=Side.RESPONSE)
    with suppress(GatewayError):
        response = PROTOCOLS[upstream].parse_response(body, READING, losses)
        response = filter_response(response, READING, losses)
        dumps(PROTOCOLS[client].render_response(response, _writing(client), losses))


@pytest.mark.parametrize("client", NAMES)
@settings(SETTINGS, max_examples=100)
@given(data=st.data())
def test_any_stream_ends_once_and_well_formed(client: str, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(STREAMS))
    frames = _frames(case)
    place = data.draw(st.integers(0, len(frames) - 1))
    frames[place] = data.draw(_damaged_frames(frames[place]))
    losses = Losses(side=Side.RESPONSE)
    events = events_of(case.protocol, frames, READING, losses)
    _walk(events)
    encoder = PROTOCOLS[client].encoder(_writing(client), losses)
    with suppress(GatewayError):
        b"".join(map(encoder.encode, events))


@st.composite
def _damaged_frames(draw: st.DrawFn, frame: bytes) -> bytes:
    head, _, tail = frame.partition(b"data: ")
    kind = draw(st.integers(0, 4))
    if kind == 0 or not tail.startswith(b"{"):
        return draw(st.binary(max_size=40)) + b"\n\n"
    return head + b"data: " + dumps(_damage(draw, json.loads(tail))) + b"\n\n"


@every_protocol
@settings(SETTINGS, max_examples=60)
@given(data=st.binary(max_size=120))
def test_rubbish_for_a_stream_is_a_failure(protocol: str, data: bytes) -> None:
    events = events_of(protocol, [data], READING)
    assert isinstance(events[-1], ir.StreamFailed)


@every_protocol
@settings(SETTINGS, max_examples=60)
@given(body=ODD, status=st.integers(100, 599))
def test_any_error_body_is_read(protocol: str, body: Any, status: int) -> None:
    error = PROTOCOLS[protocol].parse_error(status, {}, dumps(body))
    for client in NAMES:
        reply = PROTOCOLS[client].render_error(error, "req_1")
        assert 400 <= reply.status <= 599
        assert dumps(reply.body)


def test_the_seal_is_needed_to_read_what_it_wrote() -> None:
    state = READING.state(ir.StateKind.ANTHROPIC_SIGNATURE, "sig")
    wrapped = SEAL.wrap(ir.Reasoning(text="t", state=state))
    assert wrapped is not None
    assert SEAL.unwrap(wrapped) == ir.Reasoning(text="t", state=state)
