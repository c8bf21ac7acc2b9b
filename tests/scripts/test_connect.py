"""`llmgate connect` and `disconnect` on homes with real-looking files: there, back, and everything that goes wrong."""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from scripts.llmgate.__main__ import app
from scripts.llmgate.connect import actions, command, files, json_text
from scripts.llmgate.connect.clients import CLIENTS, Target
from scripts.llmgate.connect.show import hide
from scripts.llmgate.connect.store import KEPT, Store, locked
from tests.support.gateway import KEY, Gateway, free_port

URL = "http://127.0.0.1:18999"
CODEX = """\
#:schema https://developers.openai.com/codex/config-schema.json
# Personal settings. Do not sync.
model = "gpt-5.4"            # the big one
model_reasoning_effort = 'high'
approval_policy = "on-request"

[tui]
notifications = ["agent-turn-complete", "approval-requested"]  # both

# Tools
[mcp_servers.files]
command = "npx"
args = [
  "-y",
  "@modelcontextprotocol/server-filesystem",  # [reads only]
]

[mcp_servers.files.env]
"API_TOKEN" = "mcp-secret-token"

[projects."/home/user/work"]
trust_level = "trusted"

[model_providers.azure]
name = "Azure"
base_url = "https://example.openai.azure.com/openai"
env_key = "AZURE_OPENAI_API_KEY"

[[hooks.stop]]
command = "true"
"""
CLAUDE = """\
{
\t"$schema": "https://json.schemastore.org/claude-code-settings.json",
\t"permissions": {
\t\t"allow": ["Bash(npm run lint)", "Read(~/.zshrc)"],
\t\t"deny": []
\t},
\t"env": {
\t\t"ANTHROPIC_AUTH_TOKEN": "sk-users-own-token",
\t\t"MAX_THINKING_TOKENS": "8000"
\t},
\t"model": "opus",
\t"statusLine": {"type": "command", "command": "~/.claude/statusline.sh"}
}"""
GEMINI = """\
{
  // Chosen in the dialog
  "security": {"auth": {"selectedType": "oauth-personal"}},
  "ui": {"theme": "GitHub"},
  "mcpServers": {}, /* none yet */
  "modelConfigs": {
    "customOverrides": [
      {"match": {"model": "mine-already"}, "modelConfig": {"model": "gemini-x"}}, // quick
      {"match": {"model": "classifier"}, "modelConfig": {"model": "gemini-y"}}
    ]
  }
}
"""
GEMINI_ENV = (
    "# Vertex at work\nexport GOOGLE_CLOUD_PROJECT='my project'\nGOOGLE_API_KEY=AIza-old # ours\n"
)
OPENCODE = """\
{
  "$schema": "https://opencode.ai/config.json",
  // the usual one
  "model": "anthropic/claude-sonnet-4-5",
  "provider": {
    "anthropic": {
      "options": { "timeout": 600000, },
    },
  },
  "autoupdate": false,
}
"""
ATOMCODE = """\
default_provider = "deepseek"
auto_update = true

[providers.deepseek]
type = "openai"
api_key = "sk-deepseek"
model = "deepseek-chat"
"""
META = """\
{
  "appliedId": "11111111-2222-4333-8444-555555555555",
  "entries": [
    { "id": "11111111-2222-4333-8444-555555555555", "name": "Bedrock" }
  ]
}
"""
HOMES: dict[str, dict[str, bytes]] = {
    "codex": {
        ".codex/config.toml": CODEX.encode(),
        ".codex/auth.json": b'{"OPENAI_API_KEY": null, "tokens": {"access_token": "t"}}',
    },
    "claude": {
        ".claude/settings.json": b"\xef\xbb\xbf" + CLAUDE.encode(),
        ".claude/.credentials.json": b'{"claudeAiOauth": {}}',
        ".claude.json": b"{}",
    },
    "gemini": {
        ".gemini/settings.json": GEMINI.replace("\n", "\r\n").encode(),
        ".gemini/.env": GEMINI_ENV.encode(),
        ".gemini/oauth_creds.json": b"{}",
    },
    "opencode": {".config/opencode/opencode.jsonc": OPENCODE.encode()},
    "atomcode": {".atomcode/config.toml": ATOMCODE.encode()},
    "claude-desktop": {
        ".config/Claude-3p/configLibrary/_meta.json": META.encode(),
        ".config/Claude/claude_desktop_config.json": b'{"mcpServers":{},"deploymentMode":"1p"}',
    },
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home; nothing of the real environment points elsewhere."""
    path = tmp_path / "home"
    path.mkdir()
    for name in list(os.environ):
        if name.startswith(
            ("LLMGATE", "XDG_", "ANTHROPIC", "CODEX", "GEMINI", "GOOGLE", "OPENCODE")
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.chdir(tmp_path)
    return path


def llmgate(*words: str, code: int = 0) -> str:
    """Run a command line; everything it printed, on one line."""
    done: Result = CliRunner().invoke(app, words)
    assert done.exit_code == code, (done.output, done.exception)
    assert "Traceback" not in done.output
    return " ".join(done.output.split())


def connect(client: str, *words: str, code: int = 0) -> str:
    return llmgate("connect", client, "--gateway", URL, "--model", "mine", *words, code=code)


def fill(home: Path, client: str) -> None:
    for name, data in HOMES[client].items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o644)


def tree(home: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a home but our own state: content and permissions."""
    return {
        str(path.relative_to(home)): (path.read_bytes(), path.stat().st_mode & 0o777)
        for path in sorted(home.rglob("*"))
        if path.is_file() and ".llmgate" not in path.parts
    }


@pytest.mark.parametrize("client", CLIENTS)
def test_there_and_back_leaves_every_file_as_it_was(client: str, home: Path) -> None:
    fill(home, client)
    before = tree(home)
    connect(client)
    connected = tree(home)
    assert connected != before
    for name, (data, mode) in connected.items():
        assert name in before or mode == 0o600, name
        if name in before:
            old = before[name][0]
            assert data.startswith(codecs.BOM_UTF8) == old.startswith(codecs.BOM_UTF8)
            assert data.count(b"\n") - data.count(b"\r\n") == 0 or b"\r\n" not in old
        if name not in written(client, home):
            assert (data, mode) == before[name], "a file that is none of ours"
    llmgate("disconnect", client)
    assert tree(home) == before


def written(client: str, home: Path) -> set[str]:
    target = Target(url=URL, key="k", key_file=home / "k", model="m", small_model="m")
    settings = CLIENTS[client].settings(target, {"HOME": str(home)})
    return {str(one.path.relative_to(home)) for one in settings}


@pytest.mark.parametrize("client", CLIENTS)
def test_without_any_file_of_the_client_nothing_is_left_behind(client: str, home: Path) -> None:
    connect(client)
    made = tree(home)
    assert set(made) == written(client, home)
    assert {mode for _, mode in made.values()} == {0o600}
    assert all(p.stat().st_mode & 0o777 == 0o700 for p in home.rglob("*") if p.is_dir())
    llmgate("disconnect", client)
    assert [p.name for p in home.iterdir()] == [".llmgate"]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_second_run_changes_nothing(client: str, home: Path) -> None:
    fill(home, client)
    connect(client)
    once = tree(home)
    state = (home / f".llmgate/connect/{client}/state.json").read_bytes()
    assert "nothing to change" in connect(client)
    assert tree(home) == once
    assert (home / f".llmgate/connect/{client}/state.json").read_bytes() == state


@pytest.mark.parametrize("client", CLIENTS)
def test_a_dry_run_shows_the_changes_and_writes_nothing(client: str, home: Path) -> None:
    fill(home, client)
    before = tree(home)
    said = connect(client, "--dry-run")
    assert "+++" in said
    assert "nothing was written" in said
    assert tree(home) == before
    assert not (home / ".llmgate").exists()


@pytest.mark.parametrize("client", CLIENTS)
def test_no_secret_is_shown(client: str, home: Path) -> None:
    fill(home, client)
    said = connect(client) + llmgate("disconnect", client)
    token = (home / ".llmgate/token").read_text().strip()
    for secret in (token, "sk-users-own-token", "mcp-secret-token", "AIza-old", "sk-deepseek"):
        assert secret not in said


@pytest.mark.parametrize("client", ["codex", "claude", "opencode"])
def test_the_key_is_not_in_the_files_of_clients_that_can_fetch_it(client: str, home: Path) -> None:
    fill(home, client)
    connect(client, "--key", "a-key-of-my-own")
    assert not [name for name, (data, _) in tree(home).items() if b"a-key-of-my-own" in data]
    key = home / f".llmgate/connect/{client}/key"
    assert (key.read_text(), key.stat().st_mode & 0o777) == ("a-key-of-my-own\n", 0o600)
    assert "nothing to change" in connect(client, "--key", "another")
    assert key.read_text() == "another\n"
    llmgate("disconnect", client)
    assert not key.exists()


@pytest.mark.parametrize("client", ["gemini", "atomcode", "claude-desktop"])
def test_a_file_that_has_to_hold_the_key_is_its_owners_only(client: str, home: Path) -> None:
    fill(home, client)
    connect(client, "--key", "a-key-of-my-own")
    holding = [mode for data, mode in tree(home).values() if b"a-key-of-my-own" in data]
    assert holding == [0o600]


def test_what_each_client_is_told(home: Path) -> None:
    for client in CLIENTS:
        fill(home, client)
        connect(client, "--small-model", "small", "--key", "k1")
    codex = tomllib.loads((home / ".codex/config.toml").read_text())
    assert (codex["model"], codex["model_provider"]) == ("mine", "llmgate")
    assert codex["model_providers"]["llmgate"] == {
        "name": "llmgate",
        "base_url": f"{URL}/v1",
        "wire_api": "responses",
        "supports_websockets": False,
        "auth": {"command": "cat", "args": [str(home / ".llmgate/connect/codex/key")]},
    }
    claude = json.loads((home / ".claude/settings.json").read_text("utf-8-sig"))
    assert claude["apiKeyHelper"] == f"cat {home}/.llmgate/connect/claude/key"
    assert claude["env"] == {
        "MAX_THINKING_TOKENS": "8000",
        "ANTHROPIC_BASE_URL": URL,
        "ANTHROPIC_MODEL": "mine",
        "ANTHROPIC_DEFAULT_OPUS_MODEL": "mine",
        "ANTHROPIC_DEFAULT_SONNET_MODEL": "mine",
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": "small",
    }
    assert (home / ".gemini/.env").read_text() == (
        "# Vertex at work\nexport GOOGLE_CLOUD_PROJECT='my project'\n"
        f"GOOGLE_GEMINI_BASE_URL={URL}\nGEMINI_API_KEY=k1\n"
    )
    gemini = json_text.load((home / ".gemini/settings.json").read_text())
    overrides = {
        one["match"]["model"]: one["modelConfig"]["model"]
        for one in gemini["modelConfigs"]["customOverrides"]
    }
    assert overrides["mine-already"] == "gemini-x"
    assert (overrides["classifier"], overrides["loop-detection-double-check"]) == ("small", "mine")
    meta = json.loads((home / ".config/Claude-3p/configLibrary/_meta.json").read_text())
    assert [entry["name"] for entry in meta["entries"]] == ["Bedrock", "llmgate"]
    assert meta["appliedId"] == meta["entries"][1]["id"]
    atomcode = tomllib.loads((home / ".atomcode/config.toml").read_text())
    assert atomcode["default_provider"] == "llmgate"
    assert atomcode["providers"]["llmgate"]["base_url"] == f"{URL}/v1"


def test_edits_in_between_survive_and_ours_go(home: Path) -> None:
    fill(home, "codex")
    connect("codex")
    path = home / ".codex/config.toml"
    edit = ('approval_policy = "on-request"', 'approval_policy = "never"  # bold')
    added = '\n[projects."/home/user/other"]\ntrust_level = "trusted"\n'
    path.write_text(path.read_text().replace(*edit) + added)
    llmgate("disconnect", "codex")
    assert path.read_text() == CODEX.replace(*edit) + added


def test_a_setting_that_the_user_has_changed_since_stays_and_is_named(home: Path) -> None:
    fill(home, "codex")
    connect("codex")
    path = home / ".codex/config.toml"
    path.write_text(path.read_text().replace('model = "mine" ', 'model = "o9" '))
    assert "model was changed since and stays" in llmgate("disconnect", "codex")
    assert path.read_text() == CODEX.replace('"gpt-5.4"', '"o9"')


def test_a_file_of_ours_to_which_something_was_added_stays_with_that(home: Path) -> None:
    connect("opencode")
    path = home / ".config/opencode/opencode.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"theme": "nord"}))
    llmgate("disconnect", "opencode")
    assert json.loads(path.read_text()) == {"theme": "nord"}


def test_a_file_of_ours_goes_though_its_client_has_written_it_anew(home: Path) -> None:
    connect("opencode")
    path = home / ".config/opencode/opencode.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=8, sort_keys=True))
    llmgate("disconnect", "opencode")
    assert not path.exists()


def test_a_byte_order_mark_stays_through_edits(home: Path) -> None:
    fill(home, "claude")
    connect("claude")
    path = home / ".claude/settings.json"
    path.write_bytes(path.read_bytes().replace(b'"opus"', b'"sonnet"'))
    llmgate("disconnect", "claude")
    original = HOMES["claude"][".claude/settings.json"]
    assert path.read_bytes() == original.replace(b'"opus"', b'"sonnet"')


def test_connecting_anew_elsewhere_keeps_what_there_was_at_first(home: Path) -> None:
    fill(home, "codex")
    connect("codex")
    connect("codex", "--model", "other")
    path = home / ".codex/config.toml"
    assert tomllib.loads(path.read_text())["model"] == "other"
    path.write_text(path.read_text() + "\n[new]\na = 1\n")
    connect("codex", "--model", "third")
    llmgate("disconnect", "codex")
    assert path.read_text() == CODEX + "\n[new]\na = 1\n"


def test_a_file_that_is_gone_stays_gone(home: Path) -> None:
    fill(home, "codex")
    connect("codex")
    (home / ".codex/config.toml").unlink()
    llmgate("disconnect", "codex")
    assert not (home / ".codex/config.toml").exists()


def test_a_symbolic_link_stays_one_and_its_file_is_edited(home: Path, tmp_path: Path) -> None:
    fill(home, "codex")
    dotfiles = tmp_path / "dotfiles"
    dotfiles.mkdir()
    shutil.move(home / ".codex/config.toml", dotfiles / "codex.toml")
    (home / ".codex/config.toml").symlink_to(dotfiles / "codex.toml")
    connect("codex")
    assert (home / ".codex/config.toml").is_symlink()
    assert "llmgate" in (dotfiles / "codex.toml").read_text()
    assert sorted(path.name for path in dotfiles.iterdir()) == ["codex.toml"]
    llmgate("disconnect", "codex")
    assert (dotfiles / "codex.toml").read_text() == CODEX


def test_the_history_is_listed_bounded_and_can_be_brought_back(home: Path) -> None:
    fill(home, "codex")
    path = home / ".codex/config.toml"
    for number in range(KEPT + 3):
        connect("codex", "--model", f"m{number}", "--key", "k")
    said = llmgate("connect", "codex", "--history")
    assert said.count("codex ") >= KEPT
    assert said.count("(in force)") == 1
    backups = home / ".llmgate/connect/codex/backups"
    assert len(list(backups.iterdir())) == KEPT
    state = home / ".llmgate"
    assert all(p.stat().st_mode & 0o077 == 0 for p in [state, *state.rglob("*")])
    llmgate("disconnect", "codex", "--restore", str(KEPT))
    assert tomllib.loads(path.read_text())["model"] == f"m{KEPT - 2}"
    assert "has no entry 1;" in llmgate("disconnect", "codex", "--restore", "1", code=2)


def test_without_a_client_the_history_of_all_is_listed(home: Path) -> None:
    assert "nothing is connected" in llmgate("connect")
    connect("claude")
    assert f"connect {URL} mine (in force)" in llmgate("connect")


@pytest.mark.parametrize(("answer", "written"), [("n", False), ("y", True), ("", True)])
def test_somebody_at_a_terminal_is_asked_after_the_changes_were_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch, answer: str, written: bool
) -> None:
    fill(home, "codex")
    before = tree(home)
    monkeypatch.setattr(command, "at_terminal", lambda: True)
    words = ["connect", "codex", "--gateway", URL, "--model", "mine"]
    done = CliRunner().invoke(app, words, input=f"{answer}\n")
    assert done.exit_code == 0
    assert done.output.index("+++") < done.output.index("Write this?")
    assert (tree(home) != before) == written
    assert "Write this?" not in CliRunner().invoke(app, [*words, "--yes"]).output


def test_a_dry_run_of_disconnect_shows_what_it_would_take_back(home: Path) -> None:
    fill(home, "claude")
    connect("claude")
    connected = tree(home)
    said = llmgate("disconnect", "claude", "--dry-run")
    assert '- "apiKeyHelper": "cat' in said
    assert "nothing was written" in said
    assert tree(home) == connected


def test_a_new_file_elsewhere_takes_over_and_the_old_one_is_given_back(home: Path) -> None:
    """OpenCode reads opencode.jsonc over opencode.json, so the one made later decides."""
    connect("opencode")
    folder = home / ".config/opencode"
    (folder / "opencode.jsonc").write_text("// mine\n{}\n")
    connect("opencode")
    assert not (folder / "opencode.json").exists()
    assert "llmgate" in (folder / "opencode.jsonc").read_text()
    llmgate("disconnect", "opencode")
    assert (folder / "opencode.jsonc").read_text() == "// mine\n{}\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('  "api_key": "sk-1"', '  "api_key": "[hidden]"'),
        ("OPENAI_API_KEY=sk-1 # x", "OPENAI_API_KEY=[hidden] # x"),
        ("experimental_bearer_token = 'sk-1'", "experimental_bearer_token = '[hidden]'"),
        ('"env": {"ANTHROPIC_AUTH_TOKEN": "s\\"k", "A": 1}',
         '"env": {"ANTHROPIC_AUTH_TOKEN": "[hidden]", "A": 1}'),
        ('"Authorization": "Bearer x"', '"Authorization": "[hidden]"'),
        ('x = "the-key"', 'x = "[hidden]"'),
        ('"apiKeyHelper": "cat /t"', '"apiKeyHelper": "cat /t"'),
        ('"apiKey": "{file:/t}"', '"apiKey": "{file:/t}"'),
        ('env_key = "NAME"', 'env_key = "NAME"'),
        ('"MAX_THINKING_TOKENS": "8000"', '"MAX_THINKING_TOKENS": "8000"'),
        ("token_limit = 5", "token_limit = 5"),
    ],
)  # fmt: skip
def test_what_a_diff_hides(line: str, expected: str) -> None:
    assert hide(line, "the-key") == expected


# What goes wrong.


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("connect", "emacs"), 2, "unknown client emacs; known: codex, claude, gemini, opencode"),
        (("disconnect", "emacs"), 2, "unknown client emacs; known: codex"),
        (("disconnect",), 2, "name a client: codex"),
        (("disconnect", "codex"), 1, "codex is not connected; see: llmgate connect --history"),
        (("connect", "opencode"), 1, "OpenCode needs a model: name one with --model"),
        (("connect", "codex", "--gateway", "localhost:1"), 2, "is no address; write it like"),
        (("connect", "codex", "--model", "a\nb"), 2, "cannot be written; paste it anew"),
        (("connect", "codex", "--key", "k\udc80"), 2, "cannot be written; paste it anew"),
        (("connect", "gemini", "--key", "a'#b"), 1, "set these by hand: GOOGLE_GEMINI_BASE_URL"),
        (("connect", "codex", "--gateway", "http://h/v1"), 2, "without a path"),
        (("connect", "codex", "--gateway", "https://gw.example"), 2, "with --key or LLMGATE_KEY"),
    ],
)
def test_one_clear_sentence(home: Path, words: tuple[str, ...], code: int, message: str) -> None:
    assert message in llmgate(*words, code=code)
    assert tree(home) == {}


@pytest.mark.parametrize(
    ("client", "name", "data", "message"),
    [
        ("codex", ".codex/config.toml", b"a = 1\n[b\n", ".codex/config.toml, line 2: "),
        ("claude", ".claude/settings.json", b'{"a": 1,\n"b"}', "settings.json, line 2: expected"),
        ("gemini", ".gemini/.env", b"\xff\xfe=", ".env is not UTF-8; save it as UTF-8 first"),
        ("gemini", ".gemini/settings.json", b"{]", "settings.json, line 1: expected a name"),
        ("opencode", ".config/opencode/opencode.json", b'{"model": {}, "provider": []}', "line 1"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_nothing_is_written(
    home: Path, client: str, name: str, data: bytes, message: str
) -> None:
    path = home / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    before = tree(home)
    said = connect(client, code=1)
    assert message in said
    assert tree(home) == before
    assert "not connected" in llmgate("disconnect", client, code=1)


def test_a_file_that_was_broken_since_is_named_and_its_backup_stays(home: Path) -> None:
    fill(home, "codex")
    connect("codex")
    path = home / ".codex/config.toml"
    path.write_text(path.read_text() + "[broken\n")
    before = tree(home)
    assert "correct it and run this again" in llmgate("disconnect", "codex", code=1)
    assert tree(home) == before
    llmgate("disconnect", "codex", "--restore", "1")
    assert path.read_text() == CODEX


def test_a_read_only_file_is_left_alone(home: Path) -> None:
    fill(home, "codex")
    (home / ".codex/config.toml").chmod(0o444)
    before = tree(home)
    assert "is read-only; make it writable first: chmod u+w" in connect("codex", code=1)
    assert tree(home) == before


def test_a_folder_in_place_of_the_file_is_named(home: Path) -> None:
    (home / ".codex/config.toml").mkdir(parents=True)
    assert "is not a file; move it away first" in connect("codex", code=1)


def test_a_huge_file_is_refused(home: Path) -> None:
    (home / ".claude").mkdir()
    (home / ".claude/settings.json").write_bytes(b" " * (files.MAX_BYTES + 1))
    assert "is it the right file?" in connect("claude", code=1)


def test_two_runs_at_once_are_kept_apart(home: Path) -> None:
    fill(home, "codex")
    before = tree(home)
    with locked(home / ".llmgate"):
        assert "another llmgate connect or disconnect is running" in connect("codex", code=1)
    assert tree(home) == before
    connect("codex")


def test_a_failure_in_the_middle_rolls_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(home, "gemini")
    before = tree(home)
    write = files.write

    def full(path: Path, data: bytes, mode: int) -> None:
        if path.name == ".env" and ".llmgate" not in path.parts and b"GEMINI_API_KEY" in data:
            raise files.FileError(f"cannot write {path}: No space left on device")
        write(path, data, mode)

    monkeypatch.setattr(files, "write", full)
    assert "No space left on device" in connect("gemini", code=1)
    assert tree(home) == before
    assert "not connected" in llmgate("disconnect", "gemini", code=1)
    monkeypatch.setattr(files, "write", write)
    connect("gemini")
    llmgate("disconnect", "gemini")
    assert tree(home) == before


@pytest.mark.parametrize("action", ["connect", "disconnect"])
def test_the_next_run_repairs_what_a_killed_one_left(
    home: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """After a kill nothing of the run's own clean-up happens: the note in the state is all there is."""
    fill(home, "gemini")
    original = tree(home)
    if action == "disconnect":
        connect("gemini")
    before = tree(home)
    write = actions._write
    wrote: list[Any] = []

    def killed(step: actions.Step) -> None:
        if wrote:
            raise SystemExit(137)
        write(step)
        wrote.append(step)

    with monkeypatch.context() as patch:
        patch.setattr(actions, "_write", killed)
        patch.setattr(actions, "recover", lambda _store, state: state)
        words = ("connect", "gemini", "--gateway", URL, "--model", "mine")
        done = CliRunner().invoke(app, words if action == "connect" else ("disconnect", "gemini"))
        assert done.exit_code == 137
    assert tree(home) != before, "the kill left nothing half-done"
    (home / ".gemini/..env.llmgate").write_text("half a f")
    store = Store(home / ".llmgate", "gemini")
    actions.recover(store, store.load())
    assert tree(home) == before
    connect("gemini")
    llmgate("disconnect", "gemini")
    assert tree(home) == original


def test_a_file_changed_while_we_looked_is_not_overwritten(home: Path) -> None:
    fill(home, "codex")
    path = home / ".codex/config.toml"
    target = Target(url=URL, key="k", key_file=home / "k", model="m", small_model="m")
    store = Store(home / ".llmgate", "codex")
    state = store.load()
    steps = actions.connecting(CLIENTS["codex"].settings(target, {"HOME": str(home)}), state)
    record = command.entry(state, "connect", steps, url=URL, model="m")
    path.write_text("# mine now\n")
    with pytest.raises(files.FileError, match="was changed meanwhile; run this again"):
        actions.carry_out(store, state, record, steps)
    assert path.read_text() == "# mine now\n"
    assert store.load().active is None


def test_a_state_that_cannot_be_read_is_named(home: Path) -> None:
    connect("codex")
    (home / ".llmgate/connect/codex/state.json").write_text("{")
    assert "move it away to start afresh" in llmgate("disconnect", "codex", code=1)


def test_a_backup_that_is_gone_is_no_empty_state(home: Path) -> None:
    fill(home, "codex")
    connect("codex")
    shutil.rmtree(home / ".llmgate/connect/codex/backups")
    connected = tree(home)
    assert "state.json" in llmgate("disconnect", "codex", code=1)
    assert tree(home) == connected


def test_a_state_directory_that_cannot_be_used_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("LLMGATE_HOME", str(home / "file/x"))
    said = connect("codex", "--key", "k", code=1)
    assert "set LLMGATE_HOME to a writable directory" in said


# What is only a warning.


def test_what_would_keep_the_client_from_working_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-shell")
    said = connect("claude")
    assert "claude is not on the search path; get it with: npm install -g @anthropic-ai/" in said
    assert f"no gateway answers at {URL}/health; start one with: llmgate serve" in said
    assert "ANTHROPIC_API_KEY is set in this shell and beats the client's file; unset it" in said
    assert "sk-shell" not in said


def test_a_port_taken_by_another_program_is_said(home: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (home.parent / "llmgate.yaml").write_text(f"listen: 127.0.0.1:{port}\n")
        said = llmgate("connect", "codex", "-c", "llmgate.yaml")
    assert f"port {port} on 127.0.0.1 is taken by another program; set `listen`" in said


def test_a_running_gateway_is_asked_whether_it_knows_the_key(home: Path, gateway: Gateway) -> None:
    words = ("connect", "codex", "--gateway", gateway.url, "--model", "mine")
    assert "refuses this key" in llmgate(*words, "--key", "wrong")
    said = llmgate(*words, "--key", KEY)
    assert "refuses" not in said
    assert "no gateway" not in said


def test_the_model_is_the_first_configured_name_or_left_alone(home: Path) -> None:
    path = home.parent / "llmgate.yaml"
    listen = f"listen: 127.0.0.1:{free_port()}\n"
    provider = 'providers: {p: {protocol: openai_chat, base_url: "http://127.0.0.1:9/v1"}}\n'
    path.write_text(f"{listen}{provider}models: {{mine: p/m}}\n")
    fill(home, "codex")
    llmgate("connect", "codex", "-c", str(path))
    assert tomllib.loads((home / ".codex/config.toml").read_text())["model"] == "mine"
    path.write_text(f'{listen}{provider}models: {{"gpt-*": p/m, mine: p/m}}\n')
    llmgate("connect", "codex", "-c", str(path))
    assert tomllib.loads((home / ".codex/config.toml").read_text())["model"] == "gpt-5.4"


def test_what_the_configuration_knows_of_a_model_is_passed_on(home: Path) -> None:
    path = home.parent / "llmgate.yaml"
    path.write_text(
        f"listen: 127.0.0.1:{free_port()}\n"
        'providers: {p: {protocol: openai_chat, base_url: "http://127.0.0.1:9/v1"}, '
        'q: {protocol: openai_chat, base_url: "http://127.0.0.1:9/v1"}}\n'
        "models: {mine: {candidates: [p/m], context_window: 64000, max_output_tokens: 4000}}\n"
    )
    for client in ("claude", "opencode", "atomcode"):
        llmgate("connect", client, "-c", str(path))
        assert "nothing to change" in llmgate("connect", client, "-c", str(path))
    claude = json.loads((home / ".claude/settings.json").read_text())["env"]
    assert claude["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "64000"
    assert claude["CLAUDE_CODE_AUTO_COMPACT_WINDOW"] == "64000"
    opencode = json.loads((home / ".config/opencode/opencode.json").read_text())
    model = opencode["provider"]["llmgate"]["models"]["mine"]
    assert model["limit"] == {"context": 64000, "output": 4000}
    atomcode = tomllib.loads((home / ".atomcode/config.toml").read_text())
    assert atomcode["providers"]["llmgate"]["context_window"] == 64000
    said = llmgate("connect", "claude", "-c", str(path), "--model", "nowhere")
    assert "no provider is configured for the model nowhere" in said
    assert "CLAUDE_CODE_MAX_CONTEXT_TOKENS" not in (home / ".claude/settings.json").read_text()


def test_the_lock_ends_with_its_holder(home: Path) -> None:
    with locked(home / ".llmgate"):
        pass
    with (home / ".llmgate/connect/lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
