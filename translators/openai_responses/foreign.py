"""Item kinds that only the Responses API has: what becomes of each in another protocol.

The table is section 4.2 of the portability rules; the readable rendering is section 4.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from translators import ir
from translators.losses import Action, Losses
from translators.openai_responses.content import PROTOCOL, readable_text
from translators.wire import Json, JsonObject, dump_text

MAX_RESULT_CHARS: Final = 4000

_REJECT: Final = ir.ForeignRule(Action.REJECT, Action.REJECT, Action.REJECT)
_DROP: Final = ir.ForeignRule(Action.REJECT, Action.WARN, Action.WARN)
_TEXT: Final = ir.ForeignRule(Action.REJECT, Action.WARN, Action.WARN, as_text=True)
_TEXT_IF_MAX: Final = ir.ForeignRule(Action.REJECT, Action.REJECT, Action.WARN, as_text=True)
_DROP_IF_MAX: Final = ir.ForeignRule(Action.REJECT, Action.REJECT, Action.WARN)
_TELEMETRY: Final = ir.ForeignRule(Action.WARN, Action.SILENT, Action.SILENT)

RULES: Final[Mapping[str, ir.ForeignRule]] = {
    "file_search_call": _TEXT,
    "image_generation_call": _TEXT,
    "computer_call": _REJECT,
    "computer_call_output": _REJECT,
    "shell_call": _TEXT_IF_MAX,
    "shell_call_output": _TEXT_IF_MAX,
    "local_shell_call": _TEXT_IF_MAX,
    "local_shell_call_output": _TEXT_IF_MAX,
    "apply_patch_call": _TEXT_IF_MAX,
    "apply_patch_call_output": _TEXT_IF_MAX,
    "mcp_list_tools": _TELEMETRY,
    "mcp_call": _TEXT,
    "mcp_approval_request": _DROP_IF_MAX,
    "mcp_approval_response": _DROP_IF_MAX,
    "tool_search_call": _DROP,
    "tool_search_output": _DROP,
    "program": _DROP,
    "program_output": _DROP,
    "compaction": _REJECT,
    "compaction_trigger": _DROP_IF_MAX,
    "item_reference": _REJECT,
}

UNKNOWN: Final = _TEXT
"""An item type that nobody has documented: never a crash (pitfalls STA-13)."""

FROM_CLIENT: Final = frozenset(
    {
        "computer_call_output",
        "shell_call_output",
        "local_shell_call_output",
        "apply_patch_call_output",
        "mcp_approval_response",
        "compaction_trigger",
    }
)
"""Items that the client made: they stand where tool results stand."""


def parse_foreign(kind: str, item: JsonObject, path: str) -> ir.Foreign:
    """An item as content that other protocols cannot say."""
    return ir.Foreign(
        protocol=PROTOCOL,
        type=kind,
        wire=item,
        rule=RULES.get(kind, UNKNOWN),
        readable=_readable(kind, item),
        path=path,
    )


def check_known(kind: str, losses: Losses) -> None:
    """Refuse an answer's content of an undocumented kind in `strict`; elsewhere, who cannot say it records it."""
    if kind not in RULES:
        losses.choose(
            "response.output",
            f"unknown content `{kind}`",
            strict=Action.REJECT,
            balanced=Action.SILENT,
            max_compat=Action.SILENT,
        )


def _readable(kind: str, item: JsonObject) -> str | None:
    """`[name] arguments` and the result on the next line; None when there is nothing to read."""
    match kind:
        case "mcp_call":
            head = f"[{item.get('name')}] {item.get('arguments') or '{}'}"
            return _with_result(head, item.get("output") or item.get("error"))
        case "file_search_call":
            if not item.get("results"):
                return None
            head = f"[file_search] {dump_text({'queries': item.get('queries') or []})}"
            return _with_result(head, item["results"])
        case "shell_call" | "local_shell_call":
            return f"[shell] {dump_text(item.get('action') or {})}"
        case "apply_patch_call":
            return f"[apply_patch] {dump_text(item.get('operation') or {})}"
        case "shell_call_output" | "local_shell_call_output" | "apply_patch_call_output":
            return _with_result(f"[{kind.removesuffix('_call_output')}]", item.get("output"))
        case _ if kind in RULES:
            return None
        case _:
            text = readable_text(item)
            return None if text is None else _with_result(f"[{kind}]", text)


def _with_result(head: str, result: Json) -> str:
    if not result:
        return head
    text = result if isinstance(result, str) else dump_text(result)
    return f"{head}\n{text[:MAX_RESULT_CHARS]}"
