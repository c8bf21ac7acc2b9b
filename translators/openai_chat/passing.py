"""What must change in a client's own Chat Completions body before an upstream of this protocol gets it.

Reasoning that an earlier provider wrote, and that this one refuses, is taken out of the history; several leading
system messages become one where only one is taken. Everything else passes untouched.
Reference: https://platform.openai.com/docs/api-reference/chat/create (read 2026-11-21)
"""

from __future__ import annotations

from typing import Final

from translators.base import Fitting
from translators.losses import Losses
from translators.openai_chat.words import REASONING_FIELDS
from translators.profile import Echo
from translators.wire import Json, JsonObject

_REASONING: Final = frozenset({*REASONING_FIELDS, "reasoning_details"})
_SYSTEM: Final = frozenset({"system", "developer"})


def fit(body: JsonObject, fitting: Fitting, losses: Losses) -> JsonObject:
    """See Translator."""
    asked = body.get("messages")
    if not isinstance(asked, list):
        return body
    messages = asked
    if fitting.profile.reasoning_echo is Echo.FORBIDDEN:
        messages = _without_reasoning(messages, losses)
    if fitting.profile.single_system:
        messages = _with_one_system(messages)
    return body if messages is asked else {**body, "messages": messages}


def _without_reasoning(messages: list[Json], losses: Losses) -> list[Json]:
    """The messages without echoed reasoning; the very same list if there is none."""
    out: list[Json] = []
    changed = False
    for place, message in enumerate(messages):
        found = _REASONING & message.keys() if isinstance(message, dict) else frozenset()
        if found:
            changed = True
            for name in sorted(found):
                losses.warn(f"messages[{place}].{name}", "the provider takes no earlier reasoning")
            message = {key: value for key, value in message.items() if key not in found}
        out.append(message)
    return out if changed else messages


def _with_one_system(messages: list[Json]) -> list[Json]:
    """Leading system messages as one; the very same list if there are not several."""
    count = 0
    while count < len(messages) and _is_system(messages[count]):
        count += 1
    if count < 2:
        return messages
    contents = [message.get("content") for message in messages[:count]]
    joined: Json
    if all(isinstance(content, str) for content in contents):
        joined = "\n\n".join(contents)
    else:
        joined = [part for content in contents for part in _parts(content)]
    return [{**messages[0], "content": joined}, *messages[count:]]


def _is_system(message: Json) -> bool:
    return isinstance(message, dict) and message.get("role") in _SYSTEM


def _parts(content: Json) -> list[Json]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []
