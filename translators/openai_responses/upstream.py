"""Write a hub request as a Responses request for an upstream.

Always stateless: `store` is false, encrypted reasoning is asked for, item ids are left out. Every call stands
with its output (turns.py sees to that), a reasoning item only goes back to the model that made it and only
together with the item that it led to.
Reference: https://platform.openai.com/docs/api-reference/responses/create (read 2026-11-21)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from translators import answer_tool, freeform, ir, schema, turns
from translators.arguments import arguments_object, with_error_mark
from translators.base import Reading, Rendered, Target
from translators.ids import call_id
from translators.legs import calls_for
from translators.losses import NO_PREWARM, Action, Loss, Losses, Mode
from translators.openai_responses.content import PROTOCOL, PartWriter
from translators.openai_responses.foreign import FROM_CLIENT
from translators.openai_responses.snapshot import service_tier
from translators.openai_responses.tools import CLIENT, ToolWriter
from translators.profile import SamplingSupport, SchemaFallback, ThinkingForm
from translators.reasoning import nearest
from translators.wire import JsonObject, without_nulls

MIN_OUTPUT_TOKENS: Final = 16
MAX_USER_CHARS: Final = 128
JSON_INSTRUCTION: Final = "Respond with a single JSON object and nothing else."
_DEFAULT_FORMAT_NAME: Final = "response"
_IMAGE_BELOW: Final = "[image attached below]"
_MAX_TOP_LOGPROBS: Final = 20

_EFFORTS: Final[Mapping[ir.Level, str]] = {
    ir.Level.OFF: "none",
    ir.Level.MINIMAL: "minimal",
    ir.Level.LOW: "low",
    ir.Level.MEDIUM: "medium",
    ir.Level.HIGH: "high",
    ir.Level.XHIGH: "xhigh",
    ir.Level.MAX: "max",
}

_PREFILLS: Final = frozenset({"anthropic"})
"""Client protocols in which a trailing assistant message is to be continued, not just remembered."""


def render_request(request: ir.Request, target: Target, losses: Losses) -> Rendered:
    """Write the body; losses are refused or recorded."""
    own_fields = _own_fields(request, losses)
    asked = answer_tool.ask(request, target.profile, SchemaFallback.WORDS, losses)
    request = asked.request
    if target.profile.cache_marks:
        request = turns.mark_system_for_tools(request)
    tools = ToolWriter(request, target, losses)
    declared = tools.tools()
    writer = _InputWriter(request, target, losses, tools)
    instructions, items = writer.write()
    if request.output is not None and _needs_json_word(request, request.output):
        losses.warn(request.output.path, "the answer's form was also asked for in words")
        items.append(_item("developer", [{"type": "input_text", "text": JSON_INSTRUCTION}]))
    text, wrapped = _text(request, target, losses)
    single_call = request.parallel_tool_calls is False and not target.profile.parallel_calls
    parallel = request.parallel_tool_calls if declared and not single_call else None
    include = ["reasoning.encrypted_content"]
    if request.logprobs is not None:
        include.append("message.output_text.logprobs")
    body = without_nulls(
        {
            "model": target.model,
            "instructions": instructions,
            "input": items,
            "tools": declared or None,
            "tool_choice": tools.choice(),
            "parallel_tool_calls": parallel,
            "max_tool_calls": tools.max_tool_calls,
            "reasoning": _reasoning(request, target, losses),
            "text": text or None,
            **_sampling(request, target, losses),
            "max_output_tokens": _output_limit(request, target, losses),
            "top_logprobs": min(request.logprobs, _MAX_TOP_LOGPROBS) if request.logprobs else None,
            "metadata": dict(request.metadata) or None,
            "safety_identifier": _end_user(request),
            "prompt_cache_key": _cache_key(request, target, losses),
            "prompt_cache_options": _prewarmed(request, target),
            "service_tier": service_tier(request.service_tier),
            "include": include,
            "store": False,
            "stream": True if request.stream else None,
        }
    )
    _put_back(body, own_fields)
    if not items and not body.keys() & _ITEMS_ELSEWHERE:
        raise turns.nothing_said(request.path_of("messages"))
    reading = Reading(
        provider=target.provider,
        model=target.model,
        profile=target.profile,
        tools=tools.names.restore,
        custom=frozenset(tools.emulated),
        nulls_added=tools.nulls_added,
        wrapped=wrapped or asked.wrapped,
        answer_tool=asked.tool,
        cut_at=_stops(request, losses),
        single_call=single_call,
        stream=request.stream,
        calls=calls_for(request, losses),
    )
    return Rendered(body=body, reading=reading)


_ITEMS_ELSEWHERE: Final = frozenset({"prompt", "conversation"})
"""Fields whose items the provider itself has: `input` may then be empty."""
_ITEM_PATH: Final = re.compile(r"input\[\d+\]\.")
_BODY_PATH: Final = re.compile(r"[a-z_]+(\.[a-z_]+)*")


def _own_fields(request: ir.Request, losses: Losses) -> list[ir.Unshared]:
    """What a client of this very protocol may say here too; what is lost is refused or recorded.

    Hints without effect on the answer stay behind all the same: some servers refuse them (pitfalls CAC-08).
    """
    kept: list[ir.Unshared] = []
    for unshared in request.unshared:
        if request.protocol == PROTOCOL and _ITEM_PATH.match(unshared.path) and unshared.value:
            continue  # a property of an item, which is written with it
        placed = _BODY_PATH.fullmatch(unshared.path) and unshared.loss is not Loss.TELEMETRY
        if request.protocol == PROTOCOL and placed and unshared.value is not None:
            kept.append(unshared)
        else:
            losses.give_up(unshared.loss, unshared.path, unshared.reason)
    return kept


def _put_back(body: JsonObject, fields: list[ir.Unshared]) -> None:
    for unshared in fields:
        *parents, key = unshared.path.split(".")
        place = body
        for parent in parents:
            place = place.setdefault(parent, {})
        place[key] = unshared.value


def _needs_json_word(request: ir.Request, output: ir.OutputFormat) -> bool:
    """JSON mode is refused upstream when nothing in the conversation speaks of JSON."""
    if output.kind is not ir.OutputKind.JSON_OBJECT:
        return False
    return not any(
        isinstance(part, ir.Text) and "json" in part.text.lower()
        for message in request.messages
        for part in message.parts
    )


# -------------------------------------------------------------------------------------- scalars


def _stops(request: ir.Request, losses: Losses) -> tuple[str, ...]:
    """There is no such field here: the gateway cuts the text itself, which loses nothing."""
    if request.stop:
        losses.choose(
            request.path_of("stop"),
            "stop sequences are applied by the gateway",
            strict=Action.REJECT,
            balanced=Action.SILENT,
            max_compat=Action.SILENT,
        )
    return request.stop


def _output_limit(request: ir.Request, target: Target, losses: Losses) -> int | None:
    limit = request.max_output_tokens
    if request.prewarm and not target.profile.cache_marks:
        losses.give_up(Loss.MEANING, request.path_of("prewarm"), NO_PREWARM)
        return MIN_OUTPUT_TOKENS
    if limit is None:
        return None
    path = request.path_of("max_output_tokens")
    most = target.profile.max_output_tokens
    if limit < MIN_OUTPUT_TOKENS:
        losses.give_up(Loss.VALUE, path, f"raised to the minimum of {MIN_OUTPUT_TOKENS}")
        return MIN_OUTPUT_TOKENS
    if most is not None and limit > most:
        losses.give_up(Loss.VALUE, path, f"lowered to the model's maximum of {most}")
        return most
    return limit


def _end_user(request: ir.Request) -> str | None:
    """The end user's identifier; a longer one than the field takes goes as its hash (pitfalls PAR-12)."""
    user = request.end_user
    if user is None or len(user) <= MAX_USER_CHARS:
        return user
    return hashlib.sha256(user.encode()).hexdigest()


_NOT_HERE: Final = "is not possible with the provider's protocol"


def _sampling(request: ir.Request, target: Target, losses: Losses) -> JsonObject:
    sampling, support = request.sampling, target.profile.sampling
    written: JsonObject = {}
    for name, value in (("temperature", sampling.temperature), ("top_p", sampling.top_p)):
        if value is None:
            continue
        if support is not SamplingSupport.FULL:
            if value != 1:
                losses.give_up(Loss.HINT, request.path_of(name), f"the model takes no {name}")
            continue
        if name == "temperature" and value > target.profile.max_temperature:
            losses.give_up(Loss.VALUE, request.path_of(name), "lowered to the provider's maximum")
            value = target.profile.max_temperature
        written[name] = value
    for name, value in (
        ("top_k", sampling.top_k),
        ("seed", sampling.seed),
        ("frequency_penalty", sampling.frequency_penalty or None),
        ("presence_penalty", sampling.presence_penalty or None),
    ):
        if value is not None:
            losses.give_up(Loss.HINT, request.path_of(name), f"{name} {_NOT_HERE}")
    return written


def _reasoning(request: ir.Request, target: Target, losses: Losses) -> JsonObject | None:
    control = request.reasoning
    if control is None:
        return None
    path = control.path or request.path_of("reasoning")
    profile = target.profile
    if profile.thinking_form is ThinkingForm.NONE:
        if control.level not in (None, ir.Level.OFF):
            losses.give_up(Loss.HINT, path, "the model does not think")
        return None
    wire: JsonObject = {}
    if control.level is not None:
        if control.budget_tokens:
            losses.give_up(Loss.VALUE, path, f"a token budget became effort {control.level.value}")
        supported = tuple(
            level
            for level in profile.reasoning_levels
            if level is not ir.Level.OFF or not profile.always_thinks
        )
        level = nearest(control.level, supported) if supported else control.level
        if level is not control.level:
            losses.give_up(Loss.VALUE, path, f"effort {control.level.value} became {level.value}")
        wire["effort"] = _EFFORTS[level]
    if control.summary:
        wire["summary"] = "auto"
    return wire or None


def _text(request: ir.Request, target: Target, losses: Losses) -> tuple[JsonObject, bool]:
    """The `text` object, and whether the schema's root was wrapped."""
    text: JsonObject = {}
    wrapped = False
    output = request.output
    if output is not None and output.kind is ir.OutputKind.JSON_SCHEMA:
        text["format"], wrapped = _schema_format(output, target, losses)
    elif output is not None and output.kind is ir.OutputKind.JSON_OBJECT:
        text["format"] = {"type": "json_object"}
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity
    return text, wrapped


def _schema_format(
    output: ir.OutputFormat, target: Target, losses: Losses
) -> tuple[JsonObject, bool]:
    if not target.profile.json_schema:
        losses.give_up(
            Loss.MEANING,
            output.path,
            "the model takes no output schema; any JSON object is asked for",
        )
        return {"type": "json_object"}, False
    wanted = output.schema or {}
    wanted = schema.from_openapi(wanted) if output.openapi else wanted
    wrapped = not schema.root_is_object(wanted)
    if wrapped:
        wanted = schema.wrap_root(wanted)
    strict = output.strict
    if strict is None:
        strict = schema.fits_openai_strict(wanted)
        if not strict:
            losses.give_up(
                Loss.VALUE, output.path, "the schema does not fit strict mode; it is not enforced"
            )
    form = {
        "type": "json_schema",
        "name": output.name or _DEFAULT_FORMAT_NAME,
        "description": output.description,
        "schema": wanted,
        "strict": strict,
    }
    return without_nulls(form), wrapped


# ---------------------------------------------------------------------------------------- items


class _InputWriter:
    """Write `instructions` and `input`."""

    def __init__(
        self, request: ir.Request, target: Target, losses: Losses, tools: ToolWriter
    ) -> None:
        self._request = request
        self._target = target
        self._losses = losses
        self._tools = tools
        self._parts = PartWriter(target, losses)
        self._native = target.profile.custom_tools

    def write(self) -> tuple[str | None, list[JsonObject]]:
        """The instructions, if the system text can go there, and all items."""
        turns.note_names(self._request.messages, self._losses)
        messages = turns.localise(self._request.messages, PROTOCOL, self._losses)
        messages = turns.place_system(messages, self._target.profile.mid_system, self._losses)
        messages = turns.pair_results(messages, self._losses)
        messages = turns.drop_empty(messages)
        leading, rest = turns.split_system(messages)
        self._check_prefill(rest)
        instructions = _instructions(leading, marks=self._target.profile.cache_marks)
        if instructions is None or not rest:
            rest, instructions = messages, None
        items: list[JsonObject] = []
        loop = range(_loop_start(rest), len(rest) - 1)
        for position, message in enumerate(rest):
            items.extend(self._message(message, in_loop=position in loop))
        return instructions, items

    def _check_prefill(self, rest: tuple[ir.Message, ...]) -> None:
        if rest and rest[-1].role is ir.Role.ASSISTANT and self._request.protocol in _PREFILLS:
            self._losses.give_up(
                Loss.MEANING,
                rest[-1].path,
                "the last assistant message is sent as history; the model does not continue it",
            )

    def _message(self, message: ir.Message, *, in_loop: bool) -> Iterator[JsonObject]:
        match message.role:
            case ir.Role.SYSTEM:
                yield _item("developer", self._parts.parts(message.parts))
            case ir.Role.USER:
                yield from self._user(message)
            case ir.Role.ASSISTANT:
                yield from self._assistant(message, in_loop=in_loop)

    def _user(self, message: ir.Message) -> Iterator[JsonObject]:
        content: list[ir.Part] = []
        below: list[ir.Part] = []
        for part in message.parts:
            if isinstance(part, ir.ToolResult):
                if content:
                    yield _item("user", self._parts.parts(tuple(content)))
                    content = []
                yield self._result(part, below)
            elif isinstance(part, ir.Foreign) and part.type in FROM_CLIENT:
                yield part.wire
            else:
                content.append(part)
        written = self._parts.parts((*below, *content))
        if written:
            yield _item("user", written)

    def _result(self, result: ir.ToolResult, below: list[ir.Part]) -> JsonObject:
        if result.kind is ir.ToolKind.SEARCH:  # what it found is declared up front
            return {
                "type": "tool_search_output",
                "call_id": call_id("call_", result.call_id),
                "execution": CLIENT,
                "tools": [],
            }
        native = result.kind is ir.ToolKind.CUSTOM and self._native
        return {
            "type": "custom_tool_call_output" if native else "function_call_output",
            "call_id": call_id("call_", result.call_id),
            "output": self._output(result, below),
        }

    def _output(self, result: ir.ToolResult, below: list[ir.Part]) -> str | list[JsonObject]:
        parts: list[ir.Text | ir.Image | ir.Document] = []
        for part in result.content:
            if isinstance(part, ir.Text) or self._target.profile.tool_result_media:
                parts.append(part)
            else:
                self._losses.choose(
                    part.path,
                    "media of a tool result was put into the following user message",
                    strict=Action.REJECT,
                    balanced=Action.WARN,
                    max_compat=Action.WARN,
                )
                parts.append(ir.Text(text=_IMAGE_BELOW))
                below.append(part)
        if result.is_error:
            if self._losses.mode is Mode.STRICT:
                self._losses.warn(result.path, "the error flag of a tool result became text")
            parts = _marked_error(parts)
        if not parts:
            return ""
        if len(parts) == 1 and isinstance(parts[0], ir.Text) and parts[0].cache is None:
            return parts[0].text
        return self._parts.parts(tuple(parts))

    def _assistant(self, message: ir.Message, *, in_loop: bool) -> Iterator[JsonObject]:
        texts: list[ir.Text | ir.Refusal] = []
        reasoning: list[JsonObject] = []
        for part in message.parts:
            if isinstance(part, ir.Text | ir.Refusal):
                texts.append(part)
                continue
            if texts:
                yield from reasoning
                reasoning = []
                yield from _assistant_items(texts)
                texts = []
            if isinstance(part, ir.Reasoning):
                item = self._reasoning_item(part, in_loop=in_loop)
                if item is not None:
                    reasoning.append(item)
                continue
            for item in self._call_or_hosted(part):
                yield from reasoning
                reasoning = []
                yield item
        if texts:
            yield from reasoning
            yield from _assistant_items(texts)
        elif reasoning:
            # Refused upstream without the item that it led to (pitfalls RSN-08).
            self._losses.give_up(
                Loss.TELEMETRY, message.path, "reasoning that led to nothing was left out"
            )

    def _reasoning_item(self, part: ir.Reasoning, *, in_loop: bool) -> JsonObject | None:
        state = part.state
        if state is not None and self._target.understands(state, PROTOCOL):
            summary = [{"type": "summary_text", "text": part.text}] if part.text else []
            return {"type": "reasoning", "summary": summary, "encrypted_content": state.value}
        if state is None:
            self._losses.give_up(
                Loss.TELEMETRY, part.path, "earlier reasoning without state was left out"
            )
        else:
            self._losses.choose(
                part.path,
                "earlier reasoning of another model was left out",
                strict=Action.REJECT if in_loop else Action.WARN,
                balanced=Action.WARN,
                max_compat=Action.WARN,
            )
        return None

    def _call_or_hosted(self, part: ir.Part) -> list[JsonObject]:
        match part:
            case ir.ToolCall():
                return [self._call(part)]
            case ir.WebSearch() | ir.CodeRun():
                return list(part.wire) if part.protocol == PROTOCOL else []
            case ir.Foreign():
                return [part.wire]
            case _:
                self._losses.give_up(
                    Loss.MEANING,
                    part.path,
                    f"{type(part).__name__} has no place in an assistant message",
                )
                return []

    def _call(self, part: ir.ToolCall) -> JsonObject:
        name = self._tools.names.wire(part.ref)
        wire_id = call_id("call_", part.call_id)
        if part.kind is ir.ToolKind.SEARCH:
            return {
                "type": "tool_search_call",
                "call_id": wire_id,
                "execution": CLIENT,
                "arguments": arguments_object(part.arguments, part.path, self._losses),
            }
        if part.kind is ir.ToolKind.CUSTOM:
            if self._native:
                return {
                    "type": "custom_tool_call",
                    "call_id": wire_id,
                    "name": name,
                    "input": part.arguments,
                }
            arguments = freeform.wrap_input(part.arguments)
        else:
            arguments = part.arguments if part.arguments.strip() else "{}"
        return {
            "type": "function_call",
            "call_id": wire_id,
            "name": name,
            "arguments": arguments,
        }


def _prewarmed(request: ir.Request, target: Target) -> JsonObject | None:
    return {"prewarm": True} if request.prewarm and target.profile.cache_marks else None


def _cache_key(request: ir.Request, target: Target, losses: Losses) -> str | None:
    """The cache key, if the provider knows such things; records every caching hint that goes nowhere."""
    known = target.profile.cache_marks
    for message in request.messages:
        written = known and message.role is not ir.Role.ASSISTANT
        for part in message.parts:
            match part:
                case ir.Text(cache=mark) | ir.Image(cache=mark) | ir.Document(cache=mark):
                    lost = mark is not None and not written
                case ir.ToolResult(cache=mark):
                    lost = mark is not None
                case _:
                    continue
            if lost:
                losses.give_up(Loss.TELEMETRY, part.path, "a cache mark was dropped")
    for tool in request.tools:
        if isinstance(tool, ir.FunctionTool) and tool.cache is not None:
            losses.give_up(Loss.TELEMETRY, tool.path, "a cache mark was dropped")
    if known:
        return request.cache_key
    for name, hint in (("cache_key", request.cache_key), ("cache_prefix", request.cache_prefix)):
        if hint is not None:
            path = request.path_of(name)
            losses.give_up(Loss.TELEMETRY, path, "the provider takes no caching hints")
    return None


def _instructions(leading: tuple[ir.Message, ...], *, marks: bool) -> str | None:
    """The system text as one string; None when it has more than plain text, or cache marks to keep."""
    texts: list[str] = []
    for message in leading:
        for part in message.parts:
            if not isinstance(part, ir.Text) or (marks and part.cache is not None):
                return None
            texts.append(part.text)
    return "\n\n".join(texts) or None


def _loop_start(messages: tuple[ir.Message, ...]) -> int:
    """Where the turn begins that waits for the answer to tool results: after the last words of the user."""
    for position in range(len(messages) - 1, -1, -1):
        message = messages[position]
        answers = any(isinstance(part, ir.ToolResult) for part in message.parts)
        if message.role is ir.Role.USER and not answers:
            return position + 1
    return 0


def _item(role: str, content: list[JsonObject]) -> JsonObject:
    return {"type": "message", "role": role, "content": content}


def _assistant_items(said: list[ir.Text | ir.Refusal]) -> Iterator[JsonObject]:
    """An item for each text: only a plain string needs no item id, which stays behind."""
    texts: list[ir.Text] = []
    for part in said:
        if texts and not (isinstance(part, ir.Text) and turns.continues(texts[-1], part)):
            yield _text_item(texts)
            texts = []
        if isinstance(part, ir.Text):
            texts.append(part)
        else:
            refusal = {"type": "refusal", "refusal": part.text}
            yield {"type": "message", "role": "assistant", "content": [refusal]}
    if texts:
        yield _text_item(texts)


def _text_item(texts: list[ir.Text]) -> JsonObject:
    """One text, in as many pieces as citations cut it into."""
    content = "".join(text.text for text in texts)
    item: JsonObject = {"type": "message", "role": "assistant", "content": content}
    if texts[0].phase is not None:
        item["phase"] = texts[0].phase
    return item


def _marked_error(
    parts: list[ir.Text | ir.Image | ir.Document],
) -> list[ir.Text | ir.Image | ir.Document]:
    """Say in the first text that the tool failed: there is no flag for it."""
    for index, part in enumerate(parts):
        if isinstance(part, ir.Text):
            text = with_error_mark(part.text, is_error=True)
            return [*parts[:index], replace(part, text=text), *parts[index + 1 :]]
    return [ir.Text(text="Error: "), *parts]
