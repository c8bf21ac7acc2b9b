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
        ir.OfChoice: Phase.BETWEEN_PARTS,
        ir.Finish: Phase.ENDED,
        ir.StreamFailed: Phase.ENDED,
    },
    Phase.IN_PART: {
        ir.Ping: Phase.IN_PART,
        ir.PartDelta: Phase.IN_PART,
        ir.CitationAdded: Phase.IN_PART,
        ir.OfChoice: Phase.IN_PART,
        ir.PartEnd: Phase.BETWEEN_PARTS,
        ir.StreamFailed: Phase.ENDED,
    },
    Phase.ENDED: {},
}


class Grammar:
    """Walk the table; `index` is the open part's, or that of the last one (-1 before the first).

    Each further answer of the stream walks it for itself.
    """

    __slots__ = ("_others", "index", "phase")

    def __init__(self, phase: Phase = Phase.IDLE) -> None:
        self.phase = phase
        self.index = -1
        self._others: dict[int, Grammar] = {}

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
        if isinstance(event, ir.OfChoice):
            other = self._others.setdefault(event.choice, Grammar(Phase.BETWEEN_PARTS))
            other.advance(event.event)
        elif isinstance(event, ir.Finish) and not all(
            other.ended for other in self._others.values()
        ):
            raise StreamContractError("Finish came before a further answer had finished")
        self.phase = target
