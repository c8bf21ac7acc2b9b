"""Fixtures for everything that talks HTTP: one strict fake provider and one real mitmdump per test session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.fake import FakeProvider
from tests.support.agent_report import AgentReport
from tests.support.gateway import Gateway
from tests.support.providers import four_providers


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--clients all`: the whole matrix of real agents, and its record in docs/agents.json."""
    parser.addoption("--clients", choices=("selection", "all"), default="selection")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the outcomes of a whole run."""
    if config.getoption("--clients") == "all":
        config.pluginmanager.register(AgentReport())


@pytest.fixture(scope="session")
def shared_fake() -> Iterator[FakeProvider]:
    """The provider's side, shared by all tests of a session."""
    with FakeProvider.running() as fake:
        yield fake


@pytest.fixture(scope="session")
def shared_gateway(shared_fake: FakeProvider) -> Iterator[Gateway]:
    """A gateway with one provider per protocol: ask for `chat/…`, `responses/…`, `claude/…`, `gemini/…`."""
    with Gateway(four_providers(shared_fake)) as gateway:
        yield gateway


@pytest.fixture
def fake(shared_fake: FakeProvider) -> FakeProvider:
    """The shared provider with an empty record and the plain text scenario."""
    shared_fake.reset()
    shared_fake.play("text")
    return shared_fake


@pytest.fixture
def gateway(shared_gateway: Gateway, fake: FakeProvider) -> Gateway:
    """The shared gateway."""
    return shared_gateway
