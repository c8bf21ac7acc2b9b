"""What Anthropic Messages refuses, in Anthropic's words."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.fake import signing
from scripts.fake.rejection import Rejection
from scripts.fake.speak_anthropic import REDACTED_AS, SIGNED_AS
from scripts.fake.validate_anthropic import validate, validate_count
from tests.scripts.fake.bodies import CITY, anthropic, anthropic_tool

MODEL = "fake-text"
OLD = "2023-06-01"
USER = {"role": "user", "content": "hi"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "4 C"}
CALLED = {"role": "assistant", "content": [CALL]}
ANSWERED = {"role": "user", "content": [RESULT]}
THOUGHT = {
    "type": "thinking",
    "thinking": "think",
    "signature": signing.issue(SIGNED_AS, MODEL, "think", "think"),
}
HIDDEN = {"type": "redacted_thinking", "data": signing.issue(REDACTED_AS, MODEL, "", "think")}
MARKED = {**CALL, "id": "toolu_01" + "a" * 22 + "T"}
TEXT = {"type": "text", "text": "hi"}
MARK = {"type": "ephemeral"}


def said(*messages: Any, **changes: Any) -> dict[str, Any]:
    return anthropic(messages=list(messages), **changes)


def user(*blocks: Any) -> dict[str, Any]:
    return said({"role": "user", "content": list(blocks)})


def loop(*blocks: Any, **changes: Any) -> dict[str, Any]:
    calls = [block for block in blocks if block["type"] == "tool_use"]
    results = [{**RESULT, "tool_use_id": call["id"]} for call in calls]
    turns = ({"role": "assistant", "content": list(blocks)}, {"role": "user", "content": results})
    return said(USER, *turns, **changes)


def shaped(schema: Any) -> dict[str, Any]:
    return anthropic(output_config={"format": {"type": "json_schema", "schema": schema}})


GOOD = [
    pytest.param(anthropic(), id="the smallest request"),
    pytest.param(said(USER, CALLED, ANSWERED), id="a call and its result"),
    pytest.param(
        said(USER, CALLED, {"role": "user", "content": [RESULT, TEXT]}), id="text after results"
    ),
    pytest.param(
        said(USER, {"role": "system", "content": "be brief"}), id="a system turn at the end"
    ),
    pytest.param(
        said(USER, {"role": "system", "content": "x"}, CALLED, ANSWERED),
        id="a system turn in between",
    ),
    pytest.param(said(USER, USER), id="two user turns are one"),
    pytest.param(loop(THOUGHT, CALL), id="its own thinking"),
    pytest.param(loop(HIDDEN, MARKED), id="its own redacted thinking"),
    pytest.param(loop(THOUGHT, TEXT, MARKED), id="thinking before the call that it led to"),
    pytest.param(loop(MARKED, thinking={"type": "disabled"}), id="left out while thinking is off"),
    pytest.param(
        anthropic(tools=[{"type": "bash_20250124", "name": "bash"}]), id="a built-in tool"
    ),
    pytest.param(shaped(CITY), id="an answer schema in the subset"),
    pytest.param(
        user({**TEXT, "cache_control": {**MARK, "ttl": "1h"}}, {**TEXT, "cache_control": MARK}),
        id="long cache before short",
    ),
]
BAD = [
    pytest.param(anthropic(foo=1), "foo: Extra inputs are not permitted", id="unknown field"),
    pytest.param(
        {"model": "m", "messages": [USER]}, "max_tokens: Field required", id="no max_tokens"
    ),
    pytest.param(
        anthropic(context_management={}), "Extra inputs", id="a beta field without its flag"
    ),
    pytest.param(said(), "at least one message", id="no messages"),
    pytest.param(
        said({"role": "assistant", "content": "x"}, USER), '"user" role', id="assistant first"
    ),
    pytest.param(
        said({"role": "tool", "content": "x"}), "messages.0.role: Input should be", id="role"
    ),
    pytest.param(
        said({**USER, "name": "ann"}), "messages.0.name: Extra inputs", id="name on a message"
    ),
    pytest.param(said(USER, {"role": "assistant", "content": "x"}), "prefill", id="prefill"),
    pytest.param(
        said({"role": "user", "content": ""}), "non-empty content", id="empty user message"
    ),
    pytest.param(user({"type": "text", "text": ""}), "blocks must be non-empty", id="empty text"),
    pytest.param(user({"type": "text", "text": " \n"}), "non-whitespace", id="blank text"),
    pytest.param(
        user({"type": "image_url"}), "Input tag 'image_url' found using 'type'", id="foreign block"
    ),
    pytest.param(
        user(
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/bmp", "data": "AA=="},
            }
        ),
        "media_type: Input should be 'image/jpeg'",
        id="image type",
    ),
    pytest.param(
        user(
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "é"}}
        ),
        "Invalid base64 data",
        id="image data",
    ),
    pytest.param(said(USER, CALLED), "were found without `tool_result`", id="call without result"),
    pytest.param(
        said(USER, CALLED, USER), "were found without `tool_result`", id="call not answered"
    ),
    pytest.param(said(USER, ANSWERED), "unexpected `tool_use_id`", id="result without call"),
    pytest.param(
        said(USER, CALLED, {"role": "user", "content": [RESULT, RESULT]}),
        "single result",
        id="two results",
    ),
    pytest.param(
        said(USER, CALLED, {"role": "user", "content": [TEXT, RESULT]}),
        "before any text",
        id="text before results",
    ),
    pytest.param(
        said(USER, {"role": "assistant", "content": [CALL, CALL]}, ANSWERED),
        "unique",
        id="same id twice",
    ),
    pytest.param(loop({**CALL, "id": "call:1"}), "String should match pattern", id="call id"),
    pytest.param(
        loop({**CALL, "input": "{}"}), "input: Input should be a valid dictionary", id="input text"
    ),
    pytest.param(
        said(USER, {"role": "system", "content": "x"}, USER),
        "role 'system'",
        id="system, then user",
    ),
    pytest.param(
        loop({**THOUGHT, "thinking": "changed"}, CALL),
        "Invalid `signature` in `thinking` block",
        id="changed thinking",
    ),
    pytest.param(
        loop({**THOUGHT, "signature": "EqQBCg=="}, CALL),
        "Invalid `signature`",
        id="foreign thinking",
    ),
    pytest.param(
        loop({**HIDDEN, "data": "EmwKAh"}, CALL), "`redacted_thinking` block", id="foreign redacted"
    ),
    pytest.param(
        loop(MARKED),
        "Expected `thinking` or `redacted_thinking`, but found `tool_use`",
        id="thinking left out of the loop",
    ),
    pytest.param(loop(MARKED, THOUGHT), "Expected `thinking`", id="thinking after its call"),
    pytest.param(
        anthropic(thinking={"type": "enabled", "budget_tokens": 1024}),
        "`max_tokens` must be greater",
        id="budget over the cap",
    ),
    pytest.param(
        anthropic(thinking={"type": "enabled", "budget_tokens": 100}),
        "greater than or equal to 1024",
        id="small budget",
    ),
    pytest.param(
        anthropic(
            max_tokens=4000,
            thinking={"type": "enabled", "budget_tokens": 1024},
            tools=[anthropic_tool()],
            tool_choice={"type": "any"},
        ),
        "tool_choice forces tool use",
        id="thinking and forced use",
    ),
    pytest.param(
        anthropic(tools=[anthropic_tool(name="a.b")]),
        "tools.0.name: String should match",
        id="name",
    ),
    pytest.param(
        anthropic(tools=[anthropic_tool(input_schema={})]),
        "input_schema.type: Field required",
        id="schema without type",
    ),
    pytest.param(
        anthropic(tools=[anthropic_tool(input_schema={"type": "string"})]),
        "should be 'object'",
        id="schema type",
    ),
    pytest.param(
        anthropic(tools=[anthropic_tool(), anthropic_tool()]),
        "must be unique",
        id="same tool twice",
    ),
    pytest.param(
        anthropic(tools=[anthropic_tool(type="function")]), "tools.0", id="a tool of OpenAI"
    ),
    pytest.param(
        anthropic(tool_choice={"type": "auto"}), "while providing tools", id="choice without tools"
    ),
    pytest.param(
        anthropic(tools=[anthropic_tool()], tool_choice={"type": "tool", "name": "x"}),
        "not found",
        id="choice of a missing tool",
    ),
    pytest.param(
        anthropic(tools=[anthropic_tool()], tool_choice="auto"),
        "valid dictionary",
        id="choice as text",
    ),
    pytest.param(
        anthropic(
            tools=[anthropic_tool(strict=True, input_schema={**CITY, "additionalProperties": True})]
        ),
        "'additionalProperties' must be explicitly set to false",
        id="strict schema",
    ),
    pytest.param(
        shaped({**CITY, "properties": {"city": {"type": "string", "minLength": 1}}}),
        "property 'minLength' is not supported",
        id="keyword of an answer schema",
    ),
    pytest.param(
        shaped(
            {
                **CITY,
                "properties": {"city": {"$ref": "#/$defs/a"}},
                "$defs": {"a": {"$ref": "#/$defs/a"}},
            }
        ),
        "Circular reference",
        id="recursive schema",
    ),
    pytest.param(
        user(*[{**TEXT, "cache_control": MARK}] * 5), "maximum of 4 blocks", id="five cache marks"
    ),
    pytest.param(
        user({**TEXT, "cache_control": MARK}, {**TEXT, "cache_control": {**MARK, "ttl": "1h"}}),
        "must not come after",
        id="short cache before long",
    ),
    pytest.param(anthropic(stop_sequences=[" "]), "stop_sequences.0", id="blank stop"),
    pytest.param(
        anthropic(temperature=0.5), "temperature: Extra inputs", id="sampling, new version"
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
    ("changes", "model", "message"),
    [
        pytest.param(
            {"tool_choice": {"type": "any"}, "tools": [anthropic_tool()]},
            "claude-opus-5-5",
            "not supported on this model",
            id="forced use on 5.5",
        ),
        pytest.param(
            {"thinking": {"type": "adaptive"}},
            "claude-haiku-4-5",
            "'adaptive'",
            id="adaptive on 4.5",
        ),
        pytest.param(
            {"thinking": {"type": "disabled"}}, "claude-sonnet-5-5", "'disabled'", id="off on 5.5"
        ),
    ],
)
def test_refuses_what_the_model_does_not_take(
    changes: dict[str, Any], model: str, message: str
) -> None:
    with pytest.raises(Rejection) as caught:
        validate(anthropic(**changes), model)
    assert message in caught.value.message


def test_an_old_model_takes_a_prefill() -> None:
    validate(said(USER, {"role": "assistant", "content": "{"}), "claude-haiku-4-5")


def test_an_old_model_takes_no_system_turn() -> None:
    with pytest.raises(Rejection, match="role 'system' is not supported on this model"):
        validate(said(USER, {"role": "system", "content": "x"}), "claude-haiku-4-5")


def test_the_old_version_takes_sampling_but_not_both() -> None:
    validate(anthropic(temperature=0.5), MODEL, version=OLD)
    with pytest.raises(Rejection, match="cannot both be specified"):
        validate(anthropic(temperature=0.5, top_p=0.5), MODEL, version=OLD)
    with pytest.raises(Rejection, match="only be set to 1 when thinking"):
        validate(anthropic(temperature=0.5, thinking={"type": "adaptive"}), MODEL, version=OLD)


def test_a_flag_opens_its_field() -> None:
    validate(
        anthropic(context_management={"edits": []}), MODEL, betas=("context-management-2025-06-27",)
    )


def test_counting_knows_no_max_tokens() -> None:
    with pytest.raises(Rejection, match="max_tokens: Extra inputs"):
        validate_count(anthropic(), MODEL)
