"""The same protocol on both sides: the bytes pass, and only the model's name is swapped in them.

Pure. Nothing is re-serialised, so unknown fields, key order, number spellings and signatures survive.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Final

from translators.wire import JsonObject, dumps, loads

_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_NO_PREVIOUS: Final = re.compile(rb'"previous_response_id"\s*:\s*null')
_WHITESPACE: Final = b" \t\r\n"
_KEY: Final = b'"model"'
_ESCAPED: Final = b"\\u006"
"""In every other spelling of that key: all its letters are U+0064 to U+006F, and have no short escapes."""
MODEL_FIELDS: Final = {"gemini": "modelVersion"}
"""The name of the model field in answers, where it is not `model`."""
ANSWER_FIELDS: Final = {
    "openai_chat": "choices",
    "openai_responses": "output",
    "anthropic": "content",
    "gemini": "candidates",
}
"""The field that what the model said is in."""


def swap_model(raw: bytes, body: JsonObject, model: str) -> bytes:
    """The request's bytes with another value of its top-level `model`, everything else untouched.

    A body without a model gets one as its first key (Codex leaves it out in some follow-up requests).
    """
    old = body.get("model")
    if old == model:
        return raw
    if old is None and "model" not in body:
        start = raw.index(b"{") + 1
        comma = b"," if body else b""
        return raw[:start] + b'"model":' + dumps(model) + comma + raw[start:]
    start, end = _value_span(raw)
    return raw[:start] + dumps(model) + raw[end:]


def _value_span(raw: bytes) -> tuple[int, int]:
    """Where the value of the root object's `model` stands (a string or null).

    The last one wins where the key is repeated, as it does in every JSON reader.
    """
    depth = 0
    span: tuple[int, int] | None = None
    for token in _TOKENS.finditer(raw):
        text = token[0]
        if text in (b"{", b"["):
            depth += 1
        elif text in (b"}", b"]"):
            depth -= 1
        elif depth == 1 and (text == _KEY or (_ESCAPED in text and loads(text) == "model")):
            start = _skip(raw, token.end())
            if raw[start : start + 1] == b":":
                start = _skip(raw, start + 1)
                span = (start, _value_end(raw, start))
                if raw.find(_KEY, start) < 0 and raw.find(_ESCAPED, start) < 0:
                    break
    if span is None:
        raise ValueError("the body has no model")
    return span


def _skip(raw: bytes, position: int) -> int:
    while raw[position : position + 1] in _WHITESPACE and position < len(raw):
        position += 1
    return position


def _value_end(raw: bytes, start: int) -> int:
    if raw[start : start + 1] == b'"':
        token = _TOKENS.match(raw, start)
        if token is not None:
            return token.end()
    return start + len(b"null")


class _Lines(ABC):
    """Change an answer that is passed on: called with pieces, b"" flushes.

    Works on whole lines, so that what a chunk's end cuts in two is found; only the unfinished last line waits.
    """

    _tail = b""

    def __call__(self, data: bytes) -> bytes:
        """Changed bytes, as many as are ready."""
        if not data:
            tail, self._tail = self._tail, b""
            return self.whole(tail)
        data = self._tail + data
        end = data.rfind(b"\n") + 1
        self._tail = data[end:]
        return self.whole(data[:end])

    @abstractmethod
    def whole(self, body: bytes) -> bytes:
        """The changed bytes of complete lines."""


class ModelRenamer(_Lines):
    """Swap the provider's model name for the client's, where it stands first on a line."""

    def __init__(self, field: str, upstream_model: str, client_model: str) -> None:
        name = re.escape(dumps(upstream_model))
        self._pattern = re.compile(rb'"' + re.escape(field.encode()) + rb'"(\s*:\s*)' + name)
        self._replacement = b'"' + field.encode() + rb'"\g<1>' + _literal(dumps(client_model))

    def whole(self, body: bytes) -> bytes:
        """See _Lines."""
        if not self._pattern.search(body):
            return body
        lines = body.split(b"\n")
        return b"\n".join(self._pattern.sub(self._replacement, line, count=1) for line in lines)


def _literal(data: bytes) -> bytes:
    return data.replace(b"\\", rb"\\")


class PreviousId(_Lines):
    """Say `previous_response_id` in an answer of an upstream that was sent the earlier items instead."""

    def __init__(self, response_id: str) -> None:
        self._replacement = b'"previous_response_id":' + dumps(response_id)

    def whole(self, body: bytes) -> bytes:
        """See _Lines."""
        if b'"previous_response_id"' not in body:
            return body
        return _NO_PREVIOUS.sub(lambda _found: self._replacement, body)


def swap_answer_model(body: bytes, field: str, upstream_model: str, client_model: str) -> bytes:
    """The whole answer's bytes with the client's model name."""
    return ModelRenamer(field, upstream_model, client_model).whole(body)
