"""Stored responses in the words of the API: input as items with ids, lists of items, deletions. Pure.

Reference: https://platform.openai.com/docs/api-reference/responses/input-items (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from translators.errors import ErrorKind, GatewayError, invalid
from translators.ids import digest_hex
from translators.wire import Json, JsonObject, dump_text

_PREFIXES: Final[Mapping[str, str]] = {
    "message": "msg_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "custom_tool_call": "ctc_",
    "custom_tool_call_output": "ctco_",
    "reasoning": "rs_",
}
MAX_LISTED: Final = 100


def input_items(value: Json) -> list[JsonObject]:
    """The `input` of a request as a list of items; what is no object is left to the parser to refuse."""
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}]
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def inlined(body: JsonObject, earlier: Sequence[JsonObject]) -> JsonObject:
    """A request that says the earlier items itself, in place of `previous_response_id`."""
    rest = {key: value for key, value in body.items() if key != "previous_response_id"}
    return rest | {"input": [*earlier, *input_items(body.get("input"))]}


def listed(item: JsonObject, response_id: str, index: int) -> JsonObject:
    """An item as the list of a response's input shows it: typed, with an id and with content parts."""
    kind = item.get("type") or "message"
    shown: JsonObject = {"id": None, "type": kind, **item}
    if not shown["id"]:
        digest = digest_hex(response_id, str(index), dump_text(item), length=48)
        shown["id"] = _PREFIXES.get(kind, "item_") + digest
    if kind == "message":
        content = shown.get("content")
        if isinstance(content, str):
            shown["content"] = [_text_part(shown.get("role"), content)]
        shown.setdefault("status", "completed")
    return shown


def _text_part(role: Json, text: str) -> JsonObject:
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": []}
    return {"type": "input_text", "text": text}


def list_items(
    items: Sequence[JsonObject], *, limit: int = 20, after: str | None = None, ascending: bool
) -> JsonObject:
    """One page of a list of items; the newest come first unless `ascending`."""
    ordered = list(items if ascending else reversed(items))
    if after is not None:
        known = [item["id"] for item in ordered]
        if after not in known:
            raise invalid("after", "the id of an item of this list", after)
        ordered = ordered[known.index(after) + 1 :]
    shown = ordered[:limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(ordered) > limit,
    }


def deleted(response_id: str) -> JsonObject:
    """The answer to a deletion."""
    return {"id": response_id, "object": "response", "deleted": True}


def previous_not_found(response_id: str) -> GatewayError:
    """The refusal of a request that continues a response which is not there."""
    return GatewayError(
        ErrorKind.INVALID_REQUEST,
        f"Previous response with id '{response_id[:100]}' not found.",
        path="previous_response_id",
        code="previous_response_not_found",
    )


def not_found(response_id: str) -> GatewayError:
    """The 404 of a response that is not there."""
    return GatewayError(
        ErrorKind.NOT_FOUND,
        f"Response with id '{response_id[:100]}' not found.",
        code="response_not_found",
    )
