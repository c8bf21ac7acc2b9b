"""Pitfalls, group 9: reasoning, asked for, shown and brought back. RSN-06 (another account) is a matter of routing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.crossfire import (
    ASKED,
    A,
    C,
    G,
    R,
    chat,
    gemini,
    item_events,
    responses,
    sse,
    told,
    whole,
)
from tests.support.crossing import SEAL, parse_body
from translators import PROTOCOLS, ir
from translators.base import Target
from translators.losses import Losses, Mode
from translators.profile import Echo, ModelProfile, ThinkingForm
from translators.wire import dumps

TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "x"}]}
USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}


def rendered(
    upstream: str, client: str, body: dict[str, Any], mode: Mode = Mode.MAX_COMPAT, **profile: Any
) -> tuple[dict[str, Any], Losses]:
    losses = Losses(mode)
    target = Target(provider="up", model="m", profile=ModelProfile(**profile))
    request = parse_body(client, {**ASKED[client], **body})
    return PROTOCOLS[upstream].render_request(request, target, losses).body, losses


def claude_history(*thoughts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [*thoughts, USE]},
            RESULT,
        ],
        "tools": [TOOL],
        "max_tokens": 9000,
        **fields,
    }


def test_rsn_01_thinking_is_byte_exact_through_the_hub() -> None:
    block = {"type": "thinking", "thinking": " a\u2028\t\u00e9 \n", "signature": "EqQB+/=="}
    body, _losses = rendered(A, A, claude_history(block, thinking={"type": "adaptive"}))
    assert body["messages"][1]["content"][0] == block


@pytest.mark.parametrize("value", ["gAAAAABo", "bGxtZzEuAAAA"], ids=["foreign", "not our key"])
def test_rsn_05_state_of_another_vendor_is_never_a_signature(value: str) -> None:
    items = [
        {"type": "message", "role": "user", "content": "hi"},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "T"}],
            "encrypted_content": value,
        },
        {"type": "function_call", "call_id": "t1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "t1", "output": "x"},
    ]
    for upstream in (A, G, C):
        body, losses = rendered(upstream, R, {"input": items})
        assert value not in dumps(body).decode()
        assert losses.degradations or upstream == C


def test_rsn_05_what_this_gateway_wrapped_is_restored() -> None:
    state = ir.OpaqueState(
        kind=ir.StateKind.ANTHROPIC_SIGNATURE, value="EqQB", provider="up", model="m"
    )
    sealed = SEAL.wrap(ir.Reasoning(text="Two calls.", state=state))
    items = [
        {"type": "message", "role": "user", "content": "hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed},
        {"type": "function_call", "call_id": "t1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "t1", "output": "x"},
    ]
    body, _losses = rendered(A, R, {"input": items, "reasoning": {"effort": "high"}})
    assert body["messages"][1]["content"][0] == {
        "type": "thinking",
        "thinking": "Two calls.",
        "signature": "EqQB",
    }


def reasoning_then(*after: dict[str, Any], **reasoning: Any) -> dict[str, Any]:
    item = {"type": "reasoning", "id": "rs_1", "summary": []} | reasoning
    return {"input": [{"role": "user", "content": "hi"}, item, *after], "store": False}


def test_rsn_07_reasoning_without_its_content_is_left_out() -> None:
    said = {"role": "assistant", "content": "Hi"}
    body, _losses = rendered(R, R, reasoning_then(said))
    assert "rs_1" not in dumps(body).decode()
    assert [item["type"] for item in body["input"]] == ["message", "message"]
    body, _losses = rendered(R, R, reasoning_then(said, encrypted_content="gAAA"))
    assert body["input"][1]["encrypted_content"] == "gAAA"
    assert body["include"] == ["reasoning.encrypted_content"]


def test_rsn_08_reasoning_without_what_it_led_to_is_left_out() -> None:
    asked = {"role": "user", "content": "and?"}
    body, _losses = rendered(R, R, reasoning_then(asked, encrypted_content="gAAA"))
    assert "reasoning" not in [item["type"] for item in body["input"]]


@pytest.mark.parametrize(
    ("echo", "sent"), [(Echo.REQUIRED, "T"), (Echo.ALLOWED, "T"), (Echo.FORBIDDEN, None)]
)
def test_rsn_10_reasoning_goes_only_to_those_who_take_it(echo: Echo, sent: str | None) -> None:
    block = {"type": "thinking", "thinking": "T", "signature": "EqQB"}
    body, _losses = rendered(C, A, claude_history(block), reasoning_echo=echo)
    assert body["messages"][1].get("reasoning_content") == sent


def test_rsn_11_disabled_wins_over_effort() -> None:
    fields = {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}
    body, _losses = rendered(C, A, fields)
    assert body.get("reasoning_effort") in (None, "none")
    assert "thinking" not in body or "reasoning_effort" not in body


def test_rsn_14_unsigned_thinking_gets_a_mark_that_never_goes_out() -> None:
    data = sse(
        chat({"reasoning_content": "T"}), chat({"content": "Hi"}), chat({}, "stop"), "[DONE]"
    )
    frames = told(C, A, data).frames
    deltas = [f["delta"] for f in frames if f["type"] == "content_block_delta"]
    [signature] = [d["signature"] for d in deltas if d["type"] == "signature_delta"]
    assert signature
    answer = {"choices": [{"message": {"content": "Hi", "reasoning_content": "T"}, "finish_reason": "stop"}]}  # fmt: skip
    block = whole(C, A, answer)["content"][0]
    assert block["signature"] == signature
    body, losses = rendered(A, A, claude_history(block))
    assert signature not in dumps(body).decode()
    assert "thinking" not in [b["type"] for b in body["messages"][1]["content"]]
    assert losses.degradations


def test_rsn_16_the_documented_placeholder_for_anothers_call() -> None:
    body, losses = rendered(G, A, claude_history(), signatures_required=True)
    [part] = [p for p in body["contents"][1]["parts"] if "functionCall" in p]
    assert part["thoughtSignature"] == "skip_thought_signature_validator"
    assert losses.degradations
    body, _losses = rendered(G, A, claude_history(), signatures_required=False)
    assert "thoughtSignature" not in dumps(body).decode()


def test_rsn_16_only_the_first_call_of_a_step() -> None:
    second = USE | {"id": "t2"}
    results = RESULT["content"][0], RESULT["content"][0] | {"tool_use_id": "t2"}  # type: ignore[operator,index]
    history = claude_history()
    history["messages"][1]["content"].append(second)
    history["messages"][2] = {"role": "user", "content": list(results)}
    body, _losses = rendered(G, A, history, signatures_required=True)
    calls = [p for p in body["contents"][1]["parts"] if "functionCall" in p]
    assert [("thoughtSignature" in part) for part in calls] == [True, False]


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        (ThinkingForm.BUDGET, {"type": "enabled", "budget_tokens": 16384}),
        (ThinkingForm.ADAPTIVE, {"type": "adaptive"}),
    ],
)
def test_rsn_19_the_form_of_thinking_is_the_models(form: ThinkingForm, wanted: Any) -> None:
    fields = {"reasoning_effort": "high", "max_completion_tokens": 32000}
    body, _losses = rendered(A, C, fields, thinking_form=form)
    assert wanted.items() <= body["thinking"].items()
    effort = body.get("output_config", {}).get("effort")
    assert effort == ("high" if form is ThinkingForm.ADAPTIVE else None)


THOUGHTFUL: dict[str, dict[str, Any]] = {
    C: {"reasoning_effort": "high", "max_completion_tokens": 32000},
    R: {"reasoning": {"effort": "high"}, "max_output_tokens": 32000},
    A: {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 32000},
}


@pytest.mark.parametrize("client", THOUGHTFUL)
@pytest.mark.parametrize(("name", "value"), [("temperature", 0.2), ("top_p", 0.5), ("top_k", 5)])
def test_rsn_22_sampling_gives_way_to_thinking(client: str, name: str, value: float) -> None:
    if name == "top_k" and client != A:
        return  # they have no such field
    fields = {**THOUGHTFUL[client], name: value}
    body, losses = rendered(A, client, fields, thinking_form=ThinkingForm.BUDGET)
    assert body["thinking"]["type"] == "enabled"
    assert name not in body
    assert any(name in item.path for item in losses.degradations)


@pytest.mark.parametrize("client", THOUGHTFUL)
def test_rsn_22_one_of_two_sampling_values_where_both_are_refused(client: str) -> None:
    body, losses = rendered(A, client, {"temperature": 0.2, "top_p": 0.5})
    assert ("temperature" in body, "top_p" in body) == (True, False)
    assert any("top_p" in item.path for item in losses.degradations)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("none", "low"), ("minimal", "low"), ("low", "low"), ("medium", "low"),
        ("high", "high"), ("xhigh", "high"), ("max", "high"), ("ultra", "high"),
    ],
)  # fmt: skip
def test_rsn_23_the_nearest_level_that_the_model_has(asked: str, sent: str) -> None:
    levels = (ir.Level.LOW, ir.Level.HIGH)
    body, _losses = rendered(R, C, {"reasoning_effort": asked}, reasoning_levels=levels)
    assert body["reasoning"]["effort"] == sent


def test_rsn_24_never_off_where_it_cannot_be_and_only_one_of_two() -> None:
    fields = {"reasoning_effort": "none"}
    body, _losses = rendered(
        G, C, fields, thinking_form=ThinkingForm.BUDGET, budget_range=(128, 32768)
    )
    config = body["generationConfig"]["thinkingConfig"]
    assert config["thinkingBudget"] == 128
    assert "thinkingLevel" not in config


@pytest.mark.parametrize(
    ("profile", "sent"),
    [
        pytest.param({}, {"thinkingLevel": "LOW"}, id="a model of levels"),
        pytest.param(
            {"thinking_form": ThinkingForm.BUDGET, "budget_range": (128, 32768)},
            {"thinkingBudget"},
            id="a model of budgets",
        ),
    ],
)
def test_rsn_24_of_a_budget_and_a_level_one_is_sent(profile: Any, sent: Any) -> None:
    thinking = {"thinkingBudget": 0, "thinkingLevel": "low"}
    fields = {"generationConfig": {"thinkingConfig": thinking}}
    body, _losses = rendered(G, G, fields, **profile)
    config = body["generationConfig"]["thinkingConfig"]
    assert (config if isinstance(sent, dict) else set(config)) == sent


def test_rsn_25_summaries_are_asked_for() -> None:
    fields = {"reasoning": {"effort": "high", "summary": "auto"}, "max_output_tokens": 32000}
    body, _losses = rendered(A, R, fields, thinking_form=ThinkingForm.ADAPTIVE)
    assert body["thinking"]["display"] == "summarized"
    assert "redact" not in dumps(body).decode()


def test_rsn_27_a_placeholder_is_no_reasoning() -> None:
    history = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Hi", "reasoning_content": "[reasoning unavailable]"},
        {"role": "user", "content": "and?"},
    ]
    for upstream in (C, R, A, G):
        body, _losses = rendered(upstream, C, {"messages": history}, reasoning_echo=Echo.ALLOWED)
        assert "unavailable" not in dumps(body).decode()


THOUGHTS = sse(
    gemini({"text": "T", "thought": True}),
    gemini({"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ln"}),
    gemini({"text": ""}, finish="STOP"),
)


def test_rsn_29_thoughts_are_not_the_answer() -> None:
    result = told(G, A, THOUGHTS)
    kinds = [f["content_block"]["type"] for f in result.frames if "content_block" in f]
    assert kinds == ["thinking", "tool_use"]
    assert '"signature":"bGxtZzEu' in result.data.decode()
    frames = told(G, C, THOUGHTS).frames
    deltas = [c["delta"] for f in frames[:-1] for c in f["choices"]]
    assert "".join(d.get("content") or "" for d in deltas) == ""
    assert "".join(d.get("reasoning_content") or "" for d in deltas) == "T"


def test_rsn_05_a_stream_of_responses_seals_its_state() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    text = {
        "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
    }  # fmt: skip
    delta = {"type": "response.output_text.delta", "content_index": 0, "delta": "Hi"}
    data = responses(*item_events(0, item), *item_events(1, text, delta))
    for client in (A, G):
        assert b"gAAA" not in told(R, client, data).data
        assert b"bGxtZzEu" in told(R, client, data).data
