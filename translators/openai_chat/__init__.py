"""OpenAI Chat Completions, as client side and as upstream side.

- one POST, `messages` in, `choices` out; `stream: true` gives `data:` chunks and `[DONE]`
- system text is a message (`system`, or `developer` for newer models); tool results are messages of role `tool`
- tool arguments are a JSON string; freeform tools (`custom`) take one plain string
- no field carries reasoning: servers beside OpenAI use `reasoning_content`, `reasoning`, `reasoning_details`
- `prompt_tokens` includes cached input, `completion_tokens` includes reasoning

Many servers speak it loosely: the reading side takes what they send, the writing side keeps to the schema.
Known gaps: spoken output and stored completions exist between Chat client and Chat upstream only (passthrough).
Reference: https://platform.openai.com/docs/api-reference/chat (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from translators import ir
from translators.base import (
    Call,
    Fitting,
    Operation,
    Reading,
    Rendered,
    Target,
    Translator,
    Writing,
)
from translators.errors import ErrorKind, ErrorReply, GatewayError
from translators.losses import Losses
from translators.openai_chat.errors import parse_error, render_error, render_stream_error
from translators.openai_chat.passing import fit
from translators.openai_chat.request import parse_request, render_request
from translators.openai_chat.response import parse_response, render_response
from translators.openai_chat.stream import ChatDecoder, ChatEncoder, ChatObserver
from translators.openai_chat.usage import find_usage
from translators.openai_chat.words import NAME
from translators.seal import Seal
from translators.wire import JsonObject

_PATHS: Final[Mapping[Operation, str]] = {
    Operation.GENERATE: "/chat/completions",
    Operation.LIST_MODELS: "/models",
    Operation.GET_MODEL: "/models/{model}",
    Operation.LEGACY_COMPLETION: "/completions",
}


class ChatTranslator:
    """See Translator."""

    name = NAME

    def parse_request(self, body: JsonObject, call: Call, seal: Seal | None) -> ir.Request:
        """See Translator."""
        return parse_request(body, call, seal)

    def render_request(self, request: ir.Request, target: Target, losses: Losses) -> Rendered:
        """See Translator."""
        return render_request(request, target, losses)

    def fit(self, body: JsonObject, fitting: Fitting, losses: Losses) -> JsonObject:
        """See Translator."""
        return fit(body, fitting, losses)

    def parse_response(self, body: JsonObject, reading: Reading, losses: Losses) -> ir.Response:
        """See Translator."""
        return parse_response(body, reading, losses)

    def render_response(
        self, response: ir.Response, writing: Writing, losses: Losses
    ) -> JsonObject:
        """See Translator."""
        return render_response(response, writing, losses)

    def decoder(self, reading: Reading, losses: Losses) -> ChatDecoder:
        """See Translator."""
        return ChatDecoder(reading, losses)

    def encoder(self, writing: Writing, losses: Losses) -> ChatEncoder:
        """See Translator."""
        return ChatEncoder(writing, losses)

    def observer(self) -> ChatObserver:
        """See Translator."""
        return ChatObserver()

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        """See Translator."""
        return parse_error(status, headers, body)

    def render_error(self, error: GatewayError, request_id: str) -> ErrorReply:
        """See Translator."""
        return render_error(error, request_id)

    def render_stream_error(self, error: GatewayError, request_id: str) -> bytes:
        """See Translator."""
        return render_stream_error(error, request_id)

    def upstream_path(self, operation: Operation, model: str, stream: bool) -> str:
        """See Translator; `METHOD_NOT_ALLOWED` for what Chat Completions has no endpoint for."""
        path = _PATHS.get(operation)
        if path is None:
            raise GatewayError(
                ErrorKind.METHOD_NOT_ALLOWED,
                f"Chat Completions has no endpoint for {operation.value}",
            )
        return path.format(model=quote(model, safe=""))

    def usage(self, body: JsonObject) -> ir.Usage:
        """See Translator."""
        return find_usage(body)


TRANSLATOR: Final[Translator] = ChatTranslator()

__all__ = ["TRANSLATOR"]
