"""`countTokens`: the body for an upstream, and the answer in both directions.

Reference: https://ai.google.dev/api/tokens (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from translators.gemini.spelling import camel_keys
from translators.wire import Json, JsonObject

_VERTEX_FIELDS: Final = ("contents", "systemInstruction", "tools", "generationConfig")
_COUNTED: Final = (*_VERTEX_FIELDS, "toolConfig", "cachedContent")


def count_body(body: JsonObject, model: str, *, vertex: bool = False) -> JsonObject:
    """The body for `countTokens` of a rendered request.

    On the Gemini API only the wrapped form counts system text and tools; Vertex AI has no wrapper.
    """
    if vertex:
        return {key: body[key] for key in _VERTEX_FIELDS if key in body}
    name = model if "/" in model else f"models/{model}"
    fields = {key: body[key] for key in _COUNTED if key in body}
    return {"generateContentRequest": {"model": name, **fields}}


def forwarded(
    body: JsonObject, model: str, change: Callable[[JsonObject], JsonObject]
) -> JsonObject:
    """A client's own count body, changed as a generation would be; the same object when nothing changes.

    The wrapped form holds the request to change and names the model once more. The bare form counts contents only:
    what the change adds beside them is left out.
    """
    for key in ("generateContentRequest", "generate_content_request"):
        wrapped = body.get(key)
        if isinstance(wrapped, dict):
            name = model if "/" in model else f"models/{model}"
            return {**body, key: {**change(wrapped), "model": name}}
    changed = change(body)
    if changed is body:
        return body
    return {key: value for key, value in changed.items() if key in body}


def without_wrapper(body: JsonObject) -> JsonObject:
    """A client's count body as Vertex AI takes it: bare, and only with the fields that it counts."""
    bare = camel_keys(body)
    wrapped = bare.get("generateContentRequest")
    inner = camel_keys(wrapped) if isinstance(wrapped, dict) else bare
    return {key: inner[key] for key in _VERTEX_FIELDS if key in inner}


def parse_count(body: Json) -> int | None:
    """The total of an upstream's count, None when it names none (zero is left out on the wire)."""
    if not isinstance(body, dict):
        return None
    counted = camel_keys(body)
    total = counted.get("totalTokens")
    if total is None and "promptTokensDetails" in counted:
        return 0
    try:
        return None if total is None or isinstance(total, bool) else int(total)
    except (TypeError, ValueError):
        return None


def render_count(total: int) -> JsonObject:
    """A count for a client."""
    return {"totalTokens": total}
