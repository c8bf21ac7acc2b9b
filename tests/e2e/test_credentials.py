"""Credentials that are no plain keys, end to end: tokens are got, kept, renewed, and never seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts.fake import DEFAULT_KEY, FakeProvider
from tests.support.gateway import Gateway
from tests.support.issuer import CLIENT_ID, CLIENT_SECRET, GITHUB_TOKEN, Issuer, issuing

CHAT = {"model": "up/m", "messages": [{"role": "user", "content": "Hello"}]}
OAUTH = {"type": "oauth", "client_id": CLIENT_ID}


@contextmanager
def gateway_with(
    fake: FakeProvider, credential: dict[str, Any], state: Path | None = None, **more: Any
) -> Iterator[Gateway]:
    """A gateway whose provider `up` has this credential."""
    up = {"protocol": "openai_chat", "base_url": f"{fake.base_url}/v1", "credential": credential}
    with Gateway({"providers": {"up": up}, **more}, state=state) as gate:
        yield gate


def ask(gate: Gateway, model: str = "up/m") -> tuple[int, dict[str, Any]]:
    status, _headers, body = gate.post(
        "/v1/chat/completions", json.dumps(CHAT | {"model": model}).encode()
    )
    return status, json.loads(body)


def file_of(issuer: Issuer, folder: Path, **more: str) -> dict[str, str]:
    file = folder / "sa.json"
    file.write_text(json.dumps(issuer.service_account() | more))
    file.chmod(0o600)
    return {"file": str(file)}


def credential_of(kind: str, issuer: Issuer, folder: Path) -> dict[str, Any]:
    """One credential of each kind that the issuer honours."""
    return {
        "service_account": lambda: {"type": "google_service_account", **file_of(issuer, folder)},
        "inline": lambda: {
            "type": "google_service_account", "json": json.dumps(issuer.service_account())
        },
        "default": lambda: {"type": "google_default", **file_of(issuer, folder)},
        "client": lambda: OAUTH | {"token_url": f"{issuer.url}/token", "client_secret": CLIENT_SECRET},
        "refresh": lambda: OAUTH | {"token_url": f"{issuer.url}/token", "refresh_token": "refresh-1"},
        "entra": lambda: {
            "type": "azure_entra", "tenant": "t", "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET, "token_url": f"{issuer.url}/{{tenant}}/token",
        },
        "copilot": lambda: {"type": "github_copilot", "token": GITHUB_TOKEN, "api_base": issuer.url},
    }[kind]()  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        pytest.param("service_account", {}, id="C3: a Google service account's key file"),
        pytest.param("inline", {}, id="the same key from the configuration"),
        pytest.param("default", {}, id="Google's application default credentials"),
        pytest.param("client", {"grant_type": "client_credentials"}, id="OAuth client credentials"),
        pytest.param("refresh", {"grant_type": "refresh_token"}, id="an OAuth refresh token"),
        pytest.param(
            "entra", {"scope": "https://cognitiveservices.azure.com/.default"}, id="Microsoft Entra"
        ),
        pytest.param("copilot", {}, id="C4: GitHub's exchange for Copilot"),
    ],
)
def test_a_credential_becomes_a_token_once_and_nobody_sees_it(
    fake: FakeProvider, tmp_path: Path, kind: str, said: dict[str, str]
) -> None:
    with issuing(DEFAULT_KEY) as issuer:
        with gateway_with(fake, credential_of(kind, issuer, tmp_path)) as gate:
            answers = [ask(gate)[0] for _ in range(3)]
            log = gate.log
        assert answers == [200, 200, 200]
        assert len(issuer.asked) == 1
        assert said.items() <= issuer.asked[0].items()
        assert [one.header("authorization") for one in fake.record] == [f"Bearer {DEFAULT_KEY}"] * 3
        for secret in (DEFAULT_KEY, CLIENT_SECRET, GITHUB_TOKEN, "PRIVATE KEY"):
            assert secret not in log


def test_a_refused_token_is_replaced_once_and_the_client_notices_nothing(
    fake: FakeProvider,
) -> None:
    with issuing("revoked", DEFAULT_KEY) as issuer:
        credential = OAUTH | {"token_url": f"{issuer.url}/token", "client_secret": CLIENT_SECRET}
        with gateway_with(fake, credential) as gate:
            assert ask(gate)[0] == 200
        assert len(issuer.asked) == 2
    assert [one.status for one in fake.record] == [401, 200]


def test_a_token_that_is_refused_anew_rests_like_a_key(fake: FakeProvider) -> None:
    with issuing("revoked", "revoked too") as issuer:
        credential = OAUTH | {"token_url": f"{issuer.url}/token", "client_secret": CLIENT_SECRET}
        with gateway_with(fake, credential) as gate:
            first, second = ask(gate), ask(gate)
    assert first[0] == 502
    assert "refused the gateway's own credential" in first[1]["error"]["message"]
    assert second[0] == 429
    assert [one.status for one in fake.record] == [401, 401]


def test_a_new_refresh_token_outlives_the_process(fake: FakeProvider, tmp_path: Path) -> None:
    with issuing(DEFAULT_KEY) as issuer:
        issuer.next_refresh_token = "refresh-2"
        credential = OAUTH | {"token_url": f"{issuer.url}/token", "refresh_token": "refresh-1"}
        for _ in range(2):
            with gateway_with(fake, credential, state=tmp_path) as gate:
                assert ask(gate)[0] == 200
        assert [form["refresh_token"] for form in issuer.asked] == ["refresh-1", "refresh-2"]
    kept = tmp_path / "credentials" / "up.json"
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("refuse", "status", "message"),
    [
        pytest.param(
            (400, {"error": "invalid_grant", "error_description": "expired"}), 502,
            "the provider up refused the gateway's own credential",
            id="a login that is over",
        ),
        pytest.param((503, {}), 500, "the issuer of tokens answered 503", id="an issuer that is down"),
        pytest.param(
            (302, {}), 502, "the provider up refused the gateway's own credential",
            id="a redirect, which is not followed",
        ),
        pytest.param(
            (200, {"token_type": "Bearer"}), 502, "the issuer's answer has no `access_token`",
            id="an answer without a token",
        ),
    ],
)  # fmt: skip
def test_an_issuer_that_refuses_is_an_error_that_moves_on(
    fake: FakeProvider, refuse: tuple[int, dict[str, Any]], status: int, message: str
) -> None:
    with issuing(DEFAULT_KEY) as issuer:
        issuer.refuse = refuse
        credential = OAUTH | {"token_url": f"{issuer.url}/token", "client_secret": CLIENT_SECRET}
        spare = {
            "protocol": "openai_chat",
            "base_url": f"{fake.base_url}/v1",
            "api_key": DEFAULT_KEY,
        }
        up = {
            "protocol": "openai_chat",
            "base_url": f"{fake.base_url}/v1",
            "credential": credential,
        }
        config = {
            "providers": {"up": up, "spare": spare},
            "models": {"both": ["up/m", "spare/m"]},
            "cooldowns": {"enabled": False},
        }
        with Gateway(config) as gate:
            alone, both = ask(gate), ask(gate, "both")
    assert alone[0] == status
    assert message in alone[1]["error"]["message"]
    assert both[0] == 200
    assert len(fake.record) == 1


@pytest.mark.parametrize("kind", ["service_account", "client", "copilot"])
def test_an_issuer_that_cannot_be_reached_is_an_outage(
    fake: FakeProvider, tmp_path: Path, kind: str
) -> None:
    with issuing(DEFAULT_KEY) as issuer:
        credential = credential_of(kind, issuer, tmp_path)
    with gateway_with(fake, credential) as gate:
        status, body = ask(gate)
    assert status == 502
    assert "no answer from" in body["error"]["message"]
    assert not fake.record


def test_a_key_of_the_wrong_kind_is_told_to_the_operator_only(
    fake: FakeProvider, tmp_path: Path
) -> None:
    with issuing(DEFAULT_KEY) as issuer:
        credential = {
            "type": "google_service_account", **file_of(issuer, tmp_path, type="authorized_user")
        }  # fmt: skip
        with gateway_with(fake, credential) as gate:
            status, body = ask(gate)
            log = gate.log
    assert status == 500
    assert str(tmp_path) not in json.dumps(body)
    assert 'is not "service_account"' in log
    assert "PRIVATE KEY" not in log
