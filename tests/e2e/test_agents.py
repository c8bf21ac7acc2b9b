"""The real agent programs through a real mitmdump: each client, scenario and upstream protocol.

A plain run plays a selection of the matrix, `--clients all` the whole of it (see tests/support/agent_matrix.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.fake import FakeProvider
from tests.support import agent_matrix
from tests.support.agent_matrix import Cell
from tests.support.gateway import Gateway

pytestmark = pytest.mark.clients


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per cell."""
    if "cell" in metafunc.fixturenames:
        whole = metafunc.config.getoption("--clients") == "all"
        cells = list(agent_matrix.everything() if whole else agent_matrix.selection())
        metafunc.parametrize("cell", cells, ids=str)


@pytest.fixture(scope="module")
def agents_gateway(shared_fake: FakeProvider) -> Iterator[Gateway]:
    """A gateway that knows the windows of its models."""
    with Gateway(agent_matrix.configuration(shared_fake)) as gateway:
        yield gateway


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """An empty working directory, with room for a home beside it."""
    path = tmp_path / "work"
    path.mkdir()
    return path


def test_agent(cell: Cell, agents_gateway: Gateway, fake: FakeProvider, work: Path) -> None:
    agent_matrix.play(cell, agents_gateway, fake, work)
