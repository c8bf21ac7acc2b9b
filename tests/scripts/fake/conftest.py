"""A fake provider of their own for the tests of the fake provider."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.fake import FakeProvider


@pytest.fixture(scope="module")
def own_fake() -> Iterator[FakeProvider]:
    """One per module; `fake` clears it for each test."""
    with FakeProvider.running() as provider:
        yield provider


@pytest.fixture
def fake(own_fake: FakeProvider) -> FakeProvider:
    """The module's fake provider, with nothing recorded and the text scenario."""
    own_fake.reset()
    own_fake.play("text")
    return own_fake
