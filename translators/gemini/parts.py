"""Parts of an answer in Gemini's words: what the whole response and the stream's chunks have in common.

Reference: https://ai.google.dev/api/caching#Part (read 2026-11-21)
"""

from __future__ import annotations

from typing import Final

from translators import ir, media, names
from translators.base import Writing
from translators.gemini.answer import Grounding
from translators.gemini.calls import call_object
from translators.gemini.config import asks_for_enum
from translators.gemini.content import blob, file_part, render_code
from translators.gemini.context import PROTOCOL
from translators.gemini.signatures import signature_of
from translators.losses import Losses
from translators.wire import JsonObject, JsonSyntaxError, loads

_PARTS: Final = "response.parts"


class PartWriter:
    """Write parts one after the other; a signature waits here for the part that it stands on."""

    __slots__ = ("_losses", "_seal", "grounding", "is_enum", "signature")

    def __init__(self, writing: Writing, losses: Losses) -> None:
        self._seal = writing.seal
        self._losses = losses
        self.grounding = Grounding()
        self.is_enum = asks_for_enum(writing.raw)
        self.signature: str | None = None

    def signed(self, part: JsonObject) -> JsonObject:
        """The part with the waiting signature on it."""
        if self.signature is None:
            return part
        signature, self.signature = self.signature, None
        return {**part, "thoughtSignature": signature}

    def rest(self) -> list[JsonObject]:
        """An empty part for a signature that no part has taken."""
        return [self.signed({"text": ""})] if self.signature is not None else []

    def reason(self, reasoning: ir.Reasoning) -> list[JsonObject]:
        """Keep the state for the next part; the parts are what an earlier one left behind.

        The thoughts themselves are written by the caller.
        """
        signature = signature_of(reasoning, self._seal)
        if signature is None:
            if reasoning.state is not None:
                self._losses.warn(_PARTS, "reasoning state could not be handed to the client")
            return []
        left = self.rest()
        self.signature = signature
        return left

    def text(self, text: str) -> str:
        """Visible text; an enum that came as a JSON string is taken out of its quotes."""
        if self.is_enum:
            try:
                value = loads(text)
            except JsonSyntaxError:
                return text
            return value if isinstance(value, str) else text
        return text

    def call(self, call: ir.ToolCall) -> list[JsonObject]:
        """A whole call; one that the output limit cut has no valid arguments and is left out."""
        if not call.complete:
            self._losses.warn(_PARTS, f'a call of "{call.name}" that the limit cut was left out')
            return []
        args = call_object(call, f"{_PARTS}.functionCall.args", self._losses)
        wire = {"name": names.full_name(call.ref), "args": args, "id": call.call_id}
        return [self.signed({"functionCall": wire})]

    def whole(self, part: ir.Part) -> list[JsonObject]:
        """A part that comes in one piece; [] when it was given up."""
        match part:
            case ir.Image() | ir.Audio() | ir.Video() | ir.Document():
                return [self.signed(wire) for wire in self._media(part.source)]
            case ir.CodeRun():
                first, *others = render_code(part)
                return [self.signed(first), *others]
            case ir.WebSearch():
                self.grounding.search(part)
                return []
            case ir.Foreign() if part.protocol == PROTOCOL:
                return [self.signed(part.wire)]
            case ir.Foreign():
                self._losses.warn(_PARTS, f"`{part.type}` has no equivalent and was dropped")
                return []
            case _:
                return []

    def _media(self, source: ir.Source) -> list[JsonObject]:
        match source:
            case ir.Inline():
                return [blob(source)]
            case ir.Url():
                inline = media.parse_data_url(source.url, _PARTS)
                return [blob(inline) if inline else file_part(source.url, source.media_type)]
            case ir.FileId() if source.protocol == PROTOCOL:
                return [file_part(source.file_id, source.media_type)]
            case ir.PlainText():
                return [{"text": source.text}]
            case _:
                self._losses.warn(_PARTS, "a file stored at another provider was dropped")
                return []

    def cite(self, citation: ir.Citation, text: str, part_index: int = 0) -> None:
        """A source of a text part; places in the client's own documents cannot be said."""
        if isinstance(citation, ir.UrlCitation):
            self.grounding.cite(citation, text, part_index)
        else:
            self._losses.warn("response.citations", "citations of documents were dropped")
