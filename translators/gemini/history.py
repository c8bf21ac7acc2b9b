"""The conversation as a Gemini upstream wants it: parts, signatures, results in call order.

Turn normalisation has been done (`turns.py`); here each part finds its wire form and each signature its part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, assert_never

from translators import ir, turns
from translators.base import Target
from translators.gemini import calls
from translators.gemini.content import LEVEL_OF_DETAIL, blob, file_part, render_code
from translators.gemini.context import PROTOCOL
from translators.gemini.signatures import BYPASS
from translators.losses import Action, Loss, Losses
from translators.names import ToolNames
from translators.profile import DEFAULT_PROFILE
from translators.wire import JsonObject

_WIRE_ROLES: Final[Mapping[ir.Role, str]] = {ir.Role.USER: "user", ir.Role.ASSISTANT: "model"}
_OWN_IMAGE_TYPES: Final = frozenset({"image/heic", "image/heif"})
_IMAGE_TYPES: Final = _OWN_IMAGE_TYPES | {"image/png", "image/jpeg", "image/webp"}
"""What Gemini reads where nothing else is known of the model: no GIF (section 5)."""
_IMAGE_BELOW: Final = "[image attached below]"


class History:
    """Render the turns of one request; made afresh for each."""

    def __init__(
        self, request: ir.Request, target: Target, names: ToolNames, losses: Losses
    ) -> None:
        self._request = request
        self._target = target
        self._names = names
        self._losses = losses
        self._dropped_reasoning = False

    def render(self, messages: tuple[ir.Message, ...]) -> list[JsonObject]:
        """`contents`; at least one, or the request is refused."""
        current = _current_turn(messages)
        contents: list[JsonObject] = []
        for index, message in enumerate(messages):
            if message.role is ir.Role.ASSISTANT:
                parts = self._model_parts(message, is_current=index >= current)
            else:
                parts = self._user_parts(message)
            if parts:
                contents.append({"role": _WIRE_ROLES[message.role], "parts": parts})
        if not contents:
            raise turns.nothing_said(self._request.path_of("messages"))
        return contents

    # -- turns

    def _model_parts(self, message: ir.Message, *, is_current: bool) -> list[JsonObject]:
        parts: list[JsonObject] = []
        signature: str | None = None  # waits for the part that it belongs to
        seen_call = False
        for part in message.parts:
            if isinstance(part, ir.Reasoning):
                if self._state_is_ours(part):
                    if signature is not None:
                        parts.append({"text": "", "thoughtSignature": signature})
                    signature = part.state.value if part.state else None
                if part.text and self._text_is_ours(part):
                    parts.append({"text": part.text, "thought": True})
                continue
            wires = self._part(part)
            if wires and signature is not None:
                wires[0] = {**wires[0], "thoughtSignature": signature}
                signature = None
            if isinstance(part, ir.ToolCall) and not seen_call:
                seen_call = True
                if "thoughtSignature" not in wires[0]:
                    self._sign_foreign_call(wires[0], part, is_current=is_current)
            parts.extend(wires)
        if signature is not None:
            parts.append({"text": "", "thoughtSignature": signature})
        return parts

    def _user_parts(self, message: ir.Message) -> list[JsonObject]:
        """Results first, in call order; then what the user says."""
        results = [part for part in message.parts if isinstance(part, ir.ToolResult)]
        parts: list[JsonObject] = []
        attached: list[JsonObject] = []
        for result in results:
            parts.append(self._result(result, attached))
        parts.extend(attached)
        for part in message.parts:
            if not isinstance(part, ir.ToolResult):
                parts.extend(self._part(part))
        return parts

    # -- reasoning

    def _state_is_ours(self, part: ir.Reasoning) -> bool:
        if part.state is None:
            return False
        if self._target.understands(part.state, PROTOCOL):
            return True
        self._note_dropped(part)
        return False

    def _text_is_ours(self, part: ir.Reasoning) -> bool:
        """Thoughts go back to Gemini as thoughts; those of others are no text of this conversation."""
        if part.state is not None:
            return self._target.understands(part.state, PROTOCOL)
        if self._request.protocol == PROTOCOL:
            return True
        self._note_dropped(part)
        return False

    def _note_dropped(self, part: ir.Reasoning) -> None:
        if not self._dropped_reasoning:
            self._dropped_reasoning = True
            self._losses.warn(part.path, "reasoning of another model is not replayed")

    def _sign_foreign_call(self, wire: JsonObject, call: ir.ToolCall, *, is_current: bool) -> None:
        """The placeholder for a call that this model did not make.

        Only the current turn is validated, but earlier turns keep theirs: a placeholder that came and went
        would change the prompt's prefix, and with it what the provider has cached.
        """
        if not self._target.profile.signatures_required:
            return
        if is_current:
            self._losses.choose(
                call.path,
                "the call carries no thought signature of this model; a placeholder was sent",
                strict=Action.REJECT,
                balanced=Action.WARN,
                max_compat=Action.WARN,
            )
        wire["thoughtSignature"] = BYPASS

    # -- parts

    def _part(self, part: ir.Part) -> list[JsonObject]:
        if getattr(part, "cache", None) is not None:
            self._losses.give_up(Loss.TELEMETRY, part.path, "caching marks cannot be sent")
        match part:
            case ir.Text() | ir.Refusal():
                return [{"text": part.text}] if part.text else []
            case ir.Image():
                return self._image(part)
            case ir.Document():
                return self._document(part)
            case ir.Audio():
                return [self._media(part.source, part.path)]
            case ir.Video():
                wire = self._media(part.source, part.path)
                return [wire | {"videoMetadata": part.options} if part.options else wire]
            case ir.ToolCall():
                return [self._call(part)]
            case ir.ToolResult():
                return [self._result(part, [])]
            case ir.CodeRun():
                return render_code(part)
            case ir.Foreign():
                return [part.wire]
            case ir.Reasoning() | ir.WebSearch():
                return []  # reasoning of a user, and searches: `localise` has dealt with them
            case _:
                assert_never(part)

    def _call(self, call: ir.ToolCall) -> JsonObject:
        return {
            "functionCall": {
                "id": call.call_id,
                "name": self._names.wire(call.ref),
                "args": calls.call_object(call, call.path, self._losses),
            }
        }

    def _result(self, result: ir.ToolResult, attached: list[JsonObject]) -> JsonObject:
        if result.cache is not None:
            self._losses.give_up(Loss.TELEMETRY, result.path, "caching marks cannot be sent")
        ref = ir.ToolRef(result.name or result.call_id, result.namespace)
        response: JsonObject = {"id": result.call_id, "name": self._names.wire(ref)}
        response["response"] = calls.response_object(result)
        extra: list[JsonObject] = []
        for item in result.content:
            if isinstance(item, ir.Image):
                extra.extend(self._image(self._inside_result(item)))
            elif isinstance(item, ir.Document):
                extra.extend(self._document(self._inside_result(item)))
        texts = [wire["text"] for wire in extra if "text" in wire]
        files = [wire for wire in extra if "text" not in wire]
        if files and not self._target.profile.tool_result_media:
            attached.extend(files)
            texts.append(_IMAGE_BELOW)
            files = []
        if texts:
            key, value = next(iter(response["response"].items()))
            whole = [value, *texts] if isinstance(value, str) and value else texts
            if isinstance(value, str):
                response["response"] = {key: "\n".join(whole)}
        if files:
            response["parts"] = files
        return {"functionResponse": response}

    # -- media

    def _image(self, image: ir.Image) -> list[JsonObject]:
        accepted = self._target.profile.image_types
        source = image.source
        if not accepted:
            self._losses.give_up(Loss.MEANING, image.path, "the model takes no images")
            return [{"text": "[image omitted]"}]
        known = accepted != DEFAULT_PROFILE.image_types
        accepted = accepted | _OWN_IMAGE_TYPES if known else _IMAGE_TYPES
        if isinstance(source, ir.Inline) and source.media_type not in accepted:
            reason = f"the model takes no images of type {source.media_type}"
            raise self._losses.refusal(image.path, reason)
        wire = self._media(source, image.path)
        level = LEVEL_OF_DETAIL.get(image.detail or "")
        return [wire | {"mediaResolution": {"level": level}} if level else wire]

    def _inside_result[M: (ir.Image, ir.Document)](self, item: M) -> M:
        """Media inside a function's response have no resolution of their own."""
        if not self._target.profile.tool_result_media or item.detail not in LEVEL_OF_DETAIL:
            return item
        self._losses.give_up(
            Loss.HINT, f"{item.path}.detail", "media in tool results have no resolution"
        )
        return replace(item, detail=None)

    def _document(self, document: ir.Document) -> list[JsonObject]:
        if document.cite:
            self._losses.give_up(
                Loss.MEANING, document.path, "the provider cannot cite from documents"
            )
        parts: list[JsonObject] = []
        if document.context:
            parts.append({"text": document.context})
        if isinstance(document.source, ir.PlainText):
            heading = f"# {document.title}\n" if document.title else ""
            return [*parts, {"text": heading + document.source.text}]
        if not self._target.profile.documents:
            self._losses.give_up(Loss.MEANING, document.path, "the model takes no documents")
            return [*parts, {"text": "[document omitted]"}]
        wire = self._media(document.source, document.path, document.title)
        level = LEVEL_OF_DETAIL.get(document.detail or "")
        return [*parts, wire | {"mediaResolution": {"level": level}} if level else wire]

    def _media(self, source: ir.Source, path: str, title: str | None = None) -> JsonObject:
        # `displayName` on blobs exists on Vertex only.
        title = title if self._target.profile.vertex else None
        match source:
            case ir.Inline():
                return blob(source, title)
            case ir.Url():
                if self._takes_url(source.url):
                    return file_part(source.url, source.media_type, title)
                raise self._losses.refusal(
                    path,
                    "the provider takes no media by URL; let the gateway fetch it, or send the data inline",
                )
            case ir.FileId():
                if source.protocol == PROTOCOL:
                    return file_part(source.file_id, source.media_type, title)
                raise self._losses.refusal(path, "a file stored at another provider cannot be read")
            case ir.PlainText():
                return {"text": source.text}
            case _:
                assert_never(source)

    def _takes_url(self, url: str) -> bool:
        if url.startswith("gs://") or self._target.profile.file_uris:
            return True
        # A Gemini client wrote it as a `fileUri` itself.
        return self._request.protocol == PROTOCOL


def _current_turn(messages: tuple[ir.Message, ...]) -> int:
    """Where the last user message begins that is more than tool results."""
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message.role is ir.Role.USER and not any(
            isinstance(part, ir.ToolResult) for part in message.parts
        ):
            return index
    return 0
