"""Finish reasons in both directions: section 14 of the portability rules as tables.

Reference: https://ai.google.dev/api/generate-content#FinishReason (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from translators.errors import ErrorKind, GatewayError
from translators.gemini.context import PROTOCOL
from translators.ir import FinishReason, Resume
from translators.losses import Action, Losses, Mode
from translators.wire import JsonObject

FINISH_REASONS: Final[Mapping[str, FinishReason]] = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "TOO_MANY_TOOL_CALLS": FinishReason.LENGTH,
    "CONTINUATION": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "LANGUAGE": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "ESCALATION": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
}

BROKEN: Final = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
        "OTHER",
        "FINISH_REASON_UNSPECIFIED",
        "IMAGE_OTHER",
        "NO_IMAGE",
    }
)
"""The answer is unusable; another try usually works."""

WIRE_REASONS: Final[Mapping[FinishReason, str]] = {
    FinishReason.STOP: "STOP",
    FinishReason.STOP_SEQUENCE: "STOP",
    FinishReason.TOOL_CALLS: "STOP",
    FinishReason.REFUSAL: "STOP",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.CONTEXT_WINDOW: "MAX_TOKENS",
    FinishReason.PAUSE: "MAX_TOKENS",
    FinishReason.CONTENT_FILTER: "SAFETY",
}

MAX_RESUMES: Final = 10
_FIELD: Final = "continuationToken"
_PATH: Final = "response.finishReason"


def parse_finish(
    word: str,
    *,
    has_calls: bool,
    message: str | None,
    losses: Losses,
    resumable: bool = False,
    once_more: bool = False,
) -> FinishReason:
    """The hub's reason; `GatewayError` for an answer that broke off, which max_compat lets pass with a warning.

    `once_more` = not even there: the call will be made again. `resumable` = the provider told how to go on.
    """
    if word == "PUP_LIMITED_DISABLED":
        raise GatewayError(
            ErrorKind.PERMISSION, message or "the provider has limited or disabled this account"
        )
    if word in BROKEN:
        if once_more or losses.mode is not Mode.MAX_COMPAT:
            raise GatewayError(
                ErrorKind.UPSTREAM_MALFORMED,
                f"the provider gave the answer up ({word})" + (f": {message}" if message else ""),
                code=word.lower(),
                once_more=True,
            )
        losses.warn(_PATH, f"the provider gave the answer up ({word})")
    elif word == "CONTINUATION":
        if not resumable:
            losses.warn(_PATH, "the provider could have continued the answer")
    elif word not in FINISH_REASONS:
        losses.warn(_PATH, f"unknown reason {word!r} was taken as a natural end")
    reason = FINISH_REASONS.get(word, FinishReason.STOP)
    if reason is FinishReason.STOP and has_calls:
        return FinishReason.TOOL_CALLS
    return reason


def resume_of(token: str, *, open_text: bool) -> Resume:
    """How an answer that ran into the limit of one call goes on: the same request with its token."""
    wire: JsonObject = {_FIELD: token}
    return Resume(protocol=PROTOCOL, wire=wire, times=MAX_RESUMES, open_text=open_text)


def put_back(body: JsonObject, resumes: Sequence[Resume]) -> None:
    """Add the last token to a request; it stands for all that has come."""
    if resumes:
        body[_FIELD] = resumes[-1].wire[_FIELD]


def render_finish(reason: FinishReason, losses: Losses) -> str:
    """The wire word."""
    if reason is FinishReason.PAUSE:
        losses.act(Action.WARN, _PATH, "a paused answer ends as one that reached its limit")
    return WIRE_REASONS[reason]
