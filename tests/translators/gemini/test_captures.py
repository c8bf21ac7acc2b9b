"""What real programs send: everything is understood, and goes back out as it came."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.gemini.support import CAPTURES, parse, render
from translators.losses import Loss, Losses

BODIES = [
    pytest.param(request["body"], id=f"{name} request {index}")
    for name, requests in CAPTURES.items()
    for index, request in enumerate(requests)
]


@pytest.mark.parametrize("body", BODIES)
def test_nothing_in_a_capture_is_unknown(body: dict[str, Any]) -> None:
    request = parse(body)
    assert [lost for lost in request.unshared if lost.loss is Loss.UNKNOWN] == []
    assert request.unshared == ()


@pytest.mark.parametrize("body", BODIES)
def test_a_capture_goes_back_out_without_loss(body: dict[str, Any]) -> None:
    losses = Losses()
    rendered = render(parse(body), losses=losses).body
    # Schema keywords that Gemini does not enforce are the schema module's business.
    assert [d for d in losses.degradations if "schema keyword" not in d.reason] == []
    assert _said(rendered["contents"]) == _said(body["contents"])
    assert rendered["systemInstruction"]["parts"] == body["systemInstruction"]["parts"]
    assert _names(rendered) == _names(body)


@pytest.mark.parametrize("body", BODIES)
def test_rendering_is_deterministic_and_leaves_the_request_alone(body: dict[str, Any]) -> None:
    request = parse(body)
    before = repr(request)
    assert render(request).body == render(request).body
    assert repr(request) == before
    assert parse(body) == request


def _names(body: dict[str, Any]) -> list[str]:
    return [
        declaration["name"]
        for tool in body.get("tools", ())
        for declaration in tool["functionDeclarations"]
    ]


def _said(contents: list[dict[str, Any]]) -> list[Any]:
    """What a conversation says: text, calls, results and true signatures, however it is cut into contents."""
    said: list[Any] = []
    for content in contents:
        for part in content["parts"]:
            if part.get("thought"):
                if said and said[-1][0] == "thought":
                    said[-1] = ("thought", said[-1][1] + part["text"])
                else:
                    said.append(("thought", part["text"]))
                continue
            signature = part.get("thoughtSignature", "")
            if signature and not signature.startswith("skip_"):
                said.append(("signature", signature))
            if "text" in part:
                said.append(("text", content["role"], part["text"]))
            elif "functionCall" in part:
                said.append(("call", part["functionCall"]["name"], part["functionCall"]["args"]))
            else:
                response = part["functionResponse"]["response"]
                output = response.get("output", response)
                said.append(("result", part["functionResponse"]["name"], output))
    return said
