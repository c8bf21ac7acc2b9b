"""The four protocols of the fake, each as one row of functions; and which path belongs to which."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from scripts.fake import (
    read_anthropic,
    read_chat,
    read_gemini,
    read_responses,
    speak_anthropic,
    speak_chat,
    speak_gemini,
    speak_responses,
    validate_anthropic,
    validate_chat,
    validate_gemini,
    validate_responses,
)
from scripts.fake.http import Request
from scripts.fake.rejection import Rejection
from scripts.fake.view import JsonObject, Stream, Turn, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One protocol: how to check, read, answer and refuse."""

    name: str
    validate: Callable[[JsonObject, str, Request, str], None]
    read: Callable[..., View]
    unary: Callable[[Turn, View], JsonObject]
    stream: Callable[[Turn, View], Stream]
    error: Callable[[Rejection], JsonObject]
    stream_error: Callable[[Rejection, View, int], list[bytes]]
    overflow: Callable[[View], Rejection]
    models: Callable[[tuple[str, ...]], JsonObject]
    model: Callable[[str], JsonObject]
    count: Callable[[int], JsonObject]
    not_found: Callable[[str], Rejection]
    bad_key: Callable[[str], Rejection]
    key: Callable[[Request], str]
    request_id: str


@dataclass(frozen=True, slots=True)
class Call:
    """What a path asks for; `model` is set where the path names it."""

    dialect: Dialect
    operation: str
    model: str = ""
    stream: bool = False


def _bearer(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _anthropic_key(request: Request) -> str:
    return request.headers.get("x-api-key") or _bearer(request)


def _gemini_key(request: Request) -> str:
    given = request.headers.get("x-goog-api-key") or request.query.get("key")
    return given or _bearer(request)


def _validate_chat(body: JsonObject, model: str, request: Request, operation: str) -> None:
    validate_chat.validate(body, model)


_RESPONSES_CHECKS: Final = {
    "create": validate_responses.validate,
    "count": validate_responses.validate_count,
    "compact": validate_responses.validate_compact,
}


def _validate_responses(body: JsonObject, model: str, request: Request, operation: str) -> None:
    _RESPONSES_CHECKS[operation](body, model)


def _validate_anthropic(body: JsonObject, model: str, request: Request, operation: str) -> None:
    version = request.headers.get("anthropic-version", "")
    if not version:
        raise Rejection(400, "anthropic-version: header is required")
    if version not in validate_anthropic.VERSIONS:
        raise Rejection(400, f'anthropic-version: "{version}" is not a valid version')
    flags = request.headers.get("anthropic-beta", "").split(",")
    betas = tuple(flag.strip() for flag in flags if flag.strip())
    check = (
        validate_anthropic.validate_count if operation == "count" else validate_anthropic.validate
    )
    check(body, model, version=version, betas=betas)


def _validate_vertex(body: JsonObject, model: str, request: Request, operation: str) -> None:
    """As the first-party API, but the version stands in the body, and the model in the path except for a count.

    Reference: https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude
    (read 2026-11-21)
    """
    rest = {key: value for key, value in body.items() if key != "anthropic_version"}
    version = body.get("anthropic_version")
    if version not in VERTEX_VERSIONS:
        raise Rejection(400, f"anthropic_version: {version!r} is not a version of this platform")
    if operation == "create":
        if "model" in body:
            raise Rejection(400, "model: Extra inputs are not permitted")
        rest["model"] = model
        if request.path.endswith(":streamRawPredict") != (body.get("stream") is True):
            raise Rejection(400, "stream: must agree with the method")
    elif "model" not in body:
        raise Rejection(400, "model: Field required")
    flags = request.headers.get("anthropic-beta", "").split(",")
    betas = tuple(flag.strip() for flag in flags if flag.strip())
    check = (
        validate_anthropic.validate_count if operation == "count" else validate_anthropic.validate
    )
    check(rest, rest["model"], version=VERTEX_VERSIONS[version], betas=betas)


VERTEX_VERSIONS: Final = {"vertex-2023-10-16": "2023-06-01", "2026-10-21": "2026-10-21"}
"""What the body may say, and the first-party version that it means."""


def _validate_gemini(body: JsonObject, model: str, request: Request, operation: str) -> None:
    check = validate_gemini.validate_count if operation == "count" else validate_gemini.validate
    check(body, model)


CHAT: Final = Dialect(
    name="openai_chat",
    validate=_validate_chat,
    read=read_chat.read,
    unary=speak_chat.unary,
    stream=speak_chat.stream,
    error=speak_chat.error,
    stream_error=speak_chat.stream_error,
    overflow=speak_chat.overflow,
    models=speak_chat.models,
    model=speak_chat.model,
    count=speak_chat.count,
    not_found=speak_chat.not_found,
    bad_key=speak_chat.bad_key,
    key=_bearer,
    request_id="x-request-id",
)
RESPONSES: Final = Dialect(
    name="openai_responses",
    validate=_validate_responses,
    read=read_responses.read,
    unary=speak_responses.unary,
    stream=speak_responses.stream,
    error=speak_responses.error,
    stream_error=speak_responses.stream_error,
    overflow=speak_responses.overflow,
    models=speak_responses.models,
    model=speak_responses.model,
    count=speak_responses.count,
    not_found=speak_responses.not_found,
    bad_key=speak_responses.bad_key,
    key=_bearer,
    request_id="x-request-id",
)
ANTHROPIC: Final = Dialect(
    name="anthropic",
    validate=_validate_anthropic,
    read=read_anthropic.read,
    unary=speak_anthropic.unary,
    stream=speak_anthropic.stream,
    error=speak_anthropic.error,
    stream_error=speak_anthropic.stream_error,
    overflow=speak_anthropic.overflow,
    models=speak_anthropic.models,
    model=speak_anthropic.model,
    count=speak_anthropic.count,
    not_found=speak_anthropic.not_found,
    bad_key=speak_anthropic.bad_key,
    key=_anthropic_key,
    request_id="request-id",
)
VERTEX: Final = replace(ANTHROPIC, validate=_validate_vertex, key=_bearer)
"""Anthropic's protocol on Google Cloud."""
GEMINI: Final = Dialect(
    name="gemini",
    validate=_validate_gemini,
    read=read_gemini.read,
    unary=speak_gemini.unary,
    stream=speak_gemini.stream,
    error=speak_gemini.error,
    stream_error=speak_gemini.stream_error,
    overflow=speak_gemini.overflow,
    models=speak_gemini.models,
    model=speak_gemini.model,
    count=speak_gemini.count,
    not_found=speak_gemini.not_found,
    bad_key=speak_gemini.bad_key,
    key=_gemini_key,
    request_id="",
)
DIALECTS: Final[Mapping[str, Dialect]] = {
    dialect.name: dialect for dialect in (CHAT, RESPONSES, ANTHROPIC, GEMINI)
}
_PLAIN: Final = {
    "/v1/chat/completions": (CHAT, "create"),
    "/v1/responses": (RESPONSES, "create"),
    "/v1/responses/input_tokens": (RESPONSES, "count"),
    "/v1/responses/compact": (RESPONSES, "compact"),
    "/v1/messages": (ANTHROPIC, "create"),
    "/v1/messages/count_tokens": (ANTHROPIC, "count"),
}
_GEMINI_PATH: Final = re.compile(
    r"/v1(?:beta|alpha)?/(?:models|tunedModels)/(.+):(generateContent|streamGenerateContent|countTokens)"
)
_CLOUD: Final = re.compile(r"/v1/projects/[^/]+/locations/[^/]+/publishers/(anthropic|google)(/.+)")
_RAW_PREDICT: Final = re.compile(r"/models/([^/]+):(?:streamR|r)awPredict")
_MODELS_PATH: Final = re.compile(r"/(v1|v1beta|v1alpha)/models(?:/(.+))?")


def locate(request: Request) -> Call | None:
    """What the request asks for, or None for a path that no provider has."""
    if request.path in _PLAIN:
        dialect, operation = _PLAIN[request.path]
        return Call(dialect, operation)
    found = _GEMINI_PATH.fullmatch(request.path)
    if found:
        operation = "count" if found[2] == "countTokens" else "create"
        return Call(GEMINI, operation, found[1], found[2].startswith("stream"))
    found = _CLOUD.fullmatch(request.path)
    if found:
        return _on_cloud(found[1], found[2])
    found = _MODELS_PATH.fullmatch(request.path)
    if found:
        return Call(_lister(request, found[1]), "models", found[2] or "")
    return None


def _on_cloud(publisher: str, rest: str) -> Call | None:
    """Google Cloud's paths: the protocols of two publishers below a project and a location."""
    if publisher == "google":
        found = _GEMINI_PATH.fullmatch(f"/v1{rest}")
        if found is None:
            return None
        operation = "count" if found[2] == "countTokens" else "create"
        google = replace(GEMINI, key=_bearer)
        return Call(google, operation, found[1], found[2].startswith("stream"))
    found = _RAW_PREDICT.fullmatch(rest)
    if found is None:
        return None
    if found[1] == "count-tokens":
        return Call(VERTEX, "count")
    return Call(VERTEX, "create", found[1])


def _lister(request: Request, version: str) -> Dialect:
    """Three APIs list models on one path: headers tell which is meant."""
    if "anthropic-version" in request.headers:
        return ANTHROPIC
    if version != "v1" or "x-goog-api-key" in request.headers or "key" in request.query:
        return GEMINI
    return CHAT
