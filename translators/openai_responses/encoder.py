"""Hub events as the event stream of the Responses API.

Every item and content part is opened and closed in pairs with increasing numbers, every `done` repeats the whole
value, and the terminal event carries the whole output (pitfalls STR-12, STR-13). Items open late: an empty text
or useless reasoning never appears. The frame of a text or argument delta is concatenated from constant bytes.
Reference: https://platform.openai.com/docs/api-reference/responses-streaming (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, assert_never

from translators import ir
from translators.base import Writing
from translators.grammar import Grammar
from translators.losses import Losses
from translators.openai_responses.errors import error_event, failed_error
from translators.openai_responses.output import (
    COMPLETED,
    INCOMPLETE,
    ItemWriter,
    call_item,
    message_item,
    reasoning_item,
    refusal_part,
    render_logprobs,
    search_item,
    text_part,
    with_state,
    without_bytes,
)
from translators.openai_responses.response import explains, incomplete_reason
from translators.openai_responses.snapshot import Snapshots
from translators.sse import escape_separators, event_frame
from translators.wire import Json, JsonObject, dumps

_IN_PROGRESS: Final = "in_progress"
_NO_LOGPROBS: Final = b',"logprobs":[]}\n\n'
_PLAIN_END: Final = b"}\n\n"

_STEPS: Final[Mapping[str, tuple[str, ...]]] = {
    "web_search_call": ("in_progress", "searching", "completed"),
    "image_generation_call": ("in_progress", "generating", "completed"),
}
"""The progress events of hosted calls, which have happened long ago when we hear of them."""


class _Open:
    """What is open on the wire: the part's text so far, and the constant bytes of its delta frames."""

    __slots__ = (
        "annotations",
        "call_id",
        "citations",
        "head",
        "index",
        "item_id",
        "logprobs",
        "middle",
        "opened",
        "part",
        "tail",
        "text",
    )

    def __init__(self, part: ir.Part) -> None:
        self.part = part
        self.opened = False
        self.text: list[str] = []
        self.index = 0  # of the content part inside its message
        self.item_id = ""
        self.call_id = ""
        self.citations: list[ir.Citation] = []
        self.annotations: list[JsonObject] = []
        self.logprobs: list[JsonObject] = []
        self.head = self.middle = self.tail = b""

    def frame_of(self, name: str, place: JsonObject, tail: bytes) -> None:
        """Prepare the constant bytes around number and text of this part's deltas."""
        self.head = f'event: {name}\ndata: {{"type":"{name}","sequence_number":'.encode()
        self.middle = b"," + dumps(place)[1:-1] + b',"delta":'
        self.tail = tail


class Encoder:
    """See StreamEncoder."""

    def __init__(self, writing: Writing, losses: Losses) -> None:
        self._writing = writing
        self._losses = losses
        self._grammar = Grammar()
        self._number = 0
        self._snapshots: Snapshots | None = None
        self._writer = ItemWriter("", writing, losses)
        self._running = b""  # the response object while it is in progress
        self._output: list[JsonObject] = []
        self._message_id: str | None = None
        self._phase: str | None = None  # of the message that is open
        self._content: list[JsonObject] = []
        self._open = _Open(ir.Text(text=""))
        self._said = False

    # -- StreamEncoder

    def encode(self, event: ir.StreamEvent) -> bytes:
        """See StreamEncoder."""
        self._grammar.advance(event)
        match event:
            case ir.PartDelta():
                return self._delta(event)
            case ir.PartStart(part=part):
                return self._part_start(part)
            case ir.PartEnd():
                return self._part_end(event)
            case ir.CitationAdded(citation=citation):
                return self._cite(citation)
            case ir.MessageStart():
                return self._start(event)
            case ir.Finish():
                return self._finish(event)
            case ir.StreamFailed():
                return self._fail(event)
            case ir.Ping():
                return self.ping()
            case ir.OfChoice():
                self._losses.warn(
                    "response.alternatives", "only the first of several answers was kept"
                )
                return b""
            case _:
                assert_never(event)

    def ping(self) -> bytes:
        """The last snapshot once more: a real event, since Codex's timer counts events (pitfalls TMO-03)."""
        if not self._running or self._grammar.ended:
            return b""
        return self._lifecycle("response.in_progress", self._running)

    # -- frames

    def _frame(self, kind: str, /, **fields: Json) -> bytes:
        number = self._number
        self._number = number + 1
        return event_frame(kind, {"type": kind, "sequence_number": number, **fields})

    def _lifecycle(self, name: str, response: bytes) -> bytes:
        number = self._number
        self._number = number + 1
        return b'event: %b\ndata: {"type":"%b","sequence_number":%d,"response":%b}\n\n' % (
            name.encode(),
            name.encode(),
            number,
            response,
        )

    def _item_added(self, item: JsonObject) -> bytes:
        return self._frame("response.output_item.added", output_index=len(self._output), item=item)

    def _item_done(self, item: JsonObject) -> bytes:
        frame = self._frame("response.output_item.done", output_index=len(self._output), item=item)
        self._output.append(item)
        return frame

    def _at(self, item_id: str) -> JsonObject:
        return {"item_id": item_id, "output_index": len(self._output)}

    # -- start and end

    def _start(self, event: ir.MessageStart) -> bytes:
        snapshots = Snapshots(self._writing, event.id, event.created_s, event.service_tier)
        self._snapshots = snapshots
        self._writer = ItemWriter(snapshots.id, self._writing, self._losses)
        self._running = escape_separators(dumps(snapshots.build(_IN_PROGRESS, [])))
        return self._lifecycle("response.created", self._running) + self._lifecycle(
            "response.in_progress", self._running
        )

    def _finish(self, event: ir.Finish) -> bytes:
        incomplete = incomplete_reason(event.reason, self._losses)
        status = INCOMPLETE if incomplete else COMPLETED
        frames = b""
        if event.explanation and explains(event.reason) and not self._said:
            frames += self._explain(event.explanation)
        frames += self._close_message(status)
        return frames + self._terminal(status, event.usage, incomplete=incomplete, event=event)

    def _terminal(
        self,
        status: str,
        usage: ir.Usage,
        *,
        incomplete: str | None = None,
        error: JsonObject | None = None,
        event: ir.Finish | None = None,
    ) -> bytes:
        if self._snapshots is None:  # the grammar lets nothing but a failure come first
            return b""
        response = self._snapshots.build(
            status,
            self._output,
            usage=usage,
            incomplete=incomplete,
            error=error,
            tier=event.service_tier if event else None,
        )
        return self._lifecycle(f"response.{status}", escape_separators(dumps(response)))

    def _explain(self, text: str) -> bytes:
        self._open = _Open(ir.Refusal(text=""))
        frames = self._open_text() + self._write(text)
        return frames + self._end_text()

    def _fail(self, event: ir.StreamFailed) -> bytes:
        """Only finished items are repeated: an unfinished call must not look like one."""
        if self._snapshots is None:
            return error_event(event.error, self._number)
        return self._terminal("failed", event.usage, error=failed_error(event.error))

    # -- parts

    def _part_start(self, part: ir.Part) -> bytes:
        self._open = _Open(part)
        match part:
            case ir.Text(phase=phase) if phase != self._phase:
                frames, self._phase = self._close_message(COMPLETED), phase
                return frames
            case ir.Text() | ir.Refusal() | ir.Reasoning():
                return b""  # opened by its first text
            case ir.ToolCall():
                return self._close_message(COMPLETED) + self._open_call(part)
            case _:
                return self._whole(part)

    def _delta(self, event: ir.PartDelta) -> bytes:
        current = self._open
        if current.opened and not event.logprobs:
            current.text.append(event.text)
            number = self._number
            self._number = number + 1
            return b"%b%d%b%b%b" % (
                current.head,
                number,
                current.middle,
                escape_separators(dumps(event.text)),
                current.tail,
            )
        if isinstance(current.part, ir.ToolCall) and not current.opened:  # a search has no deltas
            current.text.append(event.text)
            return b""
        frames = b"" if current.opened else self._open_part()
        if not event.logprobs or not isinstance(current.part, ir.Text):
            return frames + self._write(event.text)
        logprobs = render_logprobs(event.logprobs)
        current.logprobs.extend(logprobs)
        current.text.append(event.text)
        return frames + self._frame(
            "response.output_text.delta",
            **self._at(current.item_id),
            content_index=current.index,
            delta=event.text,
            logprobs=without_bytes(logprobs),
        )

    def _write(self, text: str) -> bytes:
        return self._delta(ir.PartDelta(0, text))

    def _open_part(self) -> bytes:
        if isinstance(self._open.part, ir.Reasoning):
            return self._close_message(COMPLETED) + self._open_reasoning(self._open.part)
        return self._open_text()

    def _part_end(self, event: ir.PartEnd) -> bytes:
        match self._open.part:
            case ir.Text() | ir.Refusal():
                return self._end_text()
            case ir.Reasoning() as part:
                return self._end_reasoning(part, event.state)
            case ir.ToolCall() as part:
                return self._end_call(part, complete=event.complete)
            case _:
                return b""

    # -- text and refusal

    def _open_text(self) -> bytes:
        current = self._open
        frames = b""
        if self._message_id is None:
            self._message_id = self._writer.item_id("msg_", None, len(self._output))
            item = message_item(self._message_id, _IN_PROGRESS, [], self._phase)
            frames = self._item_added(item)
        current.opened = True
        current.item_id = self._message_id
        current.index = len(self._content)
        place = {**self._at(current.item_id), "content_index": current.index}
        if isinstance(current.part, ir.Refusal):
            current.frame_of("response.refusal.delta", place, _PLAIN_END)
            part = refusal_part("")
        else:
            current.frame_of("response.output_text.delta", place, _NO_LOGPROBS)
            part = text_part("")
        self._said = True
        return frames + self._frame("response.content_part.added", **place, part=part)

    def _end_text(self) -> bytes:
        current = self._open
        if not current.opened:
            return b""
        place = {**self._at(current.item_id), "content_index": current.index}
        text = "".join(current.text)
        if isinstance(current.part, ir.Refusal):
            part = refusal_part(text)
            frames = self._frame("response.refusal.done", **place, refusal=text)
        else:
            frames = b"".join(self._annotate(citation) for citation in current.citations)
            part = text_part(text, current.annotations, current.logprobs)
            logprobs = without_bytes(current.logprobs)
            frames += self._frame(
                "response.output_text.done", **place, text=text, logprobs=logprobs
            )
        self._content.append(part)
        return frames + self._frame("response.content_part.done", **place, part=part)

    def _cite(self, citation: ir.Citation) -> bytes:
        """A citation with a range goes out at once; one of the whole text when that is known."""
        current = self._open
        ranged = isinstance(citation, ir.UrlCitation) and citation.end is not None
        if current.opened and ranged and not current.citations:
            return self._annotate(citation)
        current.citations.append(citation)
        return b""

    def _annotate(self, citation: ir.Citation) -> bytes:
        current = self._open
        length = sum(map(len, current.text))
        annotation = self._writer.annotation(citation, length)
        if annotation is None:
            return b""
        current.annotations.append(annotation)
        return self._frame(
            "response.output_text.annotation.added",
            **self._at(current.item_id),
            content_index=current.index,
            annotation_index=len(current.annotations) - 1,
            annotation=annotation,
        )

    def _close_message(self, status: str) -> bytes:
        if self._message_id is None:
            return b""
        item = message_item(self._message_id, status, self._content, self._phase)
        self._message_id, self._content = None, []
        return self._item_done(item)

    # -- reasoning

    def _open_reasoning(self, part: ir.Reasoning, *, summary: bool = True) -> bytes:
        current = self._open
        current.opened = True
        current.item_id = self._writer.item_id("rs_", part.item_id, len(self._output))
        item = {"id": current.item_id, "type": "reasoning", "summary": []}
        frames = self._item_added(item)
        if not summary:
            return frames
        place = {**self._at(current.item_id), "summary_index": 0}
        current.frame_of("response.reasoning_summary_text.delta", place, _PLAIN_END)
        return frames + self._frame(
            "response.reasoning_summary_part.added",
            **place,
            part={"type": "summary_text", "text": ""},
        )

    def _end_reasoning(self, part: ir.Reasoning, state: ir.OpaqueState | None) -> bytes:
        current = self._open
        text = "".join(current.text)
        encrypted = self._writer.encrypted(with_state(part, text, state))
        if not text and encrypted is None:
            return b""
        frames = b""
        if not current.opened:
            frames = self._close_message(COMPLETED) + self._open_reasoning(part, summary=False)
        if text:
            place = {**self._at(current.item_id), "summary_index": 0}
            frames += self._frame("response.reasoning_summary_text.done", **place, text=text)
            frames += self._frame(
                "response.reasoning_summary_part.done",
                **place,
                part={"type": "summary_text", "text": text},
            )
        return frames + self._item_done(reasoning_item(current.item_id, text, encrypted))

    # -- calls

    def _open_call(self, part: ir.ToolCall) -> bytes:
        current = self._open
        current.item_id, current.call_id = self._writer.call_ids(part, len(self._output))
        if self._writer.is_search(part):
            item = search_item(current.item_id, current.call_id, {}, _IN_PROGRESS)
            return self._item_added(item)
        current.opened = True
        custom = part.kind is ir.ToolKind.CUSTOM
        name = "custom_tool_call_input" if custom else "function_call_arguments"
        current.frame_of(f"response.{name}.delta", self._at(current.item_id), _PLAIN_END)
        return self._item_added(call_item(current.item_id, current.call_id, part, "", _IN_PROGRESS))

    def _end_call(self, part: ir.ToolCall, *, complete: bool) -> bytes:
        current = self._open
        if self._writer.is_search(part):
            text = "".join(current.text)
            ids = current.item_id, current.call_id
            return self._item_done(self._writer.search(*ids, text, complete=complete))
        custom = part.kind is ir.ToolKind.CUSTOM
        frames = b""
        if complete and not custom and not any(current.text):
            frames = self._write("{}")  # a call without arguments is still a JSON object
        text = "".join(current.text)
        place = self._at(current.item_id)
        if custom:
            frames += self._frame("response.custom_tool_call_input.done", **place, input=text)
        else:
            frames += self._frame(
                "response.function_call_arguments.done", **place, name=part.name, arguments=text
            )
        status = COMPLETED if complete else INCOMPLETE
        item = call_item(current.item_id, current.call_id, part, text, status)
        return frames + self._item_done(item)

    # -- parts that come whole

    def _whole(self, part: ir.Part) -> bytes:
        index = len(self._output) + (self._message_id is not None)
        item = self._writer.hosted(part, index)
        if item is None:
            return b""
        frames = self._close_message(COMPLETED)
        kind, place = str(item["type"]), self._at(str(item.get("id") or ""))
        if kind == "code_interpreter_call":
            return frames + self._code_run(item, place)
        steps = _STEPS.get(kind, ())
        added = {**item, "status": _IN_PROGRESS} if steps else item
        if kind == "image_generation_call":
            added["result"] = None
        frames += self._item_added(added)
        for step in steps:
            frames += self._frame(f"response.{kind}.{step}", **place)
        return frames + self._item_done(item)

    def _code_run(self, item: JsonObject, place: JsonObject) -> bytes:
        kind = "response.code_interpreter_call"
        code = str(item.get("code") or "")
        added = {**item, "status": _IN_PROGRESS, "code": "", "outputs": []}
        return b"".join(
            (
                self._item_added(added),
                self._frame(f"{kind}.in_progress", **place),
                self._frame(f"{kind}_code.delta", **place, delta=code),
                self._frame(f"{kind}_code.done", **place, code=code),
                self._frame(f"{kind}.interpreting", **place),
                self._frame(f"{kind}.completed", **place),
                self._item_done(item),
            )
        )
