"""The whole answer: wire -> hub and hub -> wire (portability rules, sections 4.4, 12, 14 and 15).

Reference: https://platform.claude.com/docs/en/api/messages (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, assert_never

from translators import freeform, ids, ir
from translators.anthropic import hosted
from translators.anthropic.citations import parse_citations, render_citations
from translators.anthropic.content import call_arguments
from translators.anthropic.errors import parse_error_event
from translators.anthropic.pausing import resume_of
from translators.anthropic.usage import is_reported, parse_tier, parse_usage, render_usage
from translators.anthropic.words import CALL_PREFIX, MESSAGE_PREFIX, PROTOCOL, UNSIGNED
from translators.arguments import arguments_object
from translators.base import Reading, Writing
from translators.errors import ErrorKind, GatewayError
from translators.ir import FinishReason, StateKind
from translators.losses import Action, Loss, Losses
from translators.seal import Seal
from translators.wire import Json, JsonObject

REASONS_IN: Final[Mapping[str, FinishReason]] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP_SEQUENCE,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.CONTEXT_WINDOW,
    "tool_use": FinishReason.TOOL_CALLS,
    "pause_turn": FinishReason.PAUSE,
    "refusal": FinishReason.CONTENT_FILTER,
}

REASONS_OUT: Final[Mapping[FinishReason, str]] = {
    FinishReason.STOP: "end_turn",
    FinishReason.STOP_SEQUENCE: "stop_sequence",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.CONTEXT_WINDOW: "model_context_window_exceeded",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
    FinishReason.REFUSAL: "refusal",
    FinishReason.PAUSE: "pause_turn",
}

CUT_REASONS: Final = frozenset({FinishReason.LENGTH, FinishReason.CONTEXT_WINDOW})
NATURAL: Final = frozenset({FinishReason.STOP, FinishReason.TOOL_CALLS})

NO_CALLS: Final = "the provider announced tool calls but none could be read"


# ----------------------------------------------------------------------------------------- reading


CATEGORIES: Final = frozenset(
    {"cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"}
)
"""`stop_details.category`; typed clients read no other word."""


def parse_response(body: JsonObject, reading: Reading, losses: Losses) -> ir.Response:
    """Read an upstream's whole answer; an error object inside a 200 is raised as that error (ERR-12)."""
    if body.get("type") == "error" or ("error" in body and "content" not in body):
        raise parse_error_event(body)
    content = body.get("content")
    if content is None and body.get("stop_reason") is None:
        raise GatewayError(
            ErrorKind.UPSTREAM_MALFORMED, "the provider's answer holds neither content nor a reason"
        )
    blocks = content if isinstance(content, list) else []
    parts = _parse_blocks(blocks, str(body.get("id") or ""), reading, losses)
    has_call = any(isinstance(part, ir.ToolCall) for part in parts)
    reason = finish_reason(body.get("stop_reason"), has_call=has_call, losses=losses)
    if reason in CUT_REASONS and parts and isinstance(parts[-1], ir.ToolCall):
        parts[-1] = _cut(parts[-1])
    wire_usage = body.get("usage")
    stop_sequence = body.get("stop_sequence")
    paused = reason is FinishReason.PAUSE and reading.resumable
    return ir.Response(
        id=str(body.get("id") or ""),
        model=str(body.get("model") or reading.model),
        parts=tuple(parts),
        finish_reason=reason,
        stop_sequence=stop_sequence if isinstance(stop_sequence, str) else None,
        explanation=explanation(body.get("stop_details")),
        category=category(body.get("stop_details")),
        usage=parse_usage(wire_usage),
        service_tier=parse_tier(wire_usage),
        resume=resume_of(blocks, body.get("container")) if paused else None,
    )


def finish_reason(wire: Json, *, has_call: bool, losses: Losses) -> FinishReason:
    """The hub's reason: calls decide at a natural end, an unknown word counts as one."""
    if wire == "compaction":
        raise GatewayError(
            ErrorKind.UPSTREAM_MALFORMED, "the provider's answer is a compaction, not a message"
        )
    reason = REASONS_IN.get(wire) if isinstance(wire, str) else None
    if reason is None:
        losses.warn("response.stop_reason", f"the unknown reason {wire!r} was read as end_turn")
        reason = FinishReason.STOP
    if reason in NATURAL:
        return FinishReason.TOOL_CALLS if has_call else FinishReason.STOP
    return reason


def explanation(details: Json) -> str | None:
    """The words of `stop_details`."""
    text = details.get("explanation") if isinstance(details, dict) else None
    return text if isinstance(text, str) and text else None


def category(details: Json) -> str | None:
    """The kind of refusal in `stop_details`."""
    word = details.get("category") if isinstance(details, dict) else None
    return word if isinstance(word, str) and word in CATEGORIES else None


def _cut(call: ir.ToolCall) -> ir.ToolCall:
    """A last call of an answer that ran into its limit: its input is whatever had been written."""
    return ir.ToolCall(
        call_id=call.call_id,
        name=call.name,
        namespace=call.namespace,
        arguments=call.arguments,
        kind=call.kind,
        complete=False,
    )


def _parse_blocks(
    blocks: list[Json], message_id: str, reading: Reading, losses: Losses
) -> list[ir.Part]:
    pairs = hosted.pair_up(blocks)
    answered = set(pairs.values())
    parts: list[ir.Part] = []
    calls = 0
    for place, block in enumerate(blocks):
        if not isinstance(block, dict):
            raise GatewayError(
                ErrorKind.UPSTREAM_MALFORMED,
                "the provider's answer holds a block that is no object",
            )
        if place in pairs:
            parts.extend(hosted.hosted_parts(block, blocks[pairs[place]], ""))
        elif place in answered:
            continue
        elif block.get("type") == "tool_use":
            parts.append(call_head(block, message_id, calls, reading, whole=True))
            calls += 1
        else:
            parts.extend(other_parts(block, reading, losses))
    return parts


def call_head(
    block: JsonObject, message_id: str, ordinal: int, reading: Reading, *, whole: bool = False
) -> ir.ToolCall:
    """A `tool_use` block as a call; without an id (odd servers) it gets one that stays the same."""
    name = block.get("name")
    if not isinstance(name, str) or not name:
        raise GatewayError(
            ErrorKind.UPSTREAM_MALFORMED, "the provider called a tool without a name"
        )
    ref = reading.tool(name)
    call_id = block.get("id")
    if not isinstance(call_id, str) or not call_id:
        call_id = ids.made_call_id(CALL_PREFIX, message_id, 0, ordinal)
    return ir.ToolCall(
        call_id=call_id,
        name=ref.name,
        namespace=ref.namespace,
        arguments=call_arguments(block.get("input")) if whole else "",
    )


def other_parts(block: JsonObject, reading: Reading, losses: Losses) -> tuple[ir.Part, ...]:
    """The parts of a block that is no tool call; an unknown one is refused or recorded."""
    kind = str(block.get("type"))
    match kind:
        case "text":
            text = block.get("text")
            if not isinstance(text, str) or not text:
                return ()
            return (ir.Text(text=text, citations=parse_citations(block.get("citations"))),)
        case "thinking":
            text, signature = block.get("thinking"), block.get("signature")
            state = None
            if isinstance(signature, str) and signature not in ("", UNSIGNED):
                state = reading.state(StateKind.ANTHROPIC_SIGNATURE, signature)
            return (ir.Reasoning(text=text if isinstance(text, str) else "", state=state),)
        case "redacted_thinking":
            state = reading.state(StateKind.ANTHROPIC_REDACTED, str(block.get("data") or ""))
            return (ir.Reasoning(state=state),)
        case _ if kind in hosted.CALLS:
            return hosted.hosted_parts(block, None, "")
        case _ if kind in hosted.RESULTS:
            return hosted.hosted_parts(None, block, "")
        case _ if kind in hosted.SINGLE_RULES:
            return (hosted.foreign(block, "", hosted.SINGLE_RULES[kind]),)
        case _:
            unknown_block(kind, losses)
            return ()


def unknown_block(kind: Json, losses: Losses) -> None:
    """A block that nobody knows: content, so `strict` refuses it."""
    losses.choose(
        "response.content",
        f"an unknown block {kind!r} was left out",
        strict=Action.REJECT,
        balanced=Action.WARN,
        max_compat=Action.WARN,
    )


# ----------------------------------------------------------------------------------------- writing


def render_response(response: ir.Response, writing: Writing, losses: Losses) -> JsonObject:
    """Write a whole answer for a client of this protocol."""
    content = _render_parts(response, writing, losses)
    has_call = any(block["type"] == "tool_use" for block in content)
    refusal = next((part.text for part in response.parts if isinstance(part, ir.Refusal)), None)
    finish = told_finish(response.finish_reason, response.stop_sequence)
    reason = stop_reason(finish, has_call=has_call, refused=refusal is not None)
    if response.alternatives:
        losses.warn("response.alternatives", "only the first answer can be given")
    if not is_reported(response.usage):
        losses.warn("response.usage", "the provider reported no usage; zeros stand for it")
    return {
        "id": message_id(response.id, writing),
        "type": "message",
        "role": "assistant",
        "model": writing.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": response.stop_sequence if reason == "stop_sequence" else None,
        "stop_details": stop_details(reason, response.explanation or refusal, response.category),
        "usage": render_usage(response.usage, response.service_tier),
    }


def message_id(upstream_id: str, writing: Writing) -> str:
    """The id to show: derived from the upstream's, so that logs of both sides can be matched."""
    fallback = f"{writing.model}\0{writing.now_s}"
    return ids.response_id(MESSAGE_PREFIX, upstream_id, fallback=fallback)


def stop_reason(reason: FinishReason, *, has_call: bool, refused: bool = False) -> str:
    """The wire word; calls at a natural end win, and announced calls that are not there fail the turn (STOP-10)."""
    if has_call and reason in NATURAL:
        return "tool_use"
    if reason is FinishReason.TOOL_CALLS:
        raise GatewayError(ErrorKind.UPSTREAM_MALFORMED, NO_CALLS)
    if refused and reason is FinishReason.STOP:
        return "refusal"
    return REASONS_OUT[reason]


def told_finish(reason: FinishReason, sequence: str | None) -> FinishReason:
    """A stop sequence that nobody can name is a plain end (pitfalls STOP-02)."""
    unnamed = reason is FinishReason.STOP_SEQUENCE and sequence is None
    return FinishReason.STOP if unnamed else reason


def stop_details(reason: str, words: str | None, kind: str | None) -> JsonObject | None:
    """`stop_details`, which only a refusal has."""
    if reason != "refusal":
        return None
    return {"type": "refusal", "category": kind, "explanation": words or None}


def _render_parts(response: ir.Response, writing: Writing, losses: Losses) -> list[JsonObject]:
    call_ids = ids.CallIds(CALL_PREFIX, ids.WORD_CALL_ID)
    blocks: list[JsonObject] = []
    for part in response.parts:
        match part:
            case ir.Text():
                if part.text:
                    blocks.append(_text(part, losses))
            case ir.Refusal():
                if part.text:
                    blocks.append({"type": "text", "text": part.text})
            case ir.Reasoning():
                blocks.extend(reasoning_block(part, writing.seal))
            case ir.ToolCall():
                if part.complete:
                    blocks.append(_tool_use(part, call_ids, losses))
                else:
                    losses.warn("response.content", "a call that the limit cut was left out")
            case (
                ir.WebSearch()
                | ir.CodeRun()
                | ir.Foreign()
                | ir.Image()
                | ir.Document()
                | ir.Audio()
                | ir.Video()
                | ir.ToolResult()
            ):
                blocks.extend(whole_blocks(part, losses))
            case _:
                assert_never(part)
    return blocks


def _text(part: ir.Text, losses: Losses) -> JsonObject:
    block: JsonObject = {"type": "text", "text": part.text}
    if part.citations:
        said, lost = render_citations(part.citations)
        block["citations"] = said or None
        if lost:
            citation_lost(losses)
    return block


def citation_lost(losses: Losses) -> None:
    """Another vendor's citation has no place here: A wants an `encrypted_index`."""
    losses.warn("response.citations", "citations of another provider were left out")


def _tool_use(part: ir.ToolCall, call_ids: ids.CallIds, losses: Losses) -> JsonObject:
    arguments = part.arguments
    if part.kind is ir.ToolKind.CUSTOM:
        arguments = freeform.wrap_input(arguments)
    return {
        "type": "tool_use",
        "id": call_ids.take(part.call_id),
        "name": part.name,
        "input": arguments_object(arguments, "response.content", losses),
    }


def whole_blocks(part: ir.Part, losses: Losses) -> tuple[JsonObject, ...]:
    """Blocks of content that comes in one piece: hosted tools as this protocol tells them, media not at all."""
    blocks: tuple[JsonObject, ...] = ()
    match part:
        case ir.WebSearch():
            blocks = hosted.search_blocks(part)
        case ir.CodeRun():
            blocks = hosted.code_blocks(part)
        case ir.Foreign() if part.protocol == PROTOCOL:
            blocks = (part.wire,)
        case ir.Foreign():
            losses.warn("response.content", f"`{part.type}` of another protocol was left out")
        case _:
            kind = type(part).__name__.lower()
            losses.give_up(Loss.MEANING, "response.content", f"{kind} output cannot be given")
    return blocks


def reasoning_block(part: ir.Reasoning, seal: Seal | None) -> tuple[JsonObject, ...]:
    """A thinking block, with this protocol's own signature, an envelope, or the mark of unsigned thinking."""
    state = part.state
    if state is not None and state.kind is StateKind.ANTHROPIC_SIGNATURE:
        return (_thinking(part.text, state.value),)
    if state is not None and state.kind is StateKind.ANTHROPIC_REDACTED:
        return ({"type": "redacted_thinking", "data": state.value},)
    envelope = seal.wrap(part) if seal is not None else None
    if envelope is None:
        return (_thinking(part.text, UNSIGNED),) if part.text else ()
    if not part.text and state is not None and state.kind is StateKind.RESPONSES_ENCRYPTED:
        return ({"type": "redacted_thinking", "data": envelope},)
    return (_thinking(part.text, envelope),)


def _thinking(text: str, signature: str) -> JsonObject:
    return {"type": "thinking", "thinking": text, "signature": signature}


def usage_of(body: Mapping[str, Any]) -> ir.Usage:
    """The counts in a whole answer, or in the answer of `count_tokens`."""
    if "usage" not in body and "input_tokens" in body:
        return parse_usage(body)
    return parse_usage(body.get("usage"))
