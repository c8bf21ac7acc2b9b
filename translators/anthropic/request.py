"""The request: wire -> hub and hub -> wire, in the order of the reference page.

`parse_request` reads what a client of this protocol sent; `render_request` writes for an upstream of it. Blocks are in
content.py and blocks.py, tools in tools.py, thinking in thinking.py, cache marks in caching.py.
Reference: https://platform.claude.com/docs/en/api/messages (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from translators import answer_tool, choices, ir, schema
from translators.anthropic.blocks import render_messages, render_system
from translators.anthropic.caching import place_marks
from translators.anthropic.content import parse_message, parse_system
from translators.anthropic.intake import Intake, required
from translators.anthropic.pausing import may_pause, put_back
from translators.anthropic.thinking import (
    Thinking,
    parse_effort,
    parse_thinking,
    render_thinking,
)
from translators.anthropic.tools import (
    MCP_BETA,
    ToolBox,
    format_schema,
    parse_choice,
    parse_tools,
    render_tools,
)
from translators.anthropic.words import (
    PROTOCOL,
    SAMPLING_VERSION,
    VERSION,
    VERTEX_SAMPLING_VERSION,
)
from translators.base import Call, Operation, Reading, Rendered, Target
from translators.errors import invalid
from translators.fields import Fields
from translators.legs import calls_for
from translators.losses import Action, Loss, Losses, Mode
from translators.names import ToolNames
from translators.profile import SamplingSupport, SchemaFallback
from translators.schema import Dialect
from translators.seal import Seal
from translators.wire import JsonObject, dump_text

PATHS: Final[Mapping[str, str]] = {
    "max_output_tokens": "max_tokens",
    "prewarm": "max_tokens",
    "stop": "stop_sequences",
    "reasoning": "thinking",
    "output": "output_config.format",
    "end_user": "metadata.user_id",
    "sampling": "temperature",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "cache_prefix": "cache_control",
}

UNSHARED: Final[Mapping[str, Loss]] = {
    "container": Loss.MEANING,
    "diagnostics": Loss.TELEMETRY,
    "inference_geo": Loss.SAFETY,
    "compaction": Loss.MEANING,
    "fallbacks": Loss.TELEMETRY,
    "fallback_credit_token": Loss.TELEMETRY,
    "billing_policy": Loss.TELEMETRY,
    "thread": Loss.IMPOSSIBLE,
    "user_profile_id": Loss.TELEMETRY,
    # A classifier of the provider beside the client's own permission checks: worth a note, not a refusal.
    "safeguards": Loss.HINT,
}
"""Fields that the hub has no word for (portability rules, section 2.2)."""

_SAYS_NOTHING: Final = (("inference_geo", "global"),)
"""Values that ask for nothing: inference wherever there is room."""

_QUIET_EDITS: Final = frozenset({"clear_thinking_20251015"})
"""Context edits that change no visible content; every request of Claude Code has one."""

TIERS_IN: Final[Mapping[str, str | None]] = {"auto": None, "standard_only": "default"}
_UNSAID_TIERS: Final = frozenset({"flex", "priority", "scale", "fast", "ultrafast"})

JSON_LINE: Final = "Respond with a single JSON object and nothing else."


# ----------------------------------------------------------------------------------------- reading


def parse_request(body: JsonObject, call: Call, seal: Seal | None) -> ir.Request:
    """Read a Messages request; a `GatewayError` carries the JSON path of the first field refused."""
    fields = Fields(body)
    intake = Intake(seal)
    fields.skip("anthropic_version", "anthropic_beta", "betas")
    tools = parse_tools(fields, intake)
    system = tuple(parse_system(fields, intake))
    messages = _messages(fields, intake)
    choice, parallel = parse_choice(fields, tools, intake)
    config = fields.optional_object("output_config")
    effort, effort_path = _effort(fields, config, intake)
    return ir.Request(
        protocol=PROTOCOL,
        model=_model(fields, call),
        messages=(*system, *messages),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=parallel,
        output=_output_format(fields, config),
        reasoning=parse_thinking(fields.optional_object("thinking"), effort, effort_path, intake),
        sampling=_sampling(fields, call, intake),
        max_output_tokens=_max_tokens(fields, call) or None,
        prewarm=fields.any("max_tokens") == 0,
        stop=_stop(fields),
        stream=fields.optional_bool("stream") is True,
        end_user=_end_user(fields, intake),
        service_tier=_service_tier(fields, intake),
        cache_prefix=intake.cache_mark(fields),
        unshared=_unshared(fields, config, intake),
        paths=PATHS,
    )


def _model(fields: Fields, call: Call) -> str:
    model = fields.optional_text("model") or call.model
    if not model:
        raise required("model")
    return model


def _max_tokens(fields: Fields, call: Call) -> int | None:
    value = fields.optional_int("max_tokens", minimum=0)
    if value is None and call.operation is Operation.GENERATE:
        raise required("max_tokens")
    return value


def _messages(fields: Fields, intake: Intake) -> tuple[ir.Message, ...]:
    if fields.any("messages") is None:
        raise required("messages")
    messages: list[ir.Message] = []
    for item in fields.items("messages"):
        messages.append(parse_message(item, intake))
        item.skip("output_config")
        intake.unknown(item)
    if not messages:
        raise invalid("messages", "at least one message", [])
    return tuple(messages)


def _effort(fields: Fields, config: Fields | None, intake: Intake) -> tuple[ir.Level | None, str]:
    """The effort asked for last: of a system message in the conversation, else of the request."""
    level = parse_effort(config)
    path = "output_config.effort"
    for place, message in enumerate(fields.array("messages")):
        own = message.get("output_config") if isinstance(message, dict) else None
        if own is None:
            continue
        inner = Fields(own, f"messages[{place}].output_config")
        later = parse_effort(inner)
        intake.unknown(inner)
        if later is not None and later is not level:
            path = inner.at("effort")
            intake.unsaid(path, Loss.VALUE, "the effort applies to the whole request instead")
            level = later
    return level, path


def _output_format(fields: Fields, config: Fields | None) -> ir.OutputFormat | None:
    wire = config.optional_object("format") if config is not None else None
    if wire is None:
        wire = fields.optional_object("output_format")  # its name in the beta of 2025
    else:
        fields.skip("output_format")
    if wire is None:
        return None
    if wire.text("type") != "json_schema":
        raise invalid(wire.at("type"), '"json_schema"', wire.any("type"))
    schema_object = wire.json_object("schema")
    if schema_object is None:
        raise required(wire.at("schema"))
    return ir.OutputFormat(kind=ir.OutputKind.JSON_SCHEMA, schema=schema_object, path=wire.path)


def _sampling(fields: Fields, call: Call, intake: Intake) -> ir.Sampling:
    sampling = ir.Sampling(
        temperature=fields.optional_number("temperature"),
        top_p=fields.optional_number("top_p"),
        top_k=fields.optional_number("top_k"),
    )
    if call.headers.get("anthropic-version", SAMPLING_VERSION) != SAMPLING_VERSION:
        for name in ("temperature", "top_p", "top_k"):
            if getattr(sampling, name) is not None:
                intake.unsaid(
                    name, Loss.UNKNOWN, "is no field of this API version; it is used all the same"
                )
    return sampling


def _stop(fields: Fields) -> tuple[str, ...]:
    value = fields.any("stop_sequences")
    stops = (value,) if isinstance(value, str) else fields.texts("stop_sequences")
    for place, stop in enumerate(stops):
        if not stop.strip():
            raise invalid(f"stop_sequences[{place}]", "a text that is not only whitespace", stop)
    return stops


def _end_user(fields: Fields, intake: Intake) -> str | None:
    metadata = fields.optional_object("metadata")
    if metadata is None:
        return None
    user = metadata.optional_text("user_id")
    intake.unknown(metadata)
    return user


def _service_tier(fields: Fields, intake: Intake) -> str | None:
    tier = fields.optional_text("service_tier")
    if tier is not None and tier not in TIERS_IN:
        raise invalid("service_tier", "auto or standard_only", tier)
    if fields.optional_text("speed", "standard") != "standard":
        intake.unsaid("speed", Loss.TELEMETRY)
    return TIERS_IN[tier] if tier is not None else None


def _unshared(fields: Fields, config: Fields | None, intake: Intake) -> tuple[ir.Unshared, ...]:
    for name, loss in UNSHARED.items():
        value = fields.any(name)
        if value not in (None, [], {}) and (name, value) not in _SAYS_NOTHING:
            intake.unsaid(name, loss)
    management = fields.optional_object("context_management")
    if management is not None:
        for edit in management.items("edits"):
            quiet = edit.text("type") in _QUIET_EDITS
            intake.unsaid(edit.path, Loss.TELEMETRY if quiet else Loss.HINT)
        intake.unknown(management)
    if config is not None:
        if config.any("task_budget") is not None:
            intake.unsaid(config.at("task_budget"), Loss.HINT)
        intake.unknown(config)
    intake.unknown(fields)
    return tuple(intake.unshared)


# ----------------------------------------------------------------------------------------- writing


def render_request(request: ir.Request, target: Target, losses: Losses) -> Rendered:
    """Write the request for an upstream of this protocol; losses are refused or recorded."""
    _give_up_the_rest(request, losses)
    asked = answer_tool.ask(request, target.profile, SchemaFallback.TOOL, losses)
    request = choices.permitted(asked.request)
    names = ToolNames(request, target.profile.tool_name_limit)
    names.note_renamed(losses, request.path_of("tools"))
    thinking = render_thinking(request, target, losses)
    box = render_tools(request, target, names, losses)
    written = render_messages(request, target, names, losses)
    _settle_thinking(request, target, thinking, box, written.loop_without_thinking, losses)
    lines = [*box.system_lines]
    config = _render_config(request, target, thinking, box, lines, losses)
    body: JsonObject = {"model": target.model, "max_tokens": thinking.max_tokens}
    system = render_system(written.system, tuple(lines), losses)
    if system:
        body["system"] = system
    body["messages"] = written.messages
    if box.tools:
        body["tools"] = box.tools
    if box.choice is not None:
        body["tool_choice"] = box.choice
    if box.mcp_servers:
        body["mcp_servers"] = box.mcp_servers
    if thinking.field is not None:
        body["thinking"] = thinking.field
    if config:
        body["output_config"] = config
    sampling = _render_sampling(request, target, thinking, losses)
    body |= sampling
    kept, cut_at = _render_stop(request, target)
    if kept:
        body["stop_sequences"] = kept
    if request.end_user is not None:
        body["metadata"] = {"user_id": request.end_user}
    _render_tier(request, body, losses)
    place_marks(request, body)
    put_back(body, request.resume)
    if request.stream:
        body["stream"] = True
    reading = Reading(
        provider=target.provider,
        model=target.model,
        profile=target.profile,
        tools=names.restore,
        custom=box.custom,
        cut_at=cut_at,
        json_object=_checks_json(request, losses),
        answer_tool=asked.tool,
        wrapped=asked.wrapped,
        forced_format_tool=names.wire(box.format_tool.ref) if box.format_tool else None,
        stream=request.stream,
        calls=calls_for(request, losses),
        resumable=may_pause(body),
    )
    headers = _headers(target, body, with_sampling=bool(sampling))
    return Rendered(body=body, reading=reading, headers=headers)


def _headers(target: Target, body: JsonObject, *, with_sampling: bool) -> dict[str, str]:
    """The headers that the body needs; on Google Cloud the version and no model stand in the body."""
    profile = target.profile
    headers = {"anthropic-beta": MCP_BETA} if "mcp_servers" in body else {}
    if profile.vertex:
        del body["model"]
        old = with_sampling or profile.anthropic_version == SAMPLING_VERSION
        body["anthropic_version"] = VERTEX_SAMPLING_VERSION if old else profile.anthropic_version
        return headers
    version = SAMPLING_VERSION if with_sampling else profile.anthropic_version or VERSION
    return {"anthropic-version": version, **headers}


def _give_up_the_rest(request: ir.Request, losses: Losses) -> None:
    """Fields that this protocol has no word for."""
    for field in request.unshared:
        losses.give_up(field.loss, field.path, field.reason)
    sampling = request.sampling
    gone: list[tuple[Loss, str, object]] = [
        (Loss.HINT, "seed", sampling.seed),
        (Loss.HINT, "frequency_penalty", sampling.frequency_penalty or None),
        (Loss.HINT, "presence_penalty", sampling.presence_penalty or None),
        (Loss.HINT, "verbosity", request.verbosity),
        (Loss.MEANING, "logprobs", request.logprobs),
        (Loss.TELEMETRY, "metadata", request.metadata or None),
        (Loss.TELEMETRY, "store", request.store or None),
    ]
    for loss, name, value in gone:
        if value is not None:
            losses.give_up(loss, request.path_of(name), "has no equivalent in Anthropic Messages")


def _settle_thinking(
    request: ir.Request,
    target: Target,
    thinking: Thinking,
    box: ToolBox,
    loop_without_thinking: bool,
    losses: Losses,
) -> None:
    """Thinking yields to a forced call, and in a tool loop whose thinking blocks are not at hand (section 12)."""
    path = request.path_of("reasoning")
    strict_about_force = thinking.manual or not target.profile.forced_choice_with_thinking
    if thinking.on and box.forced and strict_about_force:
        reason = "a forced tool call and thinking exclude each other; thinking was dropped"
        thinking.drop(path, reason, losses, target.profile)
    elif thinking.manual and loop_without_thinking:
        reason = "the thinking before these tool calls was made elsewhere; thinking was dropped"
        thinking.drop(path, reason, losses, target.profile)


def _render_config(
    request: ir.Request,
    target: Target,
    thinking: Thinking,
    box: ToolBox,
    lines: list[str],
    losses: Losses,
) -> JsonObject:
    config: JsonObject = {}
    if thinking.effort is not None:
        config["effort"] = thinking.effort
    output = request.output
    if box.format_tool is not None:
        config["format"] = {"type": "json_schema", "schema": format_schema(box.format_tool, losses)}
    elif output is not None and output.kind is ir.OutputKind.JSON_OBJECT:
        losses.choose(
            output.path,
            "JSON output was asked for in the system text",
            strict=Action.REJECT,
            balanced=Action.SILENT,
            max_compat=Action.WARN,
        )
        lines.append(JSON_LINE)
    elif output is not None and output.kind is ir.OutputKind.JSON_SCHEMA:
        _render_schema(request, output, target, config, lines, losses)
    return config


def _checks_json(request: ir.Request, losses: Losses) -> bool:
    """Whether the answer must be checked to be one JSON object (section 9: in `balanced` only)."""
    output = request.output
    asked = output is not None and output.kind is ir.OutputKind.JSON_OBJECT
    return asked and losses.mode is Mode.BALANCED


def _render_schema(
    request: ir.Request,
    output: ir.OutputFormat,
    target: Target,
    config: JsonObject,
    lines: list[str],
    losses: Losses,
) -> None:
    wanted = output.schema or {}
    if output.openapi:
        wanted = schema.from_openapi(wanted)
    if output.description and "description" not in wanted:
        wanted = {**wanted, "description": output.description}
    if not target.profile.json_schema:
        losses.give_up(Loss.MEANING, output.path, "the schema was put into the system text")
        lines.append(f"{JSON_LINE} It must match this JSON Schema: {dump_text(wanted)}")
        return
    if _cites(request):
        raise losses.refusal(
            output.path, "an output schema and document citations exclude each other"
        )
    config["format"] = {
        "type": "json_schema",
        "schema": schema.convert(wanted, Dialect.ANTHROPIC, output.path, losses),
    }


def _cites(request: ir.Request) -> bool:
    return any(
        isinstance(part, ir.Document) and part.cite
        for message in request.messages
        for part in message.parts
    )


def _render_sampling(
    request: ir.Request, target: Target, thinking: Thinking, losses: Losses
) -> JsonObject:
    """The sampling values that the model takes; default values are left out without a word."""
    sampling = request.sampling
    values: JsonObject = {}
    if sampling.temperature not in (None, 1):
        values["temperature"] = sampling.temperature
    if sampling.top_p not in (None, 1):
        values["top_p"] = sampling.top_p
    if sampling.top_k is not None:
        values["top_k"] = int(sampling.top_k)
    refusal = None
    if target.profile.sampling is not SamplingSupport.FULL:
        refusal = "the model does not take sampling values"
    elif thinking.on:
        refusal = "sampling values and thinking exclude each other"
    if refusal is not None:
        for name in values:
            losses.give_up(Loss.HINT, request.path_of(name), refusal)
        return {}
    if "temperature" in values and values["temperature"] > 1:
        losses.give_up(Loss.VALUE, request.path_of("temperature"), "was lowered to 1, the maximum")
        # 1 is the default: saying it would only force the older API version.
        del values["temperature"]
    if "temperature" in values and "top_p" in values:
        losses.give_up(Loss.HINT, request.path_of("top_p"), "cannot be combined with temperature")
        del values["top_p"]
    return values


def _render_stop(request: ir.Request, target: Target) -> tuple[list[str], tuple[str, ...]]:
    """The stop sequences to send, and those that the gateway cuts at by itself."""
    limit = target.profile.stop_limit
    kept: list[str] = []
    cut_at: list[str] = []
    for stop in request.stop:
        if not stop:
            continue
        fits = stop.strip() and (limit is None or len(kept) < limit)
        (kept if fits else cut_at).append(stop)
    return kept, tuple(cut_at)


def _render_tier(request: ir.Request, body: JsonObject, losses: Losses) -> None:
    tier = request.service_tier
    if tier == "default":
        body["service_tier"] = "standard_only"
    elif tier in _UNSAID_TIERS:
        losses.give_up(
            Loss.TELEMETRY, request.path_of("service_tier"), f"the tier {tier} cannot be asked for"
        )
