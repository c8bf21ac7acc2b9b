"""The command line as a person uses it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REQUEST = {
    "model": "m",
    "max_tokens": 100,
    "top_k": 5,
    "system": "Be brief.",
    "messages": [{"role": "user", "content": "Hi"}],
}


def llmgate(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"], "HOME": str(cwd), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "scripts.llmgate", *words],
        cwd=cwd,
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    path = tmp_path / "request.json"
    path.write_text(json.dumps(REQUEST))
    return path


def test_translate_prints_the_result_and_what_was_lost(request_file: Path) -> None:
    done = llmgate(
        "translate", "--from", "anthropic", "--to", "openai_chat", str(request_file),
        cwd=request_file.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]
    assert "lost top_k" in done.stderr


def test_translate_refuses_in_strict_mode_with_the_path(request_file: Path) -> None:
    done = llmgate(
        "translate", "--from", "anthropic", "--to", "openai_chat", "--mode", "strict",
        str(request_file), cwd=request_file.parent,
    )  # fmt: skip
    assert done.returncode == 2
    assert "top_k" in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(
    ("content", "words"), [("{", "is not JSON"), ('{"model": "m"}', "messages: Field required")]
)
def test_translate_names_what_is_wrong_with_the_file(
    tmp_path: Path, content: str, words: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    done = llmgate("translate", "--from", "anthropic", "--to", "gemini", str(path), cwd=tmp_path)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    done = llmgate("translate", "--from", "anthropic", "--to", "gemini", "no.json", cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot read no.json" in done.stderr


def test_config_init_validate_show(tmp_path: Path) -> None:
    assert llmgate("config", "init", cwd=tmp_path).returncode == 0
    assert stat.S_IMODE((tmp_path / "llmgate.yaml").stat().st_mode) == 0o600
    again = llmgate("config", "init", cwd=tmp_path)
    assert again.returncode == 1
    assert "exists already" in again.stderr
    checked = llmgate("config", "validate", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    shown = llmgate("config", "show", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "fake-key" not in shown.stdout
    assert "listen: 127.0.0.1:8080" in shown.stdout


def test_config_validate_prints_every_mistake(tmp_path: Path) -> None:
    (tmp_path / "llmgate.yaml").write_text("listne: 1\nproviders:\n  x: {preset: nothing}\n")
    done = llmgate("config", "validate", cwd=tmp_path)
    assert done.returncode == 1
    assert "listne" in done.stderr
    assert "preset" in done.stderr


def test_the_token_is_made_printed_and_rotated(tmp_path: Path) -> None:
    first = llmgate("token", cwd=tmp_path).stdout
    assert first.startswith("llmgate-")
    assert llmgate("token", cwd=tmp_path).stdout == first
    assert llmgate("token", "--rotate", cwd=tmp_path).stdout not in ("", first)
    assert stat.S_IMODE((tmp_path / ".llmgate" / "token").stat().st_mode) == 0o600


def test_serve_says_which_port_is_taken(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = llmgate("serve", cwd=tmp_path, LLMGATE_LISTEN=f"127.0.0.1:{port}")
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
