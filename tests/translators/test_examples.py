"""The worked example of the portability rules (section 24): one conversation in four spellings, each out of each.

Where a target does not get exactly its own spelling, the table below says what differs, and why.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.pitfalls import UPSTREAM_MODEL, A, C, G, R, cross

SCHEMA: Final = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
OSLO, ROME = '{"city":"Oslo"}', '{"city":"Rome"}'


def _function(call_id: str, arguments: str) -> dict[str, Any]:
    function = {"name": "get_weather", "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def _item(call_id: str, arguments: str) -> dict[str, Any]:
    return {
        "type": "function_call",
        "call_id": call_id,
        "name": "get_weather",
        "arguments": arguments,
    }


def _use(call_id: str, city: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "get_weather", "input": {"city": city}}


def _call(call_id: str, city: str) -> dict[str, Any]:
    return {"functionCall": {"id": call_id, "name": "get_weather", "args": {"city": city}}}


def _answer(call_id: str, response: dict[str, Any]) -> dict[str, Any]:
    return {"functionResponse": {"id": call_id, "name": "get_weather", "response": response}}


ASK: Final = "Weather in Oslo and Rome?"
SPELLED: Final[dict[str, dict[str, Any]]] = {
    C: {
        "model": "m",
        "stream": True,
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": ASK},
            {
                "role": "assistant",
                "content": "Checking.",
                "tool_calls": [_function("call_a1", OSLO), _function("call_b2", ROME)],
            },
            {"role": "tool", "tool_call_id": "call_a1", "content": "4 C"},
            {"role": "tool", "tool_call_id": "call_b2", "content": "Error: timeout"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "get_weather", "strict": True, "parameters": SCHEMA},
            }
        ],
        "tool_choice": "required",
        "reasoning_effort": "high",
        "max_completion_tokens": 4096,
    },
    R: {
        "model": "m",
        "stream": True,
        "store": False,
        "instructions": "Be brief.",
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": ASK}]},
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "Two calls."}],
                "encrypted_content": "bGxtZzEueyJ2IjoxfQ==",
            },
            {"type": "message", "role": "assistant", "content": "Checking."},
            _item("call_a1", OSLO),
            _item("call_b2", ROME),
            {"type": "function_call_output", "call_id": "call_a1", "output": "4 C"},
            {"type": "function_call_output", "call_id": "call_b2", "output": "Error: timeout"},
        ],
        "tools": [
            {"type": "function", "name": "get_weather", "strict": True, "parameters": SCHEMA}
        ],
        "tool_choice": "required",
        "reasoning": {"effort": "high", "summary": "auto"},
        "max_output_tokens": 4096,
    },
    A: {
        "model": "m",
        "stream": True,
        "max_tokens": 4096,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": ASK}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Two calls.", "signature": "EqQBCg..."},
                    {"type": "text", "text": "Checking."},
                    _use("call_a1", "Oslo"),
                    _use("call_b2", "Rome"),
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_a1", "content": "4 C"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "call_b2",
                        "content": "timeout",
                        "is_error": True,
                    },
                ],
            },
        ],
        "tools": [{"name": "get_weather", "strict": True, "input_schema": SCHEMA}],
        "tool_choice": {"type": "any"},
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "high"},
    },
    G: {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": ASK}]},
            {
                "role": "model",
                "parts": [
                    {"text": "Checking."},
                    {
                        **_call("call_a1", "Oslo"),
                        "thoughtSignature": "skip_thought_signature_validator",
                    },
                    _call("call_b2", "Rome"),
                ],
            },
            {
                "role": "user",
                "parts": [
                    _answer("call_a1", {"output": "4 C"}),
                    _answer("call_b2", {"error": "timeout"}),
                ],
            },
        ],
        "tools": [
            {"functionDeclarations": [{"name": "get_weather", "parametersJsonSchema": SCHEMA}]}
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {
            "maxOutputTokens": 4096,
            "thinkingConfig": {"thinkingLevel": "HIGH", "includeThoughts": True},
        },
    },
}


def expected(client: str, upstream: str) -> dict[str, Any]:
    """The upstream's spelling, less what this client did not say or could not hand on."""
    body = copy.deepcopy(SPELLED[upstream])
    if upstream != G:
        body["model"] = UPSTREAM_MODEL[upstream]
    _leave_out_foreign_thinking(body, upstream)
    if client in (C, R):
        _errors_are_words(body, upstream)
    if client == C:
        _no_summaries_are_asked_for(body, upstream)
    if client == G:
        _nothing_is_strict(body, upstream)
    if upstream == C:
        body["stream_options"] = {"include_usage": True}
    if upstream == R and client != R:
        body["include"] = ["reasoning.encrypted_content"]
    return body


def _leave_out_foreign_thinking(body: dict[str, Any], upstream: str) -> None:
    """Nobody understands the state of another: it does not go along, nor its words as text (section 12)."""
    if upstream == R:
        del body["input"][1]
    elif upstream == A:
        del body["messages"][1]["content"][0]


def _errors_are_words(body: dict[str, Any], upstream: str) -> None:
    """C and R have no error flag: what they call one is the result's text."""
    if upstream == A:
        result = body["messages"][2]["content"][1]
        result["content"] = "Error: timeout"
        del result["is_error"]
    elif upstream == G:
        body["contents"][2]["parts"][1] = _answer("call_b2", {"output": "Error: timeout"})


def _no_summaries_are_asked_for(body: dict[str, Any], upstream: str) -> None:
    """A Chat client has no place for them (section 11)."""
    if upstream == R:
        del body["reasoning"]["summary"]
    elif upstream == A:
        del body["thinking"]["display"]
    else:
        del body["generationConfig"]["thinkingConfig"]["includeThoughts"]


def _nothing_is_strict(body: dict[str, Any], upstream: str) -> None:
    """Gemini has no word for it; Responses takes silence for a yes, so it is told no."""
    tool = body["tools"][0]
    if upstream == R:
        tool["strict"] = False
    else:
        del tool.get("function", tool)["strict"]


PAIRS: Final = [(client, up) for client in SPELLED for up in SPELLED if client != up]


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_one_conversation_in_four_spellings(client: str, upstream: str) -> None:
    crossed = cross(
        client, upstream, SPELLED[client], stream=True, check=False, developer_role=True
    )
    assert crossed.body == expected(client, upstream)


ANTHROPIC: Final = json.loads(
    (Path(__file__).parent / "anthropic" / "data" / "examples.json").read_text()
)
TOOLS: Final = [{"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}]


@pytest.mark.parametrize("field", ["tool_choice", "output_config"])
def test_anthropics_documented_fields_go_out_as_they_came(field: str) -> None:
    for value in ANTHROPIC[field]:
        asked = {"max_tokens": 60000, "tools": TOOLS, field: value}
        assert cross(A, A, asked, check=False).body[field] == value
