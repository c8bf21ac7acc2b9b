"""The model catalogue of Codex: what it reads from `GET /models?client_version=…` to know how to ask a model.

Every field that a released version of Codex requires is there, for one missing field makes it throw the whole
list away. What a field switches on must be safe with any upstream behind the gateway, so the catalogue claims
little (pitfalls MDL-03): no freeform tools, no code mode, no shortened requests, no WebSocket.
Reference: https://github.com/openai/codex (`ModelInfo` in the protocol crate; checked by running 0.169.0)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from translators.catalogue import ModelCard
from translators.ir import Level
from translators.wire import JsonObject

_EFFORTS: Final = {
    Level.MINIMAL: "minimal",
    Level.LOW: "low",
    Level.MEDIUM: "medium",
    Level.HIGH: "high",
    Level.XHIGH: "xhigh",
}
"""Levels that every version of Codex can read; others are not offered."""

_WINDOW: Final = 128_000
"""For a model of unknown size: rather compacted early than refused for its length."""

_OUTPUT_LIMIT: Final = 10_000
"""Bytes of a command's output that go to the model, as Codex does for models that it does not know."""

INSTRUCTIONS: Final = """\
You are a coding agent that works in the user's terminal and workspace. Keep going until the task is done, then \
say briefly what you did.

- Look before you change: read the files concerned and follow the conventions that you find.
- Follow the instructions in AGENTS.md files; the one nearest to a file counts most.
- Use the tools that you are given, with exactly the parameters that they declare. Search with `rg` where it exists.
- Make small, complete changes. Fix causes, not symptoms; leave unrelated code alone.
- Never undo changes that are not yours, and never run destructive commands unless you were asked to.
- Run the tests or the build that cover your change, and report honestly what failed or was not run.
- Answer in plain, short Markdown; name files with their paths and line numbers.
"""
"""The system text. Codex refuses an entry without one, and has none of its own for models that a catalogue names."""

_FIXED: Final[JsonObject] = {
    "shell_type": "shell_command",
    "visibility": "list",
    "supported_in_api": True,
    "minimal_client_version": "0.0.0",
    "availability_nux": None,
    "upgrade": None,
    "support_verbosity": False,
    "default_verbosity": None,
    "apply_patch_tool_type": None,
    "truncation_policy": {"mode": "bytes", "limit": _OUTPUT_LIMIT},
    "supports_image_detail_original": False,
    "supports_search_tool": False,
    "experimental_supported_tools": [],
    "use_responses_lite": False,
    "prefer_websockets": False,
}


def render_catalogue(cards: Sequence[ModelCard]) -> JsonObject:
    """The whole catalogue, in the order of the list."""
    return {"models": [_entry(card, rank) for rank, card in enumerate(cards)]}


def _entry(card: ModelCard, rank: int) -> JsonObject:
    window = card.context_window or _WINDOW
    efforts = [_EFFORTS[level] for level in card.reasoning_levels if level in _EFFORTS]
    return {
        "slug": card.id,
        "display_name": card.display_name or card.id,
        "description": card.description or None,
        "default_reasoning_level": _default_effort(card, efforts),
        "supported_reasoning_levels": [
            {"effort": effort, "description": effort.capitalize()} for effort in efforts
        ],
        "priority": rank + 1,
        "base_instructions": INSTRUCTIONS,
        "context_window": window,
        "max_context_window": window,
        "auto_compact_token_limit": None,
        "effective_context_window_percent": 95,
        "input_modalities": ["text", "image"] if card.images else ["text"],
        "supports_parallel_tool_calls": card.parallel_calls,
        "supports_reasoning_summaries": bool(efforts),
        "supports_reasoning_summary_parameter": bool(efforts),
        "default_reasoning_summary": "auto" if efforts else "none",
        **_FIXED,
    }


def _default_effort(card: ModelCard, efforts: list[str]) -> str | None:
    wanted = _EFFORTS.get(card.default_level or Level.MEDIUM)
    if wanted in efforts:
        return wanted
    return efforts[len(efforts) // 2] if efforts else None
