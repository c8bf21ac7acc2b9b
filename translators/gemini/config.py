"""`generationConfig`: sampling, limits, thinking and the shape of the answer, in both directions.

Reference: https://ai.google.dev/api/generate-content#generationconfig (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from translators import ir, reasoning
from translators.base import Target
from translators.errors import invalid
from translators.gemini.context import Context, is_default
from translators.gemini.spelling import ProtoFields
from translators.gemini.tools import looks_openapi, render_schema
from translators.ir import Level
from translators.losses import NO_PREWARM, Action, Loss, Losses
from translators.profile import SamplingSupport, ThinkingForm
from translators.wire import JsonObject

STOP_LIMIT: Final = 5
MAX_CANDIDATES: Final = 8
ENUM_TYPE: Final = "text/x.enum"
_INT32: Final = range(-(2**31), 2**31)

_UNSHARED: Final[Mapping[str, Loss]] = {
    "mediaResolution": Loss.HINT,
    "speechConfig": Loss.MEANING,
    "imageConfig": Loss.MEANING,
    "audioTranscriptionConfig": Loss.MEANING,
    "enableEnhancedCivicAnswers": Loss.TELEMETRY,
    "routingConfig": Loss.TELEMETRY,
    "modelConfig": Loss.TELEMETRY,
    "modelSelectionConfig": Loss.TELEMETRY,
    "audioTimestamp": Loss.TELEMETRY,
    "enableAffectiveDialog": Loss.IMPOSSIBLE,
    "translationConfig": Loss.IMPOSSIBLE,
}

_LEVELS: Final[Mapping[str, Level | None]] = {
    "THINKING_LEVEL_UNSPECIFIED": None,
    "MINIMAL": Level.MINIMAL,
    "LOW": Level.LOW,
    "MEDIUM": Level.MEDIUM,
    "HIGH": Level.HIGH,
    "XHIGH": Level.XHIGH,
}

_LEVEL_CHOICES: Final[Mapping[Level, tuple[Level, ...]]] = {
    Level.OFF: (Level.MINIMAL, Level.LOW),
    Level.MINIMAL: (Level.MINIMAL, Level.LOW),
    Level.LOW: (Level.LOW,),
    Level.MEDIUM: (Level.MEDIUM, Level.HIGH),
    Level.HIGH: (Level.HIGH,),
    Level.XHIGH: (Level.XHIGH, Level.HIGH),
    Level.MAX: (Level.XHIGH, Level.HIGH),
}
"""The words that stand for a level, best first; there is no word for off."""


# ---------------------------------------------------------------------------------------- parsing


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What `generationConfig` says, under the hub's names."""

    sampling: ir.Sampling = ir.NO_SAMPLING
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    candidates: int = 1
    logprobs: int | None = None
    output: ir.OutputFormat | None = None
    reasoning: ir.ReasoningControl | None = None


def parse_config(fields: ProtoFields | None, context: Context) -> Config:
    """Read the object; what only Gemini has goes to the context."""
    if fields is None:
        return Config()
    for key, loss in _UNSHARED.items():
        if key in fields.raw and not is_default(value := fields.any(key)):
            context.lose(fields.at(key), loss, value=value)
    _parse_modalities(fields, context)
    config = Config(
        sampling=ir.Sampling(
            temperature=fields.optional_number("temperature"),
            top_p=fields.optional_number("topP"),
            top_k=fields.optional_number("topK"),
            seed=fields.optional_int("seed"),
            frequency_penalty=fields.optional_number("frequencyPenalty"),
            presence_penalty=fields.optional_number("presencePenalty"),
        ),
        # 0 is protobuf's absence
        max_output_tokens=fields.optional_int("maxOutputTokens", minimum=0) or None,
        stop=fields.texts("stopSequences"),
        candidates=fields.optional_int("candidateCount", minimum=0) or 1,
        logprobs=_parse_logprobs(fields),
        output=_parse_output(fields, context),
        reasoning=_parse_thinking(fields, context),
    )
    context.unknown(fields)
    return config


def _parse_logprobs(fields: ProtoFields) -> int | None:
    wanted = fields.optional_bool("responseLogprobs")
    alternatives = fields.optional_int("logprobs", minimum=0)
    return (alternatives or 0) if wanted else None


def _parse_modalities(fields: ProtoFields, context: Context) -> None:
    others = [word for word in fields.texts("responseModalities") if word.upper() != "TEXT"]
    if others:
        context.lose(
            fields.at("responseModalities"),
            Loss.MEANING,
            f"the provider's protocol cannot ask for {', '.join(others)} output",
            value=fields.any("responseModalities"),
        )


def _parse_output(fields: ProtoFields, context: Context) -> ir.OutputFormat | None:
    """`responseMimeType` and a schema, or the text entry of the newer `responseFormat`."""
    mime = fields.optional_text("responseMimeType", "")
    plain = fields.json_object("responseJsonSchema")
    openapi = fields.json_object("responseSchema")
    path = fields.at("responseMimeType")
    for item in _format_entries(fields):
        text = item.optional_object("text")
        if text is not None:
            mime = text.optional_text("mimeType", mime)
            plain = text.json_object("jsonSchema") or plain
            path = text.path
            context.unknown(text)
        for key in ("audio", "image", "video"):
            context.lose_if_set(item, key, Loss.MEANING)
        context.unknown(item)
    given = plain if plain is not None else openapi
    if mime == ENUM_TYPE:
        context.lose(path, Loss.HINT, f"{ENUM_TYPE} is asked for as a JSON string of that enum")
    elif mime not in ("", "text/plain", "application/json"):
        raise invalid(path, f"text/plain, application/json or {ENUM_TYPE}", mime)
    if given is not None:
        return ir.OutputFormat(
            kind=ir.OutputKind.JSON_SCHEMA,
            schema=given,
            openapi=plain is None or looks_openapi(given),
            path=fields.at("responseSchema" if plain is None else "responseJsonSchema"),
        )
    if mime == "application/json":
        return ir.OutputFormat(kind=ir.OutputKind.JSON_OBJECT, path=path)
    return None


def _format_entries(fields: ProtoFields) -> list[ProtoFields]:
    value = fields.any("responseFormat")
    if isinstance(value, dict):
        return [ProtoFields(value, fields.at("responseFormat"))]
    return list(fields.items("responseFormat"))


def _parse_thinking(fields: ProtoFields, context: Context) -> ir.ReasoningControl | None:
    thinking = fields.optional_object("thinkingConfig")
    if thinking is None:
        return None
    budget = thinking.int64("thinkingBudget")
    word = thinking.word("thinkingLevel")
    summary = thinking.optional_bool("includeThoughts")
    if word is not None and word not in _LEVELS:
        raise invalid(thinking.at("thinkingLevel"), " or ".join(_LEVELS), word)
    context.unknown(thinking)
    if word is not None:
        level = _LEVELS[word]
        return ir.ReasoningControl(level=level, summary=summary, path=thinking.path)
    return ir.ReasoningControl(
        level=None if budget is None else reasoning.level_of_budget(budget),
        budget_tokens=budget,
        summary=summary,
        path=thinking.path,
    )


# -------------------------------------------------------------------------------------- rendering


def render_config(request: ir.Request, target: Target, losses: Losses) -> JsonObject:
    """`generationConfig`, {} when there is nothing to say."""
    config = _render_sampling(request, target, losses)
    limit = _max_output_tokens(request, target, losses)
    if limit is not None:
        config["maxOutputTokens"] = limit
    stops = request.stop[: stop_limit(target)]
    if stops:
        config["stopSequences"] = list(stops)
    count = _candidates(request, losses)
    if count > 1:
        config["candidateCount"] = count
    if request.logprobs is not None:
        config["responseLogprobs"] = True
        if request.logprobs:
            config["logprobs"] = request.logprobs
    config |= _render_output(request, target, losses)
    thinking = _render_thinking(request.reasoning, target, losses)
    if thinking:
        config["thinkingConfig"] = thinking
    return config


def _candidates(request: ir.Request, losses: Losses) -> int:
    """How many answers to ask for: at most 8, and one only of a stream with tools."""
    limit = 1 if request.stream and request.tools else MAX_CANDIDATES
    if request.candidates > limit:
        losses.give_up(
            Loss.MEANING, request.path_of("candidates"), f"at most {limit} can be asked for here"
        )
    return min(request.candidates, limit)


def stop_limit(target: Target) -> int:
    """How many stop sequences this upstream takes."""
    limit = target.profile.stop_limit
    return STOP_LIMIT if limit is None else min(limit, STOP_LIMIT)


def cut_at(request: ir.Request, target: Target, losses: Losses) -> tuple[str, ...]:
    """The stop sequences that the gateway applies itself, because the upstream takes no more."""
    rest = request.stop[stop_limit(target) :]
    if rest:
        losses.choose(
            request.path_of("stop"),
            f"the provider takes {stop_limit(target)} stop sequences; the gateway cuts at the others",
            strict=Action.REJECT,
            balanced=Action.WARN,
            max_compat=Action.WARN,
        )
    return rest


def _max_output_tokens(request: ir.Request, target: Target, losses: Losses) -> int | None:
    limit, most = request.max_output_tokens, target.profile.max_output_tokens
    if request.prewarm:
        losses.give_up(Loss.MEANING, request.path_of("prewarm"), NO_PREWARM)
        return 1
    if limit is not None and most is not None and limit > most:
        losses.give_up(
            Loss.VALUE,
            request.path_of("max_output_tokens"),
            f"lowered to the model's maximum {most}",
        )
        return most
    return limit


def _render_sampling(request: ir.Request, target: Target, losses: Losses) -> JsonObject:
    sampling, support = request.sampling, target.profile.sampling
    values = {
        "temperature": ("temperature", sampling.temperature),
        "top_p": ("topP", sampling.top_p),
        "top_k": ("topK", sampling.top_k),
        "presence_penalty": ("presencePenalty", sampling.presence_penalty),
        "frequency_penalty": ("frequencyPenalty", sampling.frequency_penalty),
        "seed": ("seed", sampling.seed),
    }
    config: JsonObject = {}
    for name, (key, value) in values.items():
        path = request.path_of(name)
        if value is None:
            continue
        if support is not SamplingSupport.FULL and name != "seed":
            if (name, value) != ("temperature", 1) and value != 0:
                losses.give_up(Loss.HINT, path, "the model takes no sampling values")
            continue
        if name == "temperature" and value > target.profile.max_temperature:
            value = target.profile.max_temperature
            losses.give_up(Loss.VALUE, path, f"lowered to the model's maximum {value:g}")
        if name == "seed" and value not in _INT32:
            losses.give_up(Loss.HINT, path, "the provider takes 32-bit seeds only")
            continue
        config[key] = value
    return config


def _render_output(request: ir.Request, target: Target, losses: Losses) -> JsonObject:
    output = request.output
    if output is None or output.kind is ir.OutputKind.TEXT:
        return {}
    path = output.path or request.path_of("output")
    if request.tools and not target.profile.schema_with_tools:
        losses.give_up(Loss.MEANING, path, "the model takes no output format beside tools")
        return {}
    if output.kind is ir.OutputKind.JSON_OBJECT or output.schema is None:
        if target.profile.json_object:
            return {"responseMimeType": "application/json"}
        losses.give_up(Loss.MEANING, path, "the model cannot be held to JSON output")
        return {}
    if not target.profile.json_schema:
        losses.give_up(Loss.MEANING, path, "the model cannot be held to a schema")
        return {"responseMimeType": "application/json"} if target.profile.json_object else {}
    given = output.schema
    if output.description and "description" not in given:
        given = {"description": output.description, **given}
    key, value = render_schema(given, target, openapi=output.openapi, path=path, losses=losses)
    return {"responseMimeType": "application/json", key: value}


# --------------------------------------------------------------------------------------- thinking


def _render_thinking(
    control: ir.ReasoningControl | None, target: Target, losses: Losses
) -> JsonObject:
    """`thinkingConfig`: a level or a budget, never both (400)."""
    if control is None:
        return {}
    thinking: JsonObject = {}
    match target.profile.thinking_form:
        case ThinkingForm.NONE:
            if control.level not in (None, Level.OFF):
                losses.give_up(Loss.HINT, control.path, "the model has no thinking to control")
            return {}
        case ThinkingForm.BUDGET:
            budget = _budget(control, target, losses)
            if budget is not None:
                thinking["thinkingBudget"] = budget
        case None if control.budget_tokens is not None:
            # Nothing is known of the model, and every generation takes a budget.
            thinking["thinkingBudget"] = control.budget_tokens
        case _:
            level = _level(control, target, losses)
            if level is not None:
                thinking["thinkingLevel"] = level.value.upper()
    if control.summary is not None:
        thinking["includeThoughts"] = control.summary
    return thinking


def _budget(control: ir.ReasoningControl, target: Target, losses: Losses) -> int | None:
    """A thinking budget within the model's range; -1 = the model decides."""
    given, bounds = control.budget_tokens, target.profile.budget_range
    if given is None:
        if control.level is None:
            return None
        budget = reasoning.gemini_budget(control.level, bounds)
        if control.level is not Level.OFF or budget:
            losses.give_up(
                Loss.VALUE,
                control.path,
                f"level {control.level} became a budget of {budget} tokens",
            )
        return budget
    if given < 0 or bounds is None or (given == 0 and not target.profile.always_thinks):
        return given
    budget = min(max(given, bounds[0]), bounds[1])
    if budget != given:
        losses.give_up(Loss.VALUE, control.path, f"the model takes a budget of {budget} tokens")
    return budget


def _level(control: ir.ReasoningControl, target: Target, losses: Losses) -> Level | None:
    wanted = control.level
    if wanted is None:
        return None
    supported = target.profile.reasoning_levels
    choices = [level for level in _LEVEL_CHOICES[wanted] if level in supported]
    words = tuple(level for level in supported if level in _LEVEL_CHOICES[level])
    level = choices[0] if choices else reasoning.nearest(wanted, words)
    if control.budget_tokens is not None:
        reason = f"a budget of {control.budget_tokens} tokens became level {level}"
        losses.give_up(Loss.VALUE, control.path, reason)
    elif level is not wanted and (wanted, level) != (Level.OFF, Level.MINIMAL):
        losses.give_up(Loss.VALUE, control.path, f"level {wanted} became {level}")
    return level


def asks_for_enum(raw: JsonObject) -> bool:
    """Whether a client's body asks for a bare enum value (`text/x.enum`) instead of JSON."""
    config = raw.get("generationConfig") or raw.get("generation_config")
    if is_default(config) or not isinstance(config, dict):
        return False
    return ENUM_TYPE in (config.get("responseMimeType"), config.get("response_mime_type"))
