"""What the fake remembers of every request: what came, what it made of it, what it sent, how that ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

type Outcome = Literal["", "complete", "broken", "client_left"]


@dataclass(slots=True)
class Recorded:
    """One request. `reason` says why it was rejected; `frames` are the events as they were sent.

    `outcome` stays empty until the answer has ended; `broken` is a scenario's doing, `client_left` is not.
    """

    protocol: str
    operation: str
    method: str
    path: str
    query: dict[str, str]
    headers: tuple[tuple[str, str], ...]
    raw: bytes
    body: Any = None
    model: str = ""
    scenario: str = ""
    verdict: Literal["accepted", "rejected"] = "accepted"
    status: int = 0
    reason: str = ""
    notes: list[str] = field(default_factory=list)
    tool_results: int = 0
    reasoning_returned: int = 0
    frames: list[bytes] = field(default_factory=list)
    outcome: Outcome = ""

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def ended(self, whole: bool) -> None:
        """Note that the answer has been sent, or broken off on purpose."""
        self.outcome = "complete" if whole else "broken"

    def summary(self) -> dict[str, Any]:
        """The record as JSON, bodies included, frames only counted."""
        return {
            "protocol": self.protocol,
            "operation": self.operation,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": [list(pair) for pair in self.headers],
            "body": self.body,
            "model": self.model,
            "scenario": self.scenario,
            "verdict": self.verdict,
            "status": self.status,
            "reason": self.reason,
            "notes": self.notes,
            "tool_results": self.tool_results,
            "reasoning_returned": self.reasoning_returned,
            "frames": len(self.frames),
            "outcome": self.outcome,
        }


class Record:
    """The requests in order of arrival; only the last thousand are kept."""

    def __init__(self) -> None:
        self._kept: deque[Recorded] = deque(maxlen=1000)

    def add(self, item: Recorded) -> None:
        """Remember one more."""
        self._kept.append(item)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def __iter__(self) -> Iterator[Recorded]:
        return iter(list(self._kept))

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, index: int) -> Recorded:
        return self._kept[index]

    @property
    def last(self) -> Recorded:
        """The latest request; `IndexError` when there was none."""
        return self._kept[-1]

    @property
    def rejected(self) -> list[Recorded]:
        """Those that a real provider would have refused."""
        return [item for item in self if item.verdict == "rejected"]

    def of(self, protocol: str, operation: str = "create") -> list[Recorded]:
        """Those of one protocol and operation."""
        return [item for item in self if (item.protocol, item.operation) == (protocol, operation)]
