"""Judges of what the gateway writes: request validators, the official SDKs' types, and a grammar per stream.

Every judge raises AssertionError (or the SDK's own validation error) and knows nothing of the hub. Unknown keys
are errors everywhere, but for the few that clients of these protocols expect although the SDK lacks them.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any, Final

from anthropic.types import Message, RawMessageStreamEvent
from google.genai import types as gemini
from openai import omit
from openai._models import validate_type
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from scripts.fake import validate_anthropic, validate_chat, validate_gemini, validate_responses
from scripts.fake.rejection import Rejection
from scripts.fake.sdk_types import complaints
from translators.sse import Frame, SseParser

type Json = dict[str, Any]

ALLOWED_EXTRAS: Final[Mapping[str, frozenset[str]]] = {
    "ChatCompletionMessage": frozenset({"reasoning_content"}),  # what servers of open models send
    "ChoiceDelta": frozenset({"reasoning_content"}),
    "ChoiceDeltaToolCall": frozenset(
        {"custom"}
    ),  # custom calls stream, the SDK only reads them whole
    "Response": frozenset({"store"}),  # the API echoes it
    "ResponseCustomToolCall": frozenset({"status"}),  # the API sends it, Codex reads it
    "ResponseFunctionCallArgumentsDoneEvent": frozenset({"name"}),  # in the API's reference
}
"""Keys that clients read although the SDK's types lack them, by type."""
_ANTHROPIC_EVENTS: Final[TypeAdapter[Any]] = TypeAdapter(RawMessageStreamEvent)


# ------------------------------------------------------------------------------------------ requests


def check_request(protocol: str, body: Json, headers: Mapping[str, str]) -> None:
    """A body that the strict fake provider takes and that the SDK's request types know."""
    try:
        match protocol:
            case "openai_chat":
                validate_chat.validate(body, "up-model")
            case "openai_responses":
                validate_responses.validate(body, "up-model")
            case "anthropic":
                version = headers.get("anthropic-version", "2026-10-21")
                betas = tuple(filter(None, headers.get("anthropic-beta", "").split(",")))
                validate_anthropic.validate(body, "up-model", version=version, betas=betas)
            case _:
                validate_gemini.validate(body, "up-model")
    except Rejection as refusal:
        raise AssertionError(f"{protocol} refuses: {refusal.param}: {refusal.message}") from refusal
    found = complaints(protocol, body)
    assert not found, found


# ------------------------------------------------------------------------------------------- answers


def check_response(protocol: str, body: Json) -> None:
    """A whole answer in the SDK's strict type, without a key that it does not know."""
    match protocol:
        case "openai_chat":
            no_extras(ChatCompletion.model_validate(body, strict=True))
        case "openai_responses":
            no_extras(Response.model_validate(body, strict=True))
        case "anthropic":
            no_extras(Message.model_validate(body, strict=True))
        case _:
            _gemini_answer(body)


def no_extras(value: Any) -> None:
    """No model in here carries a key that its type does not declare."""
    if isinstance(value, BaseModel):
        kind = type(value).__name__
        unknown = set(value.model_extra or ()) - ALLOWED_EXTRAS.get(kind, frozenset())
        assert not unknown, f"{kind} has unknown keys {unknown}"
        for name in type(value).model_fields:
            no_extras(getattr(value, name, None))
    elif isinstance(value, list):
        for item in value:
            no_extras(item)


def _gemini_answer(body: Json) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an unknown enum value is only a warning there
        gemini.GenerateContentResponse.model_validate(body)  # forbids unknown keys by itself


# ------------------------------------------------------------------------------------------- streams


def check_stream(protocol: str, data: bytes) -> bool:
    """Walk a whole client stream by its protocol's grammar; True = it ended well, False = in an error."""
    match protocol:
        case "openai_chat":
            return _chat_stream(_frames(data))
        case "openai_responses":
            return _responses_stream(_frames(data))
        case "anthropic":
            return _anthropic_stream(_frames(data))
        case _:
            return _gemini_stream(data)


def _frames(data: bytes) -> list[Frame]:
    parser = SseParser()
    frames = parser.feed(data)
    assert parser.close() == [], "the last frame is not closed by a blank line"
    return frames


def _chat_stream(frames: list[Frame]) -> bool:
    assert all(frame.event in (None, "", "message") for frame in frames), "Chat names no events"
    if frames[-1].data != b"[DONE]":
        assert set(json.loads(frames[-1].data)) == {"error"}
        _chat_chunks([json.loads(frame.data) for frame in frames[:-1]], finished=False)
        return False
    _chat_chunks([json.loads(frame.data) for frame in frames[:-1]], finished=True)
    return True


def _chat_chunks(chunks: list[Json], *, finished: bool) -> None:
    known: dict[int, str] = {}
    ended = False
    for place, chunk in enumerate(chunks):
        no_extras(ChatCompletionChunk.model_validate(_without_custom_type(chunk), strict=True))
        assert (chunk["id"], chunk["created"]) == (chunks[0]["id"], chunks[0]["created"])
        if not chunk["choices"]:
            assert ended, "usage before the end"
            assert place == len(chunks) - 1, "usage is not the last chunk"
            assert chunk["usage"] is not None
            continue
        (choice,) = chunk["choices"]
        assert not ended, "a choice after its finish_reason"
        assert ("role" in choice["delta"]) == (place == 0), "the role stands in the first chunk"
        for call in choice["delta"].get("tool_calls") or ():
            _chat_call(call, known)
        ended = choice["finish_reason"] is not None
    assert ended or not finished, "no finish_reason"


def _chat_call(call: Json, known: dict[int, str]) -> None:
    index = call["index"]
    if index in known:
        assert index == max(known), "an earlier call goes on"
        assert not call.get("id")
        return
    assert index == len(known), "a gap in the calls' indexes"
    known[index] = call["id"]
    assert len(set(known.values())) == len(known), "two calls have one id"
    assert (call.get("function") or call["custom"])["name"]


def _without_custom_type(chunk: Json) -> Json:
    copy: Json = json.loads(json.dumps(chunk))
    for choice in copy["choices"]:
        for call in choice["delta"].get("tool_calls") or ():
            if call.get("type") == "custom":
                del call["type"]
    return copy


_ANTHROPIC_PHASES: Final = {
    "message_start": ("start", "between"),
    "content_block_start": ("between", "block"),
    "content_block_delta": ("block", "block"),
    "content_block_stop": ("block", "between"),
    "message_delta": ("between", "stopping"),
    "message_stop": ("stopping", "end"),
}


def _anthropic_stream(frames: list[Frame]) -> bool:
    phase, index = "start", -1
    for frame in frames:
        event = json.loads(frame.data)
        kind = event["type"]
        assert frame.event == kind
        assert phase != "end", f"{kind} after the end"
        if kind in ("ping", "error"):
            assert kind == "ping" or set(event) <= {"type", "error", "request_id"}
            phase = "end" if kind == "error" else phase
            continue
        no_extras(_ANTHROPIC_EVENTS.validate_python(event, strict=True))
        before, after = _ANTHROPIC_PHASES[kind]
        assert phase == before, f"{kind} in phase {phase}"
        phase = after
        index += kind == "content_block_start"
        assert event.get("index", index) == index, f"{kind} names block {event['index']}"
    assert phase == "end", "the stream just stops"
    return json.loads(frames[-1].data)["type"] == "message_stop"


_CODEX_CODES: Final = frozenset(
    {"server_is_overloaded", "context_length_exceeded", "insufficient_quota"}
)
"""Codes of a failed response that Codex acts on and the SDK's enum lacks (pitfalls ERR-05, ERR-07)."""
_CLOSES: Final = {
    "response.output_item.done": "response.output_item.added",
    "response.content_part.done": "response.content_part.added",
    "response.reasoning_summary_part.done": "response.reasoning_summary_part.added",
}


def _responses_stream(frames: list[Frame]) -> bool:
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    events = [_plain_code(json.loads(frame.data)) for frame in frames]
    opened: list[tuple[str, Any]] = []
    for number, (frame, event) in enumerate(zip(frames, events, strict=True)):
        kind = event["type"]
        assert frame.event == kind
        assert event["sequence_number"] == number
        typed = validate_type(type_=ResponseStreamEvent, value=event)  # type: ignore[arg-type]
        no_extras(typed)
        state.handle_event(typed)
        key = (event.get("output_index"), event.get("content_index"), event.get("summary_index"))
        if kind in _CLOSES.values():
            opened.append((kind, key))
        elif kind in _CLOSES:
            assert opened.pop() == (_CLOSES[kind], key), f"{kind} closes what is not open"
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    added = [e["output_index"] for e in events if e["type"] == "response.output_item.added"]
    assert added == list(range(len(added))), "a gap in the items' indexes"
    last = events[-1]
    well = last["type"] in ("response.completed", "response.incomplete")
    assert well or last["type"] == "response.failed", "the stream just stops"
    assert not (well and opened), f"left open: {opened}"
    no_extras(Response.model_validate(last["response"], strict=True))
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert not well or last["response"]["output"] == done
    return well


def _plain_code(event: Json) -> Json:
    error = (event.get("response") or {}).get("error")
    if error and error["code"] in _CODEX_CODES:
        error["code"] = "server_error"
    return event


def _gemini_stream(data: bytes) -> bool:
    for line in data.split(b"\r\n"):
        assert line == b"" or line.startswith(b"data: {"), (
            "Gemini clients read nothing but data lines"
        )
    chunks = [json.loads(frame.data) for frame in _frames(data)]
    failed = "error" in chunks[-1]
    for place, chunk in enumerate(chunks):
        last = place == len(chunks) - 1
        if failed and last:
            assert set(chunk) == {"error"}
            continue
        _gemini_answer(chunk)
        (candidate,) = chunk["candidates"]
        assert isinstance(candidate["content"]["parts"], list)
        assert ("finishReason" in candidate) == last, "finishReason stands in the last chunk alone"
    return not failed
