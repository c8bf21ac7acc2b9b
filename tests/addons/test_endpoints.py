"""Paths on the one port: protocols, operations, aliases, pages."""

from __future__ import annotations

import pytest

from addons import endpoints
from addons.endpoints import Page
from translators.base import Operation

GENERATE = Operation.GENERATE


@pytest.mark.parametrize(
    ("path", "protocol", "operation"),
    [
        ("/v1/chat/completions", "openai_chat", GENERATE),
        ("/chat/completions", "openai_chat", GENERATE),
        ("/openai/v1/chat/completions", "openai_chat", GENERATE),
        ("/openai/chat/completions?x=1", "openai_chat", GENERATE),
        ("/v1/completions", "openai_chat", Operation.LEGACY_COMPLETION),
        ("/v1/responses", "openai_responses", GENERATE),
        ("/responses", "openai_responses", GENERATE),
        ("/v1/responses/compact", "openai_responses", Operation.COMPACT),
        ("/v1/responses/input_tokens", "openai_responses", Operation.COUNT_TOKENS),
        ("/v1/messages", "anthropic", GENERATE),
        ("/v1/messages?beta=true", "anthropic", GENERATE),
        ("/anthropic/v1/messages", "anthropic", GENERATE),
        ("/messages", "anthropic", GENERATE),
        ("/v1/messages/count_tokens?beta=true", "anthropic", Operation.COUNT_TOKENS),
        ("/v1beta/models/m:generateContent", "gemini", GENERATE),
        ("/v1/models/m:streamGenerateContent?alt=sse", "gemini", GENERATE),
        ("/google/v1beta/models/m:countTokens", "gemini", Operation.COUNT_TOKENS),
        ("/v1beta/models", "gemini", Operation.LIST_MODELS),
        ("/anthropic/v1/models", "anthropic", Operation.LIST_MODELS),
        ("/v1/models", "", Operation.LIST_MODELS),
        ("/models/gpt", "", Operation.GET_MODEL),
    ],
)
def test_data_plane(path: str, protocol: str, operation: Operation) -> None:
    endpoint = endpoints.match(path)
    assert endpoint is not None
    assert (endpoint.protocol, endpoint.operation) == (protocol, operation)


@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        ("/v1beta/models/gemini-3:generateContent", "gemini-3", False),
        ("/v1beta/models/x/y:z:streamGenerateContent?alt=sse", "x/y:z", True),
        ("/v1beta/models/a%2Fb:generateContent", "a/b", False),
    ],
)
def test_mdl_06_the_model_is_everything_up_to_the_last_verb(
    path: str, model: str, stream: bool
) -> None:
    endpoint = endpoints.match(path)
    assert endpoint is not None
    assert (endpoint.model, endpoint.stream) == (model, stream)


@pytest.mark.parametrize(
    ("path", "item", "action", "methods"),
    [
        ("/v1/responses/resp_1", "resp_1", None, ("GET", "DELETE")),
        ("/v1/responses/resp_1/input_items", "resp_1", "input_items", ("GET",)),
        ("/v1/responses/resp_1/cancel", "resp_1", "cancel", ("POST",)),
    ],
)
def test_stored_responses(
    path: str, item: str, action: str | None, methods: tuple[str, ...]
) -> None:
    endpoint = endpoints.match(path)
    assert endpoint is not None
    assert (endpoint.item, endpoint.action, endpoint.methods) == (item, action, methods)


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/", Page.ROOT),
        ("/health", Page.HEALTH),
        ("/ready", Page.READY),
        ("/admin/status", Page.ADMIN),
        ("/api/hello", Page.CLIENT_NOISE),
        ("/api/event_logging/batch", Page.CLIENT_NOISE),
    ],
)
def test_pages(path: str, page: Page) -> None:
    endpoint = endpoints.match(path)
    assert endpoint is not None
    assert endpoint.page is page


def test_a_namespace_is_taken_off_the_front() -> None:
    endpoint = endpoints.match("/namespaces/team%20a/openai/v1/responses")
    assert endpoint is not None
    assert (endpoint.namespace, endpoint.protocol) == ("team a", "openai_responses")


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v2/messages", "/openai", "/messagesx", "/v1"])
def test_there_is_nothing_elsewhere(path: str) -> None:
    assert endpoints.match(path) is None


@pytest.mark.parametrize(
    ("path", "headers", "protocol"),
    [
        ("/v1/x", {"anthropic-version": "2023-06-01"}, "anthropic"),
        ("/v1/x", {"x-goog-api-key": "k"}, "gemini"),
        ("/v1beta/x", {}, "gemini"),
        ("/v1/responses/a/b", {}, "openai_responses"),
        ("/v1/x", {}, "openai_chat"),
    ],
)
def test_the_error_shape_of_an_unknown_path(
    path: str, headers: dict[str, str], protocol: str
) -> None:
    assert endpoints.guess_protocol(path, headers) == protocol
