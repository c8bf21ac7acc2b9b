"""Read a Responses request into the hub, in the order of the reference page.

`previous_response_id` must be resolved before: the gateway replaces it by the stored items of the chain. What
still stands here is refused, since this parser has no storage. The fields that no other protocol has are
reported as `Unshared` with the class of what is lost; fields that nobody documents as unknown.
Writing a request for an upstream is upstream.py's business.
Reference: https://platform.openai.com/docs/api-reference/responses/create (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from translators import ir
from translators.base import Call, Operation
from translators.errors import ErrorKind, GatewayError, invalid
from translators.fields import Fields
from translators.losses import Loss
from translators.openai_responses.content import PROTOCOL
from translators.openai_responses.items import ItemParser, collect_late_tools
from translators.openai_responses.tools import ToolBox, parse_choice
from translators.openai_responses.unknown import unknown_inside
from translators.seal import Seal
from translators.wire import Json, JsonObject

LEVELS: Final[Mapping[str, ir.Level]] = {
    "none": ir.Level.OFF,
    "minimal": ir.Level.MINIMAL,
    "low": ir.Level.LOW,
    "medium": ir.Level.MEDIUM,
    "high": ir.Level.HIGH,
    "xhigh": ir.Level.XHIGH,
    "max": ir.Level.MAX,
    "ultra": ir.Level.MAX,
}
"""`reasoning.effort`; `ultra` is a client's own word for the top (pitfalls RSN-23)."""

_PATHS: Final[Mapping[str, str]] = {
    "model": "model",
    "messages": "input",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "parallel_tool_calls": "parallel_tool_calls",
    "output": "text.format",
    "reasoning": "reasoning",
    "sampling": "temperature",
    "temperature": "temperature",
    "top_p": "top_p",
    "max_output_tokens": "max_output_tokens",
    "stream": "stream",
    "logprobs": "top_logprobs",
    "verbosity": "text.verbosity",
    "end_user": "safety_identifier",
    "metadata": "metadata",
    "service_tier": "service_tier",
    "store": "store",
    "cache_key": "prompt_cache_key",
    "cache_prefix": "prompt_cache_options",
    "prewarm": "prompt_cache_options.prewarm",
}

_PATHS_WITHOUT_OPTIONS: Final = {**_PATHS, "cache_prefix": "prompt_cache_key"}

_NOT_STORED: Final = "refers to state that is not stored at this gateway"
_LOCAL: Final = "is only possible at OpenAI"

_UNSHARED: Final[Mapping[str, tuple[Loss, str]]] = {
    "access_programs": (Loss.SAFETY, _LOCAL),
    "background": (Loss.MEANING, "background runs are not possible; answered synchronously"),
    "client_metadata": (Loss.TELEMETRY, "is the client's own bookkeeping"),
    "context_management": (Loss.TELEMETRY, "server-side compaction is not possible"),
    "conversation": (Loss.IMPOSSIBLE, _NOT_STORED),
    "max_tool_calls": (Loss.HINT, "a limit of hosted tool calls"),
    "moderation": (Loss.SAFETY, _LOCAL),
    "multi_agent": (Loss.IMPOSSIBLE, _LOCAL),
    "personality": (Loss.HINT, _LOCAL),
    "previous_response_id": (Loss.IMPOSSIBLE, _NOT_STORED),
    "prompt": (Loss.IMPOSSIBLE, "stored prompt templates are only known to OpenAI"),
    "prompt_cache_retention": (Loss.TELEMETRY, "is a cache hint"),
}
"""Fields of R alone. A false `background` is the default."""

_DEFAULTS: Final = {"prompt_cache_retention": "in_memory"}

_GATEWAY_STATE: Final = frozenset({"background", "conversation", "previous_response_id"})
"""What is refused even for an upstream of this protocol: the conversation is sent whole and not stored."""

_INCLUDES: Final = frozenset(
    {
        "file_search_call.results",
        "web_search_call.results",
        "web_search_call.action.sources",
        "message.input_image.image_url",
        "computer_call_output.output.image_url",
        "code_interpreter_call.outputs",
    }
)
_ENCRYPTED: Final = "reasoning.encrypted_content"
_LOGPROBS: Final = "message.output_text.logprobs"


def parse_request(body: JsonObject, call: Call, seal: Seal | None) -> ir.Request:
    """Read a request; `GatewayError` carries the JSON path of the first field refused."""
    fields = Fields(body)
    fields.skip("model")  # the call may name another
    tools = ToolBox()
    tools.add(fields.items("tools"))
    items = _input(fields, call.operation)
    collect_late_tools(items, tools)
    parser = ItemParser(tools, seal)
    parser.parse(items)
    inside = unknown_inside(items, fields.raw.get("tools"))
    unshared = [*tools.unshared, *parser.unshared, *inside]
    text = _text(fields, unshared)
    reasoning = _reasoning(fields, unshared)
    for update in parser.updates:
        text = _text(update, unshared) or text
        reasoning = _reasoning(update, unshared) or reasoning
    # Everything else is read in the call itself, so that the unknown fields are known at its end.
    request = ir.Request(
        protocol=PROTOCOL,
        model=call.model or fields.text("model"),
        messages=(*_instructions(fields), *parser.messages),
        tools=tuple(tools.tools),
        tool_choice=parse_choice(fields, tools),
        parallel_tool_calls=fields.optional_bool("parallel_tool_calls"),
        output=text.output if text else None,
        reasoning=reasoning,
        sampling=ir.Sampling(
            temperature=fields.optional_number("temperature"),
            top_p=fields.optional_number("top_p"),
        ),
        max_output_tokens=fields.optional_int("max_output_tokens", minimum=1),
        stream=bool(fields.optional_bool("stream")),
        logprobs=_logprobs(fields, unshared),
        verbosity=text.verbosity if text else None,
        end_user=_end_user(fields),
        metadata=_metadata(fields),
        service_tier=_unless(fields.optional_text("service_tier"), "auto"),
        store=fields.optional_bool("store"),
        cache_key=fields.optional_text("prompt_cache_key"),
        cache_prefix=_cache_prefix(fields, unshared),
        prewarm=_prewarms(fields),
        paths=_PATHS if fields.raw.get("prompt_cache_options") else _PATHS_WITHOUT_OPTIONS,
    )
    request = _tool_call_limit(fields, request)
    unshared.extend(_other_unshared(fields))
    _report_unknown(fields, unshared)
    return replace(request, unshared=tuple(unshared))


_STANDS_FOR_INPUT: Final = ("previous_response_id", "conversation", "prompt")


def _input(fields: Fields, operation: Operation) -> list[Json]:
    value = fields.any("input")
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}]
    missing = value is None and not any(fields.raw.get(key) for key in _STANDS_FOR_INPUT)
    if missing and operation is not Operation.COUNT_TOKENS:
        raise GatewayError(
            ErrorKind.INVALID_REQUEST, "input: required field is missing", path="input"
        )
    return fields.array("input")


def _instructions(fields: Fields) -> Iterator[ir.Message]:
    value = fields.any("instructions")
    if isinstance(value, str):
        if value:
            text = ir.Text(text=value, path="instructions")
            yield ir.Message(role=ir.Role.SYSTEM, parts=(text,), path="instructions")
    elif value is not None:
        raise invalid("instructions", "a string", value)


class _TextSettings:
    """The `text` object: format and verbosity."""

    __slots__ = ("output", "verbosity")

    def __init__(self, output: ir.OutputFormat | None, verbosity: str | None) -> None:
        self.output = output
        self.verbosity = verbosity


def _text(fields: Fields, unshared: list[ir.Unshared]) -> _TextSettings | None:
    text = fields.optional_object("text")
    if text is None:
        return None
    settings = _TextSettings(_format(text), _unless(text.optional_text("verbosity"), "medium"))
    _report_unknown(text, unshared)
    return settings


def _unless(value: str | None, default: str) -> str | None:
    """A value that says nothing when it is the default."""
    return None if value == default else value


def _format(text: Fields) -> ir.OutputFormat | None:
    form = text.optional_object("format")
    if form is None:
        return None
    word = form.text("type")
    try:
        kind = ir.OutputKind(word)
    except ValueError:
        raise invalid(form.at("type"), "text, json_object or json_schema", word) from None
    if kind is not ir.OutputKind.JSON_SCHEMA:
        return ir.OutputFormat(kind=kind, path=form.path)
    # Chat's nested spelling, which some clients mix up.
    form = form.optional_object("json_schema") or form
    schema = form.json_object("schema")
    if schema is None:
        raise invalid(form.at("schema"), "a JSON Schema", None)
    return ir.OutputFormat(
        kind=kind,
        schema=schema,
        name=form.optional_text("name"),
        description=form.optional_text("description"),
        strict=bool(form.optional_bool("strict")),
        path=form.path,
    )


def _reasoning(fields: Fields, unshared: list[ir.Unshared]) -> ir.ReasoningControl | None:
    control = fields.optional_object("reasoning")
    if control is None:
        return None
    effort = control.optional_text("effort")
    if effort is not None and effort not in LEVELS:
        raise invalid(control.at("effort"), "a reasoning effort", effort)
    summary = control.optional_text("summary") or control.optional_text("generate_summary")
    if summary in ("concise", "detailed"):
        reason = f"the summary style {summary} is not selectable"
        unshared.append(
            ir.Unshared(path=control.at("summary"), loss=Loss.HINT, reason=reason, value=summary)
        )
    for key, default in (("context", "auto"), ("mode", "standard")):
        word = control.optional_text(key, default)
        if word != default:
            unshared.append(ir.Unshared(path=control.at(key), loss=Loss.HINT, value=word))
    control.skip("generate_summary")
    _report_unknown(control, unshared)
    return ir.ReasoningControl(
        level=LEVELS[effort] if effort else None,
        summary=summary is not None,
        path=control.path,
    )


def _logprobs(fields: Fields, unshared: list[ir.Unshared]) -> int | None:
    """What `include` asks for; hosted-tool values have no meaning elsewhere (class T)."""
    wanted = fields.texts("include")
    for index, value in enumerate(wanted):
        if value in (_ENCRYPTED, _LOGPROBS):
            continue
        loss = Loss.TELEMETRY if value in _INCLUDES else Loss.UNKNOWN
        reason = f"{value} cannot be included"
        unshared.append(
            ir.Unshared(path=f"include[{index}]", loss=loss, reason=reason, value=value)
        )
    top = fields.optional_int("top_logprobs", minimum=0)
    if _LOGPROBS in wanted or top:
        return top or 0
    return None


def _end_user(fields: Fields) -> str | None:
    identifier, user = fields.optional_text("safety_identifier"), fields.optional_text("user")
    return identifier or user


def _metadata(fields: Fields) -> dict[str, str]:
    pairs = fields.json_object("metadata") or {}
    for key, value in pairs.items():
        if not isinstance(value, str):
            raise invalid(f"metadata.{key}", "a string", value)
    return pairs


def _cache_prefix(fields: Fields, unshared: list[ir.Unshared]) -> ir.CacheMark | None:
    """An automatic mark when the client cares for caching at all and did not ask for explicit marks."""
    options = fields.optional_object("prompt_cache_options")
    if options is None:
        return ir.CacheMark() if fields.raw.get("prompt_cache_key") else None
    options.skip("prewarm")  # read by itself
    if options.any("comparison_response_id") is not None:
        unshared.append(ir.Unshared(path=options.at("comparison_response_id"), loss=Loss.TELEMETRY))
    ttl, mode = options.optional_text("ttl"), options.optional_text("mode")
    _report_unknown(options, unshared)
    return None if mode == "explicit" else ir.CacheMark(ttl=ttl)


def _prewarms(fields: Fields) -> bool:
    options = fields.optional_object("prompt_cache_options")
    return options is not None and options.optional_bool("prewarm") is True


def _tool_call_limit(fields: Fields, request: ir.Request) -> ir.Request:
    """`max_tool_calls` is the limit of a search when that is the only hosted tool (section 2.2)."""
    limit = fields.raw.get("max_tool_calls")
    hosted = [tool for tool in request.tools if isinstance(tool, ir.HostedTool)]
    if not isinstance(limit, int) or len(hosted) != 1 or hosted[0].search is None:
        return request
    fields.skip("max_tool_calls")
    limited = replace(hosted[0], search=replace(hosted[0].search, max_uses=limit))
    tools = tuple(limited if tool is hosted[0] else tool for tool in request.tools)
    return replace(request, tools=tools)


def _other_unshared(fields: Fields) -> Iterator[ir.Unshared]:
    known_limit = "max_tool_calls" not in fields.unread()
    for key, (loss, reason) in _UNSHARED.items():
        if key == "max_tool_calls" and known_limit:
            continue
        if fields.any(key) not in (None, False, [], {}, _DEFAULTS.get(key)):
            value = None if key in _GATEWAY_STATE else fields.raw[key]
            yield ir.Unshared(path=key, loss=loss, reason=reason, value=value)
    truncation = fields.optional_text("truncation", "disabled")
    if truncation != "disabled":
        reason = "the prompt is not shortened by itself"
        yield ir.Unshared(path="truncation", loss=Loss.MEANING, reason=reason, value=truncation)
    image = fields.optional_object("image")
    if image is not None and image.optional_text("context_compression", "auto") != "auto":
        path, word = "image.context_compression", image.raw["context_compression"]
        yield ir.Unshared(path=path, loss=Loss.HINT, value=word)
    options = fields.optional_object("stream_options")
    if options is not None and options.optional_bool("include_obfuscation"):
        path = "stream_options.include_obfuscation"
        yield ir.Unshared(path=path, loss=Loss.TELEMETRY, value=True)


def _report_unknown(fields: Fields, unshared: list[ir.Unshared]) -> None:
    unshared.extend(
        ir.Unshared(path=fields.at(key), loss=Loss.UNKNOWN, reason="unknown field", value=value)
        for key, value in fields.unread().items()
    )
