"""C15: the provider that a key looks like."""

import pytest

from config.detect import detect, guesses


@pytest.mark.parametrize(
    ("key", "preset", "sure"),
    [
        pytest.param("sk-ant-api03-abc", "anthropic", True, id="Anthropic"),
        pytest.param("gho_abc", "github-copilot", True, id="GitHub"),
        pytest.param("ghu_abc", "github-copilot", True, id="GitHub, the other kind"),
        pytest.param("sk-or-v1-abc", "openrouter", True, id="OpenRouter"),
        pytest.param("sk-kimi-abc", "kimi-code", True, id="Kimi Code"),
        pytest.param("gsk_abc", "groq", True, id="Groq"),
        pytest.param("xai-abc", "xai", True, id="xAI"),
        pytest.param("pplx-abc", "perplexity", True, id="Perplexity"),
        pytest.param("tp-abc", "mimo-token-plan", True, id="MiMo's token plan"),
        pytest.param("deepseek-abc", "deepseek", True, id="DeepSeek by name"),
        pytest.param("sk-" + "0a" * 16, "deepseek", True, id="DeepSeek by shape"),
        pytest.param(
            "sk-" + "aB3" * 16, "kimi", False, id="Moonshot by shape, on either of its hosts"
        ),
        pytest.param("sk-proj-abc", "openai", True, id="OpenAI's project keys"),
        pytest.param("AIzaabc", "gemini", True, id="Google"),
        pytest.param("AQ.abc", "gemini", True, id="Google, the newer form"),
        pytest.param("  sk-ant-x\n", "anthropic", True, id="a paste with white space"),
        pytest.param("sk-abc", "openai", False, id="any other sk- key is only likely OpenAI's"),
    ],
)
def test_prefixes(key: str, preset: str, sure: bool) -> None:
    guess = detect(key)
    assert guess is not None
    assert (guess.preset, guess.sure) == (preset, sure)
    assert guess.reason


def test_nothing_is_made_up() -> None:
    assert detect("something else") is None
    assert detect("") is None


def test_others_that_fit_are_named_too() -> None:
    assert [guess.preset for guess in guesses("sk-" + "aB3" * 16)] == ["kimi", "moonshot", "openai"]
