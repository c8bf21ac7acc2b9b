"""The memory of responses: tenants apart, bounded in bytes and in time, lists as clients page them."""

from __future__ import annotations

from typing import Any

import pytest

from addons.passthrough import PreviousId
from addons.recorder import Recorder
from addons.stored import ResponseStore
from translators.errors import GatewayError
from translators.openai_responses import stored
from translators.wire import dumps

QUESTION = {"type": "message", "role": "user", "content": "Hi"}


def answer(response_id: str, text: str = "Hello") -> dict[str, Any]:
    """A final response object."""
    message = {
        "id": f"msg_{response_id}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
    return {"id": response_id, "object": "response", "status": "completed", "output": [message]}


def test_a_response_is_found_by_its_tenant_alone() -> None:
    store = ResponseStore()
    store.put("a", answer("resp_1"), (QUESTION,), 0.0)
    assert store.get("a", "resp_1", 1.0) is not None
    assert store.get("b", "resp_1", 1.0) is None
    assert not store.delete("b", "resp_1")
    assert store.delete("a", "resp_1")
    assert (len(store), store.size_bytes) == (0, 0)


def test_a_conversation_is_the_input_and_then_the_output() -> None:
    store = ResponseStore()
    store.put("a", answer("resp_1"), (QUESTION,), 0.0)
    entry = store.get("a", "resp_1", 0.0)
    assert entry is not None
    assert [item["role"] for item in entry.conversation] == ["user", "assistant"]
    found = store.item("a", "msg_resp_1", 0.0)
    assert found is not None
    assert found["role"] == "assistant"
    assert store.item("b", "msg_resp_1", 0.0) is None


def test_responses_expire() -> None:
    store = ResponseStore(ttl_s=10)
    store.put("a", answer("resp_1"), (), 0.0)
    store.put("a", answer("resp_2"), (), 5.0)
    assert store.get("a", "resp_1", 9.9) is not None
    assert store.get("a", "resp_1", 10.0) is None
    assert store.get("a", "resp_2", 10.0) is not None


def test_the_oldest_goes_when_there_is_no_room() -> None:
    one = len(dumps(answer("resp_1"))) + len(dumps([QUESTION]))
    store = ResponseStore(max_bytes=2 * one + 10)
    for number in (1, 2, 3):
        assert store.put("a", answer(f"resp_{number}"), (QUESTION,), 0.0)
    assert store.get("a", "resp_1", 0.0) is None
    assert store.get("a", "resp_3", 0.0) is not None
    assert store.size_bytes <= 2 * one + 10


def test_what_is_too_large_is_not_kept_and_pushes_nothing_out() -> None:
    store = ResponseStore(max_bytes=1000)
    assert store.put("a", answer("resp_1"), (), 0.0)
    assert not store.put("a", answer("resp_2", "x" * 2000), (), 0.0)
    assert store.get("a", "resp_1", 0.0) is not None


def test_the_same_id_again_takes_the_place_of_the_first() -> None:
    store = ResponseStore()
    store.put("a", answer("resp_1", "one"), (), 0.0)
    store.put("a", answer("resp_1", "two!"), (), 0.0)
    assert len(store) == 1
    assert store.size_bytes == len(dumps(answer("resp_1", "two!"))) + len(dumps([]))


class Pieces:
    """A relay that passes what it gets."""

    def __call__(self, data: bytes) -> list[bytes]:
        """See Relay."""
        return [data] if data else []


def frames(kind: str, response: dict[str, Any]) -> bytes:
    """A delta that speaks of the end, and the terminal event."""
    delta = {"type": "response.output_text.delta", "delta": "response.completed"}
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (event["type"].encode(), dumps(event))
        for event in (delta, {"type": kind, "response": response})
    )


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_a_stream_is_kept_however_it_is_cut(size: int) -> None:
    kept: list[dict[str, Any]] = []
    data = frames("response.completed", answer("resp_1"))
    watched = Recorder(kept.append).around(Pieces())  # type: ignore[arg-type]
    out = b"".join(
        piece for at in range(0, len(data), size) for piece in watched(data[at : at + size])
    )
    assert out == data
    assert kept == [answer("resp_1")]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frames("response.failed", answer("resp_1")), id="failed"),
        pytest.param(frames("response.completed", answer("resp_1"))[:-40], id="cut"),
        pytest.param(b"data: [DONE]\n\n", id="no event at all"),
    ],
)
def test_a_failed_or_cut_stream_is_not_kept(data: bytes) -> None:
    kept: list[dict[str, Any]] = []
    watched = Recorder(kept.append).around(Pieces())  # type: ignore[arg-type]
    watched(data)
    watched(b"")
    assert kept == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"no JSON", id="no JSON"),
        pytest.param(dumps({**answer("r"), "status": "failed"}), id="failed"),
        pytest.param(dumps({"error": {"message": "no"}}), id="an error"),
        pytest.param(b"[]", id="no object"),
    ],
)
def test_a_whole_answer_that_is_none_is_not_kept(body: bytes) -> None:
    kept: list[dict[str, Any]] = []
    Recorder(kept.append).whole(body)
    assert kept == []


def items(count: int) -> list[dict[str, Any]]:
    """Messages with ids."""
    return [{**QUESTION, "id": f"msg_{number}"} for number in range(count)]


def test_a_list_shows_the_newest_first_and_pages() -> None:
    page = stored.list_items(items(3), limit=2, ascending=False)
    assert [item["id"] for item in page["data"]] == ["msg_2", "msg_1"]
    assert page["has_more"]
    rest = stored.list_items(items(3), limit=2, after=page["last_id"], ascending=False)
    assert [item["id"] for item in rest["data"]] == ["msg_0"]
    assert not rest["has_more"]
    with pytest.raises(GatewayError, match="after"):
        stored.list_items(items(3), after="msg_9", ascending=True)


def test_listed_items_have_ids_and_parts_and_the_same_ones_again() -> None:
    shown = stored.listed(QUESTION, "resp_1", 0)
    assert shown["id"].startswith("msg_")
    assert shown["content"] == [{"type": "input_text", "text": "Hi"}]
    assert shown == stored.listed(QUESTION, "resp_1", 0)
    assert shown["id"] != stored.listed(QUESTION, "resp_1", 1)["id"]
    assert stored.listed({**QUESTION, "id": "msg_own"}, "resp_1", 0)["id"] == "msg_own"


@pytest.mark.parametrize("size", [1, 9, 1000])
def test_a_passed_stream_says_the_previous_id_however_it_is_cut(size: int) -> None:
    data = b'data: {"previous_response_id": null,"text":"previous_response_id"}\n\n' * 2
    step = PreviousId("resp_1")
    out = b"".join(step(data[at : at + size]) for at in range(0, len(data), size)) + step(b"")
    assert out == data.replace(b'_id": null', b'_id":"resp_1"')
