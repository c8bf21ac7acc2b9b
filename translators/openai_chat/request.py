"""Requests of Chat Completions: the top level of the body, read and written.

What the fields mean elsewhere is in the portability rules, section 2. `messages` and `tools` have files of
their own.
Reference: https://platform.openai.com/docs/api-reference/chat/create (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from translators import answer_tool, choices, ids, ir, schema, turns
from translators.base import Call, Reading, Rendered, Target
from translators.errors import invalid
from translators.fields import Fields
from translators.losses import NO_PREWARM, Action, Loss, Losses
from translators.names import ToolNames
from translators.openai_chat.content import MAX_MARKS, Unread, Writer
from translators.openai_chat.messages import Conversation, parse_messages
from translators.openai_chat.tools import parse_choice, parse_tools, render_tools
from translators.openai_chat.words import EFFORT_WORDS, EFFORTS, NAME, SERVICE_TIERS
from translators.profile import SamplingSupport, SchemaFallback, ThinkingForm
from translators.reasoning import nearest
from translators.seal import Seal
from translators.wire import Json, JsonObject, dump_text

STOP_LIMIT: Final = 4
"""Most stop sequences of the protocol, where a model's own limit is not known."""
MAX_END_USER_CHARS: Final = 128

JSON_LINE: Final = "Respond with a single JSON object and nothing else."

_CONTINUES_ASSISTANT: Final = frozenset({"anthropic"})
"""Protocols in which a final assistant message is the beginning of the answer."""

_PATHS: Final[Mapping[str, str]] = {
    "candidates": "n",
    "output": "response_format",
    "reasoning": "reasoning_effort",
    "cache_key": "prompt_cache_key",
    "cache_prefix": "prompt_cache_options",
    "stream_usage": "stream_options.include_usage",
    "legacy_functions": "functions",
}
"""Hub fields whose name differs here."""


# ---------------------------------------------------------------------------------------- parsing


def parse_request(body: JsonObject, call: Call, seal: Seal | None) -> ir.Request:
    """Read a client's request; a `GatewayError` carries the JSON path of the first field refused."""
    fields = Fields(body)
    unread = Unread([])
    legacy = bool(body.get("functions"))
    limit_field, limit = _output_limit(fields)
    user_field, end_user = _end_user(fields)
    stream, stream_usage = _stream(fields, call, unread)
    request = ir.Request(
        protocol=NAME,
        model=call.model or fields.text("model"),
        messages=parse_messages(fields, unread, seal),
        tools=parse_tools(fields, unread),
        tool_choice=parse_choice(fields),
        # An answer in the legacy shape has room for one call.
        parallel_tool_calls=False if legacy else fields.optional_bool("parallel_tool_calls"),
        output=_output(fields),
        reasoning=_reasoning(fields),
        sampling=_sampling(fields),
        max_output_tokens=limit,
        stop=_stop(fields),
        stream=stream,
        stream_usage=stream_usage,
        candidates=fields.optional_int("n", minimum=1) or 1,
        logprobs=_logprobs(fields),
        verbosity=_unless(fields.optional_text("verbosity"), "medium"),
        end_user=end_user,
        metadata=_metadata(fields),
        service_tier=_unless(fields.optional_text("service_tier"), "auto"),
        store=fields.optional_bool("store"),
        cache_key=fields.optional_text("prompt_cache_key"),
        cache_prefix=_cache_prefix(fields),
        legacy_functions=legacy,
        paths={**_PATHS, "max_output_tokens": limit_field, "end_user": user_field},
    )
    _note_unshared(fields, unread)
    unread.add(fields)
    return replace(request, unshared=tuple(unread.found)) if unread.found else request


def _unless(value: str | None, default: str) -> str | None:
    """A value that says nothing when it is the default."""
    return None if value == default else value


def _output_limit(fields: Fields) -> tuple[str, int | None]:
    """The output limit and the field that gave it; the newer name wins."""
    older = fields.optional_int("max_tokens", minimum=1)
    newer = fields.optional_int("max_completion_tokens", minimum=1)
    if newer is None and older is not None:
        return "max_tokens", older
    return "max_completion_tokens", newer


def _end_user(fields: Fields) -> tuple[str, str | None]:
    older = fields.optional_text("user")
    newer = fields.optional_text("safety_identifier")
    if newer is None and older is not None:
        return "user", older
    return "safety_identifier", newer


def _stream(fields: Fields, call: Call, unread: Unread) -> tuple[bool, bool]:
    """Whether to stream, and whether the usage chunk was asked for."""
    stream = call.stream if call.stream is not None else bool(fields.optional_bool("stream"))
    options = fields.optional_object("stream_options")
    if options is None:
        return stream, False
    usage = bool(options.optional_bool("include_usage"))
    if options.optional_bool("include_obfuscation"):
        unread.found.append(
            ir.Unshared(
                path=options.at("include_obfuscation"),
                loss=Loss.TELEMETRY,
                reason="streams are not padded",
            )
        )
    unread.add(options)
    return stream, usage


def _output(fields: Fields) -> ir.OutputFormat | None:
    form = fields.optional_object("response_format")
    if form is None:
        return None
    kind = form.text("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return ir.OutputFormat(kind=ir.OutputKind.JSON_OBJECT, path=form.path)
    if kind != "json_schema":
        raise invalid(form.at("type"), "text, json_object or json_schema", kind)
    shape = form.object("json_schema")
    return ir.OutputFormat(
        kind=ir.OutputKind.JSON_SCHEMA,
        schema=shape.json_object("schema") or {},
        name=shape.optional_text("name"),
        description=shape.optional_text("description"),
        strict=bool(shape.optional_bool("strict")),
        path=form.path,
    )


def _reasoning(fields: Fields) -> ir.ReasoningControl | None:
    word = fields.optional_text("reasoning_effort")
    if word is None or word == "auto":
        return None
    path = fields.at("reasoning_effort")
    level = EFFORTS.get(word.lower())
    if level is None:
        raise invalid(path, f"one of {', '.join(EFFORT_WORDS.values())}", word)
    return ir.ReasoningControl(level=level, path=path)


def _sampling(fields: Fields) -> ir.Sampling:
    return ir.Sampling(
        temperature=fields.optional_number("temperature"),
        top_p=fields.optional_number("top_p"),
        seed=fields.optional_int("seed"),
        frequency_penalty=fields.optional_number("frequency_penalty") or None,
        presence_penalty=fields.optional_number("presence_penalty") or None,
    )


def _stop(fields: Fields) -> tuple[str, ...]:
    if isinstance(fields.any("stop"), str):
        stops: tuple[str, ...] = (fields.text("stop"),)
    else:
        stops = fields.texts("stop")
    return tuple(stop for stop in stops if stop)


def _logprobs(fields: Fields) -> int | None:
    wanted = fields.optional_bool("logprobs")
    alternatives = fields.optional_int("top_logprobs", minimum=0)
    if wanted:
        return alternatives or 0
    if alternatives:
        raise invalid(fields.at("logprobs"), "true beside top_logprobs", wanted)
    return None


def _metadata(fields: Fields) -> dict[str, str]:
    metadata = fields.optional_object("metadata")
    return {} if metadata is None else {key: metadata.text(key) for key in metadata.raw}


def _cache_prefix(fields: Fields) -> ir.CacheMark | None:
    """Whether the prompt is to be cached as a whole: asked for by a key or by options, unless marks do it."""
    options = fields.optional_object("prompt_cache_options")
    if options is None:
        return None if fields.any("prompt_cache_key") is None else ir.CacheMark()
    if options.optional_text("mode", "implicit") == "explicit":
        return None
    return ir.CacheMark(ttl=options.optional_text("ttl"))


def _is_set(value: Json) -> bool:
    return value not in (None, {}, [], "", False)


def _speaks(value: Json) -> bool:
    return isinstance(value, list) and value != ["text"] and bool(value)


def _keeps_long(value: Json) -> bool:
    return value not in (None, "in_memory", "in-memory")


_UNSHARED: Final[tuple[tuple[str, Loss, Callable[[Json], bool]], ...]] = (
    ("logit_bias", Loss.HINT, _is_set),
    ("prediction", Loss.TELEMETRY, _is_set),
    ("modalities", Loss.MEANING, _speaks),
    ("moderation", Loss.SAFETY, _is_set),
    ("prompt_cache_retention", Loss.TELEMETRY, _keeps_long),
)
"""Fields that no other protocol has: what losing them means, and whether a value says anything."""


def _note_unshared(fields: Fields, unread: Unread) -> None:
    for key, loss, says_something in _UNSHARED:
        if says_something(fields.any(key)):
            unread.found.append(ir.Unshared(path=fields.at(key), loss=loss))
    fields.skip("audio")  # the voice that `modalities` asks for
    fields.skip("model", "parallel_tool_calls", "prompt_cache_key")


# -------------------------------------------------------------------------------------- rendering


def render_request(request: ir.Request, target: Target, losses: Losses) -> Rendered:
    """Write the request for an upstream of this protocol; what it cannot say is refused or recorded."""
    for field in request.unshared:
        losses.give_up(field.loss, field.path, field.reason)
    asked = answer_tool.ask(request, target.profile, SchemaFallback.WORDS, losses)
    request = choices.permitted(asked.request)
    if target.profile.cache_marks or target.profile.cache_control_parts:
        request = turns.mark_system_for_tools(request)
    names = ToolNames(request, target.profile.tool_name_limit)
    names.note_renamed(losses, request.path_of("tools"))
    tools = render_tools(request, target, names, losses)
    output = _render_output(request, target, losses)
    body: JsonObject = {"model": target.model}
    body["messages"] = _render_messages(request, target, names, output.line, losses)
    body |= tools.body
    if output.wire is not None:
        body["response_format"] = output.wire
    cut_at = _render_limits(request, target, body, losses)
    _render_sampling(request, target, body, losses)
    _render_reasoning(request, target, body, losses)
    _render_extras(request, target, body, losses)
    if request.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return Rendered(
        body=body,
        reading=Reading(
            provider=target.provider,
            model=target.model,
            profile=target.profile,
            tools=names.restore,
            custom=tools.custom,
            nulls_added=tools.nulls_added,
            wrapped=output.wrapped or asked.wrapped,
            answer_tool=asked.tool,
            cut_at=cut_at,
            single_call=tools.single_call,
            json_object=output.checked,
            stream=request.stream,
            choices=request.candidates,
        ),
    )


def _render_messages(
    request: ir.Request, target: Target, names: ToolNames, line: str | None, losses: Losses
) -> list[JsonObject]:
    messages = turns.localise(request.messages, NAME, losses)
    messages = turns.place_system(messages, target.profile.mid_system, losses)
    messages = turns.pair_results(messages, losses)
    messages = turns.drop_empty(messages)
    if messages and messages[-1].role is ir.Role.ASSISTANT:
        if request.protocol in _CONTINUES_ASSISTANT:
            losses.give_up(
                Loss.MEANING,
                messages[-1].path,
                "a begun answer is not continued, only history here",
            )
    leading, rest = turns.split_system(messages)
    if line is not None:
        added = ir.Message(role=ir.Role.SYSTEM, parts=(ir.Text(text=line),))
        leading = (*leading, added)
    rest = _sequential(rest) if not target.profile.parallel_calls else rest
    marks = _cache_marks((*leading, *rest), target, losses)
    conversation = Conversation(
        Writer(target, losses, marks), names, bare_states=request.protocol == NAME
    )
    written = conversation.render(leading, rest)
    if not written:
        raise turns.nothing_said(request.path_of("messages"))
    return written


def _sequential(messages: tuple[ir.Message, ...]) -> tuple[ir.Message, ...]:
    """One call per turn, each with its result behind it, for those who refuse parallel ones (CHO-09)."""
    out: list[ir.Message] = []
    for place, message in enumerate(messages):
        calls = [part for part in message.parts if isinstance(part, ir.ToolCall)]
        follower = messages[place + 1] if place + 1 < len(messages) else None
        if len(calls) > 1 and message.role is ir.Role.ASSISTANT and follower is not None:
            out.extend(_one_by_one(message, calls, follower))
        elif not _is_split(messages, place):
            out.append(message)
        else:
            spoken = tuple(part for part in message.parts if not isinstance(part, ir.ToolResult))
            if spoken:
                out.append(replace(message, parts=spoken))
    return tuple(out)


def _is_split(messages: tuple[ir.Message, ...], place: int) -> bool:
    """Whether the results of this message went out with the calls before it."""
    before = messages[place - 1] if place else None
    return (
        before is not None
        and before.role is ir.Role.ASSISTANT
        and sum(isinstance(part, ir.ToolCall) for part in before.parts) > 1
    )


def _one_by_one(
    message: ir.Message, calls: list[ir.ToolCall], follower: ir.Message
) -> list[ir.Message]:
    results = {part.call_id: part for part in follower.parts if isinstance(part, ir.ToolResult)}
    out: list[ir.Message] = []
    start = 0
    for call in calls:
        end = message.parts.index(call) + 1
        answer = (results[call.call_id],)
        out.append(replace(message, parts=message.parts[start:end]))
        out.append(ir.Message(role=ir.Role.USER, parts=answer, path=follower.path))
        start = end
    return out


def _cache_marks(
    messages: tuple[ir.Message, ...], target: Target, losses: Losses
) -> frozenset[int]:
    """The parts whose cache mark is written: the last few in system and user text and media."""
    marked = [
        (message, part)
        for message in messages
        for part in message.parts
        if isinstance(part, ir.Text | ir.Image | ir.Document) and part.cache is not None
    ]
    kept: list[ir.Part] = []
    if target.profile.cache_marks or target.profile.cache_control_parts:
        kept = [part for message, part in marked if message.role is not ir.Role.ASSISTANT]
        kept = kept[-MAX_MARKS:]
    chosen = frozenset(id(part) for part in kept)
    for _, part in marked:
        if id(part) not in chosen:
            losses.give_up(Loss.TELEMETRY, part.path, "a cache mark was dropped")
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class _Output:
    """How the asked-for shape of the answer is put: a field, a line of text, and what reading must undo or check."""

    wire: JsonObject | None = None
    line: str | None = None
    wrapped: bool = False
    checked: bool = False


def _render_output(request: ir.Request, target: Target, losses: Losses) -> _Output:
    form = request.output
    if form is None or form.kind is ir.OutputKind.TEXT:
        return _Output()
    path = form.path or request.path_of("output")
    if form.kind is ir.OutputKind.JSON_OBJECT:
        return _json_object(request, target, path, losses)
    shape = form.schema or {}
    if form.openapi:
        shape = schema.from_openapi(shape)
    if not target.profile.json_schema:
        return _schema_in_words(shape, target, path, losses)
    wrapped = form.strict is not False and not schema.root_is_object(shape)
    if wrapped:
        shape = schema.wrap_root(shape)
    strict = form.strict
    if strict is None:
        strict = schema.fits_openai_strict(shape)
        if not strict:
            losses.give_up(
                Loss.VALUE, path, "the schema is outside the strict subset: it is not enforced"
            )
    wire: JsonObject = {"name": form.name or "response"}
    if form.description:
        wire["description"] = form.description
    wire |= {"schema": shape, "strict": strict}
    return _Output(wire={"type": "json_schema", "json_schema": wire}, wrapped=wrapped)


def _json_object(request: ir.Request, target: Target, path: str, losses: Losses) -> _Output:
    if not target.profile.json_object:
        losses.choose(
            path,
            "JSON output was asked for in words only",
            strict=Action.REJECT,
            balanced=Action.SILENT,  # the answer is checked instead
            max_compat=Action.WARN,
        )
        return _Output(line=JSON_LINE, checked=True)
    # The protocol refuses the format unless some message says JSON; others do not ask for that.
    line = None if request.protocol == NAME or _mentions_json(request) else JSON_LINE
    return _Output(wire={"type": "json_object"}, line=line)


def _schema_in_words(shape: JsonObject, target: Target, path: str, losses: Losses) -> _Output:
    """Without schema support: any JSON object, and the schema in the prompt (pitfalls OUT-07)."""
    losses.give_up(Loss.MEANING, path, "the output schema was put into the prompt")
    line = f"{JSON_LINE} It must match this JSON Schema:\n{dump_text(shape)}"
    if target.profile.json_object:
        return _Output(wire={"type": "json_object"}, line=line)
    return _Output(line=line, checked=schema.root_is_object(shape))


def _mentions_json(request: ir.Request) -> bool:
    return any(
        isinstance(part, ir.Text) and "json" in part.text.lower()
        for message in request.messages
        for part in message.parts
    )


def _render_limits(
    request: ir.Request, target: Target, body: JsonObject, losses: Losses
) -> tuple[str, ...]:
    """Output limit, choices, log probabilities and stop sequences; returns those the gateway must apply."""
    profile = target.profile
    limit = request.max_output_tokens
    if request.prewarm:
        losses.give_up(Loss.MEANING, request.path_of("prewarm"), NO_PREWARM)
        limit = 1
    if limit is not None:
        most = profile.max_output_tokens
        if most is not None and limit > most:
            path = request.path_of("max_output_tokens")
            losses.give_up(Loss.VALUE, path, f"{limit} was lowered to the model's limit {most}")
            limit = most
        body[profile.max_tokens_field] = limit
    if request.candidates > 1:
        body["n"] = request.candidates
    if request.logprobs is not None:
        body["logprobs"] = True
        if request.logprobs:
            body["top_logprobs"] = request.logprobs
    return _render_stop(request, target, body, losses)


def _render_stop(
    request: ir.Request, target: Target, body: JsonObject, losses: Losses
) -> tuple[str, ...]:
    limit = STOP_LIMIT if target.profile.stop_limit is None else target.profile.stop_limit
    sent, cut_at = request.stop[:limit], request.stop[limit:]
    if sent:
        body["stop"] = list(sent)
    if cut_at:
        losses.choose(
            request.path_of("stop"),
            f"the provider takes {limit} stop sequences; the rest is applied by the gateway",
            strict=Action.REJECT,
            balanced=Action.SILENT,
            max_compat=Action.SILENT,
        )
    return cut_at


def _render_sampling(request: ir.Request, target: Target, body: JsonObject, losses: Losses) -> None:
    sampling, profile = request.sampling, target.profile
    if sampling.top_k is not None:
        losses.give_up(Loss.HINT, request.path_of("top_k"), "is not part of Chat Completions")
    if sampling.seed is not None and profile.sampling is not SamplingSupport.NONE:
        body["seed"] = sampling.seed
    elif sampling.seed is not None:
        losses.give_up(Loss.HINT, request.path_of("seed"), "the model takes no sampling values")
    for name, value, default in (
        ("temperature", sampling.temperature, 1),
        ("top_p", sampling.top_p, 1),
        ("frequency_penalty", sampling.frequency_penalty, 0),
        ("presence_penalty", sampling.presence_penalty, 0),
    ):
        if value is None:
            continue
        if profile.sampling is SamplingSupport.FULL:
            body[name] = value
        elif value != default:
            losses.give_up(Loss.HINT, request.path_of(name), "the model takes only the default")
    temperature = body.get("temperature")
    if temperature is not None and temperature > profile.max_temperature:
        body["temperature"] = profile.max_temperature
        path = request.path_of("temperature")
        losses.give_up(Loss.VALUE, path, f"{temperature} was lowered to {profile.max_temperature}")


def _render_reasoning(
    request: ir.Request, target: Target, body: JsonObject, losses: Losses
) -> None:
    control, profile = request.reasoning, target.profile
    if control is None or control.level is None:
        return
    path = control.path or request.path_of("reasoning")
    level = control.level
    if profile.thinking_form is ThinkingForm.NONE or not profile.reasoning_levels:
        if level is not ir.Level.OFF:
            losses.give_up(Loss.HINT, path, "the model does not think on request")
        return
    chosen = nearest(level, profile.reasoning_levels)
    if control.budget_tokens is not None and level is not ir.Level.OFF:
        losses.give_up(
            Loss.VALUE,
            path,
            f"a budget of {control.budget_tokens} tokens became effort {EFFORT_WORDS[chosen]}",
        )
    elif chosen is not level:
        losses.give_up(
            Loss.VALUE, path, f"effort {EFFORT_WORDS[level]} became {EFFORT_WORDS[chosen]}"
        )
    body["reasoning_effort"] = EFFORT_WORDS[chosen]


def _render_extras(request: ir.Request, target: Target, body: JsonObject, losses: Losses) -> None:
    """OpenAI's own optional fields, left out for the many servers that refuse what they do not know."""
    if target.profile.openai_extras:
        _render_openai_extras(request, body, losses)
    else:
        for name, loss, value in (
            ("verbosity", Loss.HINT, request.verbosity),
            ("end_user", Loss.TELEMETRY, request.end_user),
            ("metadata", Loss.TELEMETRY, request.metadata or None),
            ("service_tier", Loss.TELEMETRY, request.service_tier),
            ("store", Loss.TELEMETRY, request.store or None),
        ):
            if value is not None:
                losses.give_up(loss, request.path_of(name), "the provider has no such field")
    if target.profile.cache_marks:
        if request.cache_key is not None:
            body["prompt_cache_key"] = request.cache_key
        if request.cache_prefix is not None and request.cache_prefix.ttl is not None:
            body["prompt_cache_options"] = {"mode": "implicit", "ttl": "30m"}
        return
    for name, hint in (("cache_key", request.cache_key), ("cache_prefix", request.cache_prefix)):
        if hint is not None:
            path = request.path_of(name)
            losses.give_up(Loss.TELEMETRY, path, "the provider takes no caching hints")


def _render_openai_extras(request: ir.Request, body: JsonObject, losses: Losses) -> None:
    if request.verbosity is not None:
        body["verbosity"] = request.verbosity
    if request.end_user is not None:
        # Longer ones are refused; a hash still tells one end user from another.
        fits = len(request.end_user) <= MAX_END_USER_CHARS
        body["safety_identifier"] = (
            request.end_user if fits else ids.digest_hex(request.end_user, length=64)
        )
    if request.service_tier in SERVICE_TIERS:
        body["service_tier"] = request.service_tier
    elif request.service_tier is not None:
        losses.give_up(Loss.TELEMETRY, request.path_of("service_tier"), "there is no such tier")
    stored = request.store is True and request.protocol == NAME
    if stored:
        body["store"] = True
    if request.metadata and stored:
        body["metadata"] = dict(request.metadata)
    elif request.metadata:
        # OpenAI refuses it for answers that are not stored (observed).
        losses.give_up(
            Loss.TELEMETRY, request.path_of("metadata"), "metadata is kept for stored answers only"
        )
