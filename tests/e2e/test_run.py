"""`llmgate run CLIENT`: the real programs behind the wrapper, and what it says when something is missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from scripts.fake import FakeProvider
from tests.support import agents
from tests.support.gateway import KEY, ROOT, Gateway, free_port
from tests.support.providers import four_providers


def llmgate(*words: str, cwd: Path, path: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": path,
        "HOME": str(cwd.parent),
        "LLMGATE_HOME": str(cwd.parent / "state"),
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
        "IS_SANDBOX": "1",
        **more,
    }
    return subprocess.run(
        [sys.executable, "-m", "scripts.llmgate", *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.fixture
def work(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    return path


def programs(client: str, work: Path) -> str:
    """A search path with the client's program under its own name."""
    folder = work.parent / "bin"
    folder.mkdir()
    (folder / client).symlink_to(agents.program(client))
    return f"{folder}:/usr/local/bin:/usr/bin:/bin"


@pytest.mark.clients
def test_a_client_runs_against_a_running_gateway_and_its_exit_code_comes_back(
    gateway: Gateway, fake: FakeProvider, work: Path
) -> None:
    fake.play("tool")
    done = llmgate(
        "run", "claude", "--gateway", gateway.url, "--key", KEY, "--model", "chat/test-model",
        "--", "-p", "--dangerously-skip-permissions", "Create the file.",
        cwd=work, path=programs("claude", work),
    )  # fmt: skip
    assert done.returncode == 0, done
    assert (work / "proof-1.txt").exists()
    assert not list(work.parent.glob(".claude*")), "the user's own configuration was touched"


@pytest.mark.clients
def test_a_gateway_is_started_and_stopped(fake: FakeProvider, work: Path) -> None:
    fake.play("tool")
    port = free_port()
    config = four_providers(fake, listen=f"127.0.0.1:{port}", models={"mine": "claude/test-model"})
    (work / "llmgate.yaml").write_text(yaml.safe_dump(config))
    done = llmgate(
        "run", "codex", "--", "exec", "--skip-git-repo-check", "-s", "danger-full-access", "Do it.",
        cwd=work, path=programs("codex", work),
    )  # fmt: skip
    assert done.returncode == 0, done
    assert (work / "proof-1.txt").exists()
    assert {seen.protocol for seen in fake.record} == {"anthropic"}
    with pytest.raises(ProcessLookupError):
        os.kill(_pid_of_listener(port), 0)


def _pid_of_listener(port: int) -> int:
    """0 < pid of whoever listens there; nobody is the same as a process that is gone."""
    import socket

    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) != 0:
            raise ProcessLookupError(port)
    return os.getpid()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "emacs"), "unknown client emacs; known: claude, codex, gemini, opencode"),
        (("run", "codex"), "codex is not installed; try: npm install -g @openai/codex"),
    ],
)
def test_one_clear_sentence(work: Path, words: tuple[str, ...], message: str) -> None:
    done = llmgate(*words, cwd=work, path="/nowhere")
    assert done.returncode == 1
    assert message in " ".join(done.stderr.split())


def test_an_unhealthy_gateway_and_a_missing_model(work: Path) -> None:
    folder = work.parent / "bin"
    folder.mkdir()
    (folder / "codex").write_text("#!/bin/sh\nexit 7\n")
    (folder / "codex").chmod(0o755)
    url = f"http://127.0.0.1:{free_port()}"
    done = llmgate("run", "codex", "--model", "m", "--gateway", url, cwd=work, path=str(folder))
    assert done.returncode == 1
    assert "no healthy gateway answers at" in done.stderr
    done = llmgate("run", "codex", "--gateway", url, cwd=work, path=str(folder))
    assert "name a model with --model" in " ".join(done.stderr.split())


def test_the_exit_code_is_the_clients(gateway: Gateway, work: Path) -> None:
    folder = work.parent / "bin"
    folder.mkdir()
    (folder / "codex").write_text('#!/bin/sh\ntest -f "$CODEX_HOME/config.toml" && exit 7\n')
    (folder / "codex").chmod(0o755)
    done = llmgate(
        "run", "codex", "--gateway", gateway.url, "--key", KEY, "--model", "m",
        cwd=work, path=f"{folder}:/usr/bin:/bin",
    )  # fmt: skip
    assert done.returncode == 7, done


def test_a_signal_reaches_the_client_and_the_gateway_that_was_started_is_stopped(
    fake: FakeProvider, work: Path
) -> None:
    port = free_port()
    config = four_providers(fake, listen=f"127.0.0.1:{port}", models={"mine": "claude/test-model"})
    (work / "llmgate.yaml").write_text(yaml.safe_dump(config))
    folder = work.parent / "bin"
    folder.mkdir()
    (folder / "codex").write_text(
        "#!/bin/sh\ntrap 'kill $!; exit 42' TERM\necho started\nsleep 60 &\nwait\n"
    )
    (folder / "codex").chmod(0o755)
    environment = {
        "PATH": f"{folder}:/usr/bin:/bin",
        "HOME": str(work.parent),
        "LLMGATE_HOME": str(work.parent / "state"),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "scripts.llmgate", "run", "codex"]
    with subprocess.Popen(
        command, cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 42
    with pytest.raises(ProcessLookupError):
        os.kill(_pid_of_listener(port), 0)
