"""`GET /v1/models` as Anthropic clients read it.

Reference: https://platform.claude.com/docs/en/api/models-list (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from translators.catalogue import ModelCard, Page
from translators.wire import JsonObject


def render_model(card: ModelCard) -> JsonObject:
    """One entry, with the capabilities that are known."""
    created = datetime.fromtimestamp(card.created_s or 0, UTC)
    entry: JsonObject = {
        "type": "model",
        "id": card.id,
        "display_name": card.display_name or card.id,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if card.context_window is not None:
        entry["max_input_tokens"] = card.context_window
    if card.max_output_tokens is not None:
        entry["max_tokens"] = card.max_output_tokens
    return entry


def render_models(cards: Sequence[ModelCard], page: Page) -> JsonObject:
    """One page of the list with its cursors."""
    shown, more = page.cut(cards)
    return {
        "data": [render_model(card) for card in shown],
        "has_more": more,
        "first_id": shown[0].id if shown else None,
        "last_id": shown[-1].id if shown else None,
    }
