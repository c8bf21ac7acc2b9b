"""The example file: it is valid as it is, and its provider is the fake one."""

import json
import re
import urllib.request
from pathlib import Path

import pytest

from config import loader
from config.loader import load, loads
from scripts.fake import FakeProvider

EXAMPLE = Path(loader.__file__).parent / "llmgate.example.yaml"


def test_the_example_is_valid_without_any_variable() -> None:
    config = load(EXAMPLE, environ={})
    assert set(config.upstreams) == {"fake", "fake-chat"}
    assert config.is_loopback


def test_the_commented_providers_are_valid_too(tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    start = text.index("#   deepseek:")
    block = re.sub(r"^#", "", text[start : text.index("\nmodels:")], flags=re.MULTILINE)
    (tmp_path / "key.txt").write_text("k")
    (tmp_path / "sa.json").write_text("{}")
    environ = dict.fromkeys(("DEEPSEEK_API_KEY", "GROQ_1", "ANTHROPIC_API_KEY"), "k1") | {
        "GROQ_2": "k2"
    }
    config = loads(f"providers:\n{block}", base=tmp_path, environ=environ)
    assert set(config.upstreams) == {"deepseek", "groq", "claude", "vertex", "local", "other"}
    assert str(tmp_path / "sa.json") in repr(config.providers["vertex"].credential)


@pytest.mark.parametrize(
    ("protocol", "path", "body", "header"),
    [
        pytest.param("openai_chat", "/chat/completions", {"model": "fake-text", "messages": [{"role": "user", "content": "hi"}]}, "authorization", id="Chat Completions"),
        pytest.param("openai_responses", "/responses", {"model": "fake-text", "input": "hi"}, "authorization", id="Responses"),
        pytest.param("anthropic", "/messages", {"model": "fake-text", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}, "x-api-key", id="Messages"),
        pytest.param("gemini", "/models/fake-text:generateContent", {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}, "x-goog-api-key", id="Gemini"),
    ],
)  # fmt: skip
def test_the_fake_provider_answers_where_the_example_says(
    protocol: str, path: str, body: dict[str, object], header: str
) -> None:
    config = load(EXAMPLE, environ={})
    endpoint = config.provider("fake").endpoint_for(protocol)
    [key] = config.provider("fake").keys
    assert endpoint.protocol == protocol
    assert key.secret is not None
    value = key.secret.get_secret_value()
    with FakeProvider.running() as fake:
        base = re.sub(r"http://127\.0\.0\.1:\d+", fake.base_url, endpoint.base_url)
        request = urllib.request.Request(
            base + path,
            json.dumps(body).encode(),
            {
                "content-type": "application/json",
                "anthropic-version": "2023-06-01",
                header: f"Bearer {value}" if header == "authorization" else value,
            },
        )
        with urllib.request.urlopen(request) as reply:
            assert reply.status == 200
