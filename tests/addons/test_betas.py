"""Beta flags and their fields: what an upstream does not take goes together (pitfalls HDR-01)."""

from __future__ import annotations

from typing import Any

import pytest

from addons.betas import split, without_gated
from config.patterns import matches_any


def test_flags_are_split_by_what_passes() -> None:
    kept, dropped = split("a-1, b-2,,c-3", lambda flag: matches_any(("a-*", "c-*"), flag))
    assert kept == "a-1,c-3"
    assert dropped == ("b-2",)


@pytest.mark.parametrize(
    ("flag", "body", "left"),
    [
        pytest.param(
            "context-management-2025-06-27",
            {"model": "m", "context_management": {"edits": []}},
            {"model": "m"},
            id="context management",
        ),
        pytest.param(
            "effort-2025-11-24",
            {"output_config": {"effort": "high", "format": {"type": "json_schema"}}},
            {"output_config": {"format": {"type": "json_schema"}}},
            id="effort, the format stays",
        ),
        pytest.param(
            "effort-2025-11-24",
            {"model": "m", "output_config": {"effort": "high"}},
            {"model": "m"},
            id="an object that becomes empty goes as a whole",
        ),
        pytest.param(
            "prompt-caching-scope-2026-01-05",
            {"system": [{"text": "x", "cache_control": {"type": "ephemeral", "scope": "global"}}]},
            {"system": [{"text": "x", "cache_control": {"type": "ephemeral"}}]},
            id="the scope of a cache mark, the mark stays",
        ),
        pytest.param(
            "advanced-tool-use-2025-11-20",
            {"tools": [{"name": "a", "defer_loading": True}, {"name": "b"}]},
            {"tools": [{"name": "a"}, {"name": "b"}]},
            id="deferred tools are loaded",
        ),
    ],
)
def test_hdr_01_a_dropped_flag_takes_its_fields_along(
    flag: str, body: dict[str, Any], left: dict[str, Any]
) -> None:
    assert without_gated(body, [flag]) == left


def test_a_body_without_gated_fields_is_the_same_object() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    flags = ["context-management-2025-06-27", "prompt-caching-scope-2026-01-05", "unknown-1"]
    assert without_gated(body, flags) is body
