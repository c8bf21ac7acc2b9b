"""What Chat Completions refuses, in OpenAI's words."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.fake.rejection import Rejection
from scripts.fake.validate_chat import validate
from tests.scripts.fake.bodies import CITY, chat, chat_tool

CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
ASKED = {"role": "user", "content": "hi"}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
ANSWERED = {"role": "tool", "tool_call_id": "call_1", "content": "4 C"}


def said(*messages: Any) -> dict[str, Any]:
    return chat(messages=list(messages))


def user(*parts: Any) -> dict[str, Any]:
    return said({"role": "user", "content": list(parts)})


def strict(schema: Any) -> dict[str, Any]:
    return chat(tools=[chat_tool(parameters=schema, strict=True)])


GOOD = [
    pytest.param(chat(), id="the smallest request"),
    pytest.param(said(ASKED, CALLED, ANSWERED), id="a call and its result"),
    pytest.param(
        said(ASKED, {**CALLED, "content": ""}, ANSWERED, ASKED), id="empty text beside calls"
    ),
    pytest.param(
        said({"role": "developer", "content": "x"}, ASKED, {"role": "system", "content": "y"}),
        id="system anywhere",
    ),
    pytest.param(strict(CITY), id="a strict schema in the subset"),
    pytest.param(
        chat(tools=[chat_tool(parameters={"type": "object", "$comment": "x"})]),
        id="any keyword without strict",
    ),
    pytest.param(chat(stream=True, stream_options={"include_usage": True}), id="stream options"),
    pytest.param(
        user({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}}),
        id="an image as data",
    ),
    pytest.param(
        chat(
            tools=[chat_tool()],
            tool_choice={"type": "function", "function": {"name": "get_weather"}},
        ),
        id="a named tool",
    ),
]
BAD = [
    pytest.param(chat(thinking={}), "Unknown parameter: 'thinking'.", id="unknown field"),
    pytest.param({"model": "m"}, "Missing required parameter: 'messages'.", id="no messages field"),
    pytest.param(said(), "'messages': empty", id="no messages"),
    pytest.param(
        said({"role": "robot", "content": "x"}), "Invalid value: 'robot'", id="unknown role"
    ),
    pytest.param(
        said({"role": "user", "content": 7}), "expected one of string or array", id="content type"
    ),
    pytest.param(
        said({**ASKED, "reasoning_content": "x"}), "messages[0].reasoning_content", id="user extra"
    ),
    pytest.param(
        said(ASKED, {"role": "assistant", "content": "x", "reasoning_content": "y"}),
        "Unknown parameter: 'messages[1].reasoning_content'",
        id="reasoning text where the vendor has none",
    ),
    pytest.param(user(), "empty or too short", id="empty content array"),
    pytest.param(user({"type": "text", "text": ""}), "content[0].text", id="empty text part"),
    pytest.param(user({"type": "vidoe"}), "Invalid value: 'vidoe'", id="unknown part"),
    pytest.param(
        user({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}),
        "Unknown parameter: 'messages[0].content[0].cache_control'",
        id="another vendor's cache marker",
    ),
    pytest.param(
        user({"type": "image_url", "image_url": {"url": "data:image/bmp;base64,AAAA"}}),
        "unsupported image",
        id="image type",
    ),
    pytest.param(
        user({"type": "image_url", "image_url": {"url": "cat.png"}}), "valid URL", id="image url"
    ),
    pytest.param(
        said(ASKED, {"role": "assistant", "content": None}), "got null", id="empty assistant"
    ),
    pytest.param(
        said(ASKED, ANSWERED), "must be a response to a preceeding", id="result without call"
    ),
    pytest.param(
        said(ASKED, CALLED), "did not have response messages: call_1", id="call without result"
    ),
    pytest.param(
        said(ASKED, CALLED, ASKED, ANSWERED), "did not have response", id="result too late"
    ),
    pytest.param(said(ASKED, CALLED, ANSWERED, ANSWERED), "must be a response", id="two results"),
    pytest.param(
        said(ASKED, CALLED, {**ANSWERED, "tool_call_id": "call_2"}),
        "must be a response",
        id="wrong id",
    ),
    pytest.param(
        said(
            ASKED,
            CALLED,
            {**ANSWERED, "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
        ),
        "Invalid value: 'image_url'",
        id="image in a result",
    ),
    pytest.param(
        said(ASKED, {**CALLED, "tool_calls": [CALL, CALL]}, ANSWERED, ANSWERED),
        "Duplicate",
        id="same id twice",
    ),
    pytest.param(said(ASKED, {**CALLED, "tool_calls": []}), "tool_calls", id="empty tool_calls"),
    pytest.param(chat(tools=[]), "'tools'", id="empty tools"),
    pytest.param(chat(tools=[chat_tool(name="a b")]), "does not match pattern", id="tool name"),
    pytest.param(chat(tools=[chat_tool(name="a" * 65)]), "too long", id="long tool name"),
    pytest.param(chat(tools=[chat_tool(), chat_tool()]), "must be unique", id="same tool twice"),
    pytest.param(chat(tool_choice="auto"), "only allowed when 'tools'", id="choice without tools"),
    pytest.param(
        chat(parallel_tool_calls=True), "only allowed when 'tools'", id="parallel without tools"
    ),
    pytest.param(
        chat(tools=[chat_tool()], tool_choice="any"), "Invalid value: 'any'", id="choice word"
    ),
    pytest.param(
        chat(tools=[chat_tool()], tool_choice={"type": "function", "function": {"name": "x"}}),
        "not found in 'tools'",
        id="choice of a missing tool",
    ),
    pytest.param(
        strict({"type": "object", "properties": {}}),
        "'additionalProperties' is required",
        id="open",
    ),
    pytest.param(
        strict({**CITY, "required": []}), "Missing 'city'", id="optional property under strict"
    ),
    pytest.param(
        strict({**CITY, "properties": {"city": {"type": "string", "default": "x"}}}),
        "'default' is not permitted",
        id="default under strict",
    ),
    pytest.param(
        chat(tools=[chat_tool(parameters={"type": "string"})]), "got 'type: \"string\"'", id="root"
    ),
    pytest.param(
        chat(stream_options={"include_usage": True}), "'stream' is enabled", id="options, no stream"
    ),
    pytest.param(chat(temperature=3), "<= 2", id="temperature"),
    pytest.param(chat(stop=["a"] * 5), "at most 4", id="five stops"),
    pytest.param(chat(metadata={"a": 1}), "metadata.a", id="metadata values are strings"),
    pytest.param(
        chat(response_format={"type": "json_object"}), "the word 'json'", id="json without the word"
    ),
    pytest.param(
        chat(
            response_format={
                "type": "json_schema",
                "json_schema": {
                    "name": "a",
                    "strict": True,
                    "schema": {"type": "object", "properties": {}},
                },
            }
        ),
        "response_format 'a'",
        id="strict answer schema",
    ),
    pytest.param(chat(max_tokens=5, max_completion_tokens=5), "at the same time", id="both limits"),
]
BY_MODEL = [
    pytest.param(
        chat(max_tokens=5), "gpt-5", "Use 'max_completion_tokens' instead", id="max_tokens"
    ),
    pytest.param(chat(temperature=0.5), "gpt-6-sol", "Only the default (1)", id="temperature"),
    pytest.param(chat(stop="x"), "o3", "'stop' is not supported", id="stop"),
    pytest.param(
        said(ASKED, CALLED, ANSWERED),
        "deepseek-fake",
        "reasoning_content in the thinking mode",
        id="deepseek",
    ),
]


@pytest.mark.parametrize("body", GOOD)
def test_accepts(body: dict[str, Any]) -> None:
    validate(body, "fake-text")


@pytest.mark.parametrize(("body", "message"), BAD)
def test_refuses(body: dict[str, Any], message: str) -> None:
    with pytest.raises(Rejection) as caught:
        validate(body, "fake-text")
    assert message in caught.value.message
    assert caught.value.status == 400


@pytest.mark.parametrize(("body", "model", "message"), BY_MODEL)
def test_refuses_what_the_model_does_not_take(
    body: dict[str, Any], model: str, message: str
) -> None:
    with pytest.raises(Rejection) as caught:
        validate(body, model)
    assert message in caught.value.message


def test_deepseek_is_content_when_its_reasoning_came_back() -> None:
    called = {**CALLED, "reasoning_content": "first the tool"}
    validate(said(ASKED, called, ANSWERED), "deepseek-fake")


def test_an_error_names_param_and_code() -> None:
    with pytest.raises(Rejection) as caught:
        validate(chat(foo=1), "fake-text")
    assert (caught.value.param, caught.value.code) == ("foo", "unknown_parameter")
