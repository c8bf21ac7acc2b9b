"""Errors of upstreams in every client's own words: 16 pairs, whole and streamed, over HTTP."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from scripts.fake import FakeProvider
from tests.support.gateway import Gateway
from tests.support.pitfalls import TEXTS, A, C, G, R, events_of
from tests.support.providers import four_providers

UPSTREAMS = {C: "chat", R: "responses", A: "claude", G: "gemini"}
PAIRS = [(client, upstream) for client in UPSTREAMS for upstream in UPSTREAMS]
PATHS = {C: "/v1/chat/completions", R: "/v1/responses", A: "/v1/messages"}
VERSION = {"anthropic-version": "2023-06-01"}

COMPACT: dict[str, re.Pattern[str]] = {
    A: re.compile("prompt is too long"),
    R: re.compile("context_length_exceeded"),
    C: re.compile("context_length_exceeded"),
    G: re.compile(r"input token count[^.]*exceeds the maximum number of tokens allowed"),
}
"""By what Claude Code, Codex, OpenCode and Gemini CLI know that they must compact."""
OPENCODE = re.compile(
    r"prompt is too long|exceeds the context window|context[_ ]length[_ ]exceeded"
    r"|input token count.*exceeds the maximum|maximum context length is \d+ tokens",
    re.IGNORECASE | re.DOTALL,
)
"""OpenCode speaks all four protocols and looks for these."""

STATUSES = (400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529)
REPLIES: dict[int, dict[str, tuple[int, str]]] = {
    400: {C: (400, "invalid_request_error"), A: (400, "invalid_request_error"), G: (400, "INVALID_ARGUMENT")},
    401: {C: (502, "server_error"), A: (502, "api_error"), G: (500, "INTERNAL")},
    403: {C: (502, "server_error"), A: (502, "api_error"), G: (500, "INTERNAL")},
    404: {C: (404, "invalid_request_error"), A: (404, "not_found_error"), G: (404, "NOT_FOUND")},
    408: {C: (504, "server_error"), A: (504, "timeout_error"), G: (504, "DEADLINE_EXCEEDED")},
    409: {C: (409, "invalid_request_error"), A: (409, "conflict_error"), G: (409, "ABORTED")},
    413: {C: (413, "invalid_request_error"), A: (413, "request_too_large"), G: (413, "INVALID_ARGUMENT")},
    422: {C: (422, "invalid_request_error"), A: (400, "invalid_request_error"), G: (400, "INVALID_ARGUMENT")},
    429: {C: (429, "rate_limit_error"), A: (429, "rate_limit_error"), G: (429, "RESOURCE_EXHAUSTED")},
    500: {C: (500, "server_error"), A: (500, "api_error"), G: (500, "INTERNAL")},
    502: {C: (500, "server_error"), A: (500, "api_error"), G: (500, "INTERNAL")},
    503: {C: (503, "server_error"), A: (529, "overloaded_error"), G: (503, "UNAVAILABLE")},
    504: {C: (504, "server_error"), A: (504, "timeout_error"), G: (504, "DEADLINE_EXCEEDED")},
    529: {C: (503, "server_error"), A: (529, "overloaded_error"), G: (503, "UNAVAILABLE")},
}  # fmt: skip
"""Status and type by section 17 of the portability rules; Responses has Chat's."""
CODES: dict[int, tuple[str | None, ...]] = {
    404: ("model_not_found", "not_found"),
    413: ("request_too_large",),
    429: ("rate_limit_exceeded",),
    503: ("overloaded", "server_is_overloaded"),
    504: ("timeout",),
    529: ("overloaded", "server_is_overloaded"),
}
"""`code` in the two OpenAI protocols."""


def post(
    gateway: Gateway, client: str, upstream: str, scenario: str, *, stream: bool
) -> tuple[int, dict[str, str], bytes]:
    """Ask for a scenario of an upstream in a client's protocol."""
    model = f"{UPSTREAMS[upstream]}/fake-{scenario}"
    if client == G:
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return gateway.post(f"/v1beta/models/{model}:{verb}", json.dumps(TEXTS[G]).encode())
    body = {"model": model, "stream": stream, **TEXTS[client]}
    return gateway.post(PATHS[client], json.dumps(body).encode(), VERSION if client == A else {})


def error_of(client: str, body: bytes) -> dict[str, Any]:
    """The error object, after a look at its envelope."""
    payload = json.loads(body)
    error: dict[str, Any] = payload["error"]
    if client == A:
        assert payload["type"] == "error"
        assert payload["request_id"]
        assert {"type", "message"} <= set(error)
    elif client == G:
        assert {"code", "message", "status"} <= set(error)
    else:
        assert set(error) >= {"message", "type", "param", "code"}
    assert error["message"]
    return error


def kind_of(client: str, error: dict[str, Any]) -> str:
    """What each protocol calls the kind of an error."""
    word: str = error["status" if client == G else "type"]
    return word


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_err_06_an_overflow_in_the_words_that_make_agents_compact(
    gateway: Gateway, fake: FakeProvider, client: str, upstream: str, stream: bool
) -> None:
    status, headers, body = post(gateway, client, upstream, "overflow", stream=stream)
    text = body.decode()
    assert COMPACT[client].search(text), text
    assert OPENCODE.search(text), text
    if status == 200:  # OpenAI itself says it in the stream, after the response has been created
        assert upstream == R
        assert stream
        last = events_of(body)[-1]
        assert last.get("type") in {R: ("response.failed",), A: ("error",)}.get(client, (None,))
        return
    assert status == 400
    assert headers.get("x-should-retry", "false") == "false"
    error = error_of(client, body)
    wanted = {A: "invalid_request_error", G: "INVALID_ARGUMENT"}
    assert kind_of(client, error) == wanted.get(client, "invalid_request_error")
    if client in (C, R):
        assert error["code"] == "context_length_exceeded"
    assert len(fake.record) == 1, "nothing else can make it fit: never tried again"


def as_told(client: str, upstream: str, status: int) -> int:
    """What the fake really answers: 529 is Anthropic's alone."""
    del client
    return 503 if status == 529 and upstream != A else status


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
@pytest.mark.parametrize("status", STATUSES)
def test_every_status_of_an_upstream_in_the_clients_words(
    gateway: Gateway, fake: FakeProvider, client: str, upstream: str, status: int, stream: bool
) -> None:
    scenario = f"status-400~status={status}~retry_after=7~times=0"
    got, headers, body = post(gateway, client, upstream, scenario, stream=stream)
    # Google's ABORTED is a conflict inside the provider, not the client's.
    aborted = status == 409 and upstream == G
    table = REPLIES[500 if aborted else as_told(client, upstream, status)]
    wanted_status, wanted_kind = table[client if client in table else C]
    error = error_of(client, body) if body[:1] == b"{" else error_of(client, body.strip(b"[]"))
    if client == upstream and status < 500 and status not in (401, 403, 408, 429) and not aborted:
        assert got == status, "the provider's own answer, untouched"
        return
    assert (got, kind_of(client, error)) == (wanted_status, wanted_kind), body
    assert headers["content-type"].startswith("application/json")
    if client == G:
        assert error["code"] == got
    if client in (C, R) and as_told(client, upstream, status) in CODES:
        assert error["code"] in CODES[as_told(client, upstream, status)]
    if status in (429, 503, 529):
        assert headers["retry-after"] == "7"
        if client == G:
            [info] = [d for d in error["details"] if d["@type"].endswith("RetryInfo")]
            assert info["retryDelay"] == "7s"
    if status in (401, 403):
        assert "key was not accepted" not in body.decode()


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_err_13_an_error_in_mid_stream_is_an_event(
    gateway: Gateway, fake: FakeProvider, client: str, upstream: str
) -> None:
    status, _, body = post(gateway, client, upstream, "error-mid~after=5", stream=True)
    assert status == 200
    assert b"HTTP/1.1" not in body
    assert b"[DONE]" not in body
    last = events_of(body)[-1]
    if client == R:
        assert last["type"] in ("response.failed", "error")
    elif client == A:
        assert last["type"] == "error"
        assert last["error"]["type"] in ("overloaded_error", "api_error")
    else:
        assert last["error"]["message"]


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_err_12_an_error_as_first_event_is_an_honest_status(
    gateway: Gateway, fake: FakeProvider, client: str, upstream: str
) -> None:
    status, _, body = post(gateway, client, upstream, "error-first", stream=True)
    if status == 200:  # the response had been created in an earlier read
        assert upstream == R
        assert "error" in json.dumps(events_of(body)[-1])
        return
    assert status >= 500
    error_of(client, body)


@pytest.mark.parametrize("client", [C, R, A, G])
def test_err_17_permanent_problems_are_not_to_be_retried(
    gateway: Gateway, fake: FakeProvider, client: str
) -> None:
    upstream = A if client == C else C
    _, headers, _ = post(gateway, client, upstream, "status-400", stream=False)
    assert headers.get("x-should-retry") == (None if client == G else "false")
    status, headers, _ = post(gateway, client, upstream, "status-401", stream=False)
    assert status in (500, 502)
    assert headers.get("x-should-retry") == (None if client == G else "false")


def test_med_01_an_image_by_url_for_gemini_is_a_clear_400_by_default(
    gateway: Gateway, fake: FakeProvider
) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://files.example/cat.png"}}
    body = {"model": "gemini/fake-text", "messages": [{"role": "user", "content": [image]}]}
    status, _, answer = gateway.post(PATHS[C], json.dumps(body).encode())
    assert status == 400
    assert error_of(C, answer)["param"] == "messages[0].content[0]"
    assert not list(fake.record)


def test_med_01_switched_on_it_is_fetched_but_never_from_a_private_address(
    fake: FakeProvider,
) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://127.0.0.1:1/cat.png"}}
    body = {"model": "gemini/fake-text", "messages": [{"role": "user", "content": [image]}]}
    with Gateway(four_providers(fake, media={"fetch_remote": True})) as gateway:
        status, _, answer = gateway.post(PATHS[C], json.dumps(body).encode())
    assert status == 400
    assert "not on the public internet" in error_of(C, answer)["message"]
    assert not list(fake.record)
