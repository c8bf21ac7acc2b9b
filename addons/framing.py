"""HTTP messages on their way through the engine: which headers belong to one connection only, and body framing."""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import Final

from mitmproxy import http

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Reference: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1 (read 2026-11-21)"""

DNS_FAILURE: Final = re.compile(
    r"\[Errno -\d+\]|getaddrinfo|nodename nor servname|[Nn]ame or service"
)
"""What the resolvers of Linux and macOS say; all that reaches the engine is the text."""

type Target = tuple[str, str, int]
type Fields = tuple[tuple[bytes, bytes], ...]


def target(request: http.Request) -> Target:
    """Scheme, host and port that a request goes to."""
    return request.scheme, request.host, request.port


def announced_size(request: http.Request) -> int:
    """The content-length of a request, 0 when it has none."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0


def is_upgrade(request: http.Request) -> bool:
    """Whether a request wants to become a WebSocket."""
    upgrade: str = request.headers.get("upgrade", "")
    return upgrade.lower() == "websocket"


def new_request(url: str, body: bytes, fields: Fields) -> http.Request:
    """A POST for an attempt: what `http.Request.make` makes, which reads its URL and copies its headers each time."""
    template = _template(url)
    length = (b"content-length", b"%d" % len(body))
    request = _clone(template, headers_of((*fields, length)))
    request.data.content = body
    request.data.timestamp_start = request.data.timestamp_end = time.time()
    return request


@lru_cache(maxsize=1024)
def _template(url: str) -> http.Request:
    return http.Request.make("POST", url)


def copy_request(request: http.Request) -> http.Request:
    """A copy that shares nothing that can change."""
    return _clone(request, headers_of(request.headers.fields))


def attempt_request(request: http.Request) -> http.Request:
    """A copy of the client's request for an attempt to edit."""
    clone = copy_request(request)
    if clone.is_http2 or clone.is_http3:
        if "host" not in clone.headers and clone.authority:
            clone.headers.insert(0, "host", clone.authority)
        clone.authority = ""
        clone.http_version = "HTTP/1.1"
    return clone


def seal_request(request: http.Request) -> None:
    """Make a request fit to be sent: no headers of the client's connection, the right host and length."""
    headers = request.headers
    if not is_upgrade(request):
        headers.fields = _end_to_end(headers)
    names = {pair[0].lower() for pair in headers.fields}
    if b"expect" in names:
        del headers["expect"]
    if b"host" not in names and not request.authority:
        default = 443 if request.scheme == "https" else 80
        host = f"[{request.host}]" if ":" in request.host else request.host
        headers.insert(0, "host", host if request.port == default else f"{host}:{request.port}")
    if request.raw_content or request.method in ("POST", "PUT", "PATCH"):
        length = b"%d" % len(request.raw_content or b"")
        if (b"content-length", length) not in headers.fields:
            headers["content-length"] = length


def client_head(upstream: http.Response) -> http.Response:
    """The upstream's response head for the client to get and the policy to edit; the original stays as it was."""
    if upstream.status_code == 101:
        return _clone(upstream, headers_of(upstream.headers.fields))
    return _clone(upstream, headers_of(_end_to_end(upstream.headers)))


def _clone[M: http.Message](message: M, headers: http.Headers) -> M:
    """A copy that shares nothing mutable; `message.copy()`, which goes through its state, costs twenty times as much."""
    clone, data = object.__new__(type(message)), object.__new__(type(message.data))
    vars(data).update(vars(message.data), headers=headers)
    vars(clone).update(vars(message), data=data)
    return clone


def headers_of(fields: Fields) -> http.Headers:
    """Headers of pairs of bytes; their constructor goes through all of them three times."""
    if not _ONLY_FIELDS:
        return http.Headers(fields)
    headers = object.__new__(http.Headers)
    headers.fields = fields
    return headers


_ONLY_FIELDS: Final = vars(http.Headers(((b"a", b"b"),))) == {"fields": ((b"a", b"b"),)}
"""Whether mitmproxy's headers are their fields and nothing else."""


def _end_to_end(headers: http.Headers) -> Fields:
    return tuple(pair for pair in headers.fields if pair[0].lower() not in HOP_BY_HOP)


def frame_stream(response: http.Response, request: http.Request) -> None:
    """Make the length unknown: chunked for HTTP/1.1, end of connection for HTTP/1.0; HTTP/2 needs no word."""
    response.headers.pop("content-length", None)
    response.headers.pop("transfer-encoding", None)
    if request.http_version == "HTTP/1.1":
        response.headers["transfer-encoding"] = "chunked"
    elif request.http_version == "HTTP/1.0":
        response.headers["connection"] = "close"


def frame_whole(response: http.Response, request: http.Request, body: bytes) -> None:
    """Set a buffered body, with its length unless the message cannot have one."""
    response.raw_content = body
    if request.method != "HEAD" and response.status_code not in (101, 204, 304):
        response.headers["content-length"] = str(len(body))
