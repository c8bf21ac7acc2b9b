"""The fake provider as a process."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "scripts.fake_upstream"]


def test_it_says_where_it_listens_and_ends_when_told() -> None:
    command = [*COMMAND, "--port", "0", "--key", "k", "--scenario", "text;text=hello"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.fullmatch(
            r"fake provider on http://127\.0\.0\.1:(\d+)\n", process.stdout.readline()
        )
        assert found
        connection = HTTPConnection("127.0.0.1", int(found[1]), timeout=10)
        body = '{"model": "m", "messages": [{"role": "user", "content": "x"}]}'
        connection.request("POST", "/v1/chat/completions", body, {"authorization": "Bearer k"})
        assert b'"content":"hello"' in connection.getresponse().read()
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_wrong_scenario_is_said_in_one_line() -> None:
    done = subprocess.run(
        [*COMMAND, "--scenario", "nope"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("fake_upstream: unknown scenario 'nope'")
    assert done.stderr.count("\n") == 1
