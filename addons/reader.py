"""Read the request's body: content encoding undone, JSON parsed once, model and stream known.

An upgrade to a WebSocket that nobody has accepted is refused here: on 426 Codex goes on over HTTP for its session.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs

from mitmproxy import http

from addons import bodies
from addons.admission import refuse
from addons.exchange import Exchange, Exchanges
from addons.guard import fail_closed
from translators.base import Operation, Translator
from translators.errors import ErrorKind, GatewayError, invalid
from translators.openai_chat.completions import COMPLETIONS
from translators.openai_responses.compaction import COMPACTION
from translators.wire import JsonSyntaxError, loads

MAX_MODEL_CHARS: Final = 1024
"""Names are remembered in several places, each bounded in number."""
TRANSLATORS: Final[Mapping[Operation, Translator]] = {
    Operation.LEGACY_COMPLETION: COMPLETIONS,
    Operation.COMPACT: COMPACTION,
}
"""Operations whose bodies are not those of their protocol's generations."""


class Reader:
    """Fill `raw`, `body`, `model` and `stream` of an exchange."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges

    @fail_closed
    def request(self, flow: http.HTTPFlow) -> None:
        """Decode and parse, for operations that have a body."""
        exchange = self._exchanges.get(flow)
        if exchange is None or exchange.endpoint.operation is None:
            return
        if exchange.endpoint.operation is Operation.GENERATE and flow.request.method == "GET":
            raise no_generation_by_get(flow.request)
        if flow.request.method != "POST":
            return
        read_body(exchange, flow.request.raw_content or b"")
        if exchange.endpoint.operation in TRANSLATORS:
            exchange.translator = TRANSLATORS[exchange.endpoint.operation]
            exchange.stream = exchange.stream and exchange.translator is COMPLETIONS
        if exchange.translator.name == "gemini" and exchange.stream:
            query = parse_qs(flow.request.path.partition("?")[2])
            exchange.array_framing = query.get("alt") != ["sse"]

    def refuse(self, flow: http.HTTPFlow, error: GatewayError) -> None:
        """Answer with an error."""
        refuse(self._exchanges, flow, error)


def no_generation_by_get(request: http.Request) -> GatewayError:
    """A GET where answers are generated is an attempt at a WebSocket, or a mistake."""
    if request.headers.get("upgrade", "").lower() == "websocket":
        return GatewayError(
            ErrorKind.METHOD_NOT_ALLOWED,
            "the WebSocket transport is switched off (websocket.enabled); use POST",
            status=426,
        )
    return GatewayError(ErrorKind.METHOD_NOT_ALLOWED, "GET is not possible here; use POST")


def read_body(exchange: Exchange, content: bytes) -> None:
    """Parse the client's bytes into the exchange; errors name the position or the path."""
    limit = exchange.config.limits.max_request_bytes
    encoding = exchange.headers.get("content-encoding", "")
    exchange.raw = bodies.decode(content, encoding, limit)
    endpoint = exchange.endpoint
    if not exchange.raw.strip():
        if endpoint.operation is Operation.RESPONSE_ITEM:
            return
        raise GatewayError(
            ErrorKind.INVALID_REQUEST, "the request has no body; a JSON object is expected"
        )
    try:
        body = loads(exchange.raw)
    except JsonSyntaxError as error:
        raise GatewayError(
            ErrorKind.INVALID_REQUEST, f"the request body is not valid JSON: {error}"
        ) from error
    if not isinstance(body, dict):
        raise invalid("$", "an object", body)
    exchange.body = body
    model = endpoint.model if endpoint.model is not None else body.get("model")
    if model is not None and not isinstance(model, str):
        raise invalid("model", "a string", model)
    exchange.model = checked_model((model or "").strip())
    exchange.stream = endpoint.stream if endpoint.stream is not None else body.get("stream") is True


def checked_model(name: str) -> str:
    """A model's name, which comes to stand in URLs, headers and logs; refused when it means something else there."""
    if len(name) > MAX_MODEL_CHARS:
        raise GatewayError(
            ErrorKind.INVALID_REQUEST,
            f"model: longer than {MAX_MODEL_CHARS} characters",
            path="model",
        )
    if any(character < " " or character == "\x7f" for character in name):
        raise GatewayError(
            ErrorKind.INVALID_REQUEST, "model: has a control character", path="model"
        )
    if not {".", ".."}.isdisjoint(name.split("/")):
        raise GatewayError(
            ErrorKind.INVALID_REQUEST, "model: has `.` or `..` between its slashes", path="model"
        )
    return name
