"""Token counts and emulated compaction."""

from __future__ import annotations

from typing import Final

import pytest
from openai.types.responses import CompactedResponse
from openai.types.responses.input_token_count_response import InputTokenCountResponse

from tests.translators.openai_responses.support import (
    EXAMPLES,
    SEAL,
    check_events,
    encode,
    parse,
    parse_items,
    payloads,
    render,
)
from translators import ir
from translators.errors import ErrorKind, GatewayError
from translators.fold import unfold
from translators.losses import Mode
from translators.openai_responses import side
from translators.openai_responses.items import SUMMARY_INTRO
from translators.seal import Seal
from translators.wire import JsonObject


def _summary(text: str, **fields: object) -> ir.Response:
    given = {"finish_reason": ir.FinishReason.STOP, "parts": (ir.Text(text=text),), **fields}
    return ir.Response(id="x", model="m", **given)  # type: ignore[arg-type]


def test_cnt_07_token_count_has_the_shape_of_the_reference() -> None:
    [example] = EXAMPLES["input_tokens_response"]
    assert side.input_tokens_response(57) == example
    InputTokenCountResponse.model_validate(side.input_tokens_response(57), strict=True)


def test_compaction_round_trip() -> None:
    usage = ir.Usage(input_tokens=9000, output_tokens=600)
    body = side.compaction_response("We did X.", SEAL, upstream_id="u", now_s=5, usage=usage)
    CompactedResponse.model_validate(body, strict=True)
    assert set(body) == set(EXAMPLES["compact_response"][0])
    [item] = body["output"]
    assert "We did X." not in item["encrypted_content"]
    [message] = parse_items(item)
    assert message == ir.Message(
        role=ir.Role.USER, parts=(ir.Text(text=SUMMARY_INTRO + "We did X."),)
    )


@pytest.mark.parametrize(
    "seal",
    [pytest.param(None, id="no key"), pytest.param(Seal(b"another key 16bytes"), id="another key")],
)
def test_a_compaction_that_cannot_be_opened_is_refused_elsewhere(seal: Seal | None) -> None:
    [item] = side.compaction_response("secret", SEAL, upstream_id="u", now_s=5)["output"]
    request = parse({"input": [item]}, seal)
    [part] = request.messages[0].parts
    assert isinstance(part, ir.Foreign)
    assert set(part.rule[:3]) == {"reject"}


TRIGGERED: Final[JsonObject] = {
    "input": [{"role": "user", "content": "hi"}, {"type": "compaction_trigger"}],
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    "stream": True,
    "max_output_tokens": 20,
}


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        pytest.param(TRIGGERED, True, id="a trigger comes last"),
        pytest.param(
            {"input": [*TRIGGERED["input"], {"role": "user"}]}, False, id="an old trigger"
        ),
        pytest.param({"input": "hi"}, False, id="text"),
        pytest.param({"input": []}, False, id="nothing"),
        pytest.param({}, False, id="no input"),
    ],
)
def test_a_trigger_counts_as_the_last_item_only(body: JsonObject, wanted: bool) -> None:
    assert side.wants_compaction(body) is wanted


def test_the_summary_request_keeps_the_history_and_forbids_calls() -> None:
    asked = side.compaction_request(parse(TRIGGERED))
    body = render(asked, Mode.MAX_COMPAT)
    assert body["tool_choice"] == "none"
    assert "stream" not in body
    assert "max_output_tokens" not in body
    assert [item["content"][0]["text"] for item in body["input"]] == ["hi", side.SUMMARY_PROMPT]


@pytest.mark.parametrize("mode", [Mode.STRICT, Mode.BALANCED])
def test_a_summary_in_place_of_a_compaction_is_refused_outside_max_compat(mode: Mode) -> None:
    with pytest.raises(GatewayError) as caught:
        render(side.compaction_request(parse(TRIGGERED)), mode)
    assert caught.value.path == "input"


def test_a_trigger_is_answered_with_one_compaction_item() -> None:
    response = side.compacted(_summary("all of it"), SEAL)
    final = check_events(payloads(encode(unfold(response))))
    assert [item.type for item in final.output] == ["compaction"]
    [message] = parse_items(final.output[0].to_dict())
    assert message.parts == (ir.Text(text=SUMMARY_INTRO + "all of it"),)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(_summary(" "), id="no text"),
        pytest.param(_summary("half", finish_reason=ir.FinishReason.LENGTH), id="cut"),
        pytest.param(_summary("", parts=()), id="nothing"),
    ],
)
def test_an_answer_that_is_no_summary_fails(answer: ir.Response) -> None:
    with pytest.raises(GatewayError) as caught:
        side.compacted(answer, SEAL)
    assert caught.value.kind is ErrorKind.UPSTREAM_MALFORMED
