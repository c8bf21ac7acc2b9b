"""Errors, read from Google and written for its clients."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.translators.gemini.support import EXAMPLES
from translators.errors import ErrorKind, GatewayError
from translators.gemini import TRANSLATOR
from translators.gemini.errors import WIRE_ERRORS


def parse(status: int, error: Any = None, **headers: str) -> GatewayError:
    body = error if isinstance(error, bytes) else json.dumps({"error": error}).encode()
    return TRANSLATOR.parse_error(
        status, {k.replace("_", "-"): v for k, v in headers.items()}, body
    )


def info(reason: str) -> list[dict[str, Any]]:
    return [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]


def quota(quota_id: str) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": quota_id}],
    }


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        pytest.param(400, {"status": "INVALID_ARGUMENT", "message": "Unknown name"}, ErrorKind.INVALID_REQUEST, id="bad request"),
        pytest.param(400, {"status": "INVALID_ARGUMENT", "message": "no", "details": info("API_KEY_INVALID")}, ErrorKind.UPSTREAM_REJECTED, id="bad key"),
        pytest.param(400, {"status": "INVALID_ARGUMENT", "message": "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576)."}, ErrorKind.CONTEXT_TOO_LONG, id="too long"),
        pytest.param(400, {"status": "FAILED_PRECONDITION", "message": "Enable billing."}, ErrorKind.BILLING, id="billing off"),
        pytest.param(400, {"status": "FAILED_PRECONDITION", "message": "User location is not supported"}, ErrorKind.INVALID_REQUEST, id="region"),
        pytest.param(401, {"status": "UNAUTHENTICATED"}, ErrorKind.UPSTREAM_REJECTED, id="token"),
        pytest.param(403, {"status": "PERMISSION_DENIED"}, ErrorKind.UPSTREAM_REJECTED, id="permission"),
        pytest.param(404, {"status": "NOT_FOUND", "message": "models/x is not found"}, ErrorKind.NOT_FOUND, id="model"),
        pytest.param(409, {"status": "ABORTED"}, ErrorKind.SERVER_ERROR, id="aborted"),
        pytest.param(413, b"<html><title>413 too large</title></html>", ErrorKind.TOO_LARGE, id="ERR-04 HTML"),
        pytest.param(429, {"status": "RESOURCE_EXHAUSTED", "details": [quota("GenerateRequestsPerMinute")]}, ErrorKind.RATE_LIMITED, id="per minute"),
        pytest.param(429, {"status": "RESOURCE_EXHAUSTED", "details": [quota("GenerateRequestsPerDayPerProject")]}, ErrorKind.BILLING, id="per day"),
        pytest.param(500, {"status": "INTERNAL"}, ErrorKind.SERVER_ERROR, id="internal"),
        pytest.param(503, b"", ErrorKind.OVERLOADED, id="overloaded, empty body"),
        pytest.param(504, {"status": "DEADLINE_EXCEEDED"}, ErrorKind.TIMEOUT, id="timeout"),
        pytest.param(418, b"\xff\xfe", ErrorKind.INVALID_REQUEST, id="no text at all"),
        pytest.param(599, b"[]", ErrorKind.SERVER_ERROR, id="an unknown status"),
    ],
)  # fmt: skip
def test_kinds(status: int, error: Any, kind: ErrorKind) -> None:
    found = parse(status, error)
    assert found.kind is kind
    assert found.upstream_status == status
    assert found.message


def test_err_04_google_wraps_errors_of_streams_in_an_array() -> None:
    body = json.dumps([EXAMPLES["error"][0]]).encode()
    error = TRANSLATOR.parse_error(429, {}, body)
    assert error.message == "You exceeded your current quota."
    assert error.kind is ErrorKind.RATE_LIMITED


@pytest.mark.parametrize(
    ("error", "headers", "delay"),
    [
        pytest.param(EXAMPLES["error"][0]["error"], {}, 38.0, id="RetryInfo"),
        pytest.param({"message": "x"}, {"retry_after": "12"}, 12.0, id="header"),
        pytest.param({"message": "Please retry in 51.5s."}, {}, 51.5, id="text"),
        pytest.param({"message": "x"}, {}, None, id="nothing"),
    ],
)
def test_err_08_the_delay_is_found(
    error: Any, headers: dict[str, str], delay: float | None
) -> None:
    assert parse(429, error, **headers).retry_after_s == delay


def test_err_14_keys_do_not_leak() -> None:
    error = parse(400, {"message": "bad ?key=AIzaSyA1234567890123456789012345678901 here"})
    assert "AIzaSy" not in error.message


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_kind_has_a_status(kind: ErrorKind) -> None:
    reply = TRANSLATOR.render_error(GatewayError(kind, 'no "x"'), "req_1")
    body = reply.body["error"]
    assert (reply.status, body["code"]) == (WIRE_ERRORS[kind].code, WIRE_ERRORS[kind].code)
    assert body["message"].endswith('no "x"')
    overflow = "input token count exceeds the maximum number of tokens allowed"
    assert (overflow in body["message"]) == (kind is ErrorKind.CONTEXT_TOO_LONG)
    assert body["status"].isupper()


def test_err_03_details_in_googles_words() -> None:
    error = GatewayError(ErrorKind.RATE_LIMITED, "slow", path="contents[0]", retry_after_s=9)
    reply = TRANSLATOR.render_error(error, "req_1")
    assert reply.body == {
        "error": {
            "code": 429,
            "message": "slow",
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [{"field": "contents[0]", "description": "slow"}],
                },
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "9s"},
            ],
        }
    }
    assert reply.headers == {"retry-after": "9"}


def test_a_bad_client_key_is_400_with_its_reason() -> None:
    reply = TRANSLATOR.render_error(GatewayError(ErrorKind.AUTHENTICATION, "who?"), "")
    assert reply.status == 400
    assert reply.body["error"]["details"][0]["reason"] == "API_KEY_INVALID"


def test_what_we_write_reads_back() -> None:
    error = GatewayError(ErrorKind.OVERLOADED, "busy", retry_after_s=1.5)
    reply = TRANSLATOR.render_error(error, "")
    again = TRANSLATOR.parse_error(reply.status, {}, json.dumps(reply.body).encode())
    assert (again.kind, again.message, again.retry_after_s) == (error.kind, "busy", 1.5)


def test_a_stream_without_an_encoder_ends_in_the_same_object() -> None:
    error = GatewayError(ErrorKind.UPSTREAM_CUT, "upstream stream\u2028ended early")
    data = TRANSLATOR.render_stream_error(error, "req_1")
    assert data.startswith(b'data: {"error":{"code":503,')
    assert data.endswith(b"}\r\n\r\n")
    assert "\u2028" not in data.decode()
