"""Whole answers of an upstream and for a client; what is written passes the SDK's strict validation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.translators.openai_chat.support import (
    EXAMPLES,
    READING,
    answer,
    parse,
    parse_body,
    response_body,
    response_losses,
    writing,
)
from translators import ir
from translators.base import Reading
from translators.errors import ErrorKind, GatewayError
from translators.losses import Mode
from translators.openai_chat import TRANSLATOR

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


def failed(body: dict[str, Any]) -> GatewayError:
    """The error that an upstream's answer is read as."""
    with pytest.raises(GatewayError) as caught:
        TRANSLATOR.parse_response(body, READING, response_losses())
    return caught.value


# ---------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("body", EXAMPLES["response"], ids=lambda body: body["id"])
def test_the_documented_answers_come_out_as_they_came(body: dict[str, Any]) -> None:
    response = TRANSLATOR.parse_response(body, READING, response_losses(Mode.STRICT))
    out = response_body(response, writing(model=body["model"]))
    expected = json.loads(json.dumps(body))
    expected.pop("system_fingerprint", None)
    expected["choices"][0].setdefault("logprobs", None)
    for details in ("prompt_tokens_details", "completion_tokens_details"):
        for key in ("accepted_prediction_tokens", "rejected_prediction_tokens"):
            expected["usage"].get(details, {}).pop(key, None)
    assert out == expected


def test_the_parts_of_an_answer_in_order() -> None:
    response = parse_body(
        {"content": "x", "reasoning_content": "hm", "tool_calls": [CALL]}, "tool_calls"
    )
    assert response.parts == (
        ir.Reasoning(text="hm"),
        ir.Text(text="x"),
        ir.ToolCall(call_id="c", name="f", arguments='{"a":1}'),
    )
    assert (response.id, response.model, response.created_s) == ("chatcmpl-u", "real", 7)


def test_a_refusal() -> None:
    response = parse_body({"content": None, "refusal": "No."})
    assert response.parts == (ir.Refusal(text="No."),)
    assert (response.finish_reason, response.explanation) == (ir.FinishReason.REFUSAL, "No.")


def test_further_choices_are_alternatives() -> None:
    body = {
        "id": "x",
        "choices": [
            {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"},
            {"index": 1, "message": {"content": "b"}, "finish_reason": "length"},
        ],
    }
    response = TRANSLATOR.parse_response(body, READING, response_losses())
    assert response.parts == (ir.Text(text="a"),)
    other = ir.Candidate(parts=(ir.Text(text="b"),), finish_reason=ir.FinishReason.LENGTH)
    assert response.alternatives == (other,)
    out = response_body(response)
    assert [(c["index"], c["message"]["content"]) for c in out["choices"]] == [(0, "a"), (1, "b")]


def test_id_08_missing_call_ids_are_made_and_differ() -> None:
    nameless = {key: value for key, value in CALL.items() if key != "id"}
    response = parse_body({"tool_calls": [nameless, nameless]}, "tool_calls")
    ids = [part.call_id for part in response.parts if isinstance(part, ir.ToolCall)]
    assert len(set(ids)) == 2
    again = parse_body({"tool_calls": [nameless, nameless]}, "tool_calls")
    assert again == response


def test_stop_05_a_cut_call_is_marked() -> None:
    cut = {"id": "c", "function": {"name": "f", "arguments": '{"a":'}}
    response = parse_body({"tool_calls": [CALL, cut]}, "length")
    assert [p.complete for p in response.parts if isinstance(p, ir.ToolCall)] == [True, False]
    assert response.finish_reason is ir.FinishReason.LENGTH
    out = response_body(response)["choices"][0]
    assert out["finish_reason"] == "length"
    assert out["message"]["tool_calls"][1]["function"]["arguments"] == '{"a":'


def test_stop_10_a_call_without_a_name_fails_loudly() -> None:
    body = {"choices": [{"message": {"tool_calls": [{"id": "c"}]}, "finish_reason": "tool_calls"}]}
    assert failed(body).kind is ErrorKind.UPSTREAM_MALFORMED


def test_stop_11_a_legacy_function_call() -> None:
    response = parse_body({"function_call": {"name": "f", "arguments": "{}"}}, "function_call")
    assert isinstance(response.parts[0], ir.ToolCall)
    assert response.finish_reason is ir.FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("", ir.FinishReason.STOP),
        (None, ir.FinishReason.STOP),
        ("eos", ir.FinishReason.STOP),
        ("function_call", ir.FinishReason.STOP),
        ("sensitive", ir.FinishReason.CONTENT_FILTER),
        ("max_tokens", ir.FinishReason.LENGTH),
    ],
)
def test_stop_12_finish_words(word: str | None, reason: ir.FinishReason) -> None:
    assert parse_body({"content": "x"}, word).finish_reason is reason


def test_stop_12_the_servers_own_failure_is_an_error() -> None:
    body = {"choices": [{"message": {"content": ""}, "finish_reason": "error"}]}
    assert failed(body).kind is ErrorKind.SERVER_ERROR


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param({"error": {"message": "x", "code": 429}}, ErrorKind.RATE_LIMITED, id="error"),
        pytest.param({"code": 1113, "msg": "no"}, ErrorKind.SERVER_ERROR, id="code and msg"),
        pytest.param(
            {"base_resp": {"status_code": 1008, "status_msg": "x"}, "choices": None},
            ErrorKind.SERVER_ERROR,
            id="base_resp",
        ),
        pytest.param(
            {"code": "400", "message": "maximum context length is 5"},
            ErrorKind.CONTEXT_TOO_LONG,
            id="a code as text",
        ),
        pytest.param(
            {"choices": [{"error": {"code": 503, "message": "x"}, "message": {}}]},
            ErrorKind.OVERLOADED,
            id="inside the choice",
        ),
        pytest.param({"choices": []}, ErrorKind.UPSTREAM_MALFORMED, id="no choices"),
        pytest.param({}, ErrorKind.UPSTREAM_MALFORMED, id="nothing"),
        pytest.param({"choices": ["x"]}, ErrorKind.UPSTREAM_MALFORMED, id="a choice that is text"),
    ],
)
def test_err_12_failures_under_200_are_errors(body: dict[str, Any], kind: ErrorKind) -> None:
    assert failed(body).kind is kind


def test_a_good_answer_beside_a_success_envelope_is_an_answer() -> None:
    response = parse_body({"content": "x"}, base_resp={"status_code": 0, "status_msg": "success"})
    assert response.parts == (ir.Text(text="x"),)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param(
            {
                "prompt_tokens": 100,
                "completion_tokens": 20,
                "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 5},
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            ir.Usage(
                input_tokens=100,
                output_tokens=20,
                cache_read_tokens=60,
                cache_write_tokens=5,
                reasoning_tokens=7,
            ),
            id="as documented",
        ),
        pytest.param(
            {
                "prompt_tokens": 100,
                "completion_tokens": 20,
                "prompt_cache_hit_tokens": 60,
                "prompt_cache_miss_tokens": 40,
            },
            ir.Usage(input_tokens=100, output_tokens=20, cache_read_tokens=60),
            id="USE-10 DeepSeek",
        ),
        pytest.param(
            {"prompt_tokens": 100, "completion_tokens": 20, "cached_tokens": 60},
            ir.Usage(input_tokens=100, output_tokens=20, cache_read_tokens=60),
            id="USE-10 Moonshot",
        ),
        pytest.param(
            {"prompt_tokens": None, "completion_tokens": 20},
            ir.Usage(output_tokens=20),
            id="USE-16 null",
        ),
        pytest.param({"prompt_tokens": 0, "completion_tokens": 0}, ir.NO_USAGE, id="zeros"),
        pytest.param(None, ir.NO_USAGE, id="none"),
    ],
)
def test_usage(usage: Any, expected: ir.Usage) -> None:
    assert parse_body({"content": "x"}, usage=usage).usage == expected
    assert TRANSLATOR.usage({"usage": usage}) == expected


def test_use_10_usage_of_groq() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    assert TRANSLATOR.usage({"x_groq": {"usage": usage}}).input_tokens == 3


def test_reasoning_details_become_state() -> None:
    details = [{"type": "reasoning.encrypted", "data": "xyz"}]
    part = parse_body({"content": "x", "reasoning_details": details}).parts[0]
    assert isinstance(part, ir.Reasoning)
    assert part.text == ""
    assert part.state is not None
    assert json.loads(part.state.value) == details


def test_a_thought_signature_stands_before_its_call() -> None:
    signed = CALL | {"extra_content": {"google": {"thought_signature": "SIG"}}}
    first, second = parse_body({"tool_calls": [signed]}, "tool_calls").parts
    assert isinstance(first, ir.Reasoning)
    assert first.state is not None
    assert (first.state.value, first.state.provider) == ("SIG", "prov")
    assert isinstance(second, ir.ToolCall)


def test_content_in_parts_is_read() -> None:
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "x"},
    ]
    response = parse_body({"content": content})
    assert response.parts == (ir.Reasoning(text="hm"), ir.Text(text="x"))


def test_arguments_as_an_object_are_read() -> None:
    call = {"function": {"name": "f", "arguments": {"a": 9223372036854775807}}}
    part = parse_body({"tool_calls": [call]}).parts[0]
    assert isinstance(part, ir.ToolCall)
    assert part.arguments == '{"a":9223372036854775807}'


def test_spoken_output_becomes_its_transcript_and_says_so() -> None:
    losses = response_losses()
    choice = {"message": {"content": None, "audio": {"transcript": "hi"}}, "finish_reason": "stop"}
    response = TRANSLATOR.parse_response({"choices": [choice]}, READING, losses)
    assert response.parts == (ir.Text(text="hi"),)
    assert losses.degradations


def test_tool_names_are_restored() -> None:
    reading = Reading(provider="p", model="m", tools={"f": ir.ToolRef("fs.read", "ns")})
    choice = {"message": {"tool_calls": [CALL]}, "finish_reason": "stop"}
    part = TRANSLATOR.parse_response({"choices": [choice]}, reading, response_losses()).parts[0]
    assert isinstance(part, ir.ToolCall)
    assert part.ref == ir.ToolRef("fs.read", "ns")


# ---------------------------------------------------------------------------------------- writing


def test_a_plain_answer() -> None:
    out = response_body(answer(ir.Text(text="x"), usage=ir.Usage(input_tokens=3, output_tokens=2)))
    assert out.pop("id").startswith("chatcmpl-")
    assert out == {
        "object": "chat.completion",
        "created": 1000,
        "model": "shown",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "x", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


def test_use_02_cached_tokens_are_part_of_the_prompt() -> None:
    usage = ir.Usage(
        input_tokens=110,
        output_tokens=90,
        cache_read_tokens=60,
        cache_write_tokens=10,
        reasoning_tokens=64,
    )
    assert response_body(answer(usage=usage))["usage"] == {
        "prompt_tokens": 110,
        "completion_tokens": 90,
        "total_tokens": 200,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 64},
    }


def test_unknown_usage_is_left_out() -> None:
    assert "usage" not in response_body(answer(ir.Text(text="x")))


@pytest.mark.parametrize(
    ("reason", "parts", "word"),
    [
        (ir.FinishReason.STOP, (), "stop"),
        (ir.FinishReason.STOP_SEQUENCE, (), "stop"),
        (ir.FinishReason.LENGTH, (), "length"),
        (ir.FinishReason.CONTEXT_WINDOW, (), "length"),
        (ir.FinishReason.CONTENT_FILTER, (), "content_filter"),
        (ir.FinishReason.REFUSAL, (), "content_filter"),
        (ir.FinishReason.REFUSAL, (ir.Refusal(text="No."),), "stop"),
        (ir.FinishReason.PAUSE, (), "length"),
        (ir.FinishReason.TOOL_CALLS, (ir.ToolCall(call_id="c", name="f"),), "tool_calls"),
        (ir.FinishReason.STOP, (ir.ToolCall(call_id="c", name="f"),), "tool_calls"),
        (ir.FinishReason.LENGTH, (ir.ToolCall(call_id="c", name="f"),), "length"),
        (ir.FinishReason.TOOL_CALLS, (), "stop"),
    ],
)
def test_finish_reasons(reason: ir.FinishReason, parts: tuple[ir.Part, ...], word: str) -> None:
    out = response_body(answer(*parts, finish_reason=reason))
    assert out["choices"][0]["finish_reason"] == word


def test_content_is_null_without_text_and_arguments_are_json() -> None:
    message = response_body(answer(ir.ToolCall(call_id="c", name="f")))["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"][0]["function"]["arguments"] == "{}"


def test_a_filter_without_text_tells_its_reason_as_refusal() -> None:
    response = answer(finish_reason=ir.FinishReason.CONTENT_FILTER, explanation="Not that.")
    assert response_body(response)["choices"][0]["message"]["refusal"] == "Not that."
    spoken = answer(
        ir.Text(text="x"), finish_reason=ir.FinishReason.CONTENT_FILTER, explanation="Not that."
    )
    assert response_body(spoken)["choices"][0]["message"]["refusal"] is None


def test_a_client_of_legacy_functions() -> None:
    how = writing(request=parse(functions=[{"name": "f"}]))
    choice = response_body(answer(ir.ToolCall(call_id="c", name="f")), how)["choices"][0]
    assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == "function_call"


def test_reasoning_is_shown_where_configured_and_its_state_never() -> None:
    state = ir.OpaqueState(kind=ir.StateKind.ANTHROPIC_SIGNATURE, value="SECRET-STATE")
    response = answer(ir.Reasoning(text="hm", state=state), ir.Text(text="x"))
    shown = response_body(response, writing(chat_reasoning="reasoning"))
    assert shown["choices"][0]["message"]["reasoning"] == "hm"
    losses = response_losses(Mode.STRICT)
    hidden = response_body(response, losses=losses)
    assert "hm" not in json.dumps(hidden)
    assert "SECRET-STATE" not in json.dumps([shown, hidden])
    assert losses.degradations


def test_traces_of_hosted_tools_are_dropped_with_a_record() -> None:
    losses = response_losses(Mode.STRICT)
    response_body(answer(ir.WebSearch(call_id="w"), ir.Text(text="x")), losses=losses)
    assert len(losses.degradations) == 1


def test_log_probabilities() -> None:
    token = ir.TokenLogprob(token="x", logprob=-1, bytes=(120,))
    out = response_body(answer(ir.Text(text="x"), logprobs=(token,)))
    assert out["choices"][0]["logprobs"] == {
        "content": [{"token": "x", "logprob": -1.0, "bytes": [120], "top_logprobs": []}],
        "refusal": None,
    }


def test_response_ids_correlate_and_are_never_foreign() -> None:
    first, again = (response_body(answer(id="msg_1"))["id"] for _ in range(2))
    assert first == again != response_body(answer(id="msg_2"))["id"]
    assert response_body(answer(id="chatcmpl-x"))["id"] == "chatcmpl-x"
    assert response_body(answer(id=""))["id"].startswith("chatcmpl-")
