"""Requests for upstreams: hub -> wire."""

from __future__ import annotations

import pytest

from scripts.fake.sdk_types import complaints
from tests.translators.anthropic.support import (
    PNG,
    ask,
    assistant,
    body_of,
    call,
    parse,
    reasons,
    render,
    rendered_body,
    result,
    roles,
    system,
    thought,
    user,
)
from translators import ir
from translators.errors import ErrorKind, GatewayError
from translators.ir import Level, StateKind
from translators.losses import Mode
from translators.profile import (
    MidSystem,
    ThinkingForm,
)

# ------------------------------------------------------------------------------------ system, turns


def test_sys_01_every_system_source_is_a_block_of_its_own():
    body = rendered_body(ask(system("S"), system("D"), user("hi")))
    assert body["system"] == [{"type": "text", "text": "S"}, {"type": "text", "text": "D"}]
    assert roles(body) == ["user"]


def test_sys_17_an_image_as_system_text_is_refused_here():
    with pytest.raises(GatewayError) as caught:
        render(ask(system(ir.Image(source=PNG, path="messages[0].content[1]")), user("hi")))
    assert caught.value.path == "messages[0].content[1]"


def test_sys_09_turns_alternate_and_results_come_first():
    body = rendered_body(
        ask(
            user("a"),
            user("b"),
            assistant(call("t1")),
            assistant(call("t2")),
            user(result("t1")),
            user(result("t2")),
            user("and now?"),
        )
    )
    assert roles(body) == ["user", "assistant", "user"]
    assert [block["type"] for block in body["messages"][1]["content"]] == ["tool_use", "tool_use"]
    assert [block["type"] for block in body["messages"][2]["content"]] == [
        "tool_result",
        "tool_result",
        "text",
    ]


def test_sys_19_results_stay_in_front_of_injected_text():
    body = rendered_body(ask(user("a"), assistant(call("t1")), user("reminder", result("t1"))))
    assert [block["type"] for block in body["messages"][2]["content"]] == ["tool_result", "text"]


def test_sys_10_empty_texts_are_dropped():
    body = rendered_body(ask(user("", "hi"), assistant("", call("t1")), user(result("t1"))))
    assert body["messages"][0]["content"] == [{"type": "text", "text": "hi"}]
    assert [block["type"] for block in body["messages"][1]["content"]] == ["tool_use"]


@pytest.mark.parametrize("blank", ["\n\n", " "])
def test_a_text_of_whitespace_counts_as_empty(blank):
    body = rendered_body(
        ask(system(blank), user("a"), assistant(blank, call("t1")), user(result("t1")))
    )
    assert "system" not in body
    assert [block["type"] for block in body["messages"][1]["content"]] == ["tool_use"]
    with pytest.raises(GatewayError):
        render(ask(user(blank)))


def test_an_empty_user_message_is_refused():
    with pytest.raises(GatewayError) as caught:
        render(ask(user("")))
    assert caught.value.path == "messages[9]"


@pytest.mark.parametrize(
    ("messages", "wanted"),
    [
        pytest.param(
            (user("a"), system("s"), assistant("b"), user("c")),
            ["user", "system", "assistant", "user"],
            id="after a user, before an assistant",
        ),
        pytest.param((user("a"), system("s")), ["user", "system"], id="at the end"),
        pytest.param(
            (user("a"), system("s"), system("t")), ["user", "system"], id="two in a row are one"
        ),
        pytest.param((user("a"), system("s"), user("b")), ["user"], id="between two user turns"),
        pytest.param(
            (user("a"), assistant("b"), system("s"), user("c")),
            ["user", "assistant", "user"],
            id="after an assistant",
        ),
    ],
)
def test_a_later_system_message_stays_only_where_it_may(messages, wanted):
    body = rendered_body(ask(*messages))
    assert roles(body) == wanted
    assert ("<system>s</system>" in str(body)) is ("system" not in wanted)


@pytest.mark.parametrize(
    ("how", "mark"),
    [
        pytest.param(MidSystem.USER, "<system>s</system>", id="wrapped in a user turn"),
        pytest.param(MidSystem.HOIST, None, id="hoisted"),
    ],
)
def test_a_model_without_later_system_messages(how, mark):
    body = rendered_body(ask(user("a"), system("s")), mid_system=how)
    assert roles(body) == ["user"]
    if mark:
        assert body["messages"][0]["content"][1]["text"] == mark
    else:
        assert body["system"] == [{"type": "text", "text": "s"}]


def test_the_first_message_is_the_users():
    rendered, losses = render(ask(assistant("a"), user("b")))
    assert rendered.body["messages"][0] == {
        "role": "user",
        "content": [{"type": "text", "text": "."}],
    }
    assert len(losses.degradations) == 1
    with pytest.raises(GatewayError):
        render(ask(assistant("a"), user("b")), Mode.STRICT)


def test_system_text_alone_gets_a_user_message():
    body = rendered_body(ask(system("S")))
    assert roles(body) == ["user"]


def test_a_begun_answer_is_continued_without_trailing_space():
    body = rendered_body(ask(user("a"), assistant("b \n")), prefill=True)
    assert body["messages"][-1] == {"role": "assistant", "content": [{"type": "text", "text": "b"}]}


def test_a_model_that_continues_nothing_is_asked_to_go_on():
    body = rendered_body(ask(user("a"), assistant("b")), prefill=False)
    assert roles(body) == ["user", "assistant", "user"]
    with pytest.raises(GatewayError):
        render(ask(user("a"), assistant("b")), Mode.BALANCED, prefill=False)


# ------------------------------------------------------------------------------------------ results


def test_res_08_a_call_without_a_result():
    body = rendered_body(ask(user("a"), assistant(call("t1")), user("never mind")))
    block = body["messages"][2]["content"][0]
    assert block == {
        "type": "tool_result",
        "tool_use_id": "t1",
        "content": "(no result)",
        "is_error": True,
    }
    with pytest.raises(GatewayError):
        render(ask(user("a"), assistant(call("t1")), user("x")), Mode.BALANCED)


def test_res_08_a_call_at_the_very_end():
    body = rendered_body(ask(user("a"), assistant(call("t1"))))
    assert roles(body) == ["user", "assistant", "user"]
    assert body["messages"][2]["content"][0]["content"] == "(no result)"


def test_res_08_a_result_without_a_call_becomes_text():
    body = rendered_body(ask(user("a"), assistant("b"), user(result("t9"))))
    assert [block["type"] for block in body["messages"][2]["content"]] == ["text", "text"]


def test_res_10_text_after_a_call_goes_before_it():
    body = rendered_body(ask(user("a"), assistant("x", call("t1"), "y"), user(result("t1"))))
    assert [block["type"] for block in body["messages"][1]["content"]] == [
        "text",
        "text",
        "tool_use",
    ]


def test_res_11_two_results_of_one_call():
    two = (result("t1", ir.Text(text="1")), result("t1", ir.Text(text="2")))
    body = rendered_body(ask(user("a"), assistant(call("t1")), user(*two)))
    assert [block["content"] for block in body["messages"][2]["content"]] == ["2"]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        pytest.param("", {}, id="RES-16 no arguments"),
        pytest.param('{"a":1}', {"a": 1}, id="an object"),
        pytest.param('{"a":', {"_raw": '{"a":'}, id="RES-17 cut JSON"),
        pytest.param("[1]", {"_raw": "[1]"}, id="an array"),
    ],
)
def test_call_arguments(arguments, wanted):
    body = rendered_body(ask(user("a"), assistant(call("t1", arguments)), user(result("t1"))))
    assert body["messages"][1]["content"][0]["input"] == wanted


def test_res_17_cut_arguments_are_refused_outside_max_compat():
    with pytest.raises(GatewayError):
        render(ask(user("a"), assistant(call("t1", "{")), user(result("t1"))), Mode.BALANCED)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        pytest.param((), "", id="empty"),
        pytest.param((ir.Text(text="a"),), "a", id="one text"),
        pytest.param(
            (ir.Text(text="a"), ir.Image(source=PNG)),
            [
                {"type": "text", "text": "a"},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": PNG.data},
                },
            ],
            id="text and image",
        ),
    ],
)
def test_result_contents(content, wanted):
    answer = ir.ToolResult(call_id="t1", content=content)
    body = rendered_body(ask(user("a"), assistant(call("t1")), user(answer)))
    assert body["messages"][2]["content"][0]["content"] == wanted


def test_res_01_an_image_goes_below_where_results_hold_none():
    answer = result("t1", ir.Image(source=PNG))
    body = rendered_body(
        ask(user("a"), assistant(call("t1")), user(answer)), tool_result_media=False
    )
    first, second = body["messages"][2]["content"]
    assert first["content"] == "[image attached below]"
    assert second["type"] == "image"


def test_a_failed_result_holds_text_only():
    answer = result("t1", ir.Text(text="boom"), ir.Image(source=PNG), is_error=True)
    body = rendered_body(ask(user("a"), assistant(call("t1")), user(answer)))
    first, second = body["messages"][2]["content"]
    assert [item["type"] for item in first["content"]] == ["text", "text"]
    assert second["type"] == "image"


def test_what_an_assistant_drew_goes_into_the_user_turn_after():
    body = rendered_body(
        ask(user("a"), assistant("look", ir.Image(source=PNG), call("t1")), user(result("t1"), "b"))
    )
    assert roles(body) == ["user", "assistant", "user"]
    assert [block["type"] for block in body["messages"][2]["content"]] == [
        "tool_result",
        "image",
        "text",
    ]


@pytest.mark.parametrize(
    "call_id",
    [
        pytest.param("toolu_01A", id="its own"),
        pytest.param("call_abc-1", id="another legal one"),
        pytest.param("functions.bash:0", id="ID illegal characters"),
        pytest.param("x" * 200, id="ID too long"),
    ],
)
def test_call_ids_fit_and_agree(call_id):
    body = rendered_body(ask(user("a"), assistant(call(call_id)), user(result(call_id))))
    wire = body["messages"][1]["content"][0]["id"]
    assert wire == body["messages"][2]["content"][0]["tool_use_id"]
    assert wire.replace("-", "").replace("_", "").isalnum()
    assert (wire == call_id) is (len(call_id) < 128 and ":" not in call_id)


def test_id_12_a_reused_id_is_renamed_with_its_result():
    body = rendered_body(
        ask(
            user("a"),
            assistant(call("t1")),
            user(result("t1")),
            assistant(call("t1")),
            user(result("t1")),
        )
    )
    uses = [m["content"][0]["id"] for m in body["messages"] if m["role"] == "assistant"]
    assert len(set(uses)) == 2
    assert body["messages"][-1]["content"][0]["tool_use_id"] == uses[1]


# ------------------------------------------------------------------------------------------- content


@pytest.mark.parametrize(
    ("part", "source"),
    [
        pytest.param(
            ir.Image(source=ir.Url(url="https://e/a.png")),
            {"type": "url", "url": "https://e/a.png"},
            id="by address",
        ),
        pytest.param(
            ir.Image(source=PNG),
            {"type": "base64", "media_type": "image/png", "data": PNG.data},
            id="bytes",
        ),
        pytest.param(
            ir.Image(source=ir.FileId(file_id="file_1", protocol="anthropic")),
            {"type": "file", "file_id": "file_1"},
            id="stored here",
        ),
        pytest.param(
            ir.Document(source=ir.PlainText(text="d", media_type="text/markdown")),
            {"type": "text", "media_type": "text/plain", "data": "d"},
            id="MED-07 a text document",
        ),
        pytest.param(
            ir.Document(source=ir.Inline(media_type="text/csv", data="YSxi")),
            {"type": "text", "media_type": "text/plain", "data": "a,b"},
            id="a text document as bytes",
        ),
        pytest.param(
            ir.Document(source=ir.Inline(media_type="application/pdf", data="JVBERi0xLjQ=")),
            {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQ="},
            id="MED-06 a PDF",
        ),
    ],
)
def test_media_sources(part, source):
    body = rendered_body(ask(user("look", part)))
    assert body["messages"][0]["content"][1]["source"] == source


@pytest.mark.parametrize(
    ("part", "profile"),
    [
        pytest.param(
            ir.Image(source=ir.FileId(file_id="f", protocol="gemini")), {}, id="another's file"
        ),
        pytest.param(ir.Image(source=ir.Url(url="gs://b/a.png")), {}, id="a cloud address"),
        pytest.param(
            ir.Image(source=ir.Url(url="https://e/a.png")), {"image_urls": False}, id="no addresses"
        ),
        pytest.param(
            ir.Image(source=ir.Inline(media_type="image/heic", data="AAAA")),
            {},
            id="a strange type",
        ),
        pytest.param(
            ir.Document(source=ir.Inline(media_type="application/zip", data="AAAA")),
            {},
            id="a strange document",
        ),
        pytest.param(ir.Video(source=ir.Url(url="https://e/v.mp4")), {}, id="video"),
    ],
)
def test_media_that_cannot_be_sent_are_refused_in_every_mode(part, profile):
    for mode in Mode:
        with pytest.raises(GatewayError) as caught:
            render(ask(user("look", part)), mode, **profile)
        assert caught.value.kind is ErrorKind.UNTRANSLATABLE


@pytest.mark.parametrize(
    ("part", "profile"),
    [
        pytest.param(ir.Audio(source=PNG), {}, id="MED-06 sound"),
        pytest.param(ir.Image(source=PNG), {"image_types": frozenset()}, id="a text model"),
        pytest.param(
            ir.Document(source=ir.Inline(media_type="application/pdf", data="JVBERi0xLjQ=")),
            {"documents": False},
            id="PRV-18 no documents",
        ),
    ],
)
def test_media_that_max_compat_leaves_out(part, profile):
    rendered, losses = render(ask(user("look", part)), **profile)
    assert "left out" in rendered.body["messages"][0]["content"][1]["text"]
    assert len(losses.degradations) == 1
    with pytest.raises(GatewayError):
        render(ask(user("look", part)), Mode.BALANCED, **profile)


def test_cit_05_nothing_internal_reaches_the_wire():
    part = ir.Text(
        text="a",
        citations=(ir.UrlCitation(url="https://e", title="T", start=0, end=1),),
        path="p",
    )
    body = rendered_body(ask(user("q"), assistant(part), user("r")))
    assert body["messages"][1]["content"] == [{"type": "text", "text": "a"}]


def test_res_18_another_providers_search_becomes_text():
    search = ir.WebSearch(
        call_id="ws_1",
        query="q",
        sources=(ir.WebSource(url="https://e", title="T"),),
        protocol="openai_responses",
        wire=({"type": "web_search_call"},),
    )
    body = rendered_body(ask(user("q"), assistant(search, "so"), user("r")))
    assert [block["type"] for block in body["messages"][1]["content"]] == ["text", "text"]
    assert "https://e" in body["messages"][1]["content"][0]["text"]


def test_its_own_hosted_blocks_go_back_as_they_were():
    stream = [
        {
            "type": "server_tool_use",
            "id": "srvtoolu_1",
            "name": "web_search",
            "input": {"query": "q"},
        },
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "text", "text": "so"},
    ]
    request = parse(
        body_of(
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": stream},
            {"role": "user", "content": "r"},
        )
    )
    assert rendered_body(request)["messages"][1]["content"] == stream


# ---------------------------------------------------------------------------------------- reasoning


@pytest.mark.parametrize(
    ("part", "block"),
    [
        pytest.param(
            thought(), {"type": "thinking", "thinking": "t", "signature": "EqQB"}, id="its own"
        ),
        pytest.param(
            thought(provider=None, model=None),
            {"type": "thinking", "thinking": "t", "signature": "EqQB"},
            id="of unknown origin",
        ),
        pytest.param(
            thought(StateKind.ANTHROPIC_REDACTED),
            {"type": "redacted_thinking", "data": "EqQB"},
            id="redacted",
        ),
        pytest.param(thought(model="other"), None, id="of another model"),
        pytest.param(thought(provider="vertex"), None, id="of another provider"),
        pytest.param(thought(StateKind.RESPONSES_ENCRYPTED), None, id="RSN-05 of another vendor"),
        pytest.param(ir.Reasoning(text="t"), None, id="RSN-14 unsigned"),
    ],
)
def test_only_thinking_that_the_upstream_signed_goes_back(part, block):
    request = ask(user("a"), assistant(part, call("t1")), user(result("t1")))
    rendered, losses = render(request)
    blocks = rendered.body["messages"][1]["content"]
    assert complaints("anthropic", rendered.body) == []
    assert (blocks[0] == block) if block else (len(blocks) == 1)
    assert bool(losses.degradations) is (block is None)
    if block is None:
        with pytest.raises(GatewayError):
            render(request, Mode.STRICT)


def test_thinking_yields_in_a_tool_loop_without_its_thinking():
    request = ask(
        user("a"),
        assistant(thought(model="other"), call("t1")),
        user(result("t1")),
        protocol="anthropic",
        reasoning=ir.ReasoningControl(level=Level.LOW, budget_tokens=2048, path="thinking"),
    )
    rendered, losses = render(request, thinking_form=ThinkingForm.BUDGET)
    assert rendered.body["thinking"] == {"type": "disabled"}
    assert any("made elsewhere" in reason for reason in reasons(losses))


@pytest.mark.parametrize(
    ("control", "profile", "thinking", "effort"),
    [
        pytest.param(None, {}, None, None, id="nothing said"),
        pytest.param(
            ir.ReasoningControl(level=Level.HIGH),
            {},
            {"type": "adaptive"},
            "high",
            id="RSN-19 effort",
        ),
        pytest.param(
            ir.ReasoningControl(level=Level.HIGH, summary=True),
            {},
            {"type": "adaptive", "display": "summarized"},
            "high",
            id="RSN-25 a summary is asked for",
        ),
        pytest.param(
            ir.ReasoningControl(adaptive=True, summary=False),
            {},
            {"type": "adaptive", "display": "omitted"},
            None,
            id="adaptive, not shown",
        ),
        pytest.param(
            ir.ReasoningControl(level=Level.MINIMAL), {}, None, "low", id="minimal is no thinking"
        ),
        pytest.param(
            ir.ReasoningControl(level=Level.OFF),
            {"thinking_form": ThinkingForm.BETWEEN_TOOLS, "always_thinks": True},
            {"type": "between_tools"},
            None,
            id="off, as far as it goes",
        ),
        pytest.param(
            ir.ReasoningControl(level=Level.HIGH),
            {"thinking_form": ThinkingForm.BETWEEN_TOOLS},
            {"type": "adaptive"},
            "high",
            id="on, where off is between_tools",
        ),
        pytest.param(
            ir.ReasoningControl(level=Level.MAX),
            {"reasoning_levels": (Level.LOW, Level.MEDIUM, Level.HIGH)},
            {"type": "adaptive"},
            "high",
            id="RSN-23 the next lower level",
        ),
        pytest.param(
            ir.ReasoningControl(level=Level.OFF), {}, {"type": "disabled"}, None, id="off"
        ),
        pytest.param(
            ir.ReasoningControl(level=Level.OFF),
            {"always_thinks": True},
            None,
            "low",
            id="never off",
        ),
        pytest.param(
            ir.ReasoningControl(level=Level.MEDIUM, budget_tokens=9000),
            {},
            {"type": "adaptive"},
            "medium",
            id="a budget for an adaptive model",
        ),
        pytest.param(
            ir.ReasoningControl(level=Level.HIGH),
            {"thinking_form": ThinkingForm.BUDGET},
            {"type": "enabled", "budget_tokens": 16384},
            None,
            id="RSN-19 a level for a budget model",
        ),
        pytest.param(
            ir.ReasoningControl(level=Level.MEDIUM, budget_tokens=9000),
            {"thinking_form": ThinkingForm.BUDGET},
            {"type": "enabled", "budget_tokens": 9000},
            None,
            id="a budget as it was",
        ),
        pytest.param(
            ir.ReasoningControl(level=Level.MINIMAL, budget_tokens=512),
            {"thinking_form": ThinkingForm.BUDGET},
            {"type": "enabled", "budget_tokens": 1024},
            None,
            id="a budget below the minimum",
        ),
        pytest.param(
            ir.ReasoningControl(level=Level.OFF),
            {"thinking_form": ThinkingForm.BUDGET},
            {"type": "disabled"},
            None,
            id="off for a budget model",
        ),
        pytest.param(
            ir.ReasoningControl(adaptive=True),
            {"thinking_form": ThinkingForm.BUDGET},
            None,
            None,
            id="adaptive for a budget model",
        ),
        pytest.param(
            ir.ReasoningControl(level=Level.HIGH),
            {"thinking_form": ThinkingForm.NONE},
            None,
            None,
            id="a model that does not think",
        ),
    ],
)
def test_reasoning_control(control, profile, thinking, effort):
    body = rendered_body(ask(reasoning=control), **profile)
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort


@pytest.mark.parametrize(
    ("limit", "profile", "budget", "max_tokens"),
    [
        pytest.param(None, {}, 32768, 64768, id="no limit: it is raised"),
        pytest.param(None, {"max_output_tokens": 64000}, 32768, 64000, id="the model's limit"),
        pytest.param(8000, {}, 4000, 8000, id="a small limit: half of it"),
        pytest.param(1500, {}, None, 1500, id="a tiny limit: no thinking"),
    ],
)
def test_a_budget_stays_below_max_tokens(limit, profile, budget, max_tokens):
    request = ask(reasoning=ir.ReasoningControl(level=Level.XHIGH), max_output_tokens=limit)
    body = rendered_body(request, thinking_form=ThinkingForm.BUDGET, **profile)
    assert body["max_tokens"] == max_tokens
    assert body.get("thinking", {}).get("budget_tokens") == budget
    if limit is not None:
        with pytest.raises(GatewayError):
            render(request, Mode.BALANCED, thinking_form=ThinkingForm.BUDGET)
