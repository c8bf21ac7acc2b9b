"""What agents are told about their model: from the gateway's answer to their configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from scripts.fake import FakeProvider
from scripts.llmgate.launch import CLIENTS, Facts, Route, Setup
from scripts.llmgate.running import model_facts
from tests.support.gateway import KEY, Gateway
from tests.support.providers import four_providers

PROFILE = {"image_types": [], "reasoning_levels": ["high"], "hosted_tools": ["web_search"]}
SIZE = {"context_window": 200_000, "max_output_tokens": 16_000}


@pytest.fixture(scope="module")
def sized(shared_fake: FakeProvider) -> Iterator[Gateway]:
    """A gateway with one model that sees no pictures, and an alias of it."""
    config = four_providers(shared_fake, models={"mine": "chat/test-model"})
    config["providers"]["chat"]["models"] = {"test-model": {**SIZE, "profile": PROFILE}}
    with Gateway(config) as gateway:
        yield gateway


@pytest.mark.parametrize("name", ["mine", "chat/test-model"])
def test_the_gateway_tells_what_it_knows(sized: Gateway, name: str) -> None:
    facts = model_facts(sized.url, KEY, name)
    assert (facts.context_window, facts.max_output_tokens) == (200_000, 16_000)
    assert not facts.images
    assert facts.web_search
    assert facts.catalogue is not None
    (entry,) = facts.catalogue["models"]
    assert entry["slug"] == name
    assert entry["context_window"] == 200_000
    assert [level["effort"] for level in entry["supported_reasoning_levels"]] == ["high"]


def test_nothing_is_known_of_a_name_that_leads_nowhere(sized: Gateway) -> None:
    assert model_facts(sized.url, KEY, "elsewhere") == Facts()


def test_a_wrong_key_is_one_clear_sentence(
    sized: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit):
        model_facts(sized.url, "wrong", "mine")
    assert f"the gateway at {sized.url} refused: " in " ".join(capsys.readouterr().err.split())


def setup(client: str, facts: Facts, home: Path) -> Setup:
    route = Route(url="http://gate", key="k", model="main", small_model="small", facts=facts)
    return CLIENTS[client].setup(route, home)


KNOWN = Facts(
    context_window=100_000, max_output_tokens=8_000, images=False, catalogue={"models": [1]}
)


def test_codex_gets_a_catalogue_file(tmp_path: Path) -> None:
    made = setup("codex", KNOWN, tmp_path)
    path = json.dumps(str(tmp_path / "models.json"))
    assert f"model_catalog_json = {path}" in made.files["config.toml"]
    assert json.loads(made.files["models.json"]) == {"models": [1]}
    assert "model_catalog_json" not in setup("codex", Facts(), tmp_path).files["config.toml"]


def test_codex_searches_only_where_the_route_has_it(tmp_path: Path) -> None:
    off = 'web_search = "disabled"'
    assert off in setup("codex", Facts(), tmp_path).files["config.toml"]
    searching = setup("codex", Facts(web_search=True), tmp_path)
    assert off not in searching.files["config.toml"]


def test_claude_code_gets_the_window(tmp_path: Path) -> None:
    known = setup("claude", KNOWN, tmp_path).environment
    assert known["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "100000"
    assert known["CLAUDE_CODE_AUTO_COMPACT_WINDOW"] == "100000"
    unknown = setup("claude", Facts(), tmp_path).environment
    assert "CLAUDE_CODE_MAX_CONTEXT_TOKENS" not in unknown


def test_opencode_gets_limits_and_modalities(tmp_path: Path) -> None:
    config = json.loads(setup("opencode", KNOWN, tmp_path).files["opencode.json"])
    entry = config["provider"]["llmgate"]["models"]["main"]
    assert entry["limit"] == {"context": 100_000, "output": 8_000}
    assert entry["modalities"]["input"] == ["text"]
    config = json.loads(setup("opencode", Facts(), tmp_path).files["opencode.json"])
    assert "limit" not in config["provider"]["llmgate"]["models"]["main"]


def test_gemini_cli_finds_a_model_for_every_side_job(tmp_path: Path) -> None:
    settings = json.loads(setup("gemini", Facts(), tmp_path).files[".gemini/settings.json"])
    overrides = settings["modelConfigs"]["customOverrides"]
    names = {item["match"]["model"]: item["modelConfig"]["model"] for item in overrides}
    assert names["chat-compression-default"] == "main"
    assert names["summarizer-shell"] == "small"
    assert set(names.values()) == {"main", "small"}
