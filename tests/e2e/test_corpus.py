"""Every request of the corpus through a real mitmdump to every other protocol, in every mode, whole and streamed.

The strict fake judges what arrives, with the official SDKs' request types; their response types judge the answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.fake import FakeProvider
from tests.support.crossing import Case, cases
from tests.support.gateway import Gateway
from tests.support.providers import PROVIDERS, four_providers
from tests.support.wirecheck import check_response, check_stream
from translators.losses import Mode

PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic": "/v1/messages",
}
REFUSED = {("image-url", "gemini")}
"""What no mode can send: Gemini takes no picture by URL, and nothing may be fetched here."""
ELSEWHERE = {"several-answers"}
"""These judges read one answer; tests/e2e/test_legs.py is about several."""
REQUESTS = [
    case
    for case in cases()
    if case.request is not None and "operation" not in case.meta and case.name not in ELSEWHERE
]
CROSSINGS = [
    pytest.param(case, name, id=f"{case} to {protocol}")
    for case in REQUESTS
    for name, protocol in PROVIDERS.items()
    if protocol != case.protocol
]


@pytest.fixture(scope="module")
def judge() -> Iterator[FakeProvider]:
    """A provider that also notes what the SDKs' types say."""
    with FakeProvider.running(sdk_types=True) as fake:
        yield fake


@pytest.fixture(scope="module")
def judged_gateway(judge: FakeProvider) -> Iterator[Gateway]:
    """Four providers that lead to it."""
    config = four_providers(judge)
    config["providers"]["chat"]["profile"] = {"reasoning_echo": "forbidden"}
    with Gateway(config) as gateway:
        yield gateway


def send(
    gateway: Gateway, case: Case, model: str, mode: Mode, *, stream: bool
) -> tuple[int, dict[str, str], bytes]:
    """A case's request as its client would send it."""
    body: dict[str, Any] = dict(case.request or {})
    headers = {"x-llmgate-mode": mode.value, **(case.meta.get("headers") or {})}
    if case.protocol == "gemini":
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        path = f"/v1beta/models/{model}:{verb}"
        body.pop("model", None)
    else:
        path = PATHS[case.protocol]
        body |= {"model": model, "stream": stream}
        if not stream:
            body.pop("stream_options", None)
    return gateway.post(path, json.dumps(body).encode(), headers)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(("case", "upstream"), CROSSINGS)
def test_a_request_is_answered_or_refused_in_the_words_of_its_client(
    judged_gateway: Gateway, judge: FakeProvider, case: Case, upstream: str, mode: Mode
) -> None:
    scenario = "tool" if (case.request or {}).get("tools") else "text"
    for stream in (False, True):
        judge.reset()
        answer = send(judged_gateway, case, f"{upstream}/fake-{scenario}", mode, stream=stream)
        status, headers, body = answer
        if status == 400:
            assert mode is not Mode.MAX_COMPAT or (case.name, upstream) in REFUSED, body
            assert json.loads(body)["error"]["message"]
            assert headers["content-type"] == "application/json"
            assert not judge.record, "refused before anything was sent"
            continue
        assert status == 200, body
        (seen,) = judge.record
        assert (seen.verdict, seen.reason, seen.notes) == ("accepted", "", [])
        if stream:
            assert check_stream(case.protocol, body)
        else:
            check_response(case.protocol, json.loads(body))
