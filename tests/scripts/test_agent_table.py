"""The README shows the last whole run of the real agents, with the versions that are pinned."""

from __future__ import annotations

import pytest

from scripts import agent_table, readme
from scripts.clients import pins
from tests.support import agent_matrix


def test_readme_shows_the_record() -> None:
    text = readme.README.read_text(encoding="utf-8")
    lines = agent_table.table(agent_table.read_record())
    assert readme.with_table(text, "agents", lines) == text


def test_the_pinned_versions_were_run() -> None:
    assert agent_table.read_record().versions == pins(), "run ./scripts/test --clients all"


def test_the_record_is_whole_and_green() -> None:
    outcomes = agent_table.read_record().outcomes
    cells = [str(cell) for cell in agent_matrix.everything()]
    assert list(outcomes) == cells
    assert not [cell for cell, outcome in outcomes.items() if outcome != "passed"]


def test_every_scenario_and_pair_is_in_the_selection() -> None:
    cells = list(agent_matrix.selection())
    pairs = {(cell.client, cell.upstream) for cell in cells if cell.scenario is agent_matrix.SHELL}
    assert len(pairs) == 16
    assert {cell.scenario.name for cell in cells} == {s.name for s in agent_matrix.SCENARIOS}


def test_a_failure_is_shown() -> None:
    record = agent_table.Record(
        date="2026-01-02",
        versions=pins(),
        titles={"plain": "plain answer"},
        outcomes={"plain-claude-chat": "passed", "plain-claude-gemini": "failed"},
    )
    assert "| plain answer | C – – – | – – – – |" in agent_table.table(record)


def test_a_readme_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="agents:begin"):
        readme.with_table("nothing", "agents", "")
