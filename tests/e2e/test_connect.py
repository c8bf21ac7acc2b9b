"""The real agent programs with the files that `llmgate connect` has written, in a home that looks lived in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scripts.fake import FakeProvider
from scripts.llmgate.__main__ import app
from scripts.llmgate.launch import CLIENTS as PROGRAMS
from tests.support import agents
from tests.support.gateway import KEY, Gateway
from tests.support.providers import PROVIDERS, four_providers

pytestmark = pytest.mark.clients

WINDOW = 64_000

CODEX = """\
# Personal settings
model = "gpt-5.4"   # the big one
approval_policy = "on-request"

[features]
plugins = false

[model_providers.azure]
name = "Azure"
base_url = "https://example.openai.azure.com/openai"
env_key = "AZURE_OPENAI_API_KEY"
"""
CLAUDE = """\
{
\t"permissions": {
\t\t"allow": ["Bash(npm run lint)"]
\t},
\t"env": {
\t\t"ANTHROPIC_AUTH_TOKEN": "sk-of-the-user",
\t\t"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"
\t},
\t"model": "opus"
}
"""
GEMINI = """\
{
  // Chosen in the dialog
  "security": {"auth": {"selectedType": "oauth-personal"}},
  "telemetry": {"enabled": false},
  "privacy": {"usageStatisticsEnabled": false},
  "general": {"enableAutoUpdate": false} /* by hand */
}
"""
OPENCODE = """\
{
  "$schema": "https://opencode.ai/config.json",
  // the usual one
  "model": "anthropic/claude-sonnet-4-5",
  "autoupdate": false,
  "share": "disabled",
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """What a home holds before, and how the program is made to stay at home."""

    files: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)


HOMES = {
    "codex": Lived(files={".codex/config.toml": CODEX}),
    "claude": Lived(
        files={".claude/settings.json": CLAUDE},
        environment={"DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1"},
    ),
    "gemini": Lived(
        files={".gemini/settings.json": GEMINI, ".gemini/.env": "# mine\nNO_COLOR=1\n"}
    ),
    "opencode": Lived(files={".config/opencode/opencode.jsonc": OPENCODE}),
}


def llmgate(*words: str) -> None:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def coders(shared_fake: FakeProvider) -> Iterator[Gateway]:
    """A gateway with a name of its own for each provider, and a small window."""
    models = {
        f"coder-{name}": {"candidates": [f"{name}/test-model"], "context_window": WINDOW}
        for name in PROVIDERS
    }
    with Gateway(four_providers(shared_fake, models=models)) as gateway:
        yield gateway


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with nothing in it, for the command line and, in an environment of its own, the program."""
    path = tmp_path / "home"
    path.mkdir()
    for name in ("CODEX_HOME", "CLAUDE_CONFIG_DIR", "GEMINI_CLI_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.setenv("LLMGATE_HOME", str(tmp_path / "state"))
    return path


def prepare(client: str, home: Path) -> None:
    """Fill the home."""
    for name, text in HOMES[client].files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def turn(client: str, home: Path) -> agents.Run:
    """One turn of the program with nothing but its home."""
    work = home.parent / "work"
    work.mkdir(exist_ok=True)
    command = [str(agents.program(client)), *PROGRAMS[client].headless("What is the answer?")]
    return agents.run(command, work, {**HOMES[client].environment, **agents.EXTRA.get(client, {})})


@pytest.mark.parametrize(
    ("client", "upstream"),
    [("codex", "chat"), ("claude", "responses"), ("gemini", "claude"), ("opencode", "gemini")],
)
def test_a_connected_program_gets_its_answer_through_the_gateway(
    client: str,
    upstream: str,
    coders: Gateway,
    fake: FakeProvider,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepare(client, home)
    fake.play("text", text="The answer is 42.")
    monkeypatch.setenv("LLMGATE_URL", coders.url)
    config = str(coders.config_file)
    llmgate("connect", client, "-c", config, "--model", f"coder-{upstream}")
    names = HOMES[client].files
    connected = {name: (home / name).read_bytes() for name in names}
    run = turn(client, home)
    requests = [(seen.path, seen.status, seen.reason) for seen in fake.record]
    assert run.code == 0, (run, requests)
    assert "The answer is 42." in run.out, run
    assert {seen.protocol for seen in fake.record} == {PROVIDERS[upstream]}
    assert all(seen.verdict == "accepted" for seen in fake.record), requests
    left_alone = {name for name in names if (home / name).read_bytes() == connected[name]}
    llmgate("disconnect", client)
    for name, text in names.items():
        if name in left_alone:
            assert (home / name).read_text() == text
        else:
            assert coders.url not in (home / name).read_text()


def test_codex_asks_the_gateway_for_the_windows_of_its_models(
    coders: Gateway, fake: FakeProvider, home: Path
) -> None:
    prepare("codex", home)
    llmgate("connect", "codex", "--gateway", coders.url, "--key", KEY, "--model", "coder-chat")
    run = turn("codex", home)
    assert run.code == 0, run
    assert "metadata" not in run.err, run
    cached = json.loads((home / ".codex/models_cache.json").read_text())
    windows = {model["slug"]: model["context_window"] for model in cached["models"]}
    assert windows == {f"coder-{name}": WINDOW for name in PROVIDERS}


def test_another_gateway_is_asked_what_it_knows_of_the_model(coders: Gateway, home: Path) -> None:
    llmgate("connect", "claude", "--gateway", coders.url, "--key", KEY, "--model", "coder-chat")
    settings = json.loads((home / ".claude/settings.json").read_text())
    assert settings["env"]["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == str(WINDOW)


@pytest.mark.parametrize(
    ("client", "words"),
    [
        pytest.param("codex", ("mcp", "add", "files", "--", "true"), id="codex"),
        pytest.param("gemini", ("mcp", "add", "--scope", "user", "files", "true"), id="gemini"),
    ],
)
def test_what_the_program_itself_writes_meanwhile_survives(
    client: str, words: tuple[str, ...], home: Path
) -> None:
    """The same edit without a connection is what is wanted: the program decides how it writes."""
    command = [str(agents.program(client)), *words]
    work = home.parent / "work"
    work.mkdir()

    def edited(*, connected: bool) -> dict[str, str]:
        prepare(client, home)
        if connected:
            llmgate("connect", client, "--gateway", "http://127.0.0.1:9", "--key", KEY)
        run = agents.run(command, work, agents.EXTRA.get(client, {}))
        assert run.code == 0, run
        if connected:
            llmgate("disconnect", client)
        return {name: (home / name).read_text() for name in HOMES[client].files}

    plain = edited(connected=False)
    assert plain != dict(HOMES[client].files), "the program wrote nothing"
    assert edited(connected=True) == plain
