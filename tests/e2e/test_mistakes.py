"""What a user hears after the commonest mistakes: which thing is wrong, and what to do; never a traceback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.fake import FakeProvider
from tests.support.gateway import Gateway, free_port
from tests.support.providers import provider

TALK = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def mistaken(shared_fake: FakeProvider) -> Iterator[Gateway]:
    """A gateway whose providers are each wrong in another way."""
    right = provider(shared_fake, "openai_chat")
    providers = {
        "down": {**right, "base_url": f"http://127.0.0.1:{free_port()}/v1"},
        "nowhere": {**right, "base_url": "http://nowhere.invalid/v1"},
        "shortened": {**right, "base_url": shared_fake.base_url},
        "locked": {**right, "api_key": "sk-wrong"},
    }
    config = {
        "providers": providers,
        "retry": {"max_attempts": 1},
        "cooldowns": {"enabled": False},
    }
    with Gateway(config) as gateway:
        yield gateway


def message(gateway: Gateway, model: str, **headers: str) -> tuple[int, str]:
    """Status and message of an error."""
    body = json.dumps({"model": model, "messages": TALK}).encode()
    headers = headers or {"authorization": f"Bearer {gateway.key}"}
    status, _headers, answer = gateway.request("POST", "/v1/chat/completions", body, headers)
    return status, json.loads(answer)["error"]["message"]


@pytest.mark.parametrize(
    ("model", "status", "words", "logged"),
    [
        pytest.param(
            "down/m",
            502,
            "could not connect to the provider down",
            "attempt_failed provider=down model='m' cause=connect 127.0.0.1:",
            id="a provider that does not run",
        ),
        pytest.param(
            "nowhere/m",
            502,
            "the host name of the provider nowhere could not be resolved",
            "cause=dns nowhere.invalid:80",
            id="a host name with a typing error",
        ),
        pytest.param(
            "shortened/m",
            404,
            "Not Found",
            "status 404 to POST /chat/completions: a model it does not have, or a wrong base_url?",
            id="a base URL without its version",
        ),
        pytest.param(
            "locked/m",
            502,
            "the provider locked refused the gateway's own credential: check its key",
            "provider=locked refused its key",
            id="a provider's key that is wrong",
        ),
        pytest.param(
            "gpt-9",
            404,
            'the model "gpt-9" is not known here; ask for provider/model (providers: down, nowhere,',
            "error=not_found",
            id="a model that nobody has",
        ),
        pytest.param(
            "", 404, "the request names no model; ask for provider/model", "", id="no model"
        ),
    ],
)
def test_an_error_names_what_is_wrong(
    mistaken: Gateway, model: str, status: int, words: str, logged: str
) -> None:
    found, said = message(mistaken, model)
    assert (found, said[: len(words)]) == (status, words)
    assert logged in mistaken.log


def test_a_providers_key_is_no_key_of_the_gateway(mistaken: Gateway) -> None:
    status, said = message(mistaken, "down/m", authorization="Bearer sk-of-a-provider")
    assert status == 401
    assert "keys of its own, not a provider's" in said
    assert "sk-of-a-provider" not in mistaken.log


KEYS = [{"name": "a", "key": "key-of-a"}]


@pytest.mark.parametrize(
    ("keys", "host", "told"),
    [
        pytest.param([], "127.0.0.1", False, id="this machine only"),
        pytest.param([], "0.0.0.0", True, id="every interface, and one generated key"),
        pytest.param(KEYS, "0.0.0.0", False, id="every interface, and keys of its own"),
    ],
)
def test_a_port_that_is_open_to_others_is_told(
    keys: list[dict[str, str]], host: str, told: bool
) -> None:
    with Gateway({"client_keys": keys}, options=("--listen-host", host)) as gateway:
        assert ("other machines can connect (0.0.0.0:" in gateway.log) == told


@pytest.mark.parametrize(
    ("config", "words"),
    [
        pytest.param({"provders": {}}, "provders: found an unknown key", id="a key misspelt"),
        pytest.param(
            {"providers": {"a": {"preset": "openai", "api_key": "env:NO_SUCH_KEY"}}},
            "found a secret that cannot be used (env:NO_SUCH_KEY: this environment variable is not",
            id="a variable that is not set",
        ),
    ],
)
def test_a_configuration_that_is_wrong_is_told_in_plain_words(
    config: dict[str, Any], words: str
) -> None:
    with pytest.raises(AssertionError, match="ended at once") as caught, Gateway(config):
        pass
    assert words in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_what_a_provider_said_of_our_key_is_told_to_no_client_while_it_rests(
    shared_fake: FakeProvider,
) -> None:
    locked = {**provider(shared_fake, "openai_chat"), "api_key": "sk-wrong"}
    rule = {"status": 401, "action": "cool_key", "cooldown_s": 60}
    config = {"providers": {"locked": locked}, "cooldowns": {"rules": [rule]}}
    with Gateway(config) as gateway:
        first, second = message(gateway, "locked/m"), message(gateway, "locked/m")
        assert "provider=locked refused its key: Incorrect API key" in gateway.log
    assert "the provider locked refused the gateway's own credential" in first[1]
    assert "rests after failures" in second[1]
    assert "(locked: the provider refused the key)" in second[1]
    assert "Incorrect API key" not in second[1]
