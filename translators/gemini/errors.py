"""Errors: Google's `error` object with `google.rpc` details, read from upstreams and written for clients.

Reference: https://cloud.google.com/apis/design/errors (read 2026-11-21)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from translators import errortext, retry
from translators.errors import KIND_OF_STATUS, ErrorKind, ErrorReply, GatewayError
from translators.gemini.spelling import camel_keys
from translators.wire import Json, JsonObject

_RPC: Final = "type.googleapis.com/google.rpc."


class WireError(NamedTuple):
    """How a kind looks on the wire."""

    code: int
    status: str


WIRE_ERRORS: Final[Mapping[ErrorKind, WireError]] = {
    ErrorKind.INVALID_REQUEST: WireError(400, "INVALID_ARGUMENT"),
    ErrorKind.UNTRANSLATABLE: WireError(400, "INVALID_ARGUMENT"),
    ErrorKind.CONTEXT_TOO_LONG: WireError(400, "INVALID_ARGUMENT"),
    ErrorKind.CONTENT_POLICY: WireError(400, "INVALID_ARGUMENT"),
    # A bad API key is no 401 here; `API_KEY_INVALID` in the details says what it is.
    ErrorKind.AUTHENTICATION: WireError(400, "INVALID_ARGUMENT"),
    ErrorKind.PERMISSION: WireError(403, "PERMISSION_DENIED"),
    ErrorKind.NOT_FOUND: WireError(404, "NOT_FOUND"),
    ErrorKind.METHOD_NOT_ALLOWED: WireError(501, "UNIMPLEMENTED"),
    ErrorKind.CONFLICT: WireError(409, "ABORTED"),
    ErrorKind.TOO_LARGE: WireError(413, "INVALID_ARGUMENT"),
    ErrorKind.UNPROCESSABLE: WireError(400, "INVALID_ARGUMENT"),
    ErrorKind.CANCELLED: WireError(499, "CANCELLED"),
    ErrorKind.RATE_LIMITED: WireError(429, "RESOURCE_EXHAUSTED"),
    ErrorKind.BILLING: WireError(429, "RESOURCE_EXHAUSTED"),
    ErrorKind.SERVER_ERROR: WireError(500, "INTERNAL"),
    ErrorKind.OVERLOADED: WireError(503, "UNAVAILABLE"),
    ErrorKind.TIMEOUT: WireError(504, "DEADLINE_EXCEEDED"),
    ErrorKind.UNREACHABLE: WireError(503, "UNAVAILABLE"),
    ErrorKind.UPSTREAM_REJECTED: WireError(500, "INTERNAL"),
    ErrorKind.UPSTREAM_MALFORMED: WireError(500, "INTERNAL"),
    ErrorKind.UPSTREAM_CUT: WireError(503, "UNAVAILABLE"),
    ErrorKind.MISCONFIGURED: WireError(500, "INTERNAL"),
    ErrorKind.INTERNAL: WireError(500, "INTERNAL"),
}

_CODE_OF_STATUS: Final[Mapping[str, int]] = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}

_TOO_LONG: Final = re.compile(
    r"input token count[^.]*exceeds the maximum number of tokens allowed", re.IGNORECASE
)

_BAD_KEY_REASONS: Final = frozenset(
    {"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED", "ACCESS_TOKEN_EXPIRED"}
)


# ---------------------------------------------------------------------------------------- parsing


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """Read an upstream's error answer; never raises, whatever the body is."""
    default = f"the provider answered with status {status}"
    message = errortext.message_of(body, default)
    value = errortext.read_body(body)
    wire = _object(_object(value).get("error"))
    return _read(wire, status, message, retry.header_delay(headers))


def stream_error(value: Json) -> GatewayError:
    """The `error` of a stream's event as an exception: its own code stands for the HTTP status."""
    wire = _object(value)
    code = wire.get("code")
    if not isinstance(code, int) or isinstance(code, bool) or code < 400:
        code = _CODE_OF_STATUS.get(str(wire.get("status")), 500)
    found = errortext.find_message(value)
    message = errortext.clean(found or "") or "the provider reported an error"
    return _read(wire, code, message, None)


def _read(wire: JsonObject, code: int, message: str, delay_s: float | None) -> GatewayError:
    details = wire.get("details")
    told_s = retry.retry_info(details)
    kind = _kind(code, str(wire.get("status") or ""), message, list(_details(details)))
    if told_s is None:
        told_s = delay_s
    if told_s is None and kind in (ErrorKind.RATE_LIMITED, ErrorKind.OVERLOADED):
        told_s = retry.spoken_delay(message)
    return GatewayError(
        kind,
        message,
        code="model_not_found" if kind is ErrorKind.NOT_FOUND and "models/" in message else None,
        retry_after_s=told_s,
        upstream_status=code,
    )


def _kind(code: int, status: str, message: str, details: list[JsonObject]) -> ErrorKind:
    if any(detail.get("reason") in _BAD_KEY_REASONS for detail in details):
        return ErrorKind.UPSTREAM_REJECTED
    if code == 429 and _daily_quota_is_gone(details):
        return ErrorKind.BILLING
    if status == "FAILED_PRECONDITION" and "billing" in message.lower():
        return ErrorKind.BILLING
    if status == "ABORTED":
        return ErrorKind.SERVER_ERROR  # a conflict inside the provider: worth another try
    if code in (400, 413) and errortext.is_context_overflow(message):
        return ErrorKind.CONTEXT_TOO_LONG
    fallback = ErrorKind.SERVER_ERROR if code >= 500 else ErrorKind.INVALID_REQUEST
    return KIND_OF_STATUS.get(code, fallback)


def _daily_quota_is_gone(details: list[JsonObject]) -> bool:
    """A quota per day with no word on when to come back: waiting does not help."""
    types = [str(detail.get("@type")) for detail in details]
    if any(name.endswith("RetryInfo") for name in types):
        return False
    return any(
        "perday" in str(violation.get("quotaId", "")).lower()
        for detail in details
        if str(detail.get("@type")).endswith("QuotaFailure")
        for violation in _details(detail.get("violations"))
    )


def _details(value: Json) -> Iterator[JsonObject]:
    if isinstance(value, list):
        yield from (camel_keys(item) for item in value if isinstance(item, dict))


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


# -------------------------------------------------------------------------------------- rendering


def error_object(error: GatewayError) -> JsonObject:
    """The body of an error, for an HTTP answer and for a stream's last event alike."""
    wire = WIRE_ERRORS[error.kind]
    body: JsonObject = {"code": wire.code, "message": _message(error), "status": wire.status}
    details = list(_rendered_details(error))
    if details:
        body["details"] = details
    return {"error": body}


def _message(error: GatewayError) -> str:
    """The message; an overflow of the context in Google's words, by which agents know that they must compact."""
    if error.kind is not ErrorKind.CONTEXT_TOO_LONG or _TOO_LONG.search(error.message):
        return error.message
    return f"The input token count exceeds the maximum number of tokens allowed: {error.message}"


def _rendered_details(error: GatewayError) -> Iterator[JsonObject]:
    if error.kind is ErrorKind.AUTHENTICATION:
        yield {
            "@type": _RPC + "ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        }
    if error.path is not None:
        violation = {"field": error.path, "description": error.message}
        yield {"@type": _RPC + "BadRequest", "fieldViolations": [violation]}
    if error.retry_after_s is not None:
        yield {"@type": _RPC + "RetryInfo", "retryDelay": f"{error.retry_after_s:g}s"}


def render_error(error: GatewayError, request_id: str) -> ErrorReply:
    """Write an error for a Gemini client; the protocol has no place for a request id."""
    return ErrorReply(
        status=WIRE_ERRORS[error.kind].code,
        body=error_object(error),
        headers=retry.retry_headers(error.retry_after_s),
    )
