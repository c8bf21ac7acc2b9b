"""Tools and tool choice of Chat Completions, read and written.

Reference: https://platform.openai.com/docs/api-reference/chat/create (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, assert_never

from translators import freeform, ir, schema
from translators.base import Target
from translators.errors import invalid
from translators.fields import Fields
from translators.losses import Action, Loss, Losses
from translators.names import ToolNames
from translators.openai_chat.content import Unread, cache_mark
from translators.openai_chat.words import NAME
from translators.wire import JsonObject, dump_text

_CHOICES: Final[Mapping[str, ir.ChoiceMode]] = {
    "auto": ir.ChoiceMode.AUTO,
    "none": ir.ChoiceMode.NONE,
    "required": ir.ChoiceMode.REQUIRED,
    "any": ir.ChoiceMode.REQUIRED,  # Mistral's word
}
_CHOICE_WORDS: Final[Mapping[ir.ChoiceMode, str]] = {
    ir.ChoiceMode.AUTO: "auto",
    ir.ChoiceMode.NONE: "none",
    ir.ChoiceMode.REQUIRED: "required",
    ir.ChoiceMode.VALIDATED: "auto",
}

_NO_PARAMETERS: Final = {"type": "object", "properties": {}, "additionalProperties": False}

_IMPOSSIBLE_KINDS: Final = frozenset(
    {ir.HostedKind.FILE_SEARCH, ir.HostedKind.CLIENT_TOOLSET, ir.HostedKind.PRIVATE_MCP}
)
"""Provider-run tools that no mode may drop (portability rules, section 6.3)."""


# ---------------------------------------------------------------------------------------- parsing


def parse_tools(fields: Fields, unread: Unread) -> tuple[ir.Tool, ...]:
    """`tools`, the legacy `functions` and `web_search_options` as one list."""
    tools: list[ir.Tool] = [_parse_tool(item, unread) for item in fields.items("tools")]
    tools += [_parse_function(item, item.path, unread) for item in fields.items("functions")]
    search = fields.optional_object("web_search_options")
    if search is not None:
        tools.append(_parse_search(search))
    return tuple(tools)


def _parse_tool(fields: Fields, unread: Unread) -> ir.Tool:
    kind = fields.text("type")
    if kind == "function":
        # Some clients send the Responses shape, whose fields are not nested.
        nested = fields.optional_object("function") or fields
        tool = _parse_function(nested, fields.path, unread, cache=cache_mark(fields))
        unread.add(fields)
        return tool
    if kind == "custom":
        return _parse_custom(fields.optional_object("custom") or fields, fields.path)
    return ir.HostedTool(kind=ir.HostedKind.OTHER, protocol=NAME, wire=fields.raw, path=fields.path)


def _parse_function(
    fields: Fields, path: str, unread: Unread, cache: ir.CacheMark | None = None
) -> ir.FunctionTool:
    tool = ir.FunctionTool(
        name=fields.text("name"),
        description=fields.optional_text("description"),
        schema=fields.json_object("parameters"),
        strict=fields.optional_bool("strict"),
        cache=cache or cache_mark(fields),
        path=path,
    )
    fields.skip("type")
    unread.add(fields)
    return tool


def _parse_custom(fields: Fields, path: str) -> ir.CustomTool:
    grammar = None
    form = fields.optional_object("format")
    if form is not None and form.text("type") == "grammar":
        # Responses puts the two fields flat beside `type`.
        nested = form.optional_object("grammar") or form
        grammar = ir.Grammar(syntax=nested.text("syntax"), definition=nested.text("definition"))
    return ir.CustomTool(
        name=fields.text("name"),
        description=fields.optional_text("description"),
        grammar=grammar,
        path=path,
    )


def _parse_search(fields: Fields) -> ir.HostedTool:
    location: JsonObject | None = None
    where = fields.optional_object("user_location")
    if where is not None:
        location = {"type": "approximate", **(where.json_object("approximate") or {})}
    search = ir.SearchOptions(
        user_location=location, context_size=fields.optional_text("search_context_size")
    )
    return ir.HostedTool(
        kind=ir.HostedKind.WEB_SEARCH,
        protocol=NAME,
        wire=fields.raw,
        search=search,
        path=fields.path,
    )


def parse_choice(fields: Fields) -> ir.ToolChoice | None:
    """`tool_choice`, or the legacy `function_call`; None when absent."""
    for key in ("tool_choice", "function_call"):
        value = fields.any(key)
        if value is None:
            continue
        path = fields.at(key)
        if isinstance(value, str):
            if value not in _CHOICES:
                raise invalid(path, "auto, none, required or an object", value)
            return ir.ToolChoice(mode=_CHOICES[value], path=path)
        return _parse_choice_object(fields.object(key))
    return None


def _parse_choice_object(fields: Fields) -> ir.ToolChoice:
    kind = fields.optional_text("type", "function")
    if kind == "allowed_tools":
        allowed = fields.optional_object("allowed_tools") or fields
        mode = allowed.optional_text("mode", "auto")
        if mode not in ("auto", "required"):
            raise invalid(allowed.at("mode"), "auto or required", mode)
        return ir.ToolChoice(
            mode=_CHOICES[mode],
            allowed=tuple(_chosen(item) for item in allowed.items("tools")),
            path=fields.path,
        )
    if kind not in ("function", "custom"):
        raise invalid(fields.at("type"), "function, custom or allowed_tools", kind)
    return ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED, allowed=(_chosen(fields),), path=fields.path)


def _chosen(fields: Fields) -> ir.ToolRef:
    nested = fields.optional_object("function") or fields.optional_object("custom") or fields
    return ir.ToolRef(nested.text("name"))


# -------------------------------------------------------------------------------------- rendering


@dataclass(frozen=True, slots=True, kw_only=True)
class WireTools:
    """The tool fields of a request body, and what reading the answer must undo."""

    body: JsonObject
    custom: frozenset[ir.ToolRef]
    single_call: bool
    nulls_added: Mapping[ir.ToolRef | None, JsonObject]


def render_tools(
    request: ir.Request, target: Target, names: ToolNames, losses: Losses
) -> WireTools:
    """`tools`, `tool_choice`, `parallel_tool_calls` and `web_search_options`."""
    body: JsonObject = {}
    tools: list[JsonObject] = []
    emulated: set[ir.ToolRef] = set()
    nulls: dict[ir.ToolRef | None, JsonObject] = {}
    offered = _offered(request, target)
    for tool in offered:
        match tool:
            case ir.FunctionTool():
                tools.append(_function(tool, target, names, nulls, losses))
            case ir.CustomTool() if target.profile.custom_tools:
                tools.append(_custom(tool, names))
            case ir.CustomTool():
                emulated.add(tool.ref)
                stand_in = freeform.as_function(tool, losses)
                tools.append(_function(stand_in, target, names, nulls, losses))
            case ir.HostedTool():
                _hosted(tool, target, body, tools, losses)
            case _:
                assert_never(tool)
    if tools:
        body["tools"] = tools
    declared = {tool.ref for tool in offered if not isinstance(tool, ir.HostedTool)}
    choice = _choice(request, target, names, declared, emulated, losses)
    if choice is not None:
        body["tool_choice"] = choice
    single = request.parallel_tool_calls is False and bool(tools)
    if single and target.profile.parallel_calls:
        body["parallel_tool_calls"] = False
    return WireTools(
        body=body,
        custom=frozenset(emulated),
        single_call=single and not target.profile.parallel_calls,
        nulls_added=nulls,
    )


def _subset(request: ir.Request) -> tuple[ir.ToolRef, ...]:
    """The tools that the choice narrows the request to; () = it names all, or forces a single one."""
    choice = request.tool_choice
    if choice is None or not choice.allowed:
        return ()
    if choice.mode is ir.ChoiceMode.REQUIRED and len(choice.allowed) == 1:
        return ()
    return choice.allowed


def _offered(request: ir.Request, target: Target) -> list[ir.Tool]:
    """The tools to declare: an upstream without `allowed_tools` gets the subset alone.

    A tool that the history calls stays: some models refuse calls of tools that they were not told of.
    """
    subset = _subset(request)
    if not subset or target.profile.openai_extras:
        return list(request.tools)
    kept = set(subset) | {
        part.ref
        for message in request.messages
        for part in message.parts
        if isinstance(part, ir.ToolCall)
    }
    return [tool for tool in request.tools if isinstance(tool, ir.HostedTool) or tool.ref in kept]


def _function(
    tool: ir.FunctionTool,
    target: Target,
    names: ToolNames,
    nulls: dict[ir.ToolRef | None, JsonObject],
    losses: Losses,
) -> JsonObject:
    freeform.note_search(tool, losses)
    function: JsonObject = {"name": names.wire(tool.ref)}
    description = tool.description
    if tool.examples:
        losses.give_up(Loss.HINT, tool.path, "input examples were put into the description")
        examples = "\n".join(dump_text(example) for example in tool.examples)
        description = f"{description or ''}\n\nExample inputs:\n{examples}".strip()
    if description:
        function["description"] = description
    if tool.schema is not None:
        function["parameters"] = schema.function_parameters(tool.schema, openapi=tool.openapi)
    if tool.output_schema is not None:
        losses.give_up(Loss.TELEMETRY, tool.path, "a schema of results cannot be sent")
    if tool.strict:
        _strict(function, tool, target, nulls, losses)
    if tool.cache is not None:
        losses.give_up(Loss.TELEMETRY, tool.path, "a cache mark on a tool was dropped")
    return {"type": "function", "function": function}


def _strict(
    function: JsonObject,
    tool: ir.FunctionTool,
    target: Target,
    nulls: dict[ir.ToolRef | None, JsonObject],
    losses: Losses,
) -> None:
    wanted = function.get("parameters") or _NO_PARAMETERS
    if not target.profile.strict_tools:
        losses.give_up(Loss.HINT, tool.path, "the provider does not enforce tool schemas")
    elif schema.fits_openai_strict(wanted):
        function["strict"] = True
    elif (made := schema.made_strict(wanted)) is not None:
        function["parameters"], function["strict"] = made, True
        nulls[tool.ref] = wanted
    else:
        losses.give_up(
            Loss.VALUE, tool.path, "the schema is outside the strict subset: sent without `strict`"
        )


def _custom(tool: ir.CustomTool, names: ToolNames) -> JsonObject:
    custom: JsonObject = {"name": names.wire(tool.ref)}
    if tool.description:
        custom["description"] = tool.description
    if tool.grammar is not None:
        grammar = {"syntax": tool.grammar.syntax, "definition": tool.grammar.definition}
        custom["format"] = {"type": "grammar", "grammar": grammar}
    return {"type": "custom", "custom": custom}


def _hosted(
    tool: ir.HostedTool,
    target: Target,
    body: JsonObject,
    tools: list[JsonObject],
    losses: Losses,
) -> None:
    """A tool that the provider runs: only web search exists here; what is the client's own goes through."""
    if tool.kind is ir.HostedKind.WEB_SEARCH and tool.kind in target.profile.hosted_tools:
        if tool.protocol != NAME:
            _check_search(tool, losses)
        body["web_search_options"] = _search_options(tool.search)
    elif tool.protocol == NAME and tool.kind is ir.HostedKind.OTHER:
        tools.append(tool.wire)
    elif tool.kind is ir.HostedKind.TOOL_SEARCH:
        losses.give_up(Loss.TELEMETRY, tool.path, "all tools are declared up front")
    else:
        loss = Loss.IMPOSSIBLE if tool.kind in _IMPOSSIBLE_KINDS else Loss.MEANING
        losses.give_up(loss, tool.path, f"the provider does not run {tool.kind.value} tools")


def _check_search(tool: ir.HostedTool, losses: Losses) -> None:
    losses.choose(
        tool.path,
        "web search was asked for in the provider's own way",
        strict=Action.REJECT,
        balanced=Action.SILENT,
        max_compat=Action.SILENT,
    )
    search = tool.search or ir.SearchOptions()
    if search.allowed_domains or search.blocked_domains:
        losses.give_up(Loss.SAFETY, tool.path, "search cannot be limited to domains here")
    if search.max_uses is not None:
        losses.give_up(Loss.HINT, tool.path, "the number of searches cannot be limited here")


def _search_options(search: ir.SearchOptions | None) -> JsonObject:
    options: JsonObject = {}
    if search is None:
        return options
    if search.context_size is not None:
        options["search_context_size"] = search.context_size
    if search.user_location is not None:
        place = {
            key: value
            for key, value in search.user_location.items()
            if key != "type" and value is not None
        }
        options["user_location"] = {"type": "approximate", "approximate": place}
    return options


def _choice(
    request: ir.Request,
    target: Target,
    names: ToolNames,
    declared: set[ir.ToolRef],
    emulated: set[ir.ToolRef],
    losses: Losses,
) -> str | JsonObject | None:
    """`tool_choice`, checked against the tools that really go out (pitfalls CHO-05); None = leave it out."""
    choice = request.tool_choice
    if choice is None:
        return None
    path = choice.path or request.path_of("tool_choice")
    if choice.hosted is not None:
        losses.give_up(Loss.MEANING, path, "a provider-run tool cannot be forced here")
        return None
    forced = choice.mode is ir.ChoiceMode.REQUIRED
    missing = [ref for ref in choice.allowed if ref not in declared]
    if not declared or missing:
        if forced or (missing and declared):
            raise losses.refusal(path, "the tool choice asks for a tool that is not declared")
        return None
    if forced and not target.profile.forced_tool_choice:
        losses.give_up(Loss.MEANING, path, "the model cannot be made to call a tool")
        return "auto"
    if forced and len(choice.allowed) == 1:
        return _choice_of(choice.allowed[0], request, names, emulated)
    if choice.allowed and target.profile.openai_extras:
        allowed = [_choice_of(ref, request, names, emulated) for ref in choice.allowed]
        mode = _CHOICE_WORDS[choice.mode]
        return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": allowed}}
    return _CHOICE_WORDS[choice.mode]


def _choice_of(
    ref: ir.ToolRef, request: ir.Request, names: ToolNames, emulated: set[ir.ToolRef]
) -> JsonObject:
    custom = any(isinstance(tool, ir.CustomTool) and tool.ref == ref for tool in request.tools)
    kind = "custom" if custom and ref not in emulated else "function"
    return {"type": kind, kind: {"name": names.wire(ref)}}
