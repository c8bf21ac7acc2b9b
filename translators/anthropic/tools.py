"""Tools and tool choice of a request, read and written (portability rules, sections 6 and 7).

Reference: https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from translators import freeform, ir, schema
from translators.anthropic.intake import Intake
from translators.anthropic.words import PROTOCOL
from translators.base import Target
from translators.errors import ErrorKind, GatewayError, invalid
from translators.fields import Fields
from translators.ir import HostedKind
from translators.losses import Action, Loss, Losses
from translators.names import ToolNames
from translators.schema import Dialect
from translators.wire import JsonObject, without_nulls

HOSTED_KINDS: Final[Mapping[str, HostedKind]] = {
    "web_search_": HostedKind.WEB_SEARCH,
    "web_fetch_": HostedKind.WEB_FETCH,
    "code_execution_": HostedKind.CODE_EXECUTION,
    "tool_search_tool_": HostedKind.TOOL_SEARCH,
    "mcp_toolset": HostedKind.MCP,
    "advisor_": HostedKind.PROGRAMMATIC,
    "bash_": HostedKind.CLIENT_TOOLSET,
    "text_editor_": HostedKind.CLIENT_TOOLSET,
    "memory_": HostedKind.CLIENT_TOOLSET,
    "computer_": HostedKind.CLIENT_TOOLSET,
    "browser_": HostedKind.CLIENT_TOOLSET,
}
"""Beginnings of tool types; the dates behind them change."""

HOSTED_NAMES: Final[Mapping[HostedKind, tuple[str, str]]] = {
    HostedKind.WEB_SEARCH: ("web_search_20250305", "web_search"),
    HostedKind.WEB_FETCH: ("web_fetch_20250910", "web_fetch"),
    HostedKind.CODE_EXECUTION: ("code_execution_20250825", "code_execution"),
}
"""Type and name under which another protocol's hosted tool is declared: the widest supported versions."""

MCP_BETA: Final = "mcp-client-2025-11-20"

HOSTED_LOSSES: Final[Mapping[HostedKind, tuple[Loss, str]]] = {
    HostedKind.TOOL_SEARCH: (Loss.TELEMETRY, "all tools are loaded up front instead"),
    HostedKind.FILE_SEARCH: (Loss.IMPOSSIBLE, "file stores belong to one provider"),
    HostedKind.PRIVATE_MCP: (Loss.IMPOSSIBLE, "the MCP server is known to one provider only"),
    HostedKind.CLIENT_TOOLSET: (Loss.IMPOSSIBLE, "the tool's schema is known to one vendor only"),
}
"""What else a kind that cannot be declared costs; the rest is a dropped tool."""


# ----------------------------------------------------------------------------------------- reading


def parse_tools(fields: Fields, intake: Intake) -> tuple[ir.Tool, ...]:
    """`tools` and `mcp_servers`, and the tools that messages add or remove on their way."""
    servers = {server.text("name"): server for server in fields.items("mcp_servers")}
    used: set[str] = set()
    tools: list[ir.Tool] = []
    for item in fields.items("tools"):
        kind = item.optional_text("type")
        if kind in (None, "custom"):
            tools.append(_parse_function(item, intake))
            intake.unknown(item)
        elif kind == "mcp_toolset":
            name = item.text("mcp_server_name")
            if name not in servers:
                raise invalid(item.at("mcp_server_name"), "a name in mcp_servers", name)
            used.add(name)
            tools.append(_parse_toolset(item.raw, item.path, servers[name]))
        else:
            tools.append(_parse_hosted(item, str(kind)))
    for name, server in servers.items():
        if name not in used:
            declared = {"type": "mcp_toolset", "mcp_server_name": name}
            tools.append(_parse_toolset(declared, server.path, server))
    return _with_changes(tools, fields, intake)


def _parse_function(item: Fields, intake: Intake) -> ir.FunctionTool:
    for key in ("defer_loading", "eager_input_streaming"):
        if item.optional_bool(key):
            intake.unsaid(item.at(key), Loss.TELEMETRY)
    callers = item.texts("allowed_callers")
    if callers and "direct" not in callers:
        intake.unsaid(item.at("allowed_callers"), Loss.MEANING)
    elif len(callers) > 1:
        intake.unsaid(item.at("allowed_callers"), Loss.HINT, "only direct calls are possible")
    return ir.FunctionTool(
        name=item.text("name"),
        description=item.optional_text("description"),
        schema=item.json_object("input_schema"),
        strict=item.optional_bool("strict"),
        examples=tuple(example.raw for example in item.items("input_examples")),
        cache=intake.cache_mark(item),
        path=item.path,
    )


def _parse_hosted(item: Fields, wire_type: str) -> ir.HostedTool:
    kind = next(
        (found for start, found in HOSTED_KINDS.items() if wire_type.startswith(start)),
        HostedKind.OTHER,
    )
    search = None
    if kind is HostedKind.WEB_SEARCH:
        search = ir.SearchOptions(
            allowed_domains=item.texts("allowed_domains"),
            blocked_domains=item.texts("blocked_domains"),
            user_location=item.json_object("user_location"),
            max_uses=item.optional_int("max_uses"),
        )
    return ir.HostedTool(kind=kind, protocol=PROTOCOL, wire=item.raw, search=search, path=item.path)


def _parse_toolset(wire: JsonObject, path: str, server: Fields) -> ir.HostedTool:
    allowed = tuple(_enabled_tools(wire))
    configuration = server.optional_object("tool_configuration")
    if configuration is not None and not allowed:
        allowed = configuration.texts("allowed_tools")
    return ir.HostedTool(
        kind=HostedKind.MCP,
        protocol=PROTOCOL,
        wire=wire,
        mcp=ir.McpServer(
            label=server.text("name"),
            url=server.text("url"),
            authorization=server.optional_text("authorization_token"),
            allowed_tools=allowed,
        ),
        path=path,
    )


def _enabled_tools(wire: JsonObject) -> Iterator[str]:
    """Tools that are on while the others are off by default."""
    default, configs = wire.get("default_config"), wire.get("configs")
    if not isinstance(default, dict) or default.get("enabled") is not False:
        return
    for name, config in (configs if isinstance(configs, dict) else {}).items():
        if isinstance(config, dict) and config.get("enabled", True):
            yield name


def _with_changes(tools: list[ir.Tool], fields: Fields, intake: Intake) -> tuple[ir.Tool, ...]:
    """Apply `tool_addition` and `tool_removal` blocks: an inline definition joins, a removed tool leaves."""
    for message in fields.array("messages"):
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, list) or message.get("role") != "system":
            continue
        for block in content:
            tool = block.get("tool") if isinstance(block, dict) else None
            if isinstance(tool, dict):
                _change(tools, str(block.get("type")), tool, intake)
    return tuple(tools)


def _change(tools: list[ir.Tool], change: str, tool: JsonObject, intake: Intake) -> None:
    definition = tool.get("definition")
    if change == "tool_addition" and isinstance(definition, dict):
        if definition.get("type") in (None, "custom"):
            added = _parse_function(Fields(definition, "tools"), intake)
            if all(not isinstance(old, ir.FunctionTool) or old.ref != added.ref for old in tools):
                tools.append(added)
    elif change == "tool_removal":
        name = tool.get("tool_name") or tool.get("name")
        tools[:] = [
            old for old in tools if not isinstance(old, ir.FunctionTool) or old.name != name
        ]


def parse_choice(
    fields: Fields, tools: tuple[ir.Tool, ...], intake: Intake
) -> tuple[ir.ToolChoice | None, bool | None]:
    """`tool_choice`: the choice, and whether several calls at once are wanted (None = not said)."""
    choice = fields.optional_object("tool_choice")
    if choice is None:
        return None, None
    single = choice.optional_bool("disable_parallel_tool_use")
    kind = choice.text("type")
    match kind:
        case "auto":
            parsed = ir.ToolChoice(mode=ir.ChoiceMode.AUTO, path=choice.path)
        case "none":
            parsed = ir.ToolChoice(mode=ir.ChoiceMode.NONE, path=choice.path)
        case "any":
            parsed = ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED, path=choice.path)
        case "tool":
            parsed = _named_choice(choice.text("name"), tools, choice.path)
        case _:
            raise invalid(choice.at("type"), "auto, any, tool or none", kind)
    intake.unknown(choice)
    return parsed, None if single is None else not single


def _named_choice(name: str, tools: tuple[ir.Tool, ...], path: str) -> ir.ToolChoice:
    for tool in tools:
        if isinstance(tool, ir.HostedTool) and tool.wire.get("name") == name:
            return ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED, hosted=tool.kind, path=path)
    return ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED, allowed=(ir.ToolRef(name),), path=path)


# ----------------------------------------------------------------------------------------- writing


@dataclass(slots=True)
class ToolBox:
    """The tool part of a rendered request, and what follows from it elsewhere."""

    tools: list[JsonObject]
    mcp_servers: list[JsonObject]
    custom: frozenset[ir.ToolRef]
    choice: JsonObject | None = None
    system_lines: tuple[str, ...] = ()
    format_tool: ir.FunctionTool | None = None
    """The one tool whose call is asked for as an output format instead (forced-as-format)."""

    @property
    def forced(self) -> bool:
        """Whether the model must call a tool."""
        return self.choice is not None and self.choice["type"] in ("any", "tool")


def render_tools(request: ir.Request, target: Target, names: ToolNames, losses: Losses) -> ToolBox:
    """Write the tools, then the choice among those that were really written (pitfalls CHO-05)."""
    box = ToolBox([], [], frozenset())
    custom: set[ir.ToolRef] = set()
    declared: dict[ir.ToolRef, ir.FunctionTool] = {}
    validated = request.tool_choice is not None and (
        request.tool_choice.mode is ir.ChoiceMode.VALIDATED
    )
    keep = _kept_refs(request)
    for tool in request.tools:
        if isinstance(tool, ir.HostedTool):
            _add_hosted(tool, box, target, losses)
            continue
        if keep is not None and tool.ref not in keep:
            continue
        if isinstance(tool, ir.CustomTool):
            custom.add(tool.ref)
            tool = freeform.as_function(tool, losses)
        declared[tool.ref] = tool
        if validated and tool.strict is None and _fits(tool):
            tool = replace(tool, strict=True)
        box.tools.append(_render_function(tool, names.wire(tool.ref), target, losses))
    box.custom = frozenset(custom)
    _choose(request, box, target, names, declared, losses)
    return box


def _kept_refs(request: ir.Request) -> set[ir.ToolRef] | None:
    """The tools to declare when only a subset may be called; those that the history uses stay too."""
    choice = request.tool_choice
    if choice is None or not choice.allowed:
        return None
    if choice.mode is ir.ChoiceMode.REQUIRED and len(choice.allowed) == 1:
        return None
    used = {
        part.ref
        for message in request.messages
        for part in message.parts
        if isinstance(part, ir.ToolCall)
    }
    return used | set(choice.allowed)


def _json_schema(tool: ir.FunctionTool) -> JsonObject:
    return schema.function_parameters(tool.schema, openapi=tool.openapi)


def _fits(tool: ir.FunctionTool) -> bool:
    return schema.fits_anthropic(_json_schema(tool))


def _render_function(
    tool: ir.FunctionTool, name: str, target: Target, losses: Losses
) -> JsonObject:
    freeform.note_search(tool, losses)
    wire: JsonObject = {"name": name}
    if tool.description:
        wire["description"] = tool.description
    wire["input_schema"] = _json_schema(tool)
    if tool.strict:
        if target.profile.strict_tools and schema.fits_anthropic(wire["input_schema"]):
            wire["strict"] = True
        else:
            losses.give_up(
                Loss.VALUE, f"{tool.path}.strict", "the tool is sent without strict checking"
            )
    if tool.output_schema is not None:
        losses.give_up(Loss.TELEMETRY, tool.path, "a schema of results cannot be sent")
    if tool.examples:
        wire["input_examples"] = list(tool.examples)
    if tool.cache is not None:
        wire["cache_control"] = tool.cache
    return wire


def _add_hosted(tool: ir.HostedTool, box: ToolBox, target: Target, losses: Losses) -> None:
    if tool.protocol == PROTOCOL:
        box.tools.append(dict(tool.wire))
        if tool.mcp is not None:
            box.mcp_servers.append(_mcp_server(tool.mcp))
        return
    supported = tool.kind in target.profile.hosted_tools
    if not supported or not (tool.kind in HOSTED_NAMES or tool.mcp is not None):
        loss, reason = HOSTED_LOSSES.get(
            tool.kind, (Loss.MEANING, f"the hosted tool {tool.kind.value} is not available here")
        )
        losses.give_up(loss, tool.path, reason)
        return
    losses.choose(
        tool.path,
        f"the provider's own {tool.kind.value} is used",
        strict=Action.REJECT,
        balanced=Action.WARN,
        max_compat=Action.WARN,
    )
    if tool.mcp is not None:
        _add_mcp(tool, tool.mcp, box, losses)
        return
    wire_type, name = HOSTED_NAMES[tool.kind]
    wire: JsonObject = {"type": wire_type, "name": name}
    if tool.search is not None:
        wire |= _search_options(tool.search, tool.path, losses)
    box.tools.append(wire)


def _search_options(search: ir.SearchOptions, path: str, losses: Losses) -> JsonObject:
    if search.context_size is not None:
        losses.give_up(Loss.HINT, path, "the size of the search context cannot be chosen")
    return without_nulls(
        {
            "max_uses": search.max_uses,
            "allowed_domains": list(search.allowed_domains) or None,
            "blocked_domains": list(search.blocked_domains) or None,
            "user_location": search.user_location,
        }
    )


def _add_mcp(tool: ir.HostedTool, server: ir.McpServer, box: ToolBox, losses: Losses) -> None:
    if server.require_approval:
        losses.give_up(Loss.MEANING, tool.path, "calls of the MCP server cannot wait for approval")
    box.mcp_servers.append(_mcp_server(server))
    wire: JsonObject = {"type": "mcp_toolset", "mcp_server_name": server.label}
    if server.allowed_tools:
        wire["default_config"] = {"enabled": False}
        wire["configs"] = {name: {"enabled": True} for name in server.allowed_tools}
    box.tools.append(wire)


def _mcp_server(server: ir.McpServer) -> JsonObject:
    return without_nulls(
        {
            "type": "url",
            "url": server.url,
            "name": server.label,
            "authorization_token": server.authorization,
        }
    )


def _choose(
    request: ir.Request,
    box: ToolBox,
    target: Target,
    names: ToolNames,
    declared: dict[ir.ToolRef, ir.FunctionTool],
    losses: Losses,
) -> None:
    choice = request.tool_choice
    single = request.parallel_tool_calls is False
    path = choice.path if choice is not None else ""
    required = choice is not None and choice.mode is ir.ChoiceMode.REQUIRED
    if choice is not None and choice.hosted is not None and _hosted_name(choice, box) is None:
        reason = "the hosted tool that must be called is not available here"
        losses.give_up(Loss.MEANING, path, reason)
        choice, required = None, False
    if not box.tools:
        if required:
            raise GatewayError(
                ErrorKind.INVALID_REQUEST,
                f"{path}: a tool is required, but there is none",
                path=path,
            )
        return
    if choice is None:
        wire: JsonObject | None = {"type": "auto"} if single else None
    elif choice.mode is ir.ChoiceMode.NONE:
        wire, single = {"type": "none"}, False
    elif not required:
        wire = {"type": "auto"}
    else:
        wire = _forced(choice, box, names, declared)
        if not target.profile.forced_tool_choice:
            _soften(request, wire, box, target, names, declared, losses)
            return
    if wire is not None and single:
        wire["disable_parallel_tool_use"] = True
    box.choice = wire


def _hosted_name(choice: ir.ToolChoice, box: ToolBox) -> str | None:
    """The name of the declared tool that a forced hosted capability means."""
    start = tuple(key for key, kind in HOSTED_KINDS.items() if kind is choice.hosted)
    for tool in box.tools:
        if str(tool.get("type", "")).startswith(start) and isinstance(tool.get("name"), str):
            return str(tool["name"])
    return None


def _forced(
    choice: ir.ToolChoice,
    box: ToolBox,
    names: ToolNames,
    declared: dict[ir.ToolRef, ir.FunctionTool],
) -> JsonObject:
    if choice.hosted is not None:
        return {"type": "tool", "name": _hosted_name(choice, box)}
    if not choice.allowed:
        return {"type": "any"}
    known = [ref for ref in choice.allowed if ref in declared]
    if not known:
        wanted = ", ".join(ref.name for ref in choice.allowed)
        raise GatewayError(
            ErrorKind.INVALID_REQUEST,
            f'{choice.path}: the required tool "{wanted}" is not among the tools',
            path=choice.path,
        )
    if len(choice.allowed) == 1:
        return {"type": "tool", "name": names.wire(known[0])}
    return {"type": "any"}


def _soften(
    request: ir.Request,
    wire: JsonObject,
    box: ToolBox,
    target: Target,
    names: ToolNames,
    declared: dict[ir.ToolRef, ir.FunctionTool],
    losses: Losses,
) -> None:
    """A forced call for a model that refuses forcing: as an output format, else asked for in the system text."""
    assert request.tool_choice is not None  # noqa: S101 - the caller has looked
    path = request.tool_choice.path
    losses.give_up(
        Loss.MEANING, path, "the model cannot be forced to call a tool; it was asked to instead"
    )
    only = _only_function(request, declared)
    if wire["type"] == "tool" and only is not None and target.profile.json_schema:
        box.format_tool = only
        box.tools.clear()
        told = f"Your whole answer is the JSON input of the tool {names.wire(only.ref)}."
        box.system_lines = (f"{told} {only.description}" if only.description else told,)
        return
    allowed = [wire["name"]] if "name" in wire else [names.wire(ref) for ref in declared]
    box.system_lines = (f"You must call one of the tools {', '.join(allowed)}.",)
    box.choice = {"type": "auto"}
    if request.parallel_tool_calls is False:
        box.choice["disable_parallel_tool_use"] = True


def _only_function(
    request: ir.Request, declared: dict[ir.ToolRef, ir.FunctionTool]
) -> ir.FunctionTool | None:
    """The forced tool, if the answer can be nothing but its arguments and the history holds no calls."""
    choice = request.tool_choice
    if choice is None or len(choice.allowed) != 1 or request.output is not None:
        return None
    calls = any(
        isinstance(part, ir.ToolCall) for message in request.messages for part in message.parts
    )
    tool = declared.get(choice.allowed[0])
    return tool if tool is not None and not calls and _fits(tool) else None


def format_schema(tool: ir.FunctionTool, losses: Losses) -> JsonObject:
    """The output format that stands in for a forced call."""
    return schema.convert(
        _json_schema(tool), Dialect.ANTHROPIC, f"{tool.path}.input_schema", losses
    )
