"""Histories that an interrupt, a compaction or a change of provider has disturbed, as every client would send them.

Each is written in the client's own words, out of a list of `Atom`s that know no order. Whatever it is, it becomes a
request that the strict provider takes, or a refusal with a path; and what did not go along is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.crossing import PAIRS, parse_body, render
from tests.support.wirecheck import check_request
from translators.errors import ErrorKind, GatewayError
from translators.losses import Mode
from translators.wire import JsonObject, dumps

SETTINGS = settings(max_examples=60, deadline=None, database=None, derandomize=True)
HISTORY: Final = {
    "openai_chat": "messages",
    "openai_responses": "input",
    "anthropic": "messages",
    "gemini": "contents",
}
IDS: Final = (
    "call_1",
    "call_2",
    "toolu_01A",
    "fc-with.dots:and spaces",
    "long_" + "x" * 120,
)
"""Ids of this provider and of others, one that is longer than any provider takes."""
CUSTOM_ID: Final = "call_c"

every_pair = pytest.mark.parametrize(("client", "upstream"), PAIRS)


class Kind(StrEnum):
    """What an atom is."""

    SYSTEM = "system"
    USER = "user"
    SAYS = "says"
    THINKS = "thinks"
    CALLS = "calls"
    RESULT = "result"


_ASSISTANT: Final = frozenset({Kind.SAYS, Kind.THINKS, Kind.CALLS})


@dataclass(frozen=True, slots=True)
class Atom:
    """One thing of a history. `text` "" = an empty message; `call_id` says which call it is or answers.

    `apart` = in a message of its own, even where the one before it is of the same role.
    """

    kind: Kind
    text: str = ""
    call_id: str = ""
    apart: bool = False
    failed: bool = False

    @property
    def custom(self) -> bool:
        """Whether the call is one of a freeform tool."""
        return self.call_id == CUSTOM_ID

    @property
    def role(self) -> str:
        """Who speaks."""
        if self.kind is Kind.SYSTEM:
            return "system"
        return "assistant" if self.kind in _ASSISTANT else "user"


def system(text: str) -> Atom:
    """A system turn."""
    return Atom(Kind.SYSTEM, text)


def user(text: str = "", *, apart: bool = False) -> Atom:
    """What the user says."""
    return Atom(Kind.USER, text, apart=apart)


def says(text: str = "", *, apart: bool = False) -> Atom:
    """What the assistant says."""
    return Atom(Kind.SAYS, text, apart=apart)


def thinks(text: str) -> Atom:
    """What the assistant thinks, with a signature that is nobody's."""
    return Atom(Kind.THINKS, text)


def calls(call_id: str = "call_1", *, apart: bool = False) -> Atom:
    """A call of the assistant."""
    return Atom(Kind.CALLS, call_id=call_id, apart=apart)


def result(
    call_id: str = "call_1", text: str = "", *, apart: bool = False, failed: bool = False
) -> Atom:
    """A result of the user's."""
    return Atom(Kind.RESULT, text, call_id, apart, failed)


type History = Sequence[Atom]


# ---------------------------------------------------------------------------- as the clients write it


def runs(history: History) -> Iterator[list[Atom]]:
    """The atoms that share a message where messages hold many parts."""
    run: list[Atom] = []
    for atom in history:
        if run and (atom.apart or atom.role != run[-1].role):
            yield run
            run = []
        run.append(atom)
    if run:
        yield run


def _chat(history: History) -> JsonObject:
    messages = [message for run in runs(history) for message in _chat_run(run)]
    tools = [
        {"type": "function", "function": {"name": "look", "parameters": SCHEMA}},
        {"type": "custom", "custom": {"name": "patch"}},
    ]
    return {"model": "m", "messages": messages, "tools": tools}


def _chat_run(run: list[Atom]) -> Iterator[JsonObject]:
    """One assistant message, or a message for each thing that the others say."""
    if run[0].role == "assistant":
        message: JsonObject = {"role": "assistant"}
        message["content"] = "".join(atom.text for atom in run if atom.kind is Kind.SAYS)
        thought = "".join(atom.text for atom in run if atom.kind is Kind.THINKS)
        made = [_chat_call(atom) for atom in run if atom.kind is Kind.CALLS]
        if thought:
            message["reasoning_content"] = thought
        if made:
            message["tool_calls"] = made
        yield message
        return
    for atom in run:
        if atom.kind is Kind.RESULT:
            yield {"role": "tool", "tool_call_id": atom.call_id, "content": atom.text}
        else:
            yield {"role": atom.role, "content": atom.text}


def _chat_call(atom: Atom) -> JsonObject:
    if atom.custom:
        custom = {"name": "patch", "input": "p"}
        return {"id": atom.call_id, "type": "custom", "custom": custom}
    function = {"name": "look", "arguments": '{"at":1}'}
    return {"id": atom.call_id, "type": "function", "function": function}


def _responses(history: History) -> JsonObject:
    tools = [
        {"type": "function", "name": "look", "parameters": SCHEMA, "strict": False},
        {"type": "custom", "name": "patch"},
    ]
    return {"model": "m", "input": [_item(atom) for atom in history], "tools": tools}


def _item(atom: Atom) -> JsonObject:
    match atom.kind:
        case Kind.CALLS if atom.custom:
            return {
                "type": "custom_tool_call",
                "call_id": atom.call_id,
                "name": "patch",
                "input": "p",
            }
        case Kind.CALLS:
            item = {"type": "function_call", "call_id": atom.call_id}
            return {**item, "name": "look", "arguments": '{"at":1}'}
        case Kind.RESULT:
            # Of a function, whatever was called: that is what clients send which know no others.
            return {"type": "function_call_output", "call_id": atom.call_id, "output": atom.text}
        case Kind.THINKS:
            summary = [{"type": "summary_text", "text": atom.text}]
            return {
                "type": "reasoning",
                "id": "rs_1",
                "summary": summary,
                "encrypted_content": None,
            }
        case Kind.SAYS:
            content = [{"type": "output_text", "text": atom.text, "annotations": []}]
            return {"type": "message", "role": "assistant", "content": content}
        case _:
            return {"role": atom.role, "content": [{"type": "input_text", "text": atom.text}]}


def _anthropic(history: History) -> JsonObject:
    messages = [
        {"role": run[0].role, "content": [_block(atom) for atom in run if _said(atom)]}
        for run in runs(history)
    ]
    tools = [{"name": name, "input_schema": SCHEMA} for name in ("look", "patch")]
    return {"model": "m", "max_tokens": 100, "messages": messages, "tools": tools}


def _said(atom: Atom) -> bool:
    """Whether an atom is more than an empty message."""
    return bool(atom.text or atom.call_id or atom.apart)


def _block(atom: Atom) -> JsonObject:
    match atom.kind:
        case Kind.CALLS:
            name = "patch" if atom.custom else "look"
            return {"type": "tool_use", "id": atom.call_id, "name": name, "input": {"at": 1}}
        case Kind.RESULT:
            block = {"type": "tool_result", "tool_use_id": atom.call_id, "content": atom.text}
            return {**block, "is_error": True} if atom.failed else block
        case Kind.THINKS:
            return {"type": "thinking", "thinking": atom.text, "signature": ""}
        case _:
            return {"type": "text", "text": atom.text}


def _gemini(history: History) -> JsonObject:
    contents = [
        {
            "role": "model" if run[0].role == "assistant" else "user",
            "parts": [_part(atom) for atom in run if _said(atom)],
        }
        for run in runs(history)
    ]
    declared = [{"name": name, "parametersJsonSchema": SCHEMA} for name in ("look", "patch")]
    return {"contents": contents, "tools": [{"functionDeclarations": declared}]}


def _part(atom: Atom) -> JsonObject:
    name = "patch" if atom.custom else "look"
    # Old clients send no ids: names and order are all there is.
    call: JsonObject = (
        {"name": name} if atom.call_id == IDS[1] else {"name": name, "id": atom.call_id}
    )
    match atom.kind:
        case Kind.CALLS:
            return {"functionCall": {**call, "args": {"at": 1}}}
        case Kind.RESULT:
            key = "error" if atom.failed else "output"
            return {"functionResponse": {**call, "response": {key: atom.text}}}
        case Kind.THINKS:
            return {"text": atom.text, "thought": True}
        case _:
            return {"text": atom.text}


SCHEMA: Final = {"type": "object", "properties": {"at": {"type": "integer"}}, "required": ["at"]}
_WRITERS: Final[Mapping[str, Callable[[History], JsonObject]]] = {
    "openai_chat": _chat,
    "openai_responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
}


# -------------------------------------------------------------------------------------- the histories


@st.composite
def histories(draw: st.DrawFn) -> list[Atom]:
    """Anything in any order; every text occurs once, so that it can be found again."""
    kinds = draw(st.lists(st.sampled_from(Kind), min_size=1, max_size=8))
    return [_atom(draw, kind, place) for place, kind in enumerate(kinds)]


def _atom(draw: st.DrawFn, kind: Kind, place: int) -> Atom:
    blank = draw(st.integers(0, 7))
    text = {0: "", 1: " "}.get(blank, f"<{kind}{place}>")
    if kind is Kind.SYSTEM:
        return system(text or "<s>")
    if kind is Kind.THINKS:
        return thinks(f"<{kind}{place}>")
    call_id = ""
    if kind in (Kind.CALLS, Kind.RESULT):
        call_id = draw(st.sampled_from((*IDS, CUSTOM_ID)))
        text = "" if kind is Kind.CALLS else text
    return Atom(kind, text, call_id, draw(st.booleans()), kind is Kind.RESULT and blank == 3)


def _outcome(client: str, upstream: str, history: History, mode: Mode) -> Any:
    """What is sent and what was recorded, or the refusal."""
    try:
        request = parse_body(client, _WRITERS[client](history))
        return render(request, upstream, mode)
    except GatewayError as error:
        return error


@every_pair
@SETTINGS
@given(history=histories())
def test_a_disturbed_history_is_a_valid_request_or_refused_with_its_path(
    client: str, upstream: str, history: list[Atom]
) -> None:
    for mode in Mode:
        outcome = _outcome(client, upstream, history, mode)
        if isinstance(outcome, GatewayError):
            assert outcome.path, outcome
            assert outcome.kind in (ErrorKind.UNTRANSLATABLE, ErrorKind.INVALID_REQUEST)
            continue
        rendered, losses = outcome
        check_request(upstream, rendered.body, rendered.headers)
        sent = dumps(rendered.body).decode()
        lost = [
            atom.text
            for atom in history
            if atom.text.strip() and atom.kind is not Kind.THINKS and atom.text not in sent
        ]
        assert not lost or losses.degradations, lost
