"""Errors of Chat upstreams in all their shapes, and what clients are told."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.translators.openai_chat.support import EXAMPLES
from translators.base import Operation
from translators.errors import ErrorKind, GatewayError
from translators.openai_chat import TRANSLATOR


def read(status: int, body: Any, headers: dict[str, str] | None = None) -> GatewayError:
    """An upstream's error answer, read."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return TRANSLATOR.parse_error(status, headers or {}, raw)


def envelope(message: str, **fields: Any) -> dict[str, Any]:
    """An error in OpenAI's shape."""
    return {"error": {"message": message, "type": "invalid_request_error"} | fields}


def test_the_documented_error() -> None:
    error = read(400, EXAMPLES["error"][0])
    assert error.kind is ErrorKind.INVALID_REQUEST
    assert error.message.startswith("Unsupported parameter: 'max_tokens'")
    assert error.code == "unsupported_parameter"
    assert error.upstream_status == 400


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        pytest.param(400, envelope("bad"), ErrorKind.INVALID_REQUEST, id="a bad request"),
        pytest.param(
            400,
            envelope("too long", code="context_length_exceeded"),
            ErrorKind.CONTEXT_TOO_LONG,
            id="overflow by code",
        ),
        pytest.param(
            400,
            envelope("This model's maximum context length is 8192 tokens."),
            ErrorKind.CONTEXT_TOO_LONG,
            id="overflow in words",
        ),
        pytest.param(
            500,
            envelope("the request exceeds the available context size"),
            ErrorKind.CONTEXT_TOO_LONG,
            id="overflow as a server error",
        ),
        pytest.param(
            400,
            envelope("no", code="content_policy_violation"),
            ErrorKind.CONTENT_POLICY,
            id="policy",
        ),
        pytest.param(
            400,
            envelope("API key not valid. Please pass a valid API key."),
            ErrorKind.UPSTREAM_REJECTED,
            id="a bad key as 400",
        ),
        pytest.param(401, envelope("bad key"), ErrorKind.UPSTREAM_REJECTED, id="a bad key"),
        pytest.param(402, envelope("pay"), ErrorKind.BILLING, id="payment"),
        pytest.param(403, envelope("no"), ErrorKind.UPSTREAM_REJECTED, id="forbidden"),
        pytest.param(
            403,
            envelope("no access", code="model_not_found"),
            ErrorKind.NOT_FOUND,
            id="a model that this key may not use",
        ),
        pytest.param(404, envelope("gone", code="model_not_found"), ErrorKind.NOT_FOUND, id="404"),
        pytest.param(408, b"", ErrorKind.TIMEOUT, id="408"),
        pytest.param(409, b"", ErrorKind.CONFLICT, id="409"),
        pytest.param(413, b"", ErrorKind.TOO_LARGE, id="413"),
        pytest.param(422, {"detail": "x"}, ErrorKind.UNPROCESSABLE, id="422"),
        pytest.param(429, envelope("slow"), ErrorKind.RATE_LIMITED, id="429"),
        pytest.param(
            429,
            envelope("quota", type="insufficient_quota", code="insufficient_quota"),
            ErrorKind.BILLING,
            id="an exhausted quota",
        ),
        pytest.param(
            429,
            {"error": {"code": "1113", "message": "Insufficient balance or no resource package"}},
            ErrorKind.BILLING,
            id="an exhausted balance in words",
        ),
        pytest.param(
            429,
            envelope("You sent too many tokens per minute."),
            ErrorKind.RATE_LIMITED,
            id="a token rate is no overflow",
        ),
        pytest.param(500, b"", ErrorKind.SERVER_ERROR, id="500"),
        pytest.param(502, b"<html>", ErrorKind.SERVER_ERROR, id="502"),
        pytest.param(503, envelope("x", code="anything"), ErrorKind.OVERLOADED, id="503"),
        pytest.param(504, b"", ErrorKind.TIMEOUT, id="504"),
        pytest.param(524, b"", ErrorKind.TIMEOUT, id="524"),
        pytest.param(529, b"", ErrorKind.OVERLOADED, id="ERR-05 529"),
        pytest.param(418, b"", ErrorKind.INVALID_REQUEST, id="an unknown client fault"),
        pytest.param(599, b"", ErrorKind.SERVER_ERROR, id="an unknown server fault"),
        pytest.param(302, b"", ErrorKind.UPSTREAM_MALFORMED, id="a redirect"),
    ],
)
def test_kinds(status: int, body: Any, kind: ErrorKind) -> None:
    assert read(status, body).kind is kind


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(envelope("plain"), "plain", id="the envelope"),
        pytest.param({"error": "text"}, "text", id="a string"),
        pytest.param({"detail": "not found"}, "not found", id="detail"),
        pytest.param({"detail": [{"msg": "field required"}]}, "field required", id="a list"),
        pytest.param([{"error": {"message": "in array"}}], "in array", id="an array"),
        pytest.param(
            json.dumps(json.dumps(envelope("twice"))).encode(), "twice", id="JSON in a string"
        ),
        pytest.param(
            b"<html><head><title>502 Bad Gateway</title></head></html>",
            "502 Bad Gateway",
            id="HTML",
        ),
        pytest.param(b"upstream connect error", "upstream connect error", id="plain text"),
        pytest.param(b"", "the provider answered with status 400", id="nothing"),
        pytest.param(b"\xff\xfe\x00", "\ufffd\ufffd", id="rubbish"),
    ],
)
def test_err_04_the_first_useful_message(body: Any, message: str) -> None:
    assert read(400, body).message == message


def test_err_14_secrets_are_taken_out() -> None:
    error = read(401, envelope("Incorrect API key provided: sk-proj-abcdefgh1234."))
    assert "abcdefgh" not in error.message
    assert "Incorrect API key" in error.message


@pytest.mark.parametrize(
    ("headers", "body", "delay"),
    [
        pytest.param({"retry-after": "12"}, envelope("x"), 12, id="seconds"),
        pytest.param({"retry-after": "1.5"}, envelope("x"), 1.5, id="a fraction"),
        pytest.param(
            {"retry-after-ms": "2500", "retry-after": "9"}, envelope("x"), 2.5, id="milliseconds"
        ),
        pytest.param({"x-ratelimit-reset-requests": "6m0s"}, envelope("x"), 360, id="a reset"),
        pytest.param(
            {},
            [
                {
                    "error": {
                        "message": "x",
                        "details": [
                            {
                                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                                "retryDelay": "51820.6s",
                            }
                        ],
                    }
                }
            ],
            51820.6,
            id="Google's details",
        ),
        pytest.param({}, envelope("Please try again in 3s."), 3, id="in words"),
        pytest.param({}, envelope("x"), None, id="unknown"),
    ],
)
def test_err_08_the_delay(headers: dict[str, str], body: Any, delay: float | None) -> None:
    assert read(429, body, headers).retry_after_s == delay


@pytest.mark.parametrize("kind", ErrorKind)
def test_err_02_every_kind_is_an_error_that_the_sdk_understands(kind: ErrorKind) -> None:
    reply = TRANSLATOR.render_error(
        GatewayError(kind, 'a "quoted" name', path="messages[0]"), "req_1"
    )
    assert set(reply.body["error"]) == {"message", "type", "param", "code"}
    assert isinstance(reply.body["error"]["type"], str)
    assert reply.body["error"]["param"] == "messages[0]"
    assert reply.headers["x-request-id"] == "req_1"
    assert 400 <= reply.status < 600
    parsed = openai.APIError("", request=None, body=reply.body["error"])  # type: ignore[arg-type]
    assert parsed.type == reply.body["error"]["type"]


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (ErrorKind.CONTEXT_TOO_LONG, 400, "context_length_exceeded"),
        (ErrorKind.BILLING, 429, "insufficient_quota"),
        (ErrorKind.RATE_LIMITED, 429, "rate_limit_exceeded"),
        (ErrorKind.OVERLOADED, 503, "overloaded"),
        (ErrorKind.UPSTREAM_REJECTED, 502, "bad_gateway"),
        (ErrorKind.NOT_FOUND, 404, "model_not_found"),
    ],
)
def test_statuses_and_codes_that_clients_act_upon(kind: ErrorKind, status: int, code: str) -> None:
    reply = TRANSLATOR.render_error(GatewayError(kind, "x"), "r")
    assert (reply.status, reply.body["error"]["code"]) == (status, code)


def test_a_delay_is_told_in_whole_seconds() -> None:
    error = GatewayError(ErrorKind.RATE_LIMITED, "x", retry_after_s=1.2)
    assert TRANSLATOR.render_error(error, "r").headers["retry-after"] == "2"


def test_the_error_of_a_passed_through_stream() -> None:
    data = TRANSLATOR.render_stream_error(GatewayError(ErrorKind.UPSTREAM_CUT, "cut"), "r")
    assert data.startswith(b'data: {"error":{"message":"cut"')
    assert data.endswith(b"\n\n")
    assert b"[DONE]" not in data


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        (Operation.GENERATE, "/chat/completions"),
        (Operation.LIST_MODELS, "/models"),
        (Operation.GET_MODEL, "/models/a%2Fb"),
        (Operation.LEGACY_COMPLETION, "/completions"),
    ],
)
def test_paths(operation: Operation, path: str) -> None:
    assert TRANSLATOR.upstream_path(operation, "a/b", True) == path


def test_an_operation_that_the_protocol_lacks() -> None:
    with pytest.raises(GatewayError) as caught:
        TRANSLATOR.upstream_path(Operation.COUNT_TOKENS, "m", False)
    assert caught.value.kind is ErrorKind.METHOD_NOT_ALLOWED
