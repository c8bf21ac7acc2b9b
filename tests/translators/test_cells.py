"""Cells of the portability rules that no other file is about: class of loss per client, upstream and mode."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any, Final

import pytest

from tests.support.pitfalls import PNG, SEAL, A, C, G, R, answer, cross, hub_answer, parse
from translators import PROTOCOLS
from translators.base import Writing
from translators.errors import GatewayError
from translators.fold import unfold
from translators.ir import FinishReason, HostedKind, Response, Text, Usage
from translators.losses import Losses, Mode, Side
from translators.wire import dumps

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


PDF: Final = ("application/pdf", base64.b64encode(b"%PDF-1.4 x").decode())
PDF_URL: Final = f"data:{PDF[0]};base64,{PDF[1]}"
MEDIUM: Final = {"level": "MEDIA_RESOLUTION_MEDIUM"}


def looked_at(media_type: str, data: str, level: str) -> dict[str, Any]:
    """A Gemini turn with one medium of a chosen resolution."""
    blob = {"inlineData": {"mimeType": media_type, "data": data}}
    resolution = {"level": f"MEDIA_RESOLUTION_{level}"}
    return {"contents": [{"role": "user", "parts": [{**blob, "mediaResolution": resolution}]}]}


@pytest.mark.parametrize(
    ("upstream", "more", "wanted"),
    [
        pytest.param(A, looked_at("image/png", PNG, "MEDIUM"), "x!!", id="a medium picture to A"),
        pytest.param(C, looked_at("image/png", PNG, "MEDIUM"), "x!!", id="a medium picture to C"),
        pytest.param(R, looked_at("image/png", PNG, "MEDIUM"), "x!!", id="a medium picture to R"),
        pytest.param(R, looked_at("image/png", PNG, "HIGH"), "...", id="a high picture to R"),
        pytest.param(A, looked_at(*PDF, "HIGH"), "x!!", id="a high document to A"),
        pytest.param(C, looked_at(*PDF, "LOW"), "x!!", id="a low document to C"),
        pytest.param(R, looked_at(*PDF, "LOW"), "...", id="a low document to R"),
        pytest.param(R, looked_at(*PDF, "ULTRA_HIGH"), "x!!", id="a document as it is to R"),
    ],
)
def test_how_closely_media_are_looked_at(upstream: str, more: dict[str, Any], wanted: str) -> None:
    assert fate(G, upstream, more) == wanted


def test_the_detail_of_a_file_is_said_in_the_others_words() -> None:
    file = {"type": "input_file", "filename": "a.pdf", "file_data": PDF_URL, "detail": "low"}
    asked = {"input": [{"role": "user", "content": [file]}]}
    (part,) = cross(R, G, asked).body["contents"][0]["parts"]
    assert part["mediaResolution"] == {"level": "MEDIA_RESOLUTION_LOW"}
    (part,) = cross(G, R, looked_at(*PDF, "HIGH")).body["input"][0]["content"]
    assert part["detail"] == "high"


def test_gemini_keeps_a_medium_resolution_of_its_own() -> None:
    (part,) = cross(G, G, looked_at("image/png", PNG, "MEDIUM")).body["contents"][0]["parts"]
    assert part["mediaResolution"] == MEDIUM


PAUSED: Final[dict[str, Any]] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "So far"}],
    "stop_reason": "pause_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


@pytest.mark.parametrize("client", [C, R, G])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_pause_that_nobody_resumes_is_told(client: str, streamed: bool) -> None:
    losses = Losses(side=Side.RESPONSE)
    response = hub_answer(A, PAUSED)
    if streamed:
        encoder = PROTOCOLS[client].encoder(writing_of(client), losses)
        said = b"".join(map(encoder.encode, unfold(response))).decode()
    else:
        said = dumps(
            PROTOCOLS[client].render_response(response, writing_of(client), losses)
        ).decode()
    words = {C: '"length"', R: '"max_output_tokens"', G: '"MAX_TOKENS"'}
    assert words[client] in said
    assert len(losses.degradations) == 1


def writing_of(client: str) -> Writing:
    """How to write an answer to a greeting."""
    raw = {"model": "m", **HI[client]}
    return Writing(request=parse(client, HI[client]), model="shown", now_s=1, raw=raw, seal=SEAL)


def test_ref_03_why_a_prompt_was_blocked_is_not_kept_from_anybody() -> None:
    """Section 14 leaves C and R an empty answer; their one field for the reason is the refusal (REF-03)."""
    blocked = {
        "responseId": "r",
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": "No."},
        "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3},
    }
    why = "the prompt was blocked (PROHIBITED_CONTENT): No."
    body, _ = answer(G, C, blocked)
    (choice,) = body["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("content_filter", None)
    assert choice["message"]["refusal"] == why
    body, _ = answer(G, R, blocked)
    assert body["incomplete_details"] == {"reason": "content_filter"}
    assert body["output"][0]["content"] == [{"type": "refusal", "refusal": why}]
    body, _ = answer(G, A, blocked)
    assert (body["stop_reason"], body["content"]) == ("refusal", [])
    assert body["stop_details"]["explanation"] == why


COUNTS: Final = Usage(
    input_tokens=1200,
    cache_read_tokens=1024,
    cache_write_tokens=128,
    output_tokens=90,
    reasoning_tokens=64,
)
SPELLED: Final[dict[str, dict[str, Any]]] = {
    C: {
        "prompt_tokens": 1200,
        "completion_tokens": 90,
        "total_tokens": 1290,
        "prompt_tokens_details": {"cached_tokens": 1024, "cache_write_tokens": 128},
        "completion_tokens_details": {"reasoning_tokens": 64},
    },
    R: {
        "input_tokens": 1200,
        "output_tokens": 90,
        "total_tokens": 1290,
        "input_tokens_details": {"cached_tokens": 1024, "cache_write_tokens": 128},
        "output_tokens_details": {"reasoning_tokens": 64},
    },
    A: {
        "input_tokens": 48,
        "cache_read_input_tokens": 1024,
        "cache_creation_input_tokens": 128,
        "output_tokens": 90,
        "output_tokens_details": {"thinking_tokens": 64},
    },
    G: {
        "promptTokenCount": 1200,
        "cachedContentTokenCount": 1024,
        "candidatesTokenCount": 26,
        "thoughtsTokenCount": 64,
        "totalTokenCount": 1290,
    },
}
"""Section 15's worked example."""


@pytest.mark.parametrize("protocol", [C, R, A, G])
def test_the_worked_example_of_usage(protocol: str) -> None:
    said = Response(
        id="r",
        model="m",
        parts=(Text(text="x"),),
        finish_reason=FinishReason.STOP,
        usage=COUNTS,
    )
    key = "usageMetadata" if protocol == G else "usage"
    losses = Losses(side=Side.RESPONSE)
    body = PROTOCOLS[protocol].render_response(said, writing_of(protocol), losses)
    assert body[key] == SPELLED[protocol]
    written = None if protocol == G else 128  # G has no word for what went into the cache
    assert PROTOCOLS[protocol].usage({key: SPELLED[protocol]}) == replace(
        COUNTS, cache_write_tokens=written
    )


def test_tokens_by_modality_between_chat_and_gemini() -> None:
    by_kind = Usage(
        input_tokens=12,
        output_tokens=9,
        input_audio_tokens=3,
        input_image_tokens=4,
        input_text_tokens=5,
        output_audio_tokens=2,
        output_text_tokens=7,
    )
    for protocol in (C, G):
        said = Response(
            id="r",
            model="m",
            parts=(Text(text="x"),),
            finish_reason=FinishReason.STOP,
            usage=by_kind,
        )
        losses = Losses(side=Side.RESPONSE)
        body = PROTOCOLS[protocol].render_response(said, writing_of(protocol), losses)
        assert PROTOCOLS[protocol].usage(body) == by_kind


@pytest.mark.parametrize("upstream", [C, R, A])
@pytest.mark.parametrize("client", [C, R, A])
@pytest.mark.parametrize("word", ["true", "false"])
def test_a_providers_verdict_on_asking_again_reaches_the_client(
    upstream: str, client: str, word: str
) -> None:
    for status in (400, 429, 500):
        error = PROTOCOLS[upstream].parse_error(status, {"x-should-retry": word}, b"{}")
        reply = PROTOCOLS[client].render_error(error, "req_1")
        assert reply.headers["x-should-retry"] == word


def picture(url: str) -> dict[str, Any]:
    """A Chat turn that shows this picture."""
    part = {"type": "image_url", "image_url": {"url": url}}
    return {"messages": [{"role": "user", "content": [part]}]}


HEARD: Final = {"type": "input_audio", "input_audio": {"data": "UklGRgAAAABXQVZF", "format": "wav"}}
SOUND: Final = {"messages": [{"role": "user", "content": [HEARD]}]}
GIF: Final = "data:image/gif;base64,R0lGODlhAQABAAAAACw="


@pytest.mark.parametrize(
    ("client", "upstream", "more", "profile", "wanted"),
    [
        pytest.param(R, G, {"store": True}, {}, "!..", id="nothing is stored at Gemini"),
        pytest.param(R, A, {"store": True}, {}, "!..", id="nor at Anthropic"),
        pytest.param(R, C, {"conversation": "conv_1"}, {}, "xxx", id="a conversation of OpenAI's"),
        pytest.param(R, A, {"background": True}, {}, "xx!", id="a background run"),
        pytest.param(G, R, {"cachedContent": "cachedContents/1"}, {}, "xxx", id="cached content"),
        pytest.param(C, G, picture(GIF), {}, "xxx", id="Gemini reads no GIF"),
        pytest.param(C, G, picture(GIF), {"image_types": frozenset({"image/gif"})}, "...", id="unless the profile knows better"),
        pytest.param(C, A, picture(GIF), {}, "...", id="Anthropic reads GIF"),
        *(
            pytest.param(C, upstream, SOUND, {}, "xx!", id=f"sound alone to {upstream}")
            for upstream in (R, A)
        ),
    ],
)  # fmt: skip
def test_a_cell_of_media_and_state(
    client: str, upstream: str, more: dict[str, Any], profile: dict[str, Any], wanted: str
) -> None:
    assert fate(client, upstream, more, **profile) == wanted


def test_what_only_gemini_says_about_generation_goes_on_to_another_gemini() -> None:
    said = {
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
        "responseModalities": ["TEXT", "IMAGE"],
        "imageConfig": {"aspectRatio": "1:1"},
    }
    assert fate(G, G, {"generationConfig": said}) == "..."
    assert cross(G, G, {**HI[G], "generationConfig": said}).body["generationConfig"] == said
    assert fate(G, A, {"generationConfig": said}) == "xx!"


@pytest.mark.parametrize("upstream", [C, A, G])
@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        pytest.param({"input": [{"role": "user", "content": "Hi", "odd": 1}]}, "x!!", id="an item"),
        pytest.param({"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi", "odd": 1}]}]}, "x!!", id="a part"),
        pytest.param({"tools": [{**TOOL, "odd": 1}]}, "x!!", id="a tool"),
        pytest.param({"input": [{"role": "user", "content": "Hi", "odd": None}]}, "...", id="null says nothing"),
        pytest.param({"input": [{"role": "user", "content": "Hi", "internal_note": {"a": 1}}]}, "!..", id="a client's own note"),
    ],
)  # fmt: skip
def test_unknown_fields_inside_a_responses_request(
    more: dict[str, Any], wanted: str, upstream: str
) -> None:
    assert fate(R, upstream, more) == wanted
