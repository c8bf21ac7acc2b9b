"""`GET /v1/models` as OpenAI clients read it (Chat and Responses share the list).

Reference: https://platform.openai.com/docs/api-reference/models (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Sequence

from translators.catalogue import ModelCard, Page
from translators.wire import JsonObject


def render_model(card: ModelCard) -> JsonObject:
    """One entry; limits ride along under names that other servers use too, clients ignore what they do not know."""
    entry: JsonObject = {
        "id": card.id,
        "object": "model",
        "created": card.created_s or 0,
        "owned_by": card.owned_by,
    }
    if card.context_window is not None:
        entry["context_length"] = card.context_window
    if card.max_output_tokens is not None:
        entry["max_output_tokens"] = card.max_output_tokens
    if card.web_search:
        entry["web_search"] = True
    return entry


def render_models(cards: Sequence[ModelCard], page: Page) -> JsonObject:
    """The whole list: OpenAI does not page it."""
    return {"object": "list", "data": [render_model(card) for card in cards]}
