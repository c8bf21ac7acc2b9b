"""Users' scripts in a real mitmdump: the llm_* hooks, between equal and between different protocols."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.fake import FakeProvider
from tests.support.conversation import QUESTION, Talk, events
from tests.support.gateway import Gateway
from tests.support.providers import PROVIDERS, four_providers

SCRIPT = """
import asyncio
import json
import pathlib
from dataclasses import replace

from translators import ir
from translators.errors import ErrorKind, GatewayError

HERE = pathlib.Path(__file__).parent
DOING = {"text": ""}


def wish(exchange):
    return exchange.headers.get("x-wish", "")


async def llm_request(exchange):
    await asyncio.sleep(0)
    match wish(exchange):
        case "edit":
            rule = ir.Message(role=ir.Role.SYSTEM, parts=(ir.Text(text="SAID-BY-THE-SCRIPT"),))
            exchange.request = replace(
                exchange.request, messages=(rule, *exchange.request.messages)
            )
        case "look":
            assert exchange.request.messages
        case "route":
            exchange.use = "claude/fake-text"
        case "lost":
            exchange.use = "nowhere/at-all"
        case "reply":
            exchange.reply("an answer of the script")
        case "refuse":
            raise GatewayError(ErrorKind.PERMISSION, "refused by the script")
        case "bug":
            raise ZeroDivisionError("planted in llm_request")
        case "hub" | "shout" | "drop" | "double" | "behead" | "early":
            exchange.use_hub()
        case "rename":
            exchange.request = replace(exchange.request, model="other")


def llm_attempt(attempt):
    attempt.request.headers["x-attempt"] = str(attempt.number)


def llm_event(exchange, event):
    match wish(exchange), event:
        case ("shout" | "shout-passing"), ir.PartDelta():
            return ir.PartDelta(event.index, event.text.upper())
        case "drop", ir.PartDelta():
            return []
        case "double", ir.PartDelta():
            return [event, event]
        case "behead", ir.Finish():
            return []
        case "early", ir.PartEnd():
            return [event, ir.Finish(reason=ir.FinishReason.LENGTH)]
        case ("event-bug" | "event-bug-passing"), ir.PartEnd():
            raise ZeroDivisionError("planted in llm_event")
        case "event-refuse", ir.PartEnd():
            raise GatewayError(ErrorKind.UPSTREAM_REJECTED, "cut by the script")


async def llm_response(exchange):
    await asyncio.sleep(0)
    text = "".join(part.text for part in exchange.answer.parts if isinstance(part, ir.Text))
    match wish(exchange):
        case "answer":
            parts = (ir.Text(text="REWRITTEN: " + text),)
            exchange.answer = replace(exchange.answer, parts=parts)
        case "answer-bug":
            raise ZeroDivisionError("planted in llm_response")
        case "answer-refuse":
            raise GatewayError(ErrorKind.PERMISSION, "kept back by the script")
    with (HERE / "answers").open("a") as file:
        file.write(json.dumps([exchange.id, text]) + "\\n")


async def llm_done(record):
    with (HERE / "records").open("a") as file:
        file.write(json.dumps(record, default=str) + "\\n")
    assert record["model"] != "chat/fake-bug-at-the-end"
"""
CLIENTS = tuple(PROVIDERS.values())
SAME = {protocol: name for name, protocol in PROVIDERS.items()}
"""The provider that speaks a client's own protocol."""


@pytest.fixture(scope="module")
def scripted(
    shared_fake: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway with a script that does what the header `x-wish` says."""
    script = tmp_path_factory.mktemp("script") / "my_script.py"
    script.write_text(SCRIPT)
    with Gateway(four_providers(shared_fake), scripts=(script,), expect_crash=True) as gateway:
        yield gateway


def ask(
    gateway: Gateway, client: str, model: str, wish: str, *, stream: bool = False
) -> tuple[int, dict[str, str], bytes]:
    """One request of a client with a wish."""
    talk = Talk.begin(client, model, stream=stream)
    return talk.post(gateway, {"x-wish": wish})


def text_of(client: str, answer: bytes, *, stream: bool = False) -> str:
    """What the client reads."""
    talk = Talk.begin(client, "m", stream=stream)
    talk.take(answer)
    return talk.text


def lines(gateway: Gateway, name: str) -> list[Any]:
    """What the script has written."""
    file = gateway.scripts[0].with_name(name)
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


PAIRS = pytest.mark.parametrize("provider", ["chat", "claude"])
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@BOTH
@PAIRS
@pytest.mark.parametrize("client", CLIENTS)
def test_an_edited_request_goes_upstream(
    scripted: Gateway, fake: FakeProvider, client: str, provider: str, stream: bool
) -> None:
    status, _headers, answer = ask(scripted, client, f"{provider}/fake-text", "edit", stream=stream)
    assert status == 200, answer
    assert text_of(client, answer, stream=stream)
    (sent,) = fake.record
    assert b"SAID-BY-THE-SCRIPT" in sent.raw
    assert QUESTION.encode() in sent.raw
    assert sent.header("x-attempt") == "1"


@pytest.mark.parametrize("client", CLIENTS)
def test_looking_changes_no_byte_of_what_passes(
    scripted: Gateway, gateway: Gateway, fake: FakeProvider, client: str
) -> None:
    model = f"{SAME[client]}/fake-text"
    for one, wish in ((gateway, ""), (scripted, "look")):
        status, _headers, _answer = ask(one, client, model, wish)
        assert status == 200
    plain, seen = fake.record
    assert plain.raw == seen.raw


@pytest.mark.parametrize("client", CLIENTS)
def test_a_chosen_model_is_used_and_the_client_sees_its_own_name(
    scripted: Gateway, fake: FakeProvider, client: str
) -> None:
    status, headers, answer = ask(scripted, client, "gemini/asked", "route")
    assert (status, headers["x-llmgate-model"]) == (200, "claude/fake-text"), answer
    assert b"gemini/asked" in answer or client == "gemini"


def test_a_choice_that_leads_nowhere_is_an_error(scripted: Gateway, fake: FakeProvider) -> None:
    status, _headers, answer = ask(scripted, "anthropic", "chat/fake-text", "lost")
    assert status == 500
    assert b"nowhere/at-all" in answer
    assert not list(fake.record)


@BOTH
@pytest.mark.parametrize("client", CLIENTS)
def test_a_reply_needs_no_provider(
    scripted: Gateway, fake: FakeProvider, client: str, stream: bool
) -> None:
    status, headers, answer = ask(scripted, client, "chat/fake-text", "reply", stream=stream)
    assert status == 200
    assert ("event-stream" in headers["content-type"]) is stream
    assert text_of(client, answer, stream=stream) == "an answer of the script"
    assert not list(fake.record)


@BOTH
@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        pytest.param("refuse", 403, id="a refusal keeps its kind"),
        pytest.param("bug", 500, id="a bug is a 500"),
        pytest.param("rename", 500, id="the model cannot be changed behind the router's back"),
    ],
)
@pytest.mark.parametrize("client", CLIENTS)
def test_what_llm_request_raises_ends_the_request(
    scripted: Gateway, fake: FakeProvider, client: str, wish: str, expected: int, stream: bool
) -> None:
    status, _headers, answer = ask(scripted, client, "chat/fake-text", wish, stream=stream)
    assert status == expected
    assert "message" in json.loads(answer)["error"]
    assert b"planted" not in answer
    assert not list(fake.record)


@PAIRS
@pytest.mark.parametrize("client", CLIENTS)
def test_events_are_replaced_dropped_and_doubled(
    scripted: Gateway, fake: FakeProvider, client: str, provider: str
) -> None:
    def said(wish: str) -> str:
        status, _headers, answer = ask(scripted, client, f"{provider}/fake-text", wish, stream=True)
        assert status == 200, answer
        return text_of(client, answer, stream=True)

    plain = said("hub")
    assert plain
    assert said("shout") == plain.upper() != plain
    assert said("drop") == ""
    assert len(said("double")) == 2 * len(plain)


def test_a_script_may_end_a_stream(scripted: Gateway, fake: FakeProvider) -> None:
    status, _headers, answer = ask(scripted, "anthropic", "chat/fake-text", "early", stream=True)
    assert status == 200
    kinds = [event["type"] for event in events(answer)]
    assert kinds[-1] == "message_stop"
    (delta,) = (event for event in events(answer) if event["type"] == "message_delta")
    assert delta["delta"]["stop_reason"] == "max_tokens"


FAILED = {
    "openai_chat": b'data: {"error":',
    "openai_responses": b"event: response.failed",
    "anthropic": b"event: error",
    "gemini": b'data: {"error":',
}


@pytest.mark.parametrize(
    ("wish", "native"),
    [
        pytest.param("event-bug", False, id="a bug, translated"),
        pytest.param("event-bug-passing", True, id="a bug, passing"),
        pytest.param("event-refuse", True, id="a refusal, passing"),
        pytest.param("event-refuse", False, id="a refusal, translated"),
        pytest.param("behead", False, id="the end taken away"),
        pytest.param("shout-passing", True, id="a change of what passes"),
    ],
)
@pytest.mark.parametrize("client", CLIENTS)
def test_what_llm_event_raises_ends_the_stream_in_an_error(
    scripted: Gateway, fake: FakeProvider, client: str, wish: str, native: bool
) -> None:
    others = [name for name, protocol in PROVIDERS.items() if protocol != client]
    provider = SAME[client] if native else others[0]
    status, _headers, answer = ask(scripted, client, f"{provider}/fake-text", wish, stream=True)
    assert status == 200
    assert answer.count(FAILED[client]) == 1, answer
    assert b"planted" not in answer
    assert (b"cut by the script" in answer) is (wish == "event-refuse")
    assert b"[DONE]" not in answer.partition(FAILED[client])[0]


@BOTH
@PAIRS
@pytest.mark.parametrize("client", CLIENTS)
def test_llm_response_has_the_whole_answer(
    scripted: Gateway, fake: FakeProvider, client: str, provider: str, stream: bool
) -> None:
    status, headers, answer = ask(scripted, client, f"{provider}/fake-text", "", stream=stream)
    assert status == 200
    assert [
        headers["x-llmgate-request-id"],
        text_of(client, answer, stream=stream),
    ] in lines(scripted, "answers")


@PAIRS
@pytest.mark.parametrize("client", CLIENTS)
def test_a_whole_answer_is_replaced(
    scripted: Gateway, fake: FakeProvider, client: str, provider: str
) -> None:
    status, _headers, answer = ask(scripted, client, f"{provider}/fake-text", "answer")
    assert status == 200, answer
    assert text_of(client, answer).startswith("REWRITTEN: ")


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        pytest.param("answer-bug", 500, id="a bug"),
        pytest.param("answer-refuse", 403, id="a refusal"),
    ],
)
@PAIRS
@pytest.mark.parametrize("client", CLIENTS)
def test_what_llm_response_raises_keeps_a_whole_answer_back(
    scripted: Gateway, fake: FakeProvider, client: str, provider: str, wish: str, expected: int
) -> None:
    status, _headers, answer = ask(scripted, client, f"{provider}/fake-text", wish)
    assert status == expected, answer
    assert "message" in json.loads(answer)["error"]


def test_a_replaced_answer_is_the_one_that_is_stored(scripted: Gateway, fake: FakeProvider) -> None:
    talk = Talk.begin("openai_responses", "chat/fake-text", stream=False)
    talk.body["store"] = True
    _status, _headers, answer = talk.post(scripted, {"x-wish": "answer"})
    path = f"/v1/responses/{json.loads(answer)['id']}"
    key = {"authorization": f"Bearer {scripted.key}"}
    status, _headers, kept = scripted.request("GET", path, headers=key)
    assert status == 200
    assert b"REWRITTEN: " in kept


def test_an_edit_keeps_the_earlier_turns_of_a_stored_conversation(
    scripted: Gateway, fake: FakeProvider
) -> None:
    talk = Talk.begin("openai_responses", "chat/fake-text", stream=False)
    talk.body["store"] = True
    first = json.loads(talk.post(scripted)[2])
    talk.body |= {"previous_response_id": first["id"], "input": "And tomorrow?"}
    status, _headers, answer = talk.post(scripted, {"x-wish": "edit"})
    assert status == 200, answer
    sent = list(fake.record)[-1].raw
    for words in (b"SAID-BY-THE-SCRIPT", QUESTION.encode(), b"And tomorrow?"):
        assert words in sent


def test_the_record_comes_without_words_and_keys(scripted: Gateway, fake: FakeProvider) -> None:
    status, headers, _answer = ask(scripted, "anthropic", "chat/fake-text", "")
    assert status == 200
    wanted = headers["x-llmgate-request-id"]
    ask(scripted, "anthropic", "chat/fake-bug-at-the-end", "")  # its record comes after ours
    found = [one for one in lines(scripted, "records") if one["request_id"] == wanted]
    (record,) = found
    assert (record["provider"], record["status"], record["attempts"]) == ("chat", 200, 1)
    assert record["output_tokens"]
    shown = json.dumps(record)
    assert QUESTION not in shown
    assert scripted.key not in shown


def test_a_bug_in_llm_done_harms_nobody(scripted: Gateway, fake: FakeProvider) -> None:
    ask(scripted, "anthropic", "chat/fake-bug-at-the-end", "")
    status, _headers, _answer = ask(scripted, "anthropic", "chat/fake-text", "")
    assert status == 200
    assert "llm_done of a script failed" in scripted.log


def test_legacy_completions_are_seen_as_conversations(
    scripted: Gateway, fake: FakeProvider
) -> None:
    body = json.dumps({"model": "chat/fake-text", "prompt": "Once", "max_tokens": 5}).encode()
    for wish, found in (("reply", None), ("edit", b"SAID-BY-THE-SCRIPT")):
        status, _headers, answer = scripted.post("/v1/completions", body, {"x-wish": wish})
        assert status == 200, answer
        assert json.loads(answer)["object"] == "text_completion"
        if found is not None:
            assert found in next(iter(fake.record)).raw


# --- the examples of docs/scripting.md

DOCS = Path(__file__).resolve().parents[2] / "docs" / "scripting.md"


def examples() -> dict[str, str]:
    """The scripts of the page by their headings."""
    sections = DOCS.read_text().partition("## Examples")[2].split("### ")[1:]
    return {
        section.partition("\n")[0]: section.partition("```python\n")[2].partition("```")[0]
        for section in sections
    }


def run_example(name: str, fake: FakeProvider, folder: Path, **more: Any) -> Gateway:
    """A gateway with that example as its only script."""
    script = folder / "example.py"
    script.write_text(examples()[name])
    config = four_providers(fake, **more)
    config["providers"]["claude"]["models"] = {"cheap": {"name": "fake-text"}}
    return Gateway(config, scripts=(script,))


def test_every_example_is_tested() -> None:
    assert list(examples()) == [
        "Edit what is asked",
        "Choose where it goes",
        "Answer it, or refuse it",
        "Change a stream",
        "Read the answer",
        "Take the record",
        "Change what goes upstream",
    ]


def test_example_edit(fake: FakeProvider, tmp_path: Path) -> None:
    with run_example("Edit what is asked", fake, tmp_path) as gate:
        Talk.begin("anthropic", "claude/fake-text", stream=False).turn(gate)
    assert b"Answer in French." in next(iter(fake.record)).raw


def test_example_choose(fake: FakeProvider, tmp_path: Path) -> None:
    with run_example("Choose where it goes", fake, tmp_path) as gate:
        talk = Talk.begin("openai_chat", "chat/fake-text", stream=False)
        assert talk.post(gate)[1]["x-llmgate-model"] == "chat/fake-text"
        headers = talk.post(gate, {"x-team": "night-shift"})[1]
        assert headers["x-llmgate-model"] == "claude/cheap"


def test_example_answer(fake: FakeProvider, tmp_path: Path) -> None:
    with run_example("Answer it, or refuse it", fake, tmp_path) as gate:
        talk = Talk.begin("openai_chat", "ping", stream=True)
        talk.turn(gate)
        assert talk.text == "pong"
        assert Talk.begin("gemini", "quota", stream=False).post(gate)[0] == 403


def test_example_stream(fake: FakeProvider, tmp_path: Path) -> None:
    fake.play("text", text="Hello. Hello!")
    with run_example("Change a stream", fake, tmp_path) as gate:
        talk = Talk.begin("openai_chat", "chat/m", stream=True)
        talk.turn(gate)
    assert "Howdy" in talk.text


def test_example_read(fake: FakeProvider, tmp_path: Path) -> None:
    with run_example("Read the answer", fake, tmp_path) as gate:
        talk = Talk.begin("openai_chat", "chat/fake-text", stream=True)
        talk.turn(gate)
        assert f"answer of chat/fake-text: {len(talk.text)} characters" in gate.log


def test_example_record(fake: FakeProvider, tmp_path: Path) -> None:
    with run_example("Take the record", fake, tmp_path) as gate:
        Talk.begin("openai_chat", "chat/fake-text", stream=False).turn(gate)
        Talk.begin("openai_chat", "chat/fake-text", stream=False).turn(gate)
        records = map(json.loads, (gate.home / "records.jsonl").read_text().splitlines())
        assert "chat" in [
            record["provider"] for record in records
        ]  # the first of the two, at least


def test_example_attempts(fake: FakeProvider, tmp_path: Path) -> None:
    with run_example("Change what goes upstream", fake, tmp_path) as gate:
        Talk.begin("openai_chat", "chat/fake-text", stream=False).turn(gate)
        fake.play("text", failure="status", status=500, times=1)
        Talk.begin("openai_chat", "chat/fake-x", stream=False).post(gate)
        assert "HTTP 500" in gate.log
    assert next(iter(fake.record)).header("x-trace") == "attempt-1"
