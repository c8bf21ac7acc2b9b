"""Streams for Gemini clients: what the official SDK and the Gemini CLI can read, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.gemini.support import (
    SEAL,
    SIGNATURE,
    STREAMS,
    answer,
    call,
    check_answer,
    chunks,
    decode,
    encode,
    parse,
    parts_of,
    render_answer,
    sse,
    state,
    writing,
)
from translators import ir
from translators.errors import ErrorKind, GatewayError, StreamContractError
from translators.fold import unfold
from translators.gemini import TRANSLATOR
from translators.losses import Losses, Mode, Side
from translators.wire import loads

ENCRYPTED = ir.OpaqueState(
    kind=ir.StateKind.RESPONSES_ENCRYPTED, value="gAAA", provider="o", model="g"
)
ANSWERS = [
    pytest.param(answer("Hello ", "there"), id="two texts"),
    pytest.param(answer(ir.Reasoning(text="hm", state=state()), "hi"), id="signed text"),
    pytest.param(answer(ir.Reasoning(text="hm", state=ENCRYPTED), call()), id="foreign reasoning"),
    pytest.param(
        answer(
            ir.Reasoning(state=ENCRYPTED),
            ir.Reasoning(text="b", state=ENCRYPTED),
            call(),
            call("c2"),
        ),
        id="two pieces of reasoning before parallel calls",
    ),
    pytest.param(answer("hi", ir.Reasoning(state=state())), id="a signature at the end"),
    pytest.param(
        answer(ir.Refusal(text="no"), finish_reason=ir.FinishReason.REFUSAL), id="refusal"
    ),
    pytest.param(
        answer(ir.Image(source=ir.Inline(media_type="image/png", data="iVBORw0KGgo="))), id="image"
    ),
    pytest.param(answer(ir.CodeRun(call_id="x", code="1", output="2")), id="code"),
    pytest.param(answer(), id="nothing at all"),
    pytest.param(
        answer(finish_reason=ir.FinishReason.CONTENT_FILTER, explanation="unsafe"), id="filtered"
    ),
    pytest.param(
        answer(
            ir.Text(text="é x", citations=(ir.UrlCitation(url="https://e.com", start=2, end=3),)),
            usage=ir.Usage(input_tokens=5, output_tokens=7, reasoning_tokens=3),
        ),
        id="cited text",
    ),
]


def assembled(found: list[dict[str, Any]]) -> dict[str, Any]:
    """A client's view of a stream: parts one after the other, adjacent text joined, the last of the rest."""
    body: dict[str, Any] = {}
    candidate: dict[str, Any] = {}
    parts: list[dict[str, Any]] = []
    for item in found:
        body |= item
        candidate |= item["candidates"][0]
    for part in parts_of(found):
        last = parts[-1] if parts else None
        if part == {"text": ""}:
            continue
        if last is not None and set(part) == {"text"} and "text" in last and "thought" not in last:
            parts[-1] = {**last, "text": last["text"] + part["text"]}
        else:
            parts.append(part)
    return {**body, "candidates": [{**candidate, "content": {"parts": parts, "role": "model"}}]}


@pytest.mark.parametrize("response", ANSWERS)
def test_the_stream_says_what_the_whole_answer_says(response: ir.Response) -> None:
    streamed = assembled(chunks(encode(unfold(response))))
    whole = assembled([render_answer(response)])
    assert streamed == whole


@pytest.mark.parametrize("response", ANSWERS)
def test_array_framing_holds_the_same_chunks(response: ir.Response) -> None:
    events = list(unfold(response))
    found = loads(encode(events, writing(array_framing=True)))
    assert found == chunks(encode(events))


@pytest.mark.parametrize(
    "stream", [pytest.param(stream, id=f"example {i}") for i, stream in enumerate(STREAMS)]
)
def test_examples_survive_the_hub(stream: list[Any]) -> None:
    events = decode(sse(stream))
    again = decode(encode(events))
    kept = [e for e in events if not isinstance(e, ir.MessageStart | ir.Finish)]
    assert [e for e in again if not isinstance(e, ir.MessageStart | ir.Finish)] == kept
    assert again[-1] == events[-1] or isinstance(again[-1], ir.Finish)


def test_chunks_name_the_clients_model_and_one_id() -> None:
    found = chunks(encode(unfold(answer("a", call()))))
    assert {item["modelVersion"] for item in found} == {"shown"}
    assert len({item["responseId"] for item in found}) == 1
    assert found[0]["responseId"] != "up"


def test_usage_and_finish_reason_stand_in_the_last_chunk_only() -> None:
    found = chunks(
        encode(unfold(answer("a", "b", usage=ir.Usage(input_tokens=1, output_tokens=2))))
    )
    assert ["finishReason" in item["candidates"][0] for item in found] == [False, False, True]
    assert ["usageMetadata" in item for item in found] == [False, False, True]


def test_str_41_no_chunk_is_without_candidate_and_content() -> None:
    for item in chunks(encode(unfold(answer()))):
        check_answer(item)
        assert item["candidates"][0]["content"]["role"] == "model"


def test_str_21_and_22_a_call_is_one_part_when_it_is_complete() -> None:
    encoder = TRANSLATOR.encoder(writing(), Losses())
    encoder.encode(ir.MessageStart(id="x", model="m"))
    head = ir.ToolCall(call_id="c", name="f")
    assert encoder.encode(ir.PartStart(index=0, part=head)) == b""
    for piece in ("{}", "1", '"'):  # valid JSON by accident, or not at all
        assert encoder.encode(ir.PartDelta(0, piece)) == b""
    (item,) = chunks(encode(unfold(answer(call(arguments='{"a":[1]}')))))[:1]
    assert parts_of([item]) == [{"functionCall": {"name": "f", "args": {"a": [1]}, "id": "c1"}}]


def test_arguments_that_are_no_json_are_refused_in_strict() -> None:
    with pytest.raises(GatewayError) as caught:
        encode(unfold(answer(call(arguments="{oops"))), losses=Losses(Mode.STRICT, Side.RESPONSE))
    assert caught.value.kind is ErrorKind.UPSTREAM_MALFORMED


def test_arguments_that_are_no_json_are_kept_raw_in_max_compat() -> None:
    losses = Losses(side=Side.RESPONSE)
    found = chunks(encode(unfold(answer(call(arguments="{oops"))), losses=losses))
    assert parts_of(found)[0]["functionCall"]["args"] == {"_raw": "{oops"}
    assert losses.degradations


def test_a_call_that_the_limit_cut_is_left_out() -> None:
    losses = Losses(side=Side.RESPONSE)
    cut = answer("a", call(arguments='{"a":', complete=False), finish_reason=ir.FinishReason.LENGTH)
    found = chunks(encode(unfold(cut), losses=losses))
    assert not any("functionCall" in part for part in parts_of(found))
    assert found[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert losses.degradations


def test_the_state_of_reasoning_stands_on_the_part_after_it() -> None:
    found = chunks(encode(unfold(answer(ir.Reasoning(text="hm", state=ENCRYPTED), call()))))
    thought, functioncall, _ = parts_of(found)
    assert thought == {"text": "hm", "thought": True}
    restored = SEAL.unwrap(functioncall["thoughtSignature"])
    assert restored == ir.Reasoning(text="hm", state=ENCRYPTED)


def test_geminis_own_signature_goes_out_as_it_is() -> None:
    found = chunks(encode(unfold(answer(ir.Reasoning(state=state()), "hi"))))
    assert parts_of(found)[0] == {"text": "hi", "thoughtSignature": SIGNATURE}


def test_without_a_seal_foreign_state_is_recorded_as_lost() -> None:
    losses = Losses(side=Side.RESPONSE)
    response = answer(ir.Reasoning(text="hm", state=ENCRYPTED), "hi")
    found = chunks(encode(unfold(response), writing(seal=None), losses))
    assert not any("thoughtSignature" in part for part in parts_of(found))
    assert losses.degradations


def test_offsets_count_from_the_first_of_adjacent_texts() -> None:
    cited = ir.Text(text="zwei", citations=(ir.UrlCitation(url="u"),))
    found = chunks(encode(unfold(answer("für ", cited, call(), cited))))
    supports = found[-1]["candidates"][0]["groundingMetadata"]["groundingSupports"]
    assert [support["segment"] for support in supports] == [
        {"startIndex": 5, "endIndex": 9, "text": "zwei"},
        {"startIndex": 0, "endIndex": 4, "text": "zwei"},
    ]


def test_what_the_client_stores_comes_back_as_the_same_reasoning() -> None:
    """Two pieces of foreign reasoning and a call, through a Gemini client and back."""
    first = ir.Reasoning(text="one", state=ENCRYPTED, item_id="rs_1")
    second = ir.Reasoning(state=ENCRYPTED, item_id="rs_2")
    response = answer(first, second, call(), call("c2"))
    found = chunks(encode(unfold(response)))
    parts = [part for part in parts_of(found) if part != {"text": ""}]
    history = parse({"contents": [{"role": "model", "parts": parts}]}).messages[0].parts
    assert history == response.parts


def test_gemini_cli_breaks_on_line_separators() -> None:
    data = encode(unfold(answer("a\u2028b\u2029c", call(arguments='{"x":"\u2028"}'))))
    assert "\u2028" not in data.decode()
    assert parts_of(chunks(data))[0]["text"] == "a\u2028b\u2029c"


@pytest.mark.parametrize("is_array", [False, True])
@pytest.mark.parametrize("begun", [0, 1, 3])
def test_str_55_and_57_a_broken_upstream_ends_in_an_error_object(
    begun: int, is_array: bool
) -> None:
    error = GatewayError(ErrorKind.UPSTREAM_CUT, "upstream stream ended early")
    events = [*list(unfold(answer("a")))[:begun], ir.StreamFailed(error)]
    data = encode(events, writing(array_framing=is_array))
    found = loads(data) if is_array else chunks(data)
    assert found[-1]["error"] == {
        "code": 503,
        "message": "upstream stream ended early",
        "status": "UNAVAILABLE",
    }
    assert not any("finishReason" in repr(item) for item in found)


def test_a_heartbeat_is_a_blank_line_and_nothing_in_an_array() -> None:
    encoder = TRANSLATOR.encoder(writing(), Losses())
    assert encoder.ping() == b"\r\n\r\n"
    assert encoder.encode(ir.Ping()) == b"\r\n\r\n"
    assert TRANSLATOR.encoder(writing(array_framing=True), Losses()).ping() == b""


def test_heartbeats_between_chunks_change_nothing() -> None:
    events = list(unfold(answer("a", call())))
    with_pings = [item for event in events for item in (event, ir.Ping())][:-1]
    assert chunks(encode(with_pings)) == chunks(encode(events))


def test_events_out_of_order_are_our_bug() -> None:
    encoder = TRANSLATOR.encoder(writing(), Losses())
    with pytest.raises(StreamContractError):
        encoder.encode(ir.PartDelta(0, "x"))


def test_an_enum_leaves_its_json_quotes() -> None:
    raw = {
        "generationConfig": {"responseMimeType": "text/x.enum", "responseSchema": {"enum": ["a"]}}
    }
    how = writing(raw)
    events = [
        ir.MessageStart(id="x", model="m"),
        ir.PartStart(index=0, part=ir.Text(text="")),
        ir.PartDelta(0, '"gr'),
        ir.PartDelta(0, 'een"'),
        ir.PartEnd(index=0),
        ir.Finish(reason=ir.FinishReason.STOP),
    ]
    assert parts_of(chunks(encode(events, how)))[0] == {"text": "green"}
    assert parts_of([render_answer(answer('"green"'), how=how)]) == [{"text": "green"}]
    assert parts_of([render_answer(answer("green"), how=how)]) == [{"text": "green"}]


def test_prv_19_an_answer_without_content_is_not_dressed_up() -> None:
    (last,) = chunks(encode(unfold(answer())))
    assert parts_of([last]) == [{"text": ""}]
    assert last["candidates"][0]["finishReason"] == "STOP"
