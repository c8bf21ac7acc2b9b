"""What the tests with official SDKs share: the four upstreams, sample inputs, and a comparison of answers."""

from __future__ import annotations

import base64
from typing import Any, Final

from pydantic import BaseModel

from scripts.fake import FakeProvider

UPSTREAMS: Final = ("chat", "responses", "claude", "gemini")
MIXED: Final = "日本語, emoji 🙂👩‍💻"
SEPARATOR: Final = "a line separator\u2028here"
CITY: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PNG: Final = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
    )
).decode()
PDF: Final = base64.b64encode(
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n"
    b"trailer<</Root 1 0 R>>\n%%EOF"
).decode()
CUTS: Final = ("close", "reset", "clean")
VOLATILE: Final = frozenset(
    {
        "id",
        "call_id",
        "tool_call_id",
        "item_id",
        "created",
        "created_at",
        "completed_at",
        "encrypted_content",
        "signature",
        "data",
        "thought_signature",
        "response_id",
        "create_time",
        "sdk_http_response",
        "automatic_function_calling_history",
        "parsed",
        "parsed_output",
        "parsed_arguments",
    }
)
"""Differs between two requests of the same content, or is the SDK's own addition."""


def model(up: str, scenario: str, **options: Any) -> str:
    """A model name that plays a scenario; the input count is fixed, a stream's body being longer."""
    played = {"input_tokens": 99, **options}
    return f"{up}/fake-{scenario}" + "".join(f"~{key}={value}" for key, value in played.items())


def shape(value: Any) -> Any:
    """An answer without what differs from request to request; what is empty left out."""
    if isinstance(value, BaseModel):
        return shape(value.model_dump(warnings=False))
    if isinstance(value, dict):
        return {
            key: shape(item)
            for key, item in value.items()
            if key not in VOLATILE and item not in (None, "", [])
        }
    if isinstance(value, list | tuple):
        return [shape(item) for item in value]
    return value


def same(unary: Any, streamed: Any) -> None:
    """A stream adds up to the same answer as a request without one."""
    assert shape(streamed) == shape(unary)


def accepted(fake: FakeProvider) -> None:
    """Nothing that the gateway sent was refused by the provider."""
    assert not [item.reason for item in fake.record.rejected]
