"""What the real agent programs are put through: nine scenarios, four clients, four upstream protocols.

`selection` is what every run of the tests plays: the shell tool on all sixteen pairs, and every other scenario with
every client once. `everything` is the whole matrix (`./scripts/test --clients all`), whose result the README shows.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scripts.fake import FakeProvider
from tests.support import agents
from tests.support.gateway import Gateway
from tests.support.providers import PROVIDERS, four_providers

WINDOW: Final = 400_000
PROMPT: Final = "Do the task please."
PNG: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="
)


@dataclass(frozen=True, slots=True)
class Played:
    """One run: what the program said, what it left behind, what the provider saw."""

    client: str
    upstream: str
    run: agents.Run
    work: Path
    fake: FakeProvider

    @property
    def statuses(self) -> list[int]:
        """How the provider answered, in order."""
        return [seen.status for seen in self.fake.record]

    def lines(self, name: str) -> list[str]:
        """A file that the agent should have made."""
        path = self.work / name
        assert path.exists(), (f"{name} was not made", self.run, self.statuses)
        return path.read_text().splitlines()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One task. `fake` and `options` are the provider's part, `check` looks at what came of it."""

    name: str
    title: str
    fake: str
    check: Callable[[Played], None]
    options: Mapping[str, Any] = field(default_factory=dict)
    prompt: str = PROMPT
    model: str = "test-model"
    ends_well: tuple[str, ...] = tuple(agents.CLIENTS)
    """The clients whose exit code is 0."""


def _plain(played: Played) -> None:
    assert "Hello! This is the fake provider speaking." in played.run.out


def _shell(played: Played) -> None:
    assert played.lines("proof-1.txt") == ["hello-from-tool-1"]
    assert "hello-from-tool-1" in played.run.out
    assert max(seen.tool_results for seen in played.fake.record) == 1


def _parallel(played: Played) -> None:
    for number in (1, 2):
        assert played.lines(f"proof-{number}.txt") == [f"hello-from-tool-{number}"]


def _steps(played: Played) -> None:
    assert played.lines("steps.txt") == ["alpha", "gamma"]


def _reasoning(played: Played) -> None:
    assert played.lines("proof-2.txt") == ["hello-from-tool-2"]
    assert max(seen.reasoning_returned for seen in played.fake.record) == 2, "reasoning was lost"


def _image(played: Played) -> None:
    assert "I see 1 image(s)" in played.run.out, (played.run, played.statuses)


def _limited(played: Played) -> None:
    assert 429 in played.statuses
    _shell(played)


def _cut(played: Played) -> None:
    asked = [seen for seen in played.fake.record if seen.scenario == "cut"]
    assert len(asked) >= 2, "the client did not ask again"
    _shell(played)


def _compacted(played: Played) -> None:
    """The window was nearly full after the third step: the client summed up, went on, and finished the task."""
    sums = [index for index, seen in enumerate(played.fake.record) if _sums_up(seen.body)]
    assert sums, "the client did not sum up"
    assert sums[0] < len(played.fake.record) - 1, "the client did not go on"
    if played.client != "gemini":  # whose run ends with a plain answer
        _steps(played)


REFUSED_WORDS: Final = {
    "codex": "ran out of room in the model's context window",
    "gemini": "exceeds the maximum number of tokens allowed",
}
"""Codex and Gemini CLI end a turn that does not fit, without a gateway too: in the words that they know it by."""


def _overflowed(played: Played) -> None:
    """The second request was refused for its length: the client sums up and finishes, or says so and ends."""
    words = REFUSED_WORDS.get(played.client)
    if words is not None:
        assert played.run.code != 0
        assert words in played.run.out + played.run.err, played.run
        return
    assert any(_sums_up(seen.body) for seen in played.fake.record), "the client did not sum up"
    _shell(played)


def _sums_up(body: Mapping[str, Any]) -> bool:
    """A request of the agent's for a summary: without tools, or with their words for it."""
    text = str(body).lower()
    return any(words in text for words in SUMMARY_WORDS)


SUMMARY_WORDS: Final = (
    "context checkpoint compaction",  # Codex
    "create a detailed summary of the conversation",  # Claude Code
    "anchored summary",  # OpenCode
    "here is the conversation so far",  # OpenCode
    "state_snapshot",  # Gemini CLI
)

SHELL: Final = Scenario(name="shell", title="shell tool", fake="tool", check=_shell)
SCENARIOS: Final = (
    Scenario(name="plain", title="plain answer", fake="text", check=_plain),
    SHELL,
    Scenario(name="parallel", title="two parallel calls", fake="parallel", check=_parallel),
    Scenario(name="steps", title="five tool turns with an edit", fake="steps", check=_steps),
    Scenario(
        name="reasoning",
        title="reasoning with tools",
        fake="reasoning-tool",
        model="thinking-model",
        check=_reasoning,
    ),
    Scenario(
        name="image",
        title="image input",
        fake="image",
        prompt="@image.png What do you see?",
        check=_image,
    ),
    Scenario(
        name="limited",
        title="429, then success",
        fake="status-429",
        options={"times": 1, "retry_after_s": 0.2, "then": "tool"},
        check=_limited,
    ),
    Scenario(
        name="cut",
        title="stream cut, then the client's retry",
        fake="cut",
        options={"times": 1, "after": 3, "then": "tool"},
        check=_cut,
    ),
    Scenario(
        name="compaction", title="window nearly full: compacts", fake="full", check=_compacted
    ),
    Scenario(
        name="overflow",
        title="refused for its length: compacts, or says so¹",
        fake="overflow",
        options={"times": 1, "at": 1, "then": "tool"},
        check=_overflowed,
        ends_well=("claude",),  # OpenCode goes on, but remembers the error in its exit code
    ),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of the matrix."""

    scenario: Scenario
    client: str
    upstream: str

    def __str__(self) -> str:
        return f"{self.scenario.name}-{self.client}-{self.upstream}"


def everything() -> Iterator[Cell]:
    """The whole matrix."""
    for scenario in SCENARIOS:
        for client in agents.CLIENTS:
            for upstream in PROVIDERS:
                yield Cell(scenario, client, upstream)


def selection() -> Iterator[Cell]:
    """The shell tool everywhere, every other scenario once per client, on upstreams that take turns."""
    upstreams = list(PROVIDERS)
    for row, scenario in enumerate(SCENARIOS):
        for column, client in enumerate(agents.CLIENTS):
            if scenario is SHELL:
                yield from (Cell(scenario, client, upstream) for upstream in upstreams)
            else:
                yield Cell(scenario, client, upstreams[(row + column) % len(upstreams)])


def configuration(fake: FakeProvider) -> dict[str, Any]:
    """A gateway with two models at each provider, of a known window.

    The thinking one reasons; at the Chat provider it wants its reasoning back, as DeepSeek's models do.
    """
    config = four_providers(fake)
    size = {"context_window": WINDOW, "max_output_tokens": 32_000}
    for provider in config["providers"].values():
        profile = {"reasoning_levels": ["low", "medium", "high"], "reasoning_echo": "required"}
        provider["models"] = {
            "test-model": size,
            "thinking-model": {**size, "name": "deepseek-test", "profile": profile},
        }
    return config


def play(cell: Cell, gateway: Gateway, fake: FakeProvider, work: Path) -> Played:
    """Run a cell and check it: the program ended well, and the provider refused nothing of its own accord."""
    scenario = cell.scenario
    fake.play(scenario.fake, **scenario.options)
    (work / "image.png").write_bytes(PNG)
    model = f"{cell.upstream}/{scenario.model}"
    if scenario.name == "compaction" and cell.client == "gemini":
        run = gemini_compacts(gateway, fake, model, work)
    else:
        run = agents.turn(cell.client, gateway, model, scenario.prompt, work)
    played = Played(cell.client, cell.upstream, run, work, fake)
    rejected = [seen.reason for seen in fake.record if seen.verdict != "accepted"]
    assert not rejected, rejected
    if cell.client in scenario.ends_well:
        assert run.code == 0, (run, played.statuses)
    assert {seen.protocol for seen in fake.record} == {PROVIDERS[cell.upstream]}
    scenario.check(played)
    return played


def gemini_compacts(gateway: Gateway, fake: FakeProvider, model: str, work: Path) -> agents.Run:
    """Gemini CLI sums up between a user's turns only, at half a million tokens: a long turn, then another one."""
    fake.play("text", text=_without_repetition(), piece_chars=4_000)
    first = agents.turn("gemini", gateway, model, PROMPT, work, settings=GEMINI_THRESHOLD)
    assert first.code == 0, first
    fake.play("text")
    return agents.turn(
        "gemini",
        gateway,
        model,
        PROMPT,
        work,
        words=("--resume", "latest"),
        settings=GEMINI_THRESHOLD,
    )


def _without_repetition() -> str:
    """A quarter of a megabyte that Gemini CLI does not take for a loop."""
    return "\n".join(hashlib.sha256(bytes([n % 256, n // 256])).hexdigest() for n in range(4_000))


GEMINI_THRESHOLD: Final = {"model": {"compressionThreshold": 0.02}}
