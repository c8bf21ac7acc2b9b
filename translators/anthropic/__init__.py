"""Anthropic Messages: `POST /v1/messages`, its token counter and its model list.

A conversation of user and assistant turns whose contents are typed blocks; tool results are blocks of user turns, the
system text stands beside the messages, and `max_tokens` is required. A stream is a strict sequence: `message_start`,
blocks one after the other (start, deltas, stop), `message_delta`, `message_stop`. Thinking blocks carry signatures that
only their maker accepts.
Reference: https://platform.claude.com/docs/en/api/messages (read 2026-11-21)

Known gaps: batches, files and skills are not read; a document made of blocks, and a client's cache mark on a tool call,
survive only where the bytes pass untouched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from translators import ir
from translators.anthropic import errors, request, response
from translators.anthropic.encoder import AnthropicEncoder
from translators.anthropic.stream import AnthropicDecoder, AnthropicObserver
from translators.anthropic.transcript import PausingDecoder
from translators.anthropic.words import PROTOCOL
from translators.base import (
    Call,
    Fitting,
    Operation,
    Reading,
    Rendered,
    StreamDecoder,
    StreamEncoder,
    StreamObserver,
    Target,
    Translator,
    Writing,
)
from translators.errors import ErrorKind, ErrorReply, GatewayError
from translators.losses import Losses
from translators.seal import Seal
from translators.wire import JsonObject


class AnthropicTranslator:
    """See Translator."""

    name = PROTOCOL

    def parse_request(self, body: JsonObject, call: Call, seal: Seal | None) -> ir.Request:
        """See Translator."""
        return request.parse_request(body, call, seal)

    def render_request(self, request_: ir.Request, target: Target, losses: Losses) -> Rendered:
        """See Translator."""
        return request.render_request(request_, target, losses)

    def fit(self, body: JsonObject, fitting: Fitting, losses: Losses) -> JsonObject:
        """See Translator; nothing is known that would have to change."""
        return body

    def parse_response(self, body: JsonObject, reading: Reading, losses: Losses) -> ir.Response:
        """See Translator."""
        return response.parse_response(body, reading, losses)

    def render_response(
        self, response_: ir.Response, writing: Writing, losses: Losses
    ) -> JsonObject:
        """See Translator."""
        return response.render_response(response_, writing, losses)

    def decoder(self, reading: Reading, losses: Losses) -> StreamDecoder:
        """See Translator."""
        decoder = PausingDecoder if reading.resumable else AnthropicDecoder
        return decoder(reading, losses)

    def encoder(self, writing: Writing, losses: Losses) -> StreamEncoder:
        """See Translator."""
        return AnthropicEncoder(writing, losses)

    def observer(self) -> StreamObserver:
        """See Translator."""
        return AnthropicObserver()

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        """See Translator."""
        return errors.parse_error(status, headers, body)

    def render_error(self, error: GatewayError, request_id: str) -> ErrorReply:
        """See Translator."""
        return errors.render_error(error, request_id)

    def render_stream_error(self, error: GatewayError, request_id: str) -> bytes:
        """See Translator."""
        return errors.render_stream_error(error, request_id)

    def upstream_path(self, operation: Operation, model: str, stream: bool) -> str:
        """See Translator."""
        match operation:
            case Operation.GENERATE:
                return "/messages"
            case Operation.COUNT_TOKENS:
                return "/messages/count_tokens"
            case Operation.LIST_MODELS:
                return "/models?limit=1000"
            case Operation.GET_MODEL:
                return f"/models/{quote(model, safe='@')}"
            case _:
                raise GatewayError(
                    ErrorKind.METHOD_NOT_ALLOWED,
                    f"Anthropic Messages has no operation {operation.value}",
                )

    def usage(self, body: JsonObject) -> ir.Usage:
        """See Translator."""
        return response.usage_of(body)


TRANSLATOR: Final[Translator] = AnthropicTranslator()
