"""Google Cloud by its presets, from agents' own protocols and foreign ones; the fake refuses what Vertex AI refuses.

Reference: https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude (read 2026-11-21)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.fake import DEFAULT_KEY, FakeProvider
from tests.support.gateway import Gateway
from tests.support.issuer import Issuer, issuing

TALK = [{"role": "user", "content": "Hello"}]
CLAUDE = "claude-sonnet-4-5@20250929"
MESSAGES = {"model": f"claude/{CLAUDE}", "max_tokens": 100, "messages": TALK}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
PLACE = "/v1/projects/p/locations/us-east5/publishers"


@pytest.fixture(scope="module")
def gate(shared_fake: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Both presets with a service account, their hosts replaced by the fake's."""
    with issuing(DEFAULT_KEY) as issuer:
        file = key_file(issuer, tmp_path_factory.mktemp("key"))
        place = f"{shared_fake.base_url}{PLACE}"
        common = {
            "project": "p",
            "region": "us-east5",
            "credential": {"type": "google_service_account", "file": str(file)},
        }
        providers = {
            "claude": {"preset": "vertex-anthropic", "base_url": f"{place}/anthropic", **common},
            "gemini": {"preset": "vertex-gemini", "base_url": f"{place}/google", **common},
        }
        with Gateway({"providers": providers, "retry": {"max_attempts": 1}}) as gateway:
            yield gateway


def key_file(issuer: Issuer, folder: Path) -> Path:
    file = folder / "sa.json"
    file.write_text(json.dumps(issuer.service_account()))
    file.chmod(0o600)
    return file


@pytest.mark.parametrize(
    ("path", "body", "headers", "upstream", "version"),
    [
        pytest.param(
            "/v1/messages", MESSAGES, {"anthropic-version": "2023-06-01"},
            f"{PLACE}/anthropic/models/{CLAUDE}:rawPredict", "vertex-2023-10-16",
            id="P10: Claude's own protocol, a whole answer",
        ),
        pytest.param(
            "/v1/messages", {**MESSAGES, "stream": True}, {"anthropic-version": "2026-10-21"},
            f"{PLACE}/anthropic/models/{CLAUDE}:streamRawPredict", "2026-10-21",
            id="a stream, with the newer version",
        ),
        pytest.param(
            "/v1/messages", {**MESSAGES, "stream": False}, {"anthropic-version": "2023-06-01", "anthropic-beta": "context-1m-2025-08-07"},
            f"{PLACE}/anthropic/models/{CLAUDE}:rawPredict", "vertex-2023-10-16",
            id="beta flags stay a header",
        ),
        pytest.param(
            "/v1/chat/completions", {"model": f"claude/{CLAUDE}", "messages": TALK}, {},
            f"{PLACE}/anthropic/models/{CLAUDE}:rawPredict", "vertex-2023-10-16",
            id="a Chat client",
        ),
        pytest.param(
            "/v1/messages/count_tokens", {"model": f"claude/{CLAUDE}", "messages": TALK},
            {"anthropic-version": "2023-06-01"},
            f"{PLACE}/anthropic/models/count-tokens:rawPredict", "vertex-2023-10-16",
            id="a count names the model in its body",
        ),
    ],
)  # fmt: skip
def test_claude_on_google_cloud(
    gate: Gateway, fake: FakeProvider, path: str, body: dict[str, Any], headers: dict[str, str],
    upstream: str, version: str,
) -> None:  # fmt: skip
    status, _headers, answer = gate.post(path, json.dumps(body).encode(), headers)
    sent = fake.record.last
    assert (status, sent.reason) == (200, ""), answer
    assert sent.path == upstream
    assert sent.body["anthropic_version"] == version
    assert ("model" in sent.body) == ("count" in path)
    assert sent.header("anthropic-version") is None
    assert sent.header("anthropic-beta") == headers.get("anthropic-beta")


@pytest.mark.parametrize(
    ("path", "body", "upstream"),
    [
        pytest.param(
            "/v1beta/models/gemini/gemini-2.5-pro:generateContent", GEMINI,
            f"{PLACE}/google/models/gemini-2.5-pro:generateContent",
            id="P11: Gemini's own protocol",
        ),
        pytest.param(
            "/v1beta/models/gemini/gemini-2.5-pro:streamGenerateContent?alt=sse", GEMINI,
            f"{PLACE}/google/models/gemini-2.5-pro:streamGenerateContent",
            id="a stream",
        ),
        pytest.param(
            "/v1/messages", {**MESSAGES, "model": "gemini/gemini-2.5-pro", "stream": True},
            f"{PLACE}/google/models/gemini-2.5-pro:streamGenerateContent",
            id="Claude Code on Gemini",
        ),
        pytest.param(
            "/v1beta/models/gemini/gemini-2.5-pro:countTokens",
            {"generateContentRequest": {"model": "models/gemini-2.5-pro", **GEMINI}},
            f"{PLACE}/google/models/gemini-2.5-pro:countTokens",
            id="a count loses its wrapper, which Vertex AI does not know",
        ),
    ],
)  # fmt: skip
def test_gemini_on_google_cloud(
    gate: Gateway, fake: FakeProvider, path: str, body: dict[str, Any], upstream: str
) -> None:
    status, _headers, answer = gate.post(path, json.dumps(body).encode())
    sent = fake.record.last
    assert (status, sent.reason, sent.path) == (200, "", upstream), answer
    assert sent.header("authorization") == f"Bearer {DEFAULT_KEY}"
    assert "generateContentRequest" not in sent.body
