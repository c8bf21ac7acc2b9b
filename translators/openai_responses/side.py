"""What the Responses API does besides answering: token counts, and compaction where the upstream has none.

An emulated compaction asks the upstream's model for a summary and hands it out as a `compaction` item whose
`encrypted_content` is an envelope of the text; items.py opens it when the item comes back. Pure functions: the
gateway decides when to call them.
Reference: https://platform.openai.com/docs/api-reference/responses/compact (read 2026-11-21)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from translators import ir
from translators.errors import ErrorKind, GatewayError
from translators.ids import digest62, response_id
from translators.losses import Loss
from translators.openai_responses.content import PROTOCOL
from translators.openai_responses.foreign import parse_foreign
from translators.openai_responses.snapshot import render_usage
from translators.seal import Seal
from translators.wire import JsonObject

TRIGGER: Final = "compaction_trigger"

_EMULATED: Final = (
    "was compacted into a summary by the provider's model: its protocol has no compaction"
)

SUMMARY_PROMPT: Final = (
    "The conversation above is about to be cut off. Write a summary from which you could go on without it: "
    "what was asked and why, what was decided and done, which files, names, commands and values matter, what "
    "failed, and what is left to do. Keep exact wording where it matters. Do not call tools. Answer with "
    "the summary only."
)


_COUNTED: Final = frozenset(
    {
        "conversation",
        "input",
        "instructions",
        "model",
        "parallel_tool_calls",
        "personality",
        "previous_response_id",
        "reasoning",
        "text",
        "tool_choice",
        "tools",
        "truncation",
    }
)


def counted_fields(body: JsonObject, asked: JsonObject, model: str) -> JsonObject:
    """A changed body for `POST /responses/input_tokens`: of what was added, only what a count takes."""
    kept = {key: value for key, value in body.items() if key in _COUNTED or key in asked}
    return {**kept, "model": model}


def input_tokens_response(count: int) -> JsonObject:
    """The answer of `POST /responses/input_tokens`."""
    return {"object": "response.input_tokens", "input_tokens": count}


def wants_compaction(body: JsonObject) -> bool:
    """Whether a request asks for a compaction instead of an answer: a trigger is the last of its items."""
    items = body.get("input")
    last = items[-1] if isinstance(items, list) and items else None
    return isinstance(last, dict) and last.get("type") == TRIGGER


def _is_trigger(part: ir.Part) -> bool:
    return isinstance(part, ir.Foreign) and part.protocol == PROTOCOL and part.type == TRIGGER


def compaction_request(request: ir.Request) -> ir.Request:
    """A request that asks the upstream's model to summarise the conversation of this one.

    Tools stay declared, because a history with calls needs them, but must not be called. It is no compaction of the
    provider's own, which only `max_compat` puts up with (section 20).
    """
    messages: list[ir.Message] = []
    for message in request.messages:
        parts = tuple(part for part in message.parts if not _is_trigger(part))
        if parts:
            messages.append(replace(message, parts=parts))
    prompt = ir.Message(role=ir.Role.USER, parts=(ir.Text(text=SUMMARY_PROMPT),))
    choice = ir.ToolChoice(mode=ir.ChoiceMode.NONE) if request.tools else None
    known = (field for field in request.unshared if field.loss is not Loss.UNKNOWN)
    return replace(
        request,
        messages=(*messages, prompt),
        tool_choice=choice,
        parallel_tool_calls=None,
        output=None,
        max_output_tokens=None,
        logprobs=None,
        stream=False,
        unshared=(*known, ir.Unshared(path="input", loss=Loss.MEANING, reason=_EMULATED)),
    )


def compaction_item(text: str, seal: Seal) -> JsonObject:
    """The item that carries a summary: readable only by a gateway with the same key."""
    state = ir.OpaqueState(kind=ir.StateKind.SUMMARY, value="")
    return {
        "id": "cmp_" + digest62(text, length=32),
        "type": "compaction",
        "encrypted_content": seal.wrap(ir.Reasoning(text=text, state=state)),
    }


def summary_of(response: ir.Response) -> str:
    """The summary in the model's answer; an answer without text, or one that was cut, is no summary."""
    text = "\n\n".join(part.text for part in response.parts if isinstance(part, ir.Text)).strip()
    if not text or response.finish_reason not in (
        ir.FinishReason.STOP,
        ir.FinishReason.STOP_SEQUENCE,
    ):
        raise GatewayError(
            ErrorKind.UPSTREAM_MALFORMED, "the provider's model gave no whole summary to compact"
        )
    return text


def compacted(response: ir.Response, seal: Seal) -> ir.Response:
    """A model's summary as the answer to a trigger: its only content is the compaction item."""
    item = compaction_item(summary_of(response), seal)
    part = parse_foreign("compaction", item, "")
    return replace(response, parts=(part,), logprobs=())


def compaction_response(
    summary_text: str,
    seal: Seal,
    *,
    upstream_id: str,
    now_s: int,
    usage: ir.Usage = ir.NO_USAGE,
) -> JsonObject:
    """The answer of `POST /responses/compact`; `usage` is a required object there, 0 where nothing was told."""
    known = replace(
        usage,
        input_tokens=usage.input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
    )
    return {
        "id": response_id("resp_", upstream_id, fallback=summary_text, hex_digits=48),
        "object": "response.compaction",
        "created_at": now_s,
        "output": [compaction_item(summary_text, seal)],
        "usage": render_usage(known),
    }
