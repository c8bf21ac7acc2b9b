"""The table of modes and classes, and what a refusal looks like."""

from __future__ import annotations

import pytest

from translators.errors import ErrorKind, GatewayError
from translators.losses import ACTIONS, Action, Degradation, Loss, Losses, Mode, Side


@pytest.mark.parametrize(
    ("loss", "strict", "balanced", "max_compat"),
    [
        (Loss.VALUE, "reject", "warn", "warn"),
        (Loss.TELEMETRY, "warn", "silent", "silent"),
        (Loss.HINT, "reject", "warn", "warn"),
        (Loss.MEANING, "reject", "reject", "warn"),
        (Loss.SAFETY, "reject", "reject", "warn"),
        (Loss.IMPOSSIBLE, "reject", "reject", "reject"),
        (Loss.UNKNOWN, "reject", "warn", "warn"),
    ],
)
def test_the_table(loss: Loss, strict: str, balanced: str, max_compat: str) -> None:
    for mode, action in zip(Mode, (strict, balanced, max_compat), strict=True):
        losses = Losses(mode)
        if action == "reject":
            with pytest.raises(GatewayError) as caught:
                losses.give_up(loss, "a.b", "why")
            assert caught.value.kind is ErrorKind.UNTRANSLATABLE
            assert (caught.value.path, caught.value.message) == ("a.b", "a.b: why")
        else:
            losses.give_up(loss, "a.b", "why")
            expected = (Degradation("a.b", "why"),) if action == "warn" else ()
            assert losses.degradations == expected


def test_the_table_is_complete() -> None:
    assert set(ACTIONS) == set(Loss)
    assert all(set(row) == set(Mode) for row in ACTIONS.values())


def test_degradations_keep_their_order_without_repetition() -> None:
    losses = Losses()
    for path in ("b", "a", "b"):
        losses.warn(path, "why")
    assert [item.path for item in losses.degradations] == ["b", "a"]


def test_an_answer_that_cannot_be_told_is_the_upstreams_fault() -> None:
    losses = Losses(Mode.STRICT, Side.RESPONSE)
    with pytest.raises(GatewayError) as caught:
        losses.choose(
            "p", "why", strict=Action.REJECT, balanced=Action.WARN, max_compat=Action.WARN
        )
    assert caught.value.kind is ErrorKind.UPSTREAM_MALFORMED
    assert caught.value.path is None
