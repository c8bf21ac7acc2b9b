"""Runs one mitmdump for measurements: with the gateway, or with a script of one's own, and watches its process.

Not for tests of behaviour, which have `tests.support.gateway`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
KEY: Final = "measurement-key"
START_S: Final = 30.0
READY: Final = """
import pathlib

def running():
    pathlib.Path(__file__).with_name("ready").touch()
"""
"""Scripts are loaded after the listener is up, in order: with this one the last has been loaded."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Mitmdump:
    """`with Mitmdump(script, mode) as proxy`: a process on a loopback port; Linux only, it reads /proc."""

    def __init__(
        self,
        script: Path,
        upstream: str,
        *,
        config: dict[str, Any] | None = None,
        beside: str = "",
    ) -> None:
        """`upstream` is the reverse mode's target; `config` the gateway's configuration, if it is one.

        `beside` is the text of a second script.
        """
        self._script = script
        self._upstream = upstream
        self._config = config
        self._beside = beside
        self._directory = tempfile.TemporaryDirectory(prefix="llmgate-measure-")
        self.home = Path(self._directory.name)
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def gateway(cls, config: dict[str, Any], beside: str = "") -> Mitmdump:
        """A gateway with this configuration and the client key `KEY`."""
        keys = {"client_keys": [{"name": "measure", "key": KEY}]}
        script = ROOT / "addons" / "llmgate.py"
        return cls(script, "http://localhost:9", config=keys | config, beside=beside)

    def __enter__(self) -> Self:
        self.port = _free_port()
        ready = self.home / "ready.py"
        ready.write_text(self._beside + READY)
        command = [str(Path(sys.executable).with_name("mitmdump")), "-q"]
        command += ["-s", str(self._script), "-s", str(ready)]
        command += ["--mode", f"reverse:{self._upstream}@{self.port}", "--listen-host", "127.0.0.1"]
        command += ["--set", f"confdir={self.home / 'mitmproxy'}"]
        if self._config is not None:
            file = self.home / "llmgate.yaml"
            file.write_text(yaml.safe_dump(self._config, sort_keys=False))
            command += ["--set", f"llmgate_config={file}"]
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.home),
            "LLMGATE_HOME": str(self.home / "state"),
        }
        with (self.home / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.home, env=environment
            )
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()
        self._directory.cleanup()

    @property
    def pid(self) -> int:
        """Of the running process."""
        if self._process is None:
            raise RuntimeError("not running")
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything that it has printed."""
        return (self.home / "log").read_text(errors="replace")

    def kept(self, name: str) -> str:
        """What a script beside it has written into a file of its own folder."""
        file = self.home / name
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process is not None and self._process.poll() is None

    def cpu_s(self) -> float:
        """CPU seconds so far, user and system, of the process and the children that it has waited for."""
        text = Path(f"/proc/{self.pid}/stat").read_text()
        fields = text.rpartition(")")[2].split()
        return sum(int(value) for value in fields[11:15]) / _TICKS

    def rss_mb(self) -> float:
        """Resident memory in MiB."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if not self.alive:
                raise RuntimeError(f"mitmdump ended at once:\n{self.log}")
            if (self.home / "ready").exists():
                return
            time.sleep(0.05)
        raise RuntimeError(f"mitmdump is not ready:\n{self.log}")

    def _stop(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
