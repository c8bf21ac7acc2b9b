"""Tool names on the wire: one bijection per request (pitfalls TOOL-11, TOOL-13, TOOL-17)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Final

from translators import ir
from translators.errors import ErrorKind, GatewayError
from translators.losses import Loss, Losses

_ILLEGAL: Final = re.compile(r"[^a-zA-Z0-9_-]")
_HASH_HEX: Final = 8


class ToolNames:
    """Give every tool of a request (declared, or only called in its history) a legal and unique wire name.

    `<namespace>__<name>`, then `[^a-zA-Z0-9_-]` -> `_` (a leading digit or `-` gets `_` in front), then cut
    to `limit` with an 8-hex hash of the full name; a collision gets `_2`, `_3` in order of declaration.
    Deterministic: the same declarations give the same names. A tool declared twice is `invalid_request`.
    """

    __slots__ = ("_limit", "_restore", "_wire")

    def __init__(self, request: ir.Request, limit: int = 64) -> None:
        self._limit = limit
        self._wire: dict[ir.ToolRef, str] = {}
        self._restore: dict[str, ir.ToolRef] = {}
        for tool in request.tools:
            if isinstance(tool, ir.HostedTool):
                continue
            if tool.ref in self._wire:
                raise GatewayError(
                    ErrorKind.INVALID_REQUEST,
                    f'{tool.path}: the tool "{full_name(tool.ref)}" is declared twice',
                    path=tool.path,
                )
            self._add(tool.ref)
        for ref in _called(request.messages):
            if ref not in self._wire:
                self._add(ref)

    def wire(self, ref: ir.ToolRef) -> str:
        """The wire name of a tool; one that was never seen gets its sanitised name."""
        return self._wire.get(ref) or sanitise(full_name(ref), self._limit)

    @property
    def restore(self) -> Mapping[str, ir.ToolRef]:
        """Wire name -> the client's tool, for `Reading.tools`."""
        return self._restore

    @property
    def renamed(self) -> tuple[tuple[ir.ToolRef, str], ...]:
        """Tools whose wire name differs from their own name, namespaces aside, for degradations."""
        return tuple((ref, wire) for ref, wire in self._wire.items() if wire != full_name(ref))

    def note_renamed(self, losses: Losses, path: str) -> None:
        """Record the new names; nothing is lost by them, since calls come back under the client's own."""
        for ref, wire in self.renamed:
            losses.give_up(
                Loss.TELEMETRY, path, f'the tool "{full_name(ref)}" goes by the name "{wire}"'
            )

    def _add(self, ref: ir.ToolRef) -> None:
        base = sanitise(full_name(ref), self._limit)
        wire = base
        count = 1
        while wire in self._restore:
            count += 1
            suffix = f"_{count}"
            wire = base[: self._limit - len(suffix)] + suffix
        self._wire[ref] = wire
        self._restore[wire] = ref


def full_name(ref: ir.ToolRef) -> str:
    """The qualified name: `<namespace>__<name>`, or the bare name at the top level."""
    return f"{ref.namespace}__{ref.name}" if ref.namespace else ref.name


def sanitise(name: str, limit: int = 64) -> str:
    """A name that every protocol accepts: a letter or `_` first, then `[a-zA-Z0-9_-]`, at most `limit` long."""
    legal = _ILLEGAL.sub("_", name)
    if not legal or legal[0].isdigit() or legal[0] == "-":
        legal = "_" + legal
    if len(legal) <= limit:
        return legal
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_HEX]
    return f"{legal[: limit - _HASH_HEX - 1]}_{digest}"


def _called(messages: tuple[ir.Message, ...]) -> Iterator[ir.ToolRef]:
    for message in messages:
        if message.role is ir.Role.ASSISTANT:
            for part in message.parts:
                if isinstance(part, ir.ToolCall):
                    yield part.ref
