"""Each test with an SDK runs against all four upstream protocols."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.support.sdk")

from tests.support.sdk import UPSTREAMS  # noqa: E402 - its asserts explain themselves too


@pytest.fixture(params=UPSTREAMS)
def up(request: pytest.FixtureRequest) -> str:
    """The provider's name: what the gateway's model names begin with."""
    name: str = request.param
    return name
