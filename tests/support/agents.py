"""Run real agent programs in a clean environment: nothing of the host's is seen or passed on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts import clients
from scripts.llmgate.launch import CLIENTS, Route, write_files
from scripts.llmgate.running import model_facts
from tests.support.gateway import Gateway

TIMEOUT_S = 90
EXTRA = {"claude": {"IS_SANDBOX": "1"}, "gemini": {"GEMINI_CLI_TRUST_WORKSPACE": "true"}}
"""What only an unattended run as root in a fresh directory needs."""


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


def turn(
    client: str,
    gateway: Gateway,
    model: str,
    prompt: str,
    cwd: Path,
    *,
    words: tuple[str, ...] = (),
    settings: Mapping[str, Any] | None = None,
) -> Run:
    """One headless turn of a client, set up as `llmgate run` does it.

    `words` go before the prompt's, `settings` are merged into Gemini CLI's.
    """
    known = CLIENTS[client]
    home = cwd.parent / f"{client}-home"
    home.mkdir(exist_ok=True)
    facts = model_facts(gateway.url, gateway.key, model)
    setup = known.setup(
        Route(url=gateway.url, key=gateway.key, model=model, small_model=model, facts=facts), home
    )
    write_files(setup, home)
    if settings is not None:
        file = home / ".gemini" / "settings.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
    headless = (*words, *known.headless(prompt))
    command = (*setup.arguments, *headless) if client != "codex" else headless
    environment = {**setup.environment, **EXTRA.get(client, {})}
    return run([str(program(client)), *command], cwd, environment)
