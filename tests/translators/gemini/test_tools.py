"""Tools and the choice among them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.gemini.support import EXAMPLES, hub, parse, render, user
from translators import ir
from translators.errors import ErrorKind, GatewayError
from translators.losses import Loss, Losses, Mode

HI = {"contents": "hi"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
F = ir.FunctionTool(name="f", schema=SCHEMA, path="tools[0]")
G = ir.FunctionTool(name="g", path="tools[1]")
REFS = (ir.ToolRef("f"),)


def declarations(*tools: ir.Tool, **profile: Any) -> list[dict[str, Any]]:
    body = render(hub(user("x"), tools=tools), **profile).body
    found: list[dict[str, Any]] = body["tools"][0]["functionDeclarations"]
    return found


# ---------------------------------------------------------------------------------------- parsing


def test_tool_23_the_two_kinds_of_schema_are_told_apart() -> None:
    (tool,) = EXAMPLES["tool"][0][:1]
    noop, old, new = parse({**HI, "tools": [tool]}).tools
    assert isinstance(noop, ir.FunctionTool)
    assert isinstance(old, ir.FunctionTool)
    assert isinstance(new, ir.FunctionTool)
    assert (noop.schema, old.openapi, new.openapi) == (None, True, False)
    assert new.schema == tool["functionDeclarations"][2]["parametersJsonSchema"]


def test_types_in_capitals_are_openapi_in_whatever_field() -> None:
    declaration = {"name": "f", "parametersJsonSchema": {"type": "OBJECT", "properties": {}}}
    (tool,) = parse({**HI, "tools": [{"functionDeclarations": [declaration]}]}).tools
    assert isinstance(tool, ir.FunctionTool)
    assert tool.openapi


@pytest.mark.parametrize(
    ("tool", "kind"),
    [
        (tool, kind)
        for tool, kind in zip(
            EXAMPLES["tool"][0][1:],
            [
                "web_search",
                "web_search",
                "web_fetch",
                "code_execution",
                "maps",
                "file_search",
                "client_toolset",
                "mcp",
            ],
            strict=True,
        )
    ],
)
def test_hosted_tools_keep_their_declaration(tool: dict[str, Any], kind: str) -> None:
    request = parse({**HI, "tools": [tool]})
    (found,) = request.tools
    assert isinstance(found, ir.HostedTool)
    assert found.kind == kind
    assert found.wire == tool
    assert request.unshared == ()
    assert render(request).body["tools"] == [tool]


def test_one_tool_object_may_hold_several_tools() -> None:
    tool = {"functionDeclarations": [{"name": "f"}], "googleSearch": {}, "codeExecution": {}}
    assert len(parse({**HI, "tools": [tool]}).tools) == 3
    assert len(parse({**HI, "tools": tool}).tools) == 3


def test_an_mcp_server_is_read() -> None:
    (tool,) = parse(
        {**HI, "tools": [{"mcpServers": [{"name": "d", "streamableHttpTransport": {
            "url": "https://m.com", "headers": {"authorization": "Bearer t"}}}]}]}
    ).tools  # fmt: skip
    assert isinstance(tool, ir.HostedTool)
    assert tool.mcp == ir.McpServer(label="d", url="https://m.com", authorization="t")


@pytest.mark.parametrize(
    ("config", "choice"),
    [
        pytest.param({"mode": "AUTO"}, ir.ToolChoice(mode=ir.ChoiceMode.AUTO), id="auto"),
        pytest.param({"mode": "any"}, ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED), id="lower case"),
        pytest.param({"mode": "ANY", "allowedFunctionNames": ["f"]}, ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED, allowed=REFS), id="one"),
        pytest.param({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, ir.ToolChoice(mode=ir.ChoiceMode.VALIDATED, allowed=REFS), id="CHO-10 validated"),
        pytest.param({"mode": "NONE"}, ir.ToolChoice(mode=ir.ChoiceMode.NONE), id="none"),
        pytest.param({"mode": "MODE_UNSPECIFIED"}, None, id="CHO-10 unspecified"),
        pytest.param({}, ir.ToolChoice(mode=ir.ChoiceMode.AUTO), id="no mode"),
    ],
)  # fmt: skip
def test_tool_choice(config: dict[str, Any], choice: ir.ToolChoice | None) -> None:
    assert parse({**HI, "toolConfig": {"functionCallingConfig": config}}).tool_choice == choice


def test_what_only_gemini_has_in_a_declaration() -> None:
    declaration = {
        "name": "f",
        "behavior": "NON_BLOCKING",
        "response": {"type": "OBJECT"},
    }
    request = parse({**HI, "tools": [{"functionDeclarations": [declaration]}]})
    assert {lost.loss for lost in request.unshared} == {Loss.MEANING, Loss.TELEMETRY}


# -------------------------------------------------------------------------------------- rendering


def test_functions_share_one_list_and_have_no_empty_fields() -> None:
    found = declarations(F, G)
    assert [tool["name"] for tool in found] == ["f", "g"]
    assert found[0]["parametersJsonSchema"] == SCHEMA
    assert found[1] == {"name": "g"}


def test_the_openapi_form_where_the_upstream_has_no_other() -> None:
    (tool,) = declarations(F, openapi_schemas=True)
    assert "parametersJsonSchema" not in tool
    assert tool["parameters"]["properties"]["a"]["type"] in ("string", "STRING")


def test_an_openapi_schema_goes_as_it_came() -> None:
    schema = {"type": "OBJECT", "properties": {"n": {"type": "INTEGER", "format": "int32"}}}
    (tool,) = declarations(ir.FunctionTool(name="f", schema=schema, openapi=True))
    assert tool["parameters"] == schema


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {"a": {"type": "string", "const": "x"}}, "additionalProperties": False}, id="TOOL-01"),
        pytest.param({"type": "object", "properties": {"properties": {"type": "string"}, "type": {"type": "string"}, "$ref": {"type": "string"}}}, id="TOOL-03"),
        pytest.param({"$ref": "#/$defs/N", "$defs": {"N": {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}}}}, id="TOOL-04 recursion"),
        pytest.param({"q": {"type": "string", "required": True}}, id="TOOL-06"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("openapi", [False, True])
def test_odd_schemas_leave_in_a_form_that_gemini_takes(
    schema: dict[str, Any], openapi: bool
) -> None:
    (tool,) = declarations(ir.FunctionTool(name="f", schema=schema), openapi_schemas=openapi)
    assert "$schema" not in repr(tool)
    assert "'const'" not in repr(tool)


def test_a_freeform_tool_becomes_a_function_with_one_string() -> None:
    rendered = render(hub(user("x"), tools=(ir.CustomTool(name="p", description="d"),)))
    (tool,) = rendered.body["tools"][0]["functionDeclarations"]
    assert tool["parametersJsonSchema"]["required"] == ["input"]
    assert rendered.reading.custom == {ir.ToolRef("p")}


def test_tool_10_keys_of_anthropic_tools_do_not_leak() -> None:
    tool = ir.FunctionTool(
        name="f", schema=SCHEMA, strict=True, examples=({"a": "x"},), cache=ir.CacheMark()
    )
    (found,) = declarations(tool)
    assert set(found) == {"name", "description", "parametersJsonSchema"}
    assert '{"a":"x"}' in found["description"]


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(GatewayError):
        declarations(F, F)


STRICT = ir.FunctionTool(name="f", schema=SCHEMA, strict=True)


@pytest.mark.parametrize(
    ("tools", "choice", "config"),
    [
        pytest.param((F,), None, None, id="nothing said"),
        pytest.param((F,), ir.ToolChoice(mode=ir.ChoiceMode.AUTO), None, id="auto"),
        pytest.param((F,), ir.ToolChoice(mode=ir.ChoiceMode.NONE), {"mode": "NONE"}, id="CHO-02 none"),
        pytest.param((F,), ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED), {"mode": "ANY"}, id="CHO-02 any"),
        pytest.param((F, G), ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED, allowed=REFS), {"mode": "ANY", "allowedFunctionNames": ["f"]}, id="CHO-07 this one"),
        pytest.param((F, G), ir.ToolChoice(mode=ir.ChoiceMode.AUTO, allowed=REFS), {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, id="CHO-04 a subset"),
        pytest.param((F,), ir.ToolChoice(mode=ir.ChoiceMode.VALIDATED), {"mode": "VALIDATED"}, id="validated"),
        pytest.param((STRICT,), None, {"mode": "VALIDATED"}, id="TOOL-24 every tool strict"),
        pytest.param((), ir.ToolChoice(mode=ir.ChoiceMode.NONE), None, id="none without tools"),
    ],
)  # fmt: skip
def test_the_choice_on_the_wire(tools: Any, choice: Any, config: dict[str, Any] | None) -> None:
    body = render(hub(user("x"), tools=tools, tool_choice=choice)).body
    assert body.get("toolConfig", {}).get("functionCallingConfig") == config


def test_strict_tools_among_others_are_a_hint() -> None:
    losses = Losses()
    assert "toolConfig" not in render(hub(user("x"), tools=(STRICT, G)), losses=losses).body
    assert losses.degradations
    with pytest.raises(GatewayError):
        render(hub(user("x"), tools=(STRICT, G)), Mode.STRICT)


@pytest.mark.parametrize(
    "choice",
    [
        pytest.param(ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED), id="a call without tools"),
        pytest.param(
            ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED, allowed=REFS),
            id="CHO-05 a tool that is gone",
        ),
    ],
)
def test_an_impossible_choice_is_refused(choice: ir.ToolChoice) -> None:
    tools = (G,) if choice.allowed else ()
    with pytest.raises(GatewayError) as caught:
        render(hub(user("x"), tools=tools, tool_choice=choice))
    assert caught.value.kind is ErrorKind.INVALID_REQUEST


def test_parallel_calls_cannot_be_switched_off() -> None:
    request = hub(user("x"), tools=(F,), parallel_tool_calls=False)
    losses = Losses()
    assert render(request, losses=losses).reading.single_call
    assert losses.degradations
    assert render(request, Mode.BALANCED).reading.single_call
    with pytest.raises(GatewayError):
        render(request, Mode.STRICT)
    assert not render(hub(user("x"), parallel_tool_calls=False), Mode.STRICT).reading.single_call
    assert not render(hub(user("x"), tools=(F,), parallel_tool_calls=True)).reading.single_call


def hosted(kind: ir.HostedKind, **fields: Any) -> ir.HostedTool:
    return ir.HostedTool(kind=kind, protocol="anthropic", wire={}, path="tools[0]", **fields)


@pytest.mark.parametrize(
    ("kind", "wire"),
    [
        (ir.HostedKind.WEB_SEARCH, {"googleSearch": {}}),
        (ir.HostedKind.WEB_FETCH, {"urlContext": {}}),
        (ir.HostedKind.CODE_EXECUTION, {"codeExecution": {}}),
    ],
)
def test_hosted_tools_of_others_by_mode(kind: ir.HostedKind, wire: dict[str, Any]) -> None:
    request = hub(user("x"), tools=(hosted(kind),))
    on = frozenset({kind})
    for mode in (Mode.BALANCED, Mode.MAX_COMPAT):
        assert render(request, mode, hosted_tools=on).body["tools"] == [wire]
    with pytest.raises(GatewayError):
        render(request, Mode.STRICT, hosted_tools=on)
    losses = Losses()
    assert "tools" not in render(request, losses=losses).body
    assert losses.degradations
    with pytest.raises(GatewayError):
        render(request, Mode.BALANCED)


@pytest.mark.parametrize(
    ("kind", "refused_in"),
    [
        pytest.param(ir.HostedKind.TOOL_SEARCH, (), id="tool search: its tools are loaded anyway"),
        pytest.param(ir.HostedKind.IMAGE_GENERATION, (Mode.STRICT, Mode.BALANCED), id="images"),
        pytest.param(ir.HostedKind.CLIENT_TOOLSET, tuple(Mode), id="a vendor's own toolset"),
        pytest.param(ir.HostedKind.FILE_SEARCH, tuple(Mode), id="a vendor's file store"),
    ],
)
def test_hosted_tools_without_an_equivalent(
    kind: ir.HostedKind, refused_in: tuple[Mode, ...]
) -> None:
    request = hub(user("x"), tools=(hosted(kind),))
    for mode in Mode:
        if mode in refused_in:
            with pytest.raises(GatewayError):
                render(request, mode)
        else:
            assert "tools" not in render(request, mode).body


def test_limits_of_a_search_are_a_matter_of_safety() -> None:
    search = ir.SearchOptions(blocked_domains=("bad.com",))
    request = hub(user("x"), tools=(hosted(ir.HostedKind.WEB_SEARCH, search=search),))
    on = frozenset({ir.HostedKind.WEB_SEARCH})
    assert render(request, hosted_tools=on, vertex=True).body["tools"] == [
        {"googleSearch": {"excludeDomains": ["bad.com"]}}
    ]
    with pytest.raises(GatewayError):
        render(request, Mode.BALANCED, hosted_tools=on)


def test_a_remote_mcp_server_of_others() -> None:
    mcp = ir.McpServer(label="d", url="https://m.com", authorization="t")
    request = hub(user("x"), tools=(hosted(ir.HostedKind.MCP, mcp=mcp),))
    (tool,) = render(request, hosted_tools=frozenset({ir.HostedKind.MCP})).body["tools"]
    (server,) = tool["mcpServers"]
    assert server["streamableHttpTransport"]["headers"] == {"Authorization": "Bearer t"}


def test_hosted_tools_give_way_to_functions_where_the_model_takes_no_mix() -> None:
    search = hosted(ir.HostedKind.WEB_SEARCH)
    tools = (ir.FunctionTool(name="f", schema={"type": "object"}), search)
    profile = {
        "hosted_tools": frozenset({ir.HostedKind.WEB_SEARCH}),
        "hosted_with_functions": False,
    }
    request = hub(user("x"), tools=tools)
    rendered = render(request, **profile)
    assert [list(tool) for tool in rendered.body["tools"]] == [["functionDeclarations"]]
    assert "toolConfig" not in rendered.body
    with pytest.raises(GatewayError, match="beside functions") as refused:
        render(request, Mode.BALANCED, **profile)
    assert refused.value.path == "tools[0]"
    alone = render(hub(user("x"), tools=(search,)), **profile)
    assert alone.body["tools"] == [{"googleSearch": {}}]


def test_functions_beside_hosted_tools_ask_for_the_mix() -> None:
    tools = [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}]
    body = render(parse({**HI, "tools": tools})).body
    assert body["toolConfig"] == {"includeServerSideToolInvocations": True}
    assert "toolConfig" not in render(parse({**HI, "tools": tools}), vertex=True).body
