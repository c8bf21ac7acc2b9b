"""Tool names on the wire: one bijection per request (pitfalls TOOL-11, TOOL-13, TOOL-17)."""

from __future__ import annotations

from collections.abc import Mapping

from translators import ir


class ToolNames:
    """Give every tool of a request (declared, or only called in its history) a legal and unique wire name.

    `<namespace>__<name>`, then `[^a-zA-Z0-9_-]` -> `_` (a leading digit or `-` gets `_` in front), then cut
    to `limit` with an 8-hex hash of the full name; a collision gets `_2`, `_3` in order of declaration.
    Deterministic: the same declarations give the same names.
    """

    def __init__(self, request: ir.Request, limit: int = 64) -> None:
        raise NotImplementedError

    def wire(self, ref: ir.ToolRef) -> str:
        """The wire name of a tool; one that was never seen gets its sanitised name."""
        raise NotImplementedError

    @property
    def restore(self) -> Mapping[str, ir.ToolRef]:
        """Wire name -> the client's tool, for `Reading.tools`."""
        raise NotImplementedError

    @property
    def renamed(self) -> tuple[tuple[ir.ToolRef, str], ...]:
        """Tools whose wire name differs from their own name, namespaces aside, for degradations."""
        raise NotImplementedError
