"""The legacy `POST /v1/completions`, mapped onto a chat of one user message. A client side only.

Fields that a chat cannot say (`suffix`, `echo`, `best_of`, several prompts, token numbers) are refused by path;
asked-for log probabilities are given up and recorded, for their legacy shape counts other tokens.
Reference: https://platform.openai.com/docs/api-reference/completions (read 2026-11-21)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from translators import ids, ir
from translators.base import Call, Writing
from translators.errors import ErrorKind, GatewayError, invalid
from translators.grammar import Grammar
from translators.losses import Loss, Losses
from translators.openai_chat import ChatTranslator
from translators.openai_chat.answer import FINISH_OUT
from translators.openai_chat.encoder import DONE, KEEP_ALIVE
from translators.openai_chat.errors import render_stream_error
from translators.openai_chat.request import parse_request
from translators.openai_chat.usage import render_usage
from translators.seal import Seal
from translators.sse import escape_separators
from translators.wire import Json, JsonObject, dumps

_REFUSED: Final = {
    "suffix": "a chat has no text after the answer",
    "echo": "a chat does not repeat its prompt",
    "best_of": "a chat does not choose among several answers",
}
_NEUTRAL: Final = {"suffix": ("",), "echo": (False,), "best_of": (1,)}
_SHARED: Final = (
    "model",
    "max_tokens",
    "temperature",
    "top_p",
    "n",
    "stop",
    "stream",
    "stream_options",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "seed",
    "user",
)
_OWN: Final = (*_REFUSED, "prompt", "logprobs")
USUAL_MAX_TOKENS: Final = 16
"""What the legacy endpoint takes when the request names no limit."""


class CompletionsTranslator(ChatTranslator):
    """See Translator: requests and answers of the legacy endpoint; all else is Chat's."""

    def parse_request(self, body: JsonObject, call: Call, seal: Seal | None) -> ir.Request:
        """See Translator."""
        request = parse_request(chat_body(body), call, seal)
        if body.get("logprobs") is None:
            return request
        lost = ir.Unshared(
            path="logprobs", loss=Loss.HINT, reason="has no equivalent outside legacy completions"
        )
        return replace(request, unshared=(*request.unshared, lost))

    def render_response(
        self, response: ir.Response, writing: Writing, losses: Losses
    ) -> JsonObject:
        """See Translator."""
        first = ir.Candidate(parts=response.parts, finish_reason=response.finish_reason)
        choices: list[Json] = [
            _choice(_text_of(one.parts, losses), FINISH_OUT[one.finish_reason], index)
            for index, one in enumerate((first, *response.alternatives))
        ]
        created = response.created_s if response.created_s is not None else writing.now_s
        body = _head(writing, response.id, created) | {"choices": choices}
        usage = render_usage(response.usage)
        return body if usage is None else body | {"usage": usage}

    def encoder(self, writing: Writing, losses: Losses) -> CompletionsEncoder:  # type: ignore[override]
        """See Translator."""
        return CompletionsEncoder(writing, losses)


def chat_body(body: JsonObject) -> JsonObject:
    """The Chat Completions body of a legacy one; a field without a meaning there is refused by its path."""
    for key, reason in _REFUSED.items():
        value = body.get(key)
        if value is not None and value not in _NEUTRAL[key]:
            raise GatewayError(ErrorKind.UNTRANSLATABLE, f"{key}: {reason}", path=key)
    chat: JsonObject = {key: body[key] for key in _SHARED if body.get(key) is not None}
    chat.setdefault("max_tokens", USUAL_MAX_TOKENS)
    chat["messages"] = [{"role": "user", "content": _prompt(body.get("prompt"))}]
    unknown = {key: value for key, value in body.items() if key not in _SHARED + _OWN}
    return unknown | chat


def _prompt(value: Json) -> str:
    if isinstance(value, list):
        if len(value) > 1 and isinstance(value[0], str):
            raise GatewayError(
                ErrorKind.UNTRANSLATABLE, "prompt: a chat answers one prompt", path="prompt"
            )
        if value and not isinstance(value[0], str):
            raise GatewayError(
                ErrorKind.UNTRANSLATABLE,
                "prompt: token numbers cannot be translated",
                path="prompt",
            )
        value = value[0] if value else None
    if not isinstance(value, str):
        raise invalid("prompt", "a string or a list of one string", value)
    return value


def _head(writing: Writing, upstream_id: str, created_s: int) -> JsonObject:
    made = ids.response_id("cmpl-", upstream_id, fallback=f"{writing.model} {writing.now_s}")
    return {
        "id": made,
        "object": "text_completion",
        "created": created_s,
        "model": writing.model,
    }


def _choice(text: str, finish: str | None, index: int = 0) -> JsonObject:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}


def _text_of(parts: tuple[ir.Part, ...], losses: Losses) -> str:
    texts = []
    for part in parts:
        if isinstance(part, ir.Text | ir.Refusal):
            texts.append(part.text)
        else:
            _lost(part, losses)
    return "".join(texts)


def _lost(part: ir.Part, losses: Losses) -> None:
    losses.warn("response.choices", f"a {type(part).__name__} part has no place in a completion")


class CompletionsEncoder:
    """See StreamEncoder: `text_completion` chunks."""

    def __init__(self, writing: Writing, losses: Losses) -> None:
        self._writing = writing
        self._losses = losses
        self._grammar = Grammar()
        self._head: JsonObject = {}
        self._shown: dict[int, bool] = {}
        self._ended = False

    def encode(self, event: ir.StreamEvent) -> bytes:
        """See StreamEncoder."""
        self._grammar.advance(event)
        match event:
            case ir.MessageStart():
                created = event.created_s if event.created_s is not None else self._writing.now_s
                self._head = _head(self._writing, event.id, created)
                return b""
            case ir.OfChoice(choice=choice, event=ir.Finish(reason=reason)):
                return self._chunk([_choice("", FINISH_OUT[reason], choice)])
            case ir.OfChoice(choice=choice, event=inner):
                return self._part(inner, choice)
            case ir.PartStart() | ir.PartDelta():
                return self._part(event, 0)
            case ir.Finish():
                return self._finish(event)
            case ir.StreamFailed(error=error):
                self._ended = True
                return render_stream_error(error, self._writing.request_id or "")
            case ir.Ping():
                return KEEP_ALIVE
            case ir.PartEnd() | ir.CitationAdded():
                return b""

    def ping(self) -> bytes:
        """A comment, which clients skip."""
        return b"" if self._ended else KEEP_ALIVE

    def _part(self, event: ir.StreamEvent, choice: int) -> bytes:
        if isinstance(event, ir.PartStart):
            self._shown[choice] = isinstance(event.part, ir.Text | ir.Refusal)
            if not self._shown[choice]:
                _lost(event.part, self._losses)
        elif isinstance(event, ir.PartDelta) and event.text and self._shown[choice]:
            return self._chunk([_choice(event.text, None, choice)])
        return b""

    def _finish(self, event: ir.Finish) -> bytes:
        self._ended = True
        out = self._chunk([_choice("", FINISH_OUT[event.reason])])
        usage = render_usage(event.usage) if self._writing.request.stream_usage else None
        if usage is not None:
            out += self._chunk([], usage)
        return out + DONE

    def _chunk(self, choices: list[JsonObject], usage: JsonObject | None = None) -> bytes:
        body = {**self._head, "choices": choices}
        if usage is not None:
            body["usage"] = usage
        return b"data: " + escape_separators(dumps(body)) + b"\n\n"


COMPLETIONS: Final = CompletionsTranslator()
