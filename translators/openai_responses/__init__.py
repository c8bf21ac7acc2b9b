"""OpenAI Responses: typed items in, typed items out, a stream of typed events in between.

A conversation is a flat list of items (messages, reasoning, calls, outputs, hosted calls); system text is
`instructions` or developer messages. Calls and outputs pair by `call_id`; reasoning travels as an item whose
`encrypted_content` only its maker can read. A stream is a numbered chain of events in which items and parts are
opened and closed, and whose terminal event repeats the whole response.
Codex is the most important client: freeform tools, namespaces, `additional_tools` items, retries by error code. Over a
WebSocket (socket.py) the events are the same, in messages.

Known gaps: no server-side state (`previous_response_id` must be resolved before parsing; conversations, prompt
templates and background runs are refused), steering over a WebSocket, audio events, the multi-agent beta.
Reference: https://platform.openai.com/docs/api-reference/responses (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from translators import base, ir
from translators.errors import ErrorKind, ErrorReply, GatewayError
from translators.losses import Losses
from translators.openai_responses import errors, passing, request, response, upstream
from translators.openai_responses.content import PROTOCOL
from translators.openai_responses.encoder import Encoder
from translators.openai_responses.snapshot import parse_usage
from translators.openai_responses.stream import Observer, ResponsesDecoder
from translators.seal import Seal
from translators.wire import JsonObject

_PATHS: Final[Mapping[base.Operation, str]] = {
    base.Operation.GENERATE: "/responses",
    base.Operation.COUNT_TOKENS: "/responses/input_tokens",
    base.Operation.LIST_MODELS: "/models",
    base.Operation.COMPACT: "/responses/compact",
    base.Operation.GET_MODEL: "/models/{model}",
    base.Operation.RESPONSE_ITEM: "/responses",
}


class ResponsesTranslator:
    """See Translator."""

    name: Final = PROTOCOL

    def parse_request(self, body: JsonObject, call: base.Call, seal: Seal | None) -> ir.Request:
        """See Translator."""
        return request.parse_request(body, call, seal)

    def render_request(
        self, request: ir.Request, target: base.Target, losses: Losses
    ) -> base.Rendered:
        """See Translator."""
        return upstream.render_request(request, target, losses)

    def fit(self, body: JsonObject, fitting: base.Fitting, losses: Losses) -> JsonObject:
        """See Translator."""
        return passing.fit(body, fitting, losses)

    def parse_response(
        self, body: JsonObject, reading: base.Reading, losses: Losses
    ) -> ir.Response:
        """See Translator."""
        return response.parse_response(body, reading, losses)

    def render_response(
        self, response_: ir.Response, writing: base.Writing, losses: Losses
    ) -> JsonObject:
        """See Translator."""
        return response.render_response(response_, writing, losses)

    def decoder(self, reading: base.Reading, losses: Losses) -> base.StreamDecoder:
        """See Translator."""
        return ResponsesDecoder(reading, losses)

    def encoder(self, writing: base.Writing, losses: Losses) -> base.StreamEncoder:
        """See Translator."""
        return Encoder(writing, losses)

    def observer(self) -> base.StreamObserver:
        """See Translator."""
        return Observer()

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        """See Translator."""
        return errors.parse_error(status, headers, body)

    def render_error(self, error: GatewayError, request_id: str) -> ErrorReply:
        """See Translator."""
        return errors.render_error(error, request_id)

    def render_stream_error(self, error: GatewayError, request_id: str) -> bytes:
        """See Translator; the bare `error` event, since nothing is known of the response's id."""
        return errors.error_event(error, 0)

    def upstream_path(self, operation: base.Operation, model: str, stream: bool) -> str:
        """See Translator; `METHOD_NOT_ALLOWED` for the legacy completions, which are no part of this API."""
        path = _PATHS.get(operation)
        if path is None:
            raise GatewayError(
                ErrorKind.METHOD_NOT_ALLOWED,
                f"the Responses API has no endpoint for {operation.value}",
            )
        return path.format(model=quote(model, safe=""))

    def usage(self, body: JsonObject) -> ir.Usage:
        """See Translator."""
        return parse_usage(body)


TRANSLATOR: Final[base.Translator] = ResponsesTranslator()
