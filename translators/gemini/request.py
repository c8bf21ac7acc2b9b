"""Requests: from a Gemini client into the hub, and from the hub to a Gemini upstream.

The parts of a turn are in `content.py` and `calls.py`, tools in `tools.py`, `generationConfig` in `config.py`.
Reference: https://ai.google.dev/api/generate-content (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from translators import choices, ir, turns
from translators.base import Call, Reading, Rendered, Target
from translators.errors import ErrorKind, GatewayError
from translators.gemini.config import cut_at, parse_config, render_config
from translators.gemini.content import parse_contents, parse_system
from translators.gemini.context import PROTOCOL, Context, is_default
from translators.gemini.finish import put_back
from translators.gemini.history import History
from translators.gemini.spelling import ProtoFields
from translators.gemini.tools import (
    parse_choice,
    parse_tools,
    render_tool_config,
    render_tools,
    single_call,
)
from translators.losses import Loss, Losses
from translators.names import ToolNames
from translators.profile import MidSystem
from translators.seal import Seal
from translators.wire import JsonObject

PATHS: Final[Mapping[str, str]] = {
    "messages": "contents",
    "tools": "tools",
    "tool_choice": "toolConfig.functionCallingConfig",
    "output": "generationConfig.responseMimeType",
    "reasoning": "generationConfig.thinkingConfig",
    "temperature": "generationConfig.temperature",
    "top_p": "generationConfig.topP",
    "top_k": "generationConfig.topK",
    "seed": "generationConfig.seed",
    "frequency_penalty": "generationConfig.frequencyPenalty",
    "presence_penalty": "generationConfig.presencePenalty",
    "max_output_tokens": "generationConfig.maxOutputTokens",
    "stop": "generationConfig.stopSequences",
    "candidates": "generationConfig.candidateCount",
    "logprobs": "generationConfig.responseLogprobs",
    "service_tier": "serviceTier",
    "store": "store",
}

_UNSHARED: Final[Mapping[str, Loss]] = {
    "labels": Loss.TELEMETRY,
    "cachedContent": Loss.IMPOSSIBLE,
    "continuationToken": Loss.IMPOSSIBLE,
    "modelArmorConfig": Loss.SAFETY,
    "outputConfig": Loss.MEANING,
}

_TIERS: Final[Mapping[str, str]] = {
    "STANDARD": "default",
    "FLEX": "flex",
    "PRIORITY": "priority",
}
_WIRE_TIERS: Final[Mapping[str, str | None]] = {
    "auto": None,
    "scale": None,
    "default": "standard",
    "flex": "flex",
    "priority": "priority",
    "fast": "priority",
    "ultrafast": "priority",
}

_CONFIG: Final = "generationConfig."
_PERMISSIVE: Final = frozenset({"BLOCK_NONE", "OFF"})
_UNSET_THRESHOLD: Final = "HARM_BLOCK_THRESHOLD_UNSPECIFIED"


# ---------------------------------------------------------------------------------------- parsing


def parse_request(body: JsonObject, call: Call, seal: Seal | None) -> ir.Request:
    """Read a client's request; a body of `countTokens` may wrap it in `generateContentRequest`."""
    fields = ProtoFields(body)
    wrapped = fields.optional_object("generateContentRequest")
    if wrapped is not None:
        fields = wrapped
    context = Context(seal)
    named = (fields.optional_text("model") or "").removeprefix("models/")
    messages = _parse_messages(fields, context)
    config = parse_config(fields.optional_object("generationConfig"), context)
    tools = parse_tools(fields, context)
    choice = parse_choice(fields, context)
    _parse_safety(fields, context)
    for key, loss in _UNSHARED.items():
        if key in fields.raw and not is_default(value := fields.any(key)):
            context.lose(fields.at(key), loss, value=value)
    tier = fields.word("serviceTier")
    store = fields.optional_bool("store")
    context.unknown(fields)
    return ir.Request(
        protocol=PROTOCOL,
        model=call.model or named,
        messages=messages,
        tools=tools,
        tool_choice=choice,
        output=config.output,
        reasoning=config.reasoning,
        sampling=config.sampling,
        max_output_tokens=config.max_output_tokens,
        stop=config.stop,
        stream=bool(call.stream),
        candidates=config.candidates,
        logprobs=config.logprobs,
        service_tier=_TIERS.get(tier or ""),
        store=store,
        unshared=tuple(context.unshared),
        paths=PATHS,
    )


def _parse_messages(fields: ProtoFields, context: Context) -> tuple[ir.Message, ...]:
    instruction = fields.any("systemInstruction")
    system: list[ir.Message] = []
    if instruction is not None:
        system = parse_system(instruction, fields.at("systemInstruction"), context)
    turns_ = parse_contents(fields, context)
    if not turns_:
        path = fields.at("contents")
        raise GatewayError(
            ErrorKind.INVALID_REQUEST, f"{path}: expected at least one content", path=path
        )
    return (*system, *turns_)


def _parse_safety(fields: ProtoFields, context: Context) -> None:
    """Settings that block more than the default are a matter of safety; those that block less are not."""
    for setting in fields.items("safetySettings"):
        setting.skip("category", "method")
        threshold = setting.word("threshold") or _UNSET_THRESHOLD
        if threshold in _PERMISSIVE:
            reason = "safety settings have no equivalent"
            context.lose(setting.path, Loss.NOTE, reason, dict(setting.raw))
        elif threshold != _UNSET_THRESHOLD:
            context.lose(setting.path, Loss.SAFETY, value=dict(setting.raw))
        context.unknown(setting)


# -------------------------------------------------------------------------------------- rendering


def render_request(request: ir.Request, target: Target, losses: Losses) -> Rendered:
    """Write the body for `generateContent`; always camelCase, nothing of the client's dialect left."""
    request = choices.permitted(request)
    names = ToolNames(request, min(target.profile.tool_name_limit, 64))
    names.note_renamed(losses, request.path_of("tools"))
    system, history = _arranged(request, target, losses)
    body: JsonObject = {}
    if system:
        body["systemInstruction"] = {"parts": system}
    body["contents"] = History(request, target, names, losses).render(history)
    tools = render_tools(request, target, names, losses)
    if tools:
        body["tools"] = tools
    tool_config = render_tool_config(request, target, names, tools, losses)
    if tool_config:
        body["toolConfig"] = tool_config
    config = render_config(request, target, losses) | _own_config(request)
    if config:
        body["generationConfig"] = config
    body |= _render_rest(request, target, losses)
    put_back(body, request.resume)
    reading = Reading(
        provider=target.provider,
        model=target.model,
        profile=target.profile,
        tools=names.restore,
        custom=frozenset(tool.ref for tool in request.tools if isinstance(tool, ir.CustomTool)),
        cut_at=cut_at(request, target, losses),
        single_call=single_call(request, losses),
        stream=request.stream,
        choices=config.get("candidateCount", 1),
        resumable=True,
        once_more=True,
    )
    return Rendered(body=body, reading=reading)


GO_ON: Final = "Continue."
_CONTINUES: Final = frozenset({"anthropic"})
"""Protocols in which a final assistant message is the beginning of the answer."""


def _begins_with_a_call(messages: tuple[ir.Message, ...]) -> bool:
    """Whether the model calls before anybody has said anything: refused by the API, as a trimmed history is."""
    return bool(messages) and any(isinstance(part, ir.ToolCall) for part in messages[0].parts)


def _arranged(
    request: ir.Request, target: Target, losses: Losses
) -> tuple[list[JsonObject], tuple[ir.Message, ...]]:
    """The system parts, and the turns in the order that Gemini wants them."""
    turns.note_names(request.messages, losses)
    hoist = target.profile.mid_system is MidSystem.HOIST
    placed = turns.place_system(
        request.messages, MidSystem.HOIST if hoist else MidSystem.USER, losses
    )
    leading, rest = turns.split_system(turns.with_a_turn(placed, request, losses))
    system = [part for message in leading for part in _system_parts(message, losses)]
    local = turns.merge_roles(turns.localise(rest, PROTOCOL, losses))
    arranged = turns.merge_roles(turns.drop_empty(turns.pair_results(local, losses)))
    if _begins_with_a_call(arranged):
        arranged = turns.start_with_user(arranged, losses)
    return system, _ending_with_user(request, arranged, losses)


def _ending_with_user(
    request: ir.Request, messages: tuple[ir.Message, ...], losses: Losses
) -> tuple[ir.Message, ...]:
    """The last content must be the user's: a begun answer is history, after which the model is asked to go on."""
    last = messages[-1] if messages else None
    if last is None or last.role is not ir.Role.ASSISTANT:
        return messages
    loss = Loss.MEANING if request.protocol in _CONTINUES else Loss.VALUE
    losses.give_up(loss, last.path, "the last message is history; the model was asked to go on")
    return (*messages, ir.Message(role=ir.Role.USER, parts=(ir.Text(text=GO_ON),)))


def _system_parts(message: ir.Message, losses: Losses) -> list[JsonObject]:
    parts: list[JsonObject] = []
    for part in message.parts:
        if not isinstance(part, ir.Text):
            raise losses.refusal(part.path or message.path, "system text cannot hold other content")
        if part.text:
            parts.append({"text": part.text})
    return parts


def _own_config(request: ir.Request) -> JsonObject:
    """What a Gemini client said in `generationConfig` that no other protocol has a word for."""
    if request.protocol != PROTOCOL:
        return {}
    return {
        field.path.removeprefix(_CONFIG): field.value
        for field in request.unshared
        if field.value is not None and field.path.startswith(_CONFIG)
    }


def _render_rest(request: ir.Request, target: Target, losses: Losses) -> JsonObject:
    """The fields beside `generationConfig`, and what has no place at all."""
    body: JsonObject = {}
    if request.service_tier is not None:
        tier = _WIRE_TIERS.get(request.service_tier)
        if tier is not None:
            body["serviceTier"] = tier
        elif request.service_tier not in _WIRE_TIERS:
            losses.give_up(Loss.TELEMETRY, request.path_of("service_tier"), "unknown service tier")
    if request.store is not None and request.protocol == PROTOCOL and not target.profile.vertex:
        body["store"] = request.store
    elif request.store:
        losses.give_up(Loss.TELEMETRY, request.path_of("store"), "answers are not stored")
    if request.verbosity not in (None, "medium"):
        losses.give_up(Loss.HINT, request.path_of("verbosity"), "verbosity cannot be set")
    for name, value in (
        ("end_user", request.end_user),
        ("metadata", request.metadata),
        ("cache_key", request.cache_key),
        ("cache_prefix", request.cache_prefix),
    ):
        if value:
            losses.give_up(Loss.TELEMETRY, request.path_of(name), "has no equivalent in Gemini")
    for field in request.unshared:
        if field.value is not None and request.protocol == PROTOCOL:
            if field.path.startswith(_CONFIG):
                continue
            name, is_item, _ = field.path.rpartition(".")[2].partition("[")
            if is_item:
                body.setdefault(name, []).append(field.value)
            else:
                body[name] = field.value
        else:
            losses.give_up(field.loss, field.path, field.reason)
    return body
