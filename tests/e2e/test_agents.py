"""The real agent programs through a real mitmdump: each client on each of the four upstream protocols."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.fake import FakeProvider
from tests.support import agents
from tests.support.gateway import Gateway
from tests.support.providers import PROVIDERS

pytestmark = pytest.mark.clients


def play(
    client: str, upstream: str, scenario: str, gateway: Gateway, fake: FakeProvider, work: Path
) -> agents.Run:
    """Run a client on a scenario; no request may have been refused, and all went to the upstream's protocol."""
    fake.play(scenario)
    run = agents.turn(client, gateway, f"{upstream}/test-model", "Do the task please.", work)
    requests = [(seen.path, seen.status, seen.reason) for seen in fake.record]
    assert run.code == 0, (run, requests)
    rejected = [seen.reason for seen in fake.record if seen.verdict != "accepted"]
    assert not rejected, rejected
    assert {seen.protocol for seen in fake.record} == {PROVIDERS[upstream]}
    return run


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """An empty working directory, with room for a home beside it."""
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.mark.parametrize("upstream", PROVIDERS)
@pytest.mark.parametrize("client", agents.CLIENTS)
def test_a_shell_tool_creates_a_file(
    client: str, upstream: str, gateway: Gateway, fake: FakeProvider, work: Path
) -> None:
    run = play(client, upstream, "tool", gateway, fake, work)
    assert (work / "proof-1.txt").read_text() == "hello-from-tool-1\n", run
    assert "hello-from-tool-1" in run.out
    assert max(seen.tool_results for seen in fake.record) == 1


@pytest.mark.parametrize(
    ("client", "upstream"),
    [("claude", "gemini"), ("codex", "claude"), ("gemini", "responses"), ("opencode", "chat")],
)
def test_two_parallel_calls(
    client: str, upstream: str, gateway: Gateway, fake: FakeProvider, work: Path
) -> None:
    play(client, upstream, "parallel", gateway, fake, work)
    for number in (1, 2):
        assert (work / f"proof-{number}.txt").read_text() == f"hello-from-tool-{number}\n"


@pytest.mark.parametrize(
    ("client", "upstream"),
    [("claude", "responses"), ("codex", "gemini"), ("gemini", "claude"), ("opencode", "gemini")],
)
def test_five_tool_turns_with_an_edit(
    client: str, upstream: str, gateway: Gateway, fake: FakeProvider, work: Path
) -> None:
    play(client, upstream, "steps", gateway, fake, work)
    assert (work / "steps.txt").read_text() == "alpha\ngamma\n"


@pytest.mark.parametrize(
    ("client", "upstream"),
    [("claude", "responses"), ("codex", "claude"), ("gemini", "claude"), ("opencode", "claude")],
)
def test_reasoning_comes_back_intact(
    client: str, upstream: str, gateway: Gateway, fake: FakeProvider, work: Path
) -> None:
    play(client, upstream, "reasoning-tool", gateway, fake, work)
    assert (work / "proof-2.txt").exists()
    if any(seen.body.get("thinking") or seen.body.get("reasoning") for seen in fake.record):
        assert max(seen.reasoning_returned for seen in fake.record) >= 1
