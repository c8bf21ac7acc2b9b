"""Errors in the envelope that both OpenAI protocols share: `{"error": {message, type, param, code}}`.

Reads an upstream's error, in all the shapes of the many servers that speak these protocols, also under status 200,
and writes ours. It must not know streams or events: how an error travels inside a stream is each protocol's business.
Reference: https://platform.openai.com/docs/guides/error-codes (read 2026-11-21)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from translators.errors import KIND_OF_STATUS, ErrorKind, ErrorReply, GatewayError
from translators.errortext import clean, find_message, is_context_overflow, message_of, read_body
from translators.retry import header_delay, retry_headers, retry_info, spoken_delay, verdict
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

_SAID: Final[Mapping[str, ErrorKind]] = {
    "authentication_error": ErrorKind.UPSTREAM_REJECTED,
    "billing_hard_limit_reached": ErrorKind.BILLING,
    "billing_not_active": ErrorKind.BILLING,
    "bio_policy": ErrorKind.CONTENT_POLICY,
    "content_filter": ErrorKind.CONTENT_POLICY,
    "content_policy_violation": ErrorKind.CONTENT_POLICY,
    "context_length_exceeded": ErrorKind.CONTEXT_TOO_LONG,
    "context_window_exceeded": ErrorKind.CONTEXT_TOO_LONG,
    "cyber_policy": ErrorKind.CONTENT_POLICY,
    "exceed_context_size_error": ErrorKind.CONTEXT_TOO_LONG,  # llama.cpp
    "image_content_policy_violation": ErrorKind.CONTENT_POLICY,
    "insufficient_balance": ErrorKind.BILLING,
    "insufficient_quota": ErrorKind.BILLING,
    "invalid_api_key": ErrorKind.UPSTREAM_REJECTED,
    "invalid_prompt": ErrorKind.INVALID_REQUEST,
    "misalignment_policy_violation": ErrorKind.CONTENT_POLICY,
    "model_not_found": ErrorKind.NOT_FOUND,
    "moderation": ErrorKind.CONTENT_POLICY,
    "overloaded": ErrorKind.OVERLOADED,
    "overloaded_error": ErrorKind.OVERLOADED,
    "permission_error": ErrorKind.UPSTREAM_REJECTED,
    "rate_limit_error": ErrorKind.RATE_LIMITED,
    "rate_limit_exceeded": ErrorKind.RATE_LIMITED,
    "responsibleaipolicyviolation": ErrorKind.CONTENT_POLICY,  # Azure
    "server_is_overloaded": ErrorKind.OVERLOADED,
    "service_unavailable_error": ErrorKind.OVERLOADED,
    "slow_down": ErrorKind.OVERLOADED,
    "timeout": ErrorKind.TIMEOUT,
    "usage_not_included": ErrorKind.BILLING,
}
"""What an error's `code` or `type` says more exactly than the status."""

_BROAD: Final[Mapping[str, ErrorKind]] = {
    "invalid_request_error": ErrorKind.INVALID_REQUEST,
    "server_error": ErrorKind.SERVER_ERROR,
}
"""Types so broad that they only count where there is no status."""

_SETTLED: Final = frozenset({401, 402, 503, 529})
"""Statuses that say all, whatever the body's words are."""

_NO_MONEY: Final = re.compile(
    r"insufficient (?:account )?(?:balance|credits?|quota|funds)|exceeded your current quota"
    r"|credit balance is too low|余额不足|account balance",
    re.IGNORECASE,
)
_BAD_KEY: Final = re.compile(
    r"(?:invalid|incorrect|missing|expired|no|bad)[^.]{0,20} (?:api[ _-]?key|credentials|token)"
    r"|api[ _-]?key (?:not valid|is invalid|not found|expired)|API_KEY_INVALID|unauthori[sz]ed",
    re.IGNORECASE,
)

_SIZE_STATUSES: Final = frozenset({400, 413, 422, 500})
"""Under which servers report a prompt that is too long."""

_WAITS: Final = frozenset({ErrorKind.RATE_LIMITED, ErrorKind.OVERLOADED, ErrorKind.BILLING})
"""Kinds whose sentence may name a delay."""

_CODE: Final = re.compile(r"[a-z][a-z0-9_]{2,63}")


class _Body(NamedTuple):
    """What an error object says about itself."""

    words: tuple[str, ...]
    """`code` and `type`, lower case."""
    code: str | None
    status: int | None
    """A status written into the object: `code`, `status`, `status_code`."""
    details: Json
    param: str | None = None


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """Read an upstream's error answer; never raises, whatever the body is. Header names are lower case."""
    message = message_of(body, f"the provider answered with status {status}")
    about = _about(read_body(body))
    return _error(status, message, about, headers)


def parse_failure(payload: Json) -> GatewayError | None:
    """The failure inside an answer or stream event under status 200, None when there is none (ERR-12).

    `{"error": …}`, `{"code": …, "msg": …}`, `{"base_resp": {"status_code": …}}`, `{"object": "error"}`, also in an array.
    """
    if isinstance(payload, list) and payload:
        payload = payload[0]
    if not isinstance(payload, dict) or not _is_failure(payload):
        return None
    return parse_error_object(payload)


def parse_error_object(
    value: Json, default: str = "the provider reported an error"
) -> GatewayError:
    """Read an error that arrived under HTTP 200 and is known to be one: a stream event, a failed answer's `error`."""
    about = _about(value)
    return _error(about.status or 0, clean(find_message(value) or "") or default, about, {})


def _is_failure(payload: JsonObject) -> bool:
    if payload.get("error"):
        return True
    base = payload.get("base_resp")
    if isinstance(base, dict) and base.get("status_code") not in (0, None, "0"):
        return True
    if payload.get("choices"):
        return False
    if "error" in (payload.get("object"), payload.get("type"), payload.get("status")):
        return True
    code = payload.get("code", payload.get("status_code"))
    said = payload.get("msg") or payload.get("message") or payload.get("detail")
    return bool(said) and code not in (None, 0, "0", 200, "200")


def _about(payload: Json) -> _Body:
    """The code, type and status of an error object, however deep it is wrapped."""
    if not isinstance(payload, dict):
        return _Body((), None, None, None)
    inner = payload
    for key in ("error", "errors", "detail", "base_resp", "response"):
        nested = inner.get(key)
        if isinstance(nested, list) and nested:
            nested = nested[0]
        if isinstance(nested, dict):
            inner = nested
            break
    code, kind = inner.get("code"), inner.get("type")
    words = tuple(word.lower() for word in (code, kind) if isinstance(word, str))
    named = code if isinstance(code, str) and _CODE.fullmatch(code) else None
    param = inner.get("param")
    return _Body(
        words,
        named,
        _status_in(inner),
        inner.get("details"),
        param if isinstance(param, str) and param else None,
    )


def _status_in(inner: JsonObject) -> int | None:
    for key in ("code", "status", "status_code", "http_code"):
        value = inner.get(key)
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if isinstance(value, int) and 400 <= value < 600:
            return value
    return None


def _error(status: int, message: str, about: _Body, headers: Mapping[str, str]) -> GatewayError:
    kind = _kind(status, message, about)
    delay = header_delay(headers)
    if delay is None:
        delay = retry_info(about.details)
    if delay is None and kind in _WAITS:
        delay = spoken_delay(message)
    return GatewayError(
        kind,
        message,
        path=about.param,
        code=about.code,
        retry_after_s=delay,
        upstream_status=status or None,
        should_retry=verdict(headers),
    )


def _kind(status: int, message: str, about: _Body) -> ErrorKind:
    """Status first, then the body's words, then its sentence."""
    default = KIND_OF_STATUS.get(status, _by_class(status))
    if status in _SETTLED:
        return default
    for word in about.words:
        if word in _SAID:
            return _refined(_SAID[word], message)
    if (status in _SIZE_STATUSES or not status) and is_context_overflow(message):
        return ErrorKind.CONTEXT_TOO_LONG
    if status in (0, 400, 403, 429) and _NO_MONEY.search(message):
        return ErrorKind.BILLING
    if status in (0, 400) and _BAD_KEY.search(message):
        return ErrorKind.UPSTREAM_REJECTED
    if not status:
        return next((_BROAD[word] for word in about.words if word in _BROAD), default)
    return default


def _refined(kind: ErrorKind, message: str) -> ErrorKind:
    """A bad request whose text says that the prompt does not fit is that kind of error."""
    too_long = kind is ErrorKind.INVALID_REQUEST and is_context_overflow(message)
    return ErrorKind.CONTEXT_TOO_LONG if too_long else kind


def _by_class(status: int) -> ErrorKind:
    if 400 <= status < 500:
        return ErrorKind.INVALID_REQUEST
    if status >= 500 or not status:
        return ErrorKind.SERVER_ERROR
    return ErrorKind.UPSTREAM_MALFORMED


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
    again = error.should_retry
    if again is None:
        again = error.retryable and not error.permanent
    headers = {
        "x-request-id": request_id,
        "x-should-retry": "true" if again else "false",
        **retry_headers(error.retry_after_s),
    }
    return ErrorReply(status=word.status, body={"error": error_object(error)}, headers=headers)
