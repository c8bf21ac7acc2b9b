"""R13: `llmgate status` against a running gateway."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from scripts.fake import FakeProvider
from scripts.llmgate.__main__ import app
from scripts.llmgate.status import show
from tests.support.gateway import Gateway, free_port
from tests.support.providers import provider


def test_r13_status_shows_what_rests_and_resets_it(
    fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    config = {"providers": {"only": provider(fake, "openai_chat")}, "admin": {"key": "op-key"}}
    with Gateway(config) as gate:
        fake.play("text", failure="status", status=401, times=0)
        body = {"model": "only/m", "messages": [{"role": "user", "content": "Hi"}]}
        gate.post("/v1/chat/completions", json.dumps(body).encode())
        assert gate.request("GET", "/admin/status")[0] == 401
        monkeypatch.setenv("LLMGATE_URL", gate.url)
        options = ["-c", str(gate.config_file)]
        shown = json.loads(CliRunner().invoke(app, ["status", "--json", *options]).stdout)
        assert [rest["provider"] for rest in shown["cooldowns"]] == ["only"]
        table = CliRunner().invoke(app, ["status", *options])
        assert "the provider refused the key" in table.stdout
        assert "test" in table.stdout, "who has asked how much"
        table = CliRunner().invoke(app, ["status", "--reset", *options])
        assert table.exit_code == 0
        assert "nothing rests" in table.stdout


def test_words_of_a_provider_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    rest = {
        "provider": "p", "key": None, "model": None, "state": "resting", "remaining_s": 1.0,
        "failures": 1, "reason": "[/no] [bold]such",
    }  # fmt: skip
    show({"active": 0, "waiting": 0, "sessions": 0, "usage": [], "cooldowns": [rest]})
    assert "[bold]such" in capsys.readouterr().out


def test_status_without_a_gateway_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMGATE_URL", f"http://127.0.0.1:{free_port()}")
    result = CliRunner().invoke(app, ["status"])
    assert result.exit_code == 1
    assert "no gateway answers" in result.stderr
