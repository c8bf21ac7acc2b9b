"""The flag that rewrites the goldens: `pytest tests/translators --update-goldens`, then read the diff."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--update-goldens`; pytest sees it when it is given this directory, or a file in it."""
    parser.addoption(
        "--update-goldens", action="store_true", help="write what the translators now say"
    )


@pytest.fixture
def update_goldens(request: pytest.FixtureRequest) -> bool:
    """Whether goldens are to be written and not compared."""
    return bool(request.config.getoption("--update-goldens", default=False))
