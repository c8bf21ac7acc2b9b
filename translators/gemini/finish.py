"""Finish reasons in both directions: section 14 of the portability rules as tables.

Reference: https://ai.google.dev/api/generate-content#FinishReason (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from translators.errors import ErrorKind, GatewayError
from translators.ir import FinishReason
from translators.losses import Action, Losses

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

_PATH: Final = "response.finishReason"


def parse_finish(
    word: str, *, has_calls: bool, message: str | None, losses: Losses
) -> FinishReason:
    """The hub's reason; `GatewayError` for an answer that broke off, which max_compat lets pass with a warning."""
    if word == "PUP_LIMITED_DISABLED":
        raise GatewayError(
            ErrorKind.PERMISSION, message or "the provider has limited or disabled this account"
        )
    if word in BROKEN:
        if losses.mode.value != "max_compat":
            raise GatewayError(
                ErrorKind.UPSTREAM_MALFORMED,
                f"the provider gave the answer up ({word})" + (f": {message}" if message else ""),
                code=word.lower(),
            )
        losses.warn(_PATH, f"the provider gave the answer up ({word})")
    elif word == "CONTINUATION":
        losses.warn(_PATH, "the provider could have continued the answer")
    elif word not in FINISH_REASONS:
        losses.warn(_PATH, f"unknown reason {word!r} was taken as a natural end")
    reason = FINISH_REASONS.get(word, FinishReason.STOP)
    if reason is FinishReason.STOP and has_calls:
        return FinishReason.TOOL_CALLS
    return reason


def render_finish(reason: FinishReason, losses: Losses) -> str:
    """The wire word."""
    if reason is FinishReason.PAUSE:
        losses.act(Action.WARN, _PATH, "a paused answer ends as one that reached its limit")
    return WIRE_REASONS[reason]
