"""Pitfalls, group 2: tool definitions and JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.flat import calls, flat, json_of, of_kind, schemas
from tests.support.pitfalls import ALL, PAIRS, A, C, G, R, answer, cross, sse, stream
from translators.errors import ErrorKind, GatewayError
from translators.ir import HostedKind
from translators.losses import Mode
from translators.wire import loads

ASK = {"role": "user", "content": "go"}
START: dict[str, Any] = {
    C: {"messages": [ASK]},
    R: {"input": [ASK]},
    A: {"messages": [ASK]},
    G: {"contents": [{"role": "user", "parts": [{"text": "go"}]}]},
}
JSON_CLIENTS = (C, R, A)
OBJECT: dict[str, Any] = {"type": "object"}


def declared(client: str, **schemas_by_name: Any) -> dict[str, Any]:
    """A request with these tools; a schema that is None is left out."""
    return declared_as(client, schemas_by_name)


def declared_as(client: str, by_name: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The same for names that are no Python words; `more` goes into every function."""
    written: list[Any] = []
    for name, schema in by_name.items():
        key = {A: "input_schema", G: "parametersJsonSchema"}.get(client, "parameters")
        tool = {"name": name} | ({} if schema is None else {key: schema}) | more
        match client:
            case "openai_chat":
                written.append({"type": "function", "function": tool})
            case "openai_responses":
                written.append({"type": "function"} | tool)
            case "anthropic":
                written.append({"input_schema": OBJECT} | tool)
            case _:
                written.append(tool)
    tools = [{"functionDeclarations": written}] if client == G else written
    return {**START[client], "tools": tools}


def nodes(schema: Any, *, is_map: bool = False) -> Iterator[dict[str, Any]]:
    """Every schema inside a schema, itself included; never a map of names."""
    if isinstance(schema, list):
        for item in schema:
            yield from nodes(item)
    if not isinstance(schema, dict):
        return
    if not is_map:
        yield schema
    for key, value in schema.items():
        if is_map or key not in ("enum", "const", "default", "examples", "required"):
            maps = not is_map and key in ("properties", "$defs", "definitions", "patternProperties")
            yield from nodes(value, is_map=maps)


def keywords(schema: Any) -> set[str]:
    """Every keyword used anywhere in a schema."""
    return {key for node in nodes(schema) for key in node}


# ---------------------------------------------------------------------------------------- keywords


@pytest.mark.parametrize("client", JSON_CLIENTS)
def test_tool_01_gemini_gets_no_keyword_that_it_refuses(client: str) -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "additionalProperties": False,
        "properties": {"a": {"type": "string", "format": "uri", "const": "x"}},
    }
    sent = schemas(G, cross(client, G, declared(client, f=schema)).body)["f"]
    assert sent["properties"]["a"]["enum"] == ["x"]
    assert not keywords(sent) & {"$schema", "const"}
    crossed = cross(client, G, declared(client, f=schema), openapi_schemas=True)
    [tool] = crossed.body["tools"][0]["functionDeclarations"]
    assert "parametersJsonSchema" not in tool
    assert not keywords(tool["parameters"]) & {"$schema", "const", "additionalProperties"}
    assert tool["parameters"]["properties"]["a"]["enum"] == ["x"]
    assert "format" not in keywords(tool["parameters"]), "no `uri` in this flavour"
    assert "`format`" in crossed.lost, "what is not enforced is on record"


REFUSED_KEYWORDS = [
    pytest.param({"uniqueItems": True}, {"type": "array", "items": {"type": "string"}}, id="uniqueItems"),
    pytest.param({"deprecated": True}, {"type": "string"}, id="deprecated"),
    pytest.param({"$comment": "x"}, {"type": "string"}, id="$comment"),
    pytest.param({"enumDescriptions": ["x"]}, {"type": "string", "enum": ["a"]}, id="enumDescriptions"),
    pytest.param({"propertyNames": {"pattern": "^a"}}, OBJECT, id="propertyNames"),
    pytest.param({"encrypted": True}, {"type": "string"}, id="encrypted"),
    pytest.param({"if": OBJECT, "then": OBJECT, "else": OBJECT}, OBJECT, id="if/then/else"),
    pytest.param({"patternProperties": {"^a": {"type": "string"}}}, OBJECT, id="patternProperties"),
    pytest.param({"exclusiveMinimum": 0}, {"type": "integer"}, id="exclusiveMinimum"),
    pytest.param({"contentEncoding": "base64"}, {"type": "string"}, id="contentEncoding"),
    pytest.param({"default": "a"}, {"type": "string"}, id="default"),
    pytest.param({"examples": ["a"]}, {"type": "string"}, id="examples"),
]  # fmt: skip


def places(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A schema at every place where a cleaner may forget to look."""

    def holder(inner: dict[str, Any]) -> dict[str, Any]:
        return {"type": "object", "properties": {"x": inner}}

    return {
        "a property": holder(schema),
        "three levels deep": holder(holder(holder(schema))),
        "items": holder({"type": "array", "items": schema}),
        "anyOf": holder({"anyOf": [schema, {"type": "null"}]}),
        "additionalProperties": holder({"type": "object", "additionalProperties": schema}),
        "a definition": {
            "type": "object",
            "properties": {"x": {"$ref": "#/$defs/D"}},
            "$defs": {"D": schema},
        },
    }


@pytest.mark.parametrize("openapi", [False, True], ids=["JSON Schema", "OpenAPI"])
@pytest.mark.parametrize(("keyword", "base"), REFUSED_KEYWORDS)
def test_tool_02_each_refused_keyword_at_every_place(
    keyword: dict[str, Any], base: dict[str, Any], openapi: bool
) -> None:
    """Section 10 lets `default` stand in the OpenAPI flavour; everything else goes from both."""
    kept = {"default"} if openapi else set()
    roots = {"the root": base | keyword} if base == OBJECT else {}
    for place, schema in (places(base | keyword) | roots).items():
        crossed = cross(C, G, declared(C, f=schema), openapi_schemas=openapi)
        sent = schemas(G, crossed.body).get("f") or {}
        assert not keywords(sent) & (set(keyword) - kept), place


NAMED_LIKE_KEYWORDS: dict[str, Any] = {
    "type": "object",
    "properties": {
        name: {"type": "string", "description": name}
        for name in ("properties", "type", "required", "enum", "$ref", "default", "items")
    },
    "required": ["properties", "type"],
}


@pytest.mark.parametrize("openapi", [False, True])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_tool_03_properties_named_like_keywords_survive(
    client: str, upstream: str, openapi: bool
) -> None:
    body = cross(client, upstream, declared(client, f=NAMED_LIKE_KEYWORDS), openapi_schemas=openapi)
    sent = schemas(upstream, body.body)["f"]
    assert list(sent["properties"]) == list(NAMED_LIKE_KEYWORDS["properties"])
    for name, schema in sent["properties"].items():
        assert (schema["type"].lower(), schema["description"]) == ("string", name)
    assert sent["required"] == ["properties", "type"]


POINT: dict[str, Any] = {
    "type": "object",
    "properties": {"x": {"type": "integer"}},
    "required": ["x"],
}
NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}, "v": {"type": "string"}}}
REFERENCES = [
    pytest.param({"$ref": "#/$defs/P", "$defs": {"P": POINT}}, "x", id="at the root"),
    pytest.param({"$ref": "#/definitions/P", "definitions": {"P": POINT}}, "x", id="definitions"),
    pytest.param({"$ref": "#/$defs/N", "$defs": {"N": NODE}}, "next", id="recursive"),
    pytest.param(
        {"type": "object", "properties": {"p": {"$ref": "#/$defs/gone"}}}, "p", id="dangling"
    ),
]


@pytest.mark.parametrize("openapi", [False, True])
@pytest.mark.parametrize(("client", "upstream"), [pair for pair in PAIRS if pair[0] != G])
@pytest.mark.parametrize(("schema", "name"), REFERENCES)
def test_tool_04_no_reference_is_left_dangling(
    schema: dict[str, Any], name: str, client: str, upstream: str, openapi: bool
) -> None:
    """What no reference leads to stays for those that take any schema (section 10); Gemini loses it."""
    crossed = cross(client, upstream, declared(client, f=schema), openapi_schemas=openapi)
    sent = schemas(upstream, crossed.body)["f"]
    assert sent["type"].lower() == "object"
    assert name in sent["properties"]
    if upstream == G and openapi:
        assert "$ref" not in keywords(sent), "this flavour has no references"
    if "gone" not in json_of(schema) or upstream == G:
        defined = {f"#/$defs/{one}" for one in sent.get("$defs", ())}
        defined |= {f"#/definitions/{one}" for one in sent.get("definitions", ())} | {"#"}
        assert {node["$ref"] for node in nodes(sent) if "$ref" in node} <= defined


@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize("client", JSON_CLIENTS)
def test_tool_06_a_bare_map_of_properties_becomes_an_object(client: str, upstream: str) -> None:
    junk = {"q": {"type": "string", "required": True}, "n": {"type": "integer"}}
    sent = schemas(upstream, cross(client, upstream, declared(client, f=junk)).body)["f"]
    assert sent["type"].lower() == "object"
    assert list(sent["properties"]) == ["q", "n"]
    if upstream == G:
        assert sent["required"] == ["q"]
        assert "required" not in sent["properties"]["q"]


@pytest.mark.parametrize("client", [C, R, G])
@pytest.mark.parametrize("schema", [None, {}])
def test_tool_09_anthropic_always_gets_an_object(schema: Any, client: str) -> None:
    sent = schemas(A, cross(client, A, declared(client, f=schema)).body)["f"]
    assert sent == {"type": "object", "properties": {}}


@pytest.mark.parametrize("client", [C, R, G])
@pytest.mark.parametrize("union", ["anyOf", "oneOf", "allOf"])
def test_tool_09_a_union_at_the_root_becomes_one_object(union: str, client: str) -> None:
    one = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    other = {"type": "object", "properties": {"b": {"type": "string"}}}
    sent = schemas(A, cross(client, A, declared(client, f={union: [one, other]})).body)["f"]
    assert sent["type"] == "object"
    assert set(sent["properties"]) == {"a", "b"}
    assert union not in sent
    assert ("a" in sent.get("required", ())) == (union == "allOf"), "only what all branches ask for"


@pytest.mark.parametrize("upstream", ALL)
def test_tool_10_keys_of_anthropic_tools_stay_there(upstream: str) -> None:
    tool = {
        "name": "f",
        "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}},
        "cache_control": {"type": "ephemeral"},
        "defer_loading": False,
        "eager_input_streaming": True,
        "input_examples": [{"a": "x"}],
        "allowed_callers": ["direct"],
        "strict": False,
    }
    crossed = cross(A, upstream, START[A] | {"tools": [tool]})
    foreign = ("cache_control", "defer_loading", "eager_input", "input_examples", "allowed_callers")
    if upstream == A:
        [sent] = crossed.body["tools"]
        assert sent["cache_control"] == {"type": "ephemeral"}
        assert sent["input_examples"] == [{"a": "x"}]
    else:
        assert not [key for key in foreign if key in crossed.text]
        assert list(schemas(upstream, crossed.body)) == ["f"]
        assert '{\\"a\\":\\"x\\"}' in crossed.text, "an example goes along in the description"


# ------------------------------------------------------------------------------------------- names


LEGAL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")
ODD_NAMES = ["mcp__srv/tool", "fs.readFile", "@scope/x", "工具", "n" * 75, "9lives"]


def history(client: str, names: list[str]) -> dict[str, Any]:
    """A conversation that called each of these tools once, and forces the first one now."""
    ids = [f"c{place}" for place in range(len(names))]
    body = declared_as(client, dict.fromkeys(names, POINT))
    pairs = list(zip(ids, names, strict=True))
    match client:
        case "openai_chat":
            made = [
                {"id": i, "type": "function", "function": {"name": n, "arguments": '{"x":1}'}}
                for i, n in pairs
            ]
            done = [{"role": "tool", "tool_call_id": i, "content": "r"} for i in ids]
            said = [ASK, {"role": "assistant", "content": None, "tool_calls": made}, *done]
            choice: Any = {"type": "function", "function": {"name": names[0]}}
            return body | {"messages": said, "tool_choice": choice}
        case "openai_responses":
            items = [
                {"type": "function_call", "call_id": i, "name": n, "arguments": '{"x":1}'}
                for i, n in pairs
            ]
            outputs = [{"type": "function_call_output", "call_id": i, "output": "r"} for i in ids]
            choice = {"type": "function", "name": names[0]}
            return body | {"input": [ASK, *items, *outputs], "tool_choice": choice}
        case "anthropic":
            uses = [{"type": "tool_use", "id": i, "name": n, "input": {"x": 1}} for i, n in pairs]
            found = [{"type": "tool_result", "tool_use_id": i, "content": "r"} for i in ids]
            said = [ASK, {"role": "assistant", "content": uses}, {"role": "user", "content": found}]
            return body | {"messages": said, "tool_choice": {"type": "tool", "name": names[0]}}
        case _:
            parts = [{"functionCall": {"id": i, "name": n, "args": {"x": 1}}} for i, n in pairs]
            replies = [
                {"functionResponse": {"id": i, "name": n, "response": {"output": "r"}}}
                for i, n in pairs
            ]
            contents = [
                *START[G]["contents"],
                {"role": "model", "parts": parts},
                {"role": "user", "parts": replies},
            ]
            config = {"mode": "ANY", "allowedFunctionNames": [names[0]]}
            return body | {"contents": contents, "toolConfig": {"functionCallingConfig": config}}


def forced(upstream: str, body: dict[str, Any]) -> str:
    """The name of the forced tool."""
    match upstream:
        case "openai_chat":
            return str(body["tool_choice"]["function"]["name"])
        case "gemini":
            [name] = body["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"]
            return str(name)
        case _:
            return str(body["tool_choice"]["name"])


def called(upstream: str, name: str) -> dict[str, Any]:
    """An upstream's answer that calls one tool."""
    match upstream:
        case "openai_chat":
            call = {"id": "n1", "type": "function", "function": {"name": name, "arguments": "{}"}}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
            choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
            return {"id": "u", "model": "m", "created": 7, "choices": [choice]}
        case "openai_responses":
            item = {"type": "function_call", "id": "fc_1", "call_id": "n1", "status": "completed"}
            output = [item | {"name": name, "arguments": "{}"}]
            return {"id": "resp_u", "model": "m", "status": "completed", "output": output}
        case "anthropic":
            use = {"type": "tool_use", "id": "n1", "name": name, "input": {}}
            end = {"stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}}
            return {"id": "msg_u", "model": "m", "role": "assistant", "content": [use]} | end
        case _:
            part = {"functionCall": {"id": "n1", "name": name, "args": {}}}
            candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}
            return {"responseId": "u", "candidates": [candidate]}


def streamed_call(upstream: str, name: str) -> bytes:
    """The same as a stream."""
    whole = called(upstream, name)
    match upstream:
        case "openai_chat":
            [call] = whole["choices"][0]["message"]["tool_calls"]
            delta = {"role": "assistant", "tool_calls": [call | {"index": 0}]}
            head = {"id": "u", "model": "m", "created": 7, "object": "chat.completion.chunk"}
            return sse(
                head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
                head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
                done=True,
            )
        case "openai_responses":
            [item] = whole["output"]
            opened = item | {"arguments": "", "status": "in_progress"}
            begun = whole | {"status": "in_progress", "output": []}
            place = {"output_index": 0}
            return sse(
                {"type": "response.created", "sequence_number": 0, "response": begun},
                {"type": "response.output_item.added", "sequence_number": 1, "item": opened}
                | place,
                {"type": "response.output_item.done", "sequence_number": 2, "item": item} | place,
                {"type": "response.completed", "sequence_number": 3, "response": whole},
            )
        case "anthropic":
            [use] = whole["content"]
            message = whole | {"content": [], "stop_reason": None}
            return sse(
                {"type": "message_start", "message": message},
                {"type": "content_block_start", "index": 0, "content_block": use},
                {"type": "content_block_stop", "index": 0},
                {
                    "type": "message_delta",
                    "delta": {"stop_reason": "tool_use"},
                    "usage": {"output_tokens": 1},
                },
                {"type": "message_stop"},
            )
        case _:
            return sse(whole)


def names_called(client: str, body: dict[str, Any]) -> list[str]:
    """The tools that an answer to a client calls."""
    match client:
        case "openai_chat":
            made = body["choices"][0]["message"]["tool_calls"]
            return [call["function"]["name"] for call in made]
        case "openai_responses":
            return [item["name"] for item in body["output"] if "name" in item]
        case "anthropic":
            return [block["name"] for block in body["content"] if "name" in block]
        case _:
            parts = body["candidates"][0]["content"]["parts"]
            return [part["functionCall"]["name"] for part in parts if "functionCall" in part]


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_tool_11_odd_names_are_made_legal_everywhere_and_come_back(
    client: str, upstream: str
) -> None:
    names = ODD_NAMES
    # A strict request to Gemini is refused for the signature that its history lacks.
    mode = Mode.MAX_COMPAT if upstream == G else Mode.STRICT
    crossed = cross(client, upstream, history(client, names), mode=mode)
    sent = list(schemas(upstream, crossed.body))
    assert len(set(sent)) == len(names)
    assert all(LEGAL.fullmatch(name) for name in sent)
    told = of_kind(upstream, crossed.body, "call")
    assert [call[2] for call in told] == sent
    assert forced(upstream, crossed.body) == sent[0]
    if upstream == G:
        parts = [part for content in crossed.body["contents"] for part in content["parts"]]
        answered = [p["functionResponse"]["name"] for p in parts if "functionResponse" in p]
        assert answered == sent
    for wire, own in zip(sent, names, strict=True):
        whole, _ = answer(upstream, client, called(upstream, wire), crossed)
        assert names_called(client, whole) == [own]
        events = stream(upstream, client, streamed_call(upstream, wire), crossed)
        text = json_of(events)
        assert own in text
        assert wire == own or f'"{wire}"' not in text


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_tool_11_the_same_names_every_time(client: str, upstream: str) -> None:
    body = history(client, ODD_NAMES)
    assert cross(client, upstream, body).text == cross(client, upstream, body).text


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_tool_13_two_names_that_would_be_one(client: str, upstream: str) -> None:
    names = ["a.b", "a_b", "a/b"]
    crossed = cross(client, upstream, history(client, names))
    assert list(schemas(upstream, crossed.body)) == ["a_b", "a_b_2", "a_b_3"]
    assert [call[2] for call in of_kind(upstream, crossed.body, "call")] == [
        "a_b",
        "a_b_2",
        "a_b_3",
    ]
    whole, _ = answer(upstream, client, called(upstream, "a_b_2"), crossed)
    assert names_called(client, whole) == ["a_b"]


# -------------------------------------------------------------------------------- tools of Responses


PATCH_TOOL: dict[str, Any] = {"type": "custom", "name": "apply_patch", "description": "d"}


@pytest.mark.parametrize("upstream", [C, A, G])
def test_tool_15_a_freeform_tool_is_dressed_up_as_a_function(upstream: str) -> None:
    body = START[R] | {"tools": [PATCH_TOOL]}
    sent = schemas(upstream, cross(R, upstream, body).body)["apply_patch"]
    assert sent["required"] == ["input"]
    assert list(sent["properties"]) == ["input"]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param('{"input":"*** Begin"}', "*** Begin", id="a string"),
        pytest.param('{"input":{"a":1}}', '{"a":1}', id="an object"),
        pytest.param('{"input":[1]}', "[1]", id="an array"),
        pytest.param("raw text", "raw text", id="no JSON"),
        pytest.param('{"patch":"*** Begin"}', "*** Begin", id="another key"),
    ],
)
def test_tool_15_the_input_is_unwrapped(arguments: str, text: str, streaming: bool) -> None:
    asked = cross(R, C, START[R] | {"tools": [PATCH_TOOL]}, stream=streaming)
    whole = called(C, "apply_patch")
    call = whole["choices"][0]["message"]["tool_calls"][0]
    call["function"]["arguments"] = arguments
    if streaming:
        head = {"id": "u", "model": "m", "created": 7, "object": "chat.completion.chunk"}
        half = len(arguments) // 2
        first = call | {
            "index": 0,
            "function": {"name": "apply_patch", "arguments": arguments[:half]},
        }
        rest = {"index": 0, "function": {"arguments": arguments[half:]}}
        deltas = [
            ({"tool_calls": [first]}, None),
            ({"tool_calls": [rest]}, None),
            ({}, "tool_calls"),
        ]
        chunks = [
            head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
            for delta, finish in deltas
        ]
        events = stream(C, R, sse(*chunks, done=True), asked)
        item = next(e["item"] for e in events if e["type"] == "response.output_item.done")
        joined = "".join(
            e["delta"] for e in events if e["type"] == "response.custom_tool_call_input.delta"
        )
        assert joined == text
    else:
        body, _ = answer(C, R, whole, asked)
        [item] = body["output"]
    assert (item["type"], item["name"]) == ("custom_tool_call", "apply_patch")
    assert item["input"] == text


@pytest.mark.parametrize("upstream", ALL)
def test_tool_16_tools_that_ride_in_the_input(upstream: str) -> None:
    def tool(name: str, about: str) -> dict[str, Any]:
        return {"type": "function", "name": name, "description": about, "parameters": POINT}

    item = {"type": "additional_tools", "tools": [tool("f", "second"), tool("g", "third")]}
    body = {"tools": None, "input": [item, ASK]}
    assert _offered(upstream, body) == ["f", "g"]
    if upstream != R:
        both = {"tools": [tool("f", "first")], "input": [item, ASK]}
        assert _offered(upstream, both) == ["f", "g"]
        assert "second" not in cross(R, upstream, both).text, "the first declaration wins"


def _offered(upstream: str, body: dict[str, Any]) -> list[str]:
    sent = cross(R, upstream, body).body
    if upstream == R and not sent.get("tools"):
        [item] = [item for item in sent["input"] if item.get("type") == "additional_tools"]
        return [tool["name"] for tool in item["tools"]]
    return list(schemas(upstream, sent))


NAMESPACED: dict[str, Any] = {
    "tools": [
        {
            "type": "namespace",
            "name": "mcp_x",
            "description": "d",
            "tools": [{"type": "function", "name": "read", "parameters": POINT}],
        }
    ],
    "input": [
        ASK,
        {
            "type": "function_call",
            "call_id": "c1",
            "name": "read",
            "namespace": "mcp_x",
            "arguments": '{"x":1}',
        },
        {"type": "function_call_output", "call_id": "c1", "output": "r"},
    ],
}


@pytest.mark.parametrize("upstream", [C, A, G])
def test_tool_17_a_namespace_is_flattened_and_restored(upstream: str) -> None:
    crossed = cross(R, upstream, NAMESPACED)
    assert list(schemas(upstream, crossed.body)) == ["mcp_x__read"]
    assert [call[2] for call in of_kind(upstream, crossed.body, "call")] == ["mcp_x__read"]
    whole, _ = answer(upstream, R, called(upstream, "mcp_x__read"), crossed)
    [item] = [item for item in whole["output"] if item["type"] == "function_call"]
    assert (item["name"], item["namespace"]) == ("read", "mcp_x")
    events = stream(upstream, R, streamed_call(upstream, "mcp_x__read"), crossed)
    items = [e["item"] for e in events if e["type"].startswith("response.output_item.")]
    assert {(item["name"], item["namespace"]) for item in items} == {("read", "mcp_x")}


@pytest.mark.parametrize("kind", ["web_search", "web_search_preview", "web_search_preview_2025_03_11", "web_search_2025_08_26"])  # fmt: skip
@pytest.mark.parametrize("upstream", [A, G])
def test_tool_21_every_alias_of_the_web_search_is_a_web_search(upstream: str, kind: str) -> None:
    crossed = cross(
        R, upstream, START[R] | {"tools": [{"type": kind}]}, hosted_tools=frozenset(HostedKind)
    )
    [tool] = crossed.body["tools"]
    assert tool == {"googleSearch": {}} if upstream == G else tool["name"] == "web_search"


# ------------------------------------------------------------------------------- Gemini's own flavour


OPENAPI: dict[str, Any] = {
    "type": "OBJECT",
    "properties": {
        "n": {"type": "INTEGER", "format": "int32"},
        "s": {"type": "STRING", "nullable": True},
        "e": {"type": "STRING", "format": "enum", "enum": ["a", "b"]},
        "l": {"type": "ARRAY", "items": {"type": "NUMBER"}, "minItems": "1"},
    },
    "propertyOrdering": ["n", "s", "e", "l"],
    "required": ["n"],
}


@pytest.mark.parametrize("upstream", [C, R, A])
def test_tool_23_geminis_flavour_becomes_json_schema(upstream: str) -> None:
    tools = [{"functionDeclarations": [{"name": "f", "parameters": OPENAPI}]}]
    sent = schemas(upstream, cross(G, upstream, START[G] | {"tools": tools}).body)["f"]
    assert sent["type"] == "object"
    found = sent["properties"]
    assert found["n"] == {"type": "integer"}
    assert found["s"] == {"type": ["string", "null"]}
    assert found["e"] == {"type": "string", "enum": ["a", "b"]}
    assert found["l"] == {"type": "array", "items": {"type": "number"}, "minItems": 1}
    assert not keywords(sent) & {"propertyOrdering", "nullable", "format"}


CLOSED: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("client", [C, R])
def test_tool_24_strict_goes_only_where_it_is_understood(client: str) -> None:
    body = declared_as(client, {"f": CLOSED}, strict=True)
    assert cross(client, A, body).body["tools"][0]["strict"] is True
    assert "strict" not in cross(client, A, body, strict_tools=False).text
    crossed = cross(client, G, body)
    assert "strict" not in crossed.text
    assert crossed.body["toolConfig"]["functionCallingConfig"] == {"mode": "VALIDATED"}


@pytest.mark.parametrize("client", [C, A, G])
@pytest.mark.parametrize("schema", [POINT, CLOSED, None])
def test_tool_25_strict_is_always_said_to_responses(schema: Any, client: str) -> None:
    [tool] = cross(client, R, declared(client, f=schema)).body["tools"]
    assert tool["strict"] is False
    assert tool["parameters"].get("required", []) == (schema or {}).get("required", [])


def test_tool_25_strict_that_was_asked_for_stays() -> None:
    for client in (C, A):
        [tool] = cross(client, R, declared_as(client, {"f": CLOSED}, strict=True)).body["tools"]
        assert tool["strict"] is True


BIG = 9223372036854775807


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_tool_26_big_integers_keep_their_digits(client: str, upstream: str) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer", "maximum": BIG}}}
    body = history(client, ["f"]) | {"tools": declared(client, f=schema)["tools"]}
    text = json_of(body).replace('"x":1}', f'"x":{BIG}}}').replace('x\\":1', f'x\\":{BIG}')
    crossed = cross(client, upstream, loads(text.encode()))
    assert schemas(upstream, crossed.body)["f"]["properties"]["x"]["maximum"] == BIG
    assert calls(upstream, crossed.body)["c0"] == {"x": BIG}
    assert crossed.text.count(str(BIG)) == 2


def test_tool_13_a_tool_that_is_declared_twice_is_refused() -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    with pytest.raises(GatewayError) as caught:
        cross(C, G, START[C] | {"tools": [tool, tool]})
    assert caught.value.kind is ErrorKind.INVALID_REQUEST
    assert flat(G, cross(C, G, START[C] | {"tools": [tool]}).body) == [("user", "go")]
