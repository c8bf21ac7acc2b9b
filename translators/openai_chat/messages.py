"""The conversation of Chat Completions, read and written: roles, turns, tool messages, echoed reasoning.

Reference: https://platform.openai.com/docs/api-reference/chat/create (read 2026-11-21)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

from translators import freeform, ids, ir, turns
from translators.arguments import arguments_text, with_error_mark
from translators.base import Target
from translators.errors import ErrorKind, GatewayError, invalid
from translators.fields import Fields
from translators.losses import Loss, Losses, Mode
from translators.names import ToolNames
from translators.openai_chat.content import (
    Unread,
    Writer,
    cache_mark,
    parse_part,
    parse_parts,
    plain,
)
from translators.openai_chat.words import DETAILS, NAME, REFUSED, reasoning_text
from translators.profile import Echo
from translators.seal import Seal
from translators.wire import Json, JsonObject, JsonSyntaxError, dump_text, loads

_NOT_TEXT: Final = "a system message takes text only"


# ---------------------------------------------------------------------------------------- parsing


def parse_messages(fields: Fields, unread: Unread, seal: Seal | None) -> tuple[ir.Message, ...]:
    """`messages`; the results that follow one another become one user turn, as the hub has it."""
    reader = _Reader(unread, seal)
    for item in fields.items("messages"):
        reader.read(item)
    if not reader.messages:
        path = fields.at("messages")
        raise GatewayError(
            ErrorKind.INVALID_REQUEST, f"{path}: at least one message is required", path=path
        )
    return tuple(reader.messages)


class _Reader:
    """Read messages in order; remembers legacy calls, whose answers name the function instead of an id."""

    def __init__(self, unread: Unread, seal: Seal | None) -> None:
        self.messages: list[ir.Message] = []
        self._unread = unread
        self._seal = seal
        self._legacy_calls = 0
        self._unanswered: dict[str, deque[str]] = {}
        self._results_open = False

    def read(self, fields: Fields) -> None:
        """One message."""
        role = fields.text("role")
        match role:
            case "system" | "developer":
                self._add(ir.Role.SYSTEM, self._system(fields), fields)
            case "user":
                self._add(ir.Role.USER, parse_parts(fields, "content", self._unread), fields)
            case "assistant":
                self._add(ir.Role.ASSISTANT, self._assistant(fields), fields)
            case "tool":
                self._result(self._tool(fields), fields)
            case "function":
                self._result(self._function(fields), fields)
            case _:
                raise invalid(
                    fields.at("role"), "system, developer, user, assistant, tool or function", role
                )

    def _add(self, role: ir.Role, parts: tuple[ir.Part, ...], fields: Fields) -> None:
        mark = cache_mark(fields)  # beside a plain string, some clients mark the whole message
        if mark is not None and parts and isinstance(parts[-1], ir.Text):
            last = parts[-1]
            parts = (*parts[:-1], ir.Text(text=last.text, cache=mark, path=last.path))
        name = fields.optional_text("name")
        self.messages.append(ir.Message(role=role, parts=parts, name=name, path=fields.path))
        self._results_open = False
        self._unread.add(fields)

    def _result(self, result: ir.ToolResult, fields: Fields) -> None:
        if self._results_open:
            last = self.messages.pop()
            parts, path = (*last.parts, result), last.path
        else:
            parts, path = (result,), fields.path
        self.messages.append(ir.Message(role=ir.Role.USER, parts=parts, path=path))
        self._results_open = True
        self._unread.add(fields)

    def _system(self, fields: Fields) -> tuple[ir.Part, ...]:
        parts = parse_parts(fields, "content", self._unread)
        for part in parts:
            if not isinstance(part, ir.Text):
                raise GatewayError(
                    ErrorKind.INVALID_REQUEST, f"{part.path}: {_NOT_TEXT}", path=part.path
                )
        return parts

    def _assistant(self, fields: Fields) -> tuple[ir.Part, ...]:
        fields.skip("annotations")  # an answer's own field, which clients replay (CIT-04)
        parts: list[ir.Part] = list(_parse_reasoning(fields))
        parts += self._assistant_content(fields)
        refusal = fields.optional_text("refusal")
        if refusal:
            parts.append(ir.Refusal(text=refusal, path=fields.at("refusal")))
        audio = fields.json_object("audio")
        if audio and not any(isinstance(part, ir.Text) for part in parts):
            parts.append(
                ir.Foreign(
                    protocol=NAME, type="audio", wire=audio, rule=REFUSED, path=fields.at("audio")
                )
            )
        for call in fields.items("tool_calls"):
            parts += self._call(call)
        legacy = fields.optional_object("function_call")
        if legacy is not None:
            parts.append(self._legacy_call(legacy))
        return tuple(parts)

    def _assistant_content(self, fields: Fields) -> Iterator[ir.Part]:
        value = fields.any("content")
        if not isinstance(value, list):
            text = fields.optional_text("content")
            if text:  # "" beside tool calls says nothing (SYS-11)
                yield ir.Text(text=text, path=fields.at("content"))
            return
        for index, item in enumerate(value):
            path = f"{fields.at('content')}[{index}]"
            kind = item.get("type") if isinstance(item, dict) else None
            if kind == "refusal":
                yield ir.Refusal(text=Fields(item, path).text("refusal"), path=path)
            elif kind == "thinking":
                # Mistral's own answers, replayed
                yield ir.Reasoning(text=thinking_text(item), path=path)
            else:
                part = parse_part(item, path, self._unread)
                if not isinstance(part, ir.Text) or part.text:
                    yield part

    def _call(self, fields: Fields) -> Iterator[ir.Part]:
        state = _thought_state(fields, self._seal)
        if state is not None:
            yield state
        call_id = fields.text("id")
        fields.skip("type", "index")
        custom = fields.optional_object("custom")
        if custom is not None:
            name, arguments = custom.text("name"), custom.optional_text("input", "")
            kind = ir.ToolKind.CUSTOM
        else:
            function = fields.object("function")
            name, kind = function.text("name"), ir.ToolKind.FUNCTION
            value = function.any("arguments")
            # A text stays as the model wrote it, broken or not; an object is from an odd client.
            if value is None or isinstance(value, str):
                arguments = value or ""
            else:
                arguments = arguments_text(value)
        yield ir.ToolCall(
            call_id=call_id, name=name, arguments=arguments, kind=kind, path=fields.path
        )
        self._unread.add(fields)

    def _legacy_call(self, fields: Fields) -> ir.ToolCall:
        self._legacy_calls += 1
        call_id = f"call_{self._legacy_calls}"
        name = fields.text("name")
        self._unanswered.setdefault(name, deque()).append(call_id)
        arguments = fields.optional_text("arguments", "")
        return ir.ToolCall(call_id=call_id, name=name, arguments=arguments, path=fields.path)

    def _tool(self, fields: Fields) -> ir.ToolResult:
        call_id = fields.text("tool_call_id")
        name = fields.optional_text("name")
        return ir.ToolResult(
            call_id=call_id, content=self._output(fields), name=name, path=fields.path
        )

    def _function(self, fields: Fields) -> ir.ToolResult:
        name = fields.text("name")
        waiting = self._unanswered.get(name)
        call_id = waiting.popleft() if waiting else f"call_{name}"
        return ir.ToolResult(
            call_id=call_id, content=self._output(fields), name=name, path=fields.path
        )

    def _output(self, fields: Fields) -> tuple[ir.Text | ir.Image | ir.Document, ...]:
        """A result's content; what is neither text nor parts goes along as JSON text (RES-04)."""
        value = fields.any("content")
        path = fields.at("content")
        if isinstance(value, list) and all(isinstance(i, dict) and "type" in i for i in value):
            parts = parse_parts(fields, "content", self._unread)
            kept = tuple(p for p in parts if isinstance(p, ir.Text | ir.Image | ir.Document))
            if len(kept) != len(parts):
                raise GatewayError(
                    ErrorKind.INVALID_REQUEST, f"{path}: a tool result takes no sound", path=path
                )
            return kept
        if value is None or value == "":
            return ()
        return (ir.Text(text=plain(value), path=path),)


def thinking_text(part: JsonObject) -> str:
    """The text of a `thinking` content part: a string, or text parts of its own."""
    value = part.get("thinking")
    if isinstance(value, list):
        return "".join(str(item.get("text") or "") for item in value if isinstance(item, dict))
    return value if isinstance(value, str) else ""


def details_text(details: Iterable[Json]) -> str:
    """The readable text in `reasoning_details`."""
    texts = []
    for entry in details:
        if isinstance(entry, dict):
            text = entry.get("text") or entry.get("summary")
            if isinstance(text, str):
                texts.append(text)
    return "".join(texts)


def _parse_reasoning(fields: Fields) -> Iterator[ir.Reasoning]:
    """De-facto reasoning fields of an assistant message: text, and OpenRouter's state."""
    fields.skip("reasoning_content", "reasoning")
    text = reasoning_text(fields.raw)
    details = fields.array("reasoning_details")
    if not text and not details:
        return
    state = None
    if details:
        text = text or details_text(details)
        state = ir.OpaqueState(kind=DETAILS, value=dump_text(details))
    yield ir.Reasoning(text=text, state=state, path=fields.path)


def thought_signature(call: JsonObject) -> str | None:
    """`extra_content.google.thought_signature` of a tool call."""
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    value = google.get("thought_signature") if isinstance(google, dict) else None
    return value if isinstance(value, str) and value else None


def _thought_state(fields: Fields, seal: Seal | None) -> ir.Reasoning | None:
    fields.skip("extra_content")
    signature = thought_signature(fields.raw)
    if signature is None:
        return None
    sealed = seal.unwrap(signature, fields.path) if seal is not None else None
    if sealed is not None:
        return sealed
    if Seal.is_envelope(signature):
        return None  # another gateway's: means nothing anywhere
    state = ir.OpaqueState(kind=ir.StateKind.GEMINI_SIGNATURE, value=signature)
    return ir.Reasoning(state=state, path=fields.path)


# -------------------------------------------------------------------------------------- rendering


class Conversation:
    """Write the hub's messages, already normalised, as Chat messages."""

    def __init__(
        self,
        writer: Writer,
        names: ToolNames,
        *,
        bare_states: bool,
    ) -> None:
        self._writer = writer
        self._bare_states = (
            bare_states  # the client speaks Chat itself: its signatures are an upstream's own
        )
        self._target: Target = writer.target
        self._losses: Losses = writer.losses
        self._names = names
        self._system_role = "developer" if self._target.profile.developer_role else "system"
        self._wire: list[JsonObject] = []

    def render(
        self, leading: tuple[ir.Message, ...], rest: tuple[ir.Message, ...]
    ) -> list[JsonObject]:
        """All messages; the leading system texts become one message (several are refused by many servers)."""
        parts = [part for message in leading for part in message.parts]
        if parts:
            self._put(self._system_role, parts, leading[0])
        for role, run in groupby(rest, key=lambda message: message.role):
            if role is ir.Role.ASSISTANT:
                self._assistant(tuple(run))
                continue
            for message in run:
                if role is ir.Role.SYSTEM:
                    self._put(self._system_role, message.parts, message)
                else:
                    self._user(message)
        return self._wire

    def _put(self, role: str, parts: Iterable[ir.Part], source: ir.Message) -> None:
        content = self._writer.content(parts, role)
        if content:
            wire: JsonObject = {"role": role, "content": content}
            self._name(wire, source)
            self._wire.append(wire)

    def _name(self, wire: JsonObject, source: ir.Message) -> None:
        if source.name is None:
            return
        if self._target.profile.openai_extras:
            wire["name"] = source.name
        else:
            self._losses.give_up(
                Loss.HINT, f"{source.path}.name", "the participant's name was dropped"
            )

    def _user(self, message: ir.Message) -> None:
        """Tool messages first (SYS-18), then their media, then what the user says."""
        attached: list[JsonObject] = []
        spoken: list[ir.Part] = []
        for part in message.parts:
            if isinstance(part, ir.ToolResult):
                attached += self._tool(part)
            else:
                spoken.append(part)
        if attached:
            self._wire.append({"role": "user", "content": attached})
        if spoken:
            self._put("user", spoken, message)

    def _tool(self, result: ir.ToolResult) -> list[JsonObject]:
        text, attached = self._writer.result(result)
        if result.cache is not None:
            self._losses.give_up(
                Loss.TELEMETRY, result.path, "a cache mark on a result was dropped"
            )
        if result.is_error and self._losses.mode is Mode.STRICT:
            self._losses.warn(result.path, "the error flag of a tool result became text")
        text = with_error_mark(text, is_error=result.is_error)
        self._wire.append(
            {"role": "tool", "tool_call_id": self._call_id(result.call_id), "content": text}
        )
        if attached:
            attached.insert(
                0,
                {
                    "type": "text",
                    "text": f"[attached to tool result {self._call_id(result.call_id)}]",
                },
            )
        return attached

    def _assistant(self, run: tuple[ir.Message, ...]) -> None:
        """One turn as one message: its calls must stand in the message before their results."""
        turn = _Turn(run, self._losses)
        wire: JsonObject = {"role": "assistant", "content": turn.text or None}
        if turn.refusals and self._target.profile.openai_extras:
            wire["refusal"] = "\n\n".join(turn.refusals)
        elif turn.refusals:
            wire["content"] = "\n\n".join(filter(None, (turn.text, *turn.refusals)))
        self._name(wire, run[0])
        for foreign in turn.own:
            wire[foreign.type] = foreign.wire
        calls = [self._call(call, state) for call, state in turn.calls]
        if calls:
            wire["tool_calls"] = calls
        self._echo(turn, wire)
        if wire["content"] is None and not calls:
            if len(wire) == 2:
                return  # nothing left to say (SYS-12)
            if "refusal" not in wire and not turn.own:
                wire["content"] = ""
        self._wire.append(wire)

    def _call_id(self, call_id: str) -> str:
        """The id as this upstream takes it: at most 64 characters (ID-06), or letters and digits of one length."""
        length = self._target.profile.call_id_length
        if length is None:
            return ids.call_id("call_", call_id)
        fits = len(call_id) == length and call_id.isascii() and call_id.isalnum()
        return call_id if fits else ids.digest62("call", call_id, length=length)

    def _call(self, call: ir.ToolCall, state: ir.OpaqueState | None) -> JsonObject:
        name = self._names.wire(call.ref)
        wire: JsonObject = {"id": self._call_id(call.call_id)}
        if call.kind is ir.ToolKind.CUSTOM and self._target.profile.custom_tools:
            wire |= {"type": "custom", "custom": {"name": name, "input": call.arguments}}
        elif call.kind is ir.ToolKind.CUSTOM:
            arguments = freeform.wrap_input(call.arguments)
            wire |= {"type": "function", "function": {"name": name, "arguments": arguments}}
        else:
            arguments = self._arguments(call)
            wire |= {"type": "function", "function": {"name": name, "arguments": arguments}}
        if state is not None and self._is_own_signature(state):
            wire["extra_content"] = {"google": {"thought_signature": state.value}}
        return wire

    def _is_own_signature(self, state: ir.OpaqueState) -> bool:
        """Whether a thought signature came from this very upstream (Gemini behind Chat Completions)."""
        if state.kind is not ir.StateKind.GEMINI_SIGNATURE:
            return False
        if state.provider is None:
            return self._bare_states
        return state.provider == self._target.provider and state.model == self._target.model

    def _arguments(self, call: ir.ToolCall) -> str:
        """The arguments text as the model wrote it; none is `{}` (RES-16), null too (RES-15)."""
        return "{}" if call.arguments.strip() in ("", "null") else call.arguments

    def _echo(self, turn: _Turn, wire: JsonObject) -> None:
        """Reasoning goes back only to those who take it (RSN-10)."""
        profile = self._target.profile
        details = [
            reasoning.state.value
            for reasoning in turn.reasoning
            if reasoning.state is not None
            and reasoning.state.kind is DETAILS
            and self._target.understands(reasoning.state, NAME)
        ]
        if profile.reasoning_echo not in _ECHOED:
            self._drop(turn.reasoning)
            return
        if details:
            wire["reasoning_details"] = [entry for text in details for entry in _entries(text)]
        text = "\n\n".join(part.text for part in turn.reasoning if part.text)
        if text or (profile.reasoning_echo is Echo.REQUIRED and turn.calls):
            wire[profile.reasoning_field] = text

    def _drop(self, reasoning: Iterable[ir.Reasoning]) -> None:
        for part in reasoning:
            if part.text or (part.state is not None and part.state.kind is DETAILS):
                self._losses.give_up(
                    Loss.TELEMETRY, part.path, "the provider takes no earlier reasoning"
                )


def _entries(text: str) -> list[Json]:
    try:
        value = loads(text)
    except JsonSyntaxError:
        return []
    return value if isinstance(value, list) else []


_ECHOED: Final = frozenset({Echo.ALLOWED, Echo.REQUIRED})
"""Providers that are known to take it; nothing is tried on the others."""


class _Turn:
    """An assistant message sorted into the fields of Chat; texts around calls are set apart (RES-20)."""

    __slots__ = ("calls", "own", "reasoning", "refusals", "text")

    def __init__(self, run: tuple[ir.Message, ...], losses: Losses) -> None:
        self.reasoning: list[ir.Reasoning] = []
        self.refusals: list[str] = []
        self.calls: list[tuple[ir.ToolCall, ir.OpaqueState | None]] = []
        self.own: list[ir.Foreign] = []
        texts: list[str] = []
        before: ir.Part | None = None
        state: ir.OpaqueState | None = None
        for part in (part for message in run for part in message.parts):
            match part:
                case ir.Text() if turns.continues(before, part):
                    texts[-1] += part.text
                case ir.Text():
                    texts.append(part.text)
                case ir.Refusal():
                    self.refusals.append(part.text)
                case ir.Reasoning():
                    self.reasoning.append(part)
                    state = part.state
                case ir.ToolCall():
                    self.calls.append((part, state))
                    state = None
                case ir.Foreign():
                    self.own.append(part)
                case _:
                    losses.give_up(
                        Loss.MEANING, part.path, "a model's own picture or sound cannot be replayed"
                    )
            before = part
        self.text = "\n\n".join(text for text in texts if text)
