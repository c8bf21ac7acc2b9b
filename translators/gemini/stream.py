"""Streams of an upstream: chunks in, hub events out; and the observer of a passed-through stream.

Every chunk is a GenerateContentResponse with new content only. The stream has no end mark: the finish reason
says that the answer is whole, the end of input that nothing more (usage, citations) will come.
Reference: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent (read 2026-11-21)
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from translators import ids, ir, media
from translators.arguments import arguments_text
from translators.base import Reading
from translators.decoding import Decoder, of_choice
from translators.errors import ErrorKind, GatewayError
from translators.gemini.answer import (
    grounding_citations,
    parse_logprobs,
    recitation_citations,
    searches,
)
from translators.gemini.content import (
    code_part,
    file_source,
    join_code,
    server_tool_part,
    transcription_part,
)
from translators.gemini.errors import stream_error
from translators.gemini.finish import BROKEN, parse_finish, resume_of
from translators.gemini.framing import Splitter
from translators.gemini.partial import PartialArguments
from translators.gemini.spelling import camel_keys
from translators.gemini.usage import parse_usage, service_tier
from translators.losses import Loss, Losses
from translators.sse import MAX_FRAME_BYTES, Frame
from translators.wire import Json, JsonObject, JsonSyntaxError, dump_text, loads

_TEXT: Final = "text"
_THOUGHT: Final = "thought"
_CALL: Final = "call"
_WHOLE: Final = "whole"

_MODIFIERS: Final = frozenset(
    {
        "text",
        "thought",
        "thoughtSignature",
        "mediaResolution",
        "videoMetadata",
        "mediaProcessing",
        "documentMetadata",
        "spreadsheetMetadata",
        "audioMetadata",
        "speechMetadata",
        "partMetadata",
    }
)

_KNOWN_DATA: Final = frozenset(
    {
        "functionCall",
        "inlineData",
        "fileData",
        "executableCode",
        "codeExecutionResult",
        "toolCall",
        "toolResponse",
        "audioTranscription",
    }
)


class GeminiDecoder(Decoder):
    """Read one answer. `candidate` picks one of several; in a stream the others get decoders of their own."""

    def __init__(
        self,
        reading: Reading,
        losses: Losses,
        *,
        candidate: int = 0,
        max_frame_bytes: int = MAX_FRAME_BYTES,
    ) -> None:
        super().__init__(max_frame_bytes)
        self._reading = reading
        self._losses = losses
        self._candidate = candidate
        self._others: dict[int, GeminiDecoder] = {}
        self._alone = not reading.stream  # others are read elsewhere
        self._splitter = Splitter(max_frame_bytes)
        self._seen_comments = 0
        self._response_id = ""
        self._counts: JsonObject = {}
        self._open: str | None = None
        self._text: list[str] = []  # of the open text part, for byte offsets
        self._late_signature: str | None = None  # of an empty part: nothing may follow it
        self._code: ir.CodeRun | None = None  # waits for its result
        self._partial: PartialArguments | None = None
        self._call_count = 0
        self._call_ids: set[str] = set()
        self._finish_word: str | None = None
        self._finish_message: str | None = None
        self._token: str | None = None  # to resume the answer with
        self._block: str | None = None
        self._has_candidate = False
        self._searches: int | None = None

    # -- framing and the end

    def bound(self, max_frame_bytes: int) -> None:
        """See StreamDecoder."""
        self._splitter.bound(max_frame_bytes)

    def frames(self, data: bytes) -> list[Frame]:
        """See Decoder."""
        frames = self._splitter.feed(data)
        if self._splitter.comments != self._seen_comments:
            self._seen_comments = self._splitter.comments
            self.out.append(ir.Ping())
        return frames

    def last_frames(self) -> list[Frame]:
        """See Decoder."""
        return self._splitter.close()

    def close(self, error: GatewayError | None = None) -> list[ir.StreamEvent]:
        """See StreamDecoder: what breaks after the finish reason takes nothing from the answer."""
        return super().close(None if self._finish_word is not None else error)

    def whole(self, body: Json) -> list[ir.StreamEvent]:
        """The events of a whole answer, which cannot have been cut: one without a finish reason is over.

        `GatewayError` for one that holds no answer at all.
        """
        self._alone = True
        try:
            self.on_event(None, body)
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            raise _malformed(
                f"an answer of an unreadable shape ({type(error).__name__})"
            ) from error
        if self._finish_word is None and self._block is None:
            if not self._has_candidate:
                raise _malformed("an answer without a candidate")
            self._losses.warn("response.finishReason", "the provider gave no finish reason")
            self._finish_word = "STOP"
        return self._take()

    def fail(self, error: GatewayError) -> None:
        """See Decoder."""
        self.usage = parse_usage(self._counts, self._searches)
        super().fail(error)

    def on_close(self) -> None:
        """See Decoder: proper only after a finish reason or a blocked prompt."""
        if self._finish_word is None and self._block is None:
            return
        if any(other._finish_word is None for other in self._others.values()):
            return
        for index, other in self._others.items():
            other.on_close()
            self.out += of_choice(index, other._take())
        self._flush()
        self.usage = parse_usage(self._counts, self._searches)
        resume: ir.Resume | None = None
        if self._finish_word is None:
            reason, explanation = ir.FinishReason.CONTENT_FILTER, self._block
        else:
            explanation = self._finish_message
            reason = self._finish_reason(self._finish_word)
            if self._finish_word == "CONTINUATION" and self._resumable:
                resume = resume_of(self._token or "", open_text=self._open == _TEXT)
        if self._partial is not None:
            self._end_cut_call(reason)
        self._close_open()
        self.finish(
            ir.Finish(
                reason=reason,
                usage=self.usage,
                explanation=explanation,
                service_tier=service_tier(self._counts),
                resume=resume,
            )
        )

    def _finish_reason(self, word: str) -> ir.FinishReason:
        unseen = not self._reading.stream or not (self.parts.count or self._others)
        return parse_finish(
            word,
            has_calls=self._call_count > 0,
            message=self._finish_message,
            losses=self._losses,
            resumable=self._resumable,
            once_more=self._reading.once_more and unseen,
        )

    @property
    def _resumable(self) -> bool:
        return self._token is not None and self._reading.choices == 1

    # -- chunks

    def on_event(self, name: str | None, payload: Json) -> None:
        """See Decoder. A chunk may come wrapped in an array, or in the envelope of Code Assist."""
        if isinstance(payload, list):
            for item in payload:
                self.on_event(name, item)
            return
        if not isinstance(payload, dict):
            raise _malformed("an event that is no object")
        inner = payload.get("response")
        if isinstance(inner, dict):
            payload = {**payload, **inner}
        payload = camel_keys(payload)
        if payload.get("error"):
            raise stream_error(payload["error"])
        usage = payload.get("usageMetadata")
        if usage:
            self._counts.update(camel_keys(usage))
        if not self.started:
            self._start(payload)
        feedback = payload.get("promptFeedback")
        if feedback:
            self._read_feedback(camel_keys(feedback))
        for candidate in payload.get("candidates") or ():
            index = candidate.get("index") or 0
            if index == self._candidate:
                self._read_candidate(candidate)
            elif not self._alone:
                self._further(index, candidate)

    def _further(self, index: int, candidate: JsonObject) -> None:
        """A piece of a further answer."""
        if index not in range(1, self._reading.choices):
            self._losses.warn("response.candidates", "an answer that nobody asked for was left out")
            return
        other = self._others.get(index)
        if other is None:
            reading = replace(self._reading, once_more=False)
            other = self._others[index] = GeminiDecoder(reading, self._losses, candidate=index)
            other.started, other._response_id = True, self._response_id
        other._read_candidate(candidate)
        self.out += of_choice(index, other._take())

    def _start(self, payload: JsonObject) -> None:
        self._response_id = str(payload.get("responseId") or "")
        self.start(
            ir.MessageStart(
                id=self._response_id,
                model=str(payload.get("modelVersion") or self._reading.model),
                created_s=_unix_seconds(payload.get("createTime")),
                usage=parse_usage(self._counts),
            )
        )

    def _read_feedback(self, feedback: JsonObject) -> None:
        """Why a prompt was blocked: told as a refusal (C, R) or its details (A), for an empty answer would hide it."""
        reason = feedback.get("blockReason")
        if reason:
            message = feedback.get("blockReasonMessage")
            self._block = f"the prompt was blocked ({reason})" + (f": {message}" if message else "")

    def _read_candidate(self, candidate: JsonObject) -> None:
        self._has_candidate = True
        content = candidate.get("content")
        if content:
            for part in content.get("parts") or ():
                if len(part) == 1 and "text" in part:
                    self._add_text(part["text"], _TEXT)
                else:
                    self._read_part(camel_keys(part))
        # More than content and index (which is left out when 0): most chunks have no more.
        if len(candidate) > ("content" in candidate) + ("index" in candidate):
            self._read_rest(camel_keys(candidate))

    def _read_rest(self, candidate: JsonObject) -> None:
        """What stands beside the content of a candidate."""
        logprobs = candidate.get("logprobsResult")
        if logprobs and self._open == _TEXT:
            self.parts.delta(_TEXT, "", parse_logprobs(logprobs))
        for key, read in (
            ("groundingMetadata", grounding_citations),
            ("citationMetadata", recitation_citations),
        ):
            if candidate.get(key):
                self._cite(list(read(candidate[key], "".join(self._text))))
        self._searches = searches(candidate.get("groundingMetadata")) or self._searches
        message = candidate.get("finishMessage")
        if message:
            self._finish_message = str(message)
        token = candidate.get("continuationToken")
        if token:
            self._token = str(token)
        word = candidate.get("finishReason")
        if word:
            self._finish_word = str(word).upper()
            if self._finish_word in BROKEN or self._finish_word == "PUP_LIMITED_DISABLED":
                # Said at once, so that another try can be made before the client hears anything.
                self._finish_reason(self._finish_word)

    def _cite(self, citations: list[ir.UrlCitation]) -> None:
        if citations and self._open != _TEXT:
            self._losses.warn("response.citations", "sources came after their text was complete")
            return
        for citation in citations:
            self.parts.cite(_TEXT, citation)

    # -- parts

    def _read_part(self, part: JsonObject) -> None:
        text, signature = part.get("text"), part.get("thoughtSignature")
        data = next((key for key in part if key not in _MODIFIERS), None)
        if data is not None:
            if text:  # beside data: against the rules, but nothing is lost
                self._add_text(text, _TEXT)
            self._flush_for(data)
            if signature:
                self._sign(signature)
            self._read_data(data, part[data])
        elif part.get("thought"):
            self._add_text(text or "", _THOUGHT)
            if signature:
                self._sign(signature)
        elif text is not None or signature:
            self._read_signed_text(text or "", signature)

    def _read_signed_text(self, text: str, signature: str | None) -> None:
        if signature and not text:
            # Held: sources of the text before it may still come.
            self._flush()
            self._late_signature = signature
            return
        if signature:
            self._flush()
            self._sign(signature)
        self._add_text(text, _TEXT)

    def _add_text(self, text: str, kind: str) -> None:
        """More visible text or thought; a change of kind closes what is open."""
        if not text:
            return
        if text.__class__ is not str:
            raise _malformed("text that is no string")
        if self._open != kind or self._late_signature is not None or self._code is not None:
            self._flush()
            self._close_open()
            self._open = kind
            self._text = []
            self.parts.start(kind, ir.Text(text="") if kind == _TEXT else ir.Reasoning())
        if kind == _TEXT:
            self._text.append(text)
        self.parts.delta(kind, text)

    def _sign(self, signature: str) -> None:
        """The signature of the part that comes next: state of the thoughts before it, or a silent one."""
        if not isinstance(signature, str):
            raise _malformed("a thought signature that is no string")
        state = self._reading.state(ir.StateKind.GEMINI_SIGNATURE, signature)
        if self._open == _THOUGHT:
            self.parts.end(_THOUGHT, state)
            self._open = None
            return
        self._close_open()
        self.parts.start(_THOUGHT, ir.Reasoning())
        self.parts.end(_THOUGHT, state)

    def _read_data(self, key: str, value: Json) -> None:
        if key in _KNOWN_DATA and not isinstance(value, dict):
            raise _malformed(f"a part whose {key} is no object")
        match key:
            case "functionCall":
                self._read_call(camel_keys(value))
            case "inlineData":
                self._read_inline(camel_keys(value))
            case "fileData":
                self._read_file(camel_keys(value))
            case "executableCode" | "codeExecutionResult":
                self._read_code(code_part({key: value}))
            case "toolCall" | "toolResponse":
                self._add_whole(server_tool_part(key, value))
            case "audioTranscription":
                self._add_whole(transcription_part(value))
            case _:
                self._losses.give_up(
                    Loss.UNKNOWN,
                    "response.parts",
                    f"an unknown kind of content ({key}) was dropped",
                )

    def _add_whole(self, part: ir.Part) -> None:
        self._close_open()
        self.parts.whole(_WHOLE, part)

    def _read_inline(self, blob: JsonObject) -> None:
        try:
            data = media.standard_base64(str(blob.get("data") or ""), "inlineData")
        except GatewayError as error:
            raise _malformed(f"media that cannot be read ({error.message})") from error
        media_type = media.media_type(blob.get("mimeType"), data)
        self._add_media(ir.Inline(media_type=media_type, data=data), media_type)

    def _read_file(self, file: JsonObject) -> None:
        media_type = str(file.get("mimeType") or "")
        self._add_media(file_source(str(file.get("fileUri") or ""), media_type or None), media_type)

    def _add_media(self, source: ir.Source, media_type: str) -> None:
        match media_type.partition("/")[0]:
            case "image":
                self._add_whole(ir.Image(source=source))
            case "audio":
                self._add_whole(ir.Audio(source=source))
            case "video":
                self._add_whole(ir.Video(source=source))
            case _:
                self._add_whole(ir.Document(source=source))

    def _read_code(self, run: ir.CodeRun) -> None:
        """Code waits for its result, so that both become one part."""
        joined = join_code(self._code, run) if self._code is not None else None
        if joined is not None:
            self._code = None
            self._add_whole(joined)
            return
        self._flush()
        if "executableCode" in run.wire[0]:
            self._code = run
        else:
            self._add_whole(run)

    def _flush_for(self, data: str) -> None:
        """Let go what was held, unless this is the result that held code waits for."""
        if not (data == "codeExecutionResult" and self._code is not None):
            self._flush()

    def _flush(self) -> None:
        if self._late_signature is not None:
            signature, self._late_signature = self._late_signature, None
            self._sign(signature)
        if self._code is not None:
            code, self._code = self._code, None
            self._add_whole(code)

    def _close_open(self) -> None:
        if self._open is not None:
            self.parts.end(self._open)
            self._open = None

    # -- calls

    def _read_call(self, call: JsonObject) -> None:
        """A whole call, or a piece of one whose arguments are streamed (Vertex AI)."""
        name = call.get("name")
        if self._partial is not None and name:
            self._end_call(dump_text(self._partial.value))
        if self._partial is None:
            if not name:
                if any(call.get(key) for key in ("args", "partialArgs", "id")):
                    raise _malformed("a function call without a name")
                return  # the empty piece that ends a call which has ended already
            self._start_call(str(name), call)
            if not (call.get("partialArgs") or call.get("willContinue")):
                self._end_call(arguments_text(call.get("args")))
                return
            self._partial = PartialArguments()
        self._partial.add(call.get("partialArgs") or [])
        if not call.get("willContinue"):
            self._end_call(dump_text(self._partial.value))

    def _start_call(self, name: str, call: JsonObject) -> None:
        self._close_open()
        ref = self._reading.tool(name)
        head = ir.ToolCall(
            call_id=self._call_id(name, call), name=ref.name, namespace=ref.namespace
        )
        self._call_count += 1
        self._open = _CALL
        self.parts.start(_CALL, head)

    def _call_id(self, name: str, call: JsonObject) -> str:
        """The upstream's own id, else one made from the answer's id and the call's place."""
        given = call.get("id")
        if not given:
            source = self._response_id or f"{name}\0{dump_text(call.get('args'))}"
            given = ids.made_call_id("call_", source, self._candidate, self._call_count)
        unique, count = str(given), 1
        while unique in self._call_ids:
            count += 1
            unique = f"{given}_{count}"
        self._call_ids.add(unique)
        return unique

    def _end_call(self, arguments: str) -> None:
        self._partial = None
        self.parts.delta(_CALL, arguments)
        self._close_open()

    def _end_cut_call(self, reason: ir.FinishReason) -> None:
        """The answer ended inside a call: cut by the limit, or the upstream is broken."""
        if reason is ir.FinishReason.TOOL_CALLS or self._partial is None:
            raise _malformed("an end in the middle of a function call")
        self.parts.delta(_CALL, dump_text(self._partial.value))
        self.parts.end(_CALL, complete=False)
        self._partial = None
        self._open = None


class GeminiObserver:
    """Watch a stream that passes: only frames that may say how it ends are parsed, usage when it is asked for."""

    def __init__(self) -> None:
        self._splitter = Splitter()
        self._usage_frame: bytes | None = None
        self._counts: JsonObject = {}
        self._finish_word: str | None = None
        self._has_calls = False
        self._failed = False
        self.error: GatewayError | None = None
        """See StreamObserver."""

    def bound(self, max_frame_bytes: int) -> None:
        """See StreamObserver."""
        self._splitter.bound(max_frame_bytes)

    def feed(self, data: bytes) -> None:
        """See StreamObserver."""
        if self.error is not None:
            return
        try:
            for frame in self._splitter.feed(data):
                self._look(frame.data)
        except GatewayError as error:
            self.error = error

    def _look(self, data: bytes) -> None:
        if not self._has_calls and b"unction" in data:
            self._has_calls = b'"functionCall"' in data or b'"function_call"' in data
        if b"usageMetadata" in data or b"usage_metadata" in data:
            self._usage_frame = data
        # Either spelling; text that only looks like it costs one needless parse.
        if b"inish" in data or b"block" in data or b'"error"' in data:
            self._read_end(_chunk(data))

    def _read_end(self, chunk: JsonObject) -> None:
        self._counts |= _usage_of(chunk)
        if chunk.get("error"):
            self._failed = True
        feedback = chunk.get("promptFeedback")
        if isinstance(feedback, dict) and camel_keys(feedback).get("blockReason"):
            self._finish_word = "SAFETY"
        for candidate in chunk.get("candidates") or ():
            if isinstance(candidate, dict):
                word = camel_keys(candidate).get("finishReason")
                self._finish_word = str(word).upper() if word else self._finish_word

    @property
    def usage(self) -> ir.Usage:
        """See StreamObserver."""
        if self._usage_frame is not None:
            self._counts |= _usage_of(_chunk(self._usage_frame))
            self._usage_frame = None
        return parse_usage(self._counts)

    @property
    def finish_reason(self) -> ir.FinishReason | None:
        """See StreamObserver."""
        if self._finish_word is None:
            return None
        if self._finish_word in BROKEN or self._finish_word == "PUP_LIMITED_DISABLED":
            return ir.FinishReason.STOP
        return parse_finish(
            self._finish_word, has_calls=self._has_calls, message=None, losses=Losses()
        )

    @property
    def ended(self) -> bool:
        """See StreamObserver."""
        return self._failed or self._finish_word is not None

    def failure(self, error: GatewayError) -> bytes:
        """See StreamObserver: every error event of this protocol looks the same."""
        return b""


def _chunk(data: bytes) -> JsonObject:
    """A frame's object, {} when it is none; the envelope of Code Assist is taken off."""
    try:
        value = loads(data)
    except JsonSyntaxError:
        return {}
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return {}
    inner = value.get("response")
    return camel_keys({**value, **inner} if isinstance(inner, dict) else value)


def _usage_of(chunk: JsonObject) -> JsonObject:
    usage = chunk.get("usageMetadata")
    return camel_keys(usage) if isinstance(usage, dict) else {}


def _unix_seconds(value: Json) -> int | None:
    """Vertex's `createTime`, RFC 3339."""
    if not isinstance(value, str):
        return None
    try:
        return int(datetime.fromisoformat(value).timestamp())
    except ValueError:
        return None


def _malformed(what: str) -> GatewayError:
    return GatewayError(ErrorKind.UPSTREAM_MALFORMED, f"the provider sent {what}")
