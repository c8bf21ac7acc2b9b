"""The scenarios: what the fake model says, in a form that plays in all four protocols.

A scenario is a function from what the request shows (`View`) and its `Options` to a `Turn`. Which step of a
longer task comes next is read off the history (how many tool results came back), never off server state, so
retries and restarts change nothing. What goes wrong on the way out (status, cut, stall) is `Options` too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal

import orjson

from scripts.fake import tool_choice
from scripts.fake.instances import smallest
from scripts.fake.view import (
    Call,
    Finish,
    Part,
    Refuse,
    Say,
    Think,
    Turn,
    Usage,
    View,
)

type Failure = Literal[
    "", "status", "overflow", "full", "error-first", "error-mid", "cut", "stall", "drop", "given-up"
]
type Cut = Literal["close", "reset", "clean"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a scenario is played; every field can be set from a header or from a model name.

    `times`: how often a failure happens before `then` is played (0 = always). `at`: only once that many tool
    results, or resumed pauses, have come. `after`: how many events a broken stream sends first. `input_tokens`: what to report
    instead of an estimate, so that agents that compact by the count do so.
    """

    failure: Failure = ""
    status: int = 500
    times: int = 1
    pauses: int = 2
    at: int = 0
    after: int = 3
    how: Cut = "close"
    retry_after_s: float | None = None
    then: str = ""
    text: str = ""
    tool: str = ""
    command: str = ""
    chunks: int = 200
    piece_chars: int = 12
    usage: str = "normal"
    input_tokens: int = 0
    cache_read: int = 0
    cache_write: int = 0
    delay_ms: float = 0.0
    first_delay_ms: float = 0.0
    chunk_bytes: int = 0
    comments: bool = False
    crlf: bool = False
    gzip: bool = False
    path: str = "image.png"


def parse_options(text: str, base: Options, separator: str) -> Options:
    """Read `name=value` pairs; an unknown name or a value of the wrong type is a `ValueError`."""
    known = {item.name: item.default for item in fields(base)}
    changes: dict[str, Any] = {}
    for pair in filter(None, text.split(separator)):
        name, _, value = pair.strip().partition("=")
        name = {"retry_after": "retry_after_s"}.get(name, name)
        if name not in known:
            raise ValueError(f"unknown option '{name}'; known: {', '.join(known)}")
        changes[name] = _typed(value, known[name], name)
    return replace(base, **changes)


def _typed(value: str, default: Any, name: str) -> Any:
    if isinstance(default, bool):
        return value.lower() in ("", "1", "true", "yes")
    if name == "retry_after_s" or isinstance(default, float):
        return float(value)
    return int(value) if isinstance(default, int) else value


@dataclass(frozen=True, slots=True)
class Scenario:
    """A name, one line about it, what the model says, and the options it starts from."""

    name: str
    about: str
    script: Callable[[View, Options], tuple[list[Part], Finish]]
    options: Options = Options()


SHELL_COMMAND: Final = "echo hello-from-tool-{n} | tee proof-{n}.txt"
STEPS_FILE: Final = "steps.txt"
_THOUGHT: Final = "The user wants something done. A tool will do it, so I call it first."
_LONG: Final = "The quick brown fox jumps over the lazy dog. "
# Not $(pwd): Gemini CLI refuses command substitution.
_WHERE: Final = "echo cwd=$PWD"
_MIXED: Final = (
    'Grüße, 日本語, emoji 🙂👩‍💻, quotes " and \\, tab\tand a line separator\u2028here.\n'
)


def _text(view: View, options: Options) -> tuple[list[Part], Finish]:
    return [Say(options.text or _plain_answer(view))], "stop"


def _plain_answer(view: View) -> str:
    results = view.results
    if results:
        lines = "; ".join(_short(entry.text) for entry in results)
        return f"The tools answered: {lines}."
    if view.images:
        return f"I see {_images(view)}."
    if view.offers or not view.prompt:
        return "Hello! This is the fake provider speaking."
    return f"Fake answer to: {_short(view.prompt)}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else line[:117] + "..."


def _images(view: View) -> str:
    kinds = ", ".join(f"{image.media_type} of {image.size} characters" for image in view.images)
    return f"{len(view.images)} image(s): {kinds}"


def _call(view: View, options: Options, ordinal: int) -> Call | None:
    """The call of a tool scenario: the named tool, a shell, or whatever is on offer."""
    named = tool_choice.find(view, options.tool or view.choice)
    if named is not None and named != tool_choice.shell(view):
        return tool_choice.plain_call(view, named, ordinal)
    offer = named or tool_choice.shell(view)
    if offer is not None:
        command = options.command or SHELL_COMMAND.format(n=ordinal + 1)
        return tool_choice.shell_call(offer, command)
    if view.offers:
        return tool_choice.plain_call(view, view.offers[0], ordinal)
    return None


def _calls(view: View, options: Options, count: int) -> tuple[list[Part], Finish]:
    if len(view.results) >= count:
        return _text(view, options)
    first = len(view.results)
    wanted = range(first, count) if view.parallel else range(first, first + 1)
    calls = [_call(view, options, ordinal) for ordinal in wanted]
    found: list[Part] = [call for call in calls if call is not None]
    if not found:
        return _text(view, options)
    return [Say("Let me check."), *found], "tool"


def _tool(view: View, options: Options) -> tuple[list[Part], Finish]:
    return _calls(view, options, 1)


def _parallel(view: View, options: Options) -> tuple[list[Part], Finish]:
    return _calls(view, options, 2)


def _serial(view: View, options: Options) -> tuple[list[Part], Finish]:
    return _calls(replace(view, parallel=False), options, 2)


def _reasoning(view: View, options: Options) -> tuple[list[Part], Finish]:
    parts, finish = _text(view, options)
    return [Think(_THOUGHT), *parts] if view.thinks else parts, finish


def _reasoning_tool(view: View, options: Options) -> tuple[list[Part], Finish]:
    """Two steps, each with reasoning of its own: the second needs that of the first back."""
    step = len(view.results)
    parts, finish = _calls(replace(view, parallel=False), options, 2)
    if finish != "tool":
        said = "".join(part.text for part in parts if isinstance(part, Say))
        parts = [Say(f"{said} Reasoning came back {view.reasoning_returned} time(s).")]
    if not view.thinks:
        return parts, finish
    return [Think(f"{_THOUGHT} This is step {step + 1}."), *parts], finish


def _redacted(view: View, options: Options) -> tuple[list[Part], Finish]:
    parts, finish = _calls(view, options, 1)
    return [Think("redacted:" + _THOUGHT), *parts] if view.thinks else parts, finish


def _steps(view: View, options: Options) -> tuple[list[Part], Finish]:
    """Five tool turns around one file: where am I, write, read, edit, look again."""
    shell = tool_choice.shell(view)
    if shell is None or len(view.results) >= 5:
        return _text(view, options)
    path = f"{_directory(view)}/{STEPS_FILE}"
    match len(view.results):
        case 0:
            call = tool_choice.shell_call(shell, _WHERE)
        case 1:
            writer = tool_choice.writer(view)
            command = f"printf 'alpha\\nbeta\\n' > {path}"
            call = (
                tool_choice.write_call(writer, path, "alpha\nbeta\n")
                if writer
                else tool_choice.shell_call(shell, command)
            )
        case 2:
            reader = tool_choice.reader(view)
            call = (
                tool_choice.read_call(reader, path)
                if reader
                else tool_choice.shell_call(shell, f"cat {path}")
            )
        case 3:
            call = _edit(view, path) or tool_choice.shell_call(
                shell, f"sed 's/beta/gamma/' {path} > {path}.new && mv {path}.new {path}"
            )
        case _:
            call = tool_choice.shell_call(shell, f"cat {path}")
    return [Say(f"Step {len(view.results) + 1}."), call], "tool"


def _directory(view: View) -> str:
    for entry in view.results[:1]:
        found = re.search(r"cwd=(/[^\s\"'\\<]+)", entry.text)
        if found:
            return found[1]
    return "."


def _edit(view: View, path: str) -> Call | None:
    editor, patcher = tool_choice.editor(view), tool_choice.patcher(view)
    if editor is not None:
        return tool_choice.edit_call(editor, path, "beta", "gamma")
    if patcher is not None:
        patch = (
            f"*** Begin Patch\n*** Update File: {path}\n@@\n alpha\n-beta\n+gamma\n*** End Patch\n"
        )
        return tool_choice.text_call(patcher, patch)
    return None


def _image(view: View, options: Options) -> tuple[list[Part], Finish]:
    """Say which images came; with none, but with tools, have the agent read the file `path` first."""
    shell, viewer = tool_choice.shell(view), tool_choice.viewer(view)
    if not view.images and shell and viewer and len(view.results) < 2:
        if not view.results:
            return [tool_choice.shell_call(shell, _WHERE)], "tool"
        return [tool_choice.read_call(viewer, f"{_directory(view)}/{options.path}")], "tool"
    return [Say(f"I see {_images(view)}." if view.images else "I see no image.")], "stop"


def _long(view: View, options: Options) -> tuple[list[Part], Finish]:
    return [Say((_LONG + _MIXED) * max(1, options.chunks // 8))], "stop"


def _unicode(view: View, options: Options) -> tuple[list[Part], Finish]:
    return [Say(_MIXED * 3)], "stop"


def _refusal(view: View, options: Options) -> tuple[list[Part], Finish]:
    return [Refuse(options.text or "I can't help with that.")], "refusal"


def _filtered(view: View, options: Options) -> tuple[list[Part], Finish]:
    return [Say(options.text or "Partial")], "filter"


def _length(view: View, options: Options) -> tuple[list[Part], Finish]:
    return [Say(options.text or "This answer stops in the middle of")], "length"


def _json(view: View, options: Options) -> tuple[list[Part], Finish]:
    schema = view.output_schema or {"type": "object"}
    text = "fake" if view.offers or not view.prompt else _short(view.prompt)
    return [Say(options.text or orjson.dumps(smallest(schema, text)).decode())], "stop"


def _echo(view: View, options: Options) -> tuple[list[Part], Finish]:
    return [Say(view.prompt or "(nothing said)")], "stop"


def _empty(view: View, options: Options) -> tuple[list[Part], Finish]:
    return [], "stop"


def _pause(view: View, options: Options) -> tuple[list[Part], Finish]:
    """A part of the answer per call; where nothing pauses, all of it at once."""
    said: list[Part] = [Think(_THOUGHT)] if view.thinks and not view.resumed else []
    if view.protocol not in ("anthropic", "gemini"):
        return [Say("".join(f"Part {n + 1}. " for n in range(options.pauses + 1)))], "stop"
    said.append(Say(f"Part {view.resumed + 1}. "))
    return said, "pause" if view.resumed < options.pauses else "stop"


def _given_up(view: View, options: Options) -> tuple[list[Part], Finish]:
    """Gemini: the model's output was no answer, behind `text` if there is one."""
    return [Say(options.text)] if options.text else [], "given_up"


def _failing(failure: Failure, **more: Any) -> Options:
    return Options(failure=failure, **more)


_LIST: Final = (
    Scenario("text", "a short answer", _text),
    Scenario("tool", "one call (a shell command where there is a shell), then an answer", _tool),
    Scenario("parallel", "two calls in one answer, then an answer", _parallel),
    Scenario("serial", "two calls, one after the other, then an answer", _serial),
    Scenario("steps", "five tool turns with an edit: leaves steps.txt with alpha, gamma", _steps),
    Scenario("reasoning", "signed reasoning, then an answer", _reasoning),
    Scenario(
        "reasoning-tool", "two tool steps with reasoning, which has to come back", _reasoning_tool
    ),
    Scenario("redacted-tool", "as tool, after reasoning that is hidden altogether", _redacted),
    Scenario("image", "says which images arrived", _image),
    Scenario("long", "a long answer", _long),
    Scenario(
        "unicode", "characters of every length, quotes, U+2028", _unicode, Options(piece_chars=3)
    ),
    Scenario("refusal", "the model declines", _refusal),
    Scenario("filter", "a filter stops the answer", _filtered),
    Scenario("length", "the token cap stops the answer", _length),
    Scenario("json", "the smallest instance of the schema asked for", _json),
    Scenario("echo", "repeats the prompt", _echo),
    Scenario("empty", "an answer without content", _empty),
    Scenario("pause", "pauses `pauses` times and wants to be resumed (Anthropic, Gemini)", _pause),
    Scenario(
        "given-up",
        "a malformed function call, `times` times (Gemini)",
        _given_up,
        _failing("given-up", then="text"),
    ),
    Scenario(
        "overflow", "the prompt does not fit, in the provider's words", _text, _failing("overflow")
    ),
    Scenario(
        "full",
        "as steps, but the third answer says that the window is nearly full",
        _steps,
        _failing("full", at=2, input_tokens=950_000, then="steps"),
    ),
    Scenario(
        "error-first",
        "an error as the first event of a 200 stream",
        _text,
        _failing("error-first", status=529),
    ),
    Scenario(
        "error-mid", "an error in the middle of a stream", _text, _failing("error-mid", status=529)
    ),
    Scenario(
        "cut", "the stream breaks off (how=close|reset|clean, after=N)", _text, _failing("cut")
    ),
    Scenario("drop", "the connection closes before any answer", _text, _failing("drop")),
    Scenario("stall", "the stream falls silent after a few events", _text, _failing("stall")),
    Scenario("drip", "20 ms between events", _text, Options(delay_ms=20)),
    Scenario(
        "slow-start", "half a second before the first byte", _text, Options(first_delay_ms=500)
    ),
    Scenario("comments", "SSE comments between events (Chat)", _text, Options(comments=True)),
    Scenario("usage-none", "no usage at all", _text, Options(usage="none")),
    Scenario("usage-finish", "usage on the finish chunk (Chat)", _text, Options(usage="finish")),
    Scenario("usage-late", "usage after the end (Chat, Gemini)", _text, Options(usage="late")),
    Scenario("bench", "chunks=200 deltas at once, or delay_ms=5 apart; validates nothing", _text),
    *(
        Scenario(f"status-{code}", f"status {code} first", _text, _failing("status", status=code))
        for code in (400, 401, 403, 404, 408, 409, 413, 429, 500, 502, 503, 504, 529)
    ),
)
SCENARIOS: Final[Mapping[str, Scenario]] = {scenario.name: scenario for scenario in _LIST}


@dataclass(frozen=True, slots=True)
class Play:
    """A scenario and how it is to be played."""

    scenario: Scenario
    options: Options


def play(name: str, **options: Any) -> Play:
    """Name a scenario and change some of its options; `KeyError` when there is none of that name."""
    scenario = SCENARIOS[name]
    return Play(scenario, replace(scenario.options, **options))


def from_header(value: str) -> Play:
    """`x-fake-scenario: cut;after=2;how=reset`."""
    name, _, rest = value.partition(";")
    scenario = SCENARIOS.get(name.strip())
    if scenario is None:
        raise ValueError(f"unknown scenario '{name.strip()}'; known: {', '.join(SCENARIOS)}")
    return Play(scenario, parse_options(rest, scenario.options, ";"))


_IN_MODEL: Final = re.compile(
    r"fake-("
    + "|".join(sorted(map(re.escape, SCENARIOS), key=len, reverse=True))
    + r")(?![a-z])([^/]*)"
)


def from_model(model: str) -> Play | None:
    """A model name with `fake-SCENARIO` in it, options behind `~`: `gemini-3-fake-cut~after=2`."""
    found = _IN_MODEL.search(model)
    if found is None:
        return None
    scenario = SCENARIOS[found[1]]
    _, _, rest = found[2].partition("~")
    return Play(scenario, parse_options(rest, scenario.options, "~"))


def compose(played: Play, view: View) -> Turn:
    """The turn that the model takes: the scenario's, bent to what the request demands.

    A schema is answered with an instance, `tool_choice` is obeyed, stops and the token cap cut the text.
    """
    options = played.options
    script = played.scenario.script
    ends_itself = script in (_refusal, _filtered, _length, _empty, _pause, _given_up)
    if view.wants_json and not view.offers and not ends_itself:
        script = _json
    if view.choice == "none":
        view = replace(view, offers=())
    parts, finish = script(view, options)
    if view.wants_json and finish == "stop" and not ends_itself:
        thoughts: list[Part] = [part for part in parts if isinstance(part, Think)]
        parts = thoughts + _json(view, options)[0]
    if view.choice not in ("auto", "none") and finish == "stop" and view.offers and not ends_itself:
        forced = _call(view, options, 0)
        if forced is not None:
            parts, finish = [forced], "tool"
    turn = Turn(
        parts=tuple(parts),
        finish=finish,
        usage_style=options.usage,
        piece_chars=options.piece_chars,
    )
    return _counted(_limited(turn, view), view, options)


def _limited(turn: Turn, view: View) -> Turn:
    """Apply stop sequences and the token cap to the visible text; a word counts as one token."""
    if turn.finish not in ("stop", "tool"):
        return turn
    kept: list[Part] = []
    left = view.max_tokens
    for part in turn.parts:
        if not isinstance(part, Say):
            kept.append(part)
            continue
        for stop in view.stops:
            if stop and stop in part.text:
                kept.append(Say(part.text[: part.text.index(stop)]))
                return replace(turn, parts=tuple(kept), finish="stop_sequence", stopped_at=stop)
        tokens = re.findall(r"\s*\S+\s*", part.text)
        if left is not None and len(tokens) > left:
            kept.append(Say("".join(tokens[:left])))
            spoken = tuple(item for item in kept if not isinstance(item, Say) or item.text)
            return replace(turn, parts=spoken, finish="length")
        left = None if left is None else left - len(tokens)
        kept.append(part)
    return replace(turn, parts=tuple(kept))


def _counted(turn: Turn, view: View, options: Options) -> Turn:
    """Plausible token counts: a token is four characters, thinking counts as output."""
    reasoning = sum(len(part.text) for part in turn.parts if isinstance(part, Think)) // 4
    spoken = sum(_length_of(part) for part in turn.parts if not isinstance(part, Think))
    cached = options.cache_read + options.cache_write
    usage = Usage(
        input=options.input_tokens or estimate(view) + cached,
        output=max(1, spoken // 4) + reasoning,
        cache_read=options.cache_read,
        cache_write=options.cache_write,
        reasoning=reasoning,
    )
    return replace(turn, usage=usage)


def _length_of(part: Part) -> int:
    return len(part.arguments) if isinstance(part, Call) else len(part.text)


def estimate(view: View) -> int:
    """The tokens of a request: a quarter of its bytes."""
    return max(1, view.size // 4)
