"""What a translation gives up: the three modes, the classes of meaning, and the record of it.

The table is section 1 of the portability rules. `Losses` is the one mutable collector of an attempt:
a parser, renderer, decoder or encoder tells it what cannot be said, and it refuses or records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from translators.errors import ErrorKind, GatewayError


class Mode(StrEnum):
    """How much a translation may give up."""

    STRICT = "strict"
    BALANCED = "balanced"
    MAX_COMPAT = "max_compat"


class Loss(StrEnum):
    """The class of what the target cannot say."""

    VALUE = "value"
    """Needs a nearest value, or a rewrite that keeps the meaning."""
    TELEMETRY = "telemetry"
    """Billing, caching, transport hints: no effect on the answer."""
    HINT = "hint"
    """Sampling or style."""
    MEANING = "meaning"
    """Content, tools, constraints, asked-for output."""
    SAFETY = "safety"
    IMPOSSIBLE = "impossible"
    UNKNOWN = "unknown"
    """A request field that the client's own protocol does not define either."""
    NOTE = "note"
    """Worth a warning in every mode, never a refusal (a safety setting that only loosened a default)."""


class Action(StrEnum):
    """What a mode does about a loss."""

    REJECT = "reject"
    WARN = "warn"
    SILENT = "silent"


ACTIONS: Final[Mapping[Loss, Mapping[Mode, Action]]] = {
    Loss.VALUE: {Mode.STRICT: Action.REJECT, Mode.BALANCED: Action.WARN, Mode.MAX_COMPAT: Action.WARN},
    Loss.TELEMETRY: {Mode.STRICT: Action.WARN, Mode.BALANCED: Action.SILENT, Mode.MAX_COMPAT: Action.SILENT},
    Loss.HINT: {Mode.STRICT: Action.REJECT, Mode.BALANCED: Action.WARN, Mode.MAX_COMPAT: Action.WARN},
    Loss.MEANING: {Mode.STRICT: Action.REJECT, Mode.BALANCED: Action.REJECT, Mode.MAX_COMPAT: Action.WARN},
    Loss.SAFETY: {Mode.STRICT: Action.REJECT, Mode.BALANCED: Action.REJECT, Mode.MAX_COMPAT: Action.WARN},
    Loss.IMPOSSIBLE: {Mode.STRICT: Action.REJECT, Mode.BALANCED: Action.REJECT, Mode.MAX_COMPAT: Action.REJECT},
    Loss.UNKNOWN: {Mode.STRICT: Action.REJECT, Mode.BALANCED: Action.WARN, Mode.MAX_COMPAT: Action.WARN},
    Loss.NOTE: {Mode.STRICT: Action.WARN, Mode.BALANCED: Action.WARN, Mode.MAX_COMPAT: Action.WARN},
}  # fmt: skip


NO_PREWARM: Final = "the cache cannot be filled without an answer; the shortest one is asked for"


@dataclass(frozen=True, slots=True)
class Degradation:
    """One thing given up: where in the client's request (or `response…`), and what became of it."""

    path: str
    reason: str


class Side(StrEnum):
    """Whose message is being translated: decides what a refusal looks like."""

    REQUEST = "request"
    RESPONSE = "response"


class Losses:
    """Collect the degradations of one translation; refuse what the mode does not allow."""

    __slots__ = ("_degradations", "mode", "side")

    def __init__(self, mode: Mode = Mode.MAX_COMPAT, side: Side = Side.REQUEST) -> None:
        self.mode = mode
        self.side = side
        self._degradations: dict[Degradation, None] = {}

    @property
    def degradations(self) -> tuple[Degradation, ...]:
        """What was given up, in order, without repetition."""
        return tuple(self._degradations)

    def give_up(self, loss: Loss, path: str, reason: str) -> None:
        """Record a loss of this class, or raise if the mode refuses it."""
        self.act(ACTIONS[loss][self.mode], path, reason)

    def choose(
        self, path: str, reason: str, *, strict: Action, balanced: Action, max_compat: Action
    ) -> None:
        """For the rules that spell out all three modes one by one."""
        action = {Mode.STRICT: strict, Mode.BALANCED: balanced, Mode.MAX_COMPAT: max_compat}
        self.act(action[self.mode], path, reason)

    def act(self, action: Action, path: str, reason: str) -> None:
        """Carry one action out."""
        if action is Action.WARN:
            self._degradations[Degradation(path, reason)] = None
        elif action is Action.REJECT:
            raise self.refusal(path, reason)

    def extend(self, other: Losses) -> None:
        """Take over what another collector (of the answer, say) recorded."""
        self._degradations.update(other._degradations)

    def warn(self, path: str, reason: str) -> None:
        """Record something given up in every mode."""
        self._degradations[Degradation(path, reason)] = None

    def refusal(self, path: str, reason: str) -> GatewayError:
        """The error for what cannot be said: 400 about a request, 502 about an answer."""
        if self.side is Side.REQUEST:
            return GatewayError(ErrorKind.UNTRANSLATABLE, f"{path}: {reason}", path=path)
        return GatewayError(ErrorKind.UPSTREAM_MALFORMED, f"the provider's answer: {reason}")
