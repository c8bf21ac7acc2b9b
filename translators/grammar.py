"""Which stream event may follow which, as a table, and the one class that walks it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from translators import ir
from translators.errors import StreamContractError


class Phase(Enum):
    """Where a stream is."""

    IDLE = auto()
    BETWEEN_PARTS = auto()
    IN_PART = auto()
    ENDED = auto()


TRANSITIONS: Final[Mapping[Phase, Mapping[type, Phase]]] = {
    Phase.IDLE: {
        ir.Ping: Phase.IDLE,
        ir.MessageStart: Phase.BETWEEN_PARTS,
        ir.StreamFailed: Phase.ENDED,
    },
    Phase.BETWEEN_PARTS: {
        ir.Ping: Phase.BETWEEN_PARTS,
        ir.PartStart: Phase.IN_PART,
        ir.Finish: Phase.ENDED,
        ir.StreamFailed: Phase.ENDED,
    },
    Phase.IN_PART: {
        ir.Ping: Phase.IN_PART,
        ir.PartDelta: Phase.IN_PART,
        ir.CitationAdded: Phase.IN_PART,
        ir.PartEnd: Phase.BETWEEN_PARTS,
        ir.StreamFailed: Phase.ENDED,
    },
    Phase.ENDED: {},
}


class Grammar:
    """Walk the table; `index` is the open part's, or that of the last one (-1 before the first)."""

    __slots__ = ("index", "phase")

    def __init__(self) -> None:
        self.phase = Phase.IDLE
        self.index = -1

    @property
    def ended(self) -> bool:
        """Whether the terminal event has been seen."""
        return self.phase is Phase.ENDED

    def reopen(self) -> None:
        """The terminal event could not be written: its failure may still follow."""
        self.phase = Phase.BETWEEN_PARTS

    def advance(self, event: ir.StreamEvent) -> None:
        """Take one event; `StreamContractError` names event and phase when it may not come here."""
        if (
            isinstance(event, ir.PartDelta)
            and event.index == self.index
            and self.phase is Phase.IN_PART
        ):
            return  # the hot path: a delta of the open part changes nothing
        kind = type(event)
        target = TRANSITIONS[self.phase].get(kind)
        if target is None:
            raise StreamContractError(f"{kind.__name__} may not come in phase {self.phase.name}")
        if isinstance(event, ir.PartStart):
            self.index += 1
        if isinstance(event, ir.PartStart | ir.PartDelta | ir.CitationAdded | ir.PartEnd):
            if event.index != self.index:
                raise StreamContractError(
                    f"{kind.__name__} names part {event.index}, the open one is {self.index}"
                )
        self.phase = target
