"""Input items of a Responses request as hub messages.

Items are flat, turns are not: a run of model items (reasoning, text, calls) becomes one assistant message, a
run of tool outputs one user message; every other message item stays a message of its own. Pairing and
ordering belong to turns.py. Nothing here fails on an item type that it does not know.
Reference: https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
(read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from translators import ir, media
from translators.arguments import arguments_text
from translators.errors import invalid
from translators.fields import Fields
from translators.losses import Loss
from translators.names import full_name
from translators.openai_responses.content import PROTOCOL, parse_content, parse_output
from translators.openai_responses.foreign import FROM_CLIENT, parse_foreign
from translators.openai_responses.tools import CLIENT, SEARCH, ToolBox
from translators.seal import Seal
from translators.wire import Json, JsonObject, dump_text

SUMMARY_INTRO: Final = "Summary of the conversation so far:\n\n"
"""What stands before the text of a compaction that this gateway made."""

_ROLES: Final[Mapping[str, ir.Role]] = {
    "user": ir.Role.USER,
    "assistant": ir.Role.ASSISTANT,
    "system": ir.Role.SYSTEM,
    "developer": ir.Role.SYSTEM,
}

LATE_TOOLS: Final = frozenset({"additional_tools", "tool_search_output"})
"""Items that declare tools in the middle of a conversation."""


class ItemParser:
    """Read `input` from first to last item; `messages` and `unshared` are the outcome.

    `updates` are the configuration_update items, for the request's settings: the last value wins.
    """

    def __init__(self, tools: ToolBox, seal: Seal | None) -> None:
        self.messages: list[ir.Message] = []
        self.unshared: list[ir.Unshared] = []
        self.updates: list[Fields] = []
        self._tools = tools
        self._seal = seal
        self._role: ir.Role | None = None
        self._parts: list[ir.Part] = []
        self._path = ""
        self._seen: dict[str, list[JsonObject]] = {}

    def parse(self, items: list[Json]) -> None:
        """Take the whole array."""
        for index, raw in enumerate(items):
            path = f"input[{index}]"
            if isinstance(raw, str):
                self._message(ir.Role.USER, (ir.Text(text=raw, path=path),), path)
                continue
            item = Fields(raw, path)
            kind = item.optional_text("type") or _implied_type(raw)
            if not self._repeated(kind, raw):
                _PARSERS.get(kind, ItemParser._foreign)(self, kind, item)
        self._flush()

    def _repeated(self, kind: str, raw: JsonObject) -> bool:
        """An item sent twice under one id (pitfalls STA-10): the second is left out when it is the same."""
        item_id = raw.get("id")
        if not isinstance(item_id, str) or not item_id or kind == "item_reference":
            return False
        same_id = self._seen.setdefault(item_id, [])
        if raw in same_id:
            return True
        same_id.append(raw)
        return False

    # -- runs of items

    def _add(self, role: ir.Role, part: ir.Part, path: str) -> None:
        if self._role is not role:
            self._flush()
            self._role, self._path = role, path
        self._parts.append(part)

    def _flush(self) -> None:
        if self._role is not None and self._parts:
            self.messages.append(
                ir.Message(
                    role=self._role,
                    parts=tuple(self._parts),
                    path=self._path,
                )
            )
        self._role, self._parts = None, []

    def _message(self, role: ir.Role, parts: tuple[ir.Part, ...], path: str) -> None:
        self._flush()
        self.messages.append(ir.Message(role=role, parts=parts, path=path))

    # -- kinds of items

    def _on_message(self, _kind: str, item: Fields) -> None:
        word = item.optional_text("role", "user")
        role = _ROLES.get(word)
        if role is None:
            raise invalid(item.at("role"), "user, assistant, system or developer", word)
        parts = parse_content(item, "content")
        if role is not ir.Role.ASSISTANT:
            self._message(role, parts, item.path)
            return
        phase = item.optional_text("phase")
        if self._role is role and self._parts and isinstance(self._parts[-1], ir.Text | ir.Refusal):
            self._flush()  # two message items in a row: their texts do not run together
        if phase is not None:
            path = item.at("phase")
            self.unshared.append(ir.Unshared(path=path, loss=Loss.TELEMETRY, value=phase))
        for part in parts:
            said = replace(part, phase=phase) if isinstance(part, ir.Text) else part
            self._add(role, _as_item(said), item.path)

    def _on_reasoning(self, _kind: str, item: Fields) -> None:
        reasoning = parse_reasoning(item.raw, item.path, self._seal)
        if reasoning.text or reasoning.state:
            self._add(ir.Role.ASSISTANT, reasoning, item.path)

    def _on_call(self, kind: str, item: Fields) -> None:
        ref = self._tools.resolve(item.text("name"), item.optional_text("namespace"))
        custom = kind == "custom_tool_call"
        arguments = item.any("input" if custom else "arguments")
        if arguments is not None and not isinstance(arguments, str):
            arguments = dump_text(arguments)
        call = ir.ToolCall(
            call_id=item.optional_text("call_id") or item.text("id"),
            name=ref.name,
            namespace=ref.namespace,
            arguments=arguments or "",
            kind=ir.ToolKind.CUSTOM if custom else ir.ToolKind.FUNCTION,
            item_id=item.optional_text("id"),
            complete=item.optional_text("status") != "incomplete",
            path=item.path,
        )
        self._add(ir.Role.ASSISTANT, call, item.path)

    def _on_output(self, kind: str, item: Fields) -> None:
        custom = kind == "custom_tool_call_output"
        result = ir.ToolResult(
            call_id=item.optional_text("call_id") or item.text("id"),
            content=parse_output(item, decode_text=custom),
            kind=ir.ToolKind.CUSTOM if custom else ir.ToolKind.FUNCTION,
            path=item.path,
        )
        self._add(ir.Role.USER, result, item.path)

    def _on_search_call(self, kind: str, item: Fields) -> None:
        """A search that the client runs is a call like others; one of the provider's is its own affair."""
        if item.optional_text("execution") != CLIENT or not item.optional_text("call_id"):
            self._foreign(kind, item)
            return
        call = ir.ToolCall(
            call_id=item.text("call_id"),
            name=SEARCH,
            arguments=arguments_text(item.any("arguments")),
            kind=ir.ToolKind.SEARCH,
            path=item.path,
        )
        self._add(ir.Role.ASSISTANT, call, item.path)

    def _on_search_output(self, kind: str, item: Fields) -> None:
        self._on_late_tools(kind, item)
        if item.optional_text("execution") == CLIENT and item.optional_text("call_id"):
            result = ir.ToolResult(
                call_id=item.text("call_id"),
                content=(ir.Text(text=found_tools(item)),),
                kind=ir.ToolKind.SEARCH,
                path=item.path,
            )
            self._add(ir.Role.USER, result, item.path)

    def _on_web_search(self, _kind: str, item: Fields) -> None:
        self._add(ir.Role.ASSISTANT, parse_web_search(item.raw, item.path), item.path)

    def _on_code(self, _kind: str, item: Fields) -> None:
        self._add(ir.Role.ASSISTANT, parse_code_run(item.raw, item.path), item.path)

    def _on_generated_image(self, kind: str, item: Fields) -> None:
        result = item.optional_text("result")
        if not result:
            self._foreign(kind, item)
            return
        data = media.standard_base64(result, item.at("result"))
        source = ir.Inline(media_type=media.media_type(None, data), data=data)
        reason = "a generated image was put into a user message"
        self.unshared.append(ir.Unshared(path=item.path, loss=Loss.VALUE, reason=reason))
        self._message(ir.Role.USER, (ir.Image(source=source, path=item.path),), item.path)

    def _on_late_tools(self, _kind: str, item: Fields) -> None:
        # The tools were collected before the first item was read; only the place is lost, unless it
        # was the very first one (Codex with the models that it knows).
        if not self.messages and not self._parts:
            return
        reason = "tools declared in mid-conversation were declared up front"
        self.unshared.append(ir.Unshared(path=item.path, loss=Loss.VALUE, reason=reason))

    def _on_update(self, _kind: str, item: Fields) -> None:
        self.updates.append(item)
        reason = "a configuration update was applied to the whole request"
        self.unshared.append(ir.Unshared(path=item.path, loss=Loss.VALUE, reason=reason))

    def _on_reference(self, _kind: str, item: Fields) -> None:
        self.unshared.append(
            ir.Unshared(
                path=item.path,
                loss=Loss.IMPOSSIBLE,
                reason="refers to an item that is not stored at this gateway",
            )
        )

    def _on_compaction(self, kind: str, item: Fields) -> None:
        content = item.optional_text("encrypted_content", "")
        opened = self._seal.unwrap(content, item.path) if self._seal else None
        state = opened.state if opened else None
        if opened is not None and state is not None and state.kind is ir.StateKind.SUMMARY:
            text = ir.Text(text=SUMMARY_INTRO + opened.text, path=item.path)
            self._message(ir.Role.USER, (text,), item.path)
        else:
            self._foreign(kind, item)

    def _foreign(self, kind: str, item: Fields) -> None:
        role = ir.Role.USER if kind in FROM_CLIENT else ir.Role.ASSISTANT
        self._add(role, parse_foreign(kind, item.raw, item.path), item.path)


_PARSERS: Final[Mapping[str, Callable[[ItemParser, str, Fields], None]]] = {
    "message": ItemParser._on_message,
    "reasoning": ItemParser._on_reasoning,
    "function_call": ItemParser._on_call,
    "custom_tool_call": ItemParser._on_call,
    "function_call_output": ItemParser._on_output,
    "custom_tool_call_output": ItemParser._on_output,
    "web_search_call": ItemParser._on_web_search,
    "code_interpreter_call": ItemParser._on_code,
    "image_generation_call": ItemParser._on_generated_image,
    "additional_tools": ItemParser._on_late_tools,
    "tool_search_call": ItemParser._on_search_call,
    "tool_search_output": ItemParser._on_search_output,
    "configuration_update": ItemParser._on_update,
    "item_reference": ItemParser._on_reference,
    "compaction": ItemParser._on_compaction,
}


def _as_item(part: ir.Part) -> ir.Part:
    """A part of an unknown kind as an item of its own: that is what foreign content of a turn is."""
    if not isinstance(part, ir.Foreign):
        return part
    return replace(part, wire={"type": "message", "role": "assistant", "content": [part.wire]})


def _implied_type(raw: JsonObject) -> str:
    """The type of a shorthand item: a message has a role, a reference nothing but an id."""
    if "role" in raw or "content" in raw:
        return "message"
    return "item_reference" if "id" in raw else "unknown"


def collect_late_tools(items: list[Json], tools: ToolBox) -> None:
    """Declare the tools that stand inside `input`, in order; known names are skipped (pitfalls TOOL-16)."""
    for index, raw in enumerate(items):
        kind = raw.get("type") if isinstance(raw, dict) else None
        if isinstance(kind, str) and kind in LATE_TOOLS:
            item = Fields(raw, f"input[{index}]")
            tools.add_late(item.items("tools"))


def found_tools(item: Fields) -> str:
    """What a search brought, in words: the tools themselves are declared with all others."""
    names: list[str] = []
    for tool in item.items("tools"):
        name = tool.optional_text("name") or tool.optional_text("type", "")
        inner = tool.items("tools") if tool.optional_text("type") == "namespace" else ()
        names += [full_name(ir.ToolRef(one.text("name"), name)) for one in inner] or [name]
    return f"These tools can be called now: {', '.join(names)}" if names else "No tool was found."


def parse_reasoning(item: JsonObject, path: str, seal: Seal | None) -> ir.Reasoning:
    """A reasoning item from a client's history.

    An envelope of ours is opened and restores what the upstream had written. Another `encrypted_content` is
    state of unknown origin. Without either there is nothing to send back (pitfalls RSN-07).
    """
    encrypted = item.get("encrypted_content")
    item_id = item.get("id")
    text = reasoning_text(item)
    if not isinstance(encrypted, str) or not encrypted:
        return ir.Reasoning(text=text, path=path)
    if Seal.is_envelope(encrypted):
        opened = seal.unwrap(encrypted, path) if seal else None
        return opened or ir.Reasoning(text=text, path=path)
    state = ir.OpaqueState(kind=ir.StateKind.RESPONSES_ENCRYPTED, value=encrypted)
    return ir.Reasoning(
        text=text, state=state, item_id=item_id if isinstance(item_id, str) else None, path=path
    )


def reasoning_text(item: JsonObject) -> str:
    """The summary parts joined by a blank line, else the raw reasoning."""
    for key in ("summary", "content"):
        parts = item.get(key)
        if isinstance(parts, list):
            texts = [part.get("text") for part in parts if isinstance(part, dict)]
            text = "\n\n".join(text for text in texts if isinstance(text, str) and text)
            if text:
                return text
    return ""


def parse_web_search(item: JsonObject, path: str = "") -> ir.WebSearch:
    """A `web_search_call` item."""
    action = item.get("action")
    action = action if isinstance(action, dict) else {}
    sources = action.get("sources")
    found = [s for s in sources if isinstance(s, dict)] if isinstance(sources, list) else []
    queries = action.get("queries")
    query = action.get("query") or (queries[0] if isinstance(queries, list) and queries else "")
    return ir.WebSearch(
        call_id=str(item.get("id") or ""),
        query=str(query or action.get("url") or ""),
        sources=tuple(
            ir.WebSource(url=str(s["url"]), title=str(s.get("title") or ""))
            for s in found
            if s.get("url")
        ),
        protocol=PROTOCOL,
        wire=(item,),
        path=path,
    )


def parse_code_run(item: JsonObject, path: str = "") -> ir.CodeRun:
    """A `code_interpreter_call` item; several logs are joined."""
    outputs = item.get("outputs")
    shown = outputs if isinstance(outputs, list) else []
    logs = [output.get("logs") for output in shown if isinstance(output, dict)]
    return ir.CodeRun(
        call_id=str(item.get("id") or ""),
        code=str(item.get("code") or ""),
        output="".join(log for log in logs if isinstance(log, str)),
        ok=item.get("status") in (None, "completed"),
        protocol=PROTOCOL,
        wire=(item,),
        path=path,
    )
