"""Cells of the portability rules that no other file is about: class of loss per client, upstream and mode."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.support.pitfalls import A, C, G, R, cross
from translators.errors import GatewayError
from translators.losses import Mode

HI: Final[dict[str, dict[str, Any]]] = {
    C: {"messages": [{"role": "user", "content": "Hi"}]},
    R: {"input": "Hi"},
    A: {"max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]},
    G: {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
}
TOOL: Final[dict[str, Any]] = {"type": "function", "name": "f", "strict": False}


def fate(client: str, upstream: str, more: dict[str, Any], **profile: Any) -> str:
    """What strict, balanced and max_compat do: `x` refuse, `!` warn, `.` nothing."""
    out = ""
    for mode in Mode:
        try:
            out += (
                "!"
                if cross(client, upstream, {**HI[client], **more}, mode=mode, **profile).lost
                else "."
            )
        except GatewayError:
            out += "x"
    return out


@pytest.mark.parametrize(
    ("client", "upstream", "more", "profile", "wanted"),
    [
        pytest.param(R, A, {"prompt_cache_options": {"prewarm": True}}, {}, "...", id="prewarm R to A"),
        pytest.param(A, R, {"max_tokens": 0}, {"cache_marks": True}, "...", id="prewarm A to R"),
        pytest.param(A, R, {"max_tokens": 0}, {}, "xx!", id="prewarm A to an R that knows no caching"),
        pytest.param(A, C, {"max_tokens": 0}, {}, "xx!", id="prewarm A to C"),
        pytest.param(R, G, {"prompt_cache_options": {"prewarm": True}}, {}, "xx!", id="prewarm R to G"),
        pytest.param(R, C, {"service_tier": "auto"}, {}, "...", id="R the default tier"),
        pytest.param(R, A, {"text": {"verbosity": "medium"}}, {}, "...", id="R the default verbosity"),
        pytest.param(R, A, {"prompt_cache_retention": "in_memory"}, {}, "...", id="R the default retention"),
        pytest.param(A, G, {"thinking": {"type": "disabled"}}, {}, "...", id="off is MINIMAL"),
        pytest.param(R, G, {"tools": [{**TOOL, "output_schema": {"type": "object"}}]}, {}, "...", id="output_schema R to G"),
        pytest.param(R, C, {"tools": [{**TOOL, "output_schema": {"type": "object"}}]}, {}, "!..", id="output_schema R to C"),
        pytest.param(R, A, {"tools": [{"type": "mcp", "server_label": "d", "connector_id": "c"}]}, {}, "xxx", id="an MCP connector"),
        pytest.param(R, C, {"tools": [{"type": "mcp", "server_label": "d", "tunnel_id": "c"}]}, {}, "xxx", id="an MCP tunnel"),
        *(
            pytest.param(A, upstream, {"tools": [{"name": "f", "input_schema": {"type": "object"}, "input_examples": [{"a": 1}]}]}, {}, "x!!", id=f"input examples A to {upstream}")
            for upstream in (C, R, G)
        ),
    ],
)  # fmt: skip
def test_a_cell(
    client: str, upstream: str, more: dict[str, Any], profile: dict[str, Any], wanted: str
) -> None:
    assert fate(client, upstream, more, **profile) == wanted


def test_prewarming_is_said_in_the_others_words() -> None:
    asked = {"input": "Hi", "prompt_cache_options": {"prewarm": True}}
    assert cross(R, A, asked).body["max_tokens"] == 0
    body = cross(A, R, {**HI[A], "max_tokens": 0}, cache_marks=True).body
    assert body["prompt_cache_options"] == {"prewarm": True}
    assert "max_output_tokens" not in body


def test_a_schema_of_results_is_said_in_the_others_words() -> None:
    wanted = {"type": "object", "properties": {"a": {"type": "string"}}}
    body = cross(R, G, {**HI[R], "tools": [{**TOOL, "output_schema": wanted}]}).body
    (declared,) = body["tools"][0]["functionDeclarations"]
    assert declared["responseJsonSchema"]["properties"] == wanted["properties"]
    declared = {"name": "f", "responseJsonSchema": wanted}
    body = cross(G, R, {**HI[G], "tools": [{"functionDeclarations": [declared]}]}).body
    assert body["tools"][0]["output_schema"] == wanted
