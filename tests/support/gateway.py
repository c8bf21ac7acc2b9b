"""A real mitmdump with the addon, as a subprocess on a free loopback port."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

ROOT = Path(__file__).resolve().parents[2]
KEY = "test-gateway-key"
BAD_WORDS = ("Traceback", "mitmproxy has crashed", "Addon error", "Unhandled error")


def free_port() -> int:
    """A port that nobody uses right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Gateway:
    """`with Gateway({...}) as gate`: `gate.url`, `gate.key`, `gate.log`; fails the test on a crash in the log.

    `config` gets a client key unless it has one, and quick retries unless it says otherwise. `state` is what outlives
    a restart.
    """

    def __init__(
        self,
        config: dict[str, Any],
        *,
        options: tuple[str, ...] = (),
        scripts: tuple[Path, ...] = (),
        program: str = "mitmdump",
        expect_crash: bool = False,
        state: Path | None = None,
    ) -> None:
        self.config = {
            "client_keys": [{"name": "test", "key": KEY}],
            "token_encoding": None,  # nothing may be fetched from outside
            "retry": {"backoff": {"first_s": 0.01, "max_s": 0.05}, "max_wait_s": 0.5},
            **config,
        }
        self.key = KEY
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.options = options
        self.scripts = scripts
        self.program = program
        self.expect_crash = expect_crash
        self._directory = tempfile.TemporaryDirectory(prefix="llmgate-test-")
        self.home = Path(self._directory.name)
        self.config_file = self.home / "llmgate.yaml"
        self.log_file = self.home / "log"
        self.state = state or self.home / "state"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.write_config(self.config)
        command = [
            str(Path(sys.executable).with_name(self.program)),
            "-s",
            str(ROOT / "addons" / "llmgate.py"),
            *(word for script in self.scripts for word in ("-s", str(script))),
            "--mode",
            f"reverse:http://localhost:9@{self.port}",
            "--listen-host",
            "127.0.0.1",
            "--set",
            f"llmgate_config={self.config_file}",
            "--set",
            f"confdir={self.home / 'mitmproxy'}",
            *self.options,
        ]
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.home),
            "LLMGATE_HOME": str(self.state),
            "PYTHONUNBUFFERED": "1",
        }
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.home, env=environment
            )
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def write_config(self, config: dict[str, Any]) -> None:
        """Write (or replace) the configuration file."""
        self.config_file.write_text(yaml.safe_dump(config, sort_keys=False))

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"{self.program} ended at once:\n{self.log}")
            try:
                status, _headers, _body = self.request("GET", "/health")
            except OSError:
                time.sleep(0.05)
                continue
            assert status == 200, self.log
            return
        raise AssertionError(f"{self.program} did not become healthy:\n{self.log}")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running program."""
        assert self._process is not None
        return self._process

    @property
    def log(self) -> str:
        """Everything that it has printed."""
        return self.log_file.read_text(errors="replace")

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 30,
    ) -> tuple[int, dict[str, str], bytes]:
        """One plain HTTP request: status, headers (lower case), body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            content = response.read()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, content
        finally:
            connection.close()

    def post(
        self, path: str, body: bytes, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """A POST of JSON with the gateway's key."""
        given = {"content-type": "application/json", "authorization": f"Bearer {self.key}"}
        return self.request("POST", path, body, given | (headers or {}))

    def _stop(self) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()
        log = self.log
        if kind is not None:
            sys.stderr.write(log)
        self._directory.cleanup()
        if kind is None and not self.expect_crash:
            found = [word for word in BAD_WORDS if word in log]
            assert not found, f"{found} in the gateway's log:\n{log}"
