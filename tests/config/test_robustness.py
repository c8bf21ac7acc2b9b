"""Whatever stands in a file, the answer is a configuration or a ConfigError, never another exception."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.loader import loads
from config.models import Config
from config.problems import ConfigError
from config.providers import ProviderConfig
from config.routing import ClientKey, ModelConfig, RouteConfig, When

KEYS = sorted(
    {
        *Config.model_fields,
        *ProviderConfig.model_fields,
        *RouteConfig.model_fields,
        *When.model_fields,
        *ModelConfig.model_fields,
        *ClientKey.model_fields,
        "a",
        "b",
        "*",
    }
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 70000)
    | st.floats(allow_nan=False)
    | st.sampled_from(
        ["a", "a/m", "b/*", "", "env:X", "groq", "custom", "anthropic", "http://h/v1", "a\nb", "*"]
    )
    | st.text(max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)
ENTRY = st.dictionaries(st.sampled_from(sorted(ProviderConfig.model_fields)), VALUES, max_size=3)
FILES = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4) | st.fixed_dictionaries(
    {
        "providers": st.dictionaries(st.sampled_from(["a", "b", "A"]), ENTRY, max_size=3),
        "models": st.dictionaries(st.sampled_from(["a", "x", "*"]), VALUES, max_size=3),
        "routes": st.lists(VALUES, max_size=3),
    }
)


def outcome(text: str) -> Config | ConfigError:
    """What loading makes of a text; anything but these two goes through as an exception."""
    try:
        return loads(text, "f", environ={})
    except ConfigError as error:
        return error


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FILES)
def test_any_structure(value: dict[str, Any]) -> None:
    found = outcome(json.dumps(value))
    if isinstance(found, ConfigError):
        assert found.problems
        assert all(one.mark.line and one.found and one.expected for one in found.problems)
        return
    for name in found.upstreams:
        found.resolve_profile(name, "m")
        found.endpoint(name, "gemini", "m")
        found.payload_rules(name, "m", "gemini")
        found.prices(name, "m")
    assert isinstance(found.secret_values, tuple)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab:-[]{}&*!|>'\"#,? \n\t%@`", max_size=40))
def test_any_text(text: str) -> None:
    assert str(outcome(text))


@pytest.mark.parametrize(
    "text",
    ["\x00", "\ufeff", "a: \ud800", "%YAML 9.9\n---\na: 1", "\t", "a: !!binary =", "a: !!set {b}"],
)
def test_odd_texts(text: str) -> None:
    found = outcome(text)
    assert found == Config() or str(found).startswith("f")
