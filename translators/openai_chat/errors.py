"""Errors of Chat Completions: reading an upstream's, in all the shapes of its many servers, also under status 200.

Writing is shared with the other OpenAI protocol, whose envelope is the same.

Reference: https://platform.openai.com/docs/guides/error-codes (read 2026-11-21)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from translators import errortext, retry
from translators.errors import ErrorKind, GatewayError
from translators.openai_errors import error_object, render_error
from translators.sse import data_frame
from translators.wire import Json, JsonObject

# ---------------------------------------------------------------------------------------- reading

_KINDS: Final[Mapping[int, ErrorKind]] = {
    400: ErrorKind.INVALID_REQUEST,
    401: ErrorKind.UPSTREAM_REJECTED,
    402: ErrorKind.BILLING,
    403: ErrorKind.UPSTREAM_REJECTED,
    404: ErrorKind.NOT_FOUND,
    405: ErrorKind.METHOD_NOT_ALLOWED,
    407: ErrorKind.UPSTREAM_REJECTED,
    408: ErrorKind.TIMEOUT,
    409: ErrorKind.CONFLICT,
    413: ErrorKind.TOO_LARGE,
    422: ErrorKind.UNPROCESSABLE,
    429: ErrorKind.RATE_LIMITED,
    501: ErrorKind.METHOD_NOT_ALLOWED,
    503: ErrorKind.OVERLOADED,
    504: ErrorKind.TIMEOUT,
    522: ErrorKind.TIMEOUT,
    524: ErrorKind.TIMEOUT,
    529: ErrorKind.OVERLOADED,
}
"""The kind of an upstream status; section 17 of the portability rules."""

_WORDS: Final[Mapping[str, ErrorKind]] = {
    "authentication_error": ErrorKind.UPSTREAM_REJECTED,
    "billing_hard_limit_reached": ErrorKind.BILLING,
    "billing_not_active": ErrorKind.BILLING,
    "content_filter": ErrorKind.CONTENT_POLICY,
    "content_policy_violation": ErrorKind.CONTENT_POLICY,
    "context_length_exceeded": ErrorKind.CONTEXT_TOO_LONG,
    "context_window_exceeded": ErrorKind.CONTEXT_TOO_LONG,
    "exceed_context_size_error": ErrorKind.CONTEXT_TOO_LONG,  # llama.cpp
    "insufficient_balance": ErrorKind.BILLING,
    "insufficient_quota": ErrorKind.BILLING,
    "invalid_api_key": ErrorKind.UPSTREAM_REJECTED,
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
}
"""What an error's `code` or `type` says more exactly than the status."""

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

_CODE: Final = re.compile(r"[a-z][a-z0-9_]{2,63}")


class _Body(NamedTuple):
    """What an error object says about itself."""

    words: tuple[str, ...]
    """`code` and `type`, lower case."""
    code: str | None
    status: int | None
    """A status written into the object: `code`, `status`, `status_code`."""
    details: Json


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """Read an upstream's error answer; never raises, whatever the body is. Header names are lower case."""
    message = errortext.message_of(body, f"the provider answered with status {status}")
    about = _about(errortext.read_body(body))
    return _error(status, message, about, headers)


def parse_failure(payload: Json) -> GatewayError | None:
    """The failure inside an answer or stream event under status 200, None when there is none (ERR-12).

    `{"error": …}`, `{"code": …, "msg": …}`, `{"base_resp": {"status_code": …}}`, `{"object": "error"}`, also in an array.
    """
    if isinstance(payload, list) and payload:
        payload = payload[0]
    if not isinstance(payload, dict) or not _is_failure(payload):
        return None
    about = _about(payload)
    message = errortext.clean(errortext.find_message(payload) or "")
    return _error(about.status or 0, message or "the provider reported an error", about, {})


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
    return _Body(words, named, _status_in(inner), inner.get("details"))


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
    delay = retry.header_delay(headers)
    if delay is None:
        delay = retry.retry_info(about.details)
    if delay is None and kind in (ErrorKind.RATE_LIMITED, ErrorKind.OVERLOADED):
        delay = retry.spoken_delay(message)
    return GatewayError(
        kind,
        message,
        code=about.code,
        retry_after_s=delay,
        upstream_status=status or None,
    )


def _kind(status: int, message: str, about: _Body) -> ErrorKind:
    """Status first, then the body's words, then its sentence."""
    default = _KINDS.get(status, _by_class(status))
    if status in _SETTLED:
        return default
    for word in about.words:
        if word in _WORDS:
            return _WORDS[word]
    if status in _SIZE_STATUSES or not status:
        if errortext.is_context_overflow(message):
            return ErrorKind.CONTEXT_TOO_LONG
    if status in (0, 400, 403, 429) and _NO_MONEY.search(message):
        return ErrorKind.BILLING
    if status in (0, 400) and _BAD_KEY.search(message):
        return ErrorKind.UPSTREAM_REJECTED
    return default


def _by_class(status: int) -> ErrorKind:
    if 400 <= status < 500:
        return ErrorKind.INVALID_REQUEST
    if status >= 500 or not status:
        return ErrorKind.SERVER_ERROR
    return ErrorKind.UPSTREAM_MALFORMED


# ---------------------------------------------------------------------------------------- writing


def render_stream_error(error: GatewayError, request_id: str) -> bytes:
    """The event that ends a stream in failure; no `[DONE]` follows, and it has no place for the request id."""
    del request_id
    return data_frame({"error": error_object(error)})


__all__ = ["parse_error", "parse_failure", "render_error", "render_stream_error"]
