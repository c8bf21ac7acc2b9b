"""Turn normalisation on the hub: section 3 of the portability rules and 4.2's actions.

Pure functions from messages to messages; each renderer composes what its protocol needs.
"""

from __future__ import annotations

from translators import ir
from translators.losses import Losses
from translators.profile import MidSystem


def split_system(
    messages: tuple[ir.Message, ...],
) -> tuple[tuple[ir.Message, ...], tuple[ir.Message, ...]]:
    """The leading system messages, and the rest."""
    raise NotImplementedError


def place_system(
    messages: tuple[ir.Message, ...], how: MidSystem, losses: Losses
) -> tuple[ir.Message, ...]:
    """Deal with system messages after the first other turn: keep, wrap in a user turn, or hoist."""
    raise NotImplementedError


def pair_results(messages: tuple[ir.Message, ...], losses: Losses) -> tuple[ir.Message, ...]:
    """Make every call have exactly one result in the very next (user) message, in call order, results first.

    Moves results that stand later; unique-ifies reused call ids (`_2`) together with their results; keeps the
    last payload of doubled results; a missing result is refused, or answered `(no result)` with the error
    flag (max_compat); an orphan is refused, or becomes user text (max_compat). Calls of a trailing assistant
    message need no result. Fills `ToolResult.name` and `.kind` from the call.
    """
    raise NotImplementedError


def merge_roles(messages: tuple[ir.Message, ...]) -> tuple[ir.Message, ...]:
    """Join adjacent messages of one role (A, G)."""
    raise NotImplementedError


def drop_empty(messages: tuple[ir.Message, ...]) -> tuple[ir.Message, ...]:
    """Drop empty text parts, and messages that nothing is left of; refuse a user message that was all empty."""
    raise NotImplementedError


def localise(
    messages: tuple[ir.Message, ...], protocol: str, losses: Losses
) -> tuple[ir.Message, ...]:
    """Apply the rules of foreign content (Foreign, WebSearch, CodeRun, Refusal) for a target protocol.

    Content of `protocol` itself stays as it is; what else may go along becomes assistant text (section 4.5).
    """
    raise NotImplementedError
