"""The encoder: every stream passes the SDK's strict types, its accumulator, and the chain of pitfall STR-12."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from openai.types.responses import ResponseErrorEvent, ResponseFailedEvent

from tests.translators.openai_responses.support import (
    CAPTURES,
    SEAL,
    STREAMS,
    check_events,
    decode,
    encode,
    parse_items,
    payloads,
    sse,
    writing,
)
from translators import ir
from translators.errors import ErrorKind, GatewayError, StreamContractError
from translators.fold import unfold
from translators.losses import Losses, Mode, Side
from translators.openai_responses import TRANSLATOR
from translators.openai_responses.errors import UNKNOWN_TO_SDK
from translators.sse import SseParser

USAGE = ir.Usage(input_tokens=10, output_tokens=5, cache_read_tokens=4, reasoning_tokens=2)


def message(
    *parts: Any, reason: ir.FinishReason = ir.FinishReason.STOP, **finish: Any
) -> list[ir.StreamEvent]:
    """A stream of parts: (head, deltas) or (head, deltas, PartEnd fields)."""
    events: list[ir.StreamEvent] = [ir.MessageStart(id="up_1", model="x", created_s=1)]
    for index, (head, deltas, *end) in enumerate(parts):
        events.append(ir.PartStart(index=index, part=head))
        for delta in deltas:
            if isinstance(delta, str):
                events.append(ir.PartDelta(index, delta))
            else:
                events.append(ir.CitationAdded(index=index, citation=delta))
        events.append(ir.PartEnd(index=index, **(end[0] if end else {})))
    finish.setdefault("usage", USAGE)
    events.append(ir.Finish(reason=reason, **finish))
    return events


TEXT = (ir.Text(text=""), ["Hel", "lo"])
CALL = (ir.ToolCall(call_id="call_1", name="f"), ['{"a":', "1}"])
REFUSAL = (ir.Refusal(text=""), ["No", "."])
SIGNED = ir.OpaqueState(kind=ir.StateKind.ANTHROPIC_SIGNATURE, value="sig", provider="q", model="n")
THINKING = (ir.Reasoning(), ["Let me ", "see"], {"state": SIGNED})
HIDDEN = (ir.Reasoning(), [], {"state": SIGNED})
USELESS = (ir.Reasoning(), [])
CUSTOM = (ir.ToolCall(call_id="call_2", name="run", kind=ir.ToolKind.CUSTOM), ["select ", "1"])
SPACED = (ir.ToolCall(call_id="call_3", name="get", namespace="crm"), ["{}"])
SEARCH = (
    ir.WebSearch(
        call_id="s",
        query="oslo",
        sources=(ir.WebSource(url="https://yr.no"),),
        protocol="anthropic",
    ),
    [],
)
CODE = (ir.CodeRun(call_id="c", code="print(1)", output="1\n", protocol="gemini"), [])
IMAGE = (ir.Image(source=ir.Inline(media_type="image/png", data="iVBORw0KGgo=")), [])
EMPTY = (ir.Text(text=""), [])
KINDS = {
    "text": TEXT, "call": CALL, "refusal": REFUSAL, "thinking": THINKING, "hidden": HIDDEN,
    "useless": USELESS, "custom": CUSTOM, "spaced": SPACED, "search": SEARCH, "code": CODE,
    "image": IMAGE, "empty": EMPTY,
}  # fmt: skip


def events_of(
    events: list[ir.StreamEvent], how: Any = None, losses: Losses | None = None
) -> list[dict[str, Any]]:
    """What the client reads."""
    return payloads(encode(events, how, losses))


@pytest.mark.parametrize(
    "names",
    [pytest.param(names, id="+".join(names)) for names in itertools.permutations(KINDS, 2)]
    + [pytest.param((name,), id=name) for name in KINDS]
    + [pytest.param(tuple(KINDS), id="all of them")],
)
def test_str_12_any_order_of_parts_is_a_full_chain(names: tuple[str, ...]) -> None:
    events = events_of(message(*(KINDS[name] for name in names)))
    final = check_events(events)
    assert events[-1]["type"] == "response.completed"
    kinds = [item.type for item in final.output]
    expected = {
        "text": "message", "refusal": "message", "call": "function_call", "spaced": "function_call",
        "thinking": "reasoning", "hidden": "reasoning", "custom": "custom_tool_call",
        "search": "web_search_call", "code": "code_interpreter_call", "image": "image_generation_call",
    }  # fmt: skip
    wanted: list[str] = []
    for name in names:
        kind = expected.get(name)
        if kind is not None and (kind != "message" or wanted[-1:] != ["message"]):
            wanted.append(kind)  # texts in a row are one message
    assert kinds == wanted


@pytest.mark.parametrize("stream", [pytest.param(s, id=s[0]["response"]["id"]) for s in STREAMS])
def test_decoding_what_was_encoded_gives_the_same_answer(stream: list[dict[str, Any]]) -> None:
    events = decode(sse(stream))
    again = payloads(encode(events))
    check_events(again)
    assert [repr(e) for e in _comparable(decode(sse(again)))] == [
        repr(e) for e in _comparable(events)
    ]


def _comparable(events: list[ir.StreamEvent]) -> list[ir.StreamEvent]:
    return [event for event in events if not isinstance(event, ir.MessageStart)]


def test_the_plain_text_stream_event_by_event() -> None:
    events = events_of(message(TEXT))
    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    created, final = events[0]["response"], events[-1]["response"]
    assert created["id"].startswith("resp_")
    assert (created["output"], created["usage"], created["status"]) == ([], None, "in_progress")
    assert final["usage"]["total_tokens"] == 15
    assert events[4] == {
        "type": "response.output_text.delta",
        "sequence_number": 4,
        "item_id": events[2]["item"]["id"],
        "output_index": 0,
        "content_index": 0,
        "delta": "Hel",
        "logprobs": [],
    }


def test_the_same_events_give_the_same_bytes() -> None:
    events = message(*KINDS.values())
    assert encode(events) == encode(events)


def test_texts_in_a_row_are_parts_of_one_message() -> None:
    [item] = check_events(events_of(message(TEXT, TEXT, REFUSAL))).output
    assert item.type == "message"
    assert [part.type for part in item.content] == ["output_text", "output_text", "refusal"]


def test_text_around_a_call_keeps_its_order() -> None:
    final = check_events(events_of(message(TEXT, CALL, TEXT)))
    assert [item.type for item in final.output] == ["message", "function_call", "message"]


@pytest.mark.parametrize("text", ["\u2028", "\u2029", '"\\', "日本 🎉", "\x00\x1f", "a\u2028b"])
def test_odd_characters_in_a_delta(text: str) -> None:
    encoder = TRANSLATOR.encoder(writing(), Losses())
    encoder.encode(ir.MessageStart(id="", model=""))
    encoder.encode(ir.PartStart(index=0, part=ir.Text(text="")))
    encoder.encode(ir.PartDelta(0, "x"))
    frame = encoder.encode(ir.PartDelta(0, text))
    assert b"\xe2\x80\xa8" not in frame
    assert b"\xe2\x80\xa9" not in frame
    assert len(frame.splitlines()) == 3
    events = events_of(message((ir.Text(text=""), ["x", text])))
    assert check_events(events).output_text == "x" + text


def test_str_20_a_call_without_arguments_gets_an_object() -> None:
    [call] = check_events(events_of(message((ir.ToolCall(call_id="c", name="f"), [])))).output
    assert call.type == "function_call"
    assert call.arguments == "{}"


def test_tool_17_a_namespace_is_given_back() -> None:
    events = events_of(message(SPACED))
    [call] = check_events(events).output
    assert call.type == "function_call"
    assert (call.name, call.namespace) == ("get", "crm")


def test_stop_05_a_cut_call_is_incomplete() -> None:
    cut = (ir.ToolCall(call_id="c", name="f"), ['{"a'], {"complete": False})
    events = events_of(message(cut, reason=ir.FinishReason.LENGTH))
    final = check_events(events)
    assert events[-1]["type"] == "response.incomplete"
    assert final.incomplete_details is not None
    assert final.incomplete_details.reason == "max_output_tokens"
    [call] = final.output
    assert call.type == "function_call"
    assert (call.status, call.arguments) == ("incomplete", '{"a')


def test_text_cut_by_a_filter_is_incomplete() -> None:
    final = check_events(
        events_of(message(TEXT, reason=ir.FinishReason.CONTENT_FILTER, explanation="no"))
    )
    assert final.incomplete_details is not None
    assert final.incomplete_details.reason == "content_filter"
    [item] = final.output
    assert item.type == "message"
    assert item.status == "incomplete"
    assert [part.type for part in item.content] == ["output_text"]


def test_a_filter_without_text_is_explained_as_a_refusal() -> None:
    final = check_events(
        events_of(message(reason=ir.FinishReason.CONTENT_FILTER, explanation="unsafe"))
    )
    [item] = final.output
    assert item.type == "message"
    assert [part.to_dict() for part in item.content] == [{"type": "refusal", "refusal": "unsafe"}]


def test_an_answer_without_content_is_complete() -> None:
    assert check_events(events_of(message())).output == []


def test_foreign_reasoning_comes_back_from_its_envelope() -> None:
    final = check_events(events_of(message(THINKING, CALL)))
    [history] = parse_items(*(item.to_dict() for item in final.output))
    assert history.parts[0] == ir.Reasoning(text="Let me see", state=SIGNED)


def test_own_reasoning_state_is_handed_out_bare() -> None:
    state = ir.OpaqueState(
        kind=ir.StateKind.RESPONSES_ENCRYPTED, value="gAAA", provider="p", model="m"
    )
    [item] = check_events(events_of(message((ir.Reasoning(), ["t"], {"state": state})))).output
    assert item.type == "reasoning"
    assert item.encrypted_content == "gAAA"
    assert [part.text for part in item.summary] == ["t"]


def test_without_a_key_foreign_state_stays_here() -> None:
    how = writing(seal=None)
    assert check_events(events_of(message(HIDDEN), how)).output == []
    [item] = check_events(events_of(message(THINKING), how)).output
    assert item.type == "reasoning"
    assert item.encrypted_content is None


def test_id_12_a_call_id_used_twice_in_one_answer_is_told_apart() -> None:
    final = check_events(events_of(message(CALL, CALL)))
    assert [item.call_id for item in final.output if item.type == "function_call"] == [
        "call_1",
        "call_1_2",
    ]


def test_id_06_long_call_ids_are_shortened_the_same_way_each_time() -> None:
    long = (ir.ToolCall(call_id="x" * 100, name="f"), ["{}"])
    [one] = check_events(events_of(message(long))).output
    [two] = check_events(events_of(message(long))).output
    assert one.type == two.type == "function_call"
    assert one.call_id == two.call_id
    assert len(one.call_id) <= 64


def test_cit_01_citations_are_annotations_in_the_text() -> None:
    ranged = ir.UrlCitation(url="https://a", title="A", start=1, end=3)
    whole = ir.UrlCitation(url="https://b")
    losses = Losses(side=Side.RESPONSE)
    events = events_of(message((ir.Text(text=""), ["Hel", ranged, whole, "lo"])), losses=losses)
    final = check_events(events)
    notes = [event for event in events if event["type"].endswith("annotation.added")]
    assert [note["annotation_index"] for note in notes] == [0, 1]
    [item] = final.output
    assert item.type == "message"
    assert item.content[0].type == "output_text"
    assert [note["annotation"] for note in notes] == [
        n.to_dict() for n in item.content[0].annotations
    ]
    assert [(n["annotation"]["start_index"], n["annotation"]["end_index"]) for n in notes] == [
        (1, 3),
        (0, 5),
    ]


@pytest.mark.parametrize(("mode", "count"), [(Mode.MAX_COMPAT, 1), (Mode.BALANCED, 0)])
def test_citations_of_documents_lose_their_place(mode: Mode, count: int) -> None:
    citation = ir.DocumentCitation(
        protocol="anthropic", wire={"type": "char_location"}, title="a.pdf"
    )
    losses = Losses(mode, Side.RESPONSE)
    [item] = check_events(
        events_of(message((ir.Text(text=""), ["Hi", citation])), losses=losses)
    ).output
    assert item.type == "message"
    assert item.content[0].type == "output_text"
    assert len(item.content[0].annotations) == count
    assert losses.degradations


def test_logprobs_of_deltas_are_repeated_at_the_end() -> None:
    value = ir.TokenLogprob(
        token="H", logprob=-0.1, top=(ir.TokenLogprob(token="J", logprob=-2.0),)
    )
    events: list[ir.StreamEvent] = [
        ir.MessageStart(id="", model=""),
        ir.PartStart(index=0, part=ir.Text(text="")),
        ir.PartDelta(0, "H", (value,)),
        ir.PartDelta(0, "i"),
        ir.PartEnd(index=0),
        ir.Finish(reason=ir.FinishReason.STOP),
    ]
    read = events_of(events)
    [item] = check_events(read).output
    assert item.type == "message"
    assert item.content[0].type == "output_text"
    assert item.content[0].logprobs is not None
    assert item.content[0].logprobs[0].bytes == [72]
    assert read[-1]["response"]["usage"] is None


def test_unknown_content_is_recorded_or_refused() -> None:
    foreign = ir.Foreign(
        protocol="anthropic",
        type="container_upload",
        wire={},
        rule=ir.ForeignRule("warn", "warn", "warn"),
    )  # type: ignore[arg-type]
    losses = Losses(Mode.MAX_COMPAT, Side.RESPONSE)
    assert check_events(events_of(message((foreign, [])), losses=losses)).output == []
    assert losses.degradations
    with pytest.raises(GatewayError):
        events_of(message((foreign, [])), losses=Losses(Mode.STRICT, Side.RESPONSE))


# --------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_err_07_a_failure_after_the_start(kind: ErrorKind) -> None:
    error = GatewayError(kind, "it broke")
    head = message(TEXT, CALL)[:-2]
    events = events_of([*head, ir.StreamFailed(error, USAGE)])
    last = events[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"]["message"] == "it broke"
    assert [item["type"] for item in last["response"]["output"]] == ["message"]
    assert last["response"]["usage"]["input_tokens"] == 10
    if last["response"]["error"]["code"] not in UNKNOWN_TO_SDK:
        ResponseFailedEvent.model_validate(last, strict=True)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ErrorKind.CONTEXT_TOO_LONG, "context_length_exceeded"),
        (ErrorKind.BILLING, "insufficient_quota"),
        (ErrorKind.RATE_LIMITED, "rate_limit_exceeded"),
        (ErrorKind.OVERLOADED, "server_is_overloaded"),
        (ErrorKind.INVALID_REQUEST, "invalid_prompt"),
        (ErrorKind.UPSTREAM_CUT, "server_error"),
    ],
)
def test_err_07_the_codes_that_codex_knows(kind: ErrorKind, code: str) -> None:
    failed = ir.StreamFailed(GatewayError(kind, "x"))
    assert events_of([*message()[:1], failed])[-1]["response"]["error"]["code"] == code
    [event] = events_of([failed])
    assert event["code"] == code
    ResponseErrorEvent.model_validate(event, strict=True)


def test_err_07_the_delay_of_a_rate_limit_is_in_the_words_that_codex_reads() -> None:
    error = GatewayError(ErrorKind.RATE_LIMITED, "Slow down.", retry_after_s=2.2)
    [event] = events_of([ir.StreamFailed(error)])
    assert event["message"] == "Slow down. Please try again in 3s."
    spoken = GatewayError(ErrorKind.RATE_LIMITED, "Try again in 9s", retry_after_s=9)
    assert events_of([ir.StreamFailed(spoken)])[0]["message"] == "Try again in 9s"


# ------------------------------------------------------------------------------------------ pings


def test_tmo_03_a_ping_is_an_event_with_the_next_number() -> None:
    encoder = TRANSLATOR.encoder(writing(), Losses())
    assert encoder.ping() == b""
    assert encoder.encode(ir.Ping()) == b""
    stream = encoder.encode(ir.MessageStart(id="x", model="m"))
    stream += encoder.ping()
    stream += encoder.encode(ir.PartStart(index=0, part=ir.Text(text="")))
    stream += encoder.encode(ir.PartDelta(0, "Hi"))
    stream += encoder.encode(ir.Ping())
    stream += encoder.encode(ir.PartEnd(index=0))
    stream += encoder.encode(ir.Finish(reason=ir.FinishReason.STOP))
    assert encoder.ping() == b""
    events = _read(stream)
    assert events[2] == {**events[1], "sequence_number": 2}
    assert sum(event["type"] == "response.in_progress" for event in events) == 3
    assert check_events(events).output_text == "Hi"


def _read(stream: bytes) -> list[dict[str, Any]]:
    return payloads(SseParser().feed(stream))


def test_events_out_of_order_are_a_bug_of_ours() -> None:
    encoder = TRANSLATOR.encoder(writing(), Losses())
    with pytest.raises(StreamContractError):
        encoder.encode(ir.PartDelta(0, "x"))


# ------------------------------------------------------------------------------------------- echo


@pytest.mark.parametrize("name", list(CAPTURES))
def test_the_echo_of_real_requests_passes_the_sdk(name: str) -> None:
    for body in CAPTURES[name]:
        final = check_events(events_of(message(THINKING, TEXT, CALL), writing(body)))
        assert final.model == "shown"
        assert final.prompt_cache_key == body.get("prompt_cache_key")
        assert len(final.tools) == len(body.get("tools") or [])
        assert final.instructions == body.get("instructions")
        assert final.store is False


def test_a_stored_answer_says_so() -> None:
    assert check_events(events_of(message(TEXT), writing(stored=True))).store is True


def test_stream_and_whole_answer_have_the_same_items() -> None:
    response = ir.Response(
        id="up_1",
        model="x",
        created_s=1,
        parts=(
            ir.Reasoning(text="t", state=SIGNED),
            ir.Text(text="Hi"),
            ir.Text(text="there", citations=(ir.UrlCitation(url="https://a"),)),
            ir.ToolCall(call_id="c", name="f", arguments="{}"),
            SEARCH[0],
            ir.Refusal(text="No"),
        ),
        finish_reason=ir.FinishReason.TOOL_CALLS,
        usage=USAGE,
    )
    streamed = events_of(list(unfold(response)))[-1]["response"]
    whole = TRANSLATOR.render_response(response, writing(), Losses(side=Side.RESPONSE))
    assert whole.pop("completed_at") == 1794000000
    assert streamed.pop("completed_at") is None
    assert streamed == whole
    assert SEAL.is_envelope(whole["output"][0]["encrypted_content"])
