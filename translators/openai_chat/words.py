"""Words of Chat Completions that several files of this package share, and what they mean in the hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from translators.ir import ForeignRule, Level, StateKind
from translators.losses import Action

NAME: Final = "openai_chat"

FILE_STORES: Final = frozenset({NAME, "openai_responses"})
"""Protocols whose file ids are those of the same OpenAI account."""

EFFORTS: Final[Mapping[str, Level]] = {
    "none": Level.OFF,
    "minimal": Level.MINIMAL,
    "low": Level.LOW,
    "medium": Level.MEDIUM,
    "high": Level.HIGH,
    "xhigh": Level.XHIGH,
    "max": Level.MAX,
    "ultra": Level.MAX,
}
"""`reasoning_effort` to the hub; `ultra` is some clients' word for more than the scale has (pitfalls RSN-23)."""

EFFORT_WORDS: Final[Mapping[Level, str]] = {
    Level.OFF: "none",
    Level.MINIMAL: "minimal",
    Level.LOW: "low",
    Level.MEDIUM: "medium",
    Level.HIGH: "high",
    Level.XHIGH: "xhigh",
    Level.MAX: "max",
}

SERVICE_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})

REASONING_FIELDS: Final = ("reasoning_content", "reasoning")
"""Where servers put readable reasoning, beside `reasoning_details`."""

PLACEHOLDERS: Final = frozenset(
    {"", "[reasoning unavailable]", "[reasoning omitted]", "[redacted]", "[thinking unavailable]"}
)
"""What other gateways write where they had no reasoning to hand on (pitfalls RSN-27)."""

DETAILS: Final = StateKind.CHAT_DETAILS

REFUSED: Final = ForeignRule(Action.REJECT, Action.REJECT, Action.REJECT)
"""The rule of content that cannot go anywhere else in any mode."""


def reasoning_text(message: Mapping[str, object]) -> str:
    """The readable reasoning of a message or delta, "" when there is none or only a placeholder."""
    for field in REASONING_FIELDS:
        value = message.get(field)
        if isinstance(value, str) and not (len(value) < 40 and value.casefold() in PLACEHOLDERS):
            return value
    return ""
