"""Compactions at an upstream of another protocol: its model is asked for a summary.

Client sides only, put in place of the protocol's own translator: one for `POST /responses/compact`, one for a
`compaction_trigger` at the end of an ordinary request, which is answered like one.
Reference: https://platform.openai.com/docs/api-reference/responses/compact (read 2026-11-21)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from translators import ir
from translators.base import Call, StreamEncoder, Writing
from translators.errors import ErrorKind, GatewayError
from translators.fold import Folder, unfold
from translators.losses import Losses
from translators.openai_responses import ResponsesTranslator
from translators.openai_responses.side import (
    compacted,
    compaction_request,
    compaction_response,
    summary_of,
)
from translators.seal import Seal
from translators.wire import JsonObject


class CompactionTranslator(ResponsesTranslator):
    """See Translator: the request asks for a summary, the answer is the compaction that holds it."""

    def parse_request(self, body: JsonObject, call: Call, seal: Seal | None) -> ir.Request:
        """See Translator."""
        return compaction_request(super().parse_request(body, call, seal))

    def render_response(
        self, response_: ir.Response, writing: Writing, losses: Losses
    ) -> JsonObject:
        """See Translator."""
        return compaction_response(
            summary_of(response_),
            _seal(writing),
            upstream_id=response_.id,
            now_s=writing.now_s,
            usage=response_.usage,
        )


class TriggeredCompactionTranslator(ResponsesTranslator):
    """See Translator: the request asks for a summary, the answer's one item is the compaction that holds it."""

    def parse_request(self, body: JsonObject, call: Call, seal: Seal | None) -> ir.Request:
        """See Translator."""
        asked = super().parse_request(body, call, seal)
        return replace(compaction_request(asked), stream=asked.stream)

    def render_response(
        self, response_: ir.Response, writing: Writing, losses: Losses
    ) -> JsonObject:
        """See Translator."""
        return super().render_response(compacted(response_, _seal(writing)), writing, losses)

    def encoder(self, writing: Writing, losses: Losses) -> StreamEncoder:
        """See Translator."""
        return CompactingEncoder(super().encoder(writing, losses), _seal(writing))


class CompactingEncoder:
    """Hold the summary back until it is whole, then say the compaction; the beginning goes out at once."""

    def __init__(self, encoder: StreamEncoder, seal: Seal) -> None:
        self._encoder = encoder
        self._seal = seal
        self._summary = Folder()

    def encode(self, event: ir.StreamEvent) -> bytes:
        """See StreamEncoder."""
        match event:
            case ir.MessageStart():
                self._summary.add(event)
                return self._encoder.encode(event)
            case ir.Finish():
                self._summary.add(event)
                answer = compacted(self._summary.response(), self._seal)
                _start, *rest = unfold(answer)
                return b"".join(map(self._encoder.encode, rest))
            case ir.StreamFailed() | ir.Ping():
                return self._encoder.encode(event)
            case _:
                self._summary.add(event)
                return b""

    def ping(self) -> bytes:
        """See StreamEncoder."""
        return self._encoder.ping()


def _seal(writing: Writing) -> Seal:
    if writing.seal is None:
        raise GatewayError(ErrorKind.INTERNAL, "a compaction needs the gateway's seal")
    return writing.seal


COMPACTION: Final = CompactionTranslator()
TRIGGERED_COMPACTION: Final = TriggeredCompactionTranslator()
