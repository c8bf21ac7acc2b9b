"""Says a turn in generateContent: whole, as chunks in SSE or as a JSON array, errors, model list.

Reference: https://ai.google.dev/api/generate-content (read 2026-11-21)
"""

from __future__ import annotations

import re
from typing import Final

import orjson

from scripts.fake import signing
from scripts.fake.rejection import Rejection
from scripts.fake.rendering import LOGPROB, dump, new_id, pieces
from scripts.fake.view import (
    Call,
    JsonObject,
    Refuse,
    Say,
    Stream,
    Think,
    Turn,
    Usage,
    View,
)

SIGNED_CALL: Final = "gemini.call"
SIGNED_TEXT: Final = "gemini.text"
_SIGNING_MODEL: Final = re.compile(r"(?<!\d)[3-9](?!\d)(?<!2\.\d)(?<!1\.\d)")
_FINISH: Final = {
    "stop": "STOP",
    "tool": "STOP",
    "length": "MAX_TOKENS",
    "stop_sequence": "STOP",
    "filter": "SAFETY",
    "refusal": "STOP",
    "pause": "CONTINUATION",
    "given_up": "MALFORMED_FUNCTION_CALL",
}
_STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}


def needs_signatures(model: str) -> bool:
    """Gemini 3 and later sign their calls, give them ids and want the signatures back."""
    return _SIGNING_MODEL.search(model.partition("~")[0]) is not None


def signed_call_text(name: str) -> str:
    """What a call's signature covers: not its arguments, to which agents add their defaults before they echo them."""
    return name


def unary(turn: Turn, view: View) -> JsonObject:
    """The whole answer."""
    parts = [part for group in _groups(turn, view, size=1_000_000) for part in group]
    candidate = _candidate(parts, _FINISH[turn.finish]) | _token(turn, view)
    candidate |= _logprobs(view, parts, turn.piece_chars)
    answer = _response(view, candidate, _usage(turn.usage))
    count = view.body.get("generationConfig", {}).get("candidateCount") or 1
    answer["candidates"] = [{**candidate, "index": index} for index in range(count)]
    return answer


def stream(turn: Turn, view: View) -> Stream:
    """The chunks; the one with `finishReason` is the tail."""
    groups = _groups(turn, view, size=turn.piece_chars)
    early = {"promptTokenCount": turn.usage.input, "totalTokenCount": turn.usage.input}
    chunks = [
        _response(view, _candidate(parts, None) | _logprobs(view, parts, turn.piece_chars), early)
        for parts in groups
    ]
    style = turn.usage_style
    last = _candidate([{"text": ""}] if turn.finish != "filter" else [], _FINISH[turn.finish])
    last |= _token(turn, view)
    chunks.append(_response(view, last, None if style in ("none", "late") else _usage(turn.usage)))
    if style == "late":
        late = _response(view, last, _usage(turn.usage))
        del late["candidates"]
        chunks.append(late)
    tail = 2 if style == "late" else 1
    count = view.body.get("generationConfig", {}).get("candidateCount") or 1
    for chunk in chunks:
        if "candidates" in chunk:
            candidate = chunk["candidates"][0]
            chunk["candidates"] = [{**candidate, "index": index} for index in range(count)]
    return Stream(_written(chunks, view), tail)


def _written(chunks: list[JsonObject], view: View) -> list[bytes]:
    if not view.as_array:
        return [b"data: " + dump(chunk) + b"\r\n\r\n" for chunk in chunks]
    frames = [(b"[" if not index else b",\r\n") + dump(chunk) for index, chunk in enumerate(chunks)]
    frames[-1] += b"\n]"
    return frames


def _groups(turn: Turn, view: View, size: int) -> list[list[JsonObject]]:
    """The parts of the answer, grouped by the chunk that carries them; only the first call is signed."""
    groups: list[list[JsonObject]] = []
    called = False
    for index, part in enumerate(turn.parts):
        match part:
            case Say(text) | Refuse(text):
                groups.extend([{"text": piece}] for piece in pieces(text, size))
            case Think(text):
                if view.shows_thoughts:
                    groups.extend(
                        [{"text": piece, "thought": True}] for piece in pieces(text, size)
                    )
            case Call():
                groups.append([_call(view, index, part, signed=not called)])
                called = True
    if not called and view.thinks and needs_signatures(view.model):
        signature = signing.issue(SIGNED_TEXT, view.model, "", view.digest)
        groups.append([{"text": "", "thoughtSignature": signature}])
    return groups


def _call(view: View, index: int, call: Call, *, signed: bool) -> JsonObject:
    args = orjson.loads(call.arguments or "{}")
    identity = {"id": new_id(view, "", index, length=8)} if needs_signatures(view.model) else {}
    part: JsonObject = {"functionCall": {**identity, "name": call.offer.name, "args": args}}
    if signed and (needs_signatures(view.model) or view.thinks):
        shown = signed_call_text(call.offer.name)
        part["thoughtSignature"] = signing.issue(SIGNED_CALL, view.model, shown, view.digest)
    return part


def _logprobs(view: View, parts: list[JsonObject], size: int) -> JsonObject:
    """Of visible text, when they were asked for."""
    text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
    if not text or not view.body.get("generationConfig", {}).get("responseLogprobs"):
        return {}
    chosen = [{"token": piece, "logProbability": LOGPROB} for piece in pieces(text, size)]
    top = [{"candidates": [token]} for token in chosen]
    return {"logprobsResult": {"chosenCandidates": chosen, "topCandidates": top}}


def _candidate(parts: list[JsonObject], finish: str | None) -> JsonObject:
    candidate: JsonObject = {"content": {"role": "model", "parts": parts}, "index": 0}
    if not parts:
        del candidate["content"]
    if finish:
        candidate["finishReason"] = finish
    return candidate


def _token(turn: Turn, view: View) -> JsonObject:
    """What a paused answer is resumed with."""
    paused = turn.finish == "pause"
    return {"continuationToken": f"token-{view.resumed + 1}"} if paused else {}


def _response(view: View, candidate: JsonObject, usage: JsonObject | None) -> JsonObject:
    response: JsonObject = {"candidates": [candidate]}
    if usage:
        response["usageMetadata"] = usage
    response["modelVersion"] = view.model
    response["responseId"] = new_id(view, "", "response", length=22)
    return response


def _usage(usage: Usage) -> JsonObject:
    visible = usage.output - usage.reasoning
    counts = {
        "promptTokenCount": usage.input,
        "cachedContentTokenCount": usage.cache_read,
        "candidatesTokenCount": visible,
        "thoughtsTokenCount": usage.reasoning,
        "totalTokenCount": usage.input + usage.output,
    }
    return {name: count for name, count in counts.items() if count}


def error(rejection: Rejection) -> JsonObject:
    """Google's error envelope; OpenAI-only statuses become the nearest of Google's."""
    status = 503 if rejection.status == 529 else rejection.status
    body: JsonObject = {
        "code": status,
        "message": rejection.message,
        "status": _STATUS.get(status, "UNKNOWN"),
    }
    details: list[JsonObject] = []
    if rejection.code:
        info = "type.googleapis.com/google.rpc.ErrorInfo"
        domain = "googleapis.com"
        details.append({"@type": info, "reason": rejection.code, "domain": domain})
    if rejection.param is not None:
        violation = {"field": rejection.param, "description": rejection.message}
        kind = "type.googleapis.com/google.rpc.BadRequest"
        details.append({"@type": kind, "fieldViolations": [violation]})
    if rejection.retry_after_s is not None:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        details.append({"@type": kind, "retryDelay": f"{rejection.retry_after_s:g}s"})
    if details:
        body["details"] = details
    return {"error": body}


def stream_error(rejection: Rejection, view: View, sent: int) -> list[bytes]:
    """An error object where a chunk would stand."""
    if view.as_array:
        return [(b",\r\n" if sent else b"[") + dump(error(rejection)) + b"\n]"]
    return [b"data: " + dump(error(rejection)) + b"\r\n\r\n"]


def overflow(view: View) -> Rejection:
    """The prompt does not fit, in Google's words."""
    tokens = max(1_048_577, view.size // 4)
    message = (
        f"The input token count ({tokens}) exceeds the maximum number of tokens allowed (1048576)."
    )
    return Rejection(400, message, overflow=True)


def models(names: tuple[str, ...]) -> JsonObject:
    """The model list in Google's shape."""
    return {"models": [model(name) for name in names]}


def model(name: str) -> JsonObject:
    """One entry of the model list."""
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }


def count(tokens: int) -> JsonObject:
    """The answer of `:countTokens`."""
    return {"totalTokens": tokens}


def not_found(name: str) -> Rejection:
    """A model that does not exist."""
    message = f"models/{name} is not found for API version v1beta, or is not supported."
    return Rejection(404, message)


def bad_key(key: str) -> Rejection:
    """A missing key is 403, a wrong one 400, as at Google."""
    if not key:
        return Rejection(
            403,
            "Method doesn't allow unregistered callers (callers without established identity). Please "
            "use API Key or other form of API consumer identity to call this API.",
        )
    message = "API key not valid. Please pass a valid API key."
    return Rejection(400, message, code="API_KEY_INVALID")
