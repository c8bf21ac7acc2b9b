"""Whole answers, read and written."""

from __future__ import annotations

import pytest

from tests.translators.anthropic.support import (
    EXAMPLES,
    READING,
    SEAL,
    parts_of,
    response_losses,
    strict_message,
    writing,
)
from translators import ir
from translators.anthropic import TRANSLATOR
from translators.anthropic.words import UNSIGNED
from translators.base import Reading
from translators.errors import ErrorKind, GatewayError
from translators.ir import FinishReason, StateKind
from translators.losses import Mode

FULL = EXAMPLES["response"][0]
REFUSED = EXAMPLES["response"][1]


def parse(body, reading=READING, mode=Mode.MAX_COMPAT):
    return TRANSLATOR.parse_response(body, reading, response_losses(mode))


def answer(*parts, reason=FinishReason.STOP, **fields):
    fields.setdefault("usage", ir.Usage(input_tokens=9, output_tokens=2))
    return ir.Response(id="chatcmpl-1", model="up", parts=parts, finish_reason=reason, **fields)


def render(response, mode=Mode.MAX_COMPAT, **fields):
    """The answer as a client gets it; the SDK's strict type must take it."""
    losses = response_losses(mode)
    body = TRANSLATOR.render_response(response, writing(**fields), losses)
    strict_message(body)
    return body, losses


def wire(**fields):
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
            "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}, **fields}  # fmt: skip


# ----------------------------------------------------------------------------------------- reading


def test_a_full_answer():
    response = parse(FULL)
    assert response.parts == (
        ir.Reasoning(
            text="Check the weather.",
            state=ir.OpaqueState(
                kind=StateKind.ANTHROPIC_SIGNATURE, value="EqQBCg...", provider="claude", model="m"
            ),
        ),
        ir.Text(text="Let me check."),
        ir.ToolCall(call_id="toolu_01A", name="get_weather", arguments='{"city":"Oslo"}'),
    )
    assert response.finish_reason is FinishReason.TOOL_CALLS
    assert response.service_tier == "default"


def test_use_02_the_hub_counts_cached_input():
    assert parse(FULL).usage == ir.Usage(
        input_tokens=1200,
        output_tokens=90,
        cache_read_tokens=1024,
        cache_write_tokens=128,
        cache_write_long_tokens=0,
        cache_write_longest_tokens=0,
        reasoning_tokens=64,
        web_searches=0,
    )


def test_a_refusal_tells_why():
    response = parse(REFUSED)
    assert response.finish_reason is FinishReason.CONTENT_FILTER
    assert response.explanation == "This request was declined."
    assert response.category == "cyber"
    body, _ = render(response)
    assert body["stop_details"] == REFUSED["stop_details"]
    assert response.parts == (ir.Text(text="Partial"),)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        pytest.param("end_turn", FinishReason.STOP, id="end"),
        pytest.param("max_tokens", FinishReason.LENGTH, id="limit"),
        pytest.param("stop_sequence", FinishReason.STOP_SEQUENCE, id="STOP-02 stop sequence"),
        pytest.param("pause_turn", FinishReason.PAUSE, id="pause"),
        pytest.param("refusal", FinishReason.CONTENT_FILTER, id="refusal"),
        pytest.param("model_context_window_exceeded", FinishReason.CONTEXT_WINDOW, id="window"),
        pytest.param("tool_use", FinishReason.STOP, id="announced calls that are not there"),
        pytest.param("brand_new", FinishReason.STOP, id="STOP-12 an unknown reason"),
        pytest.param(None, FinishReason.STOP, id="no reason"),
    ],
)
def test_finish_reasons(word, reason):
    assert parse(wire(stop_reason=word)).finish_reason is reason


def test_calls_decide_at_a_natural_end():
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    assert parse(wire(content=[block])).finish_reason is FinishReason.TOOL_CALLS


def test_a_call_at_the_output_limit_is_incomplete():
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    (part,) = parse(wire(content=[block], stop_reason="max_tokens")).parts
    assert isinstance(part, ir.ToolCall)
    assert part.complete is False


def test_names_are_restored():
    reading = Reading(provider="p", model="m", tools={"a__b": ir.ToolRef("b", "a")})
    block = {"type": "tool_use", "id": "t", "name": "a__b", "input": {}}
    (part,) = parse(wire(content=[block]), reading).parts
    assert isinstance(part, ir.ToolCall)
    assert part.ref == ir.ToolRef("b", "a")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
                     id="ERR-12 an error object"),
        pytest.param({"error": {"type": "api_error", "message": "x"}}, id="ERR-12 without a type"),
        pytest.param({"id": "x"}, id="neither content nor reason"),
        pytest.param(wire(content=["x"]), id="a block that is no object"),
        pytest.param(wire(content=[{"type": "tool_use", "id": "t", "input": {}}]), id="a call without a name"),
        pytest.param(wire(stop_reason="compaction"), id="a compaction"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_an_error(body):
    with pytest.raises(GatewayError):
        parse(body)


def test_an_error_in_a_200_keeps_its_kind():
    with pytest.raises(GatewayError) as caught:
        parse({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    assert caught.value.kind is ErrorKind.OVERLOADED


def test_odd_servers_are_read():
    body = wire(
        content=[{"type": "text", "text": "a"}, {"type": "tool_use", "name": "f"}], usage=None
    )
    response = parse(body)
    assert response.usage == ir.NO_USAGE
    call = response.parts[1]
    assert isinstance(call, ir.ToolCall)
    assert call.arguments == "{}"
    assert call.call_id.startswith("toolu_")
    assert parse(body).parts[1] == call
    assert parse(wire(content=None)).parts == ()


def test_an_unknown_block_is_recorded_and_in_strict_refused():
    losses = response_losses()
    TRANSLATOR.parse_response(wire(content=[{"type": "hologram"}]), READING, losses)
    assert len(losses.degradations) == 1
    with pytest.raises(GatewayError):
        parse(wire(content=[{"type": "hologram"}]), mode=Mode.STRICT)


def test_citations_of_both_kinds():
    block = next(b for b in EXAMPLES["block"] if b.get("citations") and b["type"] == "text")
    web = {"type": "web_search_result_location", "cited_text": "cold", "url": "https://e",
           "title": "T", "encrypted_index": "Eo8C"}  # fmt: skip
    (part,) = parse(wire(content=[{**block, "citations": [*block["citations"], web]}])).parts
    assert isinstance(part, ir.Text)
    document, url = part.citations
    assert isinstance(document, ir.DocumentCitation)
    assert document.wire == block["citations"][0]
    assert url == ir.UrlCitation(url="https://e", title="T", cited_text="cold", opaque="Eo8C")


def test_every_documented_assistant_block_comes_back_as_it_was():
    kinds = ("text", "thinking", "redacted_thinking", "tool_use")
    blocks = [b for b in EXAMPLES["block"] if b["type"] in kinds and "cache_control" not in b]
    blocks = [{k: v for k, v in b.items() if k != "caller"} for b in blocks]
    body, losses = render(parse(wire(content=blocks, stop_reason="tool_use")))
    assert body["content"] == blocks
    assert losses.degradations == ()


def test_hosted_blocks_come_back_as_they_were():
    use = {
        "type": "server_tool_use",
        "id": "srvtoolu_1",
        "name": "web_search",
        "input": {"query": "q"},
    }
    found = next(b for b in EXAMPLES["block"] if b["type"] == "web_search_tool_result")
    found = {**found, "tool_use_id": "srvtoolu_1"}
    fetched = next(b for b in EXAMPLES["block"] if b["type"] == "web_fetch_tool_result")
    blocks = [use, found, fetched]
    strict_message(wire(content=blocks))
    assert render(parse(wire(content=blocks)))[0]["content"] == blocks


# ----------------------------------------------------------------------------------------- writing


def test_the_envelope_of_an_answer():
    body, losses = render(answer(ir.Text(text="Hi")))
    assert body["id"].startswith("msg_")
    assert "chatcmpl" not in body["id"]
    assert body["model"] == "alias"
    assert body["content"] == [{"type": "text", "text": "Hi"}]
    assert body["stop_reason"] == "end_turn"
    assert losses.degradations == ()
    assert render(answer(ir.Text(text="Hi")))[0] == body


@pytest.mark.parametrize(
    ("reason", "fields", "word"),
    [
        pytest.param(FinishReason.STOP, {}, "end_turn", id="stop"),
        pytest.param(FinishReason.LENGTH, {}, "max_tokens", id="length"),
        pytest.param(FinishReason.CONTEXT_WINDOW, {}, "model_context_window_exceeded", id="window"),
        pytest.param(FinishReason.CONTENT_FILTER, {}, "refusal", id="REF-03 filter"),
        pytest.param(FinishReason.STOP_SEQUENCE, {}, "end_turn", id="STOP-02 an unnamed stop"),
        pytest.param(
            FinishReason.STOP_SEQUENCE, {"stop_sequence": "X"}, "stop_sequence", id="a named stop"
        ),
        pytest.param(FinishReason.PAUSE, {}, "pause_turn", id="pause"),
    ],
)
def test_stop_reasons(reason, fields, word):
    body, _ = render(answer(ir.Text(text="a"), reason=reason, **fields))
    assert body["stop_reason"] == word
    assert body["stop_sequence"] == fields.get("stop_sequence")


def test_stop_08_hosted_calls_alone_are_a_natural_end():
    search = ir.WebSearch(call_id="ws_1", query="q", protocol="openai_responses")
    assert render(answer(search))[0]["stop_reason"] == "end_turn"


def test_stop_10_announced_calls_that_are_not_there_fail_the_turn():
    with pytest.raises(GatewayError) as caught:
        render(answer(ir.Text(text="a"), reason=FinishReason.TOOL_CALLS))
    assert caught.value.kind is ErrorKind.UPSTREAM_MALFORMED


def test_ref_01_a_refusal_is_text_and_reason():
    body, _ = render(answer(ir.Refusal(text="I cannot."), reason=FinishReason.REFUSAL))
    assert body["content"] == [{"type": "text", "text": "I cannot."}]
    assert body["stop_reason"] == "refusal"
    assert body["stop_details"] == {
        "type": "refusal", "category": None, "explanation": "I cannot."
    }  # fmt: skip


def test_str_09_an_empty_answer():
    assert render(answer())[0]["content"] == []
    assert render(answer(ir.Text(text="")))[0]["content"] == []


@pytest.mark.parametrize(
    ("part", "seal", "blocks"),
    [
        pytest.param(
            ir.Reasoning(text="t"),
            SEAL,
            [{"type": "thinking", "thinking": "t", "signature": UNSIGNED}],
            id="RSN-14 unsigned thinking carries the gateway's mark",
        ),
        pytest.param(ir.Reasoning(), SEAL, [], id="nothing at all"),
        pytest.param(
            ir.Reasoning(
                text="t", state=ir.OpaqueState(kind=StateKind.ANTHROPIC_SIGNATURE, value="Eq")
            ),
            SEAL,
            [{"type": "thinking", "thinking": "t", "signature": "Eq"}],
            id="RSN-01 its own signature as it is",
        ),
        pytest.param(
            ir.Reasoning(state=ir.OpaqueState(kind=StateKind.ANTHROPIC_REDACTED, value="Em")),
            SEAL,
            [{"type": "redacted_thinking", "data": "Em"}],
            id="its own redacted thinking",
        ),
        pytest.param(
            ir.Reasoning(
                text="t", state=ir.OpaqueState(kind=StateKind.GEMINI_SIGNATURE, value="v")
            ),
            None,
            [{"type": "thinking", "thinking": "t", "signature": UNSIGNED}],
            id="no key, no envelope",
        ),
    ],
)
def test_reasoning(part, seal, blocks):
    assert render(answer(part), seal=seal)[0]["content"] == blocks


@pytest.mark.parametrize(
    ("kind", "text", "block"),
    [
        pytest.param(StateKind.RESPONSES_ENCRYPTED, "t", "thinking", id="R with a summary"),
        pytest.param(StateKind.RESPONSES_ENCRYPTED, "", "redacted_thinking", id="R without one"),
        pytest.param(StateKind.GEMINI_SIGNATURE, "t", "thinking", id="G with thoughts"),
        pytest.param(StateKind.GEMINI_SIGNATURE, "", "thinking", id="G without thoughts"),
        pytest.param(StateKind.CHAT_DETAILS, "t", "thinking", id="C details"),
    ],
)
def test_rsn_05_foreign_state_travels_in_an_envelope(kind, text, block):
    part = ir.Reasoning(
        text=text, state=ir.OpaqueState(kind=kind, value="gAAA", provider="p", model="x")
    )
    body, _ = render(answer(part, ir.Text(text="a")))
    assert body["content"][0]["type"] == block
    assert "gAAA" not in str(body)
    assert parts_of(body["content"][0], role="assistant") == (part,)


@pytest.mark.parametrize(
    ("call_id", "same"),
    [
        pytest.param("call_abc", True, id="legal"),
        pytest.param("functions.f:0", False, id="illegal"),
    ],
)
def test_call_ids(call_id, same):
    call = ir.ToolCall(call_id=call_id, name="f", arguments='{"a":1}')
    body, _ = render(answer(call, reason=FinishReason.TOOL_CALLS))
    assert (body["content"][0]["id"] == call_id) is same
    assert body["stop_reason"] == "tool_use"


def test_repeated_call_ids_are_told_apart():
    call = ir.ToolCall(call_id="call_0", name="f")
    body, _ = render(answer(call, call, reason=FinishReason.TOOL_CALLS))
    assert [block["id"] for block in body["content"]] == ["call_0", "call_0_2"]


def test_stop_05_a_cut_call_is_left_out():
    call = ir.ToolCall(call_id="t", name="f", arguments='{"a":', complete=False)
    body, losses = render(answer(ir.Text(text="a"), call, reason=FinishReason.LENGTH))
    assert [block["type"] for block in body["content"]] == ["text"]
    assert body["stop_reason"] == "max_tokens"
    assert len(losses.degradations) == 1


def test_res_17_broken_arguments():
    call = ir.ToolCall(call_id="t", name="f", arguments='{"a":')
    body, _ = render(answer(call, reason=FinishReason.TOOL_CALLS))
    assert body["content"][0]["input"] == {"_raw": '{"a":'}
    with pytest.raises(GatewayError) as caught:
        render(answer(call, reason=FinishReason.TOOL_CALLS), Mode.BALANCED)
    assert caught.value.kind is ErrorKind.UPSTREAM_MALFORMED


def test_another_providers_search_is_told_in_blocks_and_read_back_as_foreign():
    search = ir.WebSearch(
        call_id="ws_1",
        query="q",
        sources=(ir.WebSource(url="https://e", title="T"),),
        protocol="openai_responses",
        wire=({"type": "web_search_call"},),
    )
    body, _ = render(answer(search, ir.Text(text="so")))
    use, found, _text = body["content"]
    assert use["id"].startswith("srvtoolu_")
    assert found["tool_use_id"] == use["id"]
    back, _ = parts_of(*body["content"], role="assistant")
    assert isinstance(back, ir.WebSearch)
    assert (back.query, back.sources, back.wire) == ("q", search.sources, ())


def test_another_providers_code_is_told_in_blocks():
    run = ir.CodeRun(call_id="c", code="print(1)", output="1\n", protocol="gemini")
    body, _ = render(answer(run))
    (back,) = parts_of(*body["content"], role="assistant")
    assert isinstance(back, ir.CodeRun)
    assert (back.code, back.output, back.ok) == ("print(1)", "1\n", True)


def test_what_cannot_be_said_is_recorded():
    image = ir.Image(source=ir.Inline(media_type="image/png", data="AAAA"))
    foreign = ir.Foreign(
        protocol="gemini", type="x", wire={}, rule=ir.ForeignRule(*(["reject"] * 3))
    )
    cited = ir.Text(text="a", citations=(ir.UrlCitation(url="https://e"),))
    body, losses = render(answer(image, foreign, cited))
    assert [block["type"] for block in body["content"]] == ["text"]
    assert len(losses.degradations) == 3
    with pytest.raises(GatewayError):
        render(answer(image), Mode.BALANCED)


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        pytest.param(
            ir.Usage(input_tokens=1200, output_tokens=90, cache_read_tokens=1024,
                     cache_write_tokens=128, cache_write_long_tokens=28, reasoning_tokens=64),
            {"input_tokens": 48, "cache_creation_input_tokens": 128,
             "cache_read_input_tokens": 1024, "output_tokens": 90,
             "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 28},
             "output_tokens_details": {"thinking_tokens": 64}},
            id="USE-12 the worked example",
        ),
        pytest.param(
            ir.Usage(input_tokens=100, output_tokens=5, cache_read_tokens=60),
            {"input_tokens": 40, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 60,
             "output_tokens": 5},
            id="USE-01 no double count",
        ),
        pytest.param(
            ir.Usage(input_tokens=10, output_tokens=5, cache_read_tokens=60),
            {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 60,
             "output_tokens": 5},
            id="USE-03 never below zero",
        ),
        pytest.param(
            ir.NO_USAGE,
            {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
             "output_tokens": 0},
            id="USE-16 nothing reported",
        ),
    ],
)  # fmt: skip
def test_usage(usage, wanted):
    body, losses = render(answer(ir.Text(text="a"), usage=usage))
    assert body["usage"] == wanted
    assert bool(losses.degradations) is (usage is ir.NO_USAGE)


def test_usage_round_trips():
    assert TRANSLATOR.usage(render(parse(FULL))[0]) == parse(FULL).usage
    assert TRANSLATOR.usage({"input_tokens": 57}) == ir.Usage(input_tokens=57)
