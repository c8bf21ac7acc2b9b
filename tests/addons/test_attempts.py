"""Attempts as flows: what went upstream can be read, and no secret can."""

from __future__ import annotations

import pytest
from mitmproxy import http
from mitmproxy.addons.view import View
from mitmproxy.test import tflow

from addons.attempts import MAX_BODY_BYTES, OPTION, AttemptRecorder, attempt_flow
from addons.engine import Attempt, Cause, Verdict
from tests.addons.live import Steered, Upstream, ask, die_in_the_middle, gateway, good, sse, status
from tests.addons.test_engine_live import in_a_loop


def attempt(**values: object) -> Attempt:
    request = http.Request.make(
        "POST",
        "https://up.test/v1?alt=sse&key=planted",
        b"translated",
        {"authorization": "Bearer planted", "x-api-key": "planted", "accept": "*/*"},
    )
    made = Attempt(flow=tflow.tflow(), number=2, request=request, started_s=5.0)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def test_a_record_shows_the_upstream_request_and_no_secret() -> None:
    one = attempt(cause=Cause.DNS, error="no such name", ended_s=5.25)
    record = attempt_flow(one, "groq")
    assert record.request.content == b"translated"
    assert record.request.host == "up.test"
    assert "planted" not in str(record.get_state())
    assert one.request.headers["authorization"] == "Bearer planted"  # only the copy is redacted
    assert record.metadata == {
        "llm_parent": one.flow.id,
        "llm_attempt": 2,
        "llm_cause": "dns",
    }
    assert record.comment == (f"attempt 2 of {one.flow.id[:8]} at groq, dns: no such name, 250 ms")
    assert record.error is not None
    assert record.marked == ":x:"


def test_cookies_of_the_answer_are_redacted_and_large_bodies_cut() -> None:
    response = http.Response.make(429, b"x" * (MAX_BODY_BYTES + 1), {"set-cookie": "planted"})
    record = attempt_flow(attempt(response=response, cause=Cause.STATUS), "groq")
    assert record.response is not None
    assert record.response.headers["set-cookie"] == "<redacted>"
    assert len(record.response.raw_content or b"") == MAX_BODY_BYTES


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param("auto", ["client", "attempt 1", "attempt 2"], id="a view shows all"),
        pytest.param("failed", ["client", "attempt 1"], id="only the failed"),
        pytest.param("none", ["client"], id="none"),
    ],
)
@in_a_loop
async def test_the_view_shows_attempts_beside_the_clients_flow(
    wanted: str, expected: list[str]
) -> None:
    view = View()
    async with Upstream(status(429)) as bad, Upstream(good) as fine:
        policy = Steered(str(bad), str(fine))
        async with gateway(policy, AttemptRecorder(), view) as gate:
            setattr(gate.master.options, OPTION, wanted)
            assert (await ask(gate.port)).body == b"good"
    flows = sorted(view, key=lambda one: one.metadata.get("llm_attempt", 0))
    names = [one.comment.split(" of ")[0] or "client" for one in flows]
    assert names == expected
    parent = flows[0]
    assert parent.response.content == b"good"
    assert parent.request.host == "127.0.0.1"
    for record in flows[1:]:
        assert record.metadata["llm_parent"] == parent.id
        assert "authorization" not in record.request.headers
        assert record.request.port in (bad.port, fine.port)
    assert policy.flows_seen == 1  # no addon of ours took a record for a request


@in_a_loop
async def test_each_attempt_of_an_answer_that_takes_several_is_shown() -> None:
    view = View()
    async with Upstream(good) as one, Upstream(good) as two:
        policy = Steered(str(one), str(two))
        policy.verdicts = lambda attempt: Verdict.PEEK
        policy.peek = lambda attempt, data, ended: (  # type: ignore[method-assign]
            None if not ended else Verdict.GO_ON if attempt.number == 1 else Verdict.COMMIT
        )
        async with gateway(policy, AttemptRecorder(), view) as gate:
            assert (await ask(gate.port)).body == b"good"
    records = [each for each in view if "llm_attempt" in each.metadata]
    assert [record.metadata["llm_attempt"] for record in records] == [1, 2]
    assert [record.marked for record in records] == [":outbox_tray:"] * 2
    assert all(record.response is not None for record in records)


@in_a_loop
async def test_a_broken_stream_is_recorded_as_failed() -> None:
    view = View()
    async with (
        Upstream(die_in_the_middle) as dying,
        gateway(Steered(str(dying)), AttemptRecorder(), view) as gate,
    ):
        await ask(gate.port)
    record = next(one for one in view if "llm_parent" in one.metadata)
    assert record.metadata["llm_cause"] == "cut"


@in_a_loop
async def test_without_a_view_answered_attempts_are_not_recorded() -> None:
    records: list[http.HTTPFlow] = []

    class Dumper:
        name = "dumper"

        def response(self, flow: http.HTTPFlow) -> None:
            if "llm_parent" in flow.metadata:
                records.append(flow)

    async with Upstream(status(429)) as bad, Upstream(sse()) as fine:
        policy = Steered(str(bad), str(fine))
        async with gateway(policy, AttemptRecorder(), Dumper()) as gate:
            await ask(gate.port)
    assert [record.metadata["llm_attempt"] for record in records] == [1]
