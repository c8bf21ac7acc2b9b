"""What probes found out about models: kept in one small file of the state directory, read with the configuration.

A finding wins over presets, and what the user's own entry says wins over it. A damaged file is as good as none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

FILE: Final = "capabilities.json"
MAX_FINDINGS: Final = 1000
MAX_FILE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One model over one protocol of a provider; None = not found out. `at` is unix time."""

    provider: str
    base_url: str
    protocol: str
    model: str
    text: bool | None = None
    stream: bool | None = None
    tools: bool | None = None
    images: bool | None = None
    at: float = 0.0

    @property
    def place(self) -> tuple[str, str, str]:
        """What it is looked up by: another address may hold another model of this name."""
        return self.provider, self.base_url, self.model


_FINDING: Final = TypeAdapter(Finding)
type Findings = Mapping[tuple[str, str, str], Finding]


def read_findings(path: Path) -> list[Finding]:
    """The findings in a file, [] when it is missing or cannot be read."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return []
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [one for one in map(_finding, saved if isinstance(saved, list) else ()) if one]


def _finding(saved: Any) -> Finding | None:
    if not isinstance(saved, dict):
        return None
    try:
        return _FINDING.validate_python(saved)
    except ValidationError:
        return None


def dump_findings(findings: Iterable[Finding]) -> str:
    """The text of the file: the newest findings, one per model and protocol."""
    newest = {(*one.place, one.protocol): one for one in sorted(findings, key=lambda one: one.at)}
    kept = sorted(newest.values(), key=lambda one: -one.at)[:MAX_FINDINGS]
    return json.dumps([asdict(one) for one in kept], indent=1) + "\n"


def by_place(findings: Iterable[Finding]) -> Findings:
    """What is known of each model, over whichever protocol: images that one surface takes, the model sees."""
    found: dict[tuple[str, str, str], Finding] = {}
    for one in findings:
        known = found.get(one.place)
        if known is None:
            found[one.place] = one
        elif one.images is not None:
            found[one.place] = replace(known, images=bool(one.images or known.images))
    return found
