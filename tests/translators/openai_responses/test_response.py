"""Whole answers."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from openai.types.responses import Response

from tests.translators.openai_responses.support import (
    CAPTURES,
    EXAMPLES,
    READING,
    encode,
    payloads,
    writing,
)
from translators import ir
from translators.errors import ErrorKind, GatewayError
from translators.fold import unfold
from translators.losses import Losses, Mode, Side
from translators.openai_responses import TRANSLATOR

USAGE = ir.Usage(
    input_tokens=1200,
    output_tokens=90,
    cache_read_tokens=1024,
    cache_write_tokens=128,
    reasoning_tokens=64,
)


def read(body: dict[str, Any], losses: Losses | None = None) -> ir.Response:
    """An upstream's answer."""
    return TRANSLATOR.parse_response(body, READING, losses or Losses(side=Side.RESPONSE))


def answer(*output: Any, **fields: Any) -> dict[str, Any]:
    """A completed response object."""
    return {"id": "resp_1", "status": "completed", "output": list(output), **fields}


def write(response: ir.Response, losses: Losses | None = None, **how: Any) -> dict[str, Any]:
    """A client's answer, judged by the SDK."""
    body = TRANSLATOR.render_response(
        response, writing(**how), losses or Losses(side=Side.RESPONSE)
    )
    Response.model_validate(body, strict=True)
    return body


def hub(
    *parts: ir.Part, reason: ir.FinishReason = ir.FinishReason.STOP, **fields: Any
) -> ir.Response:
    """An answer as another protocol's parser might have made it."""
    return ir.Response(id="msg_01", model="x", parts=parts, finish_reason=reason, **fields)


def test_the_response_of_the_reference() -> None:
    [example] = EXAMPLES["response"]
    response = read(example)
    state = ir.OpaqueState(
        kind=ir.StateKind.RESPONSES_ENCRYPTED, value="gAAAA...", provider="p", model="m"
    )
    citation = ir.UrlCitation(url="https://yr.no", title="Yr", start=0, end=4)
    assert response == ir.Response(
        id="resp_1",
        model="gpt-6-sol",
        parts=(
            ir.Reasoning(text="Check the weather.", state=state, item_id="rs_1"),
            ir.Text(text="Oslo is 4 C.", citations=(citation,), phase="final_answer"),
        ),
        finish_reason=ir.FinishReason.STOP,
        created_s=1794000000,
        usage=ir.Usage(
            input_tokens=1200,
            output_tokens=90,
            cache_read_tokens=1024,
            cache_write_tokens=128,
            cache_write_long_tokens=0,
            cache_write_longest_tokens=0,
            reasoning_tokens=64,
        ),
        service_tier="default",
    )
    written = write(response)
    assert written["output"][0] == example["output"][0]
    assert written["output"][1]["content"] == example["output"][1]["content"]
    assert written["output"][1]["phase"] == "final_answer"
    for name, value in written["usage"].items():
        told = example["usage"][name]
        assert value == ({key: told[key] for key in value} if isinstance(value, dict) else told)


def test_messages_of_several_phases_stay_apart() -> None:
    said = [
        {
            "id": f"msg_{place}",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "phase": phase,
            "content": [{"type": "output_text", "text": phase, "annotations": []}],
        }
        for place, phase in enumerate(("commentary", "final_answer"))
    ]
    response = read(answer(*said))
    for output in (
        write(response)["output"],
        payloads(encode(unfold(response)))[-1]["response"]["output"],
    ):
        assert [(item["phase"], item["content"][0]["text"]) for item in output] == [
            ("commentary", "commentary"),
            ("final_answer", "final_answer"),
        ]


@pytest.mark.parametrize("item", EXAMPLES["output_item"][0], ids=lambda item: item["type"])
def test_every_output_item_is_read_and_can_go_back(item: dict[str, Any]) -> None:
    before = copy.deepcopy(item)
    response = read(answer(item))
    assert len(response.parts) == 1
    [again] = write(response)["output"]
    assert again["type"] == item["type"]
    assert item == before


@pytest.mark.parametrize(
    ("status", "reason", "output", "finish"),
    [
        ("completed", None, [], ir.FinishReason.STOP),
        (None, None, [], ir.FinishReason.STOP),
        ("completed", None, ["function_call"], ir.FinishReason.TOOL_CALLS),
        ("completed", None, ["custom_tool_call"], ir.FinishReason.TOOL_CALLS),
        ("completed", None, ["web_search_call"], ir.FinishReason.STOP),
        ("incomplete", "max_output_tokens", ["function_call"], ir.FinishReason.LENGTH),
        ("incomplete", "max_messages", [], ir.FinishReason.LENGTH),
        ("incomplete", "content_filter", [], ir.FinishReason.CONTENT_FILTER),
        ("incomplete", "steered", [], ir.FinishReason.STOP),
        ("incomplete", "brand_new", [], ir.FinishReason.LENGTH),
        ("incomplete", None, [], ir.FinishReason.LENGTH),
    ],
)
def test_stop_07_why_an_answer_ended(
    status: str | None, reason: str | None, output: list[str], finish: ir.FinishReason
) -> None:
    items = [i for i in EXAMPLES["output_item"][0] if i["type"] in output]
    details = {"reason": reason} if reason else None
    losses = Losses(side=Side.RESPONSE)
    body = answer(*items, status=status, incomplete_details=details)
    assert read(body, losses).finish_reason is finish
    known = status != "incomplete" or reason not in (None, "brand_new")
    assert bool(losses.degradations) is not known


def test_a_refusal_explains_itself() -> None:
    response = read(answer(EXAMPLES["output_item"][0][1]))
    assert response.finish_reason is ir.FinishReason.REFUSAL
    assert response.explanation == "no"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param({"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "m"}}, ErrorKind.RATE_LIMITED, id="failed"),
        pytest.param({"status": "cancelled"}, ErrorKind.CANCELLED, id="cancelled"),
        pytest.param({"error": {"message": "m", "code": "insufficient_quota"}}, ErrorKind.BILLING, id="an error under 200"),
        pytest.param({"output": []} | {"status": "in_progress"}, ErrorKind.UPSTREAM_MALFORMED, id="not finished"),
        pytest.param({"choices": []}, ErrorKind.UPSTREAM_MALFORMED, id="another protocol"),
    ],
)  # fmt: skip
def test_err_12_answers_that_are_failures(body: dict[str, Any], kind: ErrorKind) -> None:
    with pytest.raises(GatewayError) as caught:
        read(body)
    assert caught.value.kind is kind


@pytest.mark.parametrize(
    ("reason", "status", "detail"),
    [
        (ir.FinishReason.STOP, "completed", None),
        (ir.FinishReason.STOP_SEQUENCE, "completed", None),
        (ir.FinishReason.TOOL_CALLS, "completed", None),
        (ir.FinishReason.REFUSAL, "completed", None),
        (ir.FinishReason.LENGTH, "incomplete", "max_output_tokens"),
        (ir.FinishReason.CONTEXT_WINDOW, "incomplete", "max_output_tokens"),
        (ir.FinishReason.PAUSE, "incomplete", "max_output_tokens"),
        (ir.FinishReason.CONTENT_FILTER, "incomplete", "content_filter"),
    ],
)
def test_status_of_a_written_answer(
    reason: ir.FinishReason, status: str, detail: str | None
) -> None:
    body = write(hub(ir.Text(text="Hi"), reason=reason))
    assert body["status"] == status
    assert body["incomplete_details"] == ({"reason": detail} if detail else None)
    assert body["output"][0]["status"] == status


def test_every_finish_reason_has_a_status() -> None:
    for reason in ir.FinishReason:
        write(hub(reason=reason))


def test_use_06_all_details_are_always_there() -> None:
    assert write(hub(usage=ir.Usage(input_tokens=1, output_tokens=2)))["usage"] == {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 3,
    }


def test_use_02_the_worked_example_of_the_rules() -> None:
    usage = write(hub(usage=USAGE))["usage"]
    assert usage["total_tokens"] == 1290
    assert usage["input_tokens_details"] == {"cached_tokens": 1024, "cache_write_tokens": 128}
    assert usage["output_tokens_details"] == {"reasoning_tokens": 64}


def test_usage_that_nobody_told_is_null() -> None:
    assert write(hub())["usage"] is None
    assert TRANSLATOR.usage({}) == ir.NO_USAGE
    assert TRANSLATOR.usage({"usage": {"input_tokens": None, "output_tokens": "x"}}) == ir.NO_USAGE


def test_hosted_searches_are_counted_apart() -> None:
    body = write(hub(usage=ir.Usage(input_tokens=1, output_tokens=1, web_searches=2)))
    assert body["tool_usage"]["web_search"] == {"num_requests": 2}
    assert TRANSLATOR.usage(body).web_searches == 2


def test_ids_are_derived_and_stable() -> None:
    response = hub(ir.Text(text="Hi"), ir.ToolCall(call_id="c", name="f", arguments="{}"))
    first, second = write(response), write(response)
    assert first == second
    assert first["id"].startswith("resp_")
    assert len(first["id"]) == len("resp_") + 48
    assert [item["id"].split("_")[0] for item in first["output"]] == ["msg", "fc"]
    assert write(read(answer(id="resp_own")))["id"] == "resp_own"


def test_ids_of_own_items_are_kept_where_they_fit() -> None:
    call = ir.ToolCall(call_id="c", name="f", arguments="{}", item_id="fc_own")
    strange = ir.ToolCall(call_id="d", name="f", arguments="{}", item_id="toolu_1")
    first, second = write(hub(call, strange))["output"]
    assert first["id"] == "fc_own"
    assert second["id"].startswith("fc_")


@pytest.mark.parametrize("name", list(CAPTURES))
def test_the_echo_of_real_requests(name: str) -> None:
    for raw in CAPTURES[name]:
        body = write(hub(ir.Text(text="Hi")), raw=raw)
        assert body["tool_choice"] == raw.get("tool_choice", "auto")
        assert body["metadata"] == {}


def test_the_echo_is_of_the_request() -> None:
    raw = {
        "instructions": "S",
        "metadata": {"a": "b"},
        "temperature": 0.2,
        "tools": [{"type": "function", "name": "f"}, {"type": "brand_new"}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"verbosity": "low"},
        "reasoning": {"effort": "low"},
        "background": True,
        "store": True,
    }
    body = write(hub(), raw=raw)
    assert body["instructions"] == "S"
    assert body["metadata"] == {"a": "b"}
    assert body["temperature"] == 0.2
    assert body["tools"] == [{"type": "function", "name": "f", "parameters": None, "strict": None}]
    assert body["tool_choice"] == {"type": "function", "name": "f"}
    assert body["text"] == {"verbosity": "low", "format": {"type": "text"}}
    assert (body["background"], body["store"]) == (False, False)
    assert "parameters" not in raw["tools"][0]  # type: ignore[index]


def test_a_filter_without_text_is_explained() -> None:
    body = write(hub(reason=ir.FinishReason.CONTENT_FILTER, explanation="unsafe"))
    assert body["output"][0]["content"] == [{"type": "refusal", "refusal": "unsafe"}]
    said = write(
        hub(ir.Text(text="x"), reason=ir.FinishReason.CONTENT_FILTER, explanation="unsafe")
    )
    assert [part["type"] for part in said["output"][0]["content"]] == ["output_text"]


def test_further_answers_are_recorded() -> None:
    losses = Losses(side=Side.RESPONSE)
    other = ir.Candidate(parts=(), finish_reason=ir.FinishReason.STOP)
    write(hub(alternatives=(other,)), losses)
    assert [d.path for d in losses.degradations] == ["response.alternatives"]


def test_logprobs_stand_at_the_text() -> None:
    value = ir.TokenLogprob(token="Hé", logprob=-0.5)
    body = write(hub(ir.Text(text="Hé"), logprobs=(value,)))
    assert body["output"][0]["content"][0]["logprobs"] == [
        {"token": "Hé", "bytes": [72, 195, 169], "logprob": -0.5, "top_logprobs": []}
    ]
    assert read(body).logprobs[0].token == "Hé"


def test_audio_is_refused_unless_losses_are_fine() -> None:
    audio = ir.Audio(source=ir.Inline(media_type="audio/wav", data="AAAA"))
    assert write(hub(audio))["output"] == []
    with pytest.raises(GatewayError):
        write(hub(audio), Losses(Mode.BALANCED, Side.RESPONSE))


def test_id_08_calls_without_ids() -> None:
    item = {"type": "function_call", "name": "f", "arguments": "{}"}
    first, second = read(answer(item, item)).parts
    assert isinstance(first, ir.ToolCall)
    assert isinstance(second, ir.ToolCall)
    assert first.call_id != second.call_id
    assert first.call_id.startswith("call_")
