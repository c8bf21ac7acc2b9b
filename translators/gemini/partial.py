"""Call arguments that arrive as `partialArgs` (Vertex AI): paths and values put together into one object.

It must not know the stream: `stream.py` decides when a call begins and ends.
Reference: https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling (read 2026-11-21)
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from translators.errors import ErrorKind, GatewayError
from translators.gemini.spelling import camel_keys
from translators.wire import Json, JsonObject

_STEP: Final = re.compile(r"""\.?([^.\[\]'"]+)|\[(\d+)\]|\[(?:'([^']*)'|"([^"]*)")\]""")
_MAX_INDEX: Final = 100_000
_SCALARS: Final = ("stringValue", "numberValue", "boolValue")


class PartialArguments:
    """The arguments of one call while its pieces come in."""

    __slots__ = ("_growing", "value")

    def __init__(self) -> None:
        self.value: JsonObject = {}
        self._growing: str | None = None  # path of the string that the next piece continues

    def add(self, pieces: list[JsonObject]) -> None:
        """Take the pieces of one chunk; `upstream_malformed` for a path that leads nowhere."""
        for raw in pieces:
            piece = camel_keys(raw)
            path = str(piece.get("jsonPath", ""))
            value: Json = next((piece[key] for key in _SCALARS if key in piece), None)
            self._set(path, value, append=self._growing == path)
            self._growing = path if piece.get("willContinue") else None

    def _set(self, path: str, value: Json, *, append: bool) -> None:
        steps = _steps(path)
        holder: Json = self.value
        for step, following in pairwise(steps):
            holder = _child(holder, step, [] if isinstance(following, int) else {}, path)
        old = _child(holder, steps[-1], value, path)
        if append and isinstance(old, str) and isinstance(value, str):
            holder[steps[-1]] = old + value
        else:
            holder[steps[-1]] = value


def _child(holder: Json, step: str | int, default: Json, path: str) -> Json:
    """The value at one step, made when it is missing."""
    if isinstance(step, int):
        if not isinstance(holder, list) or step > _MAX_INDEX:
            raise _malformed(path)
        holder.extend([None] * (step + 1 - len(holder)))
        if holder[step] is None:
            holder[step] = default
        return holder[step]
    if not isinstance(holder, dict):
        raise _malformed(path)
    return holder.setdefault(step, default)


def _steps(path: str) -> list[str | int]:
    """`$.a[0]['b c']` as a list of keys and indexes."""
    if not path.startswith("$"):
        raise _malformed(path)
    steps: list[str | int] = []
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise _malformed(path)
        key, index, single, double = match.groups()
        steps.append(
            int(index) if index else next(k for k in (key, single, double) if k is not None)
        )
        position = match.end()
    if not steps:
        raise _malformed(path)
    return steps


def _malformed(path: str) -> GatewayError:
    return GatewayError(
        ErrorKind.UPSTREAM_MALFORMED,
        f"the provider sent call arguments at an unusable path {path!r}",
    )
