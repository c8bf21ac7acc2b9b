"""Whole answers: read from an upstream, written for a client.

Reading runs the stream's own machine over the one chunk that a whole answer is, so that both agree.
Reference: https://ai.google.dev/api/generate-content#GenerateContentResponse (read 2026-11-21)
"""

from __future__ import annotations

from translators import ids, ir
from translators.base import Reading, Writing
from translators.fold import Folder
from translators.gemini.answer import render_logprobs
from translators.gemini.finish import render_finish
from translators.gemini.parts import PartWriter
from translators.gemini.spelling import camel_keys
from translators.gemini.stream import GeminiDecoder
from translators.gemini.usage import parse_usage, render_usage
from translators.losses import Losses
from translators.wire import Json, JsonObject

# ---------------------------------------------------------------------------------------- reading


def parse_response(body: JsonObject, reading: Reading, losses: Losses) -> ir.Response:
    """Read an upstream's whole answer; further candidates become alternatives."""
    indexes = _candidate_indexes(unwrapped(body))
    first, *others = [_read_candidate(body, reading, losses, index) for index in indexes or [0]]
    if not others:
        return first
    alternatives = tuple(
        ir.Candidate(
            parts=other.parts,
            finish_reason=other.finish_reason,
            explanation=other.explanation,
            logprobs=other.logprobs,
        )
        for other in others
    )
    return ir.Response(
        id=first.id,
        model=first.model,
        parts=first.parts,
        finish_reason=first.finish_reason,
        created_s=first.created_s,
        explanation=first.explanation,
        usage=first.usage,
        logprobs=first.logprobs,
        service_tier=first.service_tier,
        alternatives=alternatives,
    )


def unwrapped(body: Json) -> JsonObject:
    """The answer itself: out of an array of one, out of the envelope of Code Assist."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, dict):
        return {}
    inner = body.get("response")
    return camel_keys({**body, **inner} if isinstance(inner, dict) else body)


def _candidate_indexes(body: JsonObject) -> list[int]:
    candidates = body.get("candidates")
    if not isinstance(candidates, list):
        return []
    return [candidate.get("index") or 0 for candidate in candidates if isinstance(candidate, dict)]


def _read_candidate(body: JsonObject, reading: Reading, losses: Losses, index: int) -> ir.Response:
    decoder = GeminiDecoder(reading, losses, candidate=index)
    folder = Folder()
    for event in (*decoder.whole(body), *decoder.close()):
        folder.add(event)
    return folder.response()


# ---------------------------------------------------------------------------------------- writing


def render_response(response: ir.Response, writing: Writing, losses: Losses) -> JsonObject:
    """Write a whole answer for a client; `candidates` is never empty, `content` always there."""
    candidates = [
        _render_candidate(
            0,
            response.parts,
            response.finish_reason,
            response.explanation,
            response.logprobs,
            writing,
            losses,
        )
    ]
    for index, other in enumerate(response.alternatives, start=1):
        candidates.append(
            _render_candidate(
                index,
                other.parts,
                other.finish_reason,
                other.explanation,
                other.logprobs,
                writing,
                losses,
            )
        )
    body: JsonObject = {"candidates": candidates}
    usage = render_usage(response.usage)
    if usage is not None:
        body["usageMetadata"] = usage
    body["modelVersion"] = writing.model
    body["responseId"] = response_id(response.id, writing)
    return body


def response_id(upstream_id: str, writing: Writing) -> str:
    """The answer's id for the client: 24 URL-safe characters made from the upstream's id, never that itself."""
    return ids.digest62("gemini", upstream_id or f"{writing.model}\0{writing.now_s}", length=24)


def _render_candidate(
    index: int,
    parts: tuple[ir.Part, ...],
    reason: ir.FinishReason,
    explanation: str | None,
    logprobs: tuple[ir.TokenLogprob, ...],
    writing: Writing,
    losses: Losses,
) -> JsonObject:
    writer = PartWriter(writing, losses)
    candidate: JsonObject = {
        "content": {"parts": render_parts(parts, writer), "role": "model"},
        "finishReason": render_finish(reason, losses),
        "index": index,
    }
    if explanation:
        candidate["finishMessage"] = explanation
    grounding = writer.grounding.render()
    if grounding is not None:
        candidate["groundingMetadata"] = grounding
    result = render_logprobs(logprobs)
    if result is not None:
        candidate["logprobsResult"] = result
    return candidate


def render_parts(parts: tuple[ir.Part, ...], writer: PartWriter) -> list[JsonObject]:
    """The parts of an answer, each signature on the part after its reasoning."""
    wires: list[JsonObject] = []
    for part in parts:
        match part:
            case ir.Reasoning():
                wires.extend(writer.rest())
                if part.text:
                    wires.append({"text": part.text, "thought": True})
                wires.extend(writer.reason(part))
            case ir.Text():
                if part.text:
                    wires.append(writer.signed({"text": writer.text(part.text)}))
                for citation in part.citations:
                    writer.cite(citation, part.text, max(0, len(wires) - 1))
            case ir.Refusal():
                if part.text:
                    wires.append(writer.signed({"text": part.text}))
            case ir.ToolCall():
                wires.extend(writer.call(part))
            case _:
                wires.extend(writer.whole(part))
    return [*wires, *writer.rest()]


def usage(body: JsonObject) -> ir.Usage:
    """The counts in a whole answer."""
    return parse_usage(unwrapped(body).get("usageMetadata"))
