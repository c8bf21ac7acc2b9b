"""A longer conversation begins with what the shorter one was: else no provider's prompt cache ever hits.

Every client tells a conversation of all that it can say; wherever it has a turn to be answered, the request is
translated for every upstream. Messages before the last must come out byte for byte as they did one turn earlier, and
the last one may only grow. Cache marks wander from turn to turn by design and are not compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.crossing import PAIRS, SEAL, parse_body
from tests.support.pitfalls import PNG
from translators import PROTOCOLS, ir
from translators.base import Target
from translators.gemini.request import GO_ON
from translators.ir import Role, StateKind
from translators.losses import Losses
from translators.profile import MidSystem, ModelProfile
from translators.wire import JsonObject, dumps

SETTINGS = settings(max_examples=25, deadline=None, database=None, derandomize=True)
HISTORY: Final = {
    "openai_chat": "messages",
    "openai_responses": "input",
    "anthropic": "messages",
    "gemini": "contents",
}
STATES: Final[Mapping[str, StateKind]] = {
    "openai_responses": StateKind.RESPONSES_ENCRYPTED,
    "anthropic": StateKind.ANTHROPIC_SIGNATURE,
    "gemini": StateKind.GEMINI_SIGNATURE,
}
PROFILES: Final = {
    "nothing is known of the model": ModelProfile(),
    "marks, signatures, no system turns": ModelProfile(
        cache_marks=True, signatures_required=True, mid_system=MidSystem.USER
    ),
    "no media in results, no freeform tools": ModelProfile(
        tool_result_media=False, custom_tools=False, prefill=True
    ),
}
MARKS: Final = frozenset({"cache_control", "prompt_cache_breakpoint"})
TOOLS: Final = (
    ir.FunctionTool(
        name="look",
        description="Look.",
        schema={"type": "object", "properties": {"at": {"type": "string"}}},
        strict=False,
    ),
    ir.CustomTool(name="shell", description="Run."),
)
PICTURE: Final = ir.Image(source=ir.Inline(media_type="image/png", data=PNG))


class Step(NamedTuple):
    """What the assistant does in a turn, and how the user answers."""

    kind: str
    words: str
    thinks: str
    """`own`: the upstream's state comes back; `bare`: words without any; "" = it does not think."""
    picture: bool
    system: bool
    failed: bool


WORDS: Final = st.text('ab "\\é🙂\n', min_size=1, max_size=8).map(str.strip).filter(bool)
STEPS: Final = st.lists(
    st.builds(
        Step,
        st.sampled_from(["say", "call", "calls", "say and call", "freeform"]),
        WORDS,
        st.sampled_from(["own", "bare", ""]),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


# -------------------------------------------------------------------------------- the conversation


def told(steps: Sequence[Step], client: str, upstream: str) -> list[ir.Message]:
    """The messages of a conversation, as this client has them after answers of this upstream."""
    messages = [_message(Role.SYSTEM, ir.Text(text="Be brief.")), _message(Role.USER, _said("Go."))]
    for turn, step in enumerate(steps):
        messages.extend(_turn(turn, step, client, upstream))
    return messages


def _turn(turn: int, step: Step, client: str, upstream: str) -> Iterator[ir.Message]:
    calls = list(_calls(turn, step))
    said = [_said(step.words)] if step.kind in ("say", "say and call") else []
    yield _message(Role.ASSISTANT, *_thoughts(turn, step, client, upstream), *said, *calls)
    results = [_result(call, step) for call in calls]
    if results:
        yield _message(Role.USER, *results)
    if step.system:
        yield _message(Role.SYSTEM, ir.Text(text=f"From now on: {step.words}"))
    if not results or step.picture:
        picture = [PICTURE] if step.picture else []
        yield _message(Role.USER, _said(f"On: {step.words}"), *picture)


def _calls(turn: int, step: Step) -> Iterator[ir.ToolCall]:
    if step.kind == "freeform":
        yield ir.ToolCall(
            call_id=f"c{turn}", name="shell", arguments=step.words, kind=ir.ToolKind.CUSTOM
        )
    elif step.kind != "say":
        arguments = json.dumps({"at": step.words}, ensure_ascii=False, separators=(",", ":"))
        for number in range(2 if step.kind == "calls" else 1):
            yield ir.ToolCall(call_id=f"c{turn}_{number}", name="look", arguments=arguments)


def _result(call: ir.ToolCall, step: Step) -> ir.ToolResult:
    return ir.ToolResult(
        call_id=call.call_id,
        name=call.name,
        kind=call.kind,
        content=(_said(step.words), PICTURE) if step.picture else (_said(step.words),),
        is_error=step.failed and call.kind is ir.ToolKind.FUNCTION,
    )


def _thoughts(turn: int, step: Step, client: str, upstream: str) -> Iterator[ir.Reasoning]:
    """Thinking with the upstream's state, sealed in the field that the client has for its own."""
    mine, theirs = STATES.get(client), STATES.get(upstream)
    if step.thinks == "own" and mine is not None and theirs is not None:
        words = f"Hm {turn}"
        state = ir.OpaqueState(kind=theirs, value="c2ln", provider="up", model="up-model")
        sealed = SEAL.wrap(ir.Reasoning(text=words, state=state))
        assert sealed is not None
        yield ir.Reasoning(text=words, state=ir.OpaqueState(kind=mine, value=sealed))
    elif step.thinks == "bare":
        yield ir.Reasoning(text=f"Hm {turn}")


def _said(text: str) -> ir.Text:
    return ir.Text(text=text)


def _message(role: Role, *parts: ir.Part) -> ir.Message:
    return ir.Message(role=role, parts=parts)


# --------------------------------------------------------------------------------- as it is rendered


def as_client(messages: Sequence[ir.Message], client: str) -> JsonObject:
    """The request as a client of this protocol sends it, its cache mark on the last of the user's texts."""
    request = ir.Request(protocol=client, model="m", messages=tuple(_marked(messages)), tools=TOOLS)
    profile = ModelProfile(cache_marks=True, prefill=True)
    target = Target(provider="own", model="m", profile=profile)
    body = PROTOCOLS[client].render_request(request, target, Losses()).body
    body[HISTORY[client]] = without_go_on(body[HISTORY[client]])
    return {**body, "max_tokens": 100} if client == "anthropic" else body


def _marked(messages: Sequence[ir.Message]) -> Iterator[ir.Message]:
    last = max(place for place, message in enumerate(messages) if _can_be_marked(message))
    for place, message in enumerate(messages):
        if place == last:
            first, *others = message.parts
            assert isinstance(first, ir.Text)
            message = replace(message, parts=(replace(first, cache=ir.CacheMark()), *others))
        yield message


def _can_be_marked(message: ir.Message) -> bool:
    return message.role is Role.USER and isinstance(message.parts[0], ir.Text)


def as_upstream(body: JsonObject, client: str, upstream: str, profile: ModelProfile) -> JsonObject:
    """The same for an upstream, rendered twice alike."""
    request = parse_body(client, body)
    target = Target(provider="up", model="up-model", profile=profile)
    first = PROTOCOLS[upstream].render_request(request, target, Losses())
    again = PROTOCOLS[upstream].render_request(request, target, Losses())
    assert dumps(first.body) == dumps(again.body)
    return first.body


def without_go_on(turns: list[JsonObject]) -> list[JsonObject]:
    """Without the user turn that a renderer adds, at the very end only, where the assistant has spoken last."""
    added = turns[-1].get("role") == "user" and GO_ON in dumps(turns[-1]).decode()
    return turns[:-1] if added else turns


def unmarked(value: Any) -> Any:
    """A copy without cache marks."""
    if isinstance(value, dict):
        return {key: unmarked(item) for key, item in value.items() if key not in MARKS}
    return [unmarked(item) for item in value] if isinstance(value, list) else value


def pieces(message: JsonObject) -> tuple[bytes, Sequence[Any]]:
    """What a message is beside its content, and its content piece by piece, or letter by letter."""
    key = "parts" if "parts" in message else "content"
    content = message.get(key)
    rest = {name: value for name, value in message.items() if name != key}
    pieces = content if isinstance(content, str) else list(map(dumps, content or []))
    return dumps(rest), pieces


def assert_begins_with(later: JsonObject, earlier: JsonObject, history: str) -> None:
    """The later request is the earlier one and more."""
    old, new = unmarked(earlier), unmarked(later)
    old_turns, new_turns = old.pop(history), new.pop(history)
    assert dumps(old) == dumps(new)
    *before, last = without_go_on(old_turns)
    assert list(map(dumps, new_turns[: len(before)])) == list(map(dumps, before))
    rest, content = pieces(last)
    new_rest, new_content = pieces(new_turns[len(before)])
    assert new_rest == rest
    assert new_content[: len(content)] == content


def _askings(messages: Sequence[ir.Message]) -> Iterator[int]:
    """Where a client asks: before each answer and at the end; also after an answer, for it to go on."""
    for length in range(2, len(messages) + 1):
        last = messages[length - 1]
        if last.role is Role.ASSISTANT:
            if not any(isinstance(part, ir.ToolCall) for part in last.parts):
                yield length
        elif length == len(messages) or messages[length].role is Role.ASSISTANT:
            yield length


@pytest.mark.parametrize("profile", [pytest.param(p, id=name) for name, p in PROFILES.items()])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
@SETTINGS
@given(steps=STEPS)
def test_a_longer_conversation_begins_with_the_shorter(
    client: str, upstream: str, profile: ModelProfile, steps: list[Step]
) -> None:
    earlier: JsonObject | None = None
    messages = told(steps, client, upstream)
    for length in _askings(messages):
        body = as_upstream(as_client(messages[:length], client), client, upstream, profile)
        if earlier is not None:
            assert_begins_with(body, earlier, HISTORY[upstream])
        earlier = body
