"""The event stream of a Responses upstream as hub events, and the watcher of a passed-through one.

A tolerant reader: pieces may come only in `done` events (STR-15), under ids that change from event to event
(STR-16), interleaved, or only in the terminal event. A part begins with its first text, so that empty ones never
appear. The encoder is in encoder.py.
Reference: https://platform.openai.com/docs/api-reference/responses-streaming (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from translators import ir
from translators.base import Reading
from translators.decoding import Decoder
from translators.errors import GatewayError
from translators.ids import made_call_id
from translators.losses import Losses
from translators.openai_responses.content import parse_annotation, parse_annotations
from translators.openai_responses.errors import failed_error, failure_of, parse_error_object
from translators.openai_responses.foreign import check_known, parse_foreign
from translators.openai_responses.items import reasoning_text
from translators.openai_responses.output import (
    CALL_TYPES,
    INCOMPLETE,
    parse_call,
    parse_item,
    parse_logprobs,
    parse_phase,
    parse_state,
)
from translators.openai_responses.response import finish_reason
from translators.openai_responses.snapshot import parse_usage
from translators.sse import SseParser, event_frame
from translators.wire import Json, JsonObject, JsonSyntaxError, loads

_SUMMARY: Final = "summary"
_RAW: Final = "raw"
_TEXT: Final = "text"
_REFUSAL: Final = "refusal"
_SAID: Final = frozenset({"output_text", "text", "refusal"})
"""Parts of a message that the hub has words for."""


class _Item:
    """One output item on its way. `key` is its output index; the parts' keys are derived from it."""

    __slots__ = (
        "call",
        "chars",
        "cited",
        "done",
        "key",
        "kind",
        "parts",
        "phase",
        "source",
        "summary_index",
        "texts",
    )

    def __init__(self, key: int, kind: str) -> None:
        self.key = key
        self.kind = kind
        self.phase: str | None = None  # of a message
        self.done = False
        self.call: ir.ToolCall | None = None  # once its name is known
        self.chars = 0  # of a call's arguments or a reasoning's text that went out
        self.source: str | None = None  # which of the two kinds of reasoning text is used
        self.summary_index = 0
        self.parts: dict[int, tuple[int, str, int]] = {}  # content index -> part key
        self.texts: dict[int, int] = {}  # content index -> characters that went out
        self.cited: set[int] = set()  # content indexes whose annotations came one by one


class ResponsesDecoder(Decoder):
    """See StreamDecoder."""

    def __init__(self, reading: Reading, losses: Losses) -> None:
        super().__init__()
        self._reading = reading
        self._losses = losses
        self._items: dict[int, _Item] = {}
        self._by_id: dict[str, _Item] = {}
        self._current: _Item | None = None
        self._whole_ids: set[str] = set()
        self._response_id = ""
        self._explanation: list[str] = []
        self._any_call = False
        self._refused = False

    def on_event(self, name: str | None, payload: Json) -> None:
        """See Decoder."""
        kind = payload.get("type") or name
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, payload)
        elif kind is None and "error" in payload:
            self._error(payload)

    # -- lifecycle

    def _begin(self, payload: JsonObject) -> None:
        response = payload.get("response") or {}
        if self.started:
            return
        self._response_id = str(response.get("id") or "")
        created = response.get("created_at")
        tier = response.get("service_tier")
        self.start(
            ir.MessageStart(
                id=self._response_id,
                model=str(response.get("model") or self._reading.model),
                created_s=int(created) if isinstance(created, int | float) else None,
                service_tier=tier if isinstance(tier, str) else None,
            )
        )

    def _end(self, payload: JsonObject) -> None:
        response = payload.get("response") or {}
        self._begin(payload)
        if response.get("status") in ("failed", "cancelled"):
            self._failed(payload)
            return
        self.usage = parse_usage(response)
        self._take_output(response.get("output"))
        cut = response.get("status") == INCOMPLETE or payload.get("type") == "response.incomplete"
        for key in self.parts.open_keys:
            self.parts.end(key, complete=not cut)
        status = {"status": INCOMPLETE} if cut else {}
        tier = response.get("service_tier")
        self.finish(
            ir.Finish(
                reason=finish_reason(
                    {**response, **status},
                    self._losses,
                    calls=self._any_call,
                    refused=self._refused,
                ),
                usage=self.usage,
                explanation="".join(self._explanation) or None,
                service_tier=tier if isinstance(tier, str) else None,
            )
        )

    def _take_output(self, output: Json) -> None:
        """Items that only the terminal event tells of, or whose `done` never came."""
        if not isinstance(output, list):
            return
        for index, item in enumerate(output):
            if not isinstance(item, dict):
                continue
            known = self._by_id.get(str(item.get("id"))) or self._items.get(index)
            if known is None and len(self._items) >= len(output):
                continue  # the upstream numbers its items in another way; all were seen
            if known is None or (not known.done and known.kind == item.get("type")):
                self._item_done({"output_index": known.key if known else index, "item": item})

    def _failed(self, payload: JsonObject) -> None:
        response = payload.get("response") or {}
        self.usage = parse_usage(response)
        self.fail(failure_of(response))

    def _error(self, payload: JsonObject) -> None:
        self.fail(parse_error_object(payload))

    # -- items

    def _item(self, payload: JsonObject, kind: str) -> _Item:
        """The item that an event speaks of: by its index, else by its id, else the current one."""
        index = payload.get("output_index")
        item = self._items.get(index) if isinstance(index, int) else None
        if item is None:
            item = self._by_id.get(str(payload.get("item_id")))
        if item is None and index is None and self._current and self._current.kind == kind:
            item = self._current
        if item is None:
            item = self._new_item(index if isinstance(index, int) else len(self._items), kind)
        return item

    def _new_item(self, index: int, kind: str) -> _Item:
        self._begin({})
        while index in self._items:
            index += 1
        item = _Item(index, kind)
        self._items[index] = item
        self._current = item
        return item

    def _item_added(self, payload: JsonObject) -> None:
        item = payload.get("item")
        if not isinstance(item, dict):
            return
        index = payload.get("output_index")
        if isinstance(index, int) and index in self._items:
            return
        state = self._new_item(
            index if isinstance(index, int) else len(self._items), str(item.get("type"))
        )
        if isinstance(item.get("id"), str):
            self._by_id[item["id"]] = state
        state.phase = parse_phase(item)
        if state.kind in CALL_TYPES:
            self._open_call(state, item)

    def _item_done(self, payload: JsonObject) -> None:
        item = payload.get("item")
        if not isinstance(item, dict):
            return
        kind = str(item.get("type"))
        state = self._item({"item_id": item.get("id"), **payload}, kind)
        if state.done:
            return
        state.done = True
        if kind == "message":
            self._message_done(state, item)
        elif kind == "reasoning":
            self._reasoning_done(state, item)
        elif kind in CALL_TYPES:
            self._call_done(state, item)
        else:
            self._whole(state, item)

    def _whole(self, state: _Item, item: JsonObject) -> None:
        item_id = item.get("id")
        if isinstance(item_id, str) and item_id:
            if item_id in self._whole_ids:
                return  # one search announced twice (CIT-03)
            self._whole_ids.add(item_id)
        for number, part in enumerate(parse_item(item, self._reading, self._losses)):
            self.parts.whole((state.key, "whole", number), part)

    # -- text and refusal

    def _content_key(self, payload: JsonObject, what: str) -> tuple[_Item, tuple[int, str, int]]:
        state = self._item(payload, "message")
        index = payload.get("content_index") or 0
        key = state.parts.get(index)
        if key is None:
            key = (state.key, what, index)
            state.parts[index] = key
            state.texts[index] = 0
            refused = what == _REFUSAL
            text = ir.Text(text="", phase=state.phase)
            self.parts.start(key, ir.Refusal(text="") if refused else text)
        return state, key

    def _text_delta(self, payload: JsonObject) -> None:
        text = _delta(payload)
        values = payload.get("logprobs")
        if not text and not values:
            return
        state, key = self._content_key(payload, _TEXT)
        if key not in self.parts:
            return  # more text after its part was done
        state.texts[key[2]] += len(text)
        self.parts.delta(key, text, parse_logprobs(values) if values else ())

    def _text_done(self, payload: JsonObject) -> None:
        self._rest_of_content(payload, _TEXT, payload.get("text"))

    def _refusal_delta(self, payload: JsonObject) -> None:
        text = _delta(payload)
        if text:
            state, key = self._content_key(payload, _REFUSAL)
            self._refused = True
            if key in self.parts:
                state.texts[key[2]] += len(text)
                self._explanation.append(text)
                self.parts.delta(key, text)

    def _refusal_done(self, payload: JsonObject) -> None:
        self._rest_of_content(payload, _REFUSAL, payload.get("refusal"))

    def _rest_of_content(self, payload: JsonObject, what: str, whole: Json) -> None:
        """The final text of a part: written if no delta brought it, otherwise only compared."""
        if not isinstance(whole, str) or not whole:
            return
        state, key = self._content_key(payload, what)
        seen = state.texts[key[2]]
        if seen == 0 and key in self.parts:
            state.texts[key[2]] = len(whole)
            if what == _REFUSAL:
                self._refused = True
                self._explanation.append(whole)
            self.parts.delta(key, whole)
        elif seen != len(whole):
            self._losses.warn("response.output", "a final text differs from its deltas")

    def _annotation(self, payload: JsonObject) -> None:
        citation = parse_annotation(payload.get("annotation"))
        if citation is None:
            return
        state, key = self._content_key(payload, _TEXT)
        if key in self.parts:
            state.cited.add(key[2])
            self.parts.cite(key, citation)

    def _part_done(self, payload: JsonObject) -> None:
        part = payload.get("part") or {}
        what = {"output_text": _TEXT, "refusal": _REFUSAL}.get(str(part.get("type")))
        if what is None:
            return  # reasoning text: its item closes it
        self._rest_of_content(payload, what, part.get("text" if what == _TEXT else "refusal"))
        state = self._item(payload, "message")
        key = state.parts.get(payload.get("content_index") or 0)
        if key is None or key not in self.parts:
            return
        if key[2] not in state.cited:
            for citation in parse_annotations(part.get("annotations") or []):
                self.parts.cite(key, citation)
        self.parts.end(key)

    def _message_done(self, state: _Item, item: JsonObject) -> None:
        content = item.get("content")
        for index, part in enumerate(content if isinstance(content, list) else []):
            self._part_done({"output_index": state.key, "content_index": index, "part": part})
            kind = part.get("type") if isinstance(part, dict) else None
            if isinstance(kind, str) and kind not in _SAID:
                check_known(kind, self._losses)
                self.parts.whole((state.key, "unknown", index), parse_foreign(kind, part, ""))
        for key in state.parts.values():
            if key in self.parts:
                self.parts.end(key)

    # -- reasoning

    def _reasoning_key(self, state: _Item) -> tuple[int, str, int]:
        return (state.key, "reasoning", 0)

    def _summary_delta(self, payload: JsonObject) -> None:
        state = self._item(payload, "reasoning")
        index = payload.get("summary_index") or 0
        text = _delta(payload)
        if text and state.source in (None, _SUMMARY):
            self._reasoning_text(state, _SUMMARY, index, text)

    def _summary_done(self, payload: JsonObject) -> None:
        """The whole of one summary part, for upstreams that send no deltas of it."""
        state = self._item(payload, "reasoning")
        index = payload.get("summary_index") or 0
        text = payload.get("text") or (payload.get("part") or {}).get("text")
        new = state.source is None or (state.source == _SUMMARY and index > state.summary_index)
        if isinstance(text, str) and text and new:
            self._reasoning_text(state, _SUMMARY, index, text)

    def _raw_delta(self, payload: JsonObject) -> None:
        """Raw reasoning of open models; where there is a summary too, the first kind seen is used."""
        state = self._item(payload, "reasoning")
        text = _delta(payload)
        if text and state.source in (None, _RAW):
            self._reasoning_text(state, _RAW, payload.get("content_index") or 0, text)

    def _raw_done(self, payload: JsonObject) -> None:
        state = self._item(payload, "reasoning")
        text = payload.get("text")
        if state.source is None and isinstance(text, str) and text:
            self._reasoning_text(state, _RAW, payload.get("content_index") or 0, text)

    def _reasoning_text(self, state: _Item, source: str, index: int, text: str) -> None:
        """Text of one reasoning item; its summary parts are joined by a blank line (STR-44)."""
        key = self._reasoning_key(state)
        if state.done:
            return
        if state.source is None:
            state.source = source
            state.summary_index = index
            self.parts.start(key, ir.Reasoning())
        elif index != state.summary_index:
            state.summary_index = index
            text = "\n\n" + text
        state.chars += len(text)
        self.parts.delta(key, text)

    def _reasoning_done(self, state: _Item, item: JsonObject) -> None:
        key = self._reasoning_key(state)
        encrypted = parse_state(item, self._reading)
        if state.source is None:
            text = reasoning_text(item)
            if not text and encrypted is None:
                return
            item_id = item.get("id")
            self.parts.start(
                key, ir.Reasoning(item_id=item_id if isinstance(item_id, str) else None)
            )
            self.parts.delta(key, text)
        self.parts.end(key, encrypted)

    # -- calls

    def _open_call(self, state: _Item, item: JsonObject) -> None:
        """Open a call once its name is known (STR-02)."""
        if state.call is not None or not item.get("name"):
            return
        call = parse_call({**item, "arguments": "", "input": "", "status": None}, self._reading)
        if not call.call_id:
            made = made_call_id("call_", self._response_id, 0, state.key)
            call = ir.ToolCall(
                call_id=made, name=call.name, namespace=call.namespace, kind=call.kind
            )
        state.call = call
        self._any_call = True
        self.parts.start((state.key, "call", 0), call)

    def _arguments_delta(self, payload: JsonObject) -> None:
        state = self._item(payload, "function_call")
        text = _delta(payload)
        if state.call is None or state.done or not text:
            return  # without a name nothing can be called yet; `done` repeats the arguments
        state.chars += len(text)
        self.parts.delta((state.key, "call", 0), text)

    def _arguments_done(self, payload: JsonObject) -> None:
        state = self._item(payload, "function_call")
        if state.call is None:
            custom = payload.get("type") == "response.custom_tool_call_input.done"
            kind = "custom_tool_call" if custom else "function_call"
            known = self._call_id_of(payload)
            if known:
                self._open_call(
                    state, {"type": kind, "name": payload.get("name"), "call_id": known}
                )
        self._rest_of_call(state, payload.get("arguments", payload.get("input")))

    def _call_id_of(self, payload: JsonObject) -> str | None:
        value = payload.get("call_id")
        return value if isinstance(value, str) and value else None

    def _rest_of_call(self, state: _Item, whole: Json) -> None:
        if state.call is None or not isinstance(whole, str) or not whole:
            return
        if state.chars == 0:
            state.chars = len(whole)
            self.parts.delta((state.key, "call", 0), whole)
        elif state.chars != len(whole):
            self._losses.warn("response.output", "final arguments differ from their deltas")

    def _call_done(self, state: _Item, item: JsonObject) -> None:
        self._open_call(state, item)
        if state.call is None:
            # A call that nobody can name must not vanish from an answer that looks complete (STOP-10).
            raise _nameless()
        self._rest_of_call(state, item.get("input" if "input" in item else "arguments"))
        complete = item.get("status") != INCOMPLETE
        self.parts.end((state.key, "call", 0), complete=complete)


def _delta(payload: JsonObject) -> str:
    """The text of a delta event; anything else is a shape that cannot be read."""
    text: str = payload["delta"]
    if text.__class__ is not str:
        raise TypeError(text)
    return text


def _nameless() -> GatewayError:
    return parse_error_object({"message": "the provider sent a tool call without a name"})


_HANDLERS: Final[Mapping[str | None, Callable[[ResponsesDecoder, JsonObject], None]]] = {
    "response.created": ResponsesDecoder._begin,
    "response.queued": ResponsesDecoder._begin,
    "response.in_progress": ResponsesDecoder._begin,
    "response.completed": ResponsesDecoder._end,
    "response.done": ResponsesDecoder._end,
    "response.incomplete": ResponsesDecoder._end,
    "response.failed": ResponsesDecoder._failed,
    "response.cancelled": ResponsesDecoder._failed,
    "error": ResponsesDecoder._error,
    "response.error": ResponsesDecoder._error,
    "response.output_item.added": ResponsesDecoder._item_added,
    "response.output_item.done": ResponsesDecoder._item_done,
    "response.content_part.done": ResponsesDecoder._part_done,
    "response.output_text.delta": ResponsesDecoder._text_delta,
    "response.output_text.done": ResponsesDecoder._text_done,
    "response.output_text.annotation.added": ResponsesDecoder._annotation,
    "response.refusal.delta": ResponsesDecoder._refusal_delta,
    "response.refusal.done": ResponsesDecoder._refusal_done,
    "response.function_call_arguments.delta": ResponsesDecoder._arguments_delta,
    "response.function_call_arguments.done": ResponsesDecoder._arguments_done,
    "response.custom_tool_call_input.delta": ResponsesDecoder._arguments_delta,
    "response.custom_tool_call_input.done": ResponsesDecoder._arguments_done,
    "response.reasoning_summary_text.delta": ResponsesDecoder._summary_delta,
    "response.reasoning_summary_text.done": ResponsesDecoder._summary_done,
    "response.reasoning_summary_part.done": ResponsesDecoder._summary_done,
    "response.reasoning_text.delta": ResponsesDecoder._raw_delta,
    "response.reasoning_text.done": ResponsesDecoder._raw_done,
}
"""Events that carry something; all others (progress of hosted calls, opened parts) say nothing new."""


# --------------------------------------------------------------------------------------- observer

_TERMINAL: Final = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled", "error"}
)
_TYPE_WITHIN: Final = 200
"""Where in a frame without an `event:` line its type is looked for, bytes."""


class Observer:
    """See StreamObserver. Only the terminal event is parsed; the rest is looked at as bytes."""

    def __init__(self) -> None:
        self._parser = SseParser()
        self._opening = b""
        self._events = 0
        self._broken = False
        self._usage = ir.NO_USAGE
        self._finish: ir.FinishReason | None = None
        self._ended = False
        self.error: GatewayError | None = None
        """See StreamObserver."""

    def bound(self, max_frame_bytes: int) -> None:
        """See StreamObserver."""
        self._parser.max_frame_bytes = max_frame_bytes

    @property
    def usage(self) -> ir.Usage:
        """See StreamObserver."""
        return self._usage

    @property
    def finish_reason(self) -> ir.FinishReason | None:
        """See StreamObserver."""
        return self._finish

    @property
    def ended(self) -> bool:
        """See StreamObserver."""
        return self._ended

    def feed(self, data: bytes) -> None:
        """See StreamObserver."""
        if self._broken or self._ended:
            return
        try:
            for frame in self._parser.feed(data):
                self._opening = self._opening or frame.data
                self._events += 1
                if _is_terminal(frame.event, frame.data):
                    self._take(loads(frame.data))
        except GatewayError as error:
            self._broken, self.error = True, error
        except JsonSyntaxError:
            self._broken = True

    def failure(self, error: GatewayError) -> bytes:
        """See StreamObserver: the response that was begun, as failed; b"" when none was."""
        try:
            opening = loads(self._opening)
        except JsonSyntaxError:
            return b""
        begun = opening.get("response") if isinstance(opening, dict) else None
        if not isinstance(begun, dict):
            return b""
        failed = {**begun, "status": "failed", "error": failed_error(error)}
        kind = "response.failed"
        payload = {"type": kind, "response": failed, "sequence_number": self._events}
        return event_frame(kind, payload)

    def _take(self, payload: Json) -> None:
        if not isinstance(payload, dict) or payload.get("type") not in _TERMINAL:
            return
        self._ended = True
        response = payload.get("response")
        if not isinstance(response, dict):
            return
        self._usage = parse_usage(response)
        if response.get("status") in ("failed", "cancelled"):
            return
        output = response.get("output")
        kinds = [item.get("type") for item in output or [] if isinstance(item, dict)]
        calls = any(kind in CALL_TYPES for kind in kinds)
        self._finish = finish_reason(response, Losses(), calls=calls, refused=False)


def _is_terminal(event: str | None, data: bytes) -> bool:
    if event is not None:
        return event in _TERMINAL
    head = data[:_TYPE_WITHIN]
    return any(b'"%b"' % word.encode() in head for word in _TERMINAL)
