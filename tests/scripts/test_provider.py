"""`llmgate provider …` as a person uses it; what `test` finds out is what the gateway routes by (R7, R22, C15)."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from config import loader
from config.capabilities import FILE, MAX_FINDINGS, Finding, by_place, dump_findings, read_findings
from scripts.fake import DEFAULT_KEY, FakeProvider
from scripts.llmgate.__main__ import app
from scripts.llmgate.probing import means_no
from tests.support.gateway import Gateway
from tests.support.issuer import issuing
from tests.support.providers import provider
from translators.errors import ErrorKind, GatewayError

KEY = "gsk_0123456789abcdef"
CONFIG = "# mine\nproviders:\n  # the first\n  a: {preset: openai, api_key: env:OPENAI}   # why\n"


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LLMGATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("LLMGATE_CONFIG", raising=False)


def run(*words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, ["provider", *words], input=typed)


def test_c15_a_key_names_its_provider_and_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "llmgate.yaml").write_text(CONFIG)
    done = run("add", "-", typed=KEY + "\n")
    assert done.exit_code == 0, done.output
    assert "`gsk_…` is a Groq key" in done.stderr
    kept = tmp_path / "state" / "credentials" / "groq.key"
    text = (tmp_path / "llmgate.yaml").read_text()
    assert text == f'{CONFIG}  groq: {{preset: groq, api_key: "file:{kept}"}}\n' or text == (
        f"{CONFIG}  groq: {{preset: groq, api_key: file:{kept}}}\n"
    )
    assert kept.read_text().strip() == KEY
    for file in (kept, tmp_path / "llmgate.yaml"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert KEY not in done.output + done.stderr + text
    shown = run("list")
    assert "groq" in shown.output
    assert KEY not in shown.output


@pytest.mark.parametrize(
    ("words", "entry"),
    [
        pytest.param(("env:GROQ",), {"preset": "groq", "api_key": "env:GROQ"}, id="a reference stays one"),
        pytest.param(
            ("env:HUB",),
            {"preset": "github-copilot", "credential": {"type": "github_copilot", "token": "env:HUB"}},
            id="a GitHub token is exchanged",
        ),
        pytest.param(
            ("--preset", "vertex-anthropic", "--project", "p", "--region", "eu"),
            {
                "preset": "vertex-anthropic", "project": "p", "region": "eu",
                "credential": {"type": "google_default"},
            },
            id="Google Cloud without a key: whoever is logged in",
        ),
        pytest.param(
            ("file:sa.json", "--preset", "vertex-gemini", "--project", "p"),
            {
                "preset": "vertex-gemini", "project": "p",
                "credential": {"type": "google_service_account", "json": "file:sa.json"},
            },
            id="Google Cloud with a service account",
        ),
        pytest.param(("--preset", "ollama"), {"preset": "ollama"}, id="a server that wants no key"),
        pytest.param(
            ("env:GROQ", "--preset", "openai", "--name", "mine"),
            {"preset": "openai", "api_key": "env:GROQ"},
            id="whoever says so decides",
        ),
        pytest.param(
            ("--no-key", "--base-url", "http://127.0.0.1:1/v1", "--protocol", "anthropic"),
            {"preset": "custom", "base_url": "http://127.0.0.1:1/v1", "protocol": "anthropic"},
            id="any other server",
        ),
    ],
)  # fmt: skip
def test_adding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], entry: dict[str, Any]
) -> None:
    monkeypatch.setenv("GROQ", KEY)
    monkeypatch.setenv("HUB", "gho_abc")
    done = run("add", *words)
    assert done.exit_code == 0, done.stderr
    user_file = tmp_path / ".config" / "llmgate" / "config.yaml"
    assert list(yaml.safe_load(user_file.read_text())["providers"].values()) == [entry]


@pytest.mark.parametrize(
    ("words", "typed", "message"),
    [
        pytest.param(("something",), None, "looks like no known provider", id="a key of nobody"),
        pytest.param(("sk-ant-x", "--name", "a"), None, "providers.a is there already", id="a name that is taken"),
        pytest.param(("k", "--preset", "azure-openai"), None, "`resource`, which the base URL needs", id="a place is missing"),
        pytest.param(("k", "--preset", "nobody"), None, "unknown preset nobody", id="no such preset"),
        pytest.param(("-",), "\n", "the key is empty", id="an empty key"),
        pytest.param(("env:UNSET",), None, "is not set", id="a variable that is not set"),
        pytest.param((), None, "no key given", id="no key and nobody to ask"),
        pytest.param(("--no-key",), None, "say whose it is: --preset", id="nothing to go by"),
        pytest.param(("sk-ant-x", "--name", "a b"), None, "is no name for a provider", id="a bad name"),
    ],
)  # fmt: skip
def test_a_mistake_changes_nothing(
    tmp_path: Path, words: tuple[str, ...], typed: str | None, message: str
) -> None:
    (tmp_path / "llmgate.yaml").write_text(CONFIG)
    done = run("add", *words, typed=typed)
    assert done.exit_code == 1
    assert message in done.stderr
    assert (tmp_path / "llmgate.yaml").read_text() == CONFIG
    assert not (tmp_path / "state").exists()


def test_an_uncertain_guess_says_what_else_it_could_be() -> None:
    done = run("add", "sk-" + "aB3" * 16)
    assert "not certain: it could be moonshot, openai too" in done.stderr


def test_removing_takes_the_stored_key_along_but_nothing_that_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "llmgate.yaml"
    file.write_text(CONFIG)
    run("add", KEY)
    assert run("remove", "groq").exit_code == 0
    assert file.read_text() == CONFIG
    assert not (tmp_path / "state" / "credentials" / "groq.key").exists()
    file.write_text(CONFIG + "models: {x: a/m}\n")
    done = run("remove", "a")
    assert done.exit_code == 1
    assert "models.x" in done.stderr
    assert "a: {preset: openai" in file.read_text()
    assert "providers.zz is not there" in run("remove", "zz").stderr


def test_old_mistakes_do_not_stand_in_the_way(tmp_path: Path) -> None:
    file = tmp_path / "llmgate.yaml"
    text = CONFIG.replace("\n", "\r\n") + "models: {x: nobody/m}\r\n"
    file.write_bytes(text.encode())
    assert run("add", "env:GROQ", "--preset", "groq").exit_code == 0
    assert b"  groq: {preset: groq, api_key: env:GROQ}\r\n" in file.read_bytes()
    assert run("remove", "groq").exit_code == 0
    assert file.read_bytes() == text.encode()


def words(shown: str) -> str:
    return " ".join(word for word in shown.split() if word != "│")


def test_the_presets_can_be_listed() -> None:
    shown = run("list", "--presets").output
    assert "deepseek" in shown
    assert "DEEPSEEK_API_KEY" in shown
    assert "model openrouter/auto; key OPENROUTER_API_KEY" in words(shown)
    assert "llama.cpp server: it serves the models that you load, so name them" in words(shown)
    assert "no providers" in run("list").output


# -- test


def write(
    tmp_path: Path, fake: FakeProvider, protocol: str = "openai_chat", **more: Any
) -> dict[str, Any]:
    config = {
        "providers": {"up": provider(fake, protocol, **more)},
        "models": {"see": "up/m"},
    }
    (tmp_path / "llmgate.yaml").write_text(yaml.safe_dump(config))
    return config


@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses", "anthropic", "gemini"])
def test_r22_every_protocol_is_probed_with_four_requests(
    tmp_path: Path, fake: FakeProvider, protocol: str
) -> None:
    write(tmp_path, fake, protocol)
    done = run("test", "up")
    assert done.exit_code == 0, done.stderr
    assert [(one.status, one.reason) for one in fake.record] == [(200, "")] * 4
    [found] = read_findings(tmp_path / "state" / FILE)
    assert (found.provider, found.protocol, found.model) == ("up", protocol, "m")
    assert (found.text, found.stream, found.images) == (True, True, True)
    assert stat.S_IMODE((tmp_path / "state" / FILE).stat().st_mode) == 0o600
    assert DEFAULT_KEY not in done.output + done.stderr
    assert "m" in run("list").output


def test_r22_a_provider_with_a_credential_is_asked_with_its_token(
    tmp_path: Path, fake: FakeProvider
) -> None:
    with issuing(DEFAULT_KEY) as issuer:
        file = tmp_path / "sa.json"
        file.write_text(json.dumps(issuer.service_account()))
        file.chmod(0o600)
        entry = provider(fake, "openai_chat")
        entry["credential"] = {"type": "google_service_account", "file": str(file)}
        del entry["api_key"]
        config = {"providers": {"up": entry}, "models": {"see": "up/m"}}
        (tmp_path / "llmgate.yaml").write_text(yaml.safe_dump(config))
        assert run("test", "up").exit_code == 0
    assert {one.header("authorization") for one in fake.record} == {f"Bearer {DEFAULT_KEY}"}


def test_r22_a_called_tool_is_found_out(tmp_path: Path, fake: FakeProvider) -> None:
    write(tmp_path, fake)
    fake.play("tool")
    run("test", "up")
    [found] = read_findings(tmp_path / "state" / FILE)
    assert found.tools is True


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(400, (False, None), id="a refused text says so, and nothing else is asked"),
        pytest.param(429, (None, None), id="a rate limit says nothing"),
        pytest.param(503, (None, None), id="an outage says nothing"),
        pytest.param(401, (None, None), id="a bad key says nothing about the model"),
    ],
)
def test_r22_what_a_failure_means(
    tmp_path: Path, fake: FakeProvider, status: int, expected: tuple[bool | None, bool | None]
) -> None:
    write(tmp_path, fake)
    fake.play("text", failure="status", status=status)
    done = run("test", "up")
    assert done.exit_code == 1
    [found] = read_findings(tmp_path / "state" / FILE)
    assert (found.text, found.images) == expected
    assert len(fake.record) == 1


@pytest.mark.parametrize(
    ("name", "kind", "message", "no"),
    [
        pytest.param("images", "invalid_request", "image_url is not supported", True, id="no pictures"),
        pytest.param("images", "invalid_request", "The image's width must be over 10", False, id="not so small ones"),
        pytest.param("images", "untranslatable", "the protocol has no pictures", True, id="no word for them"),
        pytest.param("tools", "invalid_request", "tools: small models have none", True, id="no tools"),
        pytest.param("tools", "timeout", "late", False, id="an outage"),
        pytest.param("text", "untranslatable", "x", False, id="our own trouble with a text"),
    ],
)  # fmt: skip
def test_r22_what_a_refusal_means(name: str, kind: str, message: str, no: bool) -> None:
    assert means_no(name, GatewayError(ErrorKind(kind), message)) is no


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(
            ("nobody",), "no enabled provider nobody; known: other, up", id="no such provider"
        ),
        pytest.param(("idle",), "no enabled provider idle", id="a disabled one"),
        pytest.param(("other",), "name one with --model", id="no usual model"),
    ],
)
def test_what_cannot_be_tested_says_why(
    tmp_path: Path, fake: FakeProvider, words: tuple[str, ...], message: str
) -> None:
    config = {
        "providers": {
            "up": provider(fake, "openai_chat"),
            "other": provider(fake, "openai_chat"),
            "idle": provider(fake, "openai_chat", enabled=False),
        },
        "models": {"see": "up/m"},
    }
    (tmp_path / "llmgate.yaml").write_text(yaml.safe_dump(config))
    done = run("test", *words)
    assert done.exit_code == 1
    assert message in done.stderr


# -- what comes of it


def found(fake: FakeProvider, name: str, model: str, **facts: Any) -> Finding:
    return Finding(
        provider=name, base_url=f"{fake.base_url}/v1", protocol="openai_chat", model=model,
        text=True, at=1.0, **facts,
    )  # fmt: skip


def test_r7_pictures_go_where_they_are_seen_as_a_probe_found_out(
    tmp_path: Path, fake: FakeProvider
) -> None:
    state = tmp_path / "gateway"
    state.mkdir()
    (state / FILE).write_text(dump_findings([found(fake, "blind", "m", images=False)]))
    providers = {
        "blind": provider(fake, "openai_chat", models={"m": {"name": "blind-m"}}),
        "seeing": provider(fake, "openai_chat", models={"m": {"name": "seeing-m"}}),
    }
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    with Gateway(
        {"providers": providers, "models": {"x": ["blind/m", "seeing/m"]}}, state=state
    ) as gate:

        def who(content: Any) -> str:
            body = {"model": "x", "messages": [{"role": "user", "content": content}]}
            status, headers, _body = gate.post("/v1/chat/completions", json.dumps(body).encode())
            assert status == 200
            return headers["x-llmgate-model"]

        picture = [{"type": "text", "text": "What?"}, image]
        assert (who("Hello"), who(picture)) == ("blind/m", "seeing/m")
        # A test of a running gateway's provider is taken up without a restart.
        (state / FILE).write_text(dump_findings([found(fake, "blind", "m", images=True)]))
        deadline = time.monotonic() + 20
        while who(picture) != "blind/m":
            assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("entry", "images", "sees"),
    [
        pytest.param("", None, True, id="nothing found out: as preset and defaults say"),
        pytest.param("", False, False, id="a probe knows better than defaults"),
        pytest.param(", profile: {image_types: [image/png]}", False, True, id="what the entry says stands"),
        pytest.param(", models: {m: {profile: {image_types: []}}}", True, False, id="also for one model"),
    ],
)  # fmt: skip
def test_r7_a_finding_and_what_is_configured(entry: str, images: bool | None, sees: bool) -> None:
    url = "http://127.0.0.1:1/v1"
    config = loader.loads(
        f"providers: {{up: {{protocol: openai_chat, base_url: '{url}', api_key: k{entry}}}}}"
    )
    finding = Finding(provider="up", base_url=url, protocol="openai_chat", model="m", images=images)
    config = config.with_findings(by_place([finding]))
    assert bool(config.resolve_profile("up", "m").image_types) is sees
    assert bool(config.resolve_profile("up", "other").image_types) or "profile" in entry


def test_findings_are_bounded_and_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    many = [
        Finding(provider="p", base_url="u", protocol="gemini", model=f"m{number}", at=float(number))
        for number in range(MAX_FINDINGS + 5)
    ]
    file = tmp_path / "x.json"
    file.write_text(dump_findings([*many, many[-1]]))
    kept = read_findings(file)
    assert len(kept) == MAX_FINDINGS
    assert kept[0] == many[-1]
    for text in ("", "{}", "[1, {}, null]", '[{"provider": 1}]', "[" * 9000):
        file.write_text(text)
        assert read_findings(file) == []
    assert read_findings(tmp_path / "none") == []
