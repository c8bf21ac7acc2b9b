"""Turn normalisation on the hub: section 3 of the portability rules and 4.2's actions.

Pure functions from messages to messages; each renderer composes what its protocol needs. All of them keep
the prefix property: what a later turn appends never changes how the earlier ones come out (HOIST aside).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from translators import ir
from translators.errors import ErrorKind, GatewayError
from translators.losses import Action, Loss, Losses, Mode
from translators.profile import MidSystem
from translators.wire import Json, dump_text

NO_RESULT: Final = "(no result)"
READABLE_LIMIT: Final = 4000
"""Most characters of a hosted tool's result in its readable rendering."""

SAYS_ITSELF: Final[Mapping[str, tuple[type, ...]]] = {
    "openai_chat": (ir.Refusal,),
    "openai_responses": (ir.Refusal,),
    "gemini": (ir.CodeRun,),
}
"""Content with rules of its own that a protocol has words for, whoever made it."""


# ----------------------------------------------------------------------------------------- system


def split_system(
    messages: tuple[ir.Message, ...],
) -> tuple[tuple[ir.Message, ...], tuple[ir.Message, ...]]:
    """The leading system messages, and the rest."""
    count = 0
    while count < len(messages) and messages[count].role is ir.Role.SYSTEM:
        count += 1
    return messages[:count], messages[count:]


def mark_system_for_tools(request: ir.Request) -> ir.Request:
    """A cache mark on a tool as one on the last leading system text, for those who take none on tools (section 13)."""
    marks = [
        tool.cache
        for tool in request.tools
        if isinstance(tool, ir.FunctionTool) and tool.cache is not None
    ]
    leading, rest = split_system(request.messages)
    last = leading[-1].parts[-1] if leading and leading[-1].parts else None
    if not marks or not isinstance(last, ir.Text):
        return request
    marked = replace(last, cache=last.cache or marks[-1])
    message = replace(leading[-1], parts=(*leading[-1].parts[:-1], marked))
    tools = tuple(
        replace(tool, cache=None) if isinstance(tool, ir.FunctionTool) else tool
        for tool in request.tools
    )
    return replace(request, messages=(*leading[:-1], message, *rest), tools=tools)


def note_names(messages: tuple[ir.Message, ...], losses: Losses) -> None:
    """Record the participants' names that a protocol has no place for."""
    for message in messages:
        if message.name is not None:
            losses.give_up(Loss.HINT, message.path, "the name of a participant cannot be passed on")


def place_system(
    messages: tuple[ir.Message, ...], how: MidSystem, losses: Losses
) -> tuple[ir.Message, ...]:
    """Deal with system messages after the first other turn: keep, wrap in a user turn, or hoist."""
    leading, rest = split_system(messages)
    if how is MidSystem.KEEP or all(message.role is not ir.Role.SYSTEM for message in rest):
        return messages
    hoisted: list[ir.Message] = []
    others: list[ir.Message] = []
    for message in rest:
        if message.role is not ir.Role.SYSTEM:
            others.append(message)
        elif how is MidSystem.HOIST:
            losses.give_up(
                Loss.VALUE, message.path, "a later system message was moved to the system text"
            )
            hoisted.append(message)
        else:
            losses.give_up(
                Loss.VALUE, message.path, "a later system message was wrapped in a user message"
            )
            others.append(
                ir.Message(
                    role=ir.Role.USER, parts=_wrapped_system(message.parts), path=message.path
                )
            )
    return (*leading, *hoisted, *others)


def _wrapped_system(parts: tuple[ir.Part, ...]) -> tuple[ir.Part, ...]:
    return tuple(
        replace(part, text=f"<system>{part.text}</system>")
        if isinstance(part, ir.Text) and part.text
        else part
        for part in parts
    )


def start_with_user(messages: tuple[ir.Message, ...], losses: Losses) -> tuple[ir.Message, ...]:
    """Put a user turn `.` in front of a conversation that begins with the assistant (A, rule 2)."""
    leading, rest = split_system(messages)
    if not rest or rest[0].role is not ir.Role.ASSISTANT:
        return messages
    losses.give_up(
        Loss.VALUE, rest[0].path, "a user message was put before the first assistant message"
    )
    first = ir.Message(role=ir.Role.USER, parts=(ir.Text(text="."),), path=rest[0].path)
    return (*leading, first, *rest)


def with_a_turn(
    messages: tuple[ir.Message, ...], request: ir.Request, losses: Losses
) -> tuple[ir.Message, ...]:
    """Add the user turn `.` to a conversation of system text alone (A, G); refuse one of nothing at all."""
    leading, rest = split_system(messages)
    if rest:
        return messages
    path = request.path_of("messages")
    if not leading:
        raise nothing_said(path)
    losses.give_up(Loss.VALUE, path, "a user message was added")
    return (*leading, ir.Message(role=ir.Role.USER, parts=(ir.Text(text="."),), path=path))


def nothing_said(path: str) -> GatewayError:
    """The refusal of a conversation that is empty, or that only empty parts stand in."""
    text = f"{path}: expected at least one message that says something"
    return GatewayError(ErrorKind.INVALID_REQUEST, text, path=path)


# ---------------------------------------------------------------------------------------- results


@dataclass(slots=True, eq=False)
class _Slot:
    """One call, under its unique id, and the result that was found for it."""

    call: ir.ToolCall
    turn: int
    result: ir.ToolResult | None = None


@dataclass(slots=True)
class _Turn:
    """One assistant turn: its messages in order, and its calls."""

    messages: list[ir.Message]
    slots: list[_Slot]


@dataclass(slots=True)
class _Pairing:
    """Who waits for which id; an id may be reused, so the order of appearance decides (ID-12)."""

    losses: Losses
    units: list[_Turn | ir.Message] = field(default_factory=list)
    waiting: dict[str, list[_Slot]] = field(default_factory=dict)
    answered: dict[str, _Slot] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    last_suffix: dict[str, int] = field(default_factory=dict)

    def assistant(self, message: ir.Message) -> None:
        """Add an assistant message to the open assistant turn, or begin one."""
        turn = self.units[-1] if self.units else None
        if not isinstance(turn, _Turn):
            turn = _Turn([], [])
            self.units.append(turn)
        parts: list[ir.Part] = []
        for part in message.parts:
            if isinstance(part, ir.ToolCall):
                slot = _Slot(self._unique(part), len(self.units))
                turn.slots.append(slot)
                self.waiting.setdefault(part.call_id, []).append(slot)
                parts.append(slot.call)
            else:
                parts.append(part)
        turn.messages.append(_with_parts(message, tuple(parts)))

    def other(self, message: ir.Message) -> None:
        """Add a user or system message, less the results in it that belong to a call.

        One that nothing is left of stays as the boundary between two assistant turns.
        """
        kept: list[ir.Part] = []
        for part in message.parts:
            if not isinstance(part, ir.ToolResult):
                kept.append(part)
            elif not self._answer(part):
                kept.extend(self._orphan(part))
        self.units.append(_with_parts(message, tuple(kept)))

    def _unique(self, call: ir.ToolCall) -> ir.ToolCall:
        call_id = call.call_id
        if call_id in self.taken:
            count = self.last_suffix.get(call_id, 1) + 1
            while f"{call_id}_{count}" in self.taken:
                count += 1
            self.last_suffix[call_id] = count
            call = replace(call, call_id=f"{call_id}_{count}")
        self.taken.add(call.call_id)
        return call

    def _answer(self, result: ir.ToolResult) -> bool:
        waiting = self.waiting.get(result.call_id)
        if waiting:
            slot = _next_slot(waiting)
            waiting.remove(slot)
            self.answered[result.call_id] = slot
        else:
            doubled = self.answered.get(result.call_id)
            if doubled is None:
                return False
            slot = doubled
            if slot.result is not None and slot.result.content != result.content:
                self.losses.warn(result.path, "a second result of the same call replaced the first")
        slot.result = replace(
            result,
            call_id=slot.call.call_id,
            name=slot.call.name,
            namespace=slot.call.namespace,
            kind=slot.call.kind,
        )
        return True

    def _orphan(self, result: ir.ToolResult) -> Iterator[ir.Part]:
        self.losses.give_up(
            Loss.MEANING,
            result.path,
            f'the tool result "{result.call_id}" answers no call; it was kept as user text',
        )
        yield ir.Text(text=f"[result of {result.name or result.call_id}]", path=result.path)
        yield from result.content


def pair_results(messages: tuple[ir.Message, ...], losses: Losses) -> tuple[ir.Message, ...]:
    """Make every call have exactly one result in the very next (user) message, in call order, results first.

    Moves results that stand later; unique-ifies reused call ids (`_2`) together with their results; keeps the
    last payload of doubled results; a missing result is refused, or answered `(no result)` with the error
    flag (max_compat), at the very end of the conversation too: no provider takes a call without its result.
    An orphan is refused, or becomes user text (max_compat). Fills `ToolResult.name`, `.namespace` and `.kind`
    from the call. An assistant turn that goes on after its calls becomes one message with the calls last
    (pitfalls RES-10).
    """
    pairing = _Pairing(losses)
    for message in messages:
        if message.role is ir.Role.ASSISTANT:
            pairing.assistant(message)
        else:
            pairing.other(message)
    out: list[ir.Message] = []
    results: tuple[ir.ToolResult, ...] = ()
    for unit in pairing.units:
        if isinstance(unit, ir.Message) and unit.role is ir.Role.USER:
            if results or unit.parts:
                out.append(_with_parts(unit, (*results, *unit.parts)))
            results = ()
            continue
        if results:
            out.append(_results_message(results))
            results = ()
        if isinstance(unit, ir.Message):
            out.append(unit)
            continue
        out.extend(_assistant_messages(unit))
        results = tuple(_result_of(slot, losses) for slot in unit.slots)
    if results:
        out.append(_results_message(results))
    return tuple(out)


def _next_slot(waiting: list[_Slot]) -> _Slot:
    """Of the nearest turn that waits, its first call: parallel calls are answered in order (ID-02)."""
    place = len(waiting) - 1
    while place > 0 and waiting[place - 1].turn == waiting[-1].turn:
        place -= 1
    return waiting[place]


def _results_message(results: tuple[ir.ToolResult, ...]) -> ir.Message:
    return ir.Message(role=ir.Role.USER, parts=results, path=results[0].path)


def _result_of(slot: _Slot, losses: Losses) -> ir.ToolResult:
    if slot.result is not None:
        return slot.result
    call = slot.call
    losses.give_up(
        Loss.MEANING,
        call.path,
        f'the call "{call.call_id}" of {call.name} has no result; it was answered {NO_RESULT}',
    )
    return ir.ToolResult(
        call_id=call.call_id,
        content=(ir.Text(text=NO_RESULT, path=call.path),),
        is_error=True,
        name=call.name,
        namespace=call.namespace,
        kind=call.kind,
        path=call.path,
    )


def _assistant_messages(turn: _Turn) -> list[ir.Message]:
    """The messages of a turn; one with the calls last if anything followed a call."""
    if not turn.slots:
        return turn.messages
    head, *others = turn.messages
    has_call = [_has_call(message) for message in turn.messages]
    if others and any(has_call[:-1]):
        parts = tuple(part for message in turn.messages for part in message.parts)
        return [replace(head, parts=_calls_last(parts))]
    last = turn.messages[-1]
    return [*turn.messages[:-1], _with_parts(last, _calls_last(last.parts))]


def _has_call(message: ir.Message) -> bool:
    return any(isinstance(part, ir.ToolCall) for part in message.parts)


def _calls_last(parts: tuple[ir.Part, ...]) -> tuple[ir.Part, ...]:
    """Move what follows a call in front of the calls; reasoning stays before what it led to."""
    before: list[ir.Part] = []
    calls: list[ir.Part] = []
    reasoning: list[ir.Part] = []
    for part in parts:
        if isinstance(part, ir.Reasoning):
            reasoning.append(part)
            continue
        group = calls if isinstance(part, ir.ToolCall) else before
        group.extend(reasoning)
        group.append(part)
        reasoning.clear()
    ordered = (*before, *reasoning, *calls)
    return parts if ordered == parts else ordered


def _with_parts(message: ir.Message, parts: tuple[ir.Part, ...]) -> ir.Message:
    return message if parts == message.parts else replace(message, parts=parts)


# ------------------------------------------------------------------------------------------ roles


def merge_roles(messages: tuple[ir.Message, ...]) -> tuple[ir.Message, ...]:
    """Join adjacent messages of one role (A, G); the first one's name and path stay."""
    out: list[ir.Message] = []
    run: list[ir.Message] = []
    for message in messages:
        if run and run[0].role is not message.role:
            out.append(_joined(run))
            run = []
        run.append(message)
    if run:
        out.append(_joined(run))
    return tuple(out)


def _joined(run: list[ir.Message]) -> ir.Message:
    if len(run) == 1:
        return run[0]
    return replace(run[0], parts=tuple(part for message in run for part in message.parts))


def continues(before: ir.Part | None, part: ir.Text) -> bool:
    """Whether two texts are one sentence that citations cut in pieces: then nothing goes between."""
    return isinstance(before, ir.Text) and bool(before.citations or part.citations)


def drop_empty(messages: tuple[ir.Message, ...]) -> tuple[ir.Message, ...]:
    """Drop empty text parts, and messages that nothing is left of; refuse a user message that was all empty."""
    out: list[ir.Message] = []
    for message in messages:
        parts = tuple(_without_empty(part) for part in message.parts if not _is_empty(part))
        if parts:
            out.append(_with_parts(message, parts))
        elif message.role is ir.Role.USER:
            raise GatewayError(
                ErrorKind.INVALID_REQUEST,
                f"{message.path}: expected content, found an empty user message",
                path=message.path,
            )
    return tuple(out)


def _is_empty(part: ir.Part) -> bool:
    match part:
        case ir.Text(text="") | ir.Refusal(text=""):
            return True
        case ir.Reasoning(text="", state=None):
            return True
        case _:
            return False


def _without_empty(part: ir.Part) -> ir.Part:
    if isinstance(part, ir.ToolResult) and any(_is_empty(item) for item in part.content):
        return replace(part, content=tuple(item for item in part.content if not _is_empty(item)))
    return part


# ---------------------------------------------------------------------------------------- foreign


def localise(
    messages: tuple[ir.Message, ...], protocol: str, losses: Losses
) -> tuple[ir.Message, ...]:
    """Apply the rules of foreign content (Foreign, WebSearch, CodeRun, Refusal) for a target protocol.

    Content of `protocol` itself stays as it is; what else may go along becomes assistant text (section 4.5).
    A message that nothing is left of is dropped.
    """
    native = SAYS_ITSELF.get(protocol, ())
    out: list[ir.Message] = []
    for message in messages:
        if not any(isinstance(part, _RULED) for part in message.parts):
            out.append(message)
            continue
        parts = tuple(
            local
            for part in message.parts
            if (local := _local(part, protocol, native, losses)) is not None
        )
        if parts:
            out.append(_with_parts(message, parts))
    return tuple(out)


_RULED: Final = (ir.Foreign, ir.WebSearch, ir.CodeRun, ir.Refusal)


def _local(
    part: ir.Part, protocol: str, native: tuple[type, ...], losses: Losses
) -> ir.Part | None:
    match part:
        case ir.Refusal():
            return _local_refusal(part, native, losses)
        case ir.Foreign() if part.protocol != protocol:
            return _local_foreign(part, losses)
        case ir.WebSearch() if part.protocol != protocol:
            return _local_search(part, losses)
        case ir.CodeRun() if part.protocol != protocol:
            return _local_code(part, native, losses)
        case _:
            return part


def _local_refusal(part: ir.Refusal, native: tuple[type, ...], losses: Losses) -> ir.Part:
    if ir.Refusal in native:
        return part
    losses.give_up(Loss.VALUE, part.path, "a refusal was sent as text")
    return ir.Text(text=part.text, path=part.path)


def _local_foreign(part: ir.Foreign, losses: Losses) -> ir.Part | None:
    rule = {
        Mode.STRICT: part.rule.strict,
        Mode.BALANCED: part.rule.balanced,
        Mode.MAX_COMPAT: part.rule.max_compat,
    }
    as_text = part.rule.as_text and bool(part.readable)
    fate = "was sent as text" if as_text else "was dropped"
    losses.act(rule[losses.mode], part.path, f"`{part.type}` is of one protocol only; it {fate}")
    return ir.Text(text=part.readable, path=part.path) if as_text and part.readable else None


def _local_search(part: ir.WebSearch, losses: Losses) -> ir.Part | None:
    # Bare addresses say nothing that the answer after them does not say (R); titles do (A).
    titled = [source for source in part.sources if source.title]
    fate = "sent as text" if titled else "dropped"
    _hosted(losses, part.path, f"a web search of the provider was {fate}")
    if not titled:
        return None
    hits = "\n".join(f"{source.title} {source.url}" for source in titled)
    return ir.Text(text=readable("web_search", {"query": part.query}, hits), path=part.path)


def _local_code(part: ir.CodeRun, native: tuple[type, ...], losses: Losses) -> ir.Part:
    if ir.CodeRun in native and part.language.lower() == "python":
        losses.choose(
            part.path,
            "code that another provider ran",
            strict=Action.REJECT,
            balanced=Action.SILENT,
            max_compat=Action.SILENT,
        )
        return part
    _hosted(losses, part.path, "code that the provider ran was sent as text")
    return ir.Text(
        text=readable("code_execution", {"code": part.code}, part.output), path=part.path
    )


def _hosted(losses: Losses, path: str, reason: str) -> None:
    losses.choose(path, reason, strict=Action.REJECT, balanced=Action.WARN, max_compat=Action.WARN)


def readable(name: str, arguments: Json, result: str) -> str:
    """A hosted call as assistant text (section 4.5): `[<name>] <arguments>` and the cut result below it."""
    head = f"[{name}] {arguments if isinstance(arguments, str) else dump_text(arguments)}"
    return f"{head}\n{result[:READABLE_LIMIT]}" if result else head
