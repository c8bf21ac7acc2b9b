"""`POST /responses/compact` at an upstream of another protocol: its model is asked for a summary.

A client side only, put in place of the protocol's own translator for such a request.
Reference: https://platform.openai.com/docs/api-reference/responses/compact (read 2026-11-21)
"""

from __future__ import annotations

from typing import Final

from translators import ir
from translators.base import Call, Writing
from translators.errors import ErrorKind, GatewayError
from translators.losses import Losses
from translators.openai_responses import ResponsesTranslator
from translators.openai_responses.side import compaction_request, compaction_response, summary_of
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
        if writing.seal is None:
            raise GatewayError(ErrorKind.INTERNAL, "a compaction needs the gateway's seal")
        return compaction_response(
            summary_of(response_),
            writing.seal,
            upstream_id=response_.id,
            now_s=writing.now_s,
            usage=response_.usage,
        )


COMPACTION: Final = CompactionTranslator()
