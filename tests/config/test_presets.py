"""Presets: complete, valid, and enough to add a provider without Python."""

import re
from collections.abc import Mapping
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
OWN = "a server of one's own serves what its owner loads"
NO_SOURCE = "no source for the longest answer was found (2026-11-21)"
LACKS: Mapping[str, tuple[frozenset[str], str]] = {
    "azure-openai": (frozenset({"model"}), "a model is called what its user called the deployment"),
    "azure-anthropic": (frozenset({"model"}), "a model is called what its user called the deployment"),
    "github-copilot": (frozenset({"model"}), "which models a subscription serves depends on the account"),
    "custom": (frozenset({"endpoint", "model"}), "anything: its user says where it is and what it serves"),
    "vllm": (frozenset({"model"}), OWN),
    "ollama": (frozenset({"model"}), OWN),
    "lm-studio": (frozenset({"model"}), OWN),
    "llama.cpp": (frozenset({"model"}), OWN),
    "kimi-code": (frozenset({"prices"}), "a subscription at a fixed fee"),
    "mimo-token-plan": (frozenset({"prices"}), "a subscription at a fixed fee"),
    "openrouter": (frozenset({"output", "prices"}), "its default picks a model for each request, with that model's limits and price"),
    "perplexity": (frozenset({"window", "output"}), "the page of its one model gives no sizes (read 2026-11-21)"),
    "cerebras": (frozenset({"output"}), "the source that was found rounds it (2026-11-21)"),
    "modelscope": (frozenset({"output"}), NO_SOURCE),
    "sensenova": (frozenset({"output"}), NO_SOURCE),
    "yi": (frozenset({"output"}), NO_SOURCE),
}  # fmt: skip
"""What presets do not say, and why; everything else they must say."""

NATIVE: Mapping[str, Mapping[str, str]] = {
    "anthropic": {
        "deepseek": "https://api.deepseek.com/anthropic/v1",
        "kimi": "https://api.moonshot.cn/anthropic/v1",
        "moonshot": "https://api.moonshot.ai/anthropic/v1",
        "kimi-code": "https://api.kimi.com/coding/v1",
        "glm": "https://open.bigmodel.cn/api/anthropic/v1",
        "zai": "https://api.z.ai/api/anthropic/v1",
        "dashscope": "https://dashscope.aliyuncs.com/apps/anthropic/v1",
        "qwen": "https://dashscope.aliyuncs.com/apps/anthropic/v1",
        "dashscope-intl": "https://dashscope-intl.aliyuncs.com/apps/anthropic/v1",
        "minimax": "https://api.minimax.io/anthropic/v1",
        "minimax-cn": "https://api.minimax.cn/anthropic/v1",
        "mimo": "https://api.xiaomimimo.com/anthropic/v1",
        "mimo-token-plan": "https://token-plan-cn.xiaomimimo.com/anthropic/v1",
        "volcengine": "https://ark.cn-beijing.volces.com/api/compatible/v1",
        "siliconflow": "https://api.siliconflow.cn/v1",
        "stepfun": "https://api.stepfun.com/v1",
        "modelscope": "https://api-inference.modelscope.cn/v1",
        "sensenova": "https://token.sensenova.cn/v1",
        "fireworks": "https://api.fireworks.ai/inference/v1",
        "openrouter": "https://openrouter.ai/api/v1",
        "vllm": "http://127.0.0.1:8000/v1",
        "ollama": "http://127.0.0.1:11434/v1",
        "lm-studio": "http://127.0.0.1:1234/v1",
        "llama.cpp": "http://127.0.0.1:8080/v1",
    },
    "openai_responses": {
        "azure-openai": "https://r.openai.azure.com/openai/v1",
        "deepseek": "https://api.deepseek.com",
        "kimi": "https://api.moonshot.cn/v1",
        "moonshot": "https://api.moonshot.ai/v1",
        "glm": "https://open.bigmodel.cn/api/v1",
        "zai": "https://api.z.ai/api/v1",
        "dashscope": "https://dashscope.aliyuncs.com/compatible-mode/v1",
        "qwen": "https://dashscope.aliyuncs.com/compatible-mode/v1",
        "dashscope-intl": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "minimax": "https://api.minimax.io/v1",
        "minimax-cn": "https://api.minimax.cn/v1",
        "volcengine": "https://ark.cn-beijing.volces.com/api/v3",
        "stepfun": "https://api.stepfun.com/v1",
        "xai": "https://api.x.ai/v1",
        "groq": "https://api.groq.com/openai/v1",
        "fireworks": "https://api.fireworks.ai/inference/v1",
        "perplexity": "https://api.perplexity.ai/v1",
        "openrouter": "https://openrouter.ai/api/v1",
        "ollama": "http://127.0.0.1:11434/v1",
        "lm-studio": "http://127.0.0.1:1234/v1",
    },
}
"""Whose clients go untranslated, and where."""
MAKERS = {"anthropic", "vertex-anthropic", "azure-anthropic", "openai", "github-copilot"}


def entry(preset: str) -> str:
    more = NEEDS.get(preset, "weight: 1")
    return f"providers: {{x: {{preset: {preset}, api_key: k, {more}}}}}"


def lacking(name: str) -> set[str]:
    """What a preset does not say of where it is and of the model that it names."""
    preset, config = load_presets()[name], loads(entry(name))
    found = set() if preset.endpoints else {"endpoint"}
    if preset.default_model is None:
        return found | {"model"}
    assert preset.default_model in config.provider("x").known_models
    info = config.provider("x").model_info(preset.default_model)
    if info.context_window is None:
        found.add("window")
    if info.max_output_tokens is None:
        found.add("output")
    prices = config.prices("x", preset.default_model)
    if prices is None or prices.input is None or prices.output is None:
        found.add("prices")
    return found


def profile(preset: str, model: str, protocol: str | None = None) -> ModelProfile:
    config = loads(entry(preset))
    return config.resolve_profile("x", model, protocol)


def test_all_wanted_presets_are_there() -> None:
    assert set(WANTED) <= set(load_presets())


@pytest.mark.parametrize("name", sorted(load_presets()))
def test_a_preset_works_in_one_line(name: str) -> None:
    config = loads(entry(name))
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


@pytest.mark.parametrize("name", sorted(load_presets()))
def test_a_preset_says_where_which_model_how_large_and_at_what_price(name: str) -> None:
    missing, _reason = LACKS.get(name, (set(), ""))
    assert lacking(name) == missing


@pytest.mark.parametrize("name", sorted(load_presets()))
def test_a_preset_that_names_no_model_tells_its_user_so(name: str) -> None:
    preset = load_presets()[name]
    assert preset.default_model or "name" in preset.description


@pytest.mark.parametrize("name", sorted(load_presets()))
def test_models_windows_and_prices_are_dated_and_plausible(name: str) -> None:
    preset = load_presets()[name]
    for model, info in preset.models.items():
        assert (info.source == "") == (info.date is None), model
        window, most = info.context_window, info.max_output_tokens
        assert window is None or most is None or most <= window, model
        if info.prices is not None:
            assert info.prices.source.startswith("https://"), model
            assert info.prices.date is not None, model


@pytest.mark.parametrize("protocol", sorted(NATIVE))
def test_clients_go_untranslated_wherever_a_provider_speaks_their_protocol(protocol: str) -> None:
    found = {}
    for name, preset in load_presets().items():
        if protocol in preset.endpoints and name not in MAKERS:
            found[name] = loads(entry(name)).provider("x").endpoints[protocol].base_url
    assert found == NATIVE[protocol]


@pytest.mark.parametrize(
    ("more", "model", "protocol"),
    [
        pytest.param("", "gpt-6.1-sol", "openai_responses", id="GPT-6 has tools over Responses only"),
        pytest.param("", "gpt-5-mini", "openai_chat", id="GPT-5 has them over both"),
        pytest.param(", protocol: openai_chat", "gpt-6.1-sol", "openai_chat", id="unless the entry says Chat"),
    ],
)  # fmt: skip
def test_chat_clients_are_translated_for_models_that_refuse_tools_over_chat(
    more: str, model: str, protocol: str
) -> None:
    config = loads(f"providers: {{x: {{preset: openai, api_key: k{more}}}}}")
    assert config.provider("x").endpoint_for("openai_chat", model).protocol == protocol


@pytest.mark.parametrize(
    ("preset", "model", "protocol"),
    [
        pytest.param("kimi", "kimi-k3", "openai_responses", id="K3 over Responses"),
        pytest.param("kimi", "kimi-k2.6", "openai_chat", id="K2 is not served there"),
        pytest.param("glm", "glm-5.3", "openai_responses", id="GLM 5.3 over Responses"),
        pytest.param("zai", "glm-5.2", "openai_chat", id="5.2 is not served there"),
        pytest.param("stepfun", "step-3.5-flash", "openai_chat", id="nor is Step 3.5"),
    ],
)
def test_codex_is_translated_for_models_that_responses_does_not_serve(
    preset: str, model: str, protocol: str
) -> None:
    endpoint = loads(entry(preset)).provider("x").endpoint_for("openai_responses", model)
    assert endpoint.protocol == protocol


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
        pytest.param("deepseek", "deepseek-v4-pro", None, "reasoning_levels", (Level.OFF, Level.LOW, Level.HIGH, Level.MAX), id="RSN-23: DeepSeek's levels"),
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
        pytest.param("gemini", "gemini-3.8-flash", None, "reasoning_levels", (Level.LOW, Level.MEDIUM, Level.HIGH), id="3.8 Flash refuses minimal"),
        pytest.param("glm", "glm-5.3", None, "always_thinks", True, id="PRV-04: GLM 5.3 always thinks"),
        pytest.param("glm", "glm-5.2", None, "always_thinks", False, id="PRV-04: 5.2 does not"),
        pytest.param("cerebras", "qwen-3.8-27b", None, "image_types", frozenset({"image/png", "image/jpeg"}), id="the one model of Cerebras that sees"),
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
