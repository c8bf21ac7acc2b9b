"""Whole answers of Chat Completions, read and written.

Reference: https://platform.openai.com/docs/api-reference/chat/object (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from translators import ids, ir, media
from translators.arguments import arguments_text
from translators.base import Reading, Writing
from translators.errors import ErrorKind, GatewayError
from translators.losses import Action, Losses
from translators.openai_chat.answer import (
    CALL_PREFIX,
    DECLINED,
    arguments_of,
    drop_part,
    finish_in,
    finish_out,
    is_json,
    parse_citations,
    parse_logprobs,
    render_citation,
    render_logprobs,
    response_id,
)
from translators.openai_chat.errors import parse_failure
from translators.openai_chat.messages import details_text, thinking_text, thought_signature
from translators.openai_chat.usage import (
    find_usage,
    parse_tier,
    render_tier,
    render_usage,
    whole_number,
)
from translators.openai_chat.words import DETAILS, reasoning_text
from translators.wire import Json, JsonObject, dump_text

# ---------------------------------------------------------------------------------------- parsing


def parse_response(body: JsonObject, reading: Reading, losses: Losses) -> ir.Response:
    """Read an upstream's whole answer; a failure envelope under status 200 raises what it says."""
    failure = parse_failure(body)
    if failure is not None:
        raise failure
    try:
        return _response(body, reading, losses)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise GatewayError(
            ErrorKind.UPSTREAM_MALFORMED,
            f"the provider sent an answer of an unreadable shape ({type(error).__name__})",
        ) from error


def _response(body: JsonObject, reading: Reading, losses: Losses) -> ir.Response:
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise GatewayError(ErrorKind.UPSTREAM_MALFORMED, "the provider's answer has no choices")
    answer_id = body.get("id") if isinstance(body.get("id"), str) else ""
    candidates = [
        _candidate(choice, str(answer_id), place, reading, losses)
        for place, choice in enumerate(choices)
    ]
    first, *others = candidates
    model = body.get("model")
    return ir.Response(
        id=str(answer_id),
        model=model if isinstance(model, str) and model else reading.model,
        parts=first.parts,
        finish_reason=first.finish_reason,
        created_s=whole_number(body.get("created")),
        explanation=first.explanation,
        usage=find_usage(body),
        logprobs=first.logprobs,
        service_tier=parse_tier(body.get("service_tier")),
        alternatives=tuple(others),
    )


def _candidate(
    choice: JsonObject, answer_id: str, place: int, reading: Reading, losses: Losses
) -> ir.Candidate:
    failure = parse_failure({"error": choice.get("error")})
    if failure is not None:
        raise failure
    message = choice.get("message") or choice.get("delta") or {}
    parts = [*_said(message, reading, losses), *_calls(message, answer_id, place, reading)]
    refusals = [part.text for part in parts if isinstance(part, ir.Refusal)]
    reason = finish_in(
        choice.get("finish_reason"),
        losses,
        calls=any(isinstance(part, ir.ToolCall) for part in parts),
        refused=bool(refusals),
    )
    if reason is ir.FinishReason.LENGTH and parts and isinstance(parts[-1], ir.ToolCall):
        last = parts[-1]
        if last.kind is ir.ToolKind.CUSTOM or not is_json(last.arguments or "{}"):
            parts[-1] = replace(last, complete=False)
    return ir.Candidate(
        parts=tuple(parts),
        finish_reason=reason,
        explanation=refusals[0] if reason is ir.FinishReason.REFUSAL and refusals else None,
        logprobs=parse_logprobs(choice.get("logprobs")),
    )


def _said(message: JsonObject, reading: Reading, losses: Losses) -> Iterator[ir.Part]:
    """Reasoning, text, refusal and media of a message, in the order in which they came to be."""
    yield from _reasoning(message, reading)
    citations = parse_citations(message.get("annotations"))
    content = message.get("content")
    audio = message.get("audio")
    if isinstance(audio, dict):
        losses.warn("response.audio", "spoken output was replaced by its transcript")
        content = content or audio.get("transcript")
    if isinstance(content, list):
        yield from _content_list(content, losses)
    elif isinstance(content, str) and content:
        yield ir.Text(text=content, citations=citations)
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        yield ir.Refusal(text=refusal)
    yield from images(message.get("images"))


def _reasoning(message: JsonObject, reading: Reading) -> Iterator[ir.Reasoning]:
    text = reasoning_text(message)
    details = message.get("reasoning_details")
    state = None
    if isinstance(details, list) and details:
        text = text or details_text(details)
        state = reading.state(DETAILS, dump_text(details))
    if text or state is not None:
        yield ir.Reasoning(text=text, state=state)


def _content_list(content: list[Json], losses: Losses) -> Iterator[ir.Part]:
    """Content as parts, which Mistral's thinking models send."""
    for item in content:
        if not isinstance(item, dict):
            continue
        if item.get("type") == "thinking":
            yield ir.Reasoning(text=thinking_text(item))
        elif isinstance(item.get("refusal"), str):
            yield ir.Refusal(text=item["refusal"])
        elif isinstance(item.get("text"), str) and item["text"]:
            yield ir.Text(text=item["text"])
        elif found := list(images([item])):
            yield from found
        else:
            note_unknown(item, losses)


def note_unknown(part: JsonObject, losses: Losses) -> None:
    """A part of content that nobody knows: `strict` refuses it; one without text says nothing."""
    kind = str(part.get("type"))
    if kind not in ("text", "image_url"):
        losses.choose(
            "response.content",
            f"an unknown part `{kind}` was left out",
            strict=Action.REJECT,
            balanced=Action.WARN,
            max_compat=Action.WARN,
        )


def images(raw: Json) -> Iterator[ir.Image]:
    """Pictures that a model made: OpenRouter's `images`, data URLs in `image_url` parts."""
    for item in raw if isinstance(raw, list) else ():
        image = item.get("image_url") if isinstance(item, dict) else None
        url = image.get("url") if isinstance(image, dict) else None
        if isinstance(url, str) and url:
            source = media.parse_data_url(url, "response.images")
            yield ir.Image(source=source or ir.Url(url=url))


def _calls(message: JsonObject, answer_id: str, place: int, reading: Reading) -> Iterator[ir.Part]:
    raw = list(message.get("tool_calls") or ())
    legacy = message.get("function_call")
    if isinstance(legacy, dict) and not raw:
        raw = [{"function": legacy}]
    for ordinal, call in enumerate(raw):
        signature = thought_signature(call)
        if signature is not None:
            state = reading.state(ir.StateKind.GEMINI_SIGNATURE, signature)
            yield ir.Reasoning(state=state)
        yield _call(call, answer_id, place, ordinal, reading)


def _call(
    call: JsonObject, answer_id: str, place: int, ordinal: int, reading: Reading
) -> ir.ToolCall:
    custom = call.get("custom")
    inner = custom if isinstance(custom, dict) else call.get("function") or {}
    name = inner.get("name")
    if not isinstance(name, str) or not name:
        raise nameless_call()
    ref = reading.tool(name)
    return ir.ToolCall(
        call_id=str(call.get("id") or "")
        or ids.made_call_id(CALL_PREFIX, answer_id, place, ordinal),
        name=ref.name,
        namespace=ref.namespace,
        arguments=arguments_of(inner.get("input" if custom else "arguments")),
        kind=ir.ToolKind.CUSTOM if custom else ir.ToolKind.FUNCTION,
    )


def nameless_call() -> GatewayError:
    """A call that cannot be run must not end as a turn without calls (pitfalls STOP-10)."""
    return GatewayError(
        ErrorKind.UPSTREAM_MALFORMED, "the provider sent a tool call without a name"
    )


# -------------------------------------------------------------------------------------- rendering


def render_response(response: ir.Response, writing: Writing, losses: Losses) -> JsonObject:
    """Write a whole answer for a client of this protocol."""
    first = ir.Candidate(
        parts=response.parts,
        finish_reason=response.finish_reason,
        explanation=response.explanation,
        logprobs=response.logprobs,
    )
    choices = [
        _choice(candidate, index, writing, losses)
        for index, candidate in enumerate((first, *response.alternatives))
    ]
    body: JsonObject = {
        "id": response_id(response.id, response.model, writing.now_s),
        "object": "chat.completion",
        "created": response.created_s if response.created_s is not None else writing.now_s,
        "model": writing.model,
        "choices": choices,
    }
    usage = render_usage(response.usage)
    if usage is not None:
        body["usage"] = usage
    return body | render_tier(response.service_tier)


def _choice(candidate: ir.Candidate, index: int, writing: Writing, losses: Losses) -> JsonObject:
    message = _Message(writing, losses)
    for part in candidate.parts:
        message.add(part)
    wire = message.wire(candidate)
    legacy = writing.request.legacy_functions
    return {
        "index": index,
        "message": wire,
        "logprobs": render_logprobs(candidate.logprobs),
        "finish_reason": finish_out(
            candidate.finish_reason,
            losses,
            calls=bool(message.calls),
            refused=bool(message.refusals),
            legacy=legacy,
        ),
    }


class _Message:
    """Sort the parts of an answer into the fields of one message."""

    def __init__(self, writing: Writing, losses: Losses) -> None:
        self.calls: list[JsonObject] = []
        self.refusals: list[str] = []
        self._writing = writing
        self._losses = losses
        self._call_ids = ids.CallIds(CALL_PREFIX)
        self._text = ""
        self._joined = False  # whether the part before was text: then nothing goes between
        self._reasoning: list[str] = []
        self._annotations: list[JsonObject] = []
        self._images: list[JsonObject] = []

    def add(self, part: ir.Part) -> None:
        """Take one part."""
        match part:
            case ir.Text():
                self._add_text(part)
            case ir.Refusal():
                self.refusals.append(part.text)
            case ir.ToolCall():
                self.calls.append(self._call(part))
            case ir.Reasoning() if self._writing.chat_reasoning is not None:
                self._reasoning.append(part.text)
            case ir.Image() if not isinstance(part.source, ir.FileId | ir.PlainText):
                drop_part(part, self._losses)  # allowed by the mode: the de-facto field is better
                self._images.append(image_object(part.source))
            case _:
                drop_part(part, self._losses)
        self._joined = isinstance(part, ir.Text)

    def _add_text(self, part: ir.Text) -> None:
        if self._text and not self._joined:
            self._text += "\n\n"
        start = len(self._text)
        self._text += part.text
        for citation in part.citations:
            annotation = render_citation(citation, start, len(self._text), self._losses)
            if annotation is not None:
                self._annotations.append(annotation)

    def _call(self, call: ir.ToolCall) -> JsonObject:
        call_id = self._call_ids.take(call.call_id)
        if call.kind is ir.ToolKind.CUSTOM:
            custom = {"name": call.name, "input": call.arguments}
            return {"id": call_id, "type": "custom", "custom": custom}
        arguments = call.arguments if not call.complete else arguments_text(call.arguments)
        function = {"name": call.name, "arguments": arguments}
        return {"id": call_id, "type": "function", "function": function}

    def wire(self, candidate: ir.Candidate) -> JsonObject:
        """The `message` object."""
        refusal = "\n\n".join(self.refusals) or None
        if candidate.finish_reason in DECLINED and not self._text:
            refusal = refusal or candidate.explanation
        wire: JsonObject = {
            "role": "assistant",
            "content": self._text or None,
            "refusal": refusal,
        }
        reasoning = "\n\n".join(filter(None, self._reasoning))
        if reasoning and self._writing.chat_reasoning is not None:
            wire[self._writing.chat_reasoning] = reasoning
        if self._annotations:
            wire["annotations"] = self._annotations
        if self._images:
            wire["images"] = self._images
        self._put_calls(wire)
        return wire

    def _put_calls(self, wire: JsonObject) -> None:
        if not self.calls:
            return
        if not self._writing.request.legacy_functions:
            wire["tool_calls"] = self.calls
            return
        wire["function_call"] = self.calls[0].get("function")
        if len(self.calls) > 1:
            self._losses.warn("response.tool_calls", "`function_call` has room for one call only")


def image_object(source: ir.Inline | ir.Url) -> JsonObject:
    """A picture in the field that others than OpenAI have for it."""
    url = source.url if isinstance(source, ir.Url) else media.data_url(source)
    return {"type": "image_url", "image_url": {"url": url}}
