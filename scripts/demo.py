"""`python -m scripts.demo`: fake provider, real gateway, one translated conversation, printed.

Needs no account and no network. Everything that it starts it stops; its files are in a temporary directory.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

import yaml
from rich.console import Console

from scripts.conversation import ConversationError, run, show
from scripts.fake import DEFAULT_KEY, FakeProvider

ROOT: Final = Path(__file__).resolve().parents[1]
_START_TIMEOUT_S: Final = 30
_STOP_TIMEOUT_S: Final = 5
_LOG_LINES: Final = 15


class DemoError(Exception):
    """The demo cannot go on; the message is what the user reads."""


def main() -> int:
    """Run the demo; 0 when the conversation came through."""
    console = Console()
    try:
        with (
            FakeProvider.running() as fake,
            tempfile.TemporaryDirectory(prefix="llmgate-demo-") as home,
        ):
            _step(f"fake provider (Chat Completions) on {fake.base_url}")
            token = secrets.token_urlsafe(16)
            with _gateway(Path(home), fake.base_url, token) as base_url:
                _step("conversation: Anthropic client -> gateway -> Chat provider")
                transcript = run(base_url, token, fake)
            show(transcript, console)
            if transcript.tool_calls < 2:
                raise DemoError(f"expected two tool calls, saw {transcript.tool_calls}")
    except (DemoError, ConversationError, OSError) as error:
        print(f"demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _step(text: str) -> None:
    print(f"==> {text}", file=sys.stderr, flush=True)


def configuration(provider_url: str, token: str) -> str:
    """The gateway's configuration, as YAML."""
    provider = {"protocol": "openai_chat", "base_url": f"{provider_url}/v1", "api_key": DEFAULT_KEY}
    return yaml.safe_dump(
        {
            "client_keys": [{"name": "demo", "key": token}],
            "providers": {"fake": provider},
            "models": {"*": "fake/fake-parallel"},
        },
        sort_keys=False,
    )


@contextmanager
def _gateway(home: Path, provider_url: str, token: str) -> Iterator[str]:
    """A mitmdump with the addon, up and healthy; its base URL."""
    config, log = home / "llmgate.yaml", home / "mitmdump.log"
    config.write_text(configuration(provider_url, token))
    port = _free_port()
    command = [
        *_mitmdump(),
        "-q",
        "-s",
        "addons/llmgate.py",
        "--mode",
        f"reverse:http://localhost:9@{port}",
        "--listen-host",
        "127.0.0.1",
        "--set",
        f"llmgate_config={config}",
        "--set",
        f"confdir={home}",
    ]
    keep = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    environment = {**keep, "HOME": str(home), "LLMGATE_HOME": str(home / "state")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
        try:
            _await_health(process, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            _stop(process)


def _mitmdump() -> list[str]:
    """The mitmdump of this environment, else the one on the path."""
    beside = Path(sys.executable).with_name("mitmdump")
    found = str(beside) if beside.exists() else shutil.which("mitmdump")
    if found is None:
        raise DemoError("mitmdump is not installed: pip install -e . in this environment first")
    return [found]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_health(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the gateway says that it is healthy, with a line of progress."""
    started = time.monotonic()
    _step(f"gateway: mitmdump -s addons/llmgate.py on port {port}, waiting for /health")
    announced = 1.0
    while (waited := time.monotonic() - started) < _START_TIMEOUT_S:
        if process.poll() is not None:
            raise DemoError(f"mitmdump ended with status {process.returncode}:\n{_end_of(log)}")
        if _healthy(port):
            _step(f"gateway healthy after {waited:.1f} s")
            return
        if waited >= announced:
            _step(f"still waiting for the gateway ({waited:.0f} s)")
            announced += 2
        time.sleep(0.05)
    raise DemoError(f"the gateway was not healthy after {_START_TIMEOUT_S} s:\n{_end_of(log)}")


def _healthy(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _end_of(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(lines[-_LOG_LINES:]) or "(it printed nothing)"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
