"""`GET /v1beta/models` as Gemini clients read it.

Reference: https://ai.google.dev/api/models (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from translators.catalogue import ModelCard, Page
from translators.wire import JsonObject

METHODS: Final = ("generateContent", "streamGenerateContent", "countTokens")


def render_model(card: ModelCard) -> JsonObject:
    """One entry; a limit that is not known is left out."""
    entry: JsonObject = {
        "name": f"models/{card.id}",
        "baseModelId": card.id,
        "version": "001",
        "displayName": card.display_name or card.id,
        "description": card.description,
        "supportedGenerationMethods": list(METHODS),
    }
    if card.context_window is not None:
        entry["inputTokenLimit"] = card.context_window
    if card.max_output_tokens is not None:
        entry["outputTokenLimit"] = card.max_output_tokens
    if card.reasoning_levels:
        entry["thinking"] = True
    return entry


def render_models(cards: Sequence[ModelCard], page: Page) -> JsonObject:
    """One page of the list; the page token is the last id shown."""
    shown, more = page.cut(cards)
    listing: JsonObject = {"models": [render_model(card) for card in shown]}
    if more and shown:
        listing["nextPageToken"] = shown[-1].id
    return listing
