"""Says a turn in Responses: the object, the event chain with its sequence numbers, errors.

Reference: https://platform.openai.com/docs/api-reference/responses-streaming (read 2026-11-21)
"""

from __future__ import annotations

from typing import Final

from scripts.fake import signing, speak_chat
from scripts.fake.rejection import Rejection
from scripts.fake.rendering import (
    CREATED,
    call_item_id,
    named_frame,
    new_id,
    pieces,
    token_logprobs,
)
from scripts.fake.view import (
    Call,
    JsonObject,
    Part,
    Refuse,
    Say,
    Stream,
    Think,
    Turn,
    Usage,
    View,
)

_INCOMPLETE: Final = {"length": "max_output_tokens", "filter": "content_filter"}
_DEFAULTS: Final[JsonObject] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
OVERFLOW: Final = (
    "Your input exceeds the context window of this model. Please adjust your input and try again."
)
SIGNED_AS: Final = "responses.reasoning"
COMPACTED_AS: Final = "responses.compaction"
error = speak_chat.error
models = speak_chat.models
model = speak_chat.model
count = speak_chat.count
not_found = speak_chat.not_found
bad_key = speak_chat.bad_key


def unary(turn: Turn, view: View) -> JsonObject:
    """The whole response object."""
    output = [_item(view, turn, index, part) for index, part in enumerate(turn.parts)]
    return _finished(turn, view, output)


def stream(turn: Turn, view: View) -> Stream:
    """The event chain; the terminal event alone is the tail."""
    chain = _Chain(view)
    output: list[JsonObject] = []
    for index, part in enumerate(turn.parts):
        item = _item(view, turn, index, part)
        chain.item(index, item, turn.piece_chars)
        output.append(item)
    response = _finished(turn, view, output)
    chain.add(f"response.{response['status']}", response=response)
    return Stream(chain.frames, 1)


class _Chain:
    """Collects events and numbers them."""

    def __init__(self, view: View) -> None:
        self.frames: list[bytes] = []
        opened = _response(view, "in_progress")
        self.add("response.created", response=opened)
        self.add("response.in_progress", response=opened)

    def add(self, kind: str, **fields: object) -> None:
        number = len(self.frames)
        self.frames.append(named_frame({"type": kind, "sequence_number": number, **fields}))

    def item(self, index: int, item: JsonObject, size: int) -> None:
        empty = {"message": "content", "reasoning": "summary"}.get(item["type"])
        blank = {"function_call": "arguments", "custom_tool_call": "input"}.get(item["type"])
        added = {**item, **({empty: []} if empty else {}), **({blank: ""} if blank else {})}
        if "status" in item:
            added["status"] = "in_progress"
        self.add("response.output_item.added", output_index=index, item=added)
        place = {"item_id": item["id"], "output_index": index}
        if item["type"] == "message":
            self._content(place, item["content"][0], size)
        elif item["type"] == "reasoning":
            self._summary(place, item["summary"], size)
        else:
            self._call(place, item, size)
        self.add("response.output_item.done", output_index=index, item=item)

    def _content(self, place: JsonObject, part: JsonObject, size: int) -> None:
        place = {**place, "content_index": 0}
        kind, key = ("refusal", "refusal") if part["type"] == "refusal" else ("output_text", "text")
        more: JsonObject = {}
        if kind == "output_text":
            more["logprobs"] = part["logprobs"]
        self.add(
            "response.content_part.added",
            **place,
            part={**part, key: "", **(more and {"logprobs": []})},
        )
        for number, piece in enumerate(pieces(part[key], size)):
            now = {name: found[number : number + 1] for name, found in more.items()}
            self.add(f"response.{kind}.delta", **place, delta=piece, **now, obfuscation="x9Kd")
        self.add(f"response.{kind}.done", **place, **{key: part[key]}, **more)
        self.add("response.content_part.done", **place, part=part)

    def _summary(self, place: JsonObject, summary: list[JsonObject], size: int) -> None:
        for index, part in enumerate(summary):
            here = {**place, "summary_index": index}
            kind = "response.reasoning_summary"
            self.add(f"{kind}_part.added", **here, part={**part, "text": ""})
            for piece in pieces(part["text"], size):
                self.add(f"{kind}_text.delta", **here, delta=piece, obfuscation="p1")
            self.add(f"{kind}_text.done", **here, text=part["text"])
            self.add(f"{kind}_part.done", **here, part=part)

    def _call(self, place: JsonObject, item: JsonObject, size: int) -> None:
        if item["type"] == "function_call":
            kind, key, more = "function_call_arguments", "arguments", {"name": item["name"]}
        else:
            kind, key, more = "custom_tool_call_input", "input", {}
        for piece in pieces(item[key], size):
            self.add(f"response.{kind}.delta", **place, delta=piece, obfuscation="w")
        self.add(f"response.{kind}.done", **place, **{key: item[key]}, **more)


def _item(view: View, turn: Turn, index: int, part: Part) -> JsonObject:
    cut = turn.finish in _INCOMPLETE and index == len(turn.parts) - 1
    status = "incomplete" if cut else "completed"
    match part:
        case Say(text):
            asked = "message.output_text.logprobs" in (view.body.get("include") or ())
            said = token_logprobs(text, turn.piece_chars) if asked else []
            content = {"type": "output_text", "text": text, "annotations": [], "logprobs": said}
            return _message(view, index, status, content)
        case Refuse(text):
            return _message(view, index, status, {"type": "refusal", "refusal": text})
        case Think(text):
            return _reasoning(view, index, text)
        case Call():
            thought = any(isinstance(other, Think) for other in turn.parts[:index])
            return _call(view, index, part, thought=thought)


def _message(view: View, index: int, status: str, content: JsonObject) -> JsonObject:
    return {
        "id": new_id(view, "msg_", index),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [content],
    }


def _reasoning(view: View, index: int, text: str) -> JsonObject:
    summary = [{"type": "summary_text", "text": text}] if view.shows_thoughts else []
    shown = "\n".join(part["text"] for part in summary)
    return {
        "id": new_id(view, "rs_", index),
        "type": "reasoning",
        "summary": summary,
        "encrypted_content": signing.issue(SIGNED_AS, view.model, shown, text),
    }


def _call(view: View, index: int, call: Call, *, thought: bool) -> JsonObject:
    named = {"namespace": call.offer.namespace} if call.offer.namespace else {}
    common = {
        "status": "completed",
        "call_id": new_id(view, "call_", index),
        "name": call.offer.name,
        **named,
    }
    if call.offer.freeform:
        item = {
            "id": call_item_id(view, "ctc_", index, thought=thought),
            "type": "custom_tool_call",
        }
        return {**item, **common, "input": call.arguments}
    item = {"id": call_item_id(view, "fc_", index, thought=thought), "type": "function_call"}
    return {**item, **common, "arguments": call.arguments}


def _response(view: View, status: str) -> JsonObject:
    echoed = {
        name: view.body.get(name) if view.body.get(name) is not None else default
        for name, default in _DEFAULTS.items()
    }
    reasoning = view.body.get("reasoning") or {}
    return {
        "id": new_id(view, "resp_"),
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        **echoed,
        "model": view.model,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "output": [],
        "usage": None,
    }


def _finished(turn: Turn, view: View, output: list[JsonObject]) -> JsonObject:
    reason = _INCOMPLETE.get(turn.finish)
    response = _response(view, "incomplete" if reason else "completed")
    response["output"] = output
    response["incomplete_details"] = {"reason": reason} if reason else None
    if not reason:
        response["completed_at"] = CREATED + 1
    if turn.usage_style != "none":
        response["usage"] = _usage(turn.usage)
    return response


def _usage(usage: Usage) -> JsonObject:
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }


def stream_error(rejection: Rejection, view: View, sent: int) -> list[bytes]:
    """A failed run: `response.failed`, after `response.created` when nothing was sent yet."""
    frames: list[JsonObject] = []
    if not sent:
        frames.append({"type": "response.created", "response": _response(view, "in_progress")})
    response = _response(view, "failed")
    kind = error(rejection)["error"]
    code = kind["code"] or kind["type"]
    if rejection.status in (503, 529):
        code = "server_is_overloaded"
    response["error"] = {"code": code, "message": rejection.message}
    frames.append({"type": "response.failed", "response": response})
    return [
        named_frame({"type": frame["type"], "sequence_number": sent + index, **frame})
        for index, frame in enumerate(frames)
    ]


def overflow(view: View) -> Rejection:
    """The prompt does not fit, in OpenAI's words."""
    return Rejection(400, OVERFLOW, param="input", code="context_length_exceeded", overflow=True)


def compaction(view: View, tokens: int) -> JsonObject:
    """The answer of `/responses/compact`: one sealed item that stands for the whole conversation."""
    sealed = signing.issue(COMPACTED_AS, view.model, "", view.digest)
    item = {"id": new_id(view, "cmp_"), "type": "compaction", "encrypted_content": sealed}
    return {
        "id": new_id(view, "resp_"),
        "object": "response.compaction",
        "created_at": CREATED,
        "output": [item],
        "usage": _usage(Usage(tokens, 60)),
    }
