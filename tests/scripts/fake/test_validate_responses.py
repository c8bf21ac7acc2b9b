"""What Responses refuses, in OpenAI's words."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.fake import signing
from scripts.fake.rejection import Rejection
from scripts.fake.speak_responses import SIGNED_AS
from scripts.fake.validate_responses import validate, validate_count
from tests.scripts.fake.bodies import CITY, responses, responses_tool

MODEL = "fake-text"
USER = {"role": "user", "content": "hi"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "4 C"}
CUSTOM = {"type": "custom_tool_call", "call_id": "call_1", "name": "exec", "input": "ls"}
THOUGHT = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "think"}],
    "encrypted_content": signing.issue(SIGNED_AS, MODEL, "think", "think"),
}
MARKED = {**CALL, "id": "fc_" + "a" * 24 + "T"}


def given(*items: Any) -> dict[str, Any]:
    return responses(input=list(items))


GOOD = [
    pytest.param(responses(), id="a string"),
    pytest.param(given(USER, CALL, OUTPUT), id="a call and its output"),
    pytest.param(given(USER, THOUGHT, CALL, OUTPUT), id="reasoning before its call"),
    pytest.param(given(USER, THOUGHT, MARKED, OUTPUT), id="a call by id with its reasoning"),
    pytest.param(given(USER, CALL, OUTPUT, USER, CALL, OUTPUT), id="a call id used again later"),
    pytest.param(
        given(USER, CUSTOM, {**OUTPUT, "type": "custom_tool_call_output"}), id="a custom call"
    ),
    pytest.param(
        responses(
            tools=[responses_tool()], tool_choice={"type": "function", "name": "get_weather"}
        ),
        id="a named tool",
    ),
    pytest.param(responses(tools=[{"type": "web_search"}]), id="a hosted tool"),
]
BAD = [
    pytest.param({"model": MODEL}, "One of 'input'", id="nothing to answer"),
    pytest.param(responses(messages=[]), "Unknown parameter: 'messages'", id="a field of Chat"),
    pytest.param(responses(stop=["x"]), "Unknown parameter: 'stop'", id="stop does not exist"),
    pytest.param(responses(max_output_tokens=5), ">= 16", id="too few tokens"),
    pytest.param(responses(include=["everything"]), "Invalid value: 'everything'", id="include"),
    pytest.param(responses(previous_response_id="resp_x"), "not found", id="unknown response"),
    pytest.param(given({"type": "foo"}), "Invalid value: 'foo'", id="unknown item"),
    pytest.param(
        given({"role": "user", "content": [{"type": "text", "text": "x"}]}),
        "Invalid value: 'text'",
        id="a part of Chat",
    ),
    pytest.param(
        given({"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}),
        "Invalid value: 'input_text'",
        id="input text from the assistant",
    ),
    pytest.param(given({**USER, "id": "x" * 65}), "maximum length 64", id="long id"),
    pytest.param(
        given(USER, {**CALL, "id": "call_1"}, OUTPUT), "begins with 'fc'", id="wrong id prefix"
    ),
    pytest.param(given(USER, {**CALL, "call_id": "x" * 65}), "at most 64", id="long call id"),
    pytest.param(
        given(USER, CALL), "No tool output found for function call call_1", id="no output"
    ),
    pytest.param(given(USER, OUTPUT), "No tool call found for function call output", id="no call"),
    pytest.param(given(USER, OUTPUT, CALL), "No tool call found", id="output before its call"),
    pytest.param(given(USER, CUSTOM, OUTPUT), "No tool call found", id="output of the wrong kind"),
    pytest.param(given(USER, CALL, CALL, OUTPUT), "Duplicate call_id", id="same call twice"),
    pytest.param(given(USER, THOUGHT), "required following item", id="reasoning at the end"),
    pytest.param(
        given(USER, THOUGHT, USER), "required following item", id="reasoning before a user turn"
    ),
    pytest.param(
        given(USER, MARKED, OUTPUT),
        "without its required 'reasoning' item",
        id="reasoning left out",
    ),
    pytest.param(
        responses(tools=[responses_tool(), responses_tool()]), "unique", id="same tool twice"
    ),
    pytest.param(
        responses(tools=[responses_tool(parameters={"type": "object"})]),
        "additionalProperties",
        id="strict needs the subset",
    ),
    pytest.param(
        responses(tools=[{"type": "function", "function": {"name": "x"}}]),
        "Missing required parameter: 'tools[0].name'",
        id="a tool nested as in Chat",
    ),
    pytest.param(
        responses(tool_choice="required"), "needs at least one tool", id="required without tools"
    ),
    pytest.param(
        responses(tools=[responses_tool()], tool_choice={"type": "function", "name": "x"}),
        "not found",
        id="choice of a missing tool",
    ),
    pytest.param(
        responses(
            text={
                "format": {
                    "type": "json_schema",
                    "name": "a",
                    "strict": True,
                    "schema": {**CITY, "required": []},
                }
            }
        ),
        "Missing 'city'",
        id="strict answer schema",
    ),
]


@pytest.mark.parametrize("body", GOOD)
def test_accepts(body: dict[str, Any]) -> None:
    validate(body, MODEL)


@pytest.mark.parametrize(("body", "message"), BAD)
def test_refuses(body: dict[str, Any], message: str) -> None:
    with pytest.raises(Rejection) as caught:
        validate(body, MODEL)
    assert message in caught.value.message
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"encrypted_content": "gAAAAforeign"}, id="foreign"),
        pytest.param({"summary": []}, id="its summary taken away"),
        pytest.param(
            {"encrypted_content": signing.issue(SIGNED_AS, "other", "think", "think")},
            id="another model's",
        ),
    ],
)
def test_refuses_reasoning_that_it_did_not_issue(change: dict[str, Any]) -> None:
    with pytest.raises(Rejection) as caught:
        validate(given(USER, {**THOUGHT, **change}, CALL, OUTPUT), MODEL)
    assert caught.value.code == "invalid_encrypted_content"


def test_a_reasoning_id_without_content_is_not_found() -> None:
    bare = {key: value for key, value in THOUGHT.items() if key != "encrypted_content"}
    with pytest.raises(Rejection) as caught:
        validate(given(USER, bare, CALL, OUTPUT), MODEL)
    assert caught.value.status == 404
    assert "rs_1" in caught.value.message


def test_counting_knows_fewer_fields() -> None:
    validate_count(responses(), MODEL)
    with pytest.raises(Rejection, match="Unknown parameter: 'stream'"):
        validate_count(responses(stream=True), MODEL)
