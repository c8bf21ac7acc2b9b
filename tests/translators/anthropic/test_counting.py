"""Bodies and answers of `count_tokens`."""

from __future__ import annotations

import pytest

from scripts.fake import validate_anthropic
from tests.translators.anthropic.support import EXAMPLES, ask, render, tool
from translators import ir
from translators.anthropic import counting
from translators.ir import Level


def test_cnt_05_only_what_the_counter_takes():
    request = ask(
        tools=(tool(),), stop=("X",), end_user="u", stream=True, cache_prefix=ir.CacheMark(),
        reasoning=ir.ReasoningControl(level=Level.LOW), max_output_tokens=10,
    )  # fmt: skip
    body = counting.count_body(render(request)[0].body, "claude-opus-4-8")
    validate_anthropic.validate_count(body, "claude-opus-4-8")
    assert set(body) == {
        "model", "messages", "tools", "thinking", "output_config", "cache_control"
    }  # fmt: skip


def test_google_cloud_wants_model_and_version_in_the_body():
    rendered, _ = render(ask(), vertex=True)
    body = counting.count_body(rendered.body, "claude-sonnet-5-5", vertex=True)
    assert body["model"] == "claude-sonnet-5-5"
    assert body["anthropic_version"] == "2026-10-21"


@pytest.mark.parametrize(
    ("body", "count"),
    [
        pytest.param(EXAMPLES["count_tokens_response"][0], 57, id="documented"),
        pytest.param({"input_tokens": True}, None, id="no number"),
        pytest.param({}, None, id="nothing"),
        pytest.param([], None, id="no object"),
    ],
)
def test_answers(body, count):
    assert counting.parse_count(body) == count


def test_cnt_01_the_answer_for_a_client():
    assert counting.render_count(57) == EXAMPLES["count_tokens_response"][0]
