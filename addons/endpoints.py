"""Which path on the one port means what: client protocol and operation, or a page of our own.

Pure: a method and a path in, an `Endpoint` out. Paths are tolerant of what clients make of a base URL:
with and without `/v1`, under `/openai`, `/anthropic`, `/google`, and per tenant under `/namespaces/<name>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final
from urllib.parse import unquote

from translators.base import Operation


class Page(StrEnum):
    """Something that the gateway answers by itself, open to everyone who reaches the port."""

    ROOT = "root"
    HEALTH = "health"
    READY = "ready"
    ADMIN = "admin"
    CLIENT_NOISE = "client_noise"
    """Telemetry and probes that clients send to their vendor's host: acknowledged, never forwarded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What a request wants.

    `model` and `stream` are set when the path says them (Gemini). `item` is the id in the path of a resource.
    `protocol` is "" when only the headers can tell (model lists). `rest` is the path below an admin page.
    """

    protocol: str = ""
    operation: Operation | None = None
    page: Page | None = None
    namespace: str | None = None
    model: str | None = None
    stream: bool | None = None
    item: str | None = None
    action: str | None = None
    rest: str = ""
    methods: tuple[str, ...] = ("POST",)


_PREFIX: Final = re.compile(
    r"^(?:/namespaces/(?P<namespace>[^/]+))?(?:/(?P<vendor>openai|anthropic|google))?(?=/|$)"
)
_VERSION: Final = re.compile(r"^/v1(?:beta|alpha)?\d*(?=/)")
_GEMINI: Final = re.compile(r"^/models/(?P<model>.+):(?P<verb>[A-Za-z]+)$")
_RESPONSE_ITEM: Final = re.compile(
    r"^/responses/(?P<item>[^/]+)(?:/(?P<action>input_items|cancel))?$"
)

_FIXED: Final[Mapping[str, Endpoint]] = {
    "/chat/completions": Endpoint(protocol="openai_chat", operation=Operation.GENERATE),
    "/completions": Endpoint(protocol="openai_chat", operation=Operation.LEGACY_COMPLETION),
    "/responses": Endpoint(
        protocol="openai_responses", operation=Operation.GENERATE, methods=("POST", "GET")
    ),
    "/responses/compact": Endpoint(protocol="openai_responses", operation=Operation.COMPACT),
    "/responses/input_tokens": Endpoint(
        protocol="openai_responses", operation=Operation.COUNT_TOKENS
    ),
    "/messages": Endpoint(protocol="anthropic", operation=Operation.GENERATE),
    "/messages/count_tokens": Endpoint(protocol="anthropic", operation=Operation.COUNT_TOKENS),
}
_GEMINI_VERBS: Final[Mapping[str, tuple[Operation, bool]]] = {
    "generateContent": (Operation.GENERATE, False),
    "streamGenerateContent": (Operation.GENERATE, True),
    "countTokens": (Operation.COUNT_TOKENS, False),
}
_PAGES: Final[Mapping[str, Page]] = {
    "/": Page.ROOT,
    "": Page.ROOT,
    "/health": Page.HEALTH,
    "/ready": Page.READY,
    "/admin": Page.ADMIN,
    "/api/hello": Page.CLIENT_NOISE,
}
_NOISE: Final = ("/api/event_logging/", "/api/claude_code/", "/api/claude_cli/", "/api/oauth/")
_READ: Final = ("GET", "HEAD")
_RESOURCE_METHODS: Final[Mapping[str | None, tuple[str, ...]]] = {
    None: ("GET", "DELETE"),
    "input_items": ("GET",),
    "cancel": ("POST",),
}
_VENDOR_PROTOCOL: Final = {"anthropic": "anthropic", "google": "gemini", "openai": "openai_chat"}


def match(path: str) -> Endpoint | None:
    """The endpoint of a request path (its query string ignored), None when there is none."""
    path = path.partition("?")[0]
    if (page := _PAGES.get(path)) is not None:
        return Endpoint(page=page, methods=() if page is Page.ADMIN else _READ)
    if path.startswith("/admin/"):
        return Endpoint(page=Page.ADMIN, rest=path.removeprefix("/admin"), methods=())
    if path.startswith(_NOISE):
        return Endpoint(page=Page.CLIENT_NOISE, methods=())
    prefix = _PREFIX.match(path)
    namespace = vendor = None
    if prefix is not None:
        namespace, vendor = prefix["namespace"], prefix["vendor"]
        path = path[prefix.end() :]
    version = _VERSION.match(path)
    endpoint = _below_version(path[version.end() :] if version else path, version, vendor)
    if endpoint is None or namespace is None:
        return endpoint
    return replace(endpoint, namespace=unquote(namespace))


def _below_version(path: str, version: re.Match[str] | None, vendor: str | None) -> Endpoint | None:
    path = path.rstrip("/") or "/"
    if (fixed := _FIXED.get(path)) is not None:
        return fixed
    if (call := _GEMINI.match(path)) and call["verb"] in _GEMINI_VERBS:
        operation, stream = _GEMINI_VERBS[call["verb"]]
        return Endpoint(
            protocol="gemini", operation=operation, model=unquote(call["model"]), stream=stream
        )
    if item := _RESPONSE_ITEM.match(path):
        return Endpoint(
            protocol="openai_responses",
            operation=Operation.RESPONSE_ITEM,
            item=unquote(item["item"]),
            action=item["action"],
            methods=_RESOURCE_METHODS[item["action"]],
        )
    if path == "/models" or path.startswith("/models/"):
        gemini = vendor == "google" or (version is not None and "beta" in version[0])
        protocol = "gemini" if gemini else _VENDOR_PROTOCOL.get(vendor or "", "")
        model = unquote(path.removeprefix("/models").lstrip("/")) or None
        operation = Operation.LIST_MODELS if model is None else Operation.GET_MODEL
        return Endpoint(protocol=protocol, operation=operation, model=model, methods=_READ)
    return None


def guess_protocol(path: str, headers: Mapping[str, str]) -> str:
    """The protocol whose error shape a caller of an unknown path most likely reads.

    `headers` need `get` with lower-case names.
    """
    if headers.get("anthropic-version") or "/messages" in path or path.startswith("/anthropic"):
        return "anthropic"
    if headers.get("x-goog-api-key") or headers.get("x-goog-api-client") or "/v1beta" in path:
        return "gemini"
    if "/responses" in path:
        return "openai_responses"
    return "openai_chat"
