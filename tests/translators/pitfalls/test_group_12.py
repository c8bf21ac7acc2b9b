"""Pitfalls, group 12: prompt caching, as far as translating decides it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.pitfalls import ALL, PAIRS, A, C, G, R, cross
from translators.errors import ErrorKind, GatewayError
from translators.losses import Mode
from translators.wire import dumps

MARK = {"type": "ephemeral"}
MARKED: dict[str, Any] = {
    "max_tokens": 100,
    "system": [{"type": "text", "text": "Rules.", "cache_control": MARK}],
    "tools": [
        {
            "name": "look",
            "description": "Looks.",
            "input_schema": {"type": "object", "properties": {}},
            "cache_control": MARK,
        }
    ],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Look.", "cache_control": MARK}]},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": "seen",
                    "cache_control": MARK,
                }
            ],
        },
    ],
}


@pytest.mark.parametrize("upstream", [C, R, G])
def test_cac_01_marks_go_nowhere_by_default(upstream: str) -> None:
    text = cross(A, upstream, MARKED).text
    assert "cache_control" not in text
    assert "prompt_cache_breakpoint" not in text


def test_cac_01_marks_stay_where_the_upstream_takes_them() -> None:
    body = cross(A, C, MARKED, cache_control_parts=True, check=False).body
    assert body["messages"][0]["content"][0]["cache_control"] == MARK
    assert body["messages"][1]["content"][0]["cache_control"] == MARK


@pytest.mark.parametrize("upstream", [C, R])
def test_cac_01_openai_s_own_breakpoints(upstream: str) -> None:
    crossed = cross(A, upstream, MARKED, cache_marks=True)
    assert "prompt_cache_breakpoint" in crossed.text
    assert "cache_control" not in crossed.text


def test_cac_04_marks_keep_their_order_and_ttl() -> None:
    asked = {
        **MARKED,
        "system": [
            {"type": "text", "text": "Rules.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
        ],
        "tools": [],
    }
    text = cross(A, A, asked).text
    assert text.index('"ttl":"1h"') < text.index("Look.")
    wrong = {
        **MARKED,
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "text",
                        "text": "Look.",
                        "cache_control": {"type": "ephemeral", "ttl": "1h"},
                    }
                ],
            }
        ],
    }
    body = cross(A, A, wrong).body
    ttls = _ttls([body.get("tools"), body.get("system"), body.get("messages")])
    assert ttls == sorted(ttls, reverse=True), "a longer time to live must come first"


def _ttls(value: Any) -> list[int]:
    """Seconds to live of all marks, in the order of the prompt."""
    if isinstance(value, list):
        return [ttl for item in value for ttl in _ttls(item)]
    if not isinstance(value, dict):
        return []
    mark = value.get("cache_control")
    own = [] if mark is None else [3600 if mark.get("ttl") == "1h" else 300]
    return own + [
        ttl for key, item in value.items() if key != "cache_control" for ttl in _ttls(item)
    ]


CACHING = {
    "input": [
        {
            "role": "user",
            "content": [
                {
                    "type": "input_text",
                    "text": "Hi",
                    "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"},
                }
            ],
        }
    ],
    "prompt_cache_key": "session-1",
    "prompt_cache_options": {"mode": "implicit"},
}


@pytest.mark.parametrize("upstream", [C, R])
def test_cac_08_no_caching_words_for_an_upstream_that_knows_none(upstream: str) -> None:
    body = cross(R, upstream, CACHING, cache_marks=False).body
    assert "prompt_cache" not in dumps(body).decode()


HISTORY: dict[str, tuple[str, Any, Any]] = {
    C: (
        "messages",
        [
            {"role": "system", "content": "Rules."},
            {"role": "user", "content": "Look."},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "look", "arguments": '{"b":1,"a":2}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "seen"},
        ],
        [{"role": "assistant", "content": "Done."}, {"role": "user", "content": "More."}],
    ),
    R: (
        "input",
        [
            {"role": "user", "content": "Look."},
            {
                "type": "function_call",
                "call_id": "call_1",
                "name": "look",
                "arguments": '{"b":1,"a":2}',
            },
            {"type": "function_call_output", "call_id": "call_1", "output": "seen"},
        ],
        [{"role": "assistant", "content": "Done."}, {"role": "user", "content": "More."}],
    ),
    A: (
        "messages",
        [
            {"role": "user", "content": "Look."},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"b": 1, "a": 2}}
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "seen"}],
            },
        ],
        [{"role": "assistant", "content": "Done."}, {"role": "user", "content": "More."}],
    ),
    G: (
        "contents",
        [
            {"role": "user", "parts": [{"text": "Look."}]},
            {
                "role": "model",
                "parts": [{"functionCall": {"name": "look", "args": {"b": 1, "a": 2}}}],
            },
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "look", "response": {"output": "seen"}}}],
            },
        ],
        [
            {"role": "model", "parts": [{"text": "Done."}]},
            {"role": "user", "parts": [{"text": "More."}]},
        ],
    ),
}
TOOL_SCHEMA = {"type": "object", "properties": {"b": {"type": "integer"}, "a": {"type": "integer"}}}
TOOLS: dict[str, list[dict[str, Any]]] = {
    C: [{"type": "function", "function": {"name": "look", "parameters": TOOL_SCHEMA}}],
    R: [{"type": "function", "name": "look", "parameters": TOOL_SCHEMA, "strict": False}],
    A: [{"name": "look", "input_schema": TOOL_SCHEMA}],
    G: [{"functionDeclarations": [{"name": "look", "parametersJsonSchema": TOOL_SCHEMA}]}],
}
TURNS = {C: "messages", R: "input", A: "messages", G: "contents"}


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_cac_09_the_same_input_gives_the_same_bytes_and_the_next_turn_extends_them(
    client: str, upstream: str
) -> None:
    field, first, more = HISTORY[client]
    asked = {field: first, "tools": TOOLS[client]}
    one, again = cross(client, upstream, asked), cross(client, upstream, asked)
    assert dumps(one.body) == dumps(again.body)
    longer = cross(client, upstream, {field: [*first, *more], "tools": TOOLS[client]})
    before, after = one.body.pop(TURNS[upstream]), longer.body.pop(TURNS[upstream])
    assert dumps(after[: len(before)]) == dumps(before)
    assert dumps(longer.body) == dumps(one.body)
    assert one.text.find('"b"') < one.text.find('"a"'), "keys keep their order"


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("upstream", [C, R, A])
def test_cac_10_cached_content_does_not_leave_gemini(upstream: str, mode: Mode) -> None:
    asked = {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "cachedContent": "cachedContents/abc",
    }
    with pytest.raises(GatewayError) as caught:
        cross(G, upstream, asked, mode=mode)
    assert caught.value.kind is ErrorKind.UNTRANSLATABLE
    assert caught.value.path == "cachedContent"


def test_every_protocol_has_a_history() -> None:
    assert set(HISTORY) == set(TOOLS) == set(ALL)
