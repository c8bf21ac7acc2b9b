"""Where requests go, over HTTP: other projects and models when a quota is used up, sessions, timeouts, pooled keys."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.fake import DEFAULT_KEY, FakeProvider
from tests.support.gateway import Gateway
from tests.support.providers import provider

VERSION = {"anthropic-version": "2023-06-01"}
LONG = "The first message of a session, long enough to recognise the session by it later on."


@pytest.fixture(scope="module")
def fakes() -> Iterator[list[FakeProvider]]:
    """Three providers of their own, which take any key."""
    with (
        FakeProvider.running(key="") as one,
        FakeProvider.running(key="") as two,
        FakeProvider.running(key="") as three,
    ):
        yield [one, two, three]


@pytest.fixture(scope="module")
def gate(fakes: list[FakeProvider]) -> Iterator[Gateway]:
    """One gateway for all of these tests."""
    one, two, three = fakes
    cloud = {"preset": "gemini", "api_key": DEFAULT_KEY}
    pooled = provider(one, "openai_chat")
    del pooled["api_key"]
    pooled["api_keys"] = [
        {"key": "key-one", "name": "one", "models": ["m*"], "headers": {"x-org": "first"}},
        {"key": "key-two", "name": "two", "prefix": "team", "exclude": "m-one"},
    ]
    config = {
        "providers": {
            "project-a": {**cloud, "base_url": f"{one.base_url}/v1beta"},
            "project-b": {
                **cloud,
                "base_url": f"{two.base_url}/v1beta",
                "models": {"gemini-2.5-pro": {"fallbacks": ["gemini-3-pro-preview"]}},
            },
            "first": provider(
                one, "openai_chat", models={"c": {"prices": {"input": 9, "output": 9}}}
            ),
            "second": provider(two, "anthropic"),
            "third": provider(three, "gemini", models={"c": {"prices": {"input": 1, "output": 1}}}),
            "pooled": pooled,
        },
        "models": {
            "pro": ["project-a/gemini-2.5-pro", "project-b/gemini-2.5-pro"],
            "any": ["first/m", "second/m", "third/m"],
            "turns": {"candidates": ["first/m", "third/m"], "strategy": "round_robin"},
            "claude-*haiku*": "first/small",
            "weighted": {
                "candidates": [{"target": "first/w", "weight": 3}, {"target": "third/w"}],
                "strategy": "weighted",
            },
            "cheapest": {"candidates": ["first/c", "third/c"], "strategy": "cheapest"},
            "filled": {"candidates": ["first/f", "third/f"], "strategy": "fill_first"},
            "quick": {"candidates": ["first/q", "third/q"], "strategy": "fastest"},
        },
        "timeouts": {"first_byte_s": 0.5, "idle_s": 0.5},
        "retry": {"backoff": {"first_s": 0.01, "max_s": 0.05}, "max_wait_s": 2},
    }
    with Gateway(config) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def fresh(fakes: list[FakeProvider], gate: Gateway) -> None:
    """Everyone answers, nothing rests."""
    for fake in fakes:
        fake.reset()
        fake.play("text")
    assert gate.request("POST", "/admin/reset", b"{}")[0] == 200


def say(
    gate: Gateway, model: str, content: Any = "Hi", *, stream: bool = False, **headers: str
) -> tuple[int, str, bytes]:
    """One Messages request: status, who answered, the body."""
    body = {
        "model": model,
        "max_tokens": 200,
        "stream": stream,
        "messages": [{"role": "user", "content": content}],
    }
    status, got, answer = gate.post("/v1/messages", json.dumps(body).encode(), VERSION | headers)
    return status, got.get("x-llmgate-model", ""), answer


def test_r15_a_used_up_quota_goes_on_in_the_next_project_then_with_the_preview_model(
    gate: Gateway, fakes: list[FakeProvider]
) -> None:
    one, two, _three = fakes
    quota = {"failure": "status", "status": 429, "times": 0}
    assert say(gate, "pro")[1] == "project-a/gemini-2.5-pro"
    one.play("text", **quota)
    assert say(gate, "pro")[1] == "project-b/gemini-2.5-pro"
    assert say(gate, "pro")[1] == "project-b/gemini-2.5-pro"
    assert len(one.record) == 2, "what is used up rests, and is not asked again"
    two.play("text", failure="status", status=429, times=1)
    assert say(gate, "pro")[1] == "project-b/gemini-3-pro-preview"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_r8_a_silent_provider_is_left_for_one_of_another_protocol(
    gate: Gateway, fakes: list[FakeProvider], stream: bool
) -> None:
    one, two, _three = fakes
    one.play("text", first_delay_ms=5000)
    two.play("text", first_delay_ms=5000)
    status, who, answer = say(gate, "any", stream=stream)
    assert status == 200, answer
    assert who == "third/m" or stream  # a stream's head may go out before anybody has answered
    assert b"message_stop" in answer if stream else json.loads(answer)["content"]
    assert b"event: error" not in answer
    rests = json.loads(gate.request("GET", "/admin/status")[2])["cooldowns"]
    assert [(rest["provider"], rest["kind"]) for rest in rests] == [
        ("first", "timeout"),
        ("second", "timeout"),
    ]


def test_r16_a_short_rest_is_waited_for_and_a_long_one_is_told(
    gate: Gateway, fakes: list[FakeProvider]
) -> None:
    one = fakes[0]
    one.play("text", failure="status", status=429, retry_after_s=1, times=1)
    assert say(gate, "first/m")[:2] == (200, "first/m")
    one.play("text", failure="status", status=429, retry_after_s=60, times=1)
    assert say(gate, "first/x")[0] == 429
    status, _who, answer = say(gate, "first/x")
    assert status == 429
    assert b"rests after failures for another" in answer


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param({"x-claude-code-session-id": "s1"}, {}, id="Claude Code's header"),
        pytest.param({"session_id": "s2"}, {}, id="Codex's header"),
        pytest.param({}, {"prompt_cache_key": "s3"}, id="Codex's cache key"),
        pytest.param({}, {"metadata": {"user_id": "user_x_session_s4"}}, id="the user id in the body"),
        pytest.param({}, {"messages": [{"role": "user", "content": LONG}]}, id="else the first message"),
    ],
)  # fmt: skip
def test_r18_a_session_stays_where_it_began_until_that_fails(
    gate: Gateway, fakes: list[FakeProvider], headers: dict[str, str], body: dict[str, Any]
) -> None:
    def places(times: int) -> list[str]:
        content = {"model": "turns", "messages": [{"role": "user", "content": "Hi"}], **body}
        return [
            gate.post("/v1/chat/completions", json.dumps(content).encode(), headers)[1][
                "x-llmgate-model"
            ]
            for _ in range(times)
        ]

    first = places(4)
    assert len(set(first)) == 1
    failing = fakes[0] if first[0] == "first/m" else fakes[2]
    failing.play("text", failure="status", status=503, times=0)
    moved = places(3)
    assert set(moved) == {"first/m", "third/m"} - set(first)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param("weighted", "first first third first first first third first", id="R6: by weight"),
        pytest.param("cheapest", "third third third", id="R5: by price"),
        pytest.param("filled", "first first first", id="R6: one until it fails"),
        pytest.param("quick", "first third third third", id="R5: each once, then the quickest"),
    ],
)  # fmt: skip
def test_strategies(gate: Gateway, fakes: list[FakeProvider], model: str, expected: str) -> None:
    if model == "quick":
        fakes[0].play("text", first_delay_ms=300)
    found = [say(gate, model)[1].partition("/")[0] for _ in expected.split()]
    assert found == expected.split()


def test_r14_c14_keys_of_a_pool_keep_to_their_models_prefixes_and_headers(
    gate: Gateway, fakes: list[FakeProvider]
) -> None:
    record = fakes[0].record
    for _ in range(2):
        assert say(gate, "pooled/m-one")[0] == 200
        assert say(gate, "team/m")[0] == 200
        assert say(gate, "pooled/other")[0] == 200
    keys = [(one.header("authorization"), one.header("x-org")) for one in record]
    assert (
        keys
        == [("Bearer key-one", "first"), ("Bearer key-two", None), ("Bearer key-two", None)] * 2
    )
    record.clear()
    for _ in range(4):
        say(gate, "pooled/m-two")
    used = [one.header("authorization") for one in record]
    assert sorted(used) == ["Bearer key-one"] * 2 + ["Bearer key-two"] * 2


def test_r11_a_refused_key_rests_and_the_other_one_answers(
    gate: Gateway, fakes: list[FakeProvider]
) -> None:
    fakes[0].play("text", failure="status", status=401, times=1)
    assert say(gate, "pooled/m-two")[0] == 200
    rests = json.loads(gate.request("GET", "/admin/status")[2])["cooldowns"]
    assert len({rest["key"] for rest in rests} & {"one", "two"}) == 1
    body = json.dumps({"provider": "pooled"}).encode()
    assert json.loads(gate.request("POST", "/admin/reset", body)[2]) == {"reset": 1}


def test_r1_names_that_clients_hard_wire_lead_where_the_pattern_says(
    gate: Gateway, fakes: list[FakeProvider]
) -> None:
    status, who, answer = say(gate, "claude-haiku-4-5-20251001")
    assert (status, who) == (200, "first/small")
    assert json.loads(answer)["model"] == "claude-haiku-4-5-20251001"


@pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="looks at child processes in /proc"
)
def test_a_secret_from_a_slow_command_keeps_nobody_waiting(
    fake: FakeProvider, tmp_path: Path
) -> None:
    gone = tmp_path / "go"
    script = tmp_path / "secret.sh"
    script.write_text(f"while [ ! -e {gone} ]; do sleep 0.05; done\necho fake-key\n")
    config: dict[str, Any] = {"providers": {"up": provider(fake, "openai_chat")}}
    with Gateway(config) as gate:
        config = yaml.safe_load(gate.config_file.read_text())
        slow = {**provider(fake, "openai_chat"), "api_key": f"cmd:sh {script}"}
        gate.write_config({**config, "providers": {**config["providers"], "slow": slow}})
        body = json.dumps(
            {"model": "up/m", "messages": [{"role": "user", "content": "Hi"}]}
        ).encode()
        deadline = time.monotonic() + 20
        while "sh" not in _children(gate) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert gate.post("/v1/chat/completions", body)[0] == 200
        gone.touch()
        while gate.post("/v1/chat/completions", body.replace(b"up/m", b"slow/m"))[0] != 200:
            assert time.monotonic() < deadline, gate.log


def _children(gate: Gateway) -> str:
    """The programs that the gateway has started."""
    tasks = Path(f"/proc/{gate.process.pid}/task")
    pids = " ".join((task / "children").read_text() for task in tasks.iterdir()).split()
    return " ".join(Path(f"/proc/{pid}/comm").read_text() for pid in pids)
