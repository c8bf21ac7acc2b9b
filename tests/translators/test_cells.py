"""Cells of the portability rules that no other file is about: class of loss per client, upstream and mode."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.support.pitfalls import A, C, G, R, answer, cross
from translators.errors import GatewayError
from translators.ir import HostedKind
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
        *(
            pytest.param(C, upstream, {"messages": [{"role": "user", "name": "bob", "content": "Hi"}]}, {}, "x!!", id=f"a participant's name to {upstream}")
            for upstream in (R, A, G)
        ),
        *(
            pytest.param(A, upstream, {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "The"}]}, {}, "xx!", id=f"a begun answer to {upstream}")
            for upstream in (C, R, G)
        ),
        *(
            pytest.param(R, upstream, {"tools": [{"type": "mcp", "server_label": "d", "server_url": "https://x", "require_approval": "never"}, TOOL], "tool_choice": {"type": "mcp", "server_label": "d"}}, {"hosted_tools": frozenset({HostedKind.MCP})}, "xx!", id=f"a forced MCP server to {upstream}")
            for upstream in (C, A, G)
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


FAILED: Final = {
    "role": "user",
    "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "boom", "is_error": True}],
}
CALLED: Final = {
    "role": "assistant",
    "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}],
}


@pytest.mark.parametrize("upstream", [C, R])
def test_a_failed_result_is_told_in_words_and_strict_says_so(upstream: str) -> None:
    asked = {"messages": [*HI[A]["messages"], CALLED, FAILED]}
    assert "Error: boom" in cross(A, upstream, {**HI[A], **asked}).text
    assert fate(A, upstream, asked) == "!.."


SEARCH: Final = {"type": "web_search"}
ON: Final = {"hosted_tools": frozenset({HostedKind.WEB_SEARCH})}


def subset(*tools: dict[str, Any]) -> dict[str, Any]:
    """A request that may use only these of its two tools."""
    choice = {"type": "allowed_tools", "mode": "auto", "tools": list(tools)}
    return {"input": "Hi", "tools": [TOOL, SEARCH], "tool_choice": choice}


@pytest.mark.parametrize("upstream", [C, A, G])
def test_cho_04_a_subset_counts_for_hosted_tools_too(upstream: str) -> None:
    mine = {"type": "function", "name": "f"}
    words = {C: "web_search_options", A: "web_search_20250305", G: "googleSearch"}
    assert words[upstream] not in cross(R, upstream, subset(mine), **ON).text
    assert words[upstream] in cross(R, upstream, subset(mine, SEARCH), **ON).text
    only = cross(R, upstream, subset(SEARCH), **ON).text
    assert words[upstream] in only
    assert '"name":"f"' not in only


def test_cho_04_among_responses_a_subset_names_hosted_tools() -> None:
    body = cross(R, R, subset({"type": "function", "name": "f"}, SEARCH)).body
    assert body["tool_choice"]["tools"] == [{"type": "function", "name": "f"}, SEARCH]
    assert len(body["tools"]) == 2


@pytest.mark.parametrize("upstream", [C, R])
def test_cac_01_a_mark_on_a_tool_is_put_on_the_system_text(upstream: str) -> None:
    tool = {
        "name": "f",
        "input_schema": {"type": "object"},
        "cache_control": {"type": "ephemeral"},
    }
    crossed = cross(A, upstream, {**HI[A], "system": "S", "tools": [tool]}, cache_marks=True)
    first = crossed.body["messages" if upstream == C else "input"][0]
    assert first["content"][0]["prompt_cache_breakpoint"]
    assert "cache mark" not in crossed.lost


@pytest.mark.parametrize("upstream", [C, R])
def test_a_strict_tool_stays_strict_and_its_optional_properties_optional(upstream: str) -> None:
    wanted = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    asked = {**HI[A], "tools": [{"name": "f", "strict": True, "input_schema": wanted}]}
    crossed = cross(A, upstream, asked, mode=Mode.STRICT)
    tool = crossed.body["tools"][0]
    tool = tool.get("function", tool)
    assert tool["strict"] is True
    assert tool["parameters"]["required"] == ["city", "unit"]
    assert tool["parameters"]["properties"]["unit"]["type"] == ["string", "null"]
    arguments = '{"city":"Oslo","unit":null}'
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    said: dict[str, dict[str, Any]] = {
        C: {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "tool_calls",
                    "message": {"role": "assistant", "content": None, "tool_calls": [call]},
                }
            ],
        },
        R: {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "status": "completed",
            "model": "m",
            "output": [
                {
                    "type": "function_call",
                    "id": "fc_1",
                    "call_id": "c1",
                    "name": "f",
                    "arguments": arguments,
                    "status": "completed",
                }
            ],
        },
    }
    body, _ = answer(upstream, A, said[upstream], crossed)
    assert body["content"][0]["input"] == {"city": "Oslo"}


def test_a_strict_tool_that_cannot_be_strict_elsewhere_says_so() -> None:
    wanted = {"type": "object", "additionalProperties": {"type": "string"}}
    asked = {"tools": [{"name": "f", "strict": True, "input_schema": wanted}]}
    assert fate(A, C, asked) == "x!!"


def test_a_place_in_a_document_is_the_end_of_its_text_among_responses() -> None:
    place = {
        "type": "char_location",
        "cited_text": "c",
        "document_index": 3,
        "document_title": "D",
        "start_char_index": 0,
        "end_char_index": 3,
    }
    said = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Nine char", "citations": [place]}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    body, losses = answer(A, R, said)
    (noted,) = body["output"][0]["content"][0]["annotations"]
    assert (noted["filename"], noted["index"]) == ("D", 9)
    assert losses.degradations
