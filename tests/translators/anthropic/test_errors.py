"""Errors of upstreams, and errors for clients."""

from __future__ import annotations

import json

import pytest

from tests.translators.anthropic.support import EXAMPLES
from translators.anthropic import TRANSLATOR
from translators.anthropic.errors import REPLIES
from translators.errors import PERMANENT, ErrorKind, GatewayError


def parse(status, body=b"", headers=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return TRANSLATOR.parse_error(status, headers or {}, raw)


def envelope(kind, message="m", **details):
    return {"type": "error", "error": {"type": kind, "message": message, **details}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        pytest.param(400, EXAMPLES["error"][0], ErrorKind.INVALID_REQUEST, id="bad request"),
        pytest.param(
            400,
            envelope("invalid_request_error", "prompt is too long: 205000 tokens > 200000 maximum"),
            ErrorKind.CONTEXT_TOO_LONG,
            id="too long",
        ),
        pytest.param(
            400,
            envelope("invalid_request_error", "Your credit balance is too low to access"),
            ErrorKind.BILLING,
            id="no credit",
        ),
        pytest.param(
            400,
            envelope(
                "invalid_request_error", details={"error_code": "enforced_spend_limit_reached"}
            ),
            ErrorKind.BILLING,
            id="a spend limit by code",
        ),
        pytest.param(
            401, envelope("authentication_error"), ErrorKind.UPSTREAM_REJECTED, id="our own key"
        ),
        pytest.param(402, envelope("billing_error"), ErrorKind.BILLING, id="billing"),
        pytest.param(
            403, envelope("permission_error"), ErrorKind.UPSTREAM_REJECTED, id="permission"
        ),
        pytest.param(404, envelope("not_found_error"), ErrorKind.NOT_FOUND, id="no such model"),
        pytest.param(413, b"<html>413</html>", ErrorKind.TOO_LARGE, id="ERR-04 HTML from the edge"),
        pytest.param(429, envelope("rate_limit_error"), ErrorKind.RATE_LIMITED, id="rate limit"),
        pytest.param(500, envelope("api_error"), ErrorKind.SERVER_ERROR, id="server"),
        pytest.param(503, b"", ErrorKind.OVERLOADED, id="unavailable"),
        pytest.param(504, envelope("timeout_error"), ErrorKind.TIMEOUT, id="timeout"),
        pytest.param(
            529, envelope("overloaded_error"), ErrorKind.OVERLOADED, id="ERR-05 overloaded"
        ),
        pytest.param(418, b"tea", ErrorKind.INVALID_REQUEST, id="an unlisted client fault"),
        pytest.param(599, b"", ErrorKind.SERVER_ERROR, id="an unlisted server fault"),
        pytest.param(
            429,
            [{"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED"}}],
            ErrorKind.RATE_LIMITED,
            id="the envelope of Google Cloud, in an array",
        ),
    ],
)
def test_kinds(status, body, kind):
    error = parse(status, body)
    assert error.kind is kind
    assert error.message
    assert error.upstream_status == status


@pytest.mark.parametrize(
    ("headers", "body", "delay"),
    [
        pytest.param({"retry-after": "12"}, b"", 12, id="ERR-08 seconds"),
        pytest.param({"retry-after-ms": "1500"}, b"", 1.5, id="ERR-08 milliseconds"),
        pytest.param(
            {}, envelope("rate_limit_error", "Please try again in 3s."), 3, id="ERR-08 in words"
        ),
        pytest.param({}, b"", None, id="not said"),
    ],
)
def test_err_08_retry_hints(headers, body, delay):
    assert parse(429, body, headers).retry_after_s == delay


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"[]", b"null", b'{"error":7}', b'{"error":{}}', b"[[["]
)
def test_err_04_no_body_makes_it_raise(body):
    assert parse(400, body).kind is ErrorKind.INVALID_REQUEST


def test_err_14_secrets_are_redacted():
    error = parse(400, envelope("invalid_request_error", "bad key sk-ant-api03-abcdefghijklmnop"))
    assert "abcdefghijklmnop" not in error.message


def test_every_kind_has_a_reply():
    assert set(REPLIES) == set(ErrorKind)


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_err_01_the_envelope(kind):
    reply = TRANSLATOR.render_error(GatewayError(kind, 'quote " and \u2028'), "req_1")
    assert reply.status == REPLIES[kind][0]
    assert reply.body["type"] == "error"
    assert reply.body["request_id"] == "req_1"
    assert reply.body["error"]["type"] == REPLIES[kind][1]
    assert reply.headers["request-id"] == "req_1"
    assert (reply.headers.get("x-should-retry") == "false") is (kind in PERMANENT)


def test_err_17_a_permanent_fault_is_no_5xx_for_what_the_client_can_change():
    for kind in PERMANENT - {ErrorKind.UPSTREAM_REJECTED, ErrorKind.MISCONFIGURED}:
        assert REPLIES[kind][0] < 500


def test_a_delay_becomes_whole_seconds():
    reply = TRANSLATOR.render_error(
        GatewayError(ErrorKind.RATE_LIMITED, "slow down", retry_after_s=1.2), "req_1"
    )
    assert reply.headers["retry-after"] == "2"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        pytest.param(
            "prompt is too long: 205000 tokens > 200000 maximum",
            "prompt is too long: 205000 tokens > 200000 maximum",
            id="its own words",
        ),
        pytest.param(
            "This model's maximum context length is 128000 tokens. However, your messages resulted "
            "in 130001 tokens.",
            "prompt is too long: 130001 tokens > 128000 maximum",
            id="C",
        ),
        pytest.param(
            "The input token count (1,200,000) exceeds the maximum number of tokens allowed (1048576).",
            "prompt is too long: 1200000 tokens > 1048576 maximum",
            id="G",
        ),
        pytest.param(
            "Your input exceeds the context window of this model.",
            "prompt is too long: Your input exceeds the context window of this model.",
            id="R, without numbers",
        ),
    ],
)
def test_err_06_claude_code_knows_that_it_must_compact(message, told):
    reply = TRANSLATOR.render_error(GatewayError(ErrorKind.CONTEXT_TOO_LONG, message), "req_1")
    assert reply.status == 400
    assert reply.body["error"]["message"] == told


def test_err_13_the_event_that_ends_a_passed_stream():
    frame = TRANSLATOR.render_stream_error(
        GatewayError(ErrorKind.OVERLOADED, "Overloaded"), "req_1"
    )
    assert frame.startswith(b"event: error\ndata: ")
    assert json.loads(frame.split(b"data: ")[1]) == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
        "request_id": "req_1",
    }
