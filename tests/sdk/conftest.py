"""Each test with an SDK runs against all four upstream protocols."""

from __future__ import annotations

import openai
import pytest

pytest.register_assert_rewrite("tests.support.sdk")

from tests.support.gateway import Gateway  # noqa: E402 - behind the line above
from tests.support.sdk import UPSTREAMS  # noqa: E402 - its asserts explain themselves too


@pytest.fixture(scope="session")
def shared_openai(shared_gateway: Gateway) -> openai.OpenAI:
    """An OpenAI client that validates every answer and retries nothing."""
    return openai.OpenAI(
        api_key=shared_gateway.key,
        base_url=f"{shared_gateway.url}/v1",
        max_retries=0,
        _strict_response_validation=True,
    )


@pytest.fixture(params=UPSTREAMS)
def up(request: pytest.FixtureRequest) -> str:
    """The provider's name: what the gateway's model names begin with."""
    name: str = request.param
    return name
