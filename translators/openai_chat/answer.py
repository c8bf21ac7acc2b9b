"""Pieces of an answer that whole responses and streams share: finish words, calls, citations, log probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from translators import ids, ir
from translators.errors import ErrorKind, GatewayError
from translators.losses import Loss, Losses
from translators.wire import Json, JsonObject, JsonSyntaxError, dump_text, loads

CALL_PREFIX: Final = "call_"
RESPONSE_PREFIX: Final = "chatcmpl-"

FINISH_WORDS: Final[Mapping[str, ir.FinishReason]] = {
    "stop": ir.FinishReason.STOP,
    "eos": ir.FinishReason.STOP,
    "eos_token": ir.FinishReason.STOP,
    "end_turn": ir.FinishReason.STOP,
    "stop_sequence": ir.FinishReason.STOP,
    "length": ir.FinishReason.LENGTH,
    "max_tokens": ir.FinishReason.LENGTH,
    "max_output_tokens": ir.FinishReason.LENGTH,
    "model_length": ir.FinishReason.LENGTH,  # Mistral
    "model_context_window_exceeded": ir.FinishReason.CONTEXT_WINDOW,
    "tool_calls": ir.FinishReason.TOOL_CALLS,
    "tool_call": ir.FinishReason.TOOL_CALLS,
    "tool_use": ir.FinishReason.TOOL_CALLS,
    "function_call": ir.FinishReason.TOOL_CALLS,
    "content_filter": ir.FinishReason.CONTENT_FILTER,
    "sensitive": ir.FinishReason.CONTENT_FILTER,  # GLM
    "safety": ir.FinishReason.CONTENT_FILTER,
    "prohibited_content": ir.FinishReason.CONTENT_FILTER,
    "recitation": ir.FinishReason.CONTENT_FILTER,
    "refusal": ir.FinishReason.REFUSAL,
}
"""What servers write as `finish_reason`, lower case; an unknown word is a natural end, and recorded (STOP-12)."""

FAILED_WORDS: Final[Mapping[str, ErrorKind]] = {
    "error": ErrorKind.SERVER_ERROR,  # OpenRouter
    "network_error": ErrorKind.SERVER_ERROR,  # GLM
    "insufficient_system_resource": ErrorKind.OVERLOADED,  # DeepSeek
    "abort": ErrorKind.SERVER_ERROR,  # SGLang
}
"""Words that say the answer broke off for a reason of the server's own."""

FINISH_OUT: Final[Mapping[ir.FinishReason, str]] = {
    ir.FinishReason.STOP: "stop",
    ir.FinishReason.STOP_SEQUENCE: "stop",
    ir.FinishReason.LENGTH: "length",
    ir.FinishReason.CONTEXT_WINDOW: "length",
    ir.FinishReason.TOOL_CALLS: "stop",  # without calls; `finish_out` looks for them
    ir.FinishReason.CONTENT_FILTER: "content_filter",
    ir.FinishReason.REFUSAL: "content_filter",
    ir.FinishReason.PAUSE: "length",
}
DECLINED: Final = frozenset({ir.FinishReason.REFUSAL, ir.FinishReason.CONTENT_FILTER})
"""Reasons whose explanation is shown as the refusal when there is no text."""

_NATURAL: Final = frozenset(
    {ir.FinishReason.STOP, ir.FinishReason.STOP_SEQUENCE, ir.FinishReason.TOOL_CALLS}
)


def finish_in(word: Json, losses: Losses, *, calls: bool, refused: bool) -> ir.FinishReason:
    """Why an upstream stopped: its word, corrected by what the answer holds; raises for a server's own failure."""
    text = word.lower() if isinstance(word, str) else ""
    if text in FAILED_WORDS:
        raise GatewayError(
            FAILED_WORDS[text], f"the provider broke its answer off: finish_reason {text}"
        )
    reason = FINISH_WORDS.get(text)
    if reason is None:
        losses.warn("response.finish_reason", f'unknown reason "{text[:40]}" was read as a stop')
        reason = ir.FinishReason.STOP
    if reason not in _NATURAL:
        return reason
    if calls:
        return ir.FinishReason.TOOL_CALLS
    if reason is ir.FinishReason.TOOL_CALLS:
        losses.warn("response.finish_reason", "the provider announced tool calls but sent none")
    return ir.FinishReason.REFUSAL if refused else ir.FinishReason.STOP


def finish_out(
    reason: ir.FinishReason, losses: Losses, *, calls: bool, refused: bool, legacy: bool
) -> str:
    """`finish_reason` for a client; calls in the answer decide, a refusal in words is a stop."""
    if reason is ir.FinishReason.PAUSE:
        losses.warn("response.finish_reason", "a paused turn was not continued")
    if calls and reason in _NATURAL:
        return "function_call" if legacy else "tool_calls"
    if refused and reason is ir.FinishReason.REFUSAL:
        return "stop"
    return FINISH_OUT[reason]


def is_json(text: str) -> bool:
    """Whether arguments text is complete JSON."""
    try:
        loads(text)
    except JsonSyntaxError:
        return False
    return True


def arguments_of(value: Json) -> str:
    """Arguments as text: some servers send the object itself."""
    if isinstance(value, str):
        return value
    return "" if value is None else dump_text(value)


# ----------------------------------------------------------------------------------- log probabilities


def parse_logprobs(raw: Json) -> tuple[ir.TokenLogprob, ...]:
    """`logprobs` of a choice: those of the text, or of the refusal."""
    if not isinstance(raw, dict):
        return ()
    return tuple(_tokens(raw.get("content") or raw.get("refusal")))


def _tokens(raw: Json) -> Iterator[ir.TokenLogprob]:
    for item in raw if isinstance(raw, list) else ():
        value = item.get("bytes")
        yield ir.TokenLogprob(
            token=item["token"],
            logprob=item["logprob"],
            bytes=tuple(value) if isinstance(value, list) else None,
            top=tuple(_tokens(item.get("top_logprobs"))),
        )


def render_logprobs(tokens: Iterable[ir.TokenLogprob]) -> JsonObject | None:
    """`logprobs` of a choice, None when there are none."""
    content = [
        {**_token(token), "top_logprobs": [_token(other) for other in token.top]}
        for token in tokens
    ]
    return {"content": content, "refusal": None} if content else None


def _token(token: ir.TokenLogprob) -> JsonObject:
    return {
        "token": token.token,
        "logprob": float(token.logprob),
        "bytes": None if token.bytes is None else list(token.bytes),
    }


# ------------------------------------------------------------------------------------------ citations


def parse_citations(raw: Json) -> tuple[ir.Citation, ...]:
    """The `url_citation`s among `annotations`."""
    return tuple(_citations(raw))


def _citations(raw: Json) -> Iterator[ir.Citation]:
    for item in raw if isinstance(raw, list) else ():
        cited = item.get("url_citation") if isinstance(item, dict) else None
        if isinstance(cited, dict) and isinstance(cited.get("url"), str):
            start, end = cited.get("start_index"), cited.get("end_index")
            yield ir.UrlCitation(
                url=cited["url"],
                title=cited.get("title") or "",
                start=start if isinstance(start, int) else None,
                end=end if isinstance(end, int) else None,
            )


def render_citation(
    citation: ir.Citation, start: int, end: int, losses: Losses
) -> JsonObject | None:
    """One annotation of the joined text, in which the cited part stands from `start` to `end`."""
    if isinstance(citation, ir.DocumentCitation):
        losses.warn("response.annotations", "a citation of a document was dropped")
        return None
    first = start if citation.start is None else start + citation.start
    last = end if citation.end is None else start + citation.end
    return {
        "type": "url_citation",
        "url_citation": {
            "start_index": first,
            "end_index": last,
            "title": citation.title,
            "url": citation.url,
        },
    }


# -------------------------------------------------------------------------------------------- output


def drop_part(part: ir.Part, losses: Losses) -> None:
    """Record that a part of the answer has no place in this protocol, or refuse it."""
    match part:
        case ir.WebSearch() | ir.CodeRun() | ir.Foreign():
            what = part.type if isinstance(part, ir.Foreign) else type(part).__name__
            losses.warn(
                "response.content", f"the trace of a provider-run tool was dropped ({what})"
            )
        case ir.Reasoning():
            losses.give_up(Loss.TELEMETRY, "response.reasoning", "the client takes no reasoning")
        case _:
            losses.give_up(
                Loss.MEANING, "response.content", f"{type(part).__name__} output was dropped"
            )


def response_id(upstream_id: str, model: str, now_s: int) -> str:
    """The client's id of an answer."""
    return ids.response_id(RESPONSE_PREFIX, upstream_id, fallback=f"{model} {now_s}")
