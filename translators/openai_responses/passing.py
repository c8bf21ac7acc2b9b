"""What must change in a client's own Responses body before an upstream of this protocol gets it.

Envelopes of ours are taken out of `input`, the hosted search goes by the name that the provider knows, and a tool
choice never names a tool that is gone. Everything else passes untouched.
Reference: https://platform.openai.com/docs/api-reference/responses/create (read 2026-11-21)
"""

from __future__ import annotations

from typing import Final

from translators.base import Fitting
from translators.errors import ErrorKind, GatewayError
from translators.losses import Losses
from translators.openai_responses.items import SUMMARY_INTRO
from translators.openai_responses.tools import WEB_SEARCH_NAMES
from translators.seal import Seal
from translators.wire import Json, JsonObject

_OF_TURN: Final = frozenset({"reasoning", "function_call", "custom_tool_call"})
_CALLABLE: Final = frozenset({"function", "custom"})


def fit(body: JsonObject, fitting: Fitting, losses: Losses) -> JsonObject:
    """See Translator."""
    body = without_envelopes(body, fitting.seal, losses)
    if fitting.without_state:
        body = without_state(body, losses)
    if fitting.profile.web_search_type is not None:
        body = with_search_named(body, fitting.profile.web_search_type)
    if body.get("tools") is not fitting.asked.get("tools"):
        body = without_orphan_choice(body, losses)
    return body


# -- envelopes


def without_envelopes(body: JsonObject, seal: Seal | None, losses: Losses) -> JsonObject:
    """The body with no envelope of ours left in its `input`; the very same one if there is none.

    Reasoning of other vendors is left out, together with the ids of what it led to (they would ask for it); an
    emulated compaction becomes its text.
    """
    items = body.get("input")
    if not isinstance(items, list) or not any(map(_has_envelope, items)):
        return body
    written: list[Json] = []
    orphaned = False
    for place, item in enumerate(items):
        if not _has_envelope(item):
            orphaned = orphaned and _is_of_turn(item)
            written.append(_without_id(item) if orphaned else item)
        elif item["type"] == "compaction":
            orphaned = False
            written.append(_opened(item, place, seal))
        else:
            orphaned = True
            losses.warn(f"input[{place}]", "earlier reasoning of another model was left out")
    return {**body, "input": written}


def without_state(body: JsonObject, losses: Losses) -> JsonObject:
    """The body without its encrypted reasoning, and without the ids of what that led to (pitfalls RSN-06)."""
    items = body.get("input")
    if not isinstance(items, list):
        return body
    written: list[Json] = []
    orphaned = False
    for place, item in enumerate(items):
        if _is_encrypted(item):
            orphaned = True
            losses.warn(f"input[{place}]", "the provider could not read this earlier reasoning")
        else:
            orphaned = orphaned and _is_of_turn(item)
            written.append(_without_id(item) if orphaned else item)
    return {**body, "input": written}


def _is_encrypted(item: Json) -> bool:
    return (
        isinstance(item, dict)
        and item.get("type") == "reasoning"
        and bool(item.get("encrypted_content"))
    )


def _has_envelope(item: Json) -> bool:
    encrypted = item.get("encrypted_content") if isinstance(item, dict) else None
    return isinstance(encrypted, str) and Seal.is_envelope(encrypted) and "type" in item


def _is_of_turn(item: Json) -> bool:
    """Whether an item belongs to the assistant's turn that is going on."""
    if not isinstance(item, dict):
        return False
    return item.get("type") in _OF_TURN or item.get("role") == "assistant"


def _without_id(item: JsonObject) -> JsonObject:
    return {key: value for key, value in item.items() if key != "id"}


def _opened(item: JsonObject, place: int, seal: Seal | None) -> JsonObject:
    summary = seal.unwrap(item["encrypted_content"]) if seal else None
    if summary is None:
        raise GatewayError(
            ErrorKind.INVALID_REQUEST,
            f"input[{place}]: a compaction that another gateway made cannot be opened",
            path=f"input[{place}]",
        )
    return {"type": "message", "role": "user", "content": SUMMARY_INTRO + summary.text}


# -- tools


def with_search_named(body: JsonObject, name: str) -> JsonObject:
    """The body with the hosted search under one name, in `tools` and wherever the choice names it (TOOL-21)."""
    tools, choice = body.get("tools"), body.get("tool_choice")
    changed: JsonObject = {}
    if (renamed := _renamed(tools, name)) is not tools:
        changed["tools"] = renamed
    if (chosen := _chosen(choice, name)) is not choice:
        changed["tool_choice"] = chosen
    return {**body, **changed} if changed else body


def _renamed(entries: Json, name: str) -> Json:
    """A list of declarations or choices; the very same one if nothing in it goes by another name."""
    if not isinstance(entries, list) or not any(_is_alias(entry, name) for entry in entries):
        return entries
    return [{**entry, "type": name} if _is_alias(entry, name) else entry for entry in entries]


def _chosen(choice: Json, name: str) -> Json:
    if not isinstance(choice, dict):
        return choice
    if _is_alias(choice, name):
        return {**choice, "type": name}
    listed = _renamed(choice.get("tools"), name)
    return choice if listed is choice.get("tools") else {**choice, "tools": listed}


def _is_alias(entry: Json, name: str) -> bool:
    kind = entry.get("type") if isinstance(entry, dict) else None
    return isinstance(kind, str) and kind != name and kind in WEB_SEARCH_NAMES


def without_orphan_choice(body: JsonObject, losses: Losses) -> JsonObject:
    """The body without a choice of tools that edits took away (pitfalls CHO-05, STA-08)."""
    tools = body.get("tools")
    tools = tools if isinstance(tools, list) else []
    choice = body.get("tool_choice")
    dropped = set()
    if not tools:
        dropped = {"tool_choice", "parallel_tool_calls"} & body.keys()
        left = None
    else:
        left = _left_of(choice, _declared(tools))
        if left is None and choice is not None:
            dropped = {"tool_choice"}
    if choice not in (None, "auto", "none") and left != choice:
        losses.warn("tool_choice", "names a tool that does not go to this provider")
    if not dropped and left is choice:
        return body
    kept = {key: value for key, value in body.items() if key not in dropped}
    return {**kept, "tool_choice": left} if "tool_choice" in kept else kept


def _declared(tools: list[Json]) -> set[str]:
    """Names of callable tools, also of those in namespaces, and types of hosted ones."""
    found: set[str] = set()
    for tool in tools:
        if not isinstance(tool, dict):
            continue
        kind = tool.get("type", "function")
        if kind == "namespace":
            inner = tool.get("tools")
            found |= _declared(inner) if isinstance(inner, list) else set()
        found.add(
            str(tool.get("name") if kind in _CALLABLE or kind == "namespace" else _family(kind))
        )
    return found


def _family(kind: Json) -> Json:
    """One name for all the names of the hosted search: a choice may use another than the declaration."""
    return "web_search" if kind in WEB_SEARCH_NAMES else kind


def _left_of(choice: Json, declared: set[str]) -> Json:
    """What of a choice can still be met; None = nothing."""
    if not isinstance(choice, dict):
        return choice
    kind = choice.get("type")
    if kind != "allowed_tools":
        return choice if _names_declared(choice, declared) else None
    listed = choice.get("tools")
    entries = listed if isinstance(listed, list) else []
    kept = [entry for entry in entries if _names_declared(entry, declared)]
    if len(kept) == len(entries):
        return choice
    return {**choice, "tools": kept} if kept else None


def _names_declared(entry: Json, declared: set[str]) -> bool:
    if not isinstance(entry, dict):
        return True
    kind = entry.get("type")
    if kind in _CALLABLE or kind == "namespace":
        nested = entry.get(str(kind))
        name = nested.get("name") if isinstance(nested, dict) else entry.get("name")
        return str(name) in declared
    return str(_family(kind)) in declared
