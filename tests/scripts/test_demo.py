"""`python -m scripts.demo` from start to end: it works, fits on a screen, and says why when it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from scripts import demo

ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_prints_the_translated_conversation() -> None:
    environment = {**os.environ, "COLUMNS": "120"}
    done = subprocess.run(
        [sys.executable, "-m", "scripts.demo"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) <= 60
    assert any(
        "POST /v1/messages" in line and "POST /v1/chat/completions" in line for line in lines
    )
    assert "Oslo: 4 °C, rain" in lines[-1]
    assert "Rome: 17 °C, sun" in lines[-1]


def test_the_configuration_is_the_documented_form() -> None:
    config = yaml.safe_load(demo.configuration("http://127.0.0.1:1", "secret"))
    assert config["providers"]["fake"]["base_url"] == "http://127.0.0.1:1/v1"
    assert config["models"] == {"*": "fake/fake-parallel"}


def test_a_gateway_that_ends_is_reported_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "import sys; print('no such addon'); sys.exit(3)"
    monkeypatch.setattr(demo, "_mitmdump", lambda: [sys.executable, "-c", script])
    gateway = demo._gateway(tmp_path, "http://127.0.0.1:1", "secret")
    with pytest.raises(demo.DemoError, match=r"status 3:\nno such addon"), gateway:
        pass


def test_a_failed_demo_exits_nonzero_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> list[str]:
        raise demo.DemoError("mitmdump is not installed")

    monkeypatch.setattr(demo, "_mitmdump", missing)
    assert demo.main() == 1
    assert "demo failed: mitmdump is not installed" in capsys.readouterr().err
