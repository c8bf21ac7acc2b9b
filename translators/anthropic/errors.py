"""Errors: HTTP answers and `event: error` to `GatewayError` and back (portability rules, sections 17 and 18).

Reference: https://platform.claude.com/docs/en/api/errors (read 2026-11-21)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from translators.errors import KIND_OF_STATUS, ErrorKind, ErrorReply, GatewayError
from translators.errortext import clean, is_context_overflow, message_of, read_body
from translators.retry import header_delay, retry_headers, retry_info, spoken_delay, verdict
from translators.sse import event_frame
from translators.wire import Json, JsonObject

KINDS_BY_TYPE: Final[Mapping[str, ErrorKind]] = {
    "invalid_request_error": ErrorKind.INVALID_REQUEST,
    "authentication_error": ErrorKind.UPSTREAM_REJECTED,
    "permission_error": ErrorKind.UPSTREAM_REJECTED,
    "billing_error": ErrorKind.BILLING,
    "not_found_error": ErrorKind.NOT_FOUND,
    "conflict_error": ErrorKind.CONFLICT,
    "request_too_large": ErrorKind.TOO_LARGE,
    "rate_limit_error": ErrorKind.RATE_LIMITED,
    "timeout_error": ErrorKind.TIMEOUT,
    "api_error": ErrorKind.SERVER_ERROR,
    "overloaded_error": ErrorKind.OVERLOADED,
    # The Google envelope, which Google Cloud itself puts around Anthropic models.
    "INVALID_ARGUMENT": ErrorKind.INVALID_REQUEST,
    "UNAUTHENTICATED": ErrorKind.UPSTREAM_REJECTED,
    "PERMISSION_DENIED": ErrorKind.UPSTREAM_REJECTED,
    "NOT_FOUND": ErrorKind.NOT_FOUND,
    "RESOURCE_EXHAUSTED": ErrorKind.RATE_LIMITED,
    "INTERNAL": ErrorKind.SERVER_ERROR,
    "UNAVAILABLE": ErrorKind.OVERLOADED,
    "DEADLINE_EXCEEDED": ErrorKind.TIMEOUT,
}

KINDS_BY_CODE: Final[Mapping[str, ErrorKind]] = {
    "enforced_spend_limit_reached": ErrorKind.BILLING,
    "organization_on_hold": ErrorKind.UPSTREAM_REJECTED,
    "organization_not_enrolled_in_beta": ErrorKind.UPSTREAM_REJECTED,
}
"""`error.details.error_code` values that say more than status and type."""

_CREDIT: Final = re.compile(r"credit balance is too low|usage limits", re.IGNORECASE)

REPLIES: Final[Mapping[ErrorKind, tuple[int, str]]] = {
    ErrorKind.INVALID_REQUEST: (400, "invalid_request_error"),
    ErrorKind.UNTRANSLATABLE: (400, "invalid_request_error"),
    ErrorKind.CONTEXT_TOO_LONG: (400, "invalid_request_error"),
    ErrorKind.CONTENT_POLICY: (400, "invalid_request_error"),
    ErrorKind.AUTHENTICATION: (401, "authentication_error"),
    ErrorKind.PERMISSION: (403, "permission_error"),
    ErrorKind.NOT_FOUND: (404, "not_found_error"),
    ErrorKind.METHOD_NOT_ALLOWED: (404, "not_found_error"),
    ErrorKind.CONFLICT: (409, "conflict_error"),
    ErrorKind.TOO_LARGE: (413, "request_too_large"),
    ErrorKind.UNPROCESSABLE: (400, "invalid_request_error"),
    ErrorKind.CANCELLED: (499, "api_error"),
    ErrorKind.RATE_LIMITED: (429, "rate_limit_error"),
    ErrorKind.BILLING: (402, "billing_error"),
    ErrorKind.SERVER_ERROR: (500, "api_error"),
    ErrorKind.OVERLOADED: (529, "overloaded_error"),
    ErrorKind.TIMEOUT: (504, "timeout_error"),
    ErrorKind.UNREACHABLE: (502, "api_error"),
    ErrorKind.UPSTREAM_REJECTED: (502, "api_error"),
    ErrorKind.UPSTREAM_MALFORMED: (502, "api_error"),
    ErrorKind.UPSTREAM_CUT: (502, "api_error"),
    ErrorKind.MISCONFIGURED: (500, "api_error"),
    ErrorKind.INTERNAL: (500, "api_error"),
}

TOO_LONG: Final = "prompt is too long"
"""The words by which Claude Code knows that it must compact the conversation (pitfalls ERR-06)."""
_COUNT: Final = re.compile(r"\d[\d,]{3,}")


# ----------------------------------------------------------------------------------------- reading


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """Read an upstream's error answer; never raises, whatever the body is."""
    wire = read_body(body)
    error = _error_object(wire)
    message = message_of(body, f"the provider answered with status {status}")
    kind = _kind(KIND_OF_STATUS.get(status) or _unlisted(status, error), error, message)
    delay = header_delay(headers)
    if delay is None:
        delay = retry_info(error.get("details"))
    if delay is None and kind is ErrorKind.RATE_LIMITED:
        delay = spoken_delay(message)
    return GatewayError(
        kind,
        message,
        code=_code(error),
        retry_after_s=delay,
        upstream_status=status,
        should_retry=verdict(headers),
    )


def parse_error_event(payload: Json) -> GatewayError:
    """Read the error object of a stream, or of an answer that said 200 all the same."""
    error = _error_object(payload)
    message = error.get("message")
    text = clean(message) if isinstance(message, str) else ""
    text = text or "the provider reported an error without a message"
    kind = KINDS_BY_TYPE.get(str(error.get("type")), ErrorKind.SERVER_ERROR)
    return GatewayError(_kind(kind, error, text), text, code=_code(error))


def _error_object(wire: Json) -> JsonObject:
    error = wire.get("error") if isinstance(wire, dict) else None
    return error if isinstance(error, dict) else {}


def _unlisted(status: int, error: JsonObject) -> ErrorKind:
    named = KINDS_BY_TYPE.get(str(error.get("type"))) or KINDS_BY_TYPE.get(str(error.get("status")))
    if named is not None:
        return named
    return ErrorKind.INVALID_REQUEST if 400 <= status < 500 else ErrorKind.SERVER_ERROR


def _kind(kind: ErrorKind, error: JsonObject, message: str) -> ErrorKind:
    """The kind that the details or the words of an error make more exact."""
    code = _code(error)
    if code is not None and code in KINDS_BY_CODE:
        return KINDS_BY_CODE[code]
    if kind in (ErrorKind.INVALID_REQUEST, ErrorKind.TOO_LARGE) and is_context_overflow(message):
        return ErrorKind.CONTEXT_TOO_LONG
    if kind is ErrorKind.INVALID_REQUEST and _CREDIT.search(message):
        return ErrorKind.BILLING
    return kind


def _code(error: JsonObject) -> str | None:
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    return code if isinstance(code, str) else None


# ----------------------------------------------------------------------------------------- writing


def render_error(error: GatewayError, request_id: str) -> ErrorReply:
    """Write an error as an HTTP answer."""
    status, _ = REPLIES[error.kind]
    headers = {"request-id": request_id, **retry_headers(error.retry_after_s)}
    if error.should_retry is not None:
        headers["x-should-retry"] = "true" if error.should_retry else "false"
    elif error.permanent:
        headers["x-should-retry"] = "false"
    return ErrorReply(status=status, body=error_body(error, request_id), headers=headers)


def render_stream_error(error: GatewayError, request_id: str | None) -> bytes:
    """Write the event that ends a stream in failure."""
    return event_frame("error", error_body(error, request_id))


def error_body(error: GatewayError, request_id: str | None) -> JsonObject:
    """The error envelope, the same in answers and streams."""
    body: JsonObject = {
        "type": "error",
        "error": {"type": REPLIES[error.kind][1], "message": client_message(error)},
    }
    if request_id:
        body["request_id"] = request_id
    return body


def client_message(error: GatewayError) -> str:
    """The message; an overflow of the context in the words that make Claude Code compact."""
    message = error.message
    if error.kind is not ErrorKind.CONTEXT_TOO_LONG or message.lower().startswith(TOO_LONG):
        return message
    counts = sorted({int(found.replace(",", "")) for found in _COUNT.findall(message)})
    if len(counts) < 2:
        return f"{TOO_LONG}: {message}"
    # Whatever the vendor's order of words: what was sent is the larger number, the limit the next one.
    return f"{TOO_LONG}: {counts[-1]} tokens > {counts[-2]} maximum"
