"""Tools and the choice among them, in both directions.

Reference: https://ai.google.dev/api/caching#Tool (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from translators import freeform, ir, schema
from translators.base import Target
from translators.errors import ErrorKind, GatewayError, invalid
from translators.gemini.context import PROTOCOL, Context
from translators.gemini.spelling import ProtoFields, camel_deep
from translators.losses import Action, Loss, Losses
from translators.names import ToolNames
from translators.schema import Dialect
from translators.wire import JsonObject, dump_text

HOSTED_KINDS: Final[Mapping[str, ir.HostedKind]] = {
    "googleSearch": ir.HostedKind.WEB_SEARCH,
    "googleSearchRetrieval": ir.HostedKind.WEB_SEARCH,
    "enterpriseWebSearch": ir.HostedKind.WEB_SEARCH,
    "parallelAiSearch": ir.HostedKind.WEB_SEARCH,
    "exaAiSearch": ir.HostedKind.WEB_SEARCH,
    "urlContext": ir.HostedKind.WEB_FETCH,
    "codeExecution": ir.HostedKind.CODE_EXECUTION,
    "fileSearch": ir.HostedKind.FILE_SEARCH,
    "googleMaps": ir.HostedKind.MAPS,
    "computerUse": ir.HostedKind.CLIENT_TOOLSET,
    "retrieval": ir.HostedKind.OTHER,
}

MODES: Final[Mapping[str, ir.ChoiceMode]] = {
    "AUTO": ir.ChoiceMode.AUTO,
    "MODE_UNSPECIFIED": ir.ChoiceMode.AUTO,
    "ANY": ir.ChoiceMode.REQUIRED,
    "NONE": ir.ChoiceMode.NONE,
    "VALIDATED": ir.ChoiceMode.VALIDATED,
}

_WIRE_MODES: Final[Mapping[ir.ChoiceMode, str]] = {
    ir.ChoiceMode.AUTO: "AUTO",
    ir.ChoiceMode.REQUIRED: "ANY",
    ir.ChoiceMode.NONE: "NONE",
    ir.ChoiceMode.VALIDATED: "VALIDATED",
}

_EMPTY_HOSTED: Final[Mapping[ir.HostedKind, str]] = {
    ir.HostedKind.WEB_FETCH: "urlContext",
    ir.HostedKind.CODE_EXECUTION: "codeExecution",
    ir.HostedKind.MAPS: "googleMaps",
}

_UNAVAILABLE: Final[Mapping[ir.HostedKind, tuple[Loss, str]]] = {
    ir.HostedKind.TOOL_SEARCH: (Loss.TELEMETRY, "all tools are loaded up front instead"),
    ir.HostedKind.FILE_SEARCH: (Loss.IMPOSSIBLE, "file stores belong to one provider"),
    ir.HostedKind.PRIVATE_MCP: (Loss.IMPOSSIBLE, "the MCP server is known to one provider only"),
    ir.HostedKind.CLIENT_TOOLSET: (
        Loss.IMPOSSIBLE,
        "the tool's schema is known to one vendor only",
    ),
}
"""Hosted tools that are more, or less, than a loss of meaning."""


# ---------------------------------------------------------------------------------------- parsing


def parse_tools(fields: ProtoFields, context: Context) -> tuple[ir.Tool, ...]:
    """All tools, those of several `functionDeclarations` lists in one row."""
    found: list[ir.Tool] = []
    raw = fields.any("tools")
    if isinstance(raw, dict):
        return tuple(_parse_tool(ProtoFields(raw, fields.at("tools")), context))
    for item in fields.items("tools"):
        found.extend(_parse_tool(item, context))
    return tuple(found)


def _parse_tool(item: ProtoFields, context: Context) -> list[ir.Tool]:
    found: list[ir.Tool] = [
        _parse_function(declaration, context) for declaration in item.items("functionDeclarations")
    ]
    for key, kind in HOSTED_KINDS.items():
        value = item.any(key)
        if value is None:
            continue
        options = item.object(key)
        search = None
        if kind is ir.HostedKind.WEB_SEARCH:
            search = ir.SearchOptions(blocked_domains=options.texts("excludeDomains"))
        found.append(
            ir.HostedTool(
                kind=kind,
                protocol=PROTOCOL,
                wire={key: camel_deep(value)},
                search=search,
                path=options.path,
            )
        )
    found.extend(_parse_mcp(server) for server in item.items("mcpServers"))
    context.unknown(item)
    return found


def _parse_function(item: ProtoFields, context: Context) -> ir.FunctionTool:
    openapi = item.json_object("parameters")
    plain = item.json_object("parametersJsonSchema")
    given = plain if plain is not None else openapi
    context.lose_if_set(item, "response", Loss.TELEMETRY)
    if item.word("behavior") == "NON_BLOCKING":
        context.lose(item.at("behavior"), Loss.MEANING)
    tool = ir.FunctionTool(
        name=item.text("name"),
        description=item.optional_text("description"),
        schema=given,
        openapi=given is not None and (plain is None or looks_openapi(given)),
        output_schema=item.json_object("responseJsonSchema"),
        path=item.path,
    )
    context.unknown(item)
    return tool


def looks_openapi(given: JsonObject) -> bool:
    """Whether a schema is written in the OpenAPI flavour, whatever field it stands in (types in capitals)."""
    kind = given.get("type")
    return isinstance(kind, str) and kind.isupper()


def _parse_mcp(server: ProtoFields) -> ir.HostedTool:
    transport = server.optional_object("streamableHttpTransport")
    mcp = None
    if transport is not None:
        headers = transport.json_object("headers") or {}
        bearer = next((v for k, v in headers.items() if k.lower() == "authorization"), None)
        mcp = ir.McpServer(
            label=server.optional_text("name", ""),
            url=transport.text("url"),
            authorization=str(bearer).removeprefix("Bearer ") if bearer else None,
        )
    return ir.HostedTool(
        kind=ir.HostedKind.MCP,
        protocol=PROTOCOL,
        wire={"mcpServers": [camel_deep(server.raw)]},
        mcp=mcp,
        path=server.path,
    )


def parse_choice(fields: ProtoFields, context: Context) -> ir.ToolChoice | None:
    """`toolConfig`; None when it leaves everything to the default."""
    config = fields.optional_object("toolConfig")
    if config is None:
        return None
    context.lose_if_set(config, "retrievalConfig", Loss.HINT)
    context.lose_if_set(config, "includeServerSideToolInvocations", Loss.TELEMETRY)
    calling = config.optional_object("functionCallingConfig")
    context.unknown(config)
    if calling is None:
        return None
    context.lose_if_set(calling, "streamFunctionCallArguments", Loss.TELEMETRY)
    word = calling.word("mode") or "AUTO"
    if word not in MODES:
        raise invalid(calling.at("mode"), " or ".join(MODES), word)
    names = calling.texts("allowedFunctionNames")
    context.unknown(calling)
    if word == "MODE_UNSPECIFIED" and not names:
        return None
    allowed = tuple(ir.ToolRef(name) for name in names)
    return ir.ToolChoice(mode=MODES[word], allowed=allowed, path=calling.path)


# -------------------------------------------------------------------------------------- rendering


def render_tools(
    request: ir.Request, target: Target, names: ToolNames, losses: Losses
) -> list[JsonObject]:
    """All functions in one declaration list, then one entry per hosted tool."""
    functions: list[JsonObject] = []
    hosted: list[JsonObject] = []
    alone = not target.profile.hosted_with_functions and any(
        not isinstance(tool, ir.HostedTool) for tool in request.tools
    )
    for tool in request.tools:
        match tool:
            case ir.FunctionTool():
                functions.append(_render_function(tool, target, names, losses))
            case ir.CustomTool():
                stand_in = freeform.as_function(tool, losses)
                functions.append(_render_function(stand_in, target, names, losses))
            case ir.HostedTool() if alone:
                reason = "the model takes no hosted tools beside functions"
                losses.give_up(Loss.MEANING, tool.path, reason)
            case ir.HostedTool():
                hosted.extend(_render_hosted(tool, target, losses))
    return [*([{"functionDeclarations": functions}] if functions else []), *hosted]


def _render_function(
    tool: ir.FunctionTool, target: Target, names: ToolNames, losses: Losses
) -> JsonObject:
    freeform.note_search(tool, losses)
    declaration: JsonObject = {"name": names.wire(tool.ref)}
    description = tool.description or ""
    if tool.examples:
        losses.give_up(Loss.HINT, tool.path, "input examples were put into the description")
        samples = "\n".join(dump_text(example) for example in tool.examples)
        description = f"{description}\n\nExamples of arguments:\n{samples}".lstrip()
    if description:
        declaration["description"] = description
    if tool.cache is not None:
        losses.give_up(Loss.TELEMETRY, tool.path, "caching marks cannot be sent")
    key, parameters = render_schema(
        tool.schema, target, openapi=tool.openapi, path=tool.path, losses=losses
    )
    if parameters is not None:
        declaration["parameters" if key == "responseSchema" else "parametersJsonSchema"] = (
            parameters
        )
    if tool.output_schema is not None and not target.profile.openapi_schemas:
        result = schema.convert(tool.output_schema, Dialect.GEMINI_JSON, tool.path, losses)
        declaration["responseJsonSchema"] = result
    elif tool.output_schema is not None:
        losses.give_up(Loss.TELEMETRY, tool.path, "a schema of results cannot be sent")
    return declaration


def render_schema(
    given: JsonObject | None, target: Target, *, openapi: bool, path: str, losses: Losses
) -> tuple[str, JsonObject | None]:
    """The response field that a schema goes into, and the schema as this upstream takes it.

    The OpenAPI flavour is understood by all of them and goes as it came.
    """
    if openapi or given is None:
        return "responseSchema", given
    if target.profile.openapi_schemas:
        vertex = target.profile.vertex
        dialect = Dialect.GEMINI_VERTEX if vertex else Dialect.GEMINI_OPENAPI
        return "responseSchema", schema.convert(given, dialect, path, losses)
    return "responseJsonSchema", schema.convert(given, Dialect.GEMINI_JSON, path, losses)


def _render_hosted(tool: ir.HostedTool, target: Target, losses: Losses) -> list[JsonObject]:
    """A hosted tool in Gemini's words; [] when it was given up."""
    if tool.protocol == PROTOCOL:
        return [tool.wire]
    if tool.kind not in target.profile.hosted_tools:
        default = (Loss.MEANING, f"the hosted tool {tool.kind} is not available here")
        loss, reason = _UNAVAILABLE.get(tool.kind, default)
        losses.give_up(loss, tool.path, reason)
        return []
    losses.choose(
        tool.path,
        f"{tool.kind} runs at another provider than the one it was declared for",
        strict=Action.REJECT,
        balanced=Action.SILENT,
        max_compat=Action.SILENT,
    )
    if tool.kind is ir.HostedKind.WEB_SEARCH:
        return [{"googleSearch": _search_options(tool, target, losses)}]
    if tool.kind is ir.HostedKind.MCP and tool.mcp is not None:
        return [{"mcpServers": [_mcp_server(tool, tool.mcp, losses)]}]
    if tool.kind in _EMPTY_HOSTED:
        return [{_EMPTY_HOSTED[tool.kind]: {}}]
    losses.give_up(Loss.IMPOSSIBLE, tool.path, f"{tool.kind} has no equivalent at this provider")
    return []


def _search_options(tool: ir.HostedTool, target: Target, losses: Losses) -> JsonObject:
    search = tool.search or ir.SearchOptions()
    if search.allowed_domains:
        losses.give_up(Loss.SAFETY, tool.path, "a search cannot be limited to certain domains")
    hints = (search.user_location, search.context_size, search.max_uses)
    if any(hint is not None for hint in hints):
        losses.give_up(
            Loss.HINT, tool.path, "location, context size and number of searches cannot be set"
        )
    if not search.blocked_domains:
        return {}
    if target.profile.vertex:
        return {"excludeDomains": list(search.blocked_domains)}
    losses.give_up(Loss.SAFETY, tool.path, "domains cannot be kept out of a search")
    return {}


def _mcp_server(tool: ir.HostedTool, mcp: ir.McpServer, losses: Losses) -> JsonObject:
    if mcp.require_approval:
        losses.give_up(Loss.MEANING, tool.path, "calls cannot wait for approval")
    if mcp.allowed_tools:
        losses.give_up(Loss.MEANING, tool.path, "the server's tools cannot be limited")
    transport: JsonObject = {"url": mcp.url}
    if mcp.authorization:
        transport["headers"] = {"Authorization": f"Bearer {mcp.authorization}"}
    return {"name": mcp.label, "streamableHttpTransport": transport}


def render_tool_config(
    request: ir.Request,
    target: Target,
    names: ToolNames,
    tools: list[JsonObject],
    losses: Losses,
) -> JsonObject:
    """`toolConfig`, {} when the default says it all."""
    has_functions = bool(tools) and "functionDeclarations" in tools[0]
    config: JsonObject = {}
    calling = _calling_config(request, names, has_functions=has_functions, losses=losses)
    if calling:
        config["functionCallingConfig"] = calling
    if has_functions and target.profile.vertex and request.stream:
        config.setdefault("functionCallingConfig", {"mode": "AUTO"})
        config["functionCallingConfig"]["streamFunctionCallArguments"] = True
    if has_functions and len(tools) > 1 and not target.profile.vertex:
        # Functions beside hosted tools are refused without it.
        config["includeServerSideToolInvocations"] = True
    return config


def _calling_config(
    request: ir.Request, names: ToolNames, *, has_functions: bool, losses: Losses
) -> JsonObject:
    choice = request.tool_choice or ir.ToolChoice(mode=ir.ChoiceMode.AUTO)
    path = choice.path or request.path_of("tool_choice")
    if choice.hosted is not None:
        losses.give_up(Loss.MEANING, path, "a hosted tool cannot be forced")
        choice = ir.ToolChoice(mode=ir.ChoiceMode.AUTO)
    if not has_functions:
        if choice.mode is ir.ChoiceMode.REQUIRED and not request.tools:
            raise GatewayError(
                ErrorKind.INVALID_REQUEST,
                f"{path}: a call is required, but there is no tool",
                path=path,
            )
        return {}
    mode = choice.mode
    if mode is ir.ChoiceMode.AUTO:
        mode = _automatic_mode(request.tools, choice, losses)
    if mode is ir.ChoiceMode.AUTO:
        return {}
    config: JsonObject = {"mode": _WIRE_MODES[mode]}
    if choice.allowed and mode is not ir.ChoiceMode.NONE:
        _check_allowed(request, choice, path)
        config["allowedFunctionNames"] = [names.wire(ref) for ref in choice.allowed]
    return config


def _automatic_mode(
    tools: Iterable[ir.Tool], choice: ir.ToolChoice, losses: Losses
) -> ir.ChoiceMode:
    """VALIDATED where a subset or strict schemas need it: AUTO takes no names and checks nothing."""
    strict = [tool for tool in tools if isinstance(tool, ir.FunctionTool) and tool.strict]
    others = [tool for tool in tools if not isinstance(tool, ir.HostedTool) and tool not in strict]
    if choice.allowed or (strict and not others):
        return ir.ChoiceMode.VALIDATED
    if strict:
        losses.give_up(
            Loss.HINT,
            strict[0].path,
            "strict arguments need every tool of the request to be strict",
        )
    return ir.ChoiceMode.AUTO


def _check_allowed(request: ir.Request, choice: ir.ToolChoice, path: str) -> None:
    declared = {tool.ref for tool in request.tools if not isinstance(tool, ir.HostedTool)}
    for ref in choice.allowed:
        if ref not in declared:
            raise GatewayError(
                ErrorKind.INVALID_REQUEST, f'{path}: there is no tool "{ref.name}"', path=path
            )


def single_call(request: ir.Request, losses: Losses) -> bool:
    """Whether only the first call of the answer may be kept: there is no switch for parallel calls."""
    functions = any(not isinstance(tool, ir.HostedTool) for tool in request.tools)
    if request.parallel_tool_calls is not False or not functions:
        return False
    if request.tool_choice is not None and request.tool_choice.mode is ir.ChoiceMode.NONE:
        return False
    losses.choose(
        request.path_of("parallel_tool_calls"),
        "parallel calls cannot be switched off; only the first call of each turn is kept",
        strict=Action.REJECT,
        balanced=Action.WARN,
        max_compat=Action.WARN,
    )
    return True
