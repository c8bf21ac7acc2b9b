"""HTTP messages on their way through the engine: which headers belong to one connection only, and body framing."""

from __future__ import annotations

import re
import time
from typing import Final

from mitmproxy import http

HOP_BY_HOP: Final = (
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
)
"""Reference: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1 (read 2026-11-21)"""

DNS_FAILURE: Final = re.compile(
    r"\[Errno -\d+\]|getaddrinfo|nodename nor servname|[Nn]ame or service"
)
"""What the resolvers of Linux and macOS say; all that reaches the engine is the text."""

Target = tuple[str, str, int]


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


def attempt_request(request: http.Request) -> http.Request:
    """A copy of the client's request for an attempt to edit."""
    copy = request.copy()
    if copy.is_http2 or copy.is_http3:
        if "host" not in copy.headers and copy.authority:
            copy.headers.insert(0, "host", copy.authority)
        copy.authority = ""
        copy.http_version = "HTTP/1.1"
    return copy


def seal_request(request: http.Request) -> None:
    """Make a request fit to be sent: no headers of the client's connection, the right host and length."""
    headers = request.headers
    if not is_upgrade(request):
        for name in HOP_BY_HOP:
            headers.pop(name, None)
    headers.pop("expect", None)
    if "host" not in headers and not request.authority:
        default = 443 if request.scheme == "https" else 80
        host = f"[{request.host}]" if ":" in request.host else request.host
        headers.insert(0, "host", host if request.port == default else f"{host}:{request.port}")
    if request.raw_content or request.method in ("POST", "PUT", "PATCH"):
        headers["content-length"] = str(len(request.raw_content or b""))


def client_head(upstream: http.Response) -> http.Response:
    """The upstream's response head for the client to get and the policy to edit; the original stays as it was."""
    head = http.Response(
        upstream.data.http_version,
        upstream.data.status_code,
        upstream.data.reason,
        upstream.headers.copy(),
        None,
        None,
        upstream.timestamp_start or time.time(),
        None,
    )
    if upstream.status_code != 101:
        for name in HOP_BY_HOP:
            head.headers.pop(name, None)
    return head


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
