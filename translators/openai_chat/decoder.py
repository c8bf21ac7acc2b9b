"""Read a streamed answer of Chat Completions: chunks in, hub events out.

Reads what servers really send (missing ids, indexes and names, empty tool lists, usage in many places); an
answer is over only when a finish reason was seen (portability rules, section 16, rules 7 and 10).
Reference: https://platform.openai.com/docs/api-reference/chat/streaming (read 2026-11-21)
"""

from __future__ import annotations

from typing import Final

from translators import ids, ir
from translators.base import Reading
from translators.decoding import Decoder, of_choice
from translators.errors import ErrorKind, GatewayError
from translators.losses import Losses
from translators.openai_chat.answer import (
    CALL_PREFIX,
    arguments_of,
    finish_in,
    is_json,
    parse_citations,
    parse_logprobs,
)
from translators.openai_chat.errors import parse_failure
from translators.openai_chat.messages import details_text, thinking_text, thought_signature
from translators.openai_chat.response import images, nameless_call, note_unknown
from translators.openai_chat.usage import find_usage, parse_tier, whole_number
from translators.openai_chat.words import DETAILS, reasoning_text
from translators.wire import Json, JsonObject, dump_text

_TEXT: Final = "text"
_REASONING: Final = "reasoning"
_REFUSAL: Final = "refusal"

_PLAIN_DELTA: Final = frozenset({"content", "role", "refusal"})
"""Keys of a delta that the short path knows."""


class _Call:
    """A tool call that is being streamed; it opens once its name is known (STR-02)."""

    __slots__ = (
        "call_id",
        "custom",
        "ended",
        "held",
        "key",
        "name",
        "opened",
        "pieces",
        "signature",
    )

    def __init__(self, key: int) -> None:
        self.key = key
        self.call_id = ""
        self.name = ""
        self.custom = False
        self.signature: str | None = None
        self.pieces: list[str] = []  # all arguments text, to tell whether it is complete
        self.held: list[str] = []  # arguments that came before the name
        self.opened = False
        self.ended = False

    @property
    def arguments(self) -> str:
        """The arguments so far."""
        return "".join(self.pieces)


class ChatDecoder(Decoder):
    """See StreamDecoder. Each further choice, if more than one was asked for, is read by a decoder of its own."""

    def __init__(self, reading: Reading, losses: Losses, *, choice: int = 0) -> None:
        super().__init__()
        self._place = choice
        self._others: dict[int, ChatDecoder] = {}
        self._reading = reading
        self._losses = losses
        self._id = ""
        self._finish_word: str | None = None
        self._tier: str | None = None
        self._refusal: list[str] = []
        self._details: list[JsonObject] = []
        self._calls: list[_Call] = []
        self._by_index: dict[Json, _Call] = {}
        self._sealed = 0  # images and other parts that came whole, for their keys

    # -- Decoder

    def on_event(self, name: str | None, payload: Json) -> None:
        """One chunk."""
        choices = payload.get("choices") if isinstance(payload, dict) else None
        if not choices or name == "error" or "error" in payload:
            self._without_choices(name, payload)
            if self.ended or not choices:
                return
        if payload.get("usage") or "x_groq" in payload:
            self._note_usage(payload)
        read = False
        for choice in choices:
            if index := choice.get("index"):
                self._further(index, choice, payload)
            elif not read:
                read = True
                self._choice(choice, payload)

    def on_done(self) -> None:
        """`[DONE]`: the end, or the sign of a cut when no finish reason came before it."""
        self._end()
        if not self.ended:
            self.fail(
                GatewayError(
                    ErrorKind.UPSTREAM_CUT, "upstream stream ended early: no finish reason"
                )
            )

    def on_close(self) -> None:
        """End of input: `[DONE]` is not demanded, a finish reason is."""
        self._end()

    # -- frames without content

    def _without_choices(self, name: str | None, payload: Json) -> None:
        failure = parse_failure(payload)
        if failure is None and name == "error":
            failure = parse_failure({"error": payload or "the provider reported an error"})
        if failure is not None:
            self.fail(failure)
            return
        if not isinstance(payload, dict):
            raise GatewayError(
                ErrorKind.UPSTREAM_MALFORMED, "the provider sent a stream event that is no object"
            )
        if payload.get("choices"):
            return
        self._note_usage(payload)
        if self._finish_word is not None and self.usage is not ir.NO_USAGE:
            self._end()

    def _note_usage(self, payload: JsonObject) -> None:
        usage = find_usage(payload)
        if usage is not ir.NO_USAGE:
            self.usage = usage

    # -- choices

    def _choice(self, choice: JsonObject, payload: JsonObject) -> None:
        if not self.started:
            self._begin(payload)
        delta = choice.get("delta")
        if delta is None:
            delta = choice.get("message")  # some servers repeat the whole-answer shape
        logprobs = choice.get("logprobs")
        if delta:
            content = delta.get("content")
            if content.__class__ is str and logprobs is None and _PLAIN_DELTA.issuperset(delta):
                if content:
                    self._text(content)
                if delta.get("refusal"):
                    self._refuse(_string(delta["refusal"]))
            else:
                self._delta(delta, parse_logprobs(logprobs))
        word = choice.get("finish_reason")
        if word:
            if choice.get("error"):
                self._without_choices("error", choice["error"])
            self._finish_word = word
            if choice.get("usage"):
                self._note_usage(payload)
            self._tier = parse_tier(payload.get("service_tier")) or self._tier

    def _further(self, index: int, choice: JsonObject, payload: JsonObject) -> None:
        """A piece of a further answer."""
        if index not in range(1, self._reading.choices):
            self._losses.warn("response.choices", "an answer that nobody asked for was left out")
            return
        if not self.started:
            self._begin(payload)
        other = self._others.get(index)
        if other is None:
            other = self._others[index] = ChatDecoder(self._reading, self._losses, choice=index)
            other.started, other._id = True, self._id
        other._choice(choice, payload)
        self.out += of_choice(index, other._take())

    def _begin(self, payload: JsonObject) -> None:
        answer_id, model = payload.get("id"), payload.get("model")
        self._id = answer_id if isinstance(answer_id, str) else ""
        self._tier = parse_tier(payload.get("service_tier"))
        self.start(
            ir.MessageStart(
                id=self._id,
                model=model if isinstance(model, str) and model else self._reading.model,
                created_s=whole_number(payload.get("created")),
                service_tier=self._tier,
            )
        )

    def _delta(self, delta: JsonObject, logprobs: tuple[ir.TokenLogprob, ...]) -> None:
        content = delta.get("content")
        extra = delta.get("extra_content")
        thought = reasoning_text(delta)
        if extra and _is_thought(extra) and isinstance(content, str):
            thought, content = thought or content, ""
        details = delta.get("reasoning_details")
        if thought or details:
            self._think(thought, details)
        if isinstance(content, list):
            self._content_list(content)
        elif content or logprobs:
            self._text(_string(content or ""), logprobs)
        refusal = delta.get("refusal")
        if refusal:
            self._refuse(_string(refusal))
        for image in images(delta.get("images")):
            self._whole(image)
        audio = delta.get("audio")
        if isinstance(audio, dict):
            self._losses.warn("response.audio", "spoken output was replaced by its transcript")
            if audio.get("transcript"):
                self._text(_string(audio["transcript"]))
        for call in delta.get("tool_calls") or ():
            self._tool_call(call)
        legacy = delta.get("function_call")
        if legacy:
            self._tool_call({"index": 0, "function": legacy})
        annotations = delta.get("annotations")
        if annotations:
            self._annotate(annotations)

    # -- text, reasoning, refusal

    def _text(self, text: str, logprobs: tuple[ir.TokenLogprob, ...] = ()) -> None:
        if self.parts.front != _TEXT:
            self._open(_TEXT, ir.Text(text=""))
        self.parts.delta(_TEXT, text, logprobs)

    def _refuse(self, text: str) -> None:
        self._refusal.append(text)
        self._open(_REFUSAL, ir.Refusal(text=""))
        self.parts.delta(_REFUSAL, text)

    def _think(self, text: str, details: Json) -> None:
        self._open(_REASONING, ir.Reasoning())
        if isinstance(details, list):
            text = text or details_text(details)
            for entry in details:
                self._add_detail(entry)
        self.parts.delta(_REASONING, text)

    def _add_detail(self, entry: Json) -> None:
        """Join the pieces of one `reasoning_details` entry: texts add up, the rest is filled in."""
        if not isinstance(entry, dict):
            return
        last = self._details[-1] if self._details else None
        if last is None or any(last.get(key) != entry.get(key) for key in ("type", "index")):
            self._details.append(dict(entry))
            return
        for key, value in entry.items():
            if key in ("text", "summary", "data") and isinstance(value, str):
                last[key] = (last.get(key) or "") + value
            elif value is not None:
                last[key] = value

    def _content_list(self, content: list[Json]) -> None:
        for item in content:
            if not isinstance(item, dict):
                continue
            if item.get("type") == "thinking":
                self._think(thinking_text(item), None)
            elif item.get("text"):
                self._text(_string(item["text"]))
            elif found := list(images([item])):
                for image in found:
                    self._whole(image)
            else:
                note_unknown(item, self._losses)

    def _whole(self, part: ir.Part) -> None:
        self._close_others("")
        self._sealed += 1
        self.parts.whole(("whole", self._sealed), part)

    def _annotate(self, raw: Json) -> None:
        for citation in parse_citations(raw):
            if _TEXT in self.parts:
                self.parts.cite(_TEXT, citation)
            else:
                self._losses.warn("response.annotations", "a citation came after its text")

    def _open(self, key: str, part: ir.Part) -> None:
        if key not in self.parts:
            self._close_others(key)
            self.parts.start(key, part)

    def _close_others(self, key: str, *, signature: str | None = None) -> None:
        """End what was open before another kind of part begins; calls end once their arguments are whole."""
        for other in (_REASONING, _TEXT, _REFUSAL):
            if other != key and other in self.parts:
                self._end_part(other, signature)
        for call in self._calls:
            if call.opened and not call.ended and (call.custom or is_json(call.arguments)):
                self._end_call(call)

    def _end_part(self, key: str, signature: str | None = None) -> None:
        state = None
        if key == _REASONING and self._details:
            state = self._reading.state(DETAILS, dump_text(self._details))
            self._details = []
        elif key == _REASONING and signature is not None:
            state = self._reading.state(ir.StateKind.GEMINI_SIGNATURE, signature)
        self.parts.end(key, state)

    # -- tool calls

    def _tool_call(self, raw: JsonObject) -> None:
        custom = raw.get("custom")
        inner = custom or raw.get("function") or {}
        name, call_id = _string(inner.get("name") or ""), _string(raw.get("id") or "")
        text = arguments_of(inner.get("input" if custom else "arguments"))
        call = self._find_call(raw.get("index"), call_id, name)
        if call_id and not call.call_id:
            call.call_id = call_id
        if not call.name:
            call.custom = call.custom or bool(custom)
            call.signature = call.signature or thought_signature(raw)
            if not name:
                call.held.append(text)
                return
            call.name = name
            self._start_call(call)
            text = "".join(call.held) + text
        if text:
            self._arguments(call, text)

    def _find_call(self, index: Json, call_id: str, name: str) -> _Call:
        """The call that a fragment belongs to: by index, else by id, else a new one if named, else the last.

        A new id with a name under a used index is a further call, once the one before is complete.
        """
        if index is None:
            call = self._last_call(call_id, name)
        else:
            call = self._by_index.get(index)
            if call is not None and name and call_id and call.call_id not in ("", call_id):
                # Some servers give every delta of one call a new id: then its arguments are not whole yet.
                call = None if name != call.name or is_json(call.arguments) else call
        if call is None:
            call = _Call(len(self._calls))
            self._calls.append(call)
            if index is not None:
                self._by_index[index] = call
        return call

    def _last_call(self, call_id: str, name: str) -> _Call | None:
        for call in reversed(self._calls):
            if call_id and call.call_id == call_id:
                return call
        return self._calls[-1] if self._calls and not name and not call_id else None

    def _start_call(self, call: _Call) -> None:
        thinks = _REASONING in self.parts and not self._details
        self._close_others("", signature=call.signature)
        if call.signature is not None and not thinks:
            key = ("signature", call.key)
            self.parts.start(key, ir.Reasoning())
            state = self._reading.state(ir.StateKind.GEMINI_SIGNATURE, call.signature)
            self.parts.end(key, state)
        call.opened = True
        ref = self._reading.tool(call.name)
        made = ids.made_call_id(CALL_PREFIX, self._id, self._place, call.key)
        self.parts.start(
            call.key,
            ir.ToolCall(
                call_id=call.call_id or made,
                name=ref.name,
                namespace=ref.namespace,
                kind=ir.ToolKind.CUSTOM if call.custom else ir.ToolKind.FUNCTION,
            ),
        )

    def _arguments(self, call: _Call, text: str) -> None:
        if not call.ended:
            call.pieces.append(text)
            self.parts.delta(call.key, text)
        elif text.strip() and text != call.arguments:
            # The next call has begun and these arguments were whole: more of them is no JSON.
            raise GatewayError(
                ErrorKind.UPSTREAM_MALFORMED, "the provider went on with a complete tool call"
            )

    def _end_call(self, call: _Call, *, complete: bool = True) -> None:
        call.ended = True
        self.parts.end(call.key, complete=complete)

    # -- the end

    def _end(self) -> None:
        """Finish if a finish reason was seen, of each answer."""
        if self._finish_word is None or self.ended:
            return
        if any(other._finish_word is None for other in self._others.values()):
            return
        for index, other in self._others.items():
            other.usage = ir.NO_USAGE
            other._end()
            self.out += of_choice(index, other._take())
        if any(not call.name and (call.call_id or any(call.held)) for call in self._calls):
            raise nameless_call()
        calls = [call for call in self._calls if call.name]
        reason = finish_in(
            self._finish_word, self._losses, calls=bool(calls), refused=bool(self._refusal)
        )
        for key in (_REASONING, _TEXT, _REFUSAL):
            if key in self.parts:
                self._end_part(key)
        cut = reason is ir.FinishReason.LENGTH
        for call in calls:
            if not call.ended:
                whole = not cut or (not call.custom and is_json(call.arguments or "{}"))
                self._end_call(call, complete=whole)
        explanation = None
        if reason is ir.FinishReason.REFUSAL and self._refusal:
            explanation = "".join(self._refusal)
        self.finish(
            ir.Finish(
                reason=reason,
                usage=self.usage,
                explanation=explanation,
                service_tier=self._tier,
            )
        )


def _string(value: Json) -> str:
    """A value that must be text."""
    if not isinstance(value, str):
        raise TypeError("text was expected")  # the skeleton makes it an unreadable event
    return value


def _is_thought(extra: Json) -> bool:
    """Whether Gemini's OpenAI-compatible endpoint marks a delta's text as thinking."""
    google = extra.get("google") if isinstance(extra, dict) else None
    return isinstance(google, dict) and bool(google.get("thought"))
