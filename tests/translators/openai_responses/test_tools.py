"""Tools and tool choice as clients declare them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.openai_responses.support import EXAMPLES, parse, parse_items
from translators import ir
from translators.errors import GatewayError
from translators.losses import Loss

STRICT = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


def tools_of(*tools: Any, items: Any = "hi") -> tuple[ir.Tool, ...]:
    """The declared tools."""
    return parse({"input": items, "tools": list(tools)}).tools


def choice_of(choice: Any, *tools: Any) -> ir.ToolChoice | None:
    """The tool choice beside these tools."""
    return parse({"input": "hi", "tools": list(tools), "tool_choice": choice}).tool_choice


def function(name: str, **fields: Any) -> dict[str, Any]:
    """A function tool."""
    return {"type": "function", "name": name, **fields}


@pytest.mark.parametrize("tool", EXAMPLES["tool"][0], ids=lambda tool: tool["type"])
def test_every_documented_tool_is_read(tool: dict[str, Any]) -> None:
    [read] = tools_of(tool)
    if isinstance(read, ir.HostedTool):
        assert read.wire == tool
        assert read.kind is not ir.HostedKind.OTHER


@pytest.mark.parametrize(
    ("fields", "strict"),
    [
        pytest.param({"parameters": STRICT}, True, id="left out, the schema allows it"),
        pytest.param({"parameters": {"type": "object"}}, False, id="left out, it does not"),
        pytest.param({"parameters": STRICT, "strict": False}, False, id="false"),
        pytest.param({"parameters": {"type": "object"}, "strict": True}, True, id="true"),
        pytest.param({"parameters": None, "strict": None}, False, id="null"),
    ],
)
def test_strictness(fields: dict[str, Any], strict: bool) -> None:
    [tool] = tools_of(function("f", **fields))
    assert isinstance(tool, ir.FunctionTool)
    assert tool.strict is strict


def test_tool_17_namespaces() -> None:
    space = {"type": "namespace", "name": "mcp_x", "description": "Files.", "tools": [function("read", description="Read."), {"type": "custom", "name": "run"}]}  # fmt: skip
    read, run = tools_of(space)
    assert isinstance(read, ir.FunctionTool)
    assert (read.ref, read.description) == (ir.ToolRef("read", "mcp_x"), "Read.\n\n(mcp_x: Files.)")
    assert isinstance(run, ir.CustomTool)
    assert run.ref == ir.ToolRef("run", "mcp_x")
    assert run.path == "tools[0].tools[1]"


def test_the_namespace_functions_is_the_top_level() -> None:
    [tool] = tools_of({"type": "namespace", "name": "functions", "tools": [function("f")]})
    assert isinstance(tool, ir.FunctionTool)
    assert tool.ref == ir.ToolRef("f")
    [message] = parse_items(
        {
            "type": "function_call",
            "call_id": "c",
            "name": "f",
            "namespace": "functions",
            "arguments": "",
        }
    )
    assert isinstance(message.parts[0], ir.ToolCall)
    assert message.parts[0].ref == ir.ToolRef("f")


@pytest.mark.parametrize(
    ("call", "ref"),
    [
        pytest.param(
            {"name": "read"}, ir.ToolRef("read", "a"), id="left out, only one can be meant"
        ),
        pytest.param({"name": "read", "namespace": "a"}, ir.ToolRef("read", "a"), id="given"),
        pytest.param(
            {"name": "read", "namespace": "gone"}, ir.ToolRef("read", "gone"), id="unknown"
        ),
        pytest.param({"name": "both"}, ir.ToolRef("both"), id="left out, two can be meant"),
        pytest.param({"name": "other"}, ir.ToolRef("other"), id="never declared"),
    ],
)
def test_namespaces_of_calls(call: dict[str, Any], ref: ir.ToolRef) -> None:
    request = parse(
        {
            "input": [{"type": "function_call", "call_id": "c", "arguments": "{}", **call}],
            "tools": [
                {"type": "namespace", "name": "a", "tools": [function("read"), function("both")]},
                {"type": "namespace", "name": "b", "tools": [function("both")]},
            ],
        }
    )
    part = request.messages[0].parts[0]
    assert isinstance(part, ir.ToolCall)
    assert part.ref == ref


def test_tool_16_tools_in_the_input_are_collected_and_the_first_wins() -> None:
    late = {"type": "additional_tools", "role": "developer", "tools": [function("f", description="late"), function("g")]}  # fmt: skip
    found = {"type": "tool_search_output", "tools": [function("g", description="later"), function("h")]}  # fmt: skip
    tools = tools_of(function("f", description="first"), items=[late, found])
    assert [
        (tool.name, tool.description) for tool in tools if isinstance(tool, ir.FunctionTool)
    ] == [
        ("f", "first"),
        ("g", None),
        ("h", None),
    ]


@pytest.mark.parametrize(
    ("before", "losses"),
    [
        pytest.param([], [], id="first item: nothing is lost"),
        pytest.param(["hi"], [("input[1]", Loss.VALUE)], id="later: its place is lost"),
    ],
)
def test_tool_16_the_place_of_late_tools(before: list[Any], losses: list[tuple[str, Loss]]) -> None:
    late = {"type": "additional_tools", "role": "developer", "tools": [function("f")]}
    request = parse({"input": [*before, late, "go"]})
    assert [(u.path, u.loss) for u in request.unshared] == losses


def test_a_tool_declared_twice_is_refused() -> None:
    with pytest.raises(GatewayError) as caught:
        tools_of(function("f"), function("f"))
    assert caught.value.path == "tools[1]"


@pytest.mark.parametrize(
    ("fields", "loss"),
    [
        ({"async": True}, Loss.MEANING),
        ({"allowed_callers": ["programmatic"]}, Loss.MEANING),
    ],
)
def test_tool_options_of_this_protocol_alone(fields: dict[str, Any], loss: Loss) -> None:
    request = parse({"input": "hi", "tools": [function("f", **fields)]})
    assert [(u.path, u.loss) for u in request.unshared] == [
        (f"tools[0].{next(iter(fields))}", loss)
    ]


@pytest.mark.parametrize(
    "fields",
    [{"defer_loading": True}, {"async": False}, {"allowed_callers": ["direct", "programmatic"]}],
)
def test_harmless_tool_options(fields: dict[str, Any]) -> None:
    assert parse({"input": "hi", "tools": [function("f", **fields)]}).unshared == ()


@pytest.mark.parametrize(
    "kind",
    ["web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"],
)
def test_tool_21_aliases_of_web_search(kind: str) -> None:
    [tool] = tools_of(
        {"type": kind, "search_context_size": "low", "filters": {"allowed_domains": ["e.com"]}}
    )
    assert isinstance(tool, ir.HostedTool)
    assert tool.kind is ir.HostedKind.WEB_SEARCH
    assert tool.search == ir.SearchOptions(allowed_domains=("e.com",), context_size="low")
    choice = choice_of({"type": kind}, {"type": kind})
    assert choice is not None
    assert choice.hosted is ir.HostedKind.WEB_SEARCH


def test_mcp_servers() -> None:
    [tool] = tools_of(
        {"type": "mcp", "server_label": "d", "server_url": "https://m", "headers": {"Authorization": "Bearer t"}, "allowed_tools": {"tool_names": ["a"]}, "require_approval": "never"}
    )  # fmt: skip
    assert isinstance(tool, ir.HostedTool)
    assert tool.mcp == ir.McpServer(
        label="d", url="https://m", authorization="t", allowed_tools=("a",)
    )
    [connector] = tools_of({"type": "mcp", "server_label": "d", "connector_id": "c"})
    assert isinstance(connector, ir.HostedTool)
    assert connector.mcp is None


@pytest.mark.parametrize("choice", EXAMPLES["tool_choice"][0], ids=str)
def test_every_documented_choice_is_read(choice: Any) -> None:
    tools = [function("get_weather"), {"type": "custom", "name": "run_sql"}]
    read = choice_of(choice, *tools)
    assert read is not None
    if isinstance(choice, str):
        assert read.mode.value == choice
    elif choice["type"] in ("function", "custom"):
        assert (read.mode, read.allowed) == (ir.ChoiceMode.REQUIRED, (ir.ToolRef(choice["name"]),))
    elif choice["type"] == "allowed_tools":
        assert (read.mode, read.allowed) == (ir.ChoiceMode.AUTO, (ir.ToolRef("get_weather"),))
    else:
        assert read.hosted is not None


def test_cho_04_a_subset_may_name_a_namespace() -> None:
    space = {"type": "namespace", "name": "a", "tools": [function("x"), function("y")]}
    wanted = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "namespace", "name": "a"}],
    }
    choice = choice_of(wanted, space, function("z"))
    assert choice is not None
    assert choice.allowed == (ir.ToolRef("x", "a"), ir.ToolRef("y", "a"))
    assert choice.mode is ir.ChoiceMode.REQUIRED
