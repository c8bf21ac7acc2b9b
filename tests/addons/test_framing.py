"""Messages on their way through the engine: what travels, and how bodies are framed."""

from __future__ import annotations

import pytest
from mitmproxy import http

from addons.framing import (
    DNS_FAILURE,
    announced_size,
    attempt_request,
    client_head,
    frame_stream,
    frame_whole,
    headers_of,
    new_request,
    seal_request,
)


def request(url: str = "http://a/v1", **headers: str) -> http.Request:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return http.Request.make("POST", url, b"{}", http.Headers(pairs))


def test_a_copy_shares_nothing_that_can_change() -> None:
    original = request(x_one="1")
    copy = attempt_request(original)
    copy.url = "https://other:8443/v2?x=1"
    copy.headers["x-one"] = "2"
    copy.content = b"other"
    assert original.url == "http://a/v1"
    assert original.headers["x-one"] == "1"
    assert original.content == b"{}"
    assert original.headers["content-length"] == "2"


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://127.0.0.1:8000/v1/chat/completions", id="plain"),
        pytest.param("https://up.test/v1beta/models/m:generateContent?alt=sse", id="with a query"),
        pytest.param("https://[::1]:8443/a%20b", id="IPv6"),
    ],
)
def test_a_new_request_is_what_mitmproxy_makes(url: str) -> None:
    fields = ((b"content-type", b"application/json"), (b"x-one", b"1"))
    theirs = http.Request.make("POST", url, b'{"a":1}', http.Headers(fields)).data.get_state()
    request = new_request(url, b'{"a":1}', fields)
    ours = request.data.get_state()
    for moment in ("timestamp_start", "timestamp_end"):
        assert theirs.pop(moment) <= ours.pop(moment)
    assert ours == theirs
    request.headers["x-one"] = "2"
    request.path = "/other"
    assert new_request(url, b"", fields).path == theirs["path"].decode()
    assert new_request(url, b"", fields).headers["x-one"] == "1"


def test_headers_of_raw_pairs_are_headers() -> None:
    fields = ((b"A", b"1"), (b"a", b"2"), (b"B", b"3"))
    made = headers_of(fields)
    assert made == http.Headers(fields)
    assert (made["a"], made.get_all("A"), list(made)) == ("1, 2", ["1", "2"], ["A", "B"])
    made["b"] = "4"
    assert made.fields == ((b"A", b"1"), (b"a", b"2"), (b"B", b"4"))


def test_a_copy_of_an_http2_request_speaks_http1() -> None:
    original = request()
    original.http_version = "HTTP/2.0"
    original.authority = "gate.test"
    copy = attempt_request(original)
    assert (copy.http_version, copy.authority, copy.headers["host"]) == (
        "HTTP/1.1",
        "",
        "gate.test",
    )
    assert original.authority == "gate.test"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        pytest.param("http://up.test/v1", "up.test", id="default port"),
        pytest.param("https://up.test/v1", "up.test", id="default TLS port"),
        pytest.param("https://up.test:80/v1", "up.test:80", id="other port"),
        pytest.param("http://[::1]:8000/v1", "[::1]:8000", id="IPv6"),
    ],
)
def test_a_request_gets_its_host(url: str, host: str) -> None:
    made = request(url)
    seal_request(made)
    assert made.headers["host"] == host


def test_sealing_drops_what_belongs_to_one_connection() -> None:
    made = request(Connection="close", TE="trailers", Expect="100-continue", x_kept="1")
    made.headers["transfer-encoding"] = "chunked"
    seal_request(made)
    assert sorted(made.headers) == ["content-length", "host", "x-kept"]


def test_an_upgrade_keeps_its_connection_headers() -> None:
    made = request(connection="upgrade", upgrade="websocket")
    seal_request(made)
    assert made.headers["connection"] == "upgrade"


def test_the_clients_head_is_a_copy_without_the_upstreams_connection() -> None:
    upstream = http.Response.make(
        200, b"", {"connection": "close", "transfer-encoding": "chunked", "x-kept": "1"}
    )
    head = client_head(upstream)
    assert dict(head.headers) == {"x-kept": "1"}
    head.status_code = 201
    assert upstream.status_code == 200
    assert upstream.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        pytest.param("HTTP/1.1", {"transfer-encoding": "chunked"}, id="1.1"),
        pytest.param("HTTP/1.0", {"connection": "close"}, id="1.0"),
        pytest.param("HTTP/2.0", {}, id="2"),
    ],
)
def test_how_a_stream_is_framed(version: str, expected: dict[str, str]) -> None:
    asked = request()
    asked.http_version = version
    response = http.Response.make(200, b"xx", {})
    frame_stream(response, asked)
    assert dict(response.headers) == expected


@pytest.mark.parametrize(("status", "length"), [(200, "4"), (204, None), (304, None)])
def test_how_a_whole_body_is_framed(status: int, length: str | None) -> None:
    response = http.Response(b"HTTP/1.1", status, b"", http.Headers(), None, None, 0, 0)
    frame_whole(response, request(), b"four")
    assert response.headers.get("content-length") == length


@pytest.mark.parametrize(("header", "size"), [("17", 17), ("-1", 0), ("x", 0), ("", 0)])
def test_the_announced_size(header: str, size: int) -> None:
    made = request()
    made.headers["content-length"] = header
    assert announced_size(made) == size


def test_a_refused_connection_is_no_dns_failure() -> None:
    assert not DNS_FAILURE.search("[Errno 111] Connect call failed ('127.0.0.1', 1)")
    assert not DNS_FAILURE.search("Multiple exceptions: [Errno 111] x, [Errno 101] y")
