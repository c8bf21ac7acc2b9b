"""Answers that the gateway makes by itself: errors in the client's own protocol, and JSON pages. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from mitmproxy import http

from addons.headers import encoded
from translators.base import Translator
from translators.errors import GatewayError
from translators.wire import Json, dumps

JSON_TYPE: Final = "application/json"
REQUEST_ID_HEADER: Final = "x-llmgate-request-id"


def error_response(
    translator: Translator, error: GatewayError, request_id: str, method: str = "POST"
) -> http.Response:
    """An error as the client's protocol spells it, with `retry-after` in whole seconds when a delay is known."""
    reply = translator.render_error(error, request_id)
    headers = {name.lower(): value for name, value in reply.headers.items()}
    headers["content-type"] = JSON_TYPE
    headers[REQUEST_ID_HEADER] = request_id
    if error.retry_after_s is not None:
        headers.setdefault("retry-after", str(max(0, math.ceil(error.retry_after_s))))
    body = b"" if method == "HEAD" else dumps(reply.body)
    return make_response(error.status or reply.status, body, headers)


def json_response(payload: Json, status: int = 200, *, method: str = "GET") -> http.Response:
    """A JSON page; HEAD gets its headers only."""
    body = b"" if method == "HEAD" else dumps(payload) + b"\n"
    return make_response(status, body, {"content-type": JSON_TYPE, "cache-control": "no-store"})


def make_response(status: int, body: bytes, headers: Mapping[str, str]) -> http.Response:
    """A whole answer; `content-length` is set."""
    return http.Response.make(status, body, http.Headers(encoded(headers.items())))
