"""Errors over HTTP and in streams."""

from __future__ import annotations

import pytest
from openai.types.responses import ResponseErrorEvent

from translators.base import Operation
from translators.errors import ErrorKind, GatewayError
from translators.openai_errors import WORDS
from translators.openai_responses import TRANSLATOR
from translators.openai_responses.errors import failed_error
from translators.sse import SseParser
from translators.wire import loads


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_err_02_every_kind_has_an_envelope(kind: ErrorKind) -> None:
    error = GatewayError(kind, 'a "quoted" message', path="input[0]", retry_after_s=1.2)
    reply = TRANSLATOR.render_error(error, "req_1")
    assert set(reply.body["error"]) == {"message", "type", "param", "code"}
    assert reply.body["error"]["message"] == 'a "quoted" message'
    assert reply.body["error"]["param"] == "input[0]"
    assert reply.status == WORDS[kind].status
    assert reply.headers["x-request-id"] == "req_1"
    assert reply.headers["retry-after"] == "2"
    again = error.retryable and not error.permanent
    assert reply.headers["x-should-retry"] == str(again).lower()
    assert failed_error(error)["code"]


def test_a_more_exact_code_is_kept() -> None:
    error = GatewayError(ErrorKind.INVALID_REQUEST, "gone", code="previous_response_not_found")
    reply = TRANSLATOR.render_error(error, "r")
    assert (reply.status, reply.body["error"]["code"]) == (400, "previous_response_not_found")
    limited = GatewayError(ErrorKind.RATE_LIMITED, "slow", code="RESOURCE_EXHAUSTED")
    assert TRANSLATOR.render_error(limited, "r").body["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "message"),
    [
        (429, {}, b'{"error":{"message":"no money","type":"insufficient_quota","code":"insufficient_quota"}}', ErrorKind.BILLING, "no money"),
        (429, {"retry-after": "3"}, b'{"error":{"message":"slow","type":"rate_limit_error"}}', ErrorKind.RATE_LIMITED, "slow"),
        (400, {}, b'{"error":{"message":"too many","code":"context_length_exceeded"}}', ErrorKind.CONTEXT_TOO_LONG, "too many"),
        (400, {}, b'{"error":{"message":"This model\'s maximum context length is 8 tokens"}}', ErrorKind.CONTEXT_TOO_LONG, "This model's maximum context length is 8 tokens"),
        (400, {}, b'{"error":{"message":"bad","type":"invalid_request_error","param":"input"}}', ErrorKind.INVALID_REQUEST, "bad"),
        (403, {}, b'{"error":{"message":"no model","code":"model_not_found"}}', ErrorKind.NOT_FOUND, "no model"),
        (401, {}, b'{"error":{"message":"key","code":"invalid_api_key","type":"invalid_request_error"}}', ErrorKind.UPSTREAM_REJECTED, "key"),
        (404, {}, b'{"error":{"message":"x","type":"invalid_request_error","code":null}}', ErrorKind.NOT_FOUND, "x"),
        (500, {}, b"<html><title>Oops</title></html>", ErrorKind.SERVER_ERROR, "Oops"),
        (503, {}, b"busy", ErrorKind.OVERLOADED, "busy"),
        (529, {}, b"", ErrorKind.OVERLOADED, "the provider answered with status 529"),
        (502, {}, b'{"detail":"down"}', ErrorKind.SERVER_ERROR, "down"),
        (402, {}, b"{}", ErrorKind.BILLING, "the provider answered with status 402"),
        (418, {}, b'"{\\"error\\":{\\"message\\":\\"nested\\"}}"', ErrorKind.INVALID_REQUEST, "nested"),
        (599, {}, b"\xff\xfe", ErrorKind.SERVER_ERROR, "\ufffd\ufffd"),
    ],
)  # fmt: skip
def test_err_04_any_body_is_an_error(
    status: int, headers: dict[str, str], body: bytes, kind: ErrorKind, message: str
) -> None:
    error = TRANSLATOR.parse_error(status, headers, body)
    assert (error.kind, error.message) == (kind, message)
    assert error.upstream_status == status
    assert error.retry_after_s == (3 if headers else None)


def test_a_stream_without_an_encoder_ends_in_an_error_event() -> None:
    error = GatewayError(ErrorKind.UPSTREAM_CUT, "cut\u2028here")
    data = TRANSLATOR.render_stream_error(error, "req_1")
    [frame] = SseParser().feed(data)
    assert frame.event == "error"
    event = ResponseErrorEvent.model_validate(loads(frame.data), strict=True)
    assert (event.message, event.code) == ("cut\u2028here", "server_error")


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        (Operation.GENERATE, "/responses"),
        (Operation.COUNT_TOKENS, "/responses/input_tokens"),
        (Operation.COMPACT, "/responses/compact"),
        (Operation.LIST_MODELS, "/models"),
        (Operation.GET_MODEL, "/models/a%2Fb"),
    ],
)
def test_paths(operation: Operation, path: str) -> None:
    assert TRANSLATOR.upstream_path(operation, "a/b", stream=True) == path


def test_a_path_that_does_not_exist() -> None:
    with pytest.raises(GatewayError) as caught:
        TRANSLATOR.upstream_path(Operation.LEGACY_COMPLETION, "m", stream=False)
    assert caught.value.kind is ErrorKind.METHOD_NOT_ALLOWED
