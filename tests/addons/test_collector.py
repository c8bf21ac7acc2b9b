"""The collector's settings are those of a running gateway, and only of that."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from addons.collector import THRESHOLDS, Collector


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before, enabled = gc.get_threshold(), gc.isenabled()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()
    if enabled:
        gc.enable()


def test_what_is_there_at_the_start_is_left_alone_until_the_end() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    addon = Collector()
    addon.running()
    assert gc.get_threshold() == THRESHOLDS
    assert gc.get_freeze_count() > frozen
    addon.done()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_a_gateway_that_never_ran_changes_nothing() -> None:
    before = gc.get_threshold()
    Collector().done()
    assert gc.get_threshold() == before


def test_a_collector_that_somebody_switched_off_stays_off() -> None:
    before = gc.get_threshold()
    gc.disable()
    addon = Collector()
    addon.running()
    assert gc.get_threshold() == before
    assert not gc.isenabled()
    addon.done()
