"""Pitfalls, group 16: errors as the translators read and write them; over HTTP they are in tests/e2e/test_errors.py."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from tests.support.pitfalls import ALL, A, C, G, R, events_of
from translators import PROTOCOLS
from translators.base import Reading
from translators.errors import ErrorKind, GatewayError
from translators.losses import Losses
from translators.wire import dumps, loads

SENTENCE = "Widgets are not allowed here."


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_err_01_anthropics_envelope_for_every_kind(kind: ErrorKind) -> None:
    reply = PROTOCOLS[A].render_error(GatewayError(kind, SENTENCE), "req_1")
    assert reply.body["type"] == "error"
    assert reply.body["request_id"] == "req_1"
    assert reply.body["error"]["type"].endswith(("_error", "_too_large"))
    assert "None" not in dumps(reply.body).decode()


@pytest.mark.parametrize("kind", list(ErrorKind))
@pytest.mark.parametrize("client", [C, R])
def test_err_02_openais_envelope_for_every_kind(client: str, kind: ErrorKind) -> None:
    reply = PROTOCOLS[client].render_error(GatewayError(kind, SENTENCE), "req_1")
    assert set(reply.body) == {"error"}
    assert set(reply.body["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_err_03_googles_envelope_for_every_kind(kind: ErrorKind) -> None:
    reply = PROTOCOLS[G].render_error(GatewayError(kind, SENTENCE, retry_after_s=9), "req_1")
    error = reply.body["error"]
    assert error["code"] == reply.status
    assert error["status"].isupper()
    [info] = [detail for detail in error["details"] if detail["@type"].endswith("RetryInfo")]
    assert info["retryDelay"] == "9s"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            f"<html><head><title>{SENTENCE}</title></head></html>".encode(), id="an HTML page"
        ),
        pytest.param(SENTENCE.encode(), id="plain text"),
        pytest.param(dumps({"detail": SENTENCE}), id="detail"),
        pytest.param(
            dumps([{"error": {"code": 400, "message": SENTENCE, "status": "INVALID_ARGUMENT"}}]),
            id="Google's array",
        ),
        pytest.param(
            dumps(dumps({"error": {"message": SENTENCE}}).decode()), id="JSON in a string"
        ),
        pytest.param(dumps({"error": SENTENCE}), id="a string for an error"),
        pytest.param(gzip.compress(dumps({"error": {"message": SENTENCE}})), id="undeclared gzip"),
    ],
)
@pytest.mark.parametrize("upstream", ALL)
def test_err_04_any_body_yields_its_sentence_and_keeps_its_status(
    upstream: str, body: bytes
) -> None:
    error = PROTOCOLS[upstream].parse_error(400, {}, body)
    assert error.kind is ErrorKind.INVALID_REQUEST
    assert error.message == SENTENCE


@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe\x00", b"[", b"null", b"[]", b"{}", b"x" * 100_000]
)
def test_err_04_rubbish_is_still_an_error(upstream: str, body: bytes) -> None:
    error = PROTOCOLS[upstream].parse_error(500, {}, body)
    assert error.kind is ErrorKind.SERVER_ERROR
    assert 0 < len(error.message) <= 500


@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize("status", [503, 529])
def test_err_05_overloaded_has_a_word_in_every_protocol(upstream: str, status: int) -> None:
    error = PROTOCOLS[upstream].parse_error(status, {}, b"{}")
    assert error.kind is ErrorKind.OVERLOADED
    seen = {name: PROTOCOLS[name].render_error(error, "req_1").status for name in ALL}
    assert seen == {C: 503, R: 503, A: 529, G: 503}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ErrorKind.CONTEXT_TOO_LONG, "context_length_exceeded"),
        (ErrorKind.BILLING, "insufficient_quota"),
        (ErrorKind.RATE_LIMITED, "rate_limit_exceeded"),
        (ErrorKind.INVALID_REQUEST, "invalid_prompt"),
        (ErrorKind.OVERLOADED, "server_is_overloaded"),
    ],
)
def test_err_07_a_broken_stream_in_the_codes_of_codex(kind: ErrorKind, code: str) -> None:
    error = GatewayError(kind, SENTENCE, retry_after_s=3)
    [event] = events_of(PROTOCOLS[R].render_stream_error(error, "req_1"))
    told = event["response"]["error"] if event["type"] == "response.failed" else event
    assert told["code"] == code
    if kind is ErrorKind.RATE_LIMITED:
        assert "try again in 3s" in told["message"]


DELAYS: list[Any] = [
    pytest.param({"retry-after": "12"}, {}, 12.0, id="seconds"),
    pytest.param({"retry-after-ms": "1500"}, {}, 1.5, id="milliseconds"),
    pytest.param({"x-ratelimit-reset-requests": "1s"}, {}, 1.0, id="a duration"),
    pytest.param(
        {}, {"message": "Rate limit reached. Please try again in 1h43m56s."}, 6236.0, id="in words"
    ),
]


@pytest.mark.parametrize(("headers", "more", "delay"), DELAYS)
@pytest.mark.parametrize("upstream", [C, R])
def test_err_08_delays_in_all_their_forms(
    upstream: str, headers: dict[str, str], more: dict[str, Any], delay: float
) -> None:
    body = dumps({"error": {"message": "slow", "type": "rate_limit_error", **more}})
    error = PROTOCOLS[upstream].parse_error(429, headers, body)
    assert error.retry_after_s == delay
    sent = PROTOCOLS[A].render_error(error, "req_1").headers
    assert int(sent["retry-after"]) >= delay


def test_err_08_googles_retry_info() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "51820.6s"}
    wire = {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED", "details": [info]}
    error = PROTOCOLS[G].parse_error(429, {}, dumps({"error": wire}))
    assert error.retry_after_s == 51820.6


@pytest.mark.parametrize(
    "body",
    [
        {"code": 1113, "msg": SENTENCE},
        {"base_resp": {"status_code": 1008, "status_msg": SENTENCE}},
        {"error": {"message": SENTENCE}},
    ],
)
def test_err_12_an_error_under_status_200_is_no_empty_success(body: dict[str, Any]) -> None:
    with pytest.raises(GatewayError, match="Widgets"):
        PROTOCOLS[C].parse_response(body, Reading(provider="p", model="m"), Losses())


@pytest.mark.parametrize("upstream", ALL)
@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghijklmnop1234",
        "https://example.com/v1?key=AIzaSyA1234567890abcdefghijklmnopq",
        "Bearer abcdef0123456789abcdef",
    ],
)
def test_err_14_no_secret_in_an_error(upstream: str, secret: str) -> None:
    body = dumps({"error": {"message": f"Bad request with {secret} in it"}})
    error = PROTOCOLS[upstream].parse_error(400, {}, body)
    assert secret not in error.message
    assert secret.rpartition("=")[2] not in error.message


@pytest.mark.parametrize("client", ALL)
def test_err_15_a_quote_in_a_message_stays_inside_it(client: str) -> None:
    message = 'unknown model "x","type":"y"\n'
    reply = PROTOCOLS[client].render_error(GatewayError(ErrorKind.NOT_FOUND, message), "req_1")
    assert loads(dumps(reply.body))["error"]["message"] == message
    stream = PROTOCOLS[client].render_stream_error(
        GatewayError(ErrorKind.NOT_FOUND, message), "req_1"
    )
    assert len(events_of(stream)) == 1


@pytest.mark.parametrize("client", [C, R, A])
def test_err_17_permanent_means_do_not_retry(client: str) -> None:
    def verdict(kind: ErrorKind) -> str | None:
        headers = PROTOCOLS[client].render_error(GatewayError(kind, "x"), "r").headers
        return headers.get("x-should-retry")

    assert verdict(ErrorKind.INVALID_REQUEST) == verdict(ErrorKind.UNTRANSLATABLE) == "false"
    assert verdict(ErrorKind.BILLING) == verdict(ErrorKind.UPSTREAM_REJECTED) == "false"
    assert verdict(ErrorKind.OVERLOADED) != "false"
