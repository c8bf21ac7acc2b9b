"""Output items, both ways: what an upstream sends as hub parts, and hub parts as items for a client.

The same builders serve whole answers and the `done` events of a stream, so that both say the same.
Reference: https://platform.openai.com/docs/api-reference/responses/object (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from translators import ir, media
from translators.arguments import arguments_object
from translators.base import Reading, Writing
from translators.errors import ErrorKind, GatewayError
from translators.ids import CallIds, digest62
from translators.losses import Loss, Losses, Mode
from translators.openai_responses.content import (
    PROTOCOL,
    parse_annotations,
)
from translators.openai_responses.foreign import check_known, parse_foreign
from translators.openai_responses.items import parse_code_run, parse_web_search, reasoning_text
from translators.openai_responses.tools import CLIENT
from translators.wire import Json, JsonObject

COMPLETED: Final = "completed"
INCOMPLETE: Final = "incomplete"

CALL_TYPES: Final = frozenset({"function_call", "custom_tool_call"})

_IMAGE_FORMATS: Final[Mapping[str, str]] = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/svg+xml": "svg",
}


# ------------------------------------------------------------------------------------------ parse


def parse_item(item: JsonObject, reading: Reading, losses: Losses) -> list[ir.Part]:
    """The parts of one finished output item; an unknown type becomes a Foreign, but for `strict`."""
    kind = item.get("type")
    if not isinstance(kind, str):
        raise GatewayError(
            ErrorKind.UPSTREAM_MALFORMED, "the provider sent an output item without a type"
        )
    match kind:
        case "message":
            return parse_message_content(item.get("content"), losses, parse_phase(item))
        case "reasoning":
            reasoning = parse_reasoning(item, reading)
            return [reasoning] if reasoning.text or reasoning.state else []
        case "function_call" | "custom_tool_call":
            return [parse_call(item, reading)]
        case "web_search_call":
            return [parse_web_search(item)]
        case "code_interpreter_call":
            return [parse_code_run(item)]
        case "image_generation_call" if isinstance(item.get("result"), str) and item["result"]:
            return [parse_image(item)]
        case _:
            check_known(kind, losses)
            return [parse_foreign(kind, item, "")]


def parse_phase(item: JsonObject) -> str | None:
    """What a message is said for; typed clients read no words but the documented ones."""
    phase = item.get("phase")
    return phase if phase in ("commentary", "final_answer") else None


def parse_message_content(content: Json, losses: Losses, phase: str | None = None) -> list[ir.Part]:
    """The text and refusal parts of a message item; empty ones are left out."""
    if isinstance(content, str):
        return [ir.Text(text=content, phase=phase)] if content else []
    parts: list[ir.Part] = []
    for piece in content or []:
        match piece.get("type"):
            case "output_text" | "text":
                if text := _text_of(piece, "text"):
                    citations = parse_annotations(piece.get("annotations") or [])
                    parts.append(ir.Text(text=text, citations=citations, phase=phase))
            case "refusal":
                if text := _text_of(piece, "refusal"):
                    parts.append(ir.Refusal(text=text))
            case kind:
                check_known(str(kind), losses)
                parts.append(parse_foreign(str(kind), piece, ""))
    return parts


def _text_of(piece: JsonObject, key: str) -> str:
    text = piece.get(key) or ""
    if not isinstance(text, str):
        raise TypeError(key)
    return text


def parse_reasoning(item: JsonObject, reading: Reading) -> ir.Reasoning:
    """A reasoning item of an upstream; its encrypted content is state of that upstream."""
    item_id = item.get("id")
    return ir.Reasoning(
        text=reasoning_text(item),
        state=parse_state(item, reading),
        item_id=item_id if isinstance(item_id, str) else None,
    )


def parse_state(item: JsonObject, reading: Reading) -> ir.OpaqueState | None:
    """The opaque state of a finished reasoning item."""
    encrypted = item.get("encrypted_content")
    if not isinstance(encrypted, str) or not encrypted:
        return None
    return reading.state(ir.StateKind.RESPONSES_ENCRYPTED, encrypted)


def parse_call(item: JsonObject, reading: Reading) -> ir.ToolCall:
    """A function or freeform call; "" is the id of a call that came without one."""
    custom = item.get("type") == "custom_tool_call"
    item_id = item.get("id")
    name = str(item.get("name") or "")
    namespace = item.get("namespace")
    ref = ir.ToolRef(name, namespace) if namespace else reading.tool(name)
    return ir.ToolCall(
        call_id=str(item.get("call_id") or item_id or ""),
        name=ref.name,
        namespace=ref.namespace,
        arguments=str(item.get("input" if custom else "arguments") or ""),
        kind=ir.ToolKind.CUSTOM if custom else ir.ToolKind.FUNCTION,
        item_id=item_id if isinstance(item_id, str) else None,
        complete=item.get("status") != INCOMPLETE,
    )


def parse_image(item: JsonObject) -> ir.Image:
    """A generated picture."""
    data = media.standard_base64(item["result"], "output")
    return ir.Image(source=ir.Inline(media_type=media.media_type(None, data), data=data))


def parse_logprobs(values: Json) -> tuple[ir.TokenLogprob, ...]:
    """`logprobs` of a text part or delta."""
    if not isinstance(values, list):
        return ()
    return tuple(_parse_logprob(value) for value in values if isinstance(value, dict))


def _parse_logprob(value: JsonObject) -> ir.TokenLogprob:
    raw = value.get("bytes")
    return ir.TokenLogprob(
        token=str(value.get("token") or ""),
        logprob=float(value.get("logprob") or 0.0),
        bytes=tuple(raw) if isinstance(raw, list) else None,
        top=parse_logprobs(value.get("top_logprobs")),
    )


# ----------------------------------------------------------------------------------------- render


def text_part(
    text: str, annotations: list[JsonObject] | None = None, logprobs: list[JsonObject] | None = None
) -> JsonObject:
    """An `output_text` part; both lists are always there, strict clients want them."""
    return {
        "type": "output_text",
        "text": text,
        "annotations": annotations or [],
        "logprobs": logprobs or [],
    }


def refusal_part(text: str) -> JsonObject:
    """A `refusal` part."""
    return {"type": "refusal", "refusal": text}


def message_item(
    item_id: str, status: str, content: list[JsonObject], phase: str | None = None
) -> JsonObject:
    """A message of the assistant."""
    item: JsonObject = {
        "id": item_id,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }
    return item if phase is None else {**item, "phase": phase}


def reasoning_item(item_id: str, text: str, encrypted: str | None) -> JsonObject:
    """A reasoning item; the text is one summary part."""
    return {
        "id": item_id,
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text}] if text else [],
        "encrypted_content": encrypted,
    }


def call_item(
    item_id: str, call_id: str, call: ir.ToolCall, arguments: str, status: str
) -> JsonObject:
    """A `function_call` or `custom_tool_call`; a namespace goes back as the client declared it."""
    item: JsonObject = {"id": item_id}
    if call.kind is ir.ToolKind.CUSTOM:
        item |= {
            "type": "custom_tool_call",
            "status": status,
            "call_id": call_id,
            "name": call.name,
            "input": arguments,
        }
    else:
        item |= {
            "type": "function_call",
            "status": status,
            "call_id": call_id,
            "name": call.name,
            "arguments": arguments,
        }
    if call.namespace:
        item["namespace"] = call.namespace
    return item


def search_item(item_id: str, call_id: str, arguments: JsonObject, status: str) -> JsonObject:
    """A `tool_search_call` for the client to run."""
    return {
        "id": item_id,
        "type": "tool_search_call",
        "status": status,
        "execution": CLIENT,
        "call_id": call_id,
        "arguments": arguments,
    }


def render_logprobs(values: Iterable[ir.TokenLogprob]) -> list[JsonObject]:
    """Log probabilities of text tokens."""
    return [
        {**_token(value), "top_logprobs": [_token(other) for other in value.top]}
        for value in values
    ]


def without_bytes(logprobs: Iterable[JsonObject]) -> list[JsonObject]:
    """Log probabilities as events have them; only whole parts know the bytes."""
    return [
        {
            "token": entry["token"],
            "logprob": entry["logprob"],
            "top_logprobs": [
                {"token": other["token"], "logprob": other["logprob"]}
                for other in entry["top_logprobs"]
            ],
        }
        for entry in logprobs
    ]


def _token(value: ir.TokenLogprob) -> JsonObject:
    raw = value.bytes if value.bytes is not None else tuple(value.token.encode())
    return {"token": value.token, "bytes": list(raw), "logprob": value.logprob}


class ItemWriter:
    """Build the items of one answer for a client: ids, states, annotations, and what must be left out."""

    def __init__(self, response_id: str, writing: Writing, losses: Losses) -> None:
        self._response_id = response_id
        self._seal = writing.seal
        self._losses = losses
        self._calls = CallIds("call_")
        self._ids: set[str] = set()
        self._searches = {
            tool.ref
            for tool in writing.request.tools
            if isinstance(tool, ir.FunctionTool) and tool.kind is ir.ToolKind.SEARCH
        }

    def item_id(self, prefix: str, own: str | None, index: int) -> str:
        """The id of the item at an output index: the upstream's where it is of this kind, else derived."""
        if own and own.startswith(prefix) and own not in self._ids:
            chosen = own
        else:
            chosen = prefix + digest62(self._response_id, str(index), length=32)
        self._ids.add(chosen)
        return chosen

    def is_search(self, call: ir.ToolCall) -> bool:
        """Whether a call is one of the client's own search for tools."""
        return call.ref in self._searches

    def search(self, item_id: str, call_id: str, text: str, *, complete: bool) -> JsonObject:
        """The item of such a call; of one that was cut nothing can be told."""
        if not complete:
            return search_item(item_id, call_id, {}, INCOMPLETE)
        arguments = arguments_object(text, "response.output", self._losses)
        return search_item(item_id, call_id, arguments, COMPLETED)

    def call_ids(self, call: ir.ToolCall, index: int) -> tuple[str, str]:
        """The item id and the call id of a call."""
        prefix = "ctc_" if call.kind is ir.ToolKind.CUSTOM else "fc_"
        if self.is_search(call):
            prefix = "tsc_"
        upstream = call.call_id or digest62(self._response_id, str(index))
        return self.item_id(prefix, call.item_id, index), self._calls.take(upstream)

    def encrypted(self, reasoning: ir.Reasoning) -> str | None:
        """What the client keeps for us: this protocol's own state bare, any other in an envelope.

        Thoughts without state get one too: a bare item would be taken for one of the provider's own (RSN-07).
        """
        state = reasoning.state
        if state is not None and state.protocol == PROTOCOL:
            return state.value
        if self._seal is None:
            return None
        return self._seal.wrap_text(reasoning.text) if state is None else self._seal.wrap(reasoning)

    def annotation(self, citation: ir.Citation, text_length: int) -> JsonObject | None:
        """One annotation; a citation without a range covers the text so far."""
        if isinstance(citation, ir.UrlCitation):
            return {
                "type": "url_citation",
                "start_index": citation.start if citation.start is not None else 0,
                "end_index": citation.end if citation.end is not None else text_length,
                "title": citation.title,
                "url": citation.url,
            }
        if citation.protocol == PROTOCOL:
            return citation.wire
        if self._losses.mode is not Mode.MAX_COMPAT:
            self._losses.warn("response.output", "a citation of a document was dropped")
            return None
        self._losses.warn("response.output", "a citation of a document lost its exact place")
        return {
            "type": "file_citation",
            "file_id": "",
            "filename": citation.title,
            "index": text_length,
        }

    def annotations(self, citations: Iterable[ir.Citation], text: str) -> list[JsonObject]:
        """All annotations of a text."""
        found = (self.annotation(citation, len(text)) for citation in citations)
        return [annotation for annotation in found if annotation is not None]

    def hosted(self, part: ir.Part, index: int) -> JsonObject | None:
        """The item of a part that comes whole; None when it has none here, which is recorded."""
        match part:
            case ir.WebSearch():
                return self._web_search(part, index)
            case ir.CodeRun():
                return self._code_run(part, index)
            case ir.Image(source=ir.Inline() as source):
                return {
                    "id": self.item_id("ig_", None, index),
                    "type": "image_generation_call",
                    "status": COMPLETED,
                    "result": source.data,
                    "output_format": _IMAGE_FORMATS.get(source.media_type, "png"),
                }
            case ir.Foreign(protocol=protocol, wire=wire) if protocol == PROTOCOL:
                return wire
            case ir.Audio():
                self._losses.give_up(Loss.MEANING, "response.output", "audio was left out")
            case ir.Foreign():
                self._losses.give_up(
                    Loss.UNKNOWN, "response.output", f"{part.type} content was left out"
                )
            case _:
                self._losses.give_up(
                    Loss.UNKNOWN, "response.output", f"{type(part).__name__} content was left out"
                )
        return None

    def _web_search(self, part: ir.WebSearch, index: int) -> JsonObject:
        if part.protocol == PROTOCOL and part.wire:
            return part.wire[0]
        action: JsonObject = {"type": "search", "query": part.query}
        action["queries"] = [part.query] if part.query else []
        if part.sources:
            action["sources"] = [{"type": "url", "url": source.url} for source in part.sources]
        return {
            "id": self.item_id("ws_", part.call_id, index),
            "type": "web_search_call",
            "status": COMPLETED,
            "action": action,
        }

    def _code_run(self, part: ir.CodeRun, index: int) -> JsonObject:
        if part.protocol == PROTOCOL and part.wire:
            return part.wire[0]
        return {
            "id": self.item_id("ci_", part.call_id, index),
            "type": "code_interpreter_call",
            "status": COMPLETED if part.ok else "failed",
            "container_id": "",
            "code": part.code,
            "outputs": [{"type": "logs", "logs": part.output}] if part.output else [],
        }

    # -- whole answers

    def items(self, parts: Iterable[ir.Part], last_status: str) -> list[JsonObject]:
        """All items of an answer; `last_status` is that of its last message."""
        output: list[JsonObject] = []
        content: list[JsonObject] = []
        phase: str | None = None

        def flush(status: str) -> None:
            if content:
                item_id = self.item_id("msg_", None, len(output))
                output.append(message_item(item_id, status, content[:], phase))
                content.clear()

        for part in parts:
            match part:
                case ir.Text():
                    if part.text:
                        if part.phase != phase:
                            flush(COMPLETED)
                            phase = part.phase
                        content.append(
                            text_part(part.text, self.annotations(part.citations, part.text))
                        )
                    continue
                case ir.Refusal():
                    content.append(refusal_part(part.text))
                    continue
                case _:
                    pass
            item = self._item(part, len(output) + bool(content))
            if item is not None:
                flush(COMPLETED)
                output.append(item)
        flush(last_status)
        return output

    def _item(self, part: ir.Part, index: int) -> JsonObject | None:
        match part:
            case ir.Reasoning():
                encrypted = self.encrypted(part)
                if not part.text and encrypted is None:
                    return None
                return reasoning_item(
                    self.item_id("rs_", part.item_id, index), part.text, encrypted
                )
            case ir.ToolCall():
                item_id, call_id = self.call_ids(part, index)
                if self.is_search(part):
                    return self.search(item_id, call_id, part.arguments, complete=part.complete)
                status = COMPLETED if part.complete else INCOMPLETE
                arguments = part.arguments
                if part.complete and part.kind is ir.ToolKind.FUNCTION and not arguments.strip():
                    arguments = "{}"  # clients parse it
                return call_item(item_id, call_id, part, arguments, status)
            case _:
                return self.hosted(part, index)


def with_state(reasoning: ir.Reasoning, text: str, state: ir.OpaqueState | None) -> ir.Reasoning:
    """A streamed reasoning part in its final form."""
    return replace(reasoning, text=text, state=state or reasoning.state)
