"""Fields inside a request's items, parts and tools that the documentation does not know (portability rules, section 1).

Only keys are looked at: what the known ones say is for the parsers. Types that are not listed are not judged, since
they never cross as they are. Reference: https://platform.openai.com/docs/api-reference/responses/create
(read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from translators import ir
from translators.losses import Loss
from translators.wire import Json, JsonObject

_CALL: Final = frozenset({"type", "id", "call_id", "status", "caller", "name", "namespace"})
_MARKED: Final = frozenset({"type", "prompt_cache_breakpoint", "cache_control"})
_ITEMS: Final[Mapping[str, frozenset[str]]] = {
    "message": frozenset({"type", "id", "role", "content", "status", "phase"}),
    "function_call": _CALL | {"arguments"},
    "custom_tool_call": _CALL | {"input"},
    "function_call_output": _CALL | {"output"},
    "custom_tool_call_output": _CALL | {"output"},
}
_PARTS: Final[Mapping[str, frozenset[str]]] = {
    "input_text": _MARKED | {"text"},
    "output_text": _MARKED | {"text", "annotations", "logprobs"},
    "refusal": frozenset({"type", "refusal"}),
    "input_image": _MARKED | {"image_url", "file_id", "detail"},
    "input_file": _MARKED | {"file_data", "file_id", "file_url", "filename", "detail"},
}
_TOOL: Final = frozenset(
    {"type", "name", "description", "allowed_callers", "defer_loading", "async"}
)
_TOOLS: Final[Mapping[str, frozenset[str]]] = {
    "function": _TOOL | {"parameters", "strict", "output_schema", "function"},
    "custom": _TOOL | {"format"},
}
_BOOKKEEPING: Final = "internal_"
"""How the names of a client's own notes begin, which mean nothing to a model."""


def unknown_inside(items: list[Json], tools: Json) -> Iterator[ir.Unshared]:
    """What no parser has read, with its path; null says nothing."""
    for index, item in enumerate(items):
        if isinstance(item, dict):
            kind = item.get("type") or ("message" if "role" in item else None)
            yield from _beside(item, _ITEMS.get(str(kind)), f"input[{index}]")
            for key in ("content", "output"):
                yield from _of_each(item.get(key), _PARTS, f"input[{index}].{key}")
    yield from _of_each(tools, _TOOLS, "tools")


def _of_each(values: Json, known: Mapping[str, frozenset[str]], path: str) -> Iterator[ir.Unshared]:
    if not isinstance(values, list):
        return
    for index, value in enumerate(values):
        if isinstance(value, dict):
            yield from _beside(value, known.get(str(value.get("type"))), f"{path}[{index}]")


def _beside(value: JsonObject, known: frozenset[str] | None, path: str) -> Iterator[ir.Unshared]:
    if known is None or known.issuperset(value):
        return
    for key, said in value.items():
        if key not in known and said is not None:
            loss = Loss.TELEMETRY if key.startswith(_BOOKKEEPING) else Loss.UNKNOWN
            yield ir.Unshared(path=f"{path}.{key}", loss=loss, reason="unknown field")
