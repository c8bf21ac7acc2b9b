"""Run real agent programs in a clean environment: nothing of the host's is seen or passed on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts import clients
from tests.support.gateway import Gateway

TIMEOUT_S = 180


@dataclass(frozen=True, slots=True)
class Run:
    """What a program did."""

    code: int
    out: str
    err: str


def program(client: str) -> Path:
    """The program of a client; where a user has no npm the test is left out, in CI that fails."""
    found = clients.binary(client)
    if found is None:
        if clients.is_required():
            pytest.fail(f"{client} is not installed: run python -m scripts.clients install")
        pytest.skip("npm is not installed: see README, tests with real agents")
    return found


def run(command: list[str], cwd: Path, environment: dict[str, str]) -> Run:
    """Run a command with exactly this environment, a search path and a home of its own."""
    home = cwd.parent / "home"
    home.mkdir(exist_ok=True)
    clean = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TERM": "dumb",
        "LANG": "C.UTF-8",
    }
    done = subprocess.run(
        command,
        cwd=cwd,
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)


def claude_code(gateway: Gateway, model: str, prompt: str, cwd: Path) -> Run:
    """One headless turn of Claude Code."""
    command = [
        str(program("claude")),
        "-p",
        "--model",
        model,
        "--dangerously-skip-permissions",
        prompt,
    ]
    return run(
        command,
        cwd,
        {
            "ANTHROPIC_BASE_URL": gateway.url,
            "ANTHROPIC_API_KEY": gateway.key,
            "ANTHROPIC_SMALL_FAST_MODEL": model,
            "IS_SANDBOX": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_TELEMETRY": "1",
        },
    )


def codex(gateway: Gateway, model: str, prompt: str, cwd: Path) -> Run:
    """One headless turn of Codex over the Responses protocol."""
    home = cwd.parent / "codex-home"
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(
        f"""model = "{model}"
model_provider = "gate"
web_search = "disabled"
[features]
plugins = false
[model_providers.gate]
name = "gate"
base_url = "{gateway.url}/v1"
env_key = "GATE_KEY"
wire_api = "responses"
"""
    )
    command = [
        str(program("codex")), "exec", "--skip-git-repo-check", "-s", "danger-full-access", prompt,
    ]  # fmt: skip
    return run(command, cwd, {"CODEX_HOME": str(home), "GATE_KEY": gateway.key})


def gemini(gateway: Gateway, model: str, prompt: str, cwd: Path) -> Run:
    """One headless turn of Gemini CLI."""
    settings = cwd.parent / "home" / ".gemini" / "settings.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(
        json.dumps(
            {
                "security": {"auth": {"selectedType": "gemini-api-key"}},
                "telemetry": {"enabled": False},
                "privacy": {"usageStatisticsEnabled": False},
                "general": {"enableAutoUpdate": False, "disableAutoUpdate": True},
            }
        )
    )
    command = [str(program("gemini")), "--approval-mode", "yolo", "-m", model, "-p", prompt]
    return run(
        command,
        cwd,
        {
            "GOOGLE_GEMINI_BASE_URL": gateway.url,
            "GEMINI_API_KEY": gateway.key,
            "GEMINI_CLI_TRUST_WORKSPACE": "true",
        },
    )


def opencode(gateway: Gateway, model: str, prompt: str, cwd: Path) -> Run:
    """One headless turn of OpenCode over Chat Completions."""
    config = {
        "$schema": "https://opencode.ai/config.json",
        "model": f"gate/{model}",
        "small_model": f"gate/{model}",
        "autoupdate": False,
        "share": "disabled",
        "provider": {
            "gate": {
                "npm": "@ai-sdk/openai-compatible",
                "options": {"baseURL": f"{gateway.url}/v1", "apiKey": gateway.key},
                "models": {model: {"name": model, "tool_call": True}},
            }
        },
    }
    (cwd / "opencode.json").write_text(json.dumps(config))
    return run([str(program("opencode")), "run", "--auto", prompt], cwd, {})


CLIENTS: dict[str, Callable[[Gateway, str, str, Path], Run]] = {
    "claude": claude_code,
    "codex": codex,
    "gemini": gemini,
    "opencode": opencode,
}
