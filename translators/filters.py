"""Undo, on the stream of events, what rendering a request did (`Reading`), and mend odd upstreams.

Protocol-neutral: stop sequences that the gateway cuts itself, `<think>` tags, cumulative text, freeform
tools emulated as functions, an output schema wrapped under `value`, added nulls, one call per turn,
"the whole text must be one JSON object". A reading that needs none of it gets no filter at all.
"""

from __future__ import annotations

from typing import Protocol

from translators import ir
from translators.base import Reading
from translators.losses import Losses


class EventFilter(Protocol):
    """Events in, events out; keeps the grammar (indexes are renumbered where parts come or go)."""

    def apply(self, event: ir.StreamEvent) -> list[ir.StreamEvent]:
        """What becomes of one event."""
        ...

    @property
    def finished(self) -> bool:
        """True once the filter itself ended the answer (a stop sequence was cut): close the upstream."""
        ...


def filters_for(reading: Reading, losses: Losses) -> list[EventFilter]:
    """The filters that this answer needs, in order; [] for most."""
    raise NotImplementedError


def filter_response(response: ir.Response, reading: Reading, losses: Losses) -> ir.Response:
    """The same for a whole answer."""
    raise NotImplementedError
