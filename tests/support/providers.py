"""Gateway configurations that lead to the fake provider."""

from __future__ import annotations

from typing import Any

from scripts.fake import DEFAULT_KEY, FakeProvider

VERSIONS = {"openai_chat": "v1", "openai_responses": "v1", "anthropic": "v1", "gemini": "v1beta"}
PROVIDERS = {
    "chat": "openai_chat",
    "responses": "openai_responses",
    "claude": "anthropic",
    "gemini": "gemini",
}


def provider(fake: FakeProvider, protocol: str, **more: Any) -> dict[str, Any]:
    """One provider entry."""
    url = f"{fake.base_url}/{VERSIONS[protocol]}"
    return {"protocol": protocol, "base_url": url, "api_key": DEFAULT_KEY, **more}


def four_providers(fake: FakeProvider, **more: Any) -> dict[str, Any]:
    """One provider per protocol."""
    providers = {name: provider(fake, protocol) for name, protocol in PROVIDERS.items()}
    # One failure is what a test is about: nothing is tried again behind its back.
    return {
        "providers": providers,
        "retry": {"max_attempts": 1},
        "cooldowns": {"enabled": False},
        **more,
    }
