"""Pitfalls, group 18: what turns over a WebSocket must keep together; the rest is in test_websocket.py."""

from __future__ import annotations

import pytest

from scripts.fake import FakeProvider
from tests.support.gateway import Gateway
from tests.support.providers import PROVIDERS
from tests.support.websocket import opened, text_of

PATCH = {"type": "custom", "name": "apply_patch", "description": "Change files by a patch."}


@pytest.mark.parametrize("upstream", PROVIDERS)
def test_ws_09_a_freeform_call_and_its_result_pair_over_two_turns(
    gateway: Gateway, fake: FakeProvider, upstream: str
) -> None:
    fake.play("tool")
    model = f"{upstream}/test-model"
    with opened(gateway) as socket:
        first = socket.turn(model, "Do it.", tools=[PATCH])
        [call] = [item for item in first["output"] if item["type"] == "custom_tool_call"]
        assert call["name"] == "apply_patch"
        result = {
            "type": "custom_tool_call_output",
            "call_id": call["call_id"],
            "output": "patched well",
        }
        before = first["id"]
        second = socket.turn(model, [result], previous_response_id=before, tools=[PATCH])
    assert "patched well" in text_of(second)
    assert [(seen.verdict, seen.tool_results) for seen in fake.record] == [
        ("accepted", 0),
        ("accepted", 1),
    ]
