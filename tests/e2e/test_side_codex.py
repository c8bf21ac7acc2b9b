"""The real Codex reads the gateway's catalogue and works by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.fake import FakeProvider
from tests.support import agents
from tests.support.gateway import Gateway
from tests.support.providers import provider

CONFIG = """
model = "coder"
model_provider = "gateway"
model_catalog_json = "{catalogue}"
[model_providers.gateway]
name = "gateway"
base_url = "{url}/v1"
env_key = "GATEWAY_KEY"
wire_api = "responses"
[features]
plugins = false
"""


@pytest.mark.clients
def test_mdl_01_codex_decodes_the_catalogue(fake: FakeProvider, tmp_path: Path) -> None:
    work, home = tmp_path / "work", tmp_path / "codex"
    work.mkdir()
    home.mkdir()
    config = {
        "providers": {"chat": provider(fake, "openai_chat")},
        "models": {"coder": {"candidates": ["chat/test-model"], "context_window": 64_000}},
    }
    with Gateway(config) as gateway:
        asked = {"authorization": f"Bearer {gateway.key}"}
        path = "/v1/models?client_version=0.169.0"
        status, _headers, body = gateway.request("GET", path, headers=asked)
        assert status == 200
        catalogue = tmp_path / "models.json"
        catalogue.write_text(json.dumps({"models": json.loads(body)["models"]}))
        (home / "config.toml").write_text(CONFIG.format(catalogue=catalogue, url=gateway.url))
        run = agents.run(
            [str(agents.program("codex")), "exec", "--skip-git-repo-check", "Say hello."],
            work,
            {
                "CODEX_HOME": str(home),
                "GATEWAY_KEY": gateway.key,
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "RUST_LOG": "warn",
            },
        )
    said = run.out + run.err
    assert run.code == 0, said
    for complaint in ("failed to decode", "failed to parse", "missing field", "`coder`"):
        assert complaint not in said, said
    (seen,) = fake.record
    assert seen.verdict == "accepted", seen.reason
    assert seen.path == "/v1/chat/completions"
