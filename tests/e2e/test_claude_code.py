"""The real Claude Code through a real mitmdump to a Chat Completions provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.fake import FakeProvider
from tests.support import agents
from tests.support.gateway import Gateway


@pytest.mark.clients
def test_a_shell_tool_creates_a_file(gateway: Gateway, fake: FakeProvider, tmp_path: Path) -> None:
    fake.play("tool")
    work = tmp_path / "work"
    work.mkdir()
    run = agents.claude_code(gateway, "chat/test-model", "Create the file please.", work)
    requests = [(seen.path, seen.verdict, seen.reason) for seen in fake.record]
    assert run.code == 0, (run, requests)
    assert (work / "proof-1.txt").read_text() == "hello-from-tool-1\n", (run, requests)
    assert "hello-from-tool-1" in run.out
    rejected = [seen for seen in fake.record if seen.verdict != "accepted"]
    assert not rejected, rejected
    assert {seen.protocol for seen in fake.record} == {"openai_chat"}
    assert max(seen.tool_results for seen in fake.record) == 1
