"""Pitfalls, group 11: structured output."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.pitfalls import TEXTS, A, C, G, R, answer, cross, sse, stream
from translators import ir
from translators.errors import GatewayError
from translators.losses import Mode
from translators.profile import SchemaFallback
from translators.wire import loads

STRICT = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
OPTIONAL = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "note": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
}


def chat(schema: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    """A Chat request for JSON."""
    wanted: dict[str, Any] = {"type": "json_object"}
    if schema is not None:
        wanted = {
            "type": "json_schema",
            "json_schema": {"name": "place", "schema": schema, "strict": True},
        }
    return {**TEXTS[C], "response_format": wanted, **more}


def responses(schema: dict[str, Any] | None) -> dict[str, Any]:
    """A Responses request for JSON."""
    wanted: dict[str, Any] = {"type": "json_object"}
    if schema is not None:
        wanted = {"type": "json_schema", "name": "place", "schema": schema, "strict": True}
    return {"input": "Answer in JSON.", "text": {"format": wanted}}


def test_out_01_flat_becomes_nested() -> None:
    body = cross(R, C, responses(STRICT)).body
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "place", "schema": STRICT, "strict": True},
    }


def test_out_01_nested_becomes_flat() -> None:
    body = cross(C, R, chat(STRICT)).body
    assert body["text"]["format"] == {
        "type": "json_schema",
        "name": "place",
        "schema": STRICT,
        "strict": True,
    }


@pytest.mark.parametrize(("client", "make"), [(C, chat), (R, responses)], ids=["chat", "responses"])
def test_out_02_gemini_gets_a_type_and_only_with_a_schema_a_schema(client: str, make: Any) -> None:
    config = cross(client, G, make(STRICT)).body["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    schema = config["responseJsonSchema"]
    assert schema["properties"] == {"city": {"type": "string"}}
    assert schema["required"] == ["city"]
    config = cross(client, G, make(None)).body["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert not {"responseJsonSchema", "responseSchema"} & set(config)


def test_out_02_a_gemini_without_json_schema_gets_its_own_flavour() -> None:
    config = cross(C, G, chat(STRICT), openapi_schemas=True).body["generationConfig"]
    assert config["responseSchema"]["type"] == "OBJECT"
    assert "responseJsonSchema" not in config
    assert "additionalProperties" not in config["responseSchema"]


@pytest.mark.parametrize("upstream", [C, R])
def test_out_03_an_optional_property_stays_optional(upstream: str) -> None:
    asked = {"output_config": {"format": {"type": "json_schema", "schema": OPTIONAL}}}
    crossed = cross(A, upstream, asked)
    if upstream == C:
        wanted = crossed.body["response_format"]["json_schema"]
    else:
        wanted = crossed.body["text"]["format"]
    assert wanted["schema"]["required"] == ["city"]
    assert wanted["schema"]["properties"] == OPTIONAL["properties"]
    assert not wanted.get("strict")
    assert wanted["name"]


@pytest.mark.parametrize("upstream", [C, R])
def test_out_03_a_schema_that_fits_is_strict(upstream: str) -> None:
    asked = {"output_config": {"format": {"type": "json_schema", "schema": STRICT}}}
    text = cross(A, upstream, asked).text
    assert '"strict":true' in text


def test_out_04_native_where_it_is_supported() -> None:
    body = cross(C, A, chat(STRICT)).body
    assert body["output_config"]["format"]["type"] == "json_schema"
    assert body["output_config"]["format"]["schema"]["required"] == ["city"]
    assert "tools" not in body


WANTED_BY: dict[str, dict[str, Any]] = {
    C: chat(STRICT),
    R: responses(STRICT),
    G: {
        **TEXTS[G],
        "generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": STRICT},
    },
}


@pytest.mark.parametrize("client", [C, R, G])
def test_out_04_elsewhere_the_answer_is_asked_for_as_a_tools_arguments(client: str) -> None:
    crossed = cross(client, A, WANTED_BY[client], json_schema=False, mode=Mode.BALANCED)
    assert "format" not in crossed.body.get("output_config", {})
    (tool,) = crossed.body["tools"]
    assert tool["input_schema"] == STRICT
    assert crossed.body["tool_choice"] == {"type": "tool", "name": tool["name"]}
    assert "tool" in crossed.lost
    with pytest.raises(GatewayError):
        cross(client, A, WANTED_BY[client], json_schema=False, mode=Mode.STRICT)


ANSWERED: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [
        {"type": "tool_use", "id": "toolu_1", "name": "answer", "input": {"city": "Oslo"}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


def test_out_04_the_call_comes_back_as_text() -> None:
    crossed = cross(C, A, chat(STRICT), json_schema=False)
    body, _ = answer(A, C, ANSWERED, crossed)
    (choice,) = body["choices"]
    assert choice["finish_reason"] == "stop"
    assert loads(choice["message"]["content"]) == {"city": "Oslo"}
    assert not choice["message"].get("tool_calls")


def test_out_04_the_call_is_streamed_as_text() -> None:
    crossed = cross(R, A, responses(STRICT), json_schema=False, stream=True)
    call = {"type": "tool_use", "id": "toolu_1", "name": "answer", "input": {}}
    pieces = ['{"ci', 'ty":"Os', 'lo"}']
    data = sse(
        {"type": "message_start", "message": {**ANSWERED, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": call},
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "input_json_delta", "partial_json": piece},
            }
            for piece in pieces
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"output_tokens": 1},
        },
        {"type": "message_stop"},
    )
    events = stream(A, R, data, crossed)
    said = [e["delta"] for e in events if e["type"] == "response.output_text.delta"]
    assert said == pieces
    assert events[-1]["response"]["output"][0]["type"] == "message"


def test_out_04_beside_the_clients_tools_one_of_all_must_be_called() -> None:
    asked = chat(STRICT, tools=[TOOL])
    crossed = cross(C, A, asked, json_schema=False)
    assert crossed.body["tool_choice"] == {"type": "any"}
    assert [tool["name"] for tool in crossed.body["tools"]] == [TOOL["function"]["name"], "answer"]  # type: ignore[index]
    forced = cross(C, A, {**asked, "tool_choice": "required"}, json_schema=False)
    assert len(forced.body["tools"]) == 1
    none = cross(C, A, {**asked, "tool_choice": "none"}, json_schema=False)
    assert none.body["tool_choice"] == {"type": "tool", "name": "answer"}


def test_out_04_a_tool_of_that_name_keeps_it() -> None:
    mine = {"type": "function", "function": {"name": "answer", "parameters": {"type": "object"}}}
    crossed = cross(C, A, chat(STRICT, tools=[mine]), json_schema=False)
    assert [tool["name"] for tool in crossed.body["tools"]] == ["answer", "answer_2"]
    assert crossed.reading.answer_tool == ir.ToolRef("answer_2")


def test_out_04_an_array_is_wrapped_and_taken_out_again() -> None:
    crossed = cross(C, A, chat({"type": "array", "items": {"type": "string"}}), json_schema=False)
    assert crossed.body["tools"][0]["input_schema"]["required"] == ["value"]
    call = {"type": "tool_use", "id": "t", "name": "answer", "input": {"value": ["a"]}}
    body, _ = answer(A, C, {**ANSWERED, "content": [call]}, crossed)
    assert loads(body["choices"][0]["message"]["content"]) == ["a"]


@pytest.mark.parametrize("upstream", [C, R])
def test_out_04_a_profile_may_want_the_tool_elsewhere_too(upstream: str) -> None:
    asked = {"output_config": {"format": {"type": "json_schema", "schema": STRICT}}}
    crossed = cross(A, upstream, asked, json_schema=False, schema_fallback=SchemaFallback.TOOL)
    assert len(crossed.body["tools"]) == 1
    assert "answer" in str(crossed.body["tool_choice"])


def test_out_04_or_words() -> None:
    words = {"json_schema": False, "schema_fallback": SchemaFallback.WORDS}
    crossed = cross(C, A, chat(STRICT), **words)  # type: ignore[arg-type]
    assert '"city"' in crossed.body["system"][0]["text"]
    assert "response_format" in crossed.lost
    with pytest.raises(GatewayError):
        cross(C, A, chat(STRICT), mode=Mode.BALANCED, **words)  # type: ignore[arg-type]


@pytest.mark.parametrize("client", [C, R])
def test_out_06_tools_and_a_schema_on_an_older_gemini(client: str) -> None:
    asked = chat(STRICT, tools=[TOOL])
    if client == R:
        flat = {"type": "function", **TOOL["function"]}  # type: ignore[dict-item]
        asked = {**responses(STRICT), "tools": [flat]}
    crossed = cross(client, G, asked, schema_with_tools=False)
    assert crossed.body["tools"]
    config = crossed.body.get("generationConfig", {})
    assert not {"responseMimeType", "responseJsonSchema", "responseSchema"} & set(config)
    assert crossed.lost
    kept = cross(client, G, asked, schema_with_tools=True).body
    assert kept["generationConfig"]["responseMimeType"] == "application/json"


@pytest.mark.parametrize("client", [R, A, G])
def test_out_07_an_upstream_that_knows_json_but_no_schema(client: str) -> None:
    asked = {
        R: responses(STRICT),
        A: {"output_config": {"format": {"type": "json_schema", "schema": STRICT}}},
        G: {
            **TEXTS[G],
            "generationConfig": {
                "responseMimeType": "application/json",
                "responseJsonSchema": STRICT,
            },
        },
    }[client]
    crossed = cross(client, C, asked, json_schema=False)
    assert crossed.body["response_format"] == {"type": "json_object"}
    said = " ".join(str(message["content"]) for message in crossed.body["messages"])
    assert '"city"' in said
    assert "json" in said.lower()
    assert crossed.lost


def test_out_07_neither_of_them() -> None:
    crossed = cross(R, C, responses(STRICT), json_schema=False, json_object=False)
    assert "response_format" not in crossed.body
    assert "city" in str(crossed.body["messages"])
    assert crossed.lost
