"""The fake provider as a server: keys, paths, records, failures, and how it breaks streams."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import socket
import time
from typing import Any

import pytest

from scripts.fake import FakeProvider
from tests.scripts.fake.bodies import (
    HEADERS,
    PROTOCOLS,
    chat,
    gemini,
    path_of,
    plain,
    post,
    responses,
    send,
)

ENDINGS = {
    "openai_chat": b"data: [DONE]\n\n",
    "openai_responses": b"event: response.completed\n",
    "anthropic": b"event: message_stop\n",
    "gemini": b'"finishReason":"STOP"',
}


def error_of(body: bytes) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(body)["error"]
    return error


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_answers_whole_and_streamed(fake: FakeProvider, protocol: str) -> None:
    status, headers, body = post(fake, protocol, "fake-text")
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert b"Fake answer to: What is the weather" in body
    status, headers, body = post(fake, protocol, "fake-text", stream=True)
    assert status == 200
    assert headers["content-type"] == "text/event-stream"
    assert ENDINGS[protocol] in body
    assert [item.verdict for item in fake.record] == ["accepted", "accepted"]
    assert [item.outcome for item in fake.record] == ["complete", "complete"]
    assert b"".join(fake.record.last.frames) == body


@pytest.mark.parametrize(
    ("protocol", "status", "words"),
    [
        ("openai_chat", 401, "Incorrect API key"),
        ("openai_responses", 401, "Incorrect API key"),
        ("anthropic", 401, "invalid x-api-key"),
        ("gemini", 400, "API key not valid"),
    ],
)
def test_a_wrong_key_is_refused_as_the_protocol_does(
    fake: FakeProvider, protocol: str, status: int, words: str
) -> None:
    headers = {**HEADERS, "authorization": "Bearer nope", "x-goog-api-key": "nope"}
    got, _, body = send(fake, "POST", path_of(protocol, "m"), plain(protocol, "m"), headers)
    assert (got, words in error_of(body)["message"]) == (status, True)
    assert fake.record.last.verdict == "rejected"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_key_is_refused(fake: FakeProvider, protocol: str) -> None:
    headers = {"anthropic-version": "2026-10-21"}
    status, _, _ = send(fake, "POST", path_of(protocol, "m"), plain(protocol, "m"), headers)
    assert status in (401, 403)


def test_gemini_takes_its_key_from_the_query(fake: FakeProvider) -> None:
    path = "/v1/models/m:generateContent?key=fake-key"
    assert send(fake, "POST", path, gemini(), {})[0] == 200


def test_anthropic_wants_a_version_and_a_flag_for_beta_fields(fake: FakeProvider) -> None:
    body = {**plain("anthropic", "m"), "context_management": {"edits": []}}
    no_version = {"x-api-key": "fake-key"}
    status, _, answer = send(fake, "POST", "/v1/messages", body, no_version)
    assert (status, "anthropic-version" in error_of(answer)["message"]) == (400, True)
    version = {**no_version, "anthropic-version": "2026-10-21"}
    assert send(fake, "POST", "/v1/messages", body, version)[0] == 400
    flag = {**version, "anthropic-beta": "a-1, context-management-2025-06-27"}
    assert send(fake, "POST", "/v1/messages?beta=true", body, flag)[0] == 200


@pytest.mark.parametrize(
    ("path", "headers", "names"),
    [
        ("/v1/models", {}, lambda body: [item["object"] for item in body["data"]]),
        (
            "/v1/models",
            {"x-api-key": "fake-key", "anthropic-version": "2023-06-01"},
            lambda body: [item["type"] for item in body["data"]],
        ),
        (
            "/v1beta/models",
            {"x-goog-api-key": "fake-key"},
            lambda body: [item["name"].split("/")[0] for item in body["models"]],
        ),
    ],
)
def test_lists_models_in_the_shape_of_the_caller(
    fake: FakeProvider, path: str, headers: dict[str, str], names: Any
) -> None:
    headers = {"authorization": "Bearer fake-key", **headers}
    status, _, body = send(fake, "GET", path, headers=headers)
    assert status == 200
    assert len(set(names(json.loads(body)))) == 1
    assert send(fake, "GET", path + "/fake-tool", headers=headers)[0] == 200
    assert send(fake, "GET", path + "/nope", headers=headers)[0] == 404


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/responses/input_tokens", responses(), "input_tokens"),
        (
            "/v1/messages/count_tokens",
            {"model": "m", "messages": [{"role": "user", "content": "x"}]},
            "input_tokens",
        ),
        ("/v1beta/models/m:countTokens", gemini(), "totalTokens"),
    ],
)
def test_counts_tokens(fake: FakeProvider, path: str, body: Any, field: str) -> None:
    status, _, answer = send(fake, "POST", path, body)
    assert status == 200
    assert json.loads(answer)[field] > 5


def test_unknown_paths_methods_and_bodies(fake: FakeProvider) -> None:
    assert send(fake, "POST", "/v1/nothing", {})[0] == 404
    assert send(fake, "GET", "/v1/chat/completions")[0] == 405
    assert send(fake, "POST", "/v1/chat/completions", [])[0] == 400
    assert len(fake.record.rejected) == 3


def test_a_websocket_upgrade_is_refused_with_426(fake: FakeProvider) -> None:
    headers = {**HEADERS, "upgrade": "websocket", "connection": "upgrade"}
    assert send(fake, "GET", "/v1/responses", headers=headers)[0] == 426
    assert not fake.record.rejected


STATUSES = {
    "openai_chat": {429: 429, 500: 500, 503: 503, 529: 503},
    "openai_responses": {429: 429, 500: 500, 503: 503, 529: 503},
    "anthropic": {429: 429, 500: 500, 503: 503, 529: 529},
    "gemini": {429: 429, 500: 500, 503: 503, 529: 503},
}


@pytest.mark.parametrize("code", [429, 500, 503, 529])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_fails_with_a_status_and_then_succeeds(
    fake: FakeProvider, protocol: str, code: int
) -> None:
    fake.play(f"status-{code}", times=2, retry_after_s=1.5)
    first, second, third = (post(fake, protocol, "m", stream=True) for _ in range(3))
    assert first[0] == second[0] == STATUSES[protocol][code]
    assert first[1]["retry-after"] == "1.5"
    assert error_of(first[2])["message"]
    assert third[0] == 200


def test_the_retry_hint_of_gemini_is_in_the_body_too(fake: FakeProvider) -> None:
    fake.play("status-429", retry_after_s=38)
    _, _, body = post(fake, "gemini", "m")
    error = error_of(body)
    assert error["status"] == "RESOURCE_EXHAUSTED"
    assert error["details"][-1]["retryDelay"] == "38s"


@pytest.mark.parametrize(
    ("protocol", "status", "words"),
    [
        ("openai_chat", 400, "maximum context length is 128000 tokens"),
        ("openai_responses", 400, "exceeds the context window"),
        ("anthropic", 400, "prompt is too long: 200001 tokens > 200000 maximum"),
        ("gemini", 400, "exceeds the maximum number of tokens allowed (1048576)"),
    ],
)
def test_overflow_in_the_providers_words(
    fake: FakeProvider, protocol: str, status: int, words: str
) -> None:
    got, _, body = post(fake, protocol, "fake-overflow")
    assert (got, words in error_of(body)["message"]) == (status, True)
    assert post(fake, protocol, "fake-overflow")[0] == 200


def test_responses_reports_an_overflow_inside_the_stream(fake: FakeProvider) -> None:
    status, _, body = post(fake, "openai_responses", "fake-overflow", stream=True)
    assert status == 200
    assert b"response.failed" in body
    assert b"context_length_exceeded" in body


def test_a_window_makes_long_prompts_overflow() -> None:
    with FakeProvider.running(window_tokens=100) as small:
        assert post(small, "openai_chat", "m")[0] == 200
        long = chat(messages=[{"role": "user", "content": "x" * 1000}])
        assert send(small, "POST", "/v1/chat/completions", long)[0] == 400


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_error_inside_a_200_stream(fake: FakeProvider, protocol: str) -> None:
    fake.play("error-first", times=0)
    status, _, first = post(fake, protocol, "m", stream=True)
    assert status == 200
    fake.play("error-mid", times=0, after=4)
    _, _, middle = post(fake, protocol, "m", stream=True)
    for body in (first, middle):
        assert b"overloaded" in body.lower()
        assert ENDINGS[protocol] not in body
    assert len(middle) > len(first)


def raw(fake: FakeProvider, protocol: str) -> bytes:
    """Everything that the fake sends for one streamed request, HTTP framing included."""
    body = json.dumps(plain(protocol, "m", stream=True)).encode()
    path = path_of(protocol, "m", stream=True)
    lines = [f"POST {path} HTTP/1.1", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in HEADERS.items()]
    with socket.create_connection(("127.0.0.1", fake.port), timeout=10) as wire:
        wire.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        received = bytearray()
        while not received.endswith(b"0\r\n\r\n") and (data := wire.recv(65536)):
            received += data
    return bytes(received)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_cut_stream_has_neither_its_end_nor_that_of_http(
    fake: FakeProvider, protocol: str
) -> None:
    fake.play("cut", times=0, after=3)
    received = raw(fake, protocol)
    assert received.startswith(b"HTTP/1.1 200")
    assert ENDINGS[protocol] not in received
    assert not received.endswith(b"0\r\n\r\n")
    assert fake.record.last.outcome == "broken"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_cleanly_cut_stream_ends_http_but_not_itself(fake: FakeProvider, protocol: str) -> None:
    fake.play("cut", times=0, how="clean")
    received = raw(fake, protocol)
    assert received.endswith(b"0\r\n\r\n")
    assert ENDINGS[protocol] not in received


def test_a_reset_is_seen_as_one(fake: FakeProvider) -> None:
    fake.play("cut", times=0, how="reset")
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        post(fake, "anthropic", "m", stream=True)


def test_a_dropped_connection_says_nothing(fake: FakeProvider) -> None:
    fake.play("drop")
    with pytest.raises(http.client.RemoteDisconnected):
        post(fake, "openai_chat", "m")
    assert post(fake, "openai_chat", "m")[0] == 200


def test_a_cut_whole_answer_is_incomplete(fake: FakeProvider) -> None:
    fake.play("cut")
    with pytest.raises(http.client.IncompleteRead):
        post(fake, "openai_chat", "m")


def test_a_client_that_leaves_a_stalled_stream_is_noticed(fake: FakeProvider) -> None:
    fake.play("stall", times=0, after=2)
    body = json.dumps(plain("anthropic", "m", stream=True))
    connection = http.client.HTTPConnection("127.0.0.1", fake.port, timeout=10)
    connection.request("POST", "/v1/messages", body, HEADERS)
    response = connection.getresponse()
    assert response.readline() == b"event: message_start\n"
    response.close()
    connection.close()
    deadline = time.monotonic() + 5
    while fake.record.last.outcome != "client_left" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert fake.record.last.outcome == "client_left"


def test_failures_are_counted_per_conversation_and_step(fake: FakeProvider) -> None:
    """`at=1` lets the first request pass and fails the one that brings the result."""
    fake.play("status-500", at=1, then="text")
    body = chat(model="m")
    assert send(fake, "POST", "/v1/chat/completions", body)[0] == 200
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body["messages"] += [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
    ]
    assert send(fake, "POST", "/v1/chat/completions", body)[0] == 500
    assert send(fake, "POST", "/v1/chat/completions", body)[0] == 200


def test_a_header_beats_the_model_name_and_that_beats_the_default(fake: FakeProvider) -> None:
    fake.play("echo")
    for model, header, wanted in (
        ("m", None, "echo"),
        ("vendor/fake-refusal", None, "refusal"),
        ("fake-refusal", "text;text=hello", "text"),
    ):
        headers = HEADERS if header is None else {**HEADERS, "x-fake-scenario": header}
        send(fake, "POST", "/v1/chat/completions", chat(model=model), headers)
        assert fake.record.last.scenario == wanted


def test_an_unknown_scenario_or_option_is_said(fake: FakeProvider) -> None:
    for value in ("nope", "text;nope=1", "text;after=x"):
        headers = {**HEADERS, "x-fake-scenario": value}
        status, _, body = send(fake, "POST", "/v1/chat/completions", chat(), headers)
        assert (status, "fake provider:" in error_of(body)["message"]) == (400, True)


def test_pieces_comments_and_line_ends(fake: FakeProvider) -> None:
    fake.play("text", comments=True)
    assert b": keep-alive\n\ndata:" in post(fake, "openai_chat", "m", stream=True)[2]
    fake.play("text", crlf=True)
    assert post(fake, "openai_chat", "m", stream=True)[2].endswith(b"data: [DONE]\r\n\r\n")
    fake.play("text")
    assert b"}\r\n\r\ndata: " in post(fake, "gemini", "m", stream=True)[2]
    fake.play("text", chunk_bytes=7)
    post(fake, "openai_chat", "m", stream=True)
    assert {len(frame) for frame in fake.record.last.frames[:-1]} == {7}


def test_gemini_without_sse_streams_one_json_array(fake: FakeProvider) -> None:
    path = "/v1beta/models/m:streamGenerateContent"
    _, headers, body = send(fake, "POST", path, gemini())
    assert headers["content-type"] == "application/json"
    assert json.loads(body)[-1]["candidates"][0]["finishReason"] == "STOP"
    status, _, body = send(fake, "POST", path, {})
    assert (status, json.loads(body)[0]["error"]["code"]) == (400, 400)
    fake.play("error-mid", times=0)
    assert "error" in json.loads(send(fake, "POST", path, gemini())[2])[-1]


def test_a_compressed_answer(fake: FakeProvider) -> None:
    fake.play("text", gzip=True)
    _, headers, body = post(fake, "openai_chat", "m")
    assert headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(body))["object"] == "chat.completion"


def test_a_request_in_http_chunks_and_gzip(fake: FakeProvider) -> None:
    data = gzip.compress(json.dumps(chat()).encode())
    connection = http.client.HTTPConnection("127.0.0.1", fake.port, timeout=10)
    headers = {**HEADERS, "content-encoding": "gzip"}
    halves = iter((data[:20], data[20:]))
    connection.request("POST", "/v1/chat/completions", halves, headers, encode_chunked=True)
    assert connection.getresponse().read().startswith(b'{"id":"chatcmpl-')
    connection.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("options", ["", "~delay_ms=0.01"])
def test_the_bench_scenario_sends_as_many_deltas_as_asked(
    fake: FakeProvider, protocol: str, options: str
) -> None:
    status, _, body = post(fake, protocol, f"fake-bench~chunks=7{options}", stream=True)
    marks = {"openai_chat": b'"content":"', "gemini": b'"text":"', "anthropic": b'"text_delta"'}
    mark = marks.get(protocol, b"output_text.delta\ndata")
    # The first Chat chunk has empty content, and Gemini's last chunk empty text.
    assert status == 200
    assert body.count(mark) == 7 + (protocol in ("openai_chat", "gemini"))
    assert ENDINGS[protocol] in body
    assert len(fake.record) == 0
    assert post(fake, protocol, "fake-bench")[0] == 200


def test_the_control_paths(fake: FakeProvider) -> None:
    assert send(fake, "POST", "/__fake/play?name=echo&piece_chars=3")[0] == 200
    post(fake, "openai_chat", "m")
    record = json.loads(send(fake, "GET", "/__fake/record")[2])
    assert [(item["scenario"], item["status"]) for item in record] == [("echo", 200)]
    assert send(fake, "POST", "/__fake/reset")[0] == 200
    assert len(fake.record) == 0
    assert send(fake, "POST", "/__fake/play?name=nope")[0] == 400


def test_runs_inside_a_running_loop() -> None:
    async def ask() -> bytes:
        async with FakeProvider() as inner:
            reader, writer = await asyncio.open_connection("127.0.0.1", inner.port)
            writer.write(b"GET /v1/models HTTP/1.1\r\nauthorization: Bearer fake-key\r\n\r\n")
            line = await reader.readline()
            writer.close()
            return line

    assert asyncio.run(ask()) == b"HTTP/1.1 200 OK\r\n"


def test_a_taken_port_is_an_error(fake: FakeProvider) -> None:
    with pytest.raises(OSError), FakeProvider.running(port=fake.port):
        pass
