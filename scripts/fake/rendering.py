"""Small things that all speakers share: JSON out, SSE frames, pieces of text, ids."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

from scripts.fake.view import JsonObject, View

CREATED = 1_794_000_000


def dump(value: Any) -> bytes:
    """Compact JSON; what orjson refuses cannot occur in what the fake says."""
    return orjson.dumps(value)


def data_frame(value: Any) -> bytes:
    """An SSE event with only a `data:` line."""
    return b"data: " + dump(value) + b"\n\n"


def named_frame(value: dict[str, Any]) -> bytes:
    """An SSE event whose `event:` line repeats `type`."""
    return f"event: {value['type']}\ndata: ".encode() + dump(value) + b"\n\n"


def pieces(text: str, size: int) -> Iterator[str]:
    """Cut text into deltas of about `size` characters, at spaces where there are some."""
    start = 0
    while start < len(text):
        end = min(start + size, len(text))
        space = text.rfind(" ", start + 1, end)
        if end < len(text) and space > start:
            end = space
        yield text[start:end]
        start = end


def new_id(view: View, prefix: str, *parts: object, length: int = 24) -> str:
    """An id that is the same for the same request and place: a retry sees the same ids."""
    seed = "/".join((view.digest, prefix, *map(str, parts)))
    return prefix + hashlib.sha256(seed.encode()).hexdigest()[:length]


def call_item_id(view: View, prefix: str, index: int, *, thought: bool, length: int = 24) -> str:
    """The id of a call, marked when reasoning came before it, so that leaving the reasoning out is noticed."""
    return new_id(view, prefix, index, length=length) + ("T" if thought else "")


def came_after_thought(identity: str, prefix: str) -> bool:
    """True for an id that `call_item_id` marked."""
    return re.fullmatch(re.escape(prefix) + "[0-9a-f]{20,}T", identity) is not None


LOGPROB: Final = -0.25


def token_logprobs(text: str, size: int) -> list[JsonObject]:
    """Each piece of a text as a token, in the words of both OpenAI protocols."""
    return [
        {
            "token": piece,
            "logprob": LOGPROB,
            "bytes": list(piece.encode()),
            "top_logprobs": [{"token": piece, "logprob": LOGPROB, "bytes": list(piece.encode())}],
        }
        for piece in pieces(text, size)
    ]
