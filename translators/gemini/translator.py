"""The package's face: the Translator interface over the modules that do the work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from translators import ir
from translators.base import Call, Fitting, Operation, Reading, Rendered, Target, Writing
from translators.errors import ErrorReply, GatewayError
from translators.gemini import errors, request, response
from translators.gemini.context import PROTOCOL
from translators.gemini.encoder import GeminiEncoder
from translators.gemini.stream import GeminiDecoder, GeminiObserver
from translators.losses import Losses
from translators.seal import Seal
from translators.sse import escape_separators
from translators.wire import JsonObject, dumps

_METHODS: Final[Mapping[Operation, str]] = {
    Operation.GENERATE: ":generateContent",
    Operation.COUNT_TOKENS: ":countTokens",
    Operation.GET_MODEL: "",
}
_COLLECTIONS: Final = ("models/", "tunedModels/", "endpoints/", "publishers/", "projects/")


class Gemini:
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

    def decoder(self, reading: Reading, losses: Losses) -> GeminiDecoder:
        """See Translator."""
        return GeminiDecoder(reading, losses)

    def encoder(self, writing: Writing, losses: Losses) -> GeminiEncoder:
        """See Translator."""
        return GeminiEncoder(writing, losses)

    def observer(self) -> GeminiObserver:
        """See Translator."""
        return GeminiObserver()

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        """See Translator."""
        return errors.parse_error(status, headers, body)

    def render_error(self, error: GatewayError, request_id: str) -> ErrorReply:
        """See Translator."""
        return errors.render_error(error, request_id)

    def render_stream_error(self, error: GatewayError, request_id: str) -> bytes:
        """See Translator. For SSE; within a JSON array only an encoder can write one."""
        return b"data: " + escape_separators(dumps(errors.error_object(error))) + b"\r\n\r\n"

    def upstream_path(self, operation: Operation, model: str, stream: bool) -> str:
        """See Translator. A model with a collection in front (`tunedModels/x`) keeps it."""
        if operation is Operation.LIST_MODELS:
            return "/models"
        where = quote(model if model.startswith(_COLLECTIONS) else f"models/{model}", safe="/@")
        if operation is Operation.GENERATE and stream:
            return f"/{where}:streamGenerateContent?alt=sse"
        return f"/{where}{_METHODS.get(operation, ':generateContent')}"

    def usage(self, body: JsonObject) -> ir.Usage:
        """See Translator."""
        return response.usage(body)


TRANSLATOR: Final = Gemini()
