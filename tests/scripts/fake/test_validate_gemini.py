"""What Gemini refuses, in Google's words."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.fake import signing
from scripts.fake.read_gemini import camel
from scripts.fake.rejection import Rejection
from scripts.fake.speak_gemini import (
    SIGNED_CALL,
    SIGNED_TEXT,
    needs_signatures,
    signed_call_text,
)
from scripts.fake.validate_gemini import validate, validate_count
from tests.scripts.fake.bodies import gemini, gemini_tool

MODEL = "gemini-3-fake-text"
OLD = "gemini-2.5-flash"
USER = {"role": "user", "parts": [{"text": "hi"}]}
ARGS = {"city": "Oslo", "days": 2}
CALL = {"functionCall": {"name": "get_weather", "args": ARGS, "id": "a1"}}
SIGNATURE = signing.issue(SIGNED_CALL, MODEL, signed_call_text("get_weather"), "x")
ANOTHER = signing.issue(SIGNED_CALL, MODEL, signed_call_text("get_time"), "x")
SIGNED = {**CALL, "thoughtSignature": SIGNATURE}
RESPONSE = {"functionResponse": {"name": "get_weather", "id": "a1", "response": {"output": "4 C"}}}


def said(*contents: Any, **changes: Any) -> dict[str, Any]:
    return gemini(contents=list(contents), **changes)


def model(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def configured(**config: Any) -> dict[str, Any]:
    return gemini(generationConfig=config)


def answered(schema: Any) -> dict[str, Any]:
    return configured(responseMimeType="application/json", responseSchema=schema)


def declared(schema: Any) -> dict[str, Any]:
    return gemini(tools=[{"functionDeclarations": [{"name": "f", "parameters": schema}]}])


GOOD = [
    pytest.param(gemini(), id="the smallest request"),
    pytest.param(said(USER, model(SIGNED), user(RESPONSE)), id="a signed call and its response"),
    pytest.param(
        said(
            USER,
            model(
                {
                    "functionCall": {**CALL["functionCall"], "args": {"days": 2, "city": "Oslo"}},
                    "thoughtSignature": SIGNATURE,
                }
            ),
            user(RESPONSE),
        ),
        id="arguments in another order",
    ),
    pytest.param(
        said(
            USER,
            model({**CALL, "thoughtSignature": SIGNATURE.replace("+", "-").replace("/", "_")}),
            user(RESPONSE),
        ),
        id="a signature in URL-safe base64",
    ),
    pytest.param(
        said(
            USER,
            model({**CALL, "thoughtSignature": "skip_thought_signature_validator"}),
            user(RESPONSE),
        ),
        id="the documented placeholder",
    ),
    pytest.param(
        said(USER, model(SIGNED, CALL), user(RESPONSE, RESPONSE)),
        id="only the first call is signed",
    ),
    pytest.param(
        said(USER, model(CALL), user(RESPONSE), model({"text": "ok"}), USER),
        id="an unsigned call of an earlier turn",
    ),
    pytest.param(said(USER, USER), id="two user contents"),
    pytest.param(
        declared({"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}}),
        id="Google's own schema",
    ),
    pytest.param(gemini(tools=[gemini_tool()]), id="a JSON schema"),
    pytest.param(
        configured(responseMimeType="application/json", responseJsonSchema={"type": ["object"]}),
        id="an answer in JSON",
    ),
]
BAD = [
    pytest.param(gemini(foo=1), 'Unknown name "foo": Cannot find field.', id="unknown field"),
    pytest.param(
        configured(max_tokens=1), "Unknown name \"max_tokens\" at 'generationConfig'", id="nested"
    ),
    pytest.param({}, "contents is not specified", id="no contents"),
    pytest.param(said(), "contents is not specified", id="empty contents"),
    pytest.param(said(user()), "parts is not specified", id="empty parts"),
    pytest.param(said(user({})), "must have one initialized field", id="empty part"),
    pytest.param(
        said(user({"text": "a", "fileData": {"fileUri": "x"}})), "already set", id="two data fields"
    ),
    pytest.param(said({"role": "assistant", "parts": [{"text": "x"}]}), "valid role", id="role"),
    pytest.param(
        said(user({"inlineData": {"mimeType": "image/png", "data": ""}})),
        "data is not specified",
        id="empty data",
    ),
    pytest.param(
        said(user({"inlineData": {"mimeType": "image/png", "data": "??"}})),
        "Base64 decoding failed",
        id="data",
    ),
    pytest.param(said(USER, model({"text": "x"})), "end with a user role", id="model last"),
    pytest.param(
        said(model(SIGNED), user(RESPONSE)), "immediately after a user turn", id="call first"
    ),
    pytest.param(
        said(USER, model(SIGNED), USER), "number of function response parts", id="no response"
    ),
    pytest.param(
        said(USER, model(SIGNED, CALL), user(RESPONSE)),
        "number of function response parts",
        id="one response short",
    ),
    pytest.param(
        said(USER, user(RESPONSE)), "immediately after a function call turn", id="no call"
    ),
    pytest.param(
        said(
            USER,
            model(SIGNED),
            user({"functionResponse": {**RESPONSE["functionResponse"], "name": "x"}}),
        ),
        "does not match the function call name",
        id="wrong name",
    ),
    pytest.param(
        said(
            USER,
            model(SIGNED),
            user({"functionResponse": {**RESPONSE["functionResponse"], "id": "zz"}}),
        ),
        "does not match any function call",
        id="wrong id",
    ),
    pytest.param(
        said(
            USER,
            model(SIGNED),
            user({"functionResponse": {"name": "get_weather", "response": "4 C"}}),
        ),
        "response' (TYPE_MESSAGE)",
        id="a response that is text",
    ),
    pytest.param(
        said(USER, model(CALL), user(RESPONSE)), "is missing a thought_signature", id="unsigned"
    ),
    pytest.param(
        said(USER, model({**CALL, "thoughtSignature": "gAAA==?"}), user(RESPONSE)),
        "Base64 decoding failed",
        id="not base64",
    ),
    pytest.param(
        said(USER, model({**CALL, "thoughtSignature": "EqQBCg=="}), user(RESPONSE)),
        "Corrupted thought signature",
        id="foreign signature",
    ),
    pytest.param(
        said(USER, model({**CALL, "thoughtSignature": ANOTHER}), user(RESPONSE)),
        "Corrupted thought signature",
        id="a signature of another call",
    ),
    pytest.param(
        declared({"type": "object", "additionalProperties": False}),
        'Unknown name "additionalProperties"',
        id="a keyword of JSON Schema",
    ),
    pytest.param(
        declared({"type": "OBJECT", "properties": {"a": {"type": ["string", "null"]}}}),
        "properties.a.type",
        id="a list of types",
    ),
    pytest.param(
        declared({"type": "OBJECT", "properties": {"a": {"type": "INTEGER", "enum": ["1"]}}}),
        "only allowed for STRING",
        id="enum of numbers",
    ),
    pytest.param(declared({"type": "STRING"}), "must be OBJECT", id="root type"),
    pytest.param(
        gemini(tools=[gemini_tool(parameters={"type": "OBJECT"})]),
        "cannot both be set",
        id="both schemas",
    ),
    pytest.param(
        gemini(tools=[gemini_tool(parametersJsonSchema={"$ref": "#/$defs/a", "title": "x"})]),
        "has $ref together with 'title'",
        id="siblings of $ref",
    ),
    pytest.param(gemini(tools=[gemini_tool(name="1st")]), "Invalid function name", id="name"),
    pytest.param(
        gemini(tools=[gemini_tool(), gemini_tool()]), "Duplicate function declaration", id="twice"
    ),
    pytest.param(
        gemini(
            tools=[gemini_tool()],
            toolConfig={
                "functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["get_weather"]}
            },
        ),
        "mode is ANY or VALIDATED",
        id="allowed names under AUTO",
    ),
    pytest.param(
        gemini(
            tools=[gemini_tool()],
            toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["x"]}},
        ),
        "not declared",
        id="allowed name unknown",
    ),
    pytest.param(configured(stopSequences=["a"] * 6), "at most 5", id="six stops"),
    pytest.param(
        configured(thinkingConfig={"thinkingBudget": 1, "thinkingLevel": "LOW"}),
        "only one of thinking",
        id="budget and level",
    ),
    pytest.param(
        configured(responseSchema={"type": "OBJECT"}), "mime type is application/json", id="no mime"
    ),
    pytest.param(
        answered({"type": "OBJECT", "$ref": "x"}), 'Unknown name "$ref"', id="$ref in a Schema"
    ),
    pytest.param(
        gemini(cachedContent="cachedContents/a", tools=[]),
        "CachedContent can not be used",
        id="cache",
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


def test_older_models_need_no_signature_but_no_json_with_tools() -> None:
    validate(said(USER, model(CALL), user(RESPONSE)), OLD)
    body = gemini(tools=[gemini_tool()], generationConfig={"responseMimeType": "application/json"})
    with pytest.raises(Rejection, match="is unsupported"):
        validate(body, OLD)


def test_a_signature_belongs_to_its_model() -> None:
    with pytest.raises(Rejection, match="Corrupted"):
        validate(said(USER, model(SIGNED), user(RESPONSE)), "gemini-3.8-flash")


def test_text_may_be_signed() -> None:
    signature = signing.issue(SIGNED_TEXT, MODEL, "", "x")
    validate(said(USER, model({"text": "", "thoughtSignature": signature}), USER), MODEL)


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("gemini-3.8-flash", True),
        ("gemini-3-fake-tool", True),
        ("fake-tool-3", True),
        ("gemini-2.5-pro", False),
        ("fake-status-503", False),
        ("fake-cut~after=3", False),
    ],
)
def test_which_models_sign(name: str, needs: bool) -> None:
    assert needs_signatures(name) is needs


def test_other_spellings_are_read_and_noted() -> None:
    notes: list[str] = []
    body = {
        "generation_config": {"top_p": 1},
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "f", "parametersJsonSchema": {"properties": {"a_b": {}}}}
                ]
            }
        ],
    }
    renamed = camel(body, notes)
    assert renamed["generationConfig"] == {"topP": 1}
    assert renamed["tools"] == body["tools"]
    assert len(notes) == 2


def test_counting_takes_one_of_two_forms() -> None:
    validate_count(gemini(), MODEL)
    validate_count({"generateContentRequest": {"model": "models/x", **gemini()}}, MODEL)
    with pytest.raises(Rejection, match="Exactly one"):
        validate_count({}, MODEL)
