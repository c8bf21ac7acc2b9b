"""Collects what became of each cell of the matrix of real agents, for the table in the README."""

from __future__ import annotations

import pytest

from scripts import agent_table
from tests.support import agent_matrix


class AgentReport:
    """A pytest plugin; only a run that played every cell is recorded."""

    def __init__(self) -> None:
        self._outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a cell that was played, or that could not be set up."""
        _, _, cell = report.nodeid.partition("test_agents.py::test_agent[")
        if cell and (report.when == "call" or report.failed):
            self._outcomes[cell.removesuffix("]")] = report.outcome

    def pytest_sessionfinish(self) -> None:
        """Write the record."""
        cells = [str(cell) for cell in agent_matrix.everything()]
        if all(cell in self._outcomes for cell in cells):
            titles = {item.name: item.title for item in agent_matrix.SCENARIOS}
            outcomes = {cell: self._outcomes[cell] for cell in cells}
            agent_table.write_record(outcomes, titles)
