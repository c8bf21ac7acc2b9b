"""Tools and tool choice of the Responses API, both ways.

Namespaces are part of a tool's identity (`ir.ToolRef`) and flattened into wire names for upstreams.
The namespace `functions` is the models' own word for the top level: Codex declares its plain tools in it and
sends their calls back without a namespace (captures codex-known-model), so it is read as no namespace.
Reference: https://platform.openai.com/docs/api-reference/responses/create#responses-create-tools
(read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from translators import freeform, ir, schema
from translators.base import Target
from translators.errors import ErrorKind, GatewayError, invalid
from translators.fields import Fields
from translators.losses import Action, Loss, Losses
from translators.names import ToolNames
from translators.openai_responses.content import PROTOCOL
from translators.wire import Json, JsonObject, dump_text, without_nulls

_TOP_LEVEL: Final = "functions"
SEARCH: Final = "tool_search"
CLIENT: Final = "client"
"""Who runs a tool search: `server` or `client`."""

WEB_SEARCH_NAMES: Final = frozenset(
    {
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
    }
)
"""The hosted search goes by all of these; some backends know one of them only."""

_HOSTED: Final[Mapping[str, ir.HostedKind]] = {
    **dict.fromkeys(sorted(WEB_SEARCH_NAMES), ir.HostedKind.WEB_SEARCH),
    "file_search": ir.HostedKind.FILE_SEARCH,
    "code_interpreter": ir.HostedKind.CODE_EXECUTION,
    "image_generation": ir.HostedKind.IMAGE_GENERATION,
    "mcp": ir.HostedKind.MCP,
    "tool_search": ir.HostedKind.TOOL_SEARCH,
    "programmatic_tool_calling": ir.HostedKind.PROGRAMMATIC,
    "computer": ir.HostedKind.CLIENT_TOOLSET,
    "computer_use": ir.HostedKind.CLIENT_TOOLSET,
    "computer_use_preview": ir.HostedKind.CLIENT_TOOLSET,
    "local_shell": ir.HostedKind.CLIENT_TOOLSET,
    "shell": ir.HostedKind.CLIENT_TOOLSET,
    "apply_patch": ir.HostedKind.CLIENT_TOOLSET,
}

_HOSTED_LOSS: Final[Mapping[ir.HostedKind, Loss]] = {
    ir.HostedKind.FILE_SEARCH: Loss.IMPOSSIBLE,
    ir.HostedKind.CLIENT_TOOLSET: Loss.IMPOSSIBLE,
    ir.HostedKind.TOOL_SEARCH: Loss.TELEMETRY,
}
"""What it costs to leave a hosted tool out; MEANING for all others."""

_CHOICE_TYPE: Final = {
    "web_search": "web_search_preview",
    "web_search_2025_08_26": "web_search_preview",
}
"""Tools that a choice names by another word than their declaration."""

_CHOOSABLE: Final = frozenset(
    {
        ir.HostedKind.WEB_SEARCH,
        ir.HostedKind.CODE_EXECUTION,
        ir.HostedKind.IMAGE_GENERATION,
        ir.HostedKind.FILE_SEARCH,
    }
)
"""Hosted tools that can be forced by their type alone."""


# ------------------------------------------------------------------------------------------ parse


class ToolBox:
    """Collect the declared tools of one request from all the places where they may stand.

    `add` refuses a name declared twice; `add_late` (additional_tools, loaded tools) keeps the first one.
    """

    def __init__(self) -> None:
        self.tools: list[ir.Tool] = []
        self.unshared: list[ir.Unshared] = []
        self._refs: set[ir.ToolRef] = set()
        self._by_name: dict[str, list[ir.ToolRef]] = {}

    def add(self, declarations: Iterable[Fields]) -> None:
        """The tools of the request's own `tools`."""
        for tool in self._parse(declarations):
            if not self._take(tool):
                name = getattr(tool, "name", "")
                raise GatewayError(
                    ErrorKind.INVALID_REQUEST,
                    f'{tool.path}: the tool "{name}" is declared twice',
                    path=tool.path,
                )

    def add_late(self, declarations: Iterable[Fields]) -> None:
        """Tools that arrive inside `input`; a name that is known already is skipped."""
        for tool in self._parse(declarations):
            self._take(tool)

    @property
    def declared(self) -> tuple[ir.ToolRef, ...]:
        """Client-run tools, in order of declaration."""
        return tuple(tool.ref for tool in self.tools if not isinstance(tool, ir.HostedTool))

    def resolve(self, name: str, namespace: str | None) -> ir.ToolRef:
        """The declared tool that a call names; a call may leave out a namespace that is not in doubt."""
        ref = ir.ToolRef(name, None if namespace == _TOP_LEVEL else namespace or None)
        if ref in self._refs or ref.namespace is not None:
            return ref
        candidates = self._by_name.get(name, [])
        return candidates[0] if len(candidates) == 1 else ref

    def _take(self, tool: ir.Tool) -> bool:
        if not isinstance(tool, ir.HostedTool):
            if tool.ref in self._refs:
                return False
            self._refs.add(tool.ref)
            self._by_name.setdefault(tool.name, []).append(tool.ref)
        self.tools.append(tool)
        return True

    def _parse(self, declarations: Iterable[Fields]) -> list[ir.Tool]:
        found: list[ir.Tool] = []
        for tool in declarations:
            kind = tool.optional_text("type", "function")
            if kind == "namespace":
                found.extend(self._namespace(tool))
            else:
                found.append(self._tool(tool, kind, None, None))
        return found

    def _namespace(self, fields: Fields) -> list[ir.Tool]:
        name = fields.text("name")
        about = fields.optional_text("description")
        namespace = None if name == _TOP_LEVEL else name
        tools: list[ir.Tool] = []
        for tool in fields.items("tools"):
            kind = tool.optional_text("type", "function")
            # The namespace's own description has no other place once tools are flattened.
            note = f"({name}: {about})" if about and namespace and not tools else None
            tools.append(self._tool(tool, kind, namespace, note))
        return tools

    def _tool(self, tool: Fields, kind: str, namespace: str | None, note: str | None) -> ir.Tool:
        if kind == "function":
            return self._function(tool, namespace, note)
        if kind == "custom":
            return self._custom(tool, namespace, note)
        if kind == SEARCH and tool.optional_text("execution") == CLIENT:
            return _search_tool(tool)
        return _hosted(tool, kind)

    def _function(self, tool: Fields, namespace: str | None, note: str | None) -> ir.FunctionTool:
        self._unshared_options(tool)
        # Chat's nested spelling, which some clients mix up.
        tool = tool.optional_object("function") or tool
        parameters = tool.json_object("parameters")
        strict = tool.optional_bool("strict")
        if strict is None:
            # Left out, it means "yes, when the schema allows it".
            strict = parameters is not None and schema.fits_openai_strict(parameters)
        return ir.FunctionTool(
            name=tool.text("name"),
            description=_described(tool, note),
            schema=parameters,
            strict=strict,
            namespace=namespace,
            output_schema=tool.json_object("output_schema"),
            path=tool.path,
        )

    def _custom(self, tool: Fields, namespace: str | None, note: str | None) -> ir.CustomTool:
        self._unshared_options(tool)
        form = tool.optional_object("format")
        grammar = None
        if form is not None and form.optional_text("type") == "grammar":
            grammar = ir.Grammar(syntax=form.text("syntax"), definition=form.text("definition"))
        return ir.CustomTool(
            name=tool.text("name"),
            description=_described(tool, note),
            grammar=grammar,
            namespace=namespace,
            path=tool.path,
        )

    def _unshared_options(self, tool: Fields) -> None:
        """Options that no other protocol has; `defer_loading` only means "load it"."""
        if tool.optional_bool("async"):
            self._lose(tool, "async", Loss.MEANING)
        callers = tool.texts("allowed_callers")
        if callers and "direct" not in callers:
            self._lose(tool, "allowed_callers", Loss.MEANING)

    def _lose(self, tool: Fields, key: str, loss: Loss) -> None:
        self.unshared.append(ir.Unshared(path=tool.at(key), loss=loss))


def _described(tool: Fields, note: str | None) -> str | None:
    description = tool.optional_text("description")
    if note is None:
        return description
    return f"{description}\n\n{note}" if description else note


def _search_tool(tool: Fields) -> ir.FunctionTool:
    """The client's own search for tools: a function to whoever does not know such a thing."""
    return ir.FunctionTool(
        name=SEARCH,
        description=tool.optional_text("description"),
        schema=tool.json_object("parameters"),
        strict=False,
        kind=ir.ToolKind.SEARCH,
        path=tool.path,
    )


def _hosted(tool: Fields, kind: str) -> ir.HostedTool:
    hosted = _HOSTED.get(kind, ir.HostedKind.OTHER)
    if hosted is ir.HostedKind.MCP and tool.optional_text("server_url") is None:
        hosted = ir.HostedKind.PRIVATE_MCP
    return ir.HostedTool(
        kind=hosted,
        protocol=PROTOCOL,
        wire=tool.raw,
        search=_search_options(tool) if hosted is ir.HostedKind.WEB_SEARCH else None,
        mcp=_mcp_server(tool) if hosted is ir.HostedKind.MCP else None,
        path=tool.path,
    )


def _search_options(tool: Fields) -> ir.SearchOptions:
    filters = tool.optional_object("filters")
    return ir.SearchOptions(
        allowed_domains=filters.texts("allowed_domains") if filters else (),
        blocked_domains=filters.texts("blocked_domains") if filters else (),
        user_location=tool.json_object("user_location"),
        context_size=tool.optional_text("search_context_size"),
    )


def _mcp_server(tool: Fields) -> ir.McpServer:
    url = tool.text("server_url")
    headers = tool.json_object("headers") or {}
    token = tool.optional_text("authorization")
    for name, value in headers.items():
        if token is None and name.lower() == "authorization":
            token = str(value).removeprefix("Bearer ")
    allowed = tool.any("allowed_tools")
    names = allowed.get("tool_names") if isinstance(allowed, dict) else allowed
    return ir.McpServer(
        label=tool.text("server_label"),
        url=url,
        authorization=token,
        allowed_tools=tuple(str(name) for name in names) if isinstance(names, list) else (),
        require_approval=tool.any("require_approval") != "never",
    )


_MODES: Final[Mapping[str, ir.ChoiceMode]] = {
    "auto": ir.ChoiceMode.AUTO,
    "none": ir.ChoiceMode.NONE,
    "required": ir.ChoiceMode.REQUIRED,
}


def parse_choice(fields: Fields, tools: ToolBox) -> ir.ToolChoice | None:
    """`tool_choice`; a subset keeps its order."""
    value = fields.any("tool_choice")
    path = fields.at("tool_choice")
    if value is None:
        return None
    if isinstance(value, str):
        mode = _MODES.get(value)
        if mode is None:
            raise invalid(path, "auto, none, required or an object", value)
        return ir.ToolChoice(mode=mode, path=path)
    choice = fields.object("tool_choice")
    kind = choice.text("type")
    if kind in _MODES:
        return ir.ToolChoice(mode=_MODES[kind], path=path)
    if kind in ("function", "custom"):
        return ir.ToolChoice(
            mode=ir.ChoiceMode.REQUIRED, allowed=(_choice_ref(choice, tools),), path=path
        )
    if kind == "allowed_tools":
        return _allowed(choice, tools, path)
    hosted = _HOSTED.get(kind, ir.HostedKind.OTHER)
    return ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED, hosted=hosted, path=path)


def _choice_ref(choice: Fields, tools: ToolBox) -> ir.ToolRef:
    nested = choice.optional_object("function") or choice.optional_object("custom") or choice
    return tools.resolve(nested.text("name"), nested.optional_text("namespace"))


def _allowed(choice: Fields, tools: ToolBox, path: str) -> ir.ToolChoice:
    mode = _MODES.get(choice.optional_text("mode", "auto"), ir.ChoiceMode.AUTO)
    refs: list[ir.ToolRef] = []
    hosted: list[ir.HostedKind] = []
    for entry in choice.items("tools"):
        kind = entry.optional_text("type", "function")
        if kind in ("function", "custom"):
            refs.append(_choice_ref(entry, tools))
        elif kind == "namespace":
            name = entry.text("name")
            refs.extend(ref for ref in tools.declared if ref.namespace == name)
        else:
            hosted.append(_HOSTED.get(kind, ir.HostedKind.OTHER))
    only_hosted = hosted[0] if hosted and not refs and mode is ir.ChoiceMode.REQUIRED else None
    return ir.ToolChoice(
        mode=mode,
        allowed=tuple(refs),
        allowed_hosted=tuple(hosted),
        hosted=only_hosted,
        path=path,
    )


# ----------------------------------------------------------------------------------------- render


class ToolWriter:
    """Write the tools and the tool choice of a request for one upstream."""

    def __init__(self, request: ir.Request, target: Target, losses: Losses) -> None:
        self._request = request
        self._profile = target.profile
        self._losses = losses
        self.names = ToolNames(request, target.profile.tool_name_limit)
        self.max_tool_calls: int | None = None
        self.emulated: set[ir.ToolRef] = set()
        self.nulls_added: dict[ir.ToolRef | None, JsonObject] = {}
        self._kinds: dict[ir.ToolRef, str] = {}
        self._hosted: dict[ir.HostedKind, str] = {}

    def tools(self) -> list[JsonObject]:
        """The declarations, in the client's order."""
        self.names.note_renamed(self._losses, self._request.path_of("tools"))
        written: list[JsonObject] = []
        for tool in self._request.tools:
            wire = self._tool(tool)
            if wire is not None:
                written.append(wire)
        return written

    def _tool(self, tool: ir.Tool) -> JsonObject | None:
        match tool:
            case ir.FunctionTool(kind=ir.ToolKind.SEARCH):
                return self._search(tool)
            case ir.FunctionTool():
                return self._function(tool)
            case ir.CustomTool() if self._profile.custom_tools:
                return self._custom(tool)
            case ir.CustomTool():
                self.emulated.add(tool.ref)
                return self._function(freeform.as_function(tool, self._losses))
            case ir.HostedTool():
                return self._host(tool)

    def _function(self, tool: ir.FunctionTool) -> JsonObject:
        parameters = schema.function_parameters(tool.schema, openapi=tool.openapi)
        strict = bool(tool.strict) and self._profile.strict_tools
        made = None
        if strict and not schema.fits_openai_strict(parameters):
            made = schema.made_strict(parameters)
        if made is not None:
            self.nulls_added[tool.ref], parameters = parameters, made
        elif strict and not schema.fits_openai_strict(parameters):
            self._losses.give_up(
                Loss.VALUE, tool.path, "the schema does not fit strict mode; sent without `strict`"
            )
            strict = False
        self._kinds[tool.ref] = "function"
        description = tool.description
        if tool.examples:
            reason = "input examples were put into the description"
            self._losses.give_up(Loss.HINT, tool.path, reason)
            examples = "\n".join(dump_text(example) for example in tool.examples)
            description = f"{description or ''}\n\nExamples of arguments:\n{examples}".strip()
        return without_nulls(
            {
                "type": "function",
                "name": self.names.wire(tool.ref),
                "description": description,
                "parameters": parameters,
                "strict": strict,
                "output_schema": tool.output_schema,
            }
        )

    def _search(self, tool: ir.FunctionTool) -> JsonObject:
        self._hosted[ir.HostedKind.TOOL_SEARCH] = SEARCH
        return without_nulls(
            {
                "type": SEARCH,
                "execution": CLIENT,
                "description": tool.description,
                "parameters": tool.schema,
            }
        )

    def _custom(self, tool: ir.CustomTool) -> JsonObject:
        self._kinds[tool.ref] = "custom"
        form: JsonObject = {"type": "text"}
        if tool.grammar is not None:
            form = {
                "type": "grammar",
                "syntax": tool.grammar.syntax,
                "definition": tool.grammar.definition,
            }
        return without_nulls(
            {
                "type": "custom",
                "name": self.names.wire(tool.ref),
                "description": tool.description,
                "format": form,
            }
        )

    def _host(self, tool: ir.HostedTool) -> JsonObject | None:
        wire = tool.wire if tool.protocol == PROTOCOL else self._converted(tool)
        if wire is None or (
            tool.protocol != PROTOCOL and tool.kind not in self._profile.hosted_tools
        ):
            loss = _HOSTED_LOSS.get(tool.kind, Loss.MEANING)
            self._losses.give_up(
                loss, tool.path, f"the hosted tool {tool.kind.value} is not available here"
            )
            return None
        if tool.protocol != PROTOCOL:
            self._losses.choose(
                tool.path,
                f"the hosted tool {tool.kind.value} was converted to the provider's own",
                strict=Action.REJECT,
                balanced=Action.WARN,
                max_compat=Action.WARN,
            )
        known = self._profile.web_search_type
        if tool.kind is ir.HostedKind.WEB_SEARCH and known is not None:
            wire = {**wire, "type": known}
        self._hosted[tool.kind] = str(wire.get("type"))
        return wire

    def _converted(self, tool: ir.HostedTool) -> JsonObject | None:
        match tool.kind:
            case ir.HostedKind.WEB_SEARCH:
                return self._web_search(tool)
            case ir.HostedKind.CODE_EXECUTION:
                return {"type": "code_interpreter", "container": {"type": "auto"}}
            case ir.HostedKind.IMAGE_GENERATION:
                return {"type": "image_generation"}
            case ir.HostedKind.MCP if tool.mcp is not None:
                return _render_mcp(tool.mcp)
            case _:
                return None

    def _web_search(self, tool: ir.HostedTool) -> JsonObject:
        search = tool.search or ir.SearchOptions()
        if search.blocked_domains:
            self._losses.give_up(Loss.SAFETY, tool.path, "blocked domains cannot be passed on")
        if search.max_uses is not None:
            hosted = sum(isinstance(other, ir.HostedTool) for other in self._request.tools)
            if hosted == 1:
                self.max_tool_calls = search.max_uses
            else:
                self._losses.give_up(
                    Loss.HINT, tool.path, "a limit of searches beside other hosted tools"
                )
        wire: JsonObject = {"type": "web_search"}
        if search.context_size:
            wire["search_context_size"] = search.context_size
        if search.allowed_domains:
            wire["filters"] = {"allowed_domains": list(search.allowed_domains)}
        if search.user_location:
            wire["user_location"] = {"type": "approximate", **search.user_location}
        return wire

    def choice(self) -> Json:
        """The `tool_choice` value, None to leave it out; checked against what was really declared."""
        choice = self._request.tool_choice
        if choice is None:
            return None
        if choice.hosted is not None:
            return self._hosted_choice(choice)
        allowed = [ref for ref in choice.allowed if ref in self._kinds]
        forced = choice.mode is ir.ChoiceMode.REQUIRED
        if forced and ((not self._kinds and not self._hosted) or (choice.allowed and not allowed)):
            raise GatewayError(
                ErrorKind.INVALID_REQUEST,
                f"{choice.path}: a tool call is required, but no such tool is declared",
                path=choice.path,
            )
        if not self._kinds and not self._hosted:
            return None
        if forced and not self._profile.forced_tool_choice:
            self._losses.give_up(
                Loss.MEANING, choice.path, "the model cannot be forced to call a tool"
            )
            return "auto"
        if choice.mode is ir.ChoiceMode.NONE:
            return "none"
        hosted = self._hosted_entries(choice.allowed_hosted)
        if not allowed and not hosted:
            return "required" if forced else "auto"
        if forced and len(allowed) == 1 and not hosted:
            return self._named(allowed[0])
        return {
            "type": "allowed_tools",
            "mode": "required" if forced else "auto",
            "tools": [*(self._named(ref) for ref in allowed), *hosted],
        }

    def _hosted_entries(self, kinds: tuple[ir.HostedKind, ...]) -> list[JsonObject]:
        """The hosted tools of a subset, as the choice names them."""
        return [
            without_nulls({"type": self._hosted[tool.kind], "server_label": _label(tool)})
            for tool in self._request.tools
            if isinstance(tool, ir.HostedTool) and tool.kind in kinds and tool.kind in self._hosted
        ]

    def _named(self, ref: ir.ToolRef) -> JsonObject:
        return {"type": self._kinds[ref], "name": self.names.wire(ref)}

    def _hosted_choice(self, choice: ir.ToolChoice) -> Json:
        if choice.hosted in _CHOOSABLE and choice.hosted in self._hosted:
            declared = self._hosted[choice.hosted]
            if declared == self._profile.web_search_type:
                return {"type": declared}
            return {"type": _CHOICE_TYPE.get(declared, declared)}
        self._losses.give_up(
            Loss.MEANING, choice.path, "the hosted tool that must be called is not available here"
        )
        return None


def _label(tool: ir.HostedTool) -> str | None:
    return tool.mcp.label if tool.mcp is not None else None


def _render_mcp(server: ir.McpServer) -> JsonObject:
    return without_nulls(
        {
            "type": "mcp",
            "server_label": server.label,
            "server_url": server.url,
            "authorization": server.authorization,
            "allowed_tools": list(server.allowed_tools) or None,
            "require_approval": "always" if server.require_approval else "never",
        }
    )
