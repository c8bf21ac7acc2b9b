"""Turn rules: pairing, order, system placement, empty parts, foreign content; and the prefix property."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators import ir, turns
from translators.errors import ErrorKind, GatewayError
from translators.losses import Action, Losses, Mode
from translators.profile import MidSystem


def message(role: ir.Role, *parts: ir.Part | str) -> ir.Message:
    made = tuple(ir.Text(text=part) if isinstance(part, str) else part for part in parts)
    return ir.Message(role=role, parts=made, path="messages[9]")


def user(*parts: ir.Part | str) -> ir.Message:
    return message(ir.Role.USER, *parts)


def assistant(*parts: ir.Part | str) -> ir.Message:
    return message(ir.Role.ASSISTANT, *parts)


def system(*parts: ir.Part | str) -> ir.Message:
    return message(ir.Role.SYSTEM, *parts)


def call(call_id: str, name: str = "f", **changes: object) -> ir.ToolCall:
    return ir.ToolCall(call_id=call_id, name=name, path=f"call {call_id}", **changes)  # type: ignore[arg-type]


def result(call_id: str, text: str = "ok") -> ir.ToolResult:
    return ir.ToolResult(call_id=call_id, content=(ir.Text(text=text),), path=f"result {call_id}")


def brief(messages: tuple[ir.Message, ...]) -> list[str]:
    """Each message as `u: r1=ok text`, so that a case fits on a line."""
    lines = []
    for item in messages:
        words = []
        for part in item.parts:
            match part:
                case ir.ToolCall():
                    words.append(f"call:{part.call_id}")
                case ir.ToolResult():
                    said = " ".join(getattr(inner, "text", "?") for inner in part.content)
                    words.append(f"result:{part.call_id}={said}{'!' if part.is_error else ''}")
                case ir.Reasoning():
                    words.append(f"think:{part.text}")
                case ir.Text():
                    words.append(part.text)
                case _:
                    words.append(type(part).__name__)
        lines.append(f"{item.role.value[0]}: " + " ".join(words))
    return lines


THINK = ir.Reasoning(text="T")

PAIRINGS = [
    pytest.param(
        [assistant(call("1")), user(result("1")), user("go on")],
        ["a: call:1", "u: result:1=ok", "u: go on"],
        id="a paired conversation stays as it is",
    ),
    pytest.param(
        [assistant(call("1"), call("2")), user(result("2", "b")), user(result("1", "a"))],
        ["a: call:1 call:2", "u: result:1=a result:2=b"],
        id="results spread over messages come together in call order",
    ),
    pytest.param(
        [assistant(call("1")), user("wait", result("1"))],
        ["a: call:1", "u: result:1=ok wait"],
        id="results go before text",
    ),
    pytest.param(
        [assistant(call("1")), user("wait"), assistant("yes?"), user(result("1"))],
        ["a: call:1", "u: result:1=ok wait", "a: yes?"],
        id="a late result moves to its call and leaves no empty message",
    ),
    pytest.param(
        [assistant(call("1")), assistant(THINK, "more"), user(result("1"))],
        ["a: think:T more call:1", "u: result:1=ok"],
        id="what follows a call in its turn goes before it",
    ),
    pytest.param(
        [assistant("a", call("1"), "b"), user(result("1"))],
        ["a: a b call:1", "u: result:1=ok"],
        id="text after a call goes before it",
    ),
    pytest.param(
        [assistant(THINK, call("1"), THINK, call("2")), user(result("1"), result("2"))],
        ["a: think:T call:1 think:T call:2", "u: result:1=ok result:2=ok"],
        id="reasoning stays before the call that it led to",
    ),
    pytest.param(
        [assistant(call("1")), assistant(call("2")), user(result("1")), user(result("2"))],
        ["a: call:1 call:2", "u: result:1=ok result:2=ok"],
        id="calls in separate messages of one turn become one",
    ),
    pytest.param(
        [assistant(call("1")), user(result("1")), assistant(call("2")), user(result("2"))],
        ["a: call:1", "u: result:1=ok", "a: call:2", "u: result:2=ok"],
        id="turns that follow each other stay apart",
    ),
    pytest.param(
        [assistant(call("1")), system("note"), user(result("1"))],
        ["a: call:1", "u: result:1=ok", "s: note"],
        id="a system message does not separate a call from its result",
    ),
    pytest.param(
        [assistant(call("0")), user(result("0", "a")), assistant(call("0")), user(result("0", "b"))],
        ["a: call:0", "u: result:0=a", "a: call:0_2", "u: result:0_2=b"],
        id="a reused id is renamed together with its result",
    ),
    pytest.param(
        [assistant(call("0"), call("0")), user(result("0", "a"), result("0", "b"))],
        ["a: call:0 call:0_2", "u: result:0=a result:0_2=b"],
        id="parallel calls under one id are answered in order",
    ),
    pytest.param(
        [assistant(call("0"), call("0_2"), call("0")), user(*map(result, ("0", "0_2", "0")))],
        ["a: call:0 call:0_2 call:0_3", "u: result:0=ok result:0_2=ok result:0_3=ok"],
        id="a new name never meets one that is taken",
    ),
    pytest.param(
        [assistant(call("1")), user(result("1", "a"), "x", result("1", "b"))],
        ["a: call:1", "u: result:1=b x"],
        id="of doubled results the last payload stays at the first place",
    ),
    pytest.param(
        [user("q"), assistant(call("1"), call("2"))],
        ["u: q", "a: call:1 call:2", "u: result:1=(no result)! result:2=(no result)!"],
        id="calls at the very end are answered in words too",
    ),
    pytest.param(
        [assistant(call("1"), call("2")), user(result("2"))],
        ["a: call:1 call:2", "u: result:1=(no result)! result:2=ok"],
        id="a missing result is made up in words",
    ),
    pytest.param(
        [assistant(call("1")), assistant("x"), assistant("y")],
        ["a: x y call:1", "u: result:1=(no result)!"],
        id="a trailing turn of several messages has its results behind it",
    ),
    pytest.param(
        [user(result("9", "lost"), "go")],
        ["u: [result of 9] lost go"],
        id="a result without a call becomes text",
    ),
    pytest.param(
        [user(result("1")), assistant(call("1")), user("x")],
        ["u: [result of 1] ok", "a: call:1", "u: result:1=(no result)! x"],
        id="a result never answers a later call",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), PAIRINGS)
def test_pairing(before: list[ir.Message], after: list[str]) -> None:
    paired = turns.pair_results(tuple(before), Losses())
    assert brief(paired) == after
    assert turns.pair_results(paired, Losses()) == paired


def test_a_paired_conversation_is_not_rebuilt() -> None:
    messages = (user("q"), assistant("t", call("1")), user(result("1")), assistant("u"))
    paired = turns.pair_results(messages, Losses())
    assert [new is old for new, old in zip(paired, messages, strict=True)] == [
        True,
        True,
        False,
        True,
    ]


def test_results_learn_their_tool() -> None:
    custom = call("1", name="patch", namespace="ns", kind=ir.ToolKind.CUSTOM)
    _, answer = turns.pair_results((assistant(custom), user(result("1"))), Losses())
    (part,) = answer.parts
    assert isinstance(part, ir.ToolResult)
    assert (part.name, part.namespace, part.kind) == ("patch", "ns", ir.ToolKind.CUSTOM)


@pytest.mark.parametrize("mode", [Mode.STRICT, Mode.BALANCED])
@pytest.mark.parametrize(
    ("messages", "path"),
    [
        pytest.param([assistant(call("1")), user("x")], "call 1", id="a missing result"),
        pytest.param([user("x"), assistant(call("1"))], "call 1", id="one missing at the end"),
        pytest.param([user(result("9"))], "result 9", id="an orphan"),
    ],
)
def test_what_does_not_pair_is_refused_with_its_path(
    messages: list[ir.Message], path: str, mode: Mode
) -> None:
    with pytest.raises(GatewayError) as caught:
        turns.pair_results(tuple(messages), Losses(mode))
    assert caught.value.kind is ErrorKind.UNTRANSLATABLE
    assert caught.value.path == path


def test_a_replaced_result_is_recorded() -> None:
    losses = Losses()
    messages = (assistant(call("1")), user(result("1", "a"), result("1", "b")))
    turns.pair_results(messages, losses)
    assert [item.path for item in losses.degradations] == ["result 1"]


parts_of_user = st.one_of(
    st.builds(result, st.sampled_from("123"), st.sampled_from("xy")),
    st.just(ir.Text(text="u")),
)
parts_of_assistant = st.one_of(
    st.builds(call, st.sampled_from("123")), st.just(ir.Text(text="a")), st.just(THINK)
)
conversations = st.lists(
    st.one_of(
        st.lists(parts_of_user, min_size=1, max_size=3).map(lambda parts: user(*parts)),
        st.lists(parts_of_assistant, min_size=1, max_size=3).map(lambda p: assistant(*p)),
        st.just(system("s")),
    ),
    max_size=8,
)


@given(conversations)
def test_every_call_has_its_result_in_the_next_message(messages: list[ir.Message]) -> None:
    paired = turns.pair_results(tuple(messages), Losses())
    seen: set[str] = set()
    for place, item in enumerate(paired):
        calls = [part.call_id for part in item.parts if isinstance(part, ir.ToolCall)]
        assert not seen.intersection(calls)
        assert len(set(calls)) == len(calls)
        seen.update(calls)
        if calls:
            following = paired[place + 1].parts
            answered = [part.call_id for part in following if isinstance(part, ir.ToolResult)]
            assert answered == calls
            assert all(isinstance(part, ir.ToolResult) for part in following[: len(calls)])
        elif place and not any(isinstance(part, ir.ToolCall) for part in paired[place - 1].parts):
            assert not any(isinstance(part, ir.ToolResult) for part in item.parts)


def turn(number: int) -> list[ir.Message]:
    """One round of an agent that reuses its ids."""
    return [
        user(f"q{number}"),
        assistant(THINK, "look", call("0"), call("1")),
        user(result("1"), result("0"), "and"),
        assistant("done"),
    ]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_longer_conversation_keeps_the_shorter_one_as_its_prefix(length: int) -> None:
    def normal(count: int) -> tuple[ir.Message, ...]:
        messages = tuple(item for number in range(count) for item in turn(number))
        messages = turns.place_system((system("S"), *messages), MidSystem.USER, Losses())
        return turns.merge_roles(turns.drop_empty(turns.pair_results(messages, Losses())))

    shorter, longer = normal(length), normal(length + 1)
    assert longer[: len(shorter)] == shorter


@pytest.mark.parametrize(
    ("how", "after"),
    [
        pytest.param(MidSystem.KEEP, ["s: S", "u: q", "s: late", "a: x"], id="kept in place"),
        pytest.param(
            MidSystem.USER,
            ["s: S", "u: q", "u: <system>late</system>", "a: x"],
            id="wrapped in a user turn",
        ),
        pytest.param(MidSystem.HOIST, ["s: S", "s: late", "u: q", "a: x"], id="hoisted"),
    ],
)
def test_later_system_messages(how: MidSystem, after: list[str]) -> None:
    messages = (system("S"), user("q"), system("late"), assistant("x"))
    losses = Losses()
    assert brief(turns.place_system(messages, how, losses)) == after
    assert bool(losses.degradations) is (how is not MidSystem.KEEP)
    if how is not MidSystem.KEEP:
        with pytest.raises(GatewayError):
            turns.place_system(messages, how, Losses(Mode.STRICT))


def test_leading_system_messages_are_never_moved() -> None:
    messages = (system("A"), system("B"), user("q"))
    assert turns.place_system(messages, MidSystem.USER, Losses(Mode.STRICT)) == messages
    assert turns.split_system(messages) == (messages[:2], messages[2:])


def test_a_wrapped_system_message_stays_behind_the_results() -> None:
    messages = (assistant(call("1")), system("late"), user(result("1"), "go"))
    placed = turns.place_system(messages, MidSystem.USER, Losses())
    merged = turns.merge_roles(turns.pair_results(placed, Losses()))
    assert brief(merged) == ["a: call:1", "u: result:1=ok <system>late</system> go"]


def test_a_conversation_that_begins_with_the_assistant() -> None:
    messages = (system("S"), assistant("hi"))
    losses = Losses()
    assert brief(turns.start_with_user(messages, losses)) == ["s: S", "u: .", "a: hi"]
    assert losses.degradations
    with pytest.raises(GatewayError):
        turns.start_with_user(messages, Losses(Mode.STRICT))
    assert turns.start_with_user((user("q"),), Losses(Mode.STRICT)) == (user("q"),)


def test_a_conversation_of_system_text_alone_gets_a_user_turn() -> None:
    request = ir.Request(
        protocol="openai_chat", model="m", messages=(), paths={"messages": "input"}
    )
    losses = Losses()
    assert brief(turns.with_a_turn((system("S"),), request, losses)) == ["s: S", "u: ."]
    assert losses.degradations
    messages = (user("q"),)
    assert turns.with_a_turn(messages, request, Losses(Mode.STRICT)) is messages
    with pytest.raises(GatewayError) as caught:
        turns.with_a_turn((), request, Losses())
    assert (caught.value.kind, caught.value.path) == (ErrorKind.INVALID_REQUEST, "input")


def test_adjacent_messages_of_one_role_are_joined() -> None:
    messages = (user("a"), user("b"), assistant("c"), user("d"))
    assert brief(turns.merge_roles(messages)) == ["u: a b", "a: c", "u: d"]
    assert turns.merge_roles(()) == ()


def test_empty_parts_go() -> None:
    empty_result = ir.ToolResult(call_id="1", content=(ir.Text(text=""),))
    messages = (
        system(""),
        user("", "q"),
        assistant("", ir.Reasoning(), ir.Refusal(text="")),
        user(empty_result),
    )
    kept = turns.drop_empty(messages)
    assert brief(kept) == ["u: q", "u: result:1="]
    assert kept[1].parts == (ir.ToolResult(call_id="1"),)


def test_reasoning_with_state_is_not_empty() -> None:
    state = ir.OpaqueState(kind=ir.StateKind.ANTHROPIC_REDACTED, value="x")
    messages = (assistant(ir.Reasoning(state=state)),)
    assert turns.drop_empty(messages) == messages


def test_an_empty_user_message_is_refused() -> None:
    with pytest.raises(GatewayError) as caught:
        turns.drop_empty((user(""),))
    assert (caught.value.kind, caught.value.path) == (ErrorKind.INVALID_REQUEST, "messages[9]")


def foreign(rule: ir.ForeignRule, readable: str | None = "R") -> ir.Foreign:
    return ir.Foreign(
        protocol="gemini", type="thing", wire={}, rule=rule, readable=readable, path="p"
    )


DROP = ir.ForeignRule(Action.REJECT, Action.WARN, Action.SILENT)
TEXT = ir.ForeignRule(Action.REJECT, Action.REJECT, Action.WARN, as_text=True)
TITLED = ir.WebSearch(
    call_id="w", query="q", sources=(ir.WebSource(url="u", title="t"),), protocol="anthropic"
)
BARE = ir.WebSearch(
    call_id="w", query="q", sources=(ir.WebSource(url="u"),), protocol="openai_responses"
)
CODE = ir.CodeRun(call_id="x", code="1+1", output="2" * 5000, protocol="anthropic")


@pytest.mark.parametrize(
    ("part", "target", "expected", "recorded"),
    [
        pytest.param(foreign(DROP), "anthropic", [], 0, id="dropped in silence"),
        pytest.param(foreign(TEXT), "anthropic", ["a: R"], 1, id="sent as text"),
        pytest.param(foreign(TEXT, None), "anthropic", [], 1, id="nothing readable is dropped"),
        pytest.param(foreign(DROP), "gemini", ["a: Foreign"], 0, id="its own protocol keeps it"),
        pytest.param(
            TITLED, "gemini", ['a: [web_search] {"query":"q"}\nt u'], 1, id="a search with titles"
        ),
        pytest.param(BARE, "gemini", [], 1, id="a search without titles"),
        pytest.param(BARE, "openai_responses", ["a: WebSearch"], 0, id="its own search"),
        pytest.param(CODE, "gemini", ["a: CodeRun"], 0, id="code that the target can say"),
        pytest.param(
            CODE,
            "openai_responses",
            ['a: [code_execution] {"code":"1+1"}\n' + "2" * 4000],
            1,
            id="code as text, its output cut",
        ),
        pytest.param(ir.Refusal(text="no"), "anthropic", ["a: no"], 1, id="a refusal as text"),
        pytest.param(
            ir.Refusal(text="no"), "openai_chat", ["a: Refusal"], 0, id="a refusal said as such"
        ),
        pytest.param(ir.Text(text="x"), "anthropic", ["a: x"], 0, id="shared content"),
    ],
)
def test_foreign_content(part: ir.Part, target: str, expected: list[str], recorded: int) -> None:
    losses = Losses()
    assert brief(turns.localise((assistant(part),), target, losses)) == expected
    assert len(losses.degradations) == recorded


@pytest.mark.parametrize("part", [foreign(DROP), foreign(TEXT), TITLED, BARE, CODE])
def test_foreign_content_is_refused_in_strict_mode(part: ir.Part) -> None:
    with pytest.raises(GatewayError):
        turns.localise((assistant(part),), "openai_chat", Losses(Mode.STRICT))


def test_the_rule_of_the_mode_decides() -> None:
    with pytest.raises(GatewayError) as caught:
        turns.localise((assistant(foreign(TEXT)),), "anthropic", Losses(Mode.BALANCED))
    assert caught.value.path == "p"
