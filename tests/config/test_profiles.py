"""Profiles: every field can be given in YAML, and the particular wins over the general."""

from dataclasses import fields

import pytest

from config.loader import loads
from config.profiles import PROFILE_FIELDS, ProfilePatch, field_descriptions, merge
from translators.profile import DEFAULT_PROFILE, Echo, MidSystem, ModelProfile


def test_every_field_of_a_profile_can_be_given() -> None:
    assert set(PROFILE_FIELDS.model_fields) == {field.name for field in fields(ModelProfile)}
    assert PROFILE_FIELDS().model_dump() == {
        field.name: getattr(DEFAULT_PROFILE, field.name) for field in fields(ModelProfile)
    }


def test_descriptions_are_those_of_the_profile() -> None:
    assert field_descriptions(ModelProfile)["prefill"].startswith("A: a final assistant message")
    assert PROFILE_FIELDS.model_fields["think_tags"].description is not None


def test_later_patches_win_field_by_field_also_with_none() -> None:
    found = merge(
        [ProfilePatch({"stop_limit": 4, "audio": True}), ProfilePatch({"stop_limit": None})]
    )
    assert (found.stop_limit, found.audio) == (None, True)
    assert merge([]) is DEFAULT_PROFILE


LAYERS = """
providers:
  x:
    preset: deepseek
    api_key: k
    profile: {stop_limit: 1, default_max_tokens: 1}
    endpoints: {openai_chat: {base_url: "http://127.0.0.1:1/v1", profile: {default_max_tokens: 2, audio: true}}}
    models:
      "deepseek-*": {max_output_tokens: 50, profile: {default_max_tokens: 3, video: true}}
      deepseek-v4-pro: {profile: {default_max_tokens: 4}}
"""


@pytest.mark.parametrize(
    ("model", "protocol", "field", "value"),
    [
        pytest.param("deepseek-v4-pro", None, "reasoning_echo", Echo.REQUIRED, id="the preset's endpoint"),
        pytest.param("deepseek-v4-pro", None, "image_types", frozenset(), id="the preset's model"),
        pytest.param("deepseek-v4-pro", None, "stop_limit", 1, id="the provider"),
        pytest.param("other", None, "default_max_tokens", 2, id="the provider's endpoint over the provider"),
        pytest.param("other", "anthropic", "default_max_tokens", 1, id="but not for another protocol"),
        pytest.param("deepseek-x", None, "default_max_tokens", 3, id="a model pattern over both"),
        pytest.param("deepseek-v4-pro", None, "default_max_tokens", 4, id="the model itself over all"),
        pytest.param("deepseek-v4-pro", None, "video", True, id="with what the pattern says else"),
        pytest.param("deepseek-v4-pro", None, "max_output_tokens", 50, id="known limits are the profile's"),
        pytest.param("other", None, "mid_system", MidSystem.KEEP, id="what nobody says is the default"),
    ],
)  # fmt: skip
def test_the_particular_wins(model: str, protocol: str | None, field: str, value: object) -> None:
    profile = loads(LAYERS).resolve_profile("x", model, protocol)
    assert getattr(profile, field) == value


def test_a_profile_is_made_once() -> None:
    config = loads(LAYERS)
    assert config.resolve_profile("x", "m") is config.resolve_profile("x", "m")
