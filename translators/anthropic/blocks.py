"""Messages and content blocks of an upstream request: parts -> wire, with the turn rules of this protocol.

The order of the steps is that of section 3 of the portability rules. `cache_control` holds the hub's mark until
caching.py has counted them all. Reference: https://platform.claude.com/docs/en/api/messages (read 2026-11-21)
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import Final, assert_never

from translators import freeform, ids, ir, turns
from translators.anthropic.citations import render_citations
from translators.anthropic.hosted import code_blocks, search_blocks
from translators.anthropic.words import CALL_PREFIX, PROTOCOL
from translators.arguments import arguments_object
from translators.base import Target
from translators.errors import ErrorKind, GatewayError
from translators.losses import Action, Loss, Losses
from translators.names import ToolNames
from translators.profile import MidSystem
from translators.wire import JsonObject

_THINKING: Final = frozenset({"thinking", "redacted_thinking"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The conversation in wire form; `system` is still in parts because more lines may join it."""

    system: tuple[ir.Message, ...]
    messages: list[JsonObject]
    loop_without_thinking: bool
    """The conversation stands in a tool loop whose assistant turn does not begin with a thinking block."""


def render_messages(
    request: ir.Request, target: Target, names: ToolNames, losses: Losses
) -> Written:
    """Bring the conversation into this protocol's turn order and write it."""
    turns.note_names(request.messages, losses)
    messages = turns.localise(request.messages, PROTOCOL, losses)
    messages = _without_foreign_reasoning(request, messages, target, losses)
    messages = _media_to_users(messages, losses)
    messages = turns.pair_results(messages, losses)
    messages = turns.drop_empty(_without_blanks(messages))
    messages = turns.place_system(messages, target.profile.mid_system, losses)
    messages = turns.with_a_turn(messages, request, losses)
    system, rest = turns.split_system(messages)
    rest = turns.merge_roles(rest)
    if target.profile.mid_system is MidSystem.KEEP:
        rest = turns.merge_roles(_settled_system(rest, losses))
    rest = turns.start_with_user(rest, losses)
    rest = _settled_end(rest, target, losses)
    writer = _Writer(target, names, losses)
    written = [writer.message(message) for message in rest]
    return Written(
        system=system,
        messages=[message for message in written if message["content"]],
        loop_without_thinking=_loop_without_thinking(written),
    )


def render_system(
    messages: tuple[ir.Message, ...], lines: tuple[str, ...], losses: Losses
) -> list[JsonObject]:
    """The `system` blocks: one per text of the leading system messages, then the gateway's own lines."""
    blocks: list[JsonObject] = []
    for message in messages:
        for part in message.parts:
            if not isinstance(part, ir.Text):
                raise losses.refusal(part.path or message.path, "only text can be a system message")
            if part.text.strip():
                blocks.append(_marked({"type": "text", "text": part.text}, part.cache))
    blocks.extend({"type": "text", "text": line} for line in lines)
    return blocks


# ------------------------------------------------------------------------------------------- turns


def _without_foreign_reasoning(
    request: ir.Request, messages: tuple[ir.Message, ...], target: Target, losses: Losses
) -> tuple[ir.Message, ...]:
    """Drop thinking that this upstream did not sign: it would refuse it (section 12)."""
    out: list[ir.Message] = []
    dropped = False
    for message in messages:
        parts = tuple(part for part in message.parts if not _stranger(part, target))
        dropped = dropped or len(parts) != len(message.parts)
        if parts or not message.parts:
            out.append(
                message if len(parts) == len(message.parts) else replace(message, parts=parts)
            )
    if dropped:
        losses.choose(
            request.path_of("messages"),
            "thinking that the provider did not sign itself was dropped from the history",
            strict=Action.REJECT,
            balanced=Action.WARN,
            max_compat=Action.WARN,
        )
    return tuple(out)


def _stranger(part: ir.Part, target: Target) -> bool:
    if not isinstance(part, ir.Reasoning):
        return False
    return part.state is None or not target.understands(part.state, PROTOCOL)


def _media_to_users(messages: tuple[ir.Message, ...], losses: Losses) -> tuple[ir.Message, ...]:
    """Assistant turns hold no pictures or documents here: those of other protocols go into the user turn after."""
    out: list[ir.Message] = []
    for message in messages:
        media = tuple(part for part in message.parts if isinstance(part, _MEDIA))
        if message.role is not ir.Role.ASSISTANT or not media:
            out.append(message)
            continue
        losses.give_up(Loss.VALUE, media[0].path, "what the assistant drew was given as user input")
        rest = tuple(part for part in message.parts if not isinstance(part, _MEDIA))
        if rest:
            out.append(replace(message, parts=rest))
        out.append(ir.Message(role=ir.Role.USER, parts=media, path=message.path))
    return tuple(out)


_MEDIA: Final = (ir.Image, ir.Document, ir.Audio, ir.Video)


def _without_blanks(messages: tuple[ir.Message, ...]) -> tuple[ir.Message, ...]:
    """Texts of nothing but whitespace are refused upstream like empty ones: make them empty."""
    return tuple(
        replace(message, parts=tuple(_blanked(part) for part in message.parts))
        if any(_is_blank(part) for part in message.parts)
        else message
        for message in messages
    )


def _is_blank(part: ir.Part) -> bool:
    return isinstance(part, ir.Text) and not part.text.strip()


def _blanked(part: ir.Part) -> ir.Part:
    return ir.Text(text="") if _is_blank(part) else part


def _settled_system(messages: tuple[ir.Message, ...], losses: Losses) -> tuple[ir.Message, ...]:
    """Wrap system messages where this protocol allows none: not right after a user turn, or before another one.

    A model that knows them wants text only, after a `user` message, and last or before an `assistant` message.
    """
    out: list[ir.Message] = []
    last = len(messages) - 1
    for place, message in enumerate(messages):
        if message.role is ir.Role.SYSTEM:
            after_user = bool(out) and out[-1].role is ir.Role.USER
            at_end = place == last or messages[place + 1].role is ir.Role.ASSISTANT
            plain = all(isinstance(part, ir.Text) for part in message.parts)
            if not (after_user and at_end and plain):
                anchor = ir.Message(role=ir.Role.USER, parts=())
                message = turns.place_system((anchor, message), MidSystem.USER, losses)[-1]
        out.append(message)
    return tuple(out)


def _settled_end(
    messages: tuple[ir.Message, ...], target: Target, losses: Losses
) -> tuple[ir.Message, ...]:
    """A trailing assistant message is continued by the model; where it cannot be, the user asks to go on."""
    final = messages[-1]
    if final.role is not ir.Role.ASSISTANT:
        return messages
    end = final.parts[-1]
    if isinstance(end, ir.WebSearch | ir.CodeRun | ir.Foreign):
        return messages  # a paused turn of hosted tools goes back as it was
    if not target.profile.prefill:
        losses.give_up(
            Loss.MEANING, final.path, "the model cannot continue an answer; it was asked to go on"
        )
        return (*messages, ir.Message(role=ir.Role.USER, parts=(ir.Text(text="Continue."),)))
    if not isinstance(end, ir.Text) or end.text == end.text.rstrip():
        return messages
    losses.give_up(Loss.VALUE, end.path, "whitespace at the end of the begun answer was cut")
    parts = (*final.parts[:-1], replace(end, text=end.text.rstrip()))
    return (*messages[:-1], replace(final, parts=parts))


def _loop_without_thinking(messages: list[JsonObject]) -> bool:
    """Whether the last turn answers calls of an assistant message that does not begin with thinking."""
    turn = [message for message in messages if message["role"] != "system"]
    if len(turn) < 2 or turn[-1]["role"] != "user" or turn[-2]["role"] != "assistant":
        return False
    if not any(block.get("type") == "tool_result" for block in turn[-1]["content"]):
        return False
    content = turn[-2]["content"]
    return not content or content[0].get("type") not in _THINKING


# ------------------------------------------------------------------------------------------ blocks


def _marked(block: JsonObject, cache: ir.CacheMark | None) -> JsonObject:
    if cache is not None:
        block["cache_control"] = cache
    return block


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes one conversation for one target."""

    target: Target
    names: ToolNames
    losses: Losses

    def message(self, message: ir.Message) -> JsonObject:
        """One message, tool results first."""
        blocks: list[JsonObject] = []
        below: list[JsonObject] = []
        results = [part for part in message.parts if isinstance(part, ir.ToolResult)]
        for result in results:
            blocks.append(self._tool_result(result, below))
        blocks.extend(below)
        for part in message.parts:
            if not isinstance(part, ir.ToolResult):
                blocks.extend(self._part(part))
        return {"role": message.role.value, "content": blocks}

    def _part(self, part: ir.Part) -> tuple[JsonObject, ...]:
        match part:
            case ir.Text():
                return (self._text(part),)
            case ir.Refusal():
                return ({"type": "text", "text": part.text},)
            case ir.Reasoning():
                return _reasoning(part)
            case ir.Image():
                return (self._image(part),)
            case ir.Document():
                return (self._document(part),)
            case ir.Audio():
                self.losses.give_up(
                    Loss.MEANING, part.path, "sound cannot be sent; it was left out"
                )
                return ({"type": "text", "text": "[sound left out]"},)
            case ir.Video():
                raise self.losses.refusal(part.path, "video cannot be sent")
            case ir.ToolCall():
                return (self._tool_call(part),)
            case ir.WebSearch():
                return tuple(dict(wire) for wire in search_blocks(part))
            case ir.CodeRun():
                return tuple(dict(wire) for wire in code_blocks(part))
            case ir.Foreign():
                return (dict(part.wire),)
            case ir.ToolResult():  # `message` writes them
                return ()
            case _:
                assert_never(part)

    def _text(self, part: ir.Text) -> JsonObject:
        block: JsonObject = {"type": "text", "text": part.text}
        if part.citations:
            said, lost = render_citations(part.citations)
            if said:
                block["citations"] = said
            if lost:
                self.losses.give_up(Loss.TELEMETRY, part.path, "citations of another provider")
        return _marked(block, part.cache)

    # -- media

    def _image(self, part: ir.Image) -> JsonObject:
        profile = self.target.profile
        if part.detail is not None:
            self.losses.give_up(Loss.HINT, part.path, "the detail of an image cannot be chosen")
        if not profile.image_types:
            self.losses.give_up(
                Loss.MEANING, part.path, "the model takes no images; it was left out"
            )
            return {"type": "text", "text": "[image left out]"}
        source = part.source
        if isinstance(source, ir.Inline) and source.media_type not in profile.image_types:
            raise self.losses.refusal(
                part.path, f"images of type {source.media_type} are not supported"
            )
        if isinstance(source, ir.PlainText):
            raise self.losses.refusal(part.path, "text is no image")
        return _marked({"type": "image", "source": self._source(source, part.path)}, part.cache)

    def _source(self, source: ir.Inline | ir.Url | ir.FileId, path: str) -> JsonObject:
        match source:
            case ir.Inline():
                return {"type": "base64", "media_type": source.media_type, "data": source.data}
            case ir.Url():
                if not source.url.startswith(("https://", "http://")):
                    raise self.losses.refusal(path, "only http addresses can be fetched")
                if not self.target.profile.image_urls:
                    raise self.losses.refusal(path, "the provider does not fetch addresses")
                return {"type": "url", "url": source.url}
            case ir.FileId():
                if source.protocol != PROTOCOL:
                    raise self.losses.refusal(path, "a file stored at another provider")
                return {"type": "file", "file_id": source.file_id}
            case _:
                assert_never(source)

    def _document(self, part: ir.Document) -> JsonObject:
        if part.detail is not None:
            self.losses.give_up(Loss.HINT, part.path, "the detail of a document cannot be chosen")
        if not self.target.profile.documents:
            return self._document_as_text(part)
        block: JsonObject = {"type": "document", "source": self._document_source(part)}
        if part.title:
            block["title"] = part.title
        if part.context:
            block["context"] = part.context
        if part.cite:
            block["citations"] = {"enabled": True}
        return _marked(block, part.cache)

    def _document_source(self, part: ir.Document) -> JsonObject:
        source = part.source
        if isinstance(source, ir.PlainText):
            return {"type": "text", "media_type": "text/plain", "data": source.text}
        if isinstance(source, ir.Inline) and source.media_type != "application/pdf":
            return {
                "type": "text",
                "media_type": "text/plain",
                "data": self._decoded(source, part.path),
            }
        return self._source(source, part.path)

    def _decoded(self, source: ir.Inline, path: str) -> str:
        """The text of an inline document that is no PDF."""
        if source.media_type.startswith("text/") or source.media_type.endswith(("json", "xml")):
            try:
                return base64.b64decode(source.data).decode()
            except ValueError:
                pass  # no UTF-8: not readable as text
        raise self.losses.refusal(path, f"documents of type {source.media_type} are not supported")

    def _document_as_text(self, part: ir.Document) -> JsonObject:
        if not isinstance(part.source, ir.PlainText):
            self.losses.give_up(
                Loss.MEANING, part.path, "the model takes no documents; it was left out"
            )
            return {"type": "text", "text": f"[document left out: {part.title or 'untitled'}]"}
        loss = Loss.MEANING if part.cite else Loss.VALUE
        self.losses.give_up(loss, part.path, "the document was sent as text")
        lines = (f"# {part.title}" if part.title else "", part.context or "", part.source.text)
        text = "\n".join(line for line in lines if line)
        return _marked({"type": "text", "text": text}, part.cache)

    # -- tools

    def _tool_call(self, part: ir.ToolCall) -> JsonObject:
        arguments = part.arguments
        if part.kind is ir.ToolKind.CUSTOM:
            arguments = freeform.wrap_input(arguments)
        return {
            "type": "tool_use",
            "id": wire_call_id(part.call_id),
            "name": self.names.wire(part.ref),
            "input": arguments_object(arguments, part.path, self.losses),
        }

    def _tool_result(self, part: ir.ToolResult, below: list[JsonObject]) -> JsonObject:
        """A result; media that may not stand in it (a failed result is text only) go into `below`."""
        apart = part.is_error or not self.target.profile.tool_result_media
        content: list[JsonObject] = []
        for item in part.content:
            if isinstance(item, ir.Text):
                content.append(_marked({"type": "text", "text": item.text}, item.cache))
                continue
            block = self._image(item) if isinstance(item, ir.Image) else self._document(item)
            if apart and block["type"] != "text":
                reason = "what the tool result shows was put below it"
                self.losses.give_up(Loss.VALUE, item.path, reason)
                below.append(block)
                block = {"type": "text", "text": f"[{block['type']} attached below]"}
            content.append(block)
        wire: JsonObject = {"type": "tool_result", "tool_use_id": wire_call_id(part.call_id)}
        wire["content"] = _simplest(content)
        if part.is_error:
            wire["is_error"] = True
        return _marked(wire, part.cache)


def _simplest(content: list[JsonObject]) -> str | list[JsonObject]:
    """A plain string where one text is all there is: the form that every server takes."""
    if not content:
        return ""
    only = content[0]
    if len(content) == 1 and only["type"] == "text" and "cache_control" not in only:
        return str(only["text"])
    return content


def _reasoning(part: ir.Reasoning) -> tuple[JsonObject, ...]:
    state = part.state
    if state is None:
        return ()
    if state.kind is ir.StateKind.ANTHROPIC_REDACTED:
        return ({"type": "redacted_thinking", "data": state.value},)
    return ({"type": "thinking", "thinking": part.text, "signature": state.value},)


def wire_call_id(call_id: str) -> str:
    """A call id that this protocol takes; the same for a call and its result."""
    if not call_id:
        raise GatewayError(ErrorKind.INVALID_REQUEST, "a tool call has no id")
    return ids.call_id(CALL_PREFIX, call_id, ids.WORD_CALL_ID)
