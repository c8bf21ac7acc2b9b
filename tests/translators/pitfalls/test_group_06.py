"""Pitfalls, group 6: streaming state machines; each row from an upstream's bytes to what a client reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.crossfire import (
    ALL,
    A,
    C,
    G,
    R,
    chat,
    claude,
    decoded,
    finishes,
    fragment,
    gemini,
    is_error,
    item_events,
    named,
    responses,
    sse,
    told,
    whole,
    writing,
)
from translators import PROTOCOLS, ir
from translators.errors import ErrorKind
from translators.losses import Losses, Side

HELLO = (chat({"role": "assistant", "content": ""}), chat({"content": "Hi"}), chat({}, "stop"))
CHAT_HELLO = sse(*HELLO, "[DONE]")
CALL = fragment(id="c1", type="function", name="f", arguments="")
CHAT_CALL = sse(
    chat(CALL),
    chat(fragment(arguments='{"a"')),
    chat(fragment(arguments=":1}")),
    chat({}, "tool_calls"),
    "[DONE]",
)
STREAMS: dict[str, bytes] = {
    C: CHAT_HELLO,
    R: responses(
        *item_events(
            0,
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
            },
            {"type": "response.output_text.delta", "content_index": 0, "delta": "Hi"},
        )
    ),
    A: claude({"type": "text", "text": "", "deltas": [{"type": "text_delta", "text": "Hi"}]}),
    G: sse(gemini({"text": "Hi"}), gemini({"text": ""}, finish="STOP"), end=b"\r\n\r\n"),
}


def blocks(frames: list[Any]) -> list[Any]:
    return [f["content_block"] for f in frames if f["type"] == "content_block_start"]


def arguments(frames: list[Any]) -> str:
    return "".join(f["delta"].get("partial_json", "") for f in frames if "delta" in f)


def calls_of(answer: ir.Response) -> list[tuple[str, str, str]]:
    return [(p.call_id, p.name, p.arguments) for p in answer.parts if isinstance(p, ir.ToolCall)]


@pytest.mark.parametrize(
    "deltas",
    [
        pytest.param(
            [
                fragment(id="c1", name="f", arguments=""),
                fragment(id="", name="", arguments='{"a":1}'),
            ],
            id="empty again",
        ),
        pytest.param(
            [fragment(id="c1"), fragment(name="f"), fragment(arguments='{"a":1}')],
            id="the name comes second",
        ),
        pytest.param(
            [fragment(id="c1", arguments='{"a"'), fragment(name="f", arguments=":1}")],
            id="arguments before the name",
        ),
        pytest.param(
            [
                fragment(id="c1", name="f", arguments='{"a"'),
                fragment(id="c1", name="f", arguments=":1}"),
            ],
            id="repeated in every delta",
        ),
    ],
)
def test_str_02_a_block_starts_when_id_and_name_are_known(deltas: list[Any]) -> None:
    frames = told(C, A, sse(*map(chat, deltas), chat({}, "tool_calls"), "[DONE]")).frames
    [block] = blocks(frames)
    assert (block["id"], block["name"]) == ("c1", "f")
    assert arguments(frames) == '{"a":1}'


def test_str_03_arguments_in_the_first_delta() -> None:
    frames = told(
        C, A, sse(chat(fragment(id="c1", name="f", arguments='{"a":1}')), chat({}, "tool_calls"), "[DONE]")
    ).frames  # fmt: skip
    assert arguments(frames) == '{"a":1}'


@pytest.mark.parametrize("empty", [[], None])
def test_str_04_empty_tool_calls_are_absent(empty: Any) -> None:
    thoughts = [chat({"reasoning_content": char, "tool_calls": empty}) for char in "abc"]
    data = sse(*thoughts, chat({"content": "x", "tool_calls": empty}), chat({}, "stop"), "[DONE]")
    assert [b["type"] for b in blocks(told(C, A, data).frames)] == ["thinking", "text"]


def test_str_05_no_empty_text_block_before_a_call() -> None:
    data = sse(
        chat({"role": "assistant", "content": ""}), chat(CALL), chat({}, "tool_calls"), "[DONE]"
    )
    assert [block["type"] for block in blocks(told(C, A, data).frames)] == ["tool_use"]
    message = {"role": "assistant", "content": "", "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}  # fmt: skip
    answer = whole(C, A, {"choices": [{"message": message, "finish_reason": "tool_calls"}]})
    assert [block["type"] for block in answer["content"]] == ["tool_use"]


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("upstream", ALL)
def test_str_07_str_12_str_18_every_stream_keeps_its_clients_grammar(
    upstream: str, client: str
) -> None:
    """The judges check it all: one start, one end, no gaps, the SDKs' own types (`choices` always there)."""
    result = told(upstream, client, STREAMS[upstream])
    assert result.text == "Hi"
    assert not ends_in_error(client, result.frames)


def ends_in_error(client: str, frames: list[Any]) -> bool:
    last = frames[-1]
    return isinstance(last, dict) and ("error" in last or last.get("type") == "error")


def test_str_09_a_finish_without_content() -> None:
    data = sse(chat({"role": "assistant"}), chat({}, "stop"), "[DONE]")
    frames = told(C, A, data).frames
    assert frames[-2]["delta"]["stop_reason"] == "end_turn"
    message = {"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}
    assert whole(C, A, message)["content"] == []


def test_str_10_the_open_item_closes_before_the_next_opens() -> None:
    both = chat({"content": "Let me.", **fragment(id="c1", name="f", arguments="{}")})
    frames = told(C, R, sse(both, chat({}, "tool_calls"), "[DONE]")).frames
    order = [
        (f["type"].rpartition(".")[2], f["output_index"])
        for f in frames
        if f["type"].startswith("response.output_item.")
    ]
    assert order == [("added", 0), ("done", 0), ("added", 1), ("done", 1)]


def test_str_11_parallel_calls_get_an_item_each() -> None:
    deltas = [
        fragment(0, id="c1", name="f", arguments=""),
        fragment(1, id="c2", name="g", arguments='{"b"'),
        fragment(0, arguments='{"a":1}'),
        fragment(1, arguments=":2}"),
    ]
    frames = told(C, R, sse(*map(chat, deltas), chat({}, "tool_calls"), "[DONE]")).frames
    output = frames[-1]["response"]["output"]
    found = [(i["call_id"], i["name"], i["arguments"]) for i in output]
    assert found == [("c1", "f", '{"a":1}'), ("c2", "g", '{"b":2}')]
    assert len({item["id"] for item in output}) == 2


@pytest.mark.parametrize("upstream", ALL)
def test_str_13_the_terminal_event_holds_the_items(upstream: str) -> None:
    frames = told(upstream, R, STREAMS[upstream]).frames
    [item] = frames[-1]["response"]["output"]
    assert item["content"][0]["text"] == "Hi"
    added = next(f for f in frames if f["type"] == "response.output_item.added")
    assert added["item"]["id"] == item["id"]


FUNCTION = {
    "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f",
    "arguments": '{"a":1}', "status": "completed",
}  # fmt: skip
ARGS = "response.function_call_arguments"


@pytest.mark.parametrize("client", [C, A])
@pytest.mark.parametrize(
    "deltas",
    [
        pytest.param([], id="only in the item"),
        pytest.param([{"type": f"{ARGS}.done", "arguments": '{"a":1}'}], id="only in done"),
        pytest.param(
            [
                {"type": f"{ARGS}.delta", "delta": '{"a":1}'},
                {"type": f"{ARGS}.done", "arguments": '{"a":1}'},
            ],
            id="never twice",
        ),
        pytest.param(
            [{"type": f"{ARGS}.delta", "delta": '{"a":1}', "item_id": "fc_rotated"}],
            id="STR-16 an id that changes",
        ),
    ],
)
def test_str_15_str_16_arguments_wherever_they_come(client: str, deltas: list[Any]) -> None:
    result = told(R, client, responses(*item_events(0, FUNCTION, *deltas)))
    assert calls_of(result.answer) == [("call_1", "f", '{"a":1}')]


def test_str_16_an_id_that_changes_finds_its_call_by_index() -> None:
    second = FUNCTION | {"id": "fc_2", "call_id": "call_2", "arguments": '{"b":2}'}
    one, two = item_events(0, FUNCTION), item_events(1, second)
    stray = [
        {"type": f"{ARGS}.delta", "item_id": f"x{n}", "output_index": n, "delta": text}
        for n, text in ((0, '{"a"'), (1, '{"b":2}'), (0, ":1}"))
    ]
    result = told(R, A, responses(one[0], two[0], *stray, one[1], two[1]))
    assert [call[2] for call in calls_of(result.answer)] == ['{"a":1}', '{"b":2}']


USAGE = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}


@pytest.mark.parametrize("client", [R, A, G])
@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(
            [*HELLO, chat(usage=USAGE) | {"choices": []}, "[DONE]"], id="a chunk of its own"
        ),
        pytest.param([*HELLO[:2], chat({}, "stop", usage=USAGE), "[DONE]"], id="with the finish"),
        pytest.param([*HELLO, chat(usage=USAGE) | {"choices": []}], id="no [DONE]"),
    ],
)
def test_str_17_usage_wherever_it_comes(client: str, chunks: list[Any]) -> None:
    """mapping.md section 16 rule 7 says that an end without `finish_reason` is a cut; here it is there."""
    result = told(C, client, sse(*chunks))
    assert (result.answer.usage.input_tokens, result.answer.usage.output_tokens) == (10, 3)


@pytest.mark.parametrize("upstream", [R, A, G])
def test_str_18_the_usage_chunk_has_choices(upstream: str) -> None:
    frames = told(upstream, C, STREAMS[upstream]).frames
    assert all("choices" in frame for frame in frames[:-1])
    assert frames[-1] == "[DONE]"


def test_str_20_a_call_without_arguments_is_an_empty_object() -> None:
    data = claude({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}, stop="tool_use")
    frames = told(A, C, data).frames
    text = "".join(
        call["function"].get("arguments", "")
        for frame in frames[:-1]
        for choice in frame["choices"]
        for call in choice["delta"].get("tool_calls", ())
    )
    assert text == "{}"
    item = told(A, R, data).frames[-1]["response"]["output"][0]
    assert item["arguments"] == "{}"


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(['{"a"', ":1}"], id="STR-21 fragments"),
        pytest.param(["", "{}"], id="STR-22 an object by accident"),
        pytest.param(["1", "2"], id="STR-22 a number by accident"),
    ],
)
def test_str_21_str_22_one_part_with_whole_arguments(pieces: list[str]) -> None:
    deltas = [chat(CALL), *(chat(fragment(arguments=piece)) for piece in pieces)]
    frames = told(C, G, sse(*deltas, chat({}, "tool_calls"), "[DONE]")).frames
    parts = [p for f in frames for p in f["candidates"][0]["content"]["parts"]]
    [call] = [p["functionCall"] for p in parts if "functionCall" in p]
    text = "".join(pieces)
    expected = json.loads(text) if text.startswith("{") else {"_raw": text}
    assert (call["name"], call["args"]) == ("f", expected)


@pytest.mark.parametrize("client", ALL)
def test_str_23_chunks_without_their_usual_fields(client: str) -> None:
    bare = [
        {"choices": [{"delta": {"content": "Hi"}}]},
        {"choices": [{"delta": {"tool_calls": [{"id": "c1", "function": {"name": "f"}}]}}]},
        {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": "{}"}}]}}]},
        {"choices": [{"finish_reason": "tool_calls"}]},
    ]
    result = told(C, client, sse(*bare, "[DONE]"))
    assert result.text == "Hi"
    assert calls_of(result.answer) == [("c1", "f", "{}")]


@pytest.mark.parametrize("client", ALL)
def test_str_23_what_cannot_be_read_is_an_error(client: str) -> None:
    result = told(
        C, client, sse(chat({"content": "Hi"}), '{"choices":[{"delta', chat({}, "stop"), "[DONE]")
    )
    assert is_error(client, result.frames)


@pytest.mark.parametrize("client", ALL)
def test_str_26_done_without_a_reason_is_a_cut(client: str) -> None:
    """mapping.md section 16 rule 7 wins over the row: `[DONE]` without a finish reason is treated as a cut."""
    result = told(C, client, sse(chat({"content": "Hi"}), "[DONE]"))
    assert is_error(client, result.frames)


@pytest.mark.parametrize("client", ALL)
def test_str_27_nothing_after_done(client: str) -> None:
    late = sse(chat({"content": "again"}), chat({}, "stop"), "[DONE]")
    assert told(C, client, CHAT_HELLO + late).data == told(C, client, CHAT_HELLO).data


ERRORS: dict[str, bytes] = {
    C: sse(chat({"content": "Par"}), {"error": {"message": "slow down", "code": 429}}, "[DONE]"),
    R: responses(status="failed", error={"code": "rate_limit_exceeded", "message": "slow down"}),
    A: named(
        {"type": "message_start", "message": {"id": "m", "model": "real", "usage": {}}},
        {"type": "error", "error": {"type": "overloaded_error", "message": "slow down"}},
    ),
    G: sse(
        gemini({"text": "Par"}),
        {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}},
    ),
}


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("upstream", ALL)
def test_str_28_str_29_str_30_an_error_in_the_stream_stays_one(upstream: str, client: str) -> None:
    result = told(upstream, client, ERRORS[upstream])
    assert is_error(client, result.frames)
    assert "slow down" in json.dumps(result.frames[-1])
    failed = result.events[-1]
    assert isinstance(failed, ir.StreamFailed)
    wanted = ErrorKind.OVERLOADED if upstream == A else ErrorKind.RATE_LIMITED
    assert failed.error.kind is wanted


@pytest.mark.parametrize("client", ALL)
def test_str_30_a_bare_error_event_of_responses(client: str) -> None:
    data = named(
        {"type": "error", "code": "server_error", "message": "oh no", "sequence_number": 0}
    )
    result = told(R, client, data)
    assert result.failed
    assert "[DONE]" not in result.frames
    assert "oh no" in json.dumps(result.frames[-1])


def test_str_30_incomplete_before_any_output_is_told() -> None:
    data = responses(status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    assert finishes(told(R, C, data).frames) == ["length"]


FANCY = sse(chat({"content": "日本 🙂\u2028\u0085 é"}), chat({}, "stop"), "[DONE]")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_str_32_str_33_str_36_any_split_and_any_line_end(size: int, end: bytes) -> None:
    data = b"\xef\xbb\xbf" + FANCY.replace(b"\n", end)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert told(C, A, pieces).text == "日本 🙂\u2028\u0085 é"


NOISE = (
    b": OPENROUTER PROCESSING\n\n",
    b"retry: 100\n\n",
    b"id: 1\n\n",
    b"event: nothing\n\n",
    b":keep-alive\n",
)


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("upstream", ALL)
def test_str_34_comments_and_other_fields_are_skipped(upstream: str, client: str) -> None:
    end = b"\r\n\r\n" if upstream == G else b"\n\n"
    frames = STREAMS[upstream].split(end)
    noisy = b"".join(
        noise + frame + end for frame, noise in zip(frames, NOISE * 9, strict=False) if frame
    )
    result = told(upstream, client, noisy)
    assert result.text == "Hi"
    assert b"OPENROUTER" not in result.data
    assert b"keep-alive" not in result.data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            b'data: {"choices":[{"delta":\ndata: {"content":"Hi"}}]}\n\n', id="STR-35 two lines"
        ),
        pytest.param(b'data:{"choices":[{"delta":{"content":"Hi"}}]}\n\n', id="STR-36 no space"),
        pytest.param(b'data:  {"choices":[{"delta":{"content":"Hi"}}]}\n\n', id="STR-36 two"),
    ],
)
def test_str_35_str_36_odd_data_lines(data: bytes) -> None:
    assert told(C, A, data + sse(chat({}, "stop"), "[DONE]")).text == "Hi"


@pytest.mark.parametrize("upstream", ALL)
def test_str_37_the_last_event_without_its_blank_line(upstream: str) -> None:
    assert told(upstream, A, STREAMS[upstream].rstrip(b"\r\n")).text == "Hi"


@pytest.mark.parametrize("megabytes", [1, 4, 15])
def test_str_38_a_line_of_megabytes(megabytes: int) -> None:
    text = "x" * (megabytes << 20)
    data = sse(chat({"content": text}), chat({}, "stop"), "[DONE]")
    pieces = [data[at : at + 65536] for at in range(0, len(data), 65536)]
    assert told(C, A, pieces).text == text


@pytest.mark.parametrize("client", ALL)
def test_str_40_text_beside_the_finish_and_cumulative_usage(client: str) -> None:
    early = {"promptTokenCount": 10, "candidatesTokenCount": 1, "totalTokenCount": 11}
    late = {"promptTokenCount": 10, "candidatesTokenCount": 4, "totalTokenCount": 14}
    data = sse(
        gemini({"text": "H"}, usageMetadata=early),
        gemini({"text": "i"}, finish="STOP", usageMetadata=late),
        {"usageMetadata": late},
    )
    result = told(G, client, data)
    assert result.text == "Hi"
    assert (result.answer.usage.input_tokens, result.answer.usage.output_tokens) == (10, 4)


@pytest.mark.parametrize("upstream", [C, R, A])
def test_str_41_camel_case_and_a_content_in_every_chunk(upstream: str) -> None:
    result = told(upstream, G, STREAMS[upstream])
    assert b"finish_reason" not in result.data
    assert b'"candidates":[]' not in result.data
    assert all(f["candidates"][0]["content"]["parts"] for f in result.frames)
    assert result.frames[-1]["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize("upstream", [R, A, G])
def test_str_42_str_43_chats_first_and_last_chunk(upstream: str) -> None:
    frames = told(upstream, C, STREAMS[upstream]).frames
    assert frames[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert finishes(frames) == ["stop"]
    with_choices = [f for f in frames[:-1] if f["choices"]]
    assert with_choices[-1]["choices"][0]["finish_reason"] == "stop"


def test_str_42_a_reason_in_the_middle_does_not_end_the_answer() -> None:
    data = sse(chat({"content": "H"}, "stop"), chat({"content": "i"}), chat({}, "stop"), "[DONE]")
    result = told(C, R, data)
    assert result.frames[-1]["response"]["output"][0]["content"][0]["text"] == "Hi"


def test_str_44_one_thinking_block_of_three_summary_parts() -> None:
    item = {
        "type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA",
        "summary": [{"type": "summary_text", "text": t} for t in "abc"],
    }  # fmt: skip
    deltas = [
        {"type": "response.reasoning_summary_text.delta", "summary_index": n, "delta": t}
        for n, t in enumerate("abc")
    ]
    frames = told(R, A, responses(*item_events(0, item, *deltas))).frames
    assert [block["type"] for block in blocks(frames)] == ["thinking"]
    said = [f["delta"] for f in frames if f["type"] == "content_block_delta"]
    assert "".join(d.get("thinking", "") for d in said) == "a\n\nb\n\nc"
    [signature] = [d["signature"] for d in said if "signature" in d]
    assert signature.startswith("bGxtZzEu")


@pytest.mark.parametrize("client", ALL)
def test_str_49_pings_anywhere(client: str) -> None:
    ping = named({"type": "ping"})
    noisy = ping.join(frame + b"\n\n" for frame in STREAMS[A].split(b"\n\n") if frame)
    assert told(A, client, ping + noisy + ping).data == told(A, client, STREAMS[A]).data


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("upstream", ALL)
def test_str_53_str_55_str_57_a_cut_is_never_an_end(upstream: str, client: str) -> None:
    whole_stream = STREAMS[upstream]
    for share in (3, 2):
        cut = whole_stream[: whole_stream.rindex(b"Hi") + share]
        assert is_error(client, told(upstream, client, cut).frames)


@pytest.mark.parametrize("client", ALL)
def test_str_53_a_cut_call_never_looks_whole(client: str) -> None:
    cut = sse(chat(CALL), chat(fragment(arguments='{"path":"/"}')))
    result = told(C, client, cut)
    assert is_error(client, result.frames)
    assert b"content_block_stop" not in result.data
    assert b"functionCall" not in result.data
    assert b"function_call_arguments.done" not in result.data


def test_str_56_what_keeps_a_client_alive() -> None:
    events = decoded(C, [CHAT_HELLO])
    for client, wanted in ((C, b": keep-alive\n\n"), (A, b"event: ping\n"), (G, b"\r\n\r\n")):
        encoder = PROTOCOLS[client].encoder(writing(client), Losses(side=Side.RESPONSE))
        encoder.encode(events[0])
        assert encoder.ping().startswith(wanted)
        for event in events[1:]:
            encoder.encode(event)
        assert encoder.ping() == b""
