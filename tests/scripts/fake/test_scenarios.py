"""What the fake model says: steps read off the history, tools found by what they take, demands obeyed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts.fake.scenarios import (
    SCENARIOS,
    Options,
    Play,
    compose,
    from_header,
    from_model,
    parse_options,
    play,
)
from scripts.fake.tool_choice import shell, shell_call, subjects
from scripts.fake.view import Call, Entry, Image, Offer, Say, Think, Turn, View

TEXT = {"type": "string"}


def takes(name: str, *needed: str, **more: Any) -> Offer:
    properties = {**dict.fromkeys(needed, TEXT), **more}
    return Offer(name, {"type": "object", "properties": properties, "required": list(needed)})


BASH = takes("Bash", "command", description=TEXT, timeout={"type": "number"})
TASK = takes("task", "description", "prompt", command=TEXT)
READ, WRITE = takes("Read", "file_path"), takes("Write", "file_path", "content")
EDIT = takes("Edit", "file_path", "old_string", "new_string")
WEATHER = takes("get_weather", "city")


def view(*entries: Entry, **changes: Any) -> View:
    settings: dict[str, Any] = {
        "protocol": "anthropic",
        "model": "m",
        "stream": True,
        "digest": "d",
        "size": 400,
        "entries": entries or (Entry("user", "What is the weather in Oslo and in New York?"),),
    }
    return View(**{**settings, **changes})


def calls(turn: Turn) -> list[tuple[str, Any]]:
    found = [part for part in turn.parts if isinstance(part, Call)]
    return [
        (call.offer.name, call.arguments if call.offer.freeform else json.loads(call.arguments))
        for call in found
    ]


def text(turn: Turn) -> str:
    return "".join(part.text for part in turn.parts if isinstance(part, Say))


def test_a_shell_is_found_by_what_it_takes_not_by_its_place() -> None:
    assert shell(view(offers=(TASK, WEATHER, BASH))) is BASH
    assert shell(view(offers=(WEATHER,))) is None


def test_a_shell_command_takes_the_form_of_the_tool() -> None:
    listed = Offer("shell", {"properties": {"command": {"type": "array"}}, "required": ["command"]})
    assert json.loads(shell_call(listed, "ls").arguments) == {"command": ["bash", "-c", "ls"]}
    script = shell_call(Offer("exec", freeform=True), 'echo "x"').arguments
    assert 'tools.exec_command({cmd: "echo \\"x\\""})' in script


def test_a_freeform_tool_dressed_up_as_a_function_is_known() -> None:
    dressed = takes("exec", "input")
    assert shell(view(offers=(WEATHER, dressed))) is dressed
    script = json.loads(shell_call(dressed, "ls").arguments)
    assert list(script) == ["input"]
    assert 'tools.exec_command({cmd: "ls"})' in script["input"]


def test_names_in_a_prompt() -> None:
    assert subjects("What is the weather in Oslo and in New York? Say it. Now.") == [
        "Oslo",
        "New York",
    ]


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("tool", [1, 0]),
        ("parallel", [2, 0, 0]),
        ("serial", [1, 1, 0]),
        ("reasoning-tool", [1, 1, 0]),
    ],
)
def test_the_step_is_read_off_the_history(name: str, counts: list[int]) -> None:
    entries = [Entry("user", "Weather in Oslo and in Rome?")]
    seen = []
    for _ in counts:
        turn = compose(play(name), view(*entries, offers=(WEATHER,)))
        seen.append(len(calls(turn)))
        entries += [Entry("assistant", "", seen[-1]), *[Entry("result", "4 C")] * seen[-1]]
    assert seen[: len(counts)] == counts[: len(seen)]
    assert "4 C" in text(turn)


def test_a_new_question_starts_anew() -> None:
    history = (
        Entry("user", "one"),
        Entry("assistant", "", 1),
        Entry("result", "x"),
        Entry("assistant", "done"),
        Entry("system", "note"),
        Entry("user", "Weather in Oslo?"),
    )
    assert calls(compose(play("tool"), view(*history, offers=(WEATHER,)))) == [
        ("get_weather", {"city": "Oslo"})
    ]


def test_parallel_calls_come_one_by_one_when_they_must() -> None:
    turn = compose(play("parallel"), view(offers=(WEATHER,), parallel=False))
    assert calls(turn) == [("get_weather", {"city": "Oslo"})]
    second = view(
        *view().entries,
        Entry("assistant", "", 1),
        Entry("result", "x"),
        offers=(WEATHER,),
        parallel=False,
    )
    assert calls(compose(play("parallel"), second)) == [("get_weather", {"city": "New York"})]


def test_a_request_without_tools_gets_text() -> None:
    turn = compose(play("parallel"), view(Entry("user", "Write a title")))
    assert text(turn) == "Fake answer to: Write a title"
    assert turn.finish == "stop"


SCHEMA = {
    "type": "OBJECT",
    "properties": {"reason": {"type": "STRING"}, "score": {"type": "INTEGER", "minimum": 3}},
    "required": ["reason", "score"],
}


def test_a_schema_gets_an_instance_whatever_the_scenario() -> None:
    turn = compose(play("tool"), view(Entry("user", "rate"), output_schema=SCHEMA, wants_json=True))
    assert json.loads(text(turn)) == {"reason": "rate", "score": 3}


def test_a_forced_tool_is_called_and_a_forbidden_one_is_not() -> None:
    offers = (BASH, WEATHER)
    assert (
        calls(compose(play("text"), view(offers=offers, choice="get_weather")))[0][0]
        == "get_weather"
    )
    assert calls(compose(play("text"), view(offers=offers, choice="required")))[0][0] == "Bash"
    assert calls(compose(play("tool"), view(offers=offers, choice="none"))) == []


def test_stops_and_the_token_cap_cut_the_text() -> None:
    said = play("text", text="one two three four")
    turn = compose(said, view(stops=("three",)))
    assert (text(turn), turn.finish, turn.stopped_at) == ("one two ", "stop_sequence", "three")
    turn = compose(said, view(max_tokens=2))
    assert (text(turn), turn.finish) == ("one two ", "length")
    assert compose(said, view(max_tokens=4)).finish == "stop"


def test_reasoning_only_where_it_may_be_sent() -> None:
    thinking = compose(play("reasoning-tool"), view(offers=(WEATHER,)))
    assert isinstance(thinking.parts[0], Think)
    assert thinking.usage.reasoning > 0
    silent = compose(play("reasoning-tool"), view(offers=(WEATHER,), thinks=False))
    assert not any(isinstance(part, Think) for part in silent.parts)
    assert silent.usage.reasoning == 0


def test_images_are_described() -> None:
    asked = Entry("user", "What is this?", images=(Image("image/png", 12),))
    assert "1 image(s): image/png of 12" in text(compose(play("image"), view(asked)))


def test_an_agent_is_told_to_read_the_image() -> None:
    entries = [Entry("user", "look")]
    turn = compose(play("image"), view(*entries, offers=(BASH, READ)))
    assert calls(turn)[0][0] == "Bash"
    entries += [Entry("assistant", "", 1), Entry("result", "cwd=/w")]
    assert calls(compose(play("image"), view(*entries, offers=(BASH, READ)))) == [
        ("Read", {"file_path": "/w/image.png"})
    ]
    entries += [Entry("assistant", "", 1), Entry("result", "", images=(Image("image/png", 9),))]
    assert "image/png" in text(compose(play("image"), view(*entries, offers=(BASH, READ))))


def act(name: str, arguments: Any, home: Path) -> str:
    """A little agent: the five tools of the steps scenario."""
    match name:
        case "Bash" | "exec":
            command = arguments["command"]
            done = subprocess.run(
                ["sh", "-c", command], cwd=home, capture_output=True, text=True, check=True
            )
            return f"Output:\n{done.stdout}"
        case "Read":
            return Path(arguments["file_path"]).read_text()
        case "Write":
            Path(arguments["file_path"]).write_text(arguments["content"])
            return "written"
        case _:
            path = Path(arguments["file_path"])
            path.write_text(
                path.read_text().replace(arguments["old_string"], arguments["new_string"])
            )
            return "edited"


@pytest.mark.parametrize(
    ("offers", "used"),
    [
        pytest.param((BASH,), ["Bash"] * 5, id="a shell is enough"),
        pytest.param(
            (TASK, BASH, READ, EDIT, WRITE),
            ["Bash", "Write", "Read", "Edit", "Bash"],
            id="file tools",
        ),
    ],
)
def test_five_steps_leave_an_edited_file(
    tmp_path: Path, offers: tuple[Offer, ...], used: list[str]
) -> None:
    entries = [Entry("user", "do it")]
    names = []
    for _ in range(6):
        turn = compose(play("steps"), view(*entries, offers=offers))
        for name, arguments in calls(turn):
            names.append(name)
            entries += [Entry("assistant", "", 1), Entry("result", act(name, arguments, tmp_path))]
    assert names == used
    assert (tmp_path / "steps.txt").read_text() == "alpha\ngamma\n"
    assert turn.finish == "stop"
    assert "alpha gamma" in text(turn)


def test_a_freeform_patch_tool_edits() -> None:
    entries = [Entry("user", "x")]
    for said in ("cwd=/w", "", ""):
        entries += [Entry("assistant", "", 1), Entry("result", said)]
    offers = (BASH, Offer("apply_patch", freeform=True))
    name, patch = calls(compose(play("steps"), view(*entries, offers=offers)))[0]
    assert name == "apply_patch"
    assert "*** Update File: /w/steps.txt\n@@\n alpha\n-beta\n+gamma\n" in patch


@pytest.mark.parametrize(
    ("model", "scenario", "options"),
    [
        ("fake-tool", "tool", {}),
        ("gemini-3-fake-reasoning-tool", "reasoning-tool", {}),
        ("vendor/fake-cut~after=7~how=reset", "cut", {"after": 7, "how": "reset"}),
        (
            "fake-status-429~times=2~retry_after=1.5",
            "status-429",
            {"times": 2, "retry_after_s": 1.5},
        ),
        ("fake-tool-3", "tool", {}),
    ],
)
def test_a_model_name_names_a_scenario(model: str, scenario: str, options: dict[str, Any]) -> None:
    found = from_model(model)
    assert found is not None
    assert found.scenario.name == scenario
    assert {name: getattr(found.options, name) for name in options} == options


@pytest.mark.parametrize("model", ["gpt-6", "fake-model", "fake-tools", "fake-"])
def test_other_model_names_name_none(model: str) -> None:
    assert from_model(model) is None


def test_options_are_typed() -> None:
    changed = parse_options("delay_ms=0.5;times=3;comments;text=a b", Options(), ";")
    assert (changed.delay_ms, changed.times, changed.comments, changed.text) == (
        0.5,
        3,
        True,
        "a b",
    )
    with pytest.raises(ValueError, match="unknown option 'colour'"):
        parse_options("colour=red", Options(), ";")


def test_a_header_names_a_scenario() -> None:
    assert from_header("cut; after=2").options.after == 2
    with pytest.raises(ValueError, match="unknown scenario 'x'"):
        from_header("x")


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_answers_with_and_without_tools(name: str) -> None:
    for offers in ((), (BASH,), (WEATHER,)):
        turn = compose(Play(SCENARIOS[name], SCENARIOS[name].options), view(offers=offers))
        assert turn.parts or name in ("empty", "given-up")
        assert (turn.finish == "tool") == bool(calls(turn))
