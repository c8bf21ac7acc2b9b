"""The catalogue of Codex: every field that its reader demands, nothing that an upstream may not know."""

from __future__ import annotations

import pytest

from translators.catalogue import ModelCard
from translators.ir import Level
from translators.openai_responses.models import render_catalogue

DEMANDED = {
    # Codex 0.169.0 throws the list away when one of these is missing (each was left out in turn).
    "slug",
    "display_name",
    "supported_reasoning_levels",
    "shell_type",
    "visibility",
    "supported_in_api",
    "priority",
    "base_instructions",
    "support_verbosity",
    "truncation_policy",
    "experimental_supported_tools",
    # older versions
    "availability_nux",
    "upgrade",
    "default_reasoning_level",
    "supports_reasoning_summaries",
    "apply_patch_tool_type",
    "supports_parallel_tool_calls",
    "context_window",
}


def card(**changes: object) -> ModelCard:
    """A model of which little is known."""
    return ModelCard(**({"id": "m", "owned_by": "p"} | changes))  # type: ignore[arg-type]


def test_mdl_01_every_demanded_field_is_there() -> None:
    (entry,) = render_catalogue([card()])["models"]
    assert set(entry) >= DEMANDED
    assert entry["base_instructions"]


def test_mdl_03_nothing_is_claimed_that_a_foreign_upstream_cannot_take() -> None:
    (entry,) = render_catalogue([card(parallel_calls=False, images=False)])["models"]
    assert entry["apply_patch_tool_type"] is None
    assert entry["supports_parallel_tool_calls"] is False
    assert entry["use_responses_lite"] is False
    assert entry["prefer_websockets"] is False
    assert entry["input_modalities"] == ["text"]
    assert entry["supported_reasoning_levels"] == []
    assert "tool_mode" not in entry


@pytest.mark.parametrize(
    ("levels", "default", "efforts", "chosen"),
    [
        pytest.param(tuple(Level), None, 5, "medium", id="medium where there is one"),
        pytest.param((Level.LOW, Level.HIGH), None, 2, "high", id="else one of those there are"),
        pytest.param((Level.LOW, Level.HIGH), Level.LOW, 2, "low", id="the model's own"),
        pytest.param((Level.OFF,), None, 0, None, id="none to choose"),
    ],
)
def test_levels_become_efforts(
    levels: tuple[Level, ...], default: Level | None, efforts: int, chosen: str | None
) -> None:
    (entry,) = render_catalogue([card(reasoning_levels=levels, default_level=default)])["models"]
    assert len(entry["supported_reasoning_levels"]) == efforts
    assert entry["default_reasoning_level"] == chosen
    assert entry["supports_reasoning_summaries"] is bool(efforts)


def test_models_keep_their_order() -> None:
    entries = render_catalogue([card(id="a"), card(id="b", context_window=5)])["models"]
    assert [(entry["slug"], entry["priority"]) for entry in entries] == [("a", 1), ("b", 2)]
    assert entries[1]["context_window"] == 5
