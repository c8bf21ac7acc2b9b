"""Histories that an interrupt, a compaction or a change of provider has disturbed, as every client would send them.

Each is written in the client's own words, out of a list of `Atom`s that know no order. Whatever it is, it becomes a
request that the strict provider takes, or a refusal with a path; and what did not go along is recorded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby, starmap, takewhile
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.crossing import PAIRS, parse_body, render
from tests.support.wirecheck import check_request
from translators import ir
from translators.errors import ErrorKind, GatewayError
from translators.losses import Losses, Mode
from translators.wire import JsonObject, dump_text, dumps

SETTINGS = settings(max_examples=40, deadline=None, database=None, derandomize=True)
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
ELSEWHERE: Final = "c2lnbmVkIGVsc2V3aGVyZQ=="
"""A signature that no provider here has made."""
CUSTOM_ID: Final = "call_c"
NAMELESS: Final = IDS[1]
"""What Gemini clients leave out: such calls and results pair by name and order."""

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
    """One thing of a history. `text` "" = an empty message; of a call it is the argument.

    `call_id` says which call it is or answers. `apart` = in a message of its own, even where the one before it is
    of the same role. `failed` = the result is an error, the thought was signed elsewhere.
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


def user(text: str = "", *, apart: bool = False) -> Atom:
    """What the user says."""
    return Atom(Kind.USER, text, apart=apart)


def says(text: str = "", *, apart: bool = False) -> Atom:
    """What the assistant says."""
    return Atom(Kind.SAYS, text, apart=apart)


def thinks(text: str) -> Atom:
    """What the assistant thinks, without a signature."""
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
        custom = {"name": "patch", "input": atom.text}
        return {"id": atom.call_id, "type": "custom", "custom": custom}
    function = {"name": "look", "arguments": dump_text({"at": atom.text})}
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
                "input": atom.text,
            }
        case Kind.CALLS:
            item = {"type": "function_call", "call_id": atom.call_id}
            return {**item, "name": "look", "arguments": dump_text({"at": atom.text})}
        case Kind.RESULT:
            # Of a function, whatever was called: that is what clients send which know no others.
            kind = "custom_tool_call_output" if atom.failed else "function_call_output"
            return {"type": kind, "call_id": atom.call_id, "output": atom.text}
        case Kind.THINKS:
            summary = [{"type": "summary_text", "text": atom.text}]
            return {
                "type": "reasoning",
                "id": "rs_1",
                "summary": summary,
                "encrypted_content": ELSEWHERE if atom.failed else None,
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
            return {
                "type": "tool_use",
                "id": atom.call_id,
                "name": name,
                "input": {"at": atom.text},
            }
        case Kind.RESULT:
            block = {"type": "tool_result", "tool_use_id": atom.call_id, "content": atom.text}
            return {**block, "is_error": True} if atom.failed else block
        case Kind.THINKS:
            return {"type": "thinking", "thinking": atom.text, "signature": ELSEWHERE * atom.failed}
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
            return {"functionCall": {**call, "args": {"at": atom.text}}}
        case Kind.RESULT:
            key = "error" if atom.failed else "output"
            return {"functionResponse": {**call, "response": {key: atom.text}}}
        case Kind.THINKS:
            return {"text": atom.text, "thought": True, "thoughtSignature": ELSEWHERE * atom.failed}
        case _:
            return {"text": atom.text}


SCHEMA: Final = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}
_WRITERS: Final[Mapping[str, Callable[[History], JsonObject]]] = {
    "openai_chat": _chat,
    "openai_responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
}


# -------------------------------------------------------------------------------------- the histories


ATOMS: Final = st.builds(
    Atom,
    st.sampled_from(Kind),
    st.sampled_from(["x", "x", "x", "x", "x", "x", "", " "]),
    st.sampled_from((*IDS, CUSTOM_ID)),
    st.booleans(),
    st.booleans(),
)


@st.composite
def wholesome(draw: st.DrawFn) -> list[Atom]:
    """What an agent sends when nothing goes wrong."""
    history = [user("x")]
    for _ in range(draw(st.integers(1, 3))):
        ids = draw(st.lists(st.sampled_from((*IDS, CUSTOM_ID)), max_size=3, unique=True))
        history += [thinks("x")] * draw(st.booleans()) + [says("x")] * draw(st.booleans())
        history += [calls(call_id) for call_id in ids]
        history += [result(call_id, "x", failed=draw(st.booleans())) for call_id in ids]
        history += [] if ids else [says("x", apart=True), user("x")]
    return history


@st.composite
def disturbed(draw: st.DrawFn) -> list[Atom]:
    """The same after one to four mishaps."""
    history = draw(wholesome())
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(history) - 1))
        match draw(st.sampled_from(["cut", "drop", "double", "move", "insert", "blank"])):
            case "cut" if place:
                history = history[:place]
            case "drop" if len(history) > 1:
                del history[place]
            case "double":
                history.insert(draw(st.integers(0, len(history))), history[place])
            case "move":
                history.insert(draw(st.integers(0, len(history))), history.pop(place))
            case "blank":
                history[place] = replace(history[place], text="")
            case _:
                history.insert(place, draw(ATOMS))
    return history


def settled(history: Iterable[Atom]) -> list[Atom]:
    """The atoms with the fields that their kinds have, and with texts that occur once."""
    return list(starmap(_settled, enumerate(history)))


def _settled(place: int, atom: Atom) -> Atom:
    text = f"<{atom.kind}{place}>" if atom.text.strip() else atom.text
    match atom.kind:
        case Kind.CALLS:
            return Atom(atom.kind, f"<{atom.kind}{place}>", atom.call_id, atom.apart)
        case Kind.RESULT:
            return replace(atom, text=text)
        case Kind.SYSTEM | Kind.THINKS:
            failed = atom.failed and atom.kind is Kind.THINKS
            return Atom(atom.kind, text.strip() or f"<{atom.kind}{place}>", failed=failed)
        case _:
            return Atom(atom.kind, text, apart=atom.apart)


HISTORIES: Final = st.one_of(disturbed(), disturbed(), st.lists(ATOMS, min_size=1, max_size=8)).map(
    settled
)


def every_history(test: Callable[..., None]) -> Callable[..., None]:
    """Histories out of the blue, and those that once went wrong."""
    for atoms in FOUND:
        test = example(history=settled(atoms))(test)
    return SETTINGS(given(history=HISTORIES)(test))


FOUND: Final = (
    # A call at the very end went out without a result.
    (user("x"), calls("call_1")),
    (user("x"), calls("call_1"), calls("call_2"), result("call_2", "x")),
    # Anthropic saw its results only where the very last message had calls.
    (user("x"), calls("call_1"), says("x", apart=True)),
    # Current Anthropic models continue no answer.
    (user("x"), says("x")),
    # Chat and Responses got a request without any message.
    (says(""),),
    (thinks("x"),),
    # The SDK of Responses knows no parts in an assistant's message that has no id.
    (user("x"), says("x"), says("x"), user("x")),
    # Gemini got a call in its first turn, from behind an empty turn of the user.
    (user(), says("x"), user(), calls("call_1"), result("call_1", "x")),
    # A second result of one call, and one that is nobody's, answered the next call of that name at Gemini.
    (user("x"), calls(), calls("toolu_01A"), *[result(text="x")] * 2, result("toolu_01A", "x")),
    (user("x"), calls(), calls("toolu_01A"), result("_", "x"), result(text="x"), user("x")),
)


def _outcome(client: str, upstream: str, history: History, mode: Mode) -> Any:
    """What is sent and what was recorded, or the refusal."""
    if client == upstream:  # signatures of this protocol are that provider's own affair
        history = [replace(atom, failed=False) for atom in history]
    try:
        request = parse_body(client, _WRITERS[client](history))
        return render(request, upstream, mode)
    except GatewayError as error:
        return error


@every_pair
@every_history
def test_a_disturbed_history_is_a_valid_request_or_refused_with_its_path(
    client: str, upstream: str, history: list[Atom]
) -> None:
    outcomes = {mode: _outcome(client, upstream, history, mode) for mode in Mode}
    for outcome in outcomes.values():
        if isinstance(outcome, GatewayError):
            assert outcome.path, outcome
            assert outcome.kind in (ErrorKind.UNTRANSLATABLE, ErrorKind.INVALID_REQUEST)
            continue
        rendered, losses = outcome
        check_request(upstream, rendered.body, rendered.headers)
        _check_nothing_is_lost(history, dumps(rendered.body).decode(), losses)
        _check_order(history, dumps(rendered.body[HISTORY[upstream]]).decode())
        _check_pairs(history, parse_body(upstream, rendered.body).messages)
    _check_modes(outcomes)


def _check_nothing_is_lost(history: History, sent: str, losses: Losses) -> None:
    """Only one of two results of a call may stay behind, and not in silence; nothing is made up in silence."""
    lost = [atom for atom in history if atom.text.strip() and atom.text not in sent]
    spoken = [atom for atom in lost if atom.kind is not Kind.THINKS]
    reasons = " ".join(item.reason for item in losses.degradations)
    assert all(atom.kind is Kind.RESULT for atom in spoken)
    assert not spoken or "replaced the first" in reasons
    for made_up, reason in MADE_UP.items():
        assert made_up not in sent or reason in reasons
    if losses.mode is Mode.STRICT:
        assert not spoken or losses.degradations


MADE_UP: Final = {
    "(no result)": "no result",
    "[result of": "answers no call",
    '"Continue."': "go on",
    '"."': "a user message was",
    "<system>": "wrapped",
}
"""Words that are nobody's, and what the record says of them."""


def _check_order(history: History, sent: str) -> None:
    """Results move to their calls; what is said stays in its order."""
    said = [
        atom.text for atom in history if atom.kind in (Kind.USER, Kind.SAYS) and atom.text.strip()
    ]
    places = [sent.index(text) for text in said]
    assert places == sorted(places)


def _check_pairs(history: History, sent: Sequence[ir.Message]) -> None:
    """Every call is sent once, with the last of its own results; an id that several calls have says too little."""
    parts = [part for message in sent for part in message.parts]
    results = {part.call_id: str(part.content) for part in parts if isinstance(part, ir.ToolResult)}
    answers = {
        "".join(TOKEN.findall(part.arguments)): TOKEN.findall(results[part.call_id])
        for part in parts
        if isinstance(part, ir.ToolCall)
    }
    assert sorted(answers) == sorted(atom.text for atom in history if atom.kind is Kind.CALLS)
    for call, answered in _own_results(history):
        assert answers[call.text] == ([answered.text] if answered.text.strip() else [])


def _own_results(history: History) -> Iterator[tuple[Atom, Atom]]:
    """The calls whose id and name are only theirs, with the last result that bears the id."""
    made = Counter(atom.call_id for atom in history if atom.kind is Kind.CALLS)
    for place, atom in enumerate(history):
        if atom.kind is not Kind.CALLS or made[atom.call_id] > 1 or NAMELESS in made:
            continue
        own = [later for later in history[place:] if later.kind is Kind.RESULT]
        bearing = [later for later in own if later.call_id == atom.call_id]
        if bearing:
            yield atom, bearing[-1]


TOKEN: Final = re.compile(r"<\w+>")


def _check_modes(outcomes: Mapping[Mode, Any]) -> None:
    """A looser mode takes what a stricter one takes; what the strict one refuses, the loosest records."""
    refused = [
        isinstance(outcomes[mode], GatewayError)
        for mode in (Mode.STRICT, Mode.BALANCED, Mode.MAX_COMPAT)
    ]
    assert refused == sorted(refused, reverse=True)
    if refused == [True, False, False] or refused == [True, True, False]:
        assert outcomes[Mode.MAX_COMPAT][1].degradations


@every_pair
@every_history
def test_a_disturbed_history_that_grows_keeps_its_beginning(
    client: str, upstream: str, history: list[Atom]
) -> None:
    """What was sent once is the beginning of what is sent later, so that the provider's cache holds it."""
    later = _outcome(client, upstream, history, Mode.MAX_COMPAT)
    if isinstance(later, GatewayError):
        return
    again = _outcome(client, upstream, history, Mode.MAX_COMPAT)
    assert dumps(again[0].body) == dumps(later[0].body)
    for end in range(1, len(history)):
        if _is_answered(history, end):
            earlier = _outcome(client, upstream, history[:end], Mode.MAX_COMPAT)
            _check_prefix(earlier[0].body, later[0].body, HISTORY[upstream])


def _is_answered(history: History, end: int) -> bool:
    """Whether the model has answered the history up to here, and nothing later changes what it was asked.

    A result that comes later than the next answer goes to its call all the same: nothing else is sound.
    """
    before = [atom for atom in history[:end] if atom.kind is not Kind.SYSTEM]
    turns = [list(run) for _, run in groupby(before, key=lambda atom: atom.role)]
    answer = list(takewhile(lambda atom: atom.role == "assistant", history[end:]))
    if (
        not turns
        or turns[-1][0].role != "user"
        or not any(_says_something(atom) for atom in answer)
    ):
        return False
    asking = turns[-2] if len(turns) > 1 else []
    asked = {atom.call_id for atom in asking if atom.kind is Kind.CALLS}
    here = any(_says_something(atom) or atom.call_id in asked for atom in turns[-1])
    waiting: set[str] = set()
    for atom in history[end:]:
        if atom.kind is Kind.CALLS:
            waiting.add(atom.call_id)
        elif atom.kind is Kind.RESULT and (atom.call_id not in waiting or atom.call_id == NAMELESS):
            return False
        elif atom.kind is Kind.RESULT:
            waiting.remove(atom.call_id)
    return here


def _says_something(atom: Atom) -> bool:
    """Whether something of it is sent whatever the provider is; an orphan may be a late result."""
    if atom.kind in (Kind.USER, Kind.SAYS):
        return bool(atom.text.strip())
    return atom.kind is Kind.CALLS


def _check_prefix(earlier: JsonObject, later: JsonObject, history: str) -> None:
    old, new = list(map(dumps, earlier[history])), list(map(dumps, later[history]))
    assert new[: len(old)] == old
    assert {**earlier, history: None} == {**later, history: None}
