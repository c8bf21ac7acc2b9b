"""Streams for clients: events -> frames."""

from __future__ import annotations

import pytest
from anthropic.lib.streaming._messages import accumulate_event

from tests.support.streams import encoded
from tests.translators.anthropic.support import (
    READING,
    SDK_EVENTS,
    SEAL,
    STREAMS,
    decode,
    encode,
    response_losses,
    sse,
    strict_events,
    strict_message,
    writing,
)
from translators import ir
from translators.anthropic import TRANSLATOR
from translators.anthropic.words import UNSIGNED
from translators.errors import ErrorKind, GatewayError, StreamContractError
from translators.fold import Folder, unfold
from translators.ir import FinishReason, StateKind
from translators.losses import Mode

START = ir.MessageStart(id="chatcmpl-1", model="up")
USAGE = ir.Usage(input_tokens=100, output_tokens=7, cache_read_tokens=60)
DONE = ir.Finish(reason=FinishReason.STOP, usage=USAGE)
CALLED = ir.Finish(reason=FinishReason.TOOL_CALLS, usage=USAGE)
FINISHED = [name for name in STREAMS if name != "error"]


def text(index, *pieces):
    return (
        ir.PartStart(index=index, part=ir.Text(text="")),
        *(ir.PartDelta(index, piece) for piece in pieces),
        ir.PartEnd(index=index),
    )


def called(index, *pieces, call_id="call_1", **fields):
    part = ir.ToolCall(call_id=call_id, name="f", **fields)
    return (
        ir.PartStart(index=index, part=part),
        *(ir.PartDelta(index, piece) for piece in pieces),
        ir.PartEnd(index=index),
    )


def thought(index, *pieces, state=None, **fields):
    return (
        ir.PartStart(index=index, part=ir.Reasoning(**fields)),
        *(ir.PartDelta(index, piece) for piece in pieces),
        ir.PartEnd(index=index, state=state),
    )


def types(payloads):
    return [
        payload.get("delta", {}).get("type") or payload["type"].removeprefix("content_block_")
        for payload in payloads
    ]


def checked(payloads):
    """The strict grammar of the protocol: one start, blocks one by one without gaps, one end (STR-07)."""
    assert payloads[0]["type"] == "message_start"
    assert [payload["type"] for payload in payloads[-2:]] == ["message_delta", "message_stop"]
    index, is_open = -1, False
    for payload in payloads[1:-2]:
        match payload["type"]:
            case "content_block_start":
                index += 1
                assert not is_open
                is_open = True
            case "content_block_delta":
                assert is_open
            case "content_block_stop":
                assert is_open
                is_open = False
            case other:
                assert other == "ping"
                continue
        assert payload["index"] == index
    assert not is_open
    return payloads


# ------------------------------------------------------------------------------------------- blocks


def test_text_exactly():
    payloads = checked(encode(START, *text(0, "Hel", "lo"), DONE))
    assert payloads[1:-2] == [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
        {"type": "content_block_stop", "index": 0},
    ]


@pytest.mark.parametrize("piece", ["\u2028\u2029", 'quote " and \\ back', "emoji 😀", "\x00\n\r"])
def test_any_text_survives(piece):
    payloads = encode(START, *text(0, piece), DONE)
    assert payloads[2]["delta"]["text"] == piece


def test_line_separators_are_escaped():
    encoder = TRANSLATOR.encoder(writing(), response_losses())
    data = b"".join(map(encoder.encode, (START, *text(0, "a\u2028b"))))
    assert "\u2028".encode() not in data
    assert b"\\u2028" in data


def test_a_call_exactly():
    payloads = checked(encode(START, *called(0, '{"a":', "1}"), CALLED))
    assert payloads[1]["content_block"] == {
        "type": "tool_use", "id": "call_1", "name": "f", "input": {}
    }  # fmt: skip
    assert [p["delta"]["partial_json"] for p in payloads[2:4]] == ['{"a":', "1}"]
    assert payloads[-2]["delta"]["stop_reason"] == "tool_use"


def test_a_call_without_arguments_sends_one_empty_fragment():
    payloads = checked(encode(START, *called(0), CALLED))
    assert [
        p["delta"]["partial_json"] for p in payloads if "partial_json" in p.get("delta", {})
    ] == [""]


def test_str_03_arguments_in_the_head_are_not_lost():
    payloads = checked(encode(START, *called(0, arguments='{"a":1}'), CALLED))
    assert payloads[2]["delta"]["partial_json"] == '{"a":1}'


def test_parallel_calls_have_blocks_and_ids_of_their_own():
    payloads = checked(encode(START, *called(0, "{}"), *called(1, "{}"), CALLED))
    starts = [p for p in payloads if p["type"] == "content_block_start"]
    assert [p["content_block"]["id"] for p in starts] == ["call_1", "call_1_2"]


def test_an_illegal_call_id_is_replaced():
    (start,) = [
        p
        for p in encode(START, *called(0, "{}", call_id="functions.f:0"), CALLED)
        if p["type"] == "content_block_start"
    ]
    assert start["content_block"]["id"].startswith("toolu_")


def test_str_05_an_empty_text_opens_no_block():
    payloads = checked(encode(START, *text(0), *called(1, "{}"), CALLED))
    starts = [p for p in payloads if p["type"] == "content_block_start"]
    assert [(p["index"], p["content_block"]["type"]) for p in starts] == [(0, "tool_use")]


def test_str_09_an_empty_answer():
    assert types(checked(encode(START, DONE))) == ["message_start", "message_delta", "message_stop"]


def test_a_freeform_call_goes_out_as_an_object():
    payloads = encode(START, *called(0, "a", '"b', kind=ir.ToolKind.CUSTOM), CALLED)
    assert payloads[2]["delta"]["partial_json"] == '{"input":"a\\"b"}'


# ---------------------------------------------------------------------------------------- reasoning


def state(kind, value="gAAA"):
    return ir.OpaqueState(kind=kind, value=value, provider="p", model="x")


@pytest.mark.parametrize(
    ("kind", "pieces", "seal", "expected"),
    [
        pytest.param(
            StateKind.ANTHROPIC_SIGNATURE, ("a", "b"), SEAL,
            ["start", "thinking_delta", "thinking_delta", "signature_delta", "stop"],
            id="its own signature, once, right before the stop",
        ),
        pytest.param(
            StateKind.ANTHROPIC_SIGNATURE, (), SEAL, ["start", "signature_delta", "stop"],
            id="its own signature without text",
        ),
        pytest.param(StateKind.ANTHROPIC_REDACTED, (), SEAL, ["start", "stop"], id="redacted"),
        pytest.param(
            StateKind.RESPONSES_ENCRYPTED, ("a",), SEAL,
            ["start", "thinking_delta", "signature_delta", "stop"], id="R with a summary",
        ),
        pytest.param(StateKind.RESPONSES_ENCRYPTED, (), SEAL, ["start", "stop"], id="R without one"),
        pytest.param(
            StateKind.GEMINI_SIGNATURE, (), SEAL, ["start", "signature_delta", "stop"],
            id="G without thoughts",
        ),
        pytest.param(
            None, ("a",), SEAL, ["start", "thinking_delta", "signature_delta", "stop"], id="unsigned"
        ),
        pytest.param(None, (), SEAL, [], id="nothing"),
        pytest.param(StateKind.GEMINI_SIGNATURE, (), None, [], id="no key, no text"),
    ],
)  # fmt: skip
def test_reasoning(kind, pieces, seal, expected):
    opaque = state(kind) if kind else None
    payloads = checked(encode(START, *thought(0, *pieces, state=opaque), DONE, seal=seal))
    assert types(payloads[1:-2]) == expected


def test_rsn_14_a_signature_is_never_null_nor_empty():
    payloads = encode(START, *thought(0, "a"), DONE)
    assert [p["delta"]["signature"] for p in payloads if "signature" in p.get("delta", {})] == [
        UNSIGNED
    ]


@pytest.mark.parametrize(
    "kind", [StateKind.RESPONSES_ENCRYPTED, StateKind.GEMINI_SIGNATURE, StateKind.CHAT_DETAILS]
)
def test_rsn_05_the_envelope_holds_text_state_and_item(kind):
    payloads = encode(START, *thought(0, "a", "b", state=state(kind), item_id="rs_1"), DONE)
    (signature,) = [p["delta"]["signature"] for p in payloads if "signature" in p.get("delta", {})]
    assert SEAL.unwrap(signature) == ir.Reasoning(text="ab", state=state(kind), item_id="rs_1")


# ------------------------------------------------------------------------------------ message level


def test_use_09_the_start_carries_an_estimate_and_the_end_all_counts():
    payloads = encode(START, *text(0, "a"), DONE, input_tokens_estimate=42)
    assert payloads[0]["message"]["usage"]["input_tokens"] == 42
    assert payloads[-2]["usage"] == {
        "input_tokens": 40,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 60,
        "output_tokens": 7,
    }


def test_use_09_a_known_count_beats_the_estimate():
    start = ir.MessageStart(id="x", model="up", usage=ir.Usage(input_tokens=9))
    payloads = encode(start, DONE, input_tokens_estimate=42)
    assert payloads[0]["message"]["usage"]["input_tokens"] == 9


def test_an_answer_without_usage_repeats_the_start_and_says_so():
    losses = response_losses()
    encoder = TRANSLATOR.encoder(writing(input_tokens_estimate=42), losses)
    data = b"".join(map(encoder.encode, (START, ir.Finish(reason=FinishReason.STOP))))
    assert strict_events(data)[-2]["usage"]["input_tokens"] == 42
    assert len(losses.degradations) == 1


def test_the_message_is_named_after_the_upstreams():
    message = encode(START, DONE)[0]["message"]
    assert message["id"].startswith("msg_")
    assert message["model"] == "alias"
    assert message["content"] == []
    assert encode(START, DONE)[0]["message"]["id"] == message["id"]


@pytest.mark.parametrize(
    ("finish", "delta"),
    [
        pytest.param(
            ir.Finish(reason=FinishReason.LENGTH, usage=USAGE),
            {"stop_reason": "max_tokens", "stop_sequence": None},
            id="length",
        ),
        pytest.param(
            ir.Finish(reason=FinishReason.STOP_SEQUENCE, usage=USAGE, stop_sequence="X"),
            {"stop_reason": "stop_sequence", "stop_sequence": "X"},
            id="a named stop",
        ),
        pytest.param(
            ir.Finish(reason=FinishReason.CONTENT_FILTER, usage=USAGE, explanation="no"),
            {
                "stop_reason": "refusal",
                "stop_sequence": None,
                "stop_details": {"type": "refusal", "category": None, "explanation": "no"},
            },
            id="REF-03 a filter",
        ),
        pytest.param(
            ir.Finish(reason=FinishReason.CONTENT_FILTER, usage=USAGE, category="bio"),
            {
                "stop_reason": "refusal",
                "stop_sequence": None,
                "stop_details": {"type": "refusal", "category": "bio", "explanation": None},
            },
            id="REF-03 a filter of a kind",
        ),
    ],
)
def test_endings(finish, delta):
    assert encode(START, *text(0, "a"), finish)[-2]["delta"] == delta


def test_ref_01_a_refusal():
    events = (
        ir.PartStart(index=0, part=ir.Refusal(text="")),
        ir.PartDelta(0, "I cannot."),
        ir.PartEnd(index=0),
    )
    payloads = checked(encode(START, *events, ir.Finish(reason=FinishReason.REFUSAL, usage=USAGE)))
    assert payloads[2]["delta"] == {"type": "text_delta", "text": "I cannot."}
    assert payloads[-2]["delta"]["stop_reason"] == "refusal"
    assert payloads[-2]["delta"]["stop_details"]["explanation"] == "I cannot."


def test_stop_10_announced_calls_that_are_not_there():
    payloads = encode(START, *text(0, "a"), CALLED)
    assert payloads[-1]["type"] == "error"
    assert "message_stop" not in [payload["type"] for payload in payloads]


# ------------------------------------------------------------------------------------ failures, pings


def test_str_25_a_failure_closes_nothing_falsely():
    failed = ir.StreamFailed(GatewayError(ErrorKind.UPSTREAM_CUT, "upstream stream ended early"))
    payloads = encode(
        START, ir.PartStart(index=0, part=ir.Text(text="")), ir.PartDelta(0, "Par"), failed,
        request_id="req_1",
    )  # fmt: skip
    assert types(payloads) == ["message_start", "start", "text_delta", "error"]
    assert payloads[-1] == {
        "type": "error",
        "error": {"type": "api_error", "message": "upstream stream ended early"},
        "request_id": "req_1",
    }


def test_nothing_follows_an_error():
    encoder = TRANSLATOR.encoder(writing(), response_losses())
    encoder.encode(START)
    encoder.encode(ir.StreamFailed(GatewayError(ErrorKind.OVERLOADED, "Overloaded")))
    assert encoder.ping() == b""
    assert encoder.encode(DONE) == b""


def test_pings():
    encoder = TRANSLATOR.encoder(writing(), response_losses())
    encoder.encode(START)
    expected = b'event: ping\ndata: {"type":"ping"}\n\n'
    assert encoder.ping() == expected
    assert encoder.encode(ir.Ping()) == expected
    encoder.encode(DONE)
    assert encoder.ping() == b""


def test_events_out_of_order_are_a_bug():
    encoder = TRANSLATOR.encoder(writing(), response_losses())
    with pytest.raises(StreamContractError):
        encoder.encode(ir.PartDelta(0, "x"))


@pytest.mark.parametrize(
    ("mode", "ends_in"),
    [
        pytest.param(Mode.MAX_COMPAT, "message_stop", id="max_compat records it"),
        pytest.param(Mode.BALANCED, "error", id="balanced ends in an error"),
    ],
)
def test_res_17_broken_arguments_never_pass_in_silence(mode, ends_in):
    losses = response_losses(mode)
    encoder = TRANSLATOR.encoder(writing(), losses)
    data = encoded(encoder, (START, *called(0, '{"a"'), CALLED))
    assert strict_events(data)[-1]["type"] == ends_in
    assert bool(losses.degradations) is (mode is Mode.MAX_COMPAT)


def test_a_cut_call_keeps_its_fragments_and_the_reason():
    part = ir.ToolCall(call_id="t", name="f")
    events = (
        ir.PartStart(index=0, part=part),
        ir.PartDelta(0, '{"a":'),
        ir.PartEnd(index=0, complete=False),
    )
    finish = ir.Finish(reason=FinishReason.LENGTH, usage=USAGE)
    payloads = checked(encode(START, *events, finish, mode=Mode.BALANCED))
    assert payloads[-2]["delta"]["stop_reason"] == "max_tokens"


def test_media_output_is_recorded_or_ends_the_stream():
    image = ir.Image(source=ir.Inline(media_type="image/png", data="AAAA"))
    events = (START, ir.PartStart(index=0, part=image), ir.PartEnd(index=0), *text(1, "a"), DONE)
    assert types(checked(encode(*events))) == [
        "message_start", "start", "text_delta", "stop", "message_delta", "message_stop"
    ]  # fmt: skip
    assert encode(*events, mode=Mode.BALANCED)[-1]["type"] == "error"


def test_cit_03_a_search_of_another_provider():
    search = ir.WebSearch(
        call_id="ws_1",
        query="q",
        sources=(ir.WebSource(url="https://e", title="T"),),
        protocol="openai_responses",
    )
    events = (START, ir.PartStart(index=0, part=search), ir.PartEnd(index=0), *text(1, "a"), DONE)
    payloads = checked(encode(*events))
    starts = [p["content_block"] for p in payloads if p["type"] == "content_block_start"]
    assert [block["type"] for block in starts] == [
        "server_tool_use", "web_search_tool_result", "text"
    ]  # fmt: skip
    assert starts[0]["input"] == {}
    assert payloads[2]["delta"]["partial_json"] == '{"query":"q"}'
    assert payloads[-2]["delta"]["stop_reason"] == "end_turn"


def test_citations():
    cited = ir.UrlCitation(url="https://e", title="T", cited_text="c", opaque="Eo8C")
    foreign = ir.UrlCitation(url="https://e", title="T", start=0, end=1)
    losses = response_losses()
    encoder = TRANSLATOR.encoder(writing(), losses)
    events = (
        START,
        ir.PartStart(index=0, part=ir.Text(text="")),
        ir.CitationAdded(index=0, citation=cited),
        ir.PartDelta(0, "cold"),
        ir.CitationAdded(index=0, citation=foreign),
        ir.PartEnd(index=0),
        DONE,
    )
    payloads = checked(strict_events(b"".join(map(encoder.encode, events))))
    assert types(payloads[1:-2]) == ["start", "citations_delta", "text_delta", "stop"]
    assert len(losses.degradations) == 1


# ------------------------------------------------------------------------------------- whole streams


@pytest.mark.parametrize("name", FINISHED)
def test_a_stream_through_the_hub_is_the_same_stream(name):
    events = decode(b"".join(sse(STREAMS[name])))
    payloads = checked([p for p in encode(*events) if p["type"] != "ping"])
    again = decode(b"".join(sse(payloads)))
    assert _parts(again) == _parts(events)


def _parts(events):
    return [
        event
        for event in events
        if isinstance(event, ir.PartStart | ir.PartDelta | ir.PartEnd | ir.CitationAdded)
    ]


@pytest.mark.parametrize("name", FINISHED)
def test_the_sdk_accumulates_the_whole_answer(name):
    """The official accumulator must end with what the whole answer says."""
    events = decode(b"".join(sse(STREAMS[name])))
    snapshot, buffers = None, {}
    for payload in encode(*events):
        if payload["type"] != "ping":
            snapshot = accumulate_event(
                event=SDK_EVENTS.validate_python(payload),
                current_snapshot=snapshot,
                json_bufs=buffers,
            )
    folder = Folder()
    for event in events:
        folder.add(event)
    wanted = TRANSLATOR.render_response(folder.response(), writing(), response_losses())
    found = snapshot.model_dump(mode="json", exclude_none=True)
    whole = strict_message(wanted).model_dump(mode="json", exclude_none=True)
    assert found["content"] == whole["content"]
    assert found["stop_reason"] == whole["stop_reason"]
    assert {**whole["usage"], **found["usage"]} == found["usage"]


def test_str_46_a_whole_answer_is_replayed_as_a_stream():
    whole = ir.Response(
        id="x",
        model="up",
        parts=(
            ir.Reasoning(text="t", state=state(StateKind.GEMINI_SIGNATURE)),
            ir.Text(text="a"),
            ir.ToolCall(call_id="t", name="f", arguments='{"a":1}'),
        ),
        finish_reason=FinishReason.TOOL_CALLS,
        usage=USAGE,
    )
    payloads = checked(encode(*unfold(whole)))
    starts = [p["content_block"]["type"] for p in payloads if p["type"] == "content_block_start"]
    assert starts == ["thinking", "text", "tool_use"]
    again = TRANSLATOR.decoder(READING, response_losses())
    assert isinstance(again.feed(b"".join(sse(payloads)))[-1], ir.Finish)
