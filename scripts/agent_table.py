"""The table of what the real agent programs did, made from the record of the last whole run.

./scripts/test --clients all               runs the whole matrix and writes docs/agents.json
python -m scripts.agent_table              writes the table into README.md, between the two markers
python -m scripts.agent_table --check      exit 1 when README.md does not show the record, or other versions are pinned
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scripts import readme
from scripts.clients import PACKAGES, pins

ROOT: Final = Path(__file__).parents[1]
RECORD: Final = ROOT / "docs" / "agents.json"
NAMES: Final = {
    "claude": "Claude Code",
    "codex": "Codex CLI",
    "gemini": "Gemini CLI",
    "opencode": "OpenCode",
}
LETTERS: Final = {"chat": "C", "responses": "R", "claude": "A", "gemini": "G"}
_PASSED: Final = "passed"


@dataclass(frozen=True, slots=True)
class Record:
    """One run of the whole matrix: `outcomes` of `scenario-client-upstream`, `titles` of the scenarios in order."""

    date: str
    versions: Mapping[str, str]
    titles: Mapping[str, str]
    outcomes: Mapping[str, str]


def write_record(outcomes: Mapping[str, str], titles: Mapping[str, str]) -> None:
    """Keep the outcomes of a whole run, with today's date and the versions that are pinned."""
    record = {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "versions": pins(),
        "titles": dict(titles),
        "outcomes": dict(outcomes),
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read_record() -> Record:
    """The record of the last whole run."""
    loaded: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return Record(**loaded)


def table(record: Record) -> str:
    """The table in Markdown: a row per scenario, a column per client, in a cell the upstreams that passed."""
    heads = [f"{NAMES[name]} {record.versions[PACKAGES[name]]}" for name in NAMES]
    lines = [
        f"Run on {record.date}; C, R, A, G: passed with an upstream of this protocol; –: failed.",
        "",
        _row("", heads),
        "|---|" + ":-:|" * len(heads),
    ]
    for scenario, title in record.titles.items():
        lines.append(_row(title, [_cell(record, scenario, client) for client in NAMES]))
    return "\n".join(lines) + "\n"


def _cell(record: Record, scenario: str, client: str) -> str:
    passed = (
        letter if record.outcomes.get(f"{scenario}-{client}-{upstream}") == _PASSED else "–"
        for upstream, letter in LETTERS.items()
    )
    return " ".join(passed)


def _row(name: str, cells: Iterable[str]) -> str:
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> int:
    """Write the table, or check that it is fresh and that nothing else is pinned."""
    record = read_record()
    if "--check" in sys.argv[1:] and record.versions != pins():
        print("other clients are pinned: run ./scripts/test --clients all", file=sys.stderr)
        return 1
    return readme.update("agents", table(record), "python -m scripts.agent_table")


if __name__ == "__main__":
    sys.exit(main())
