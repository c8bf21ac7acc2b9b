"""Errors in the envelope that both OpenAI protocols share: `{"error": {message, type, param, code}}`.

Reads an upstream's error answer, whatever its body is, and writes ours. It must not know streams or events:
how an error travels inside a stream is each protocol's own business.
Reference: https://platform.openai.com/docs/guides/error-codes (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from translators.errors import ErrorKind, ErrorReply, GatewayError
from translators.errortext import clean, find_message, is_context_overflow, message_of, read_body
from translators.retry import header_delay, retry_headers, spoken_delay
from translators.wire import Json, JsonObject


class Word(NamedTuple):
    """How a kind is spelled: HTTP status, `type` and `code`."""

    status: int
    type: str
    code: str | None


_INVALID: Final = "invalid_request_error"
_SERVER: Final = "server_error"

WORDS: Final[Mapping[ErrorKind, Word]] = {
    ErrorKind.INVALID_REQUEST: Word(400, _INVALID, None),
    ErrorKind.UNTRANSLATABLE: Word(400, _INVALID, "unsupported_value"),
    ErrorKind.CONTEXT_TOO_LONG: Word(400, _INVALID, "context_length_exceeded"),
    ErrorKind.CONTENT_POLICY: Word(400, _INVALID, "content_policy_violation"),
    ErrorKind.AUTHENTICATION: Word(401, _INVALID, "invalid_api_key"),
    ErrorKind.PERMISSION: Word(403, _INVALID, None),
    ErrorKind.NOT_FOUND: Word(404, _INVALID, "model_not_found"),
    ErrorKind.METHOD_NOT_ALLOWED: Word(405, _INVALID, None),
    ErrorKind.CONFLICT: Word(409, _INVALID, None),
    ErrorKind.TOO_LARGE: Word(413, _INVALID, "request_too_large"),
    ErrorKind.UNPROCESSABLE: Word(422, _INVALID, None),
    ErrorKind.CANCELLED: Word(499, _SERVER, "cancelled"),
    ErrorKind.RATE_LIMITED: Word(429, "rate_limit_error", "rate_limit_exceeded"),
    ErrorKind.BILLING: Word(429, "insufficient_quota", "insufficient_quota"),
    ErrorKind.SERVER_ERROR: Word(500, _SERVER, None),
    ErrorKind.OVERLOADED: Word(503, _SERVER, "overloaded"),
    ErrorKind.TIMEOUT: Word(504, _SERVER, "timeout"),
    ErrorKind.UNREACHABLE: Word(502, _SERVER, "bad_gateway"),
    ErrorKind.UPSTREAM_REJECTED: Word(502, _SERVER, "bad_gateway"),
    ErrorKind.UPSTREAM_MALFORMED: Word(502, _SERVER, "bad_gateway"),
    ErrorKind.UPSTREAM_CUT: Word(502, _SERVER, "bad_gateway"),
    ErrorKind.MISCONFIGURED: Word(500, _SERVER, None),
    ErrorKind.INTERNAL: Word(500, _SERVER, None),
}
"""Section 17 of the portability rules."""

_OWN_CODE: Final = frozenset(
    {ErrorKind.INVALID_REQUEST, ErrorKind.UNTRANSLATABLE, ErrorKind.NOT_FOUND, ErrorKind.CONFLICT}
)
"""Kinds whose error may name a more exact code (`previous_response_not_found`)."""

_BY_STATUS: Final[Mapping[int, ErrorKind]] = {
    400: ErrorKind.INVALID_REQUEST,
    401: ErrorKind.AUTHENTICATION,
    402: ErrorKind.BILLING,
    403: ErrorKind.PERMISSION,
    404: ErrorKind.NOT_FOUND,
    405: ErrorKind.METHOD_NOT_ALLOWED,
    408: ErrorKind.TIMEOUT,
    409: ErrorKind.CONFLICT,
    413: ErrorKind.TOO_LARGE,
    422: ErrorKind.UNPROCESSABLE,
    429: ErrorKind.RATE_LIMITED,
    499: ErrorKind.CANCELLED,
    501: ErrorKind.NOT_FOUND,
    502: ErrorKind.SERVER_ERROR,
    503: ErrorKind.OVERLOADED,
    504: ErrorKind.TIMEOUT,
    529: ErrorKind.OVERLOADED,
}

_BY_CODE: Final[Mapping[str, ErrorKind]] = {
    "insufficient_quota": ErrorKind.BILLING,
    "billing_hard_limit_reached": ErrorKind.BILLING,
    "billing_not_active": ErrorKind.BILLING,
    "usage_not_included": ErrorKind.BILLING,
    "context_length_exceeded": ErrorKind.CONTEXT_TOO_LONG,
    "model_not_found": ErrorKind.NOT_FOUND,
    "content_policy_violation": ErrorKind.CONTENT_POLICY,
    "content_filter": ErrorKind.CONTENT_POLICY,
    "rate_limit_exceeded": ErrorKind.RATE_LIMITED,
    "rate_limit_error": ErrorKind.RATE_LIMITED,
    "server_is_overloaded": ErrorKind.OVERLOADED,
    "slow_down": ErrorKind.OVERLOADED,
    "overloaded": ErrorKind.OVERLOADED,
    "overloaded_error": ErrorKind.OVERLOADED,
    "invalid_api_key": ErrorKind.AUTHENTICATION,
    "authentication_error": ErrorKind.AUTHENTICATION,
    "permission_error": ErrorKind.PERMISSION,
    "timeout": ErrorKind.TIMEOUT,
    "invalid_prompt": ErrorKind.INVALID_REQUEST,
    "cyber_policy": ErrorKind.CONTENT_POLICY,
    "bio_policy": ErrorKind.CONTENT_POLICY,
    "misalignment_policy_violation": ErrorKind.CONTENT_POLICY,
    "image_content_policy_violation": ErrorKind.CONTENT_POLICY,
    "invalid_request_error": ErrorKind.INVALID_REQUEST,
    "server_error": ErrorKind.SERVER_ERROR,
}
"""`code`, else `type`, of an error object: asked before the status where it is more telling."""

_STATUS_WINS: Final = frozenset({"invalid_request_error", "server_error"})
"""Types so broad that a known status says more."""


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """Read an error answer; never raises, whatever the body is."""
    value = read_body(body)
    detail = _detail(value)
    message = message_of(body, f"the provider answered with status {status}")
    delay = header_delay(headers)
    return _error(detail, message, status, delay)


def parse_error_object(
    value: Json, default: str = "the provider reported an error"
) -> GatewayError:
    """Read an error that arrived under HTTP 200: a stream event, or a failed answer's `error`."""
    detail = _detail(value)
    message = clean(find_message(value) or "") or default
    status = detail.get("status") or detail.get("code")
    return _error(detail, message, status if isinstance(status, int) else None, None)


def _detail(value: Json) -> JsonObject:
    inner = value.get("error") if isinstance(value, dict) else None
    if isinstance(inner, dict):
        return inner
    return value if isinstance(value, dict) else {}


def _error(
    detail: JsonObject, message: str, status: int | None, delay: float | None
) -> GatewayError:
    code = detail.get("code")
    param = detail.get("param")
    kind = _kind(detail, status, message)
    return GatewayError(
        kind,
        message,
        path=param if isinstance(param, str) and param else None,
        code=code if isinstance(code, str) and code else None,
        retry_after_s=delay if delay is not None else _spoken(kind, message),
        upstream_status=status,
    )


def _spoken(kind: ErrorKind, message: str) -> float | None:
    waits = kind in (ErrorKind.RATE_LIMITED, ErrorKind.OVERLOADED, ErrorKind.BILLING)
    return spoken_delay(message) if waits else None


def _kind(detail: JsonObject, status: int | None, message: str) -> ErrorKind:
    words = [word for word in (detail.get("code"), detail.get("type")) if isinstance(word, str)]
    by_status = _of_status(status)
    for word in words:
        kind = _BY_CODE.get(word)
        if kind is not None and not (word in _STATUS_WINS and by_status is not None):
            return _refined(kind, message)
    return _refined(by_status or ErrorKind.SERVER_ERROR, message)


def _of_status(status: int | None) -> ErrorKind | None:
    if status is None or status < 400:
        return None
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    return ErrorKind.INVALID_REQUEST if status < 500 else ErrorKind.SERVER_ERROR


def _refined(kind: ErrorKind, message: str) -> ErrorKind:
    """A bad request whose text says that the prompt does not fit is that kind of error."""
    too_long = (ErrorKind.INVALID_REQUEST, ErrorKind.TOO_LARGE, ErrorKind.UNPROCESSABLE)
    if kind in too_long and is_context_overflow(message):
        return ErrorKind.CONTEXT_TOO_LONG
    return kind


def error_object(error: GatewayError) -> JsonObject:
    """The four members of the envelope."""
    word = WORDS[error.kind]
    return {
        "message": error.message,
        "type": word.type,
        "param": error.path,
        "code": error.code if error.code and error.kind in _OWN_CODE else word.code,
    }


def render_error(error: GatewayError, request_id: str) -> ErrorReply:
    """The HTTP answer: `retry-after` when a delay is known, `x-should-retry` always."""
    word = WORDS[error.kind]
    headers = {
        "x-request-id": request_id,
        "x-should-retry": "true" if error.retryable else "false",
        **retry_headers(error.retry_after_s),
    }
    return ErrorReply(status=word.status, body={"error": error_object(error)}, headers=headers)
