"""The client's credential: the five places it may stand in, and the token file of a fresh install.

Reading is pure; only `ensure_token` touches the disk. Values are secrets: they are compared in constant time,
never logged, and removed from the request before anything else sees it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

from mitmproxy import http

from translators.errors import ErrorKind, GatewayError

HEADERS: Final = ("x-api-key", "api-key", "x-goog-api-key")
GATEWAY_HEADER: Final = "x-llmgate-key"
"""Names the gateway's key, so that the usual places are free for the client's own key of a provider."""
_REMOVED: Final = frozenset(
    name.encode()
    for name in ("authorization", "cookie", "proxy-authorization", GATEWAY_HEADER, *HEADERS)
)
TOKEN_PREFIX: Final = "llmgate-"  # noqa: S105 - a prefix, no secret


def presented_key(request: http.Request) -> str | None:
    """The one credential of a request, None when it has none.

    `invalid_request` when two places disagree, or `Authorization` is not of the Bearer kind.
    """
    found: dict[str, str] = {}
    given = _given(request)
    for value in given.get("authorization", ()):
        scheme, _, token = value.strip().partition(" ")
        if scheme.lower() != "bearer":
            raise GatewayError(
                ErrorKind.INVALID_REQUEST,
                "the Authorization header must be of the form: Bearer <key>",
                code="invalid_authorization",
            )
        # A pasted key often brings its own "Bearer" (pitfalls AUTH-05).
        token = token.strip().removeprefix("Bearer ").strip()
        if token:
            found.setdefault(token, "authorization")
    for header in HEADERS:
        for value in given.get(header, ()):
            if value.strip():  # Gemini CLI may send an empty one
                found.setdefault(value.strip(), header)
    for name, value in _query(request.path):
        if name == "key" and value.strip():
            found.setdefault(value.strip(), "?key=")
    return _only(found)


def _given(request: http.Request) -> dict[str, list[str]]:
    """The values of the headers that a credential may stand in."""
    given: dict[str, list[str]] = {}
    for raw_name, raw_value in request.headers.fields:
        if (name := raw_name.lower()) in _REMOVED:
            values = given.setdefault(name.decode(), [])
            values.append(raw_value.decode("utf-8", "surrogateescape"))
    return given


def split_keys(request: http.Request) -> tuple[str | None, str | None]:
    """The gateway's key and, where that has a header of its own, the client's key for a provider."""
    presented = presented_key(request)
    gateway = request.headers.get(GATEWAY_HEADER, "").strip()
    return (gateway, presented) if gateway else (presented, None)


def _only(found: dict[str, str]) -> str | None:
    if len(found) > 1:
        raise GatewayError(
            ErrorKind.INVALID_REQUEST,
            f"conflicting credentials in {' and '.join(found.values())}: send one key only",
            code="conflicting_credentials",
        )
    return next(iter(found), None)


def remove_key(request: http.Request) -> None:
    """Take every credential out of a request, the query parameter included, before it can be stored."""
    fields = request.headers.fields
    kept_fields = tuple(pair for pair in fields if pair[0].lower() not in _REMOVED)
    if len(kept_fields) < len(fields):
        request.headers.fields = kept_fields
    path, _question, query = request.path.partition("?")
    if query:
        pairs = query.split("&")
        others = [pair for pair in pairs if unquote_plus(pair.partition("=")[0]) != "key"]
        if len(others) < len(pairs):
            request.path = f"{path}?{'&'.join(others)}" if others else path


def _query(path: str) -> list[tuple[str, str]]:
    query = path.partition("?")[2]
    return parse_qsl(query, keep_blank_values=True) if query else []


def digest(key: str) -> bytes:
    """What keys are compared by: their SHA-256."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def ensure_token(home: Path) -> tuple[str, bool]:
    """The generated client key in `home/token`, and whether it was made just now.

    The directory is made 0700 and the file 0600. An unreadable file is `misconfigured`.
    """
    return ensure_secret(home / "token", TOKEN_PREFIX)


def ensure_secret(path: Path, prefix: str = "") -> tuple[str, bool]:
    """The secret in a file, made at random if there is none, and whether it was made just now."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = path.read_text().strip() if path.exists() else ""
        if text:
            return text, False
        text = prefix + secrets.token_urlsafe(32)
        write_secret(path, text + "\n")
    except OSError as error:
        raise GatewayError(
            ErrorKind.MISCONFIGURED,
            f"cannot use the file {path}: {error.strerror}; set LLMGATE_HOME to a writable directory",
        ) from error
    return text, True


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read, all of it or nothing."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
