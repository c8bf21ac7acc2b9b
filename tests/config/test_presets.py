"""Presets: complete, valid, and enough to add a provider without Python."""

import re
from pathlib import Path

import pytest

from config.loader import loads
from config.presets import load_presets, read_presets
from config.providers import AuthStyle
from translators.ir import Level
from translators.profile import Echo, MidSystem, ModelProfile, SamplingSupport, ThinkingForm

NEEDS = {
    "azure-openai": "resource: r",
    "azure-anthropic": "resource: r",
    "vertex-anthropic": "project: p",
    "vertex-gemini": "project: p",
    "custom": "protocol: openai_chat, base_url: 'http://127.0.0.1:1/v1'",
}
WANTED = [
    "openai",
    "azure-openai",
    "anthropic",
    "gemini",
    "vertex-anthropic",
    "vertex-gemini",
    "deepseek",
    "kimi",
    "moonshot",
    "glm",
    "zai",
    "dashscope",
    "minimax",
    "mimo",
    "volcengine",
    "siliconflow",
    "stepfun",
    "baichuan",
    "yi",
    "modelscope",
    "sensenova",
    "xai",
    "mistral",
    "groq",
    "together",
    "fireworks",
    "cerebras",
    "perplexity",
    "cohere",
    "openrouter",
    "github-copilot",
    "vllm",
    "ollama",
    "lm-studio",
    "llama.cpp",
    "custom",
]


def profile(preset: str, model: str, protocol: str | None = None) -> ModelProfile:
    more = NEEDS.get(preset, "weight: 1")
    config = loads(f"providers: {{x: {{preset: {preset}, api_key: k, {more}}}}}")
    return config.resolve_profile("x", model, protocol)


def test_all_wanted_presets_are_there() -> None:
    assert set(WANTED) <= set(load_presets())


@pytest.mark.parametrize("name", sorted(load_presets()))
def test_a_preset_works_in_one_line(name: str) -> None:
    more = NEEDS.get(name, "weight: 1")
    config = loads(f"providers: {{x: {{preset: {name}, api_key: k, {more}}}}}")
    found = config.provider("x")
    for endpoint in found.endpoints.values():
        assert re.fullmatch(r"https?://[^\s{}]+[^/]", endpoint.base_url)
        assert endpoint.auth is not AuthStyle.NONE
        assert isinstance(
            config.resolve_profile("x", "some-model", endpoint.protocol), ModelProfile
        )


@pytest.mark.parametrize("name", sorted(load_presets()))
def test_facts_have_a_source_and_a_date(name: str) -> None:
    preset = load_presets()[name]
    assert preset.source
    assert preset.date.year == 2026
    for info in preset.models.values():
        assert info.prices is None or (info.prices.source and info.prices.date)


def test_presets_without_a_usual_model_are_those_that_serve_what_others_choose() -> None:
    without = {name for name, preset in load_presets().items() if preset.default_model is None}
    assert without == {
        "azure-anthropic", "azure-openai", "baichuan", "custom", "github-copilot", "llama.cpp", "lm-studio",
        "modelscope", "ollama", "openrouter", "sensenova", "siliconflow", "vllm", "yi",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(load_presets()))
def test_only_local_servers_are_reached_without_tls(name: str) -> None:
    for endpoint in load_presets()[name].endpoints.values():
        assert endpoint.base_url.startswith(("https://", "http://127.0.0.1:"))


@pytest.mark.parametrize(
    ("preset", "model", "protocol", "field", "value"),
    [
        pytest.param("deepseek", "deepseek-v4-pro", None, "reasoning_echo", Echo.REQUIRED, id="F26 PRV-01: DeepSeek wants its reasoning back"),
        pytest.param("deepseek", "deepseek-v4-pro", "anthropic", "reasoning_echo", Echo.UNKNOWN, id="PRV-01: but not on its Anthropic surface"),
        pytest.param("deepseek", "deepseek-v4-pro", None, "json_schema", False, id="OUT-07 PRV-01: DeepSeek has no JSON schema"),
        pytest.param("deepseek", "deepseek-v4-pro", None, "image_types", frozenset(), id="F40: a text-only model"),
        pytest.param("deepseek", "deepseek-v4-pro", None, "reasoning_levels", (Level.OFF, Level.HIGH, Level.MAX), id="RSN-23: DeepSeek's levels"),
        pytest.param("mimo", "mimo-v2.5-pro", None, "reasoning_echo", Echo.REQUIRED, id="RSN-10: MiMo wants its reasoning back"),
        pytest.param("mimo", "mimo-v2.5-pro", None, "forced_tool_choice", False, id="F40: MiMo refuses forced tools"),
        pytest.param("groq", "x", None, "reasoning_echo", Echo.FORBIDDEN, id="RSN-10 PRV-07: Groq refuses it"),
        pytest.param("cerebras", "x", None, "reasoning_echo", Echo.FORBIDDEN, id="RSN-10 PRV-17: Cerebras refuses it"),
        pytest.param("kimi", "kimi-k3", None, "reasoning_echo", Echo.ALLOWED, id="RSN-10: Kimi takes it"),
        pytest.param("kimi", "kimi-k3", None, "sampling", SamplingSupport.NONE, id="F40: Kimi's sampling is fixed"),
        pytest.param("minimax", "MiniMax-M3", None, "cumulative_text", True, id="F43: MiniMax repeats all text"),
        pytest.param("minimax", "MiniMax-M3", None, "think_tags", True, id="F27: MiniMax thinks in tags"),
        pytest.param("minimax", "MiniMax-M3", None, "mid_system", MidSystem.HOIST, id="PRV-03: MiniMax refuses a late system message"),
        pytest.param("dashscope", "qwen-max", None, "mid_system", MidSystem.HOIST, id="PRV-05: Qwen wants the system text first"),
        pytest.param("glm", "glm-5.2", None, "image_types", frozenset(), id="PRV-04: GLM is text-only"),
        pytest.param("glm", "glm-4.5v", None, "image_urls", True, id="PRV-04: but its vision models are not"),
        pytest.param("mistral", "x", None, "call_id_length", 9, id="PRV-06: Mistral's call ids"),
        pytest.param("openrouter", "x", None, "cache_control_parts", True, id="CAC-01: OpenRouter takes cache marks"),
        pytest.param("openai", "gpt-6-sol", None, "max_tokens_field", "max_completion_tokens", id="PAR-01: OpenAI's limit field"),
        pytest.param("together", "x", None, "max_tokens_field", "max_tokens", id="PAR-01: everybody else's"),
        pytest.param("openai", "gpt-5-mini", None, "reasoning_levels", (Level.MINIMAL, Level.LOW, Level.MEDIUM, Level.HIGH), id="RSN-23: GPT-5's levels"),
        pytest.param("openai", "gpt-4.1", None, "stop_limit", 4, id="PAR-06: four stops"),
        pytest.param("openai", "gpt-4.1", None, "sampling", SamplingSupport.FULL, id="classic models take sampling"),
        pytest.param("openai", "gpt-6-sol", None, "stop_limit", 0, id="reasoning models take no stop"),
        pytest.param("anthropic", "claude-opus-4-5-20251101", None, "thinking_form", ThinkingForm.BUDGET, id="RSN-19: budgets before 4.6"),
        pytest.param("anthropic", "claude-opus-4-6", None, "thinking_form", ThinkingForm.ADAPTIVE, id="RSN-19: adaptive from 4.6"),
        pytest.param("anthropic", "claude-opus-4-6", None, "sampling", SamplingSupport.FULL, id="RSN-22: 4.6 still takes sampling"),
        pytest.param("anthropic", "claude-opus-4-6", None, "anthropic_version", "2023-06-01", id="of the older version"),
        pytest.param("anthropic", "claude-opus-4-7", None, "sampling", SamplingSupport.NONE, id="RSN-22: 4.7 does not"),
        pytest.param("anthropic", "claude-sonnet-5-5", None, "thinking_form", ThinkingForm.BETWEEN_TOOLS, id="off is between_tools"),
        pytest.param("anthropic", "claude-sonnet-5-5", None, "forced_tool_choice", False, id="5.5 refuses forced tools"),
        pytest.param("anthropic", "claude-sonnet-5", None, "forced_tool_choice", True, id="5 does not"),
        pytest.param("anthropic", "claude-fable-5-1", None, "always_thinks", True, id="Fable always thinks"),
        pytest.param("anthropic", "claude-haiku-5-5", None, "always_thinks", False, id="Haiku can be told not to"),
        pytest.param("anthropic", "claude-sonnet-4-5", None, "prefill", True, id="prefill before 4.6"),
        pytest.param("anthropic", "claude-sonnet-5-5", None, "prefill", False, id="none after"),
        pytest.param("anthropic", "claude-sonnet-5-5", None, "max_output_tokens", 128000, id="PAR-02: a model's largest answer"),
        pytest.param("vertex-anthropic", "claude-sonnet-4-5@20250929", None, "thinking_form", ThinkingForm.BUDGET, id="Vertex names"),
        pytest.param("vertex-anthropic", "claude-sonnet-5-5", None, "vertex", True, id="the Google Cloud flavour"),
        pytest.param("gemini", "gemini-2.5-pro", None, "budget_range", (128, 32768), id="RSN-24: a budget that cannot be 0"),
        pytest.param("gemini", "gemini-2.5-flash-lite", None, "budget_range", (512, 24576), id="RSN-24: another range"),
        pytest.param("gemini", "gemini-2.5-flash", None, "always_thinks", False, id="RSN-24: Flash can be switched off"),
        pytest.param("gemini", "gemini-2.5-flash", None, "schema_with_tools", False, id="OUT-06: no schema beside tools before 3"),
        pytest.param("gemini", "gemini-3-pro", None, "reasoning_levels", (Level.LOW, Level.HIGH), id="3 Pro's levels"),
        pytest.param("gemini", "gemini-3.8-flash", None, "signatures_required", True, id="F23: signatures from 3 on"),
        pytest.param("gemini", "gemini-2.5-pro", None, "tool_result_media", False, id="F15: no images in results before 3"),
        pytest.param("custom", "x", None, "max_tokens_field", "max_tokens", id="an unknown server"),
    ],
)  # fmt: skip
def test_quirks_are_data(
    preset: str, model: str, protocol: str | None, field: str, value: object
) -> None:
    assert getattr(profile(preset, model, protocol), field) == value


def test_a_provider_nobody_has_heard_of_is_one_entry() -> None:
    config = loads(
        """
providers:
  acme:
    endpoints: {openai_chat: "https://llm.acme.example/v2", anthropic: "https://llm.acme.example/claude/v1"}
    api_key: k
    auth: api-key
    headers: {x-tenant: t}
    profile: {reasoning_echo: required, image_types: [], think_tags: true, max_tokens_field: max_tokens}
    models:
      "acme-*": {context_window: 1000, max_output_tokens: 100, prices: {input: 0.1, output: 0.2}}
      acme-eyes: {profile: {image_types: [image/png]}}
    payload: [{when: {exists: reasoning_effort}, set: {think: true}, remove: [reasoning_effort]}]
    status_policy: [{status: 418, action: cool_provider, cooldown_s: 5}]
models: {coder: acme/acme-1}
"""
    )
    acme = config.provider("acme")
    assert config.endpoint("acme", "anthropic") == (
        "anthropic",
        "https://llm.acme.example/claude/v1",
    )
    assert acme.primary.auth is AuthStyle.API_KEY
    blind, eyes = (config.resolve_profile("acme", name) for name in ("acme-1", "acme-eyes"))
    assert (blind.image_types, eyes.image_types) == (frozenset(), frozenset({"image/png"}))
    assert blind.reasoning_echo is Echo.REQUIRED
    assert blind.max_output_tokens == 100
    prices = config.prices("acme", "acme-1")
    assert prices is not None
    assert str(prices.input) == "0.1"
    assert acme.status_policy.decide(418).action == "cool_provider"
    assert len(config.payload_rules("acme", "acme-1", "openai_chat")) == 1


def test_a_preset_directory_must_be_consistent(tmp_path: Path) -> None:
    entry = "{title: T, source: s, date: 2026-01-01, endpoints: {openai_chat: 'https://h/v1'}}"
    (tmp_path / "a.yaml").write_text(f"x: {entry}")
    assert set(read_presets(tmp_path)) == {"x"}
    (tmp_path / "b.yaml").write_text(f"x: {entry}")
    with pytest.raises(ValueError, match="given twice"):
        read_presets(tmp_path)
