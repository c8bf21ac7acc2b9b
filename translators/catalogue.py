"""A model as the gateway offers it, for the model lists of all protocols. Each package spells its own list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from translators.ir import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One client-visible model name and what is known of it; None = not known. Limits are tokens."""

    id: str
    owned_by: str
    display_name: str | None = None
    description: str = ""
    created_s: int | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    images: bool = True
    documents: bool = True
    parallel_calls: bool = True
    reasoning_levels: tuple[Level, ...] = ()
    default_level: Level | None = None
    custom_tools: bool = False
    web_search: bool = False
    """Whether the provider searches the web by itself."""
    usable: bool = True
    """False = every key for it is resting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of a list to show: `limit` entries after (or before) an id."""

    limit: int = 1000
    after: str | None = None
    before: str | None = None

    def cut(self, cards: Sequence[ModelCard]) -> tuple[tuple[ModelCard, ...], bool]:
        """The entries of this page, and whether there are more in its direction."""
        items = list(cards)
        ids = [card.id for card in items]
        if self.after in ids:
            items = items[ids.index(self.after or "") + 1 :]
        elif self.before in ids:
            items = items[: ids.index(self.before or "")]
            return tuple(items[-self.limit :]), len(items) > self.limit
        return tuple(items[: self.limit]), len(items) > self.limit
