"""Providers ready for use: preset and entry merged, URLs filled in, keys pooled."""

import pytest

from config.loader import loads
from config.providers import AuthStyle
from config.runtime import Provider


def provider(entry: str, **environ: str) -> Provider:
    return loads(f"providers: {{x: {{{entry}}}}}", environ=environ).provider("x")


@pytest.mark.parametrize(
    ("entry", "client", "model", "expected"),
    [
        pytest.param(
            "preset: deepseek, api_key: k", "anthropic", None,
            ("anthropic", "https://api.deepseek.com/anthropic/v1"),
            id="the client's own protocol, so that nothing is translated",
        ),
        pytest.param(
            "preset: deepseek, api_key: k", "gemini", None,
            ("openai_chat", "https://api.deepseek.com"),
            id="else the first one",
        ),
        pytest.param(
            "preset: openai, api_key: k", "anthropic", None,
            ("openai_responses", "https://api.openai.com/v1"),
            id="which for OpenAI is Responses",
        ),
        pytest.param(
            "preset: github-copilot, credential: {type: github_copilot, token: gho_x}", "anthropic", "gpt-4.1",
            ("openai_chat", "https://api.githubcopilot.com"),
            id="a protocol that this model is not served over is passed by",
        ),
        pytest.param(
            "preset: github-copilot, credential: {type: github_copilot, token: gho_x}", "anthropic", "gpt-5.1",
            ("openai_responses", "https://api.githubcopilot.com"),
            id="P13: newer models go over Responses",
        ),
        pytest.param(
            "preset: github-copilot, credential: {type: github_copilot, token: gho_x}", "anthropic", "claude-x",
            ("anthropic", "https://api.githubcopilot.com/v1"),
            id="and used for the models that are",
        ),
        pytest.param(
            "preset: deepseek, api_key: k, protocol: anthropic", "openai_chat", None,
            ("anthropic", "https://api.deepseek.com/anthropic/v1"),
            id="`protocol` picks one of the preset's",
        ),
        pytest.param(
            "preset: deepseek, api_key: k, base_url: 'http://127.0.0.1:1/v1'", "anthropic", None,
            ("openai_chat", "http://127.0.0.1:1/v1"),
            id="another host has only the protocol it is given for",
        ),
        pytest.param(
            "preset: openai, api_key: k, endpoints: {openai_chat: 'http://h/v1'}", "openai_chat", None,
            ("openai_chat", "http://h/v1"),
            id="`endpoints` replace the preset's one by one",
        ),
        pytest.param(
            "endpoints: {gemini: 'http://h/v1beta', anthropic: 'http://h/v1'}", "openai_chat", None,
            ("gemini", "http://h/v1beta"),
            id="without a preset the first one given is for foreigners",
        ),
        pytest.param(
            "preset: vertex-gemini, project: p, region: us-east5, credential: {type: google_default}",
            "gemini", None,
            ("gemini", "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/publishers/google"),
            id="a region's own host",
        ),
        pytest.param(
            "preset: vertex-anthropic, project: p, region: eu, credential: {type: google_default}",
            "anthropic", None,
            ("anthropic", "https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu/publishers/anthropic"),
            id="a multi-region's host",
        ),
        pytest.param(
            "preset: vertex-anthropic, project: p, credential: {type: google_default}",
            "anthropic", None,
            ("anthropic", "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/anthropic"),
            id="the preset's default region",
        ),
    ],
)  # fmt: skip
def test_endpoints(entry: str, client: str, model: str | None, expected: tuple[str, str]) -> None:
    config = loads(f"providers: {{x: {{{entry}}}}}")
    assert config.endpoint("x", client, model) == expected


def test_paths_of_a_preset_replace_the_usual_ones() -> None:
    endpoint = provider(
        "preset: vertex-anthropic, project: p, credential: {type: google_default}"
    ).primary
    usual = "/messages"
    assert (
        endpoint.path("stream", "claude-x@20250101", usual)
        == "/models/claude-x@20250101:streamRawPredict"
    )
    assert endpoint.path("generate", "a/b:c", usual) == "/models/a%2Fb%3Ac:rawPredict"
    assert endpoint.path("list_models", "m", usual) == usual


@pytest.mark.parametrize(
    ("entry", "passes"),
    [
        pytest.param(
            "preset: anthropic, api_key: k", True, id="HDR-02: the client decides at Anthropic"
        ),
        pytest.param(
            "preset: deepseek, api_key: k",
            False,
            id="HDR-01: third parties refuse what they do not know",
        ),
        pytest.param(
            "preset: deepseek, api_key: k, endpoints: {anthropic: {base_url: 'http://h', betas: 'context-*'}}",
            True,
            id="unless the entry allows it",
        ),
    ],
)
def test_betas(entry: str, passes: bool) -> None:
    assert (
        provider(entry).endpoint_for("anthropic").passes_beta("context-management-2025-06-27")
        is passes
    )


@pytest.mark.parametrize(
    ("entry", "protocol", "style"),
    [
        pytest.param("preset: anthropic, api_key: k", "anthropic", AuthStyle.X_API_KEY, id="the protocol's usual one"),
        pytest.param("preset: azure-openai, resource: r, api_key: k", "openai_chat", AuthStyle.API_KEY, id="the preset's"),
        pytest.param("preset: openrouter, api_key: k", "anthropic", AuthStyle.BEARER, id="that of the preset's protocol"),
        pytest.param("preset: gemini, api_key: k, auth: query-key", "gemini", AuthStyle.QUERY_KEY, id="the entry's"),
        pytest.param(
            "preset: openrouter, api_key: k, auth: api-key, endpoints: {anthropic: {base_url: 'http://h', auth: bearer}}",
            "anthropic", AuthStyle.BEARER, id="that of the entry's protocol first",
        ),
        pytest.param("preset: ollama", "openai_chat", AuthStyle.NONE, id="none for a local server without a key"),
        pytest.param("preset: ollama, api_key: k", "openai_chat", AuthStyle.BEARER, id="a key if it has one"),
        pytest.param("protocol: anthropic, base_url: 'http://h'", "anthropic", AuthStyle.NONE, id="none where no key is given"),
        pytest.param("preset: openai, auth: client", "openai_chat", AuthStyle.CLIENT, id="C2: the client's own"),
    ],
)  # fmt: skip
def test_how_the_key_travels(entry: str, protocol: str, style: AuthStyle) -> None:
    assert provider(entry).endpoint_for(protocol).auth is style


def test_r14_keys_are_pooled_with_names_and_attributes() -> None:
    found = provider(
        "preset: groq, priority: 2, api_keys: [env:ONE, {key: two, name: second, weight: 3, priority: 1, "
        "prefix: fast, headers: {X-A: b}, proxy: 'http://h:1', models: ['llama*'], exclude: ['*-70b']}]",
        ONE="one",
    )
    first, second = found.keys
    assert (first.name, second.name) == ("x-1", "second")
    assert first.secret is not None
    assert first.secret.origin == "env:ONE"
    assert (second.weight, second.priority, second.prefix) == (3, 1, "fast")
    assert second.headers == {"x-a": "b"}
    assert second.proxy == "http://h:1"


@pytest.mark.parametrize(
    ("model", "serves"),
    [
        pytest.param("llama-8b", True, id="listed"),
        pytest.param("llama-70b", False, id="listed and excluded"),
        pytest.param("gemma", False, id="not listed"),
    ],
)
def test_c14_a_key_serves_its_models_only(model: str, serves: bool) -> None:
    [key] = provider("preset: groq, api_keys: {key: k, models: ['llama*'], exclude: '*-70b'}").keys
    assert key.serves(model) is serves


def test_headers_of_preset_protocol_and_entry_are_merged_the_particular_last() -> None:
    found = provider(
        "preset: github-copilot, credential: {type: github_copilot, token: gho_x}, headers: {Editor-Version: mine/1, x-own: env:V}",
        V="value",
    )
    headers = found.primary.headers
    assert headers["editor-version"] == "mine/1"
    assert headers["x-own"] == "value"
    assert headers["openai-intent"] == "conversation-edits"


def test_model_facts_of_preset_and_entry_are_merged_from_general_to_particular() -> None:
    found = provider(
        "preset: deepseek, api_key: k, models: {'deepseek-v4*': {max_output_tokens: 9, fallbacks: [deepseek-flash]}, "
        "deepseek-v4-pro: {display_name: Pro}}"
    )
    info = found.model_info("deepseek-v4-pro")
    assert (info.context_window, info.max_output_tokens) == (1_000_000, 9)
    assert (info.display_name, info.fallbacks) == ("Pro", ("deepseek-flash",))
    assert found.wire_model("deepseek-chat") == "deepseek-flash"
    assert found.wire_model("unheard-of") == "unheard-of"
    assert "deepseek-v4-pro" in found.known_models
    assert not any("*" in name for name in found.known_models)


def test_a_disabled_provider_is_not_there() -> None:
    config = loads("providers: {x: {preset: ollama, enabled: false}, y: {preset: vllm}}")
    assert list(config.upstreams) == ["y"]
    with pytest.raises(KeyError):
        config.provider("x")


def test_rules_about_failures_come_from_entry_preset_and_table_in_this_order() -> None:
    found = provider(
        "preset: xai, api_key: k, status_policy: [{status: 403, words: [api key], action: final}]"
    )
    assert found.status_policy.decide(403, "bad API key").action == "final"
    assert found.status_policy.decide(403, "bad credentials").action == "cool_key"
    assert found.status_policy.decide(403, "other").action == "cool_key_model"


def test_models_may_be_a_list_of_names() -> None:
    assert provider("preset: vllm, models: [one, two]").known_models == (
        "one",
        "two",
    )
