"""The real Codex over a WebSocket, on each of the four upstream protocols."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.fake import FakeProvider
from scripts.llmgate.launch import CLIENTS, Route, write_files
from tests.support import agents
from tests.support.gateway import Gateway
from tests.support.providers import PROVIDERS, four_providers

pytestmark = pytest.mark.clients


def codex(gateway: Gateway, model: str, work: Path) -> agents.Run:
    """One headless turn of Codex, told that the gateway has WebSockets."""
    home = work.parent / "codex-home"
    home.mkdir()
    known = CLIENTS["codex"]
    setup = known.setup(
        Route(url=gateway.url, key=gateway.key, model=model, small_model=model), home
    )
    write_files(setup, home)
    config = home / "config.toml"
    text = config.read_text()
    assert "supports_websockets = false" in text
    config.write_text(text.replace("supports_websockets = false", "supports_websockets = true"))
    words = known.headless("Do the task please.")
    return agents.run([str(agents.program("codex")), *words], work, dict(setup.environment))


def rejected(fake: FakeProvider) -> list[str]:
    """Why the provider refused requests."""
    return [seen.reason for seen in fake.record if seen.verdict != "accepted"]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """An empty working directory, with room for a home beside it."""
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.mark.parametrize("upstream", PROVIDERS)
def test_a_task_with_a_tool(
    gateway: Gateway, fake: FakeProvider, work: Path, upstream: str
) -> None:
    before = len(gateway.log)
    fake.play("reasoning-tool")
    run = codex(gateway, f"{upstream}/test-model", work)
    log = gateway.log[before:]
    assert run.code == 0, (run, log)
    assert (work / "proof-2.txt").read_text() == "hello-from-tool-2\n"
    assert rejected(fake) == []
    assert {seen.protocol for seen in fake.record} == {PROVIDERS[upstream]}
    assert max(seen.tool_results for seen in fake.record) == 2
    assert "101 Switching Protocols" in log
    lines = [line for line in log.splitlines() if "operation=generate" in line]
    statuses = {word for line in lines for word in line.split() if word.startswith("status=")}
    assert statuses - {"status=101"} == {"status=200"}
    assert len(fake.record) == 3, "the warming costs nothing"
    assert "econnecting" not in run.err, run.err


def test_what_the_gateway_does_not_remember_is_sent_again(fake: FakeProvider, work: Path) -> None:
    """A conversation larger than what one socket may keep."""
    fake.play("tool")
    with Gateway(four_providers(fake, websocket={"max_state_bytes": 1})) as gateway:
        run = codex(gateway, "claude/test-model", work)
        assert "previous_response_not_found" not in run.out
    assert run.code == 0, run
    assert (work / "proof-1.txt").exists()
    assert rejected(fake) == []


def test_an_answer_that_breaks_is_asked_for_again(
    gateway: Gateway, fake: FakeProvider, work: Path
) -> None:
    """Codex does so over a new socket, with the whole input."""
    fake.play("cut", after=2, then="tool")
    run = codex(gateway, "chat/test-model", work)
    assert run.code == 0, run
    assert (work / "proof-1.txt").exists()
    assert rejected(fake) == []
