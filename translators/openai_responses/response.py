"""Whole answers of the Responses API, read from an upstream and written for a client.

Reference: https://platform.openai.com/docs/api-reference/responses/object (read 2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from translators import ir
from translators.base import Reading, Writing
from translators.errors import ErrorKind, GatewayError
from translators.ids import made_call_id
from translators.losses import Losses
from translators.openai_responses.errors import failure_of
from translators.openai_responses.output import (
    COMPLETED,
    INCOMPLETE,
    ItemWriter,
    parse_item,
    parse_logprobs,
    render_logprobs,
)
from translators.openai_responses.snapshot import Snapshots, parse_usage
from translators.wire import Json, JsonObject

_INCOMPLETE: Final[Mapping[str, ir.FinishReason]] = {
    "max_output_tokens": ir.FinishReason.LENGTH,
    "max_messages": ir.FinishReason.LENGTH,
    "content_filter": ir.FinishReason.CONTENT_FILTER,
    "steered": ir.FinishReason.STOP,
}
"""`incomplete_details.reason`; an unknown one counts as the token cap: the answer is not whole."""

INCOMPLETE_REASONS: Final[Mapping[ir.FinishReason, str | None]] = {
    ir.FinishReason.STOP: None,
    ir.FinishReason.STOP_SEQUENCE: None,
    ir.FinishReason.TOOL_CALLS: None,
    ir.FinishReason.REFUSAL: None,
    ir.FinishReason.LENGTH: "max_output_tokens",
    ir.FinishReason.CONTEXT_WINDOW: "max_output_tokens",
    ir.FinishReason.PAUSE: "max_output_tokens",
    ir.FinishReason.CONTENT_FILTER: "content_filter",
}
"""Why an answer is `incomplete`; None = it is `completed`."""


def incomplete_reason(reason: ir.FinishReason, losses: Losses) -> str | None:
    """Why the answer is `incomplete`, None for a completed one; a pause has no word of its own here."""
    if reason is ir.FinishReason.PAUSE:
        losses.warn("response.incomplete_details", "a paused turn was not continued")
    return INCOMPLETE_REASONS[reason]


def finish_reason(
    response: JsonObject, losses: Losses, *, calls: bool, refused: bool
) -> ir.FinishReason:
    """Why an answer that did not fail has ended: calls decide, then a refusal (section 14)."""
    if response.get("status") == INCOMPLETE:
        details = response.get("incomplete_details")
        word = details.get("reason") if isinstance(details, dict) else None
        if word not in _INCOMPLETE:
            losses.warn("response.incomplete_details.reason", f"unknown reason {word}")
        reason = _INCOMPLETE.get(str(word), ir.FinishReason.LENGTH)
        if reason is not ir.FinishReason.STOP:
            return reason
    if calls:
        return ir.FinishReason.TOOL_CALLS
    return ir.FinishReason.REFUSAL if refused else ir.FinishReason.STOP


def parse_response(body: JsonObject, reading: Reading, losses: Losses) -> ir.Response:
    """Read a whole answer; one that failed, or cannot be read, raises what went wrong."""
    try:
        return _parse(body, reading, losses)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise GatewayError(
            ErrorKind.UPSTREAM_MALFORMED,
            f"the provider sent an answer of an unreadable shape ({type(error).__name__})",
        ) from error


def _parse(body: JsonObject, reading: Reading, losses: Losses) -> ir.Response:
    status = body.get("status")
    if status in ("failed", "cancelled") or (body.get("error") and not body.get("output")):
        raise failure_of(body)
    output = body.get("output")
    if not isinstance(output, list):
        raise GatewayError(
            ErrorKind.UPSTREAM_MALFORMED, "the provider's answer has no list `output`"
        )
    if status in ("queued", "in_progress"):
        raise GatewayError(ErrorKind.UPSTREAM_MALFORMED, f"the provider's answer is still {status}")
    response_id = str(body.get("id") or "")
    parts = _parts(output, reading, response_id, losses)
    refusals = [part.text for part in parts if isinstance(part, ir.Refusal)]
    calls = any(isinstance(part, ir.ToolCall) for part in parts)
    created = body.get("created_at")
    tier = body.get("service_tier")
    return ir.Response(
        id=response_id,
        model=str(body.get("model") or reading.model),
        parts=parts,
        finish_reason=finish_reason(body, losses, calls=calls, refused=bool(refusals)),
        created_s=int(created) if isinstance(created, int | float) else None,
        explanation="".join(refusals) or None,
        usage=parse_usage(body),
        logprobs=_logprobs(output),
        service_tier=tier if isinstance(tier, str) else None,
    )


def _parts(
    output: list[Json], reading: Reading, response_id: str, losses: Losses
) -> tuple[ir.Part, ...]:
    parts: list[ir.Part] = []
    for item in output:
        if isinstance(item, dict):
            parts.extend(parse_item(item, reading, losses))
    return tuple(
        replace(part, call_id=made_call_id("call_", response_id, 0, index))
        if isinstance(part, ir.ToolCall) and not part.call_id
        else part
        for index, part in enumerate(parts)
    )


def _logprobs(output: list[Json]) -> tuple[ir.TokenLogprob, ...]:
    found: list[ir.TokenLogprob] = []
    for item in output:
        content = item.get("content") if isinstance(item, dict) else None
        for piece in content if isinstance(content, list) else []:
            if isinstance(piece, dict):
                found.extend(parse_logprobs(piece.get("logprobs")))
    return tuple(found)


def render_response(response: ir.Response, writing: Writing, losses: Losses) -> JsonObject:
    """Write a whole answer; further candidates have no place in this protocol."""
    if response.alternatives:
        losses.warn("response.alternatives", "only the first of several answers was kept")
    snapshots = Snapshots(writing, response.id, response.created_s, response.service_tier)
    incomplete = incomplete_reason(response.finish_reason, losses)
    writer = ItemWriter(snapshots.id, writing, losses)
    parts = with_explanation(response.parts, response.finish_reason, response.explanation)
    output = writer.items(parts, INCOMPLETE if incomplete else COMPLETED)
    _place_logprobs(output, response.logprobs)
    return snapshots.build(
        INCOMPLETE if incomplete else COMPLETED,
        output,
        usage=response.usage,
        incomplete=incomplete,
        completed_s=writing.now_s,
    )


def with_explanation(
    parts: tuple[ir.Part, ...], reason: ir.FinishReason, explanation: str | None
) -> tuple[ir.Part, ...]:
    """Say why a filter or refusal struck when the answer itself has no words (section 14)."""
    if not explanation or not explains(reason):
        return parts
    if any(isinstance(part, ir.Text | ir.Refusal) and part.text for part in parts):
        return parts
    return (*parts, ir.Refusal(text=explanation))


def explains(reason: ir.FinishReason) -> bool:
    """Whether an explanation belongs into the answer as a refusal."""
    return reason in (ir.FinishReason.CONTENT_FILTER, ir.FinishReason.REFUSAL)


def _place_logprobs(output: Iterable[JsonObject], values: tuple[ir.TokenLogprob, ...]) -> None:
    """Put the log probabilities on the text part that they belong to: the first one of the answer."""
    if not values:
        return
    for item in output:
        for part in item.get("content") or [] if item["type"] == "message" else []:
            if part["type"] == "output_text":
                part["logprobs"] = render_logprobs(values)
                return
