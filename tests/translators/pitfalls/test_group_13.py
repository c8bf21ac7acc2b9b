"""Pitfalls, group 13: state that only Responses has, as far as translating decides it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.pitfalls import A, C, G, R, cross
from translators.errors import ErrorKind, GatewayError
from translators.losses import Mode

OTHERS = [C, A, G]
HELLO = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize("upstream", OTHERS)
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"previous_response_id": "resp_x"}, id="sta-01"),
        pytest.param({"conversation": "conv_x"}, id="sta-06 conversation"),
        pytest.param({"prompt": {"id": "pmpt_x"}}, id="sta-06 prompt"),
    ],
)
def test_sta_01_sta_06_what_is_kept_elsewhere_is_refused_by_name(
    upstream: str, mode: Mode, more: dict[str, Any]
) -> None:
    with pytest.raises(GatewayError) as caught:
        cross(R, upstream, {"input": [HELLO], **more}, mode=mode)
    assert (caught.value.path or "").startswith(next(iter(more)))


@pytest.mark.parametrize("upstream", OTHERS)
def test_sta_06_background_is_refused_or_told(upstream: str) -> None:
    asked = {"input": [HELLO], "background": True}
    with pytest.raises(GatewayError) as caught:
        cross(R, upstream, asked, mode=Mode.BALANCED)
    assert caught.value.kind is ErrorKind.UNTRANSLATABLE
    assert "background" in cross(R, upstream, asked).lost


@pytest.mark.parametrize("upstream", OTHERS)
def test_sta_08_no_choice_without_tools(upstream: str) -> None:
    asked = {"input": [HELLO], "tool_choice": "auto", "parallel_tool_calls": True}
    text = cross(R, upstream, asked).text
    for word in ("tool_choice", "parallel_tool_calls", "toolConfig", "disable_parallel_tool_use"):
        assert word not in text


@pytest.mark.parametrize("upstream", OTHERS)
def test_sta_10_repeated_item_ids_do_not_lose_a_call(upstream: str) -> None:
    call = {"type": "function_call", "name": "f", "arguments": "{}", "id": "fc_1"}
    items = [
        HELLO,
        {**call, "call_id": "call_1"},
        {"type": "function_call_output", "call_id": "call_1", "output": "first"},
        {**call, "call_id": "call_2"},
        {"type": "function_call_output", "call_id": "call_2", "output": "second"},
    ]
    text = cross(R, upstream, {"input": items}).text
    assert "first" in text
    assert "second" in text


@pytest.mark.parametrize("upstream", OTHERS)
def test_sta_12_includes_go_nowhere(upstream: str) -> None:
    asked = {"input": [HELLO], "include": ["web_search_call.action.sources", "future.thing"]}
    crossed = cross(R, upstream, asked)
    assert "include" not in crossed.body
    assert "web_search_call" not in crossed.text


@pytest.mark.parametrize("upstream", OTHERS)
def test_sta_13_an_unknown_item_never_crashes_and_is_never_lost_in_silence(upstream: str) -> None:
    item = {"type": "agent_message", "id": "am_1", "content": "hello from another agent"}
    crossed = cross(R, upstream, {"input": [HELLO, item, HELLO]})
    assert "hello from another agent" in crossed.text or "input[1]" in crossed.lost
