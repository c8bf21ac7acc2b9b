"""Errors of the Responses API: the shared envelope over HTTP, and how a stream or a failed answer says it.

Codex acts on `response.error.code`, so the codes that it knows are used where they fit; its retry delay is
read from the message. `UNKNOWN_TO_SDK` codes are outside the SDK's closed list, but OpenAI sends them too.
Reference: https://platform.openai.com/docs/api-reference/responses-streaming (read 2026-11-21)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from translators.errors import ErrorKind, GatewayError
from translators.openai_errors import parse_error, parse_error_object, render_error
from translators.retry import spoken_delay
from translators.sse import event_frame
from translators.wire import Json, JsonObject

_DEFAULT_CODE: Final = "server_error"

_CODES: Final[Mapping[ErrorKind, str]] = {
    ErrorKind.CONTEXT_TOO_LONG: "context_length_exceeded",
    ErrorKind.BILLING: "insufficient_quota",
    ErrorKind.RATE_LIMITED: "rate_limit_exceeded",
    ErrorKind.OVERLOADED: "server_is_overloaded",
    ErrorKind.INVALID_REQUEST: "invalid_prompt",
    ErrorKind.UNTRANSLATABLE: "invalid_prompt",
    ErrorKind.UNPROCESSABLE: "invalid_prompt",
    ErrorKind.CONTENT_POLICY: "invalid_prompt",
    ErrorKind.TOO_LARGE: "invalid_prompt",
}
"""`response.error.code`; `server_error`, which clients retry, for everything else."""

UNKNOWN_TO_SDK: Final = frozenset(
    {"context_length_exceeded", "insufficient_quota", "server_is_overloaded"}
)


def failed_error(error: GatewayError) -> JsonObject:
    """The `error` of a response that failed."""
    return {"code": _CODES.get(error.kind, _DEFAULT_CODE), "message": stream_message(error)}


def stream_message(error: GatewayError) -> str:
    """The message, with the delay in the words that Codex looks for when a rate limit has one."""
    if error.kind is not ErrorKind.RATE_LIMITED or error.retry_after_s is None:
        return error.message
    if spoken_delay(error.message) is not None:
        return error.message
    return f"{error.message} Please try again in {max(1, math.ceil(error.retry_after_s))}s."


def error_event(error: GatewayError, sequence_number: int) -> bytes:
    """The bare `error` event: before `response.created`, or when nothing is known of the stream."""
    return event_frame(
        "error",
        {
            "type": "error",
            "sequence_number": sequence_number,
            "code": _CODES.get(error.kind, _DEFAULT_CODE),
            "message": stream_message(error),
            "param": error.path,
        },
    )


def failure_of(response: Json) -> GatewayError:
    """Why a response failed or was cancelled, from its object."""
    response = response if isinstance(response, dict) else {}
    if response.get("status") == "cancelled":
        return GatewayError(ErrorKind.CANCELLED, "the provider cancelled the response")
    return parse_error_object(response.get("error"), "the provider failed to answer")


__all__ = [
    "UNKNOWN_TO_SDK",
    "error_event",
    "failed_error",
    "failure_of",
    "parse_error",
    "parse_error_object",
    "render_error",
    "stream_message",
]
