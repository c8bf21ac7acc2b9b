"""Input items: every documented kind, shorthand and odd shapes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.openai_responses.support import EXAMPLES, SEAL, parse, parse_items
from translators import ir
from translators.losses import Action, Loss

CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "done"}


def parts_of(*items: Any) -> list[ir.Part]:
    """All parts of these items, in order."""
    return [part for message in parse_items(*items) for part in message.parts]


def only(item: Any) -> ir.Part:
    """The one part of one item."""
    [part] = parts_of(item)
    return part


@pytest.mark.parametrize(
    "item", EXAMPLES["input_item"][0], ids=lambda item: item.get("type", "message")
)
def test_sta_13_every_documented_item_is_read(item: dict[str, Any]) -> None:
    request = parse({"input": [item]})
    assert request.messages or request.unshared or request.tools
    assert Loss.UNKNOWN not in {u.loss for u in request.unshared}


@pytest.mark.parametrize("part", EXAMPLES["input_part"][0], ids=lambda part: part["type"])
def test_every_documented_part_is_read(part: dict[str, Any]) -> None:
    [read] = parts_of({"role": "user", "content": [part]})
    assert not isinstance(read, ir.Foreign)
    assert read.path == "input[0].content[0]"
    assert (getattr(read, "cache", None) is not None) == ("prompt_cache_breakpoint" in part)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("hi", id="bare string"),
        pytest.param([{"role": "user", "content": "hi"}], id="shorthand item"),
        pytest.param([{"content": "hi"}], id="no role either"),
        pytest.param(["hi"], id="a string in the array"),
        pytest.param([{"type": "message", "role": "user", "content": "hi"}], id="string content"),
        pytest.param([{"type": "message", "role": "user", "content": ["hi"]}], id="strings in content"),
        pytest.param([{"role": "user", "content": [{"type": "text", "text": "hi"}]}], id="Chat's part"),
        pytest.param([{"role": "user", "content": [{"text": "hi"}]}], id="part without type"),
        pytest.param([{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}], id="typed part"),
    ],
)  # fmt: skip
def test_sys_20_shorthand(body: Any) -> None:
    [message] = parse({"input": body}).messages
    assert message.role is ir.Role.USER
    assert message.parts == (ir.Text(text="hi"),)


def test_sys_01_every_system_fragment_in_order() -> None:
    messages = parse(
        {
            "instructions": "S",
            "input": [
                {"role": "developer", "content": "D"},
                {"role": "system", "content": "T"},
                {"role": "user", "content": "u"},
            ],
        }
    ).messages
    assert [m.role.value for m in messages] == ["system", "system", "system", "user"]
    assert [m.parts for m in messages[:3]] == [(ir.Text(text=t),) for t in "SDT"]


def test_sys_09_runs_of_items_are_turns() -> None:
    messages = parse_items(
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
        CALL,
        {**CALL, "call_id": "c2"},
        OUTPUT,
        {**OUTPUT, "call_id": "c2"},
        {"role": "user", "content": "c"},
    )
    assert [(m.role.value, len(m.parts)) for m in messages] == [
        ("user", 1),
        ("user", 1),
        ("assistant", 3),
        ("user", 2),
        ("user", 1),
    ]


def test_two_message_items_in_a_row_stay_two_messages() -> None:
    first, second = parse_items(
        {"role": "assistant", "content": "Looking.", "phase": "commentary"},
        {"role": "assistant", "content": "Done.", "phase": "final_answer"},
    )
    assert first.parts == (ir.Text(text="Looking.", phase="commentary"),)
    assert second.parts == (ir.Text(text="Done.", phase="final_answer"),)


def test_calls_and_outputs() -> None:
    call, result = parts_of({**CALL, "id": "fc_1", "status": "incomplete"}, OUTPUT)
    assert call == ir.ToolCall(
        call_id="c1", name="f", arguments="{}", item_id="fc_1", complete=False
    )
    assert result == ir.ToolResult(call_id="c1", content=(ir.Text(text="done"),))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("", ""),
        (None, ""),
        ({"a": 1}, '{"a":1}'),
        ('{"n": 12345678901234567890}', '{"n": 12345678901234567890}'),
    ],
)
def test_arguments_stay_the_exact_text(arguments: Any, text: str) -> None:
    call = only({**CALL, "arguments": arguments})
    assert isinstance(call, ir.ToolCall)
    assert call.arguments == text


@pytest.mark.parametrize(
    ("output", "content"),
    [
        pytest.param("", (), id="empty"),
        pytest.param(None, (), id="null"),
        pytest.param({"a": 1}, (ir.Text(text='{"a":1}'),), id="an object"),
        pytest.param(5, (ir.Text(text="5"),), id="a number"),
        pytest.param([1, 2], (ir.Text(text="[1,2]"),), id="an array of numbers"),
        pytest.param([], (), id="no parts"),
        pytest.param('[{"type":"input_text","text":"x"}]', (ir.Text(text='[{"type":"input_text","text":"x"}]'),), id="a function's JSON stays text"),
        pytest.param([{"type": "input_text", "text": "x"}, {"type": "brand_new", "text": "y"}], (ir.Text(text="x"), ir.Text(text="y")), id="parts, one unknown"),
    ],
)  # fmt: skip
def test_res_04_outputs_of_any_shape(output: Any, content: tuple[ir.Part, ...]) -> None:
    result = only({**OUTPUT, "output": output})
    assert isinstance(result, ir.ToolResult)
    assert result.content == content


@pytest.mark.parametrize(
    ("output", "count"),
    [
        pytest.param("text", 1, id="string"),
        pytest.param([{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}], 2, id="list"),
        pytest.param('[{"type":"input_text","text":"a"},{"type":"input_text","text":"b"}]', 2, id="encoded list"),
        pytest.param('[{"a":1}]', 1, id="other JSON"),
        pytest.param("[oops", 1, id="no JSON"),
        pytest.param("[]", 1, id="empty JSON array"),
    ],
)  # fmt: skip
def test_res_13_outputs_of_freeform_tools(output: Any, count: int) -> None:
    result = only({"type": "custom_tool_call_output", "call_id": "c", "output": output})
    assert isinstance(result, ir.ToolResult)
    assert result.kind is ir.ToolKind.CUSTOM
    assert len(result.content) == count


def test_res_01_images_in_outputs_are_images() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    result = only({**OUTPUT, "output": [image]})
    assert isinstance(result, ir.ToolResult)
    assert result.content == (
        ir.Image(source=ir.Inline(media_type="image/png", data="iVBORw0KGgo=")),
    )


@pytest.mark.parametrize("detail", ["low", "high", "original", "auto", None, "weird"])
def test_med_11_image_detail(detail: str | None) -> None:
    part = {"type": "input_image", "image_url": "https://e.com/a.png", "detail": detail}
    [image] = parts_of({"role": "user", "content": [part]})
    assert isinstance(image, ir.Image)
    assert image.detail == (detail if detail in ("low", "high", "original") else None)


def test_med_04_an_image_by_file_id() -> None:
    [image] = parts_of({"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]})
    assert isinstance(image, ir.Image)
    assert image.source == ir.FileId(file_id="file-1", protocol="openai_responses")


def test_a_bare_base64_pdf_is_recognised() -> None:
    [document] = parts_of(
        {"role": "user", "content": [{"type": "input_file", "file_data": "JVBERi0xLjQ="}]}
    )
    assert isinstance(document, ir.Document)
    assert document.source == ir.Inline(media_type="application/pdf", data="JVBERi0xLjQ=")


# ------------------------------------------------------------------------------------- reasoning


def test_rsn_07_reasoning_without_encrypted_content_has_no_state() -> None:
    thought = only(
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "t"}]}
    )
    assert thought == ir.Reasoning(text="t")
    assert parse_items({"type": "reasoning", "id": "rs_1", "summary": []}) == ()


def test_rsn_05_foreign_encrypted_content_is_state_of_unknown_origin() -> None:
    summary = [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]
    thought = only(
        {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "gAAA"}
    )
    state = ir.OpaqueState(kind=ir.StateKind.RESPONSES_ENCRYPTED, value="gAAA")
    assert thought == ir.Reasoning(text="a\n\nb", state=state, item_id="rs_1")


def test_an_envelope_restores_what_the_upstream_wrote() -> None:
    state = ir.OpaqueState(
        kind=ir.StateKind.ANTHROPIC_SIGNATURE, value="s", provider="p", model="m"
    )
    original = ir.Reasoning(text="exact \u2028 text", state=state)
    item = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "edited"}],
    }
    assert only({**item, "encrypted_content": SEAL.wrap(original)}) == original


def test_a_damaged_envelope_leaves_only_the_text() -> None:
    item = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "t"}]}
    assert only({**item, "encrypted_content": "bGxtZzEuAAAA"}) == ir.Reasoning(text="t")


# --------------------------------------------------------------------------------------- foreign

R, W, S = Action.REJECT, Action.WARN, Action.SILENT


@pytest.mark.parametrize(
    ("kind", "rule", "as_text"),
    [
        ("file_search_call", (R, W, W), True),
        ("computer_call", (R, R, R), False),
        ("computer_call_output", (R, R, R), False),
        ("shell_call", (R, R, W), True),
        ("shell_call_output", (R, R, W), True),
        ("local_shell_call", (R, R, W), True),
        ("local_shell_call_output", (R, R, W), True),
        ("apply_patch_call", (R, R, W), True),
        ("apply_patch_call_output", (R, R, W), True),
        ("mcp_list_tools", (W, S, S), False),
        ("mcp_call", (R, W, W), True),
        ("mcp_approval_request", (R, R, W), False),
        ("mcp_approval_response", (R, R, W), False),
        ("tool_search_call", (R, W, W), False),
        ("program", (R, W, W), False),
        ("program_output", (R, W, W), False),
        ("compaction", (R, R, R), False),
        ("compaction_trigger", (R, R, W), False),
    ],
)
def test_items_of_this_protocol_alone(kind: str, rule: tuple[Action, ...], as_text: bool) -> None:
    item = next(i for i in EXAMPLES["input_item"][0] if i.get("type") == kind)
    part = only(item)
    assert isinstance(part, ir.Foreign)
    assert (part.type, part.wire) == (kind, item)
    assert (tuple(part.rule[:3]), part.rule.as_text) == (rule, as_text)
    assert (part.readable is not None) == as_text


def test_the_readable_rendering_of_a_call() -> None:
    part = only(
        {"type": "mcp_call", "name": "search", "arguments": '{"q":1}', "output": "x" * 5000}
    )
    assert isinstance(part, ir.Foreign)
    assert part.readable == '[search] {"q":1}\n' + "x" * 4000


def test_sta_13_an_unknown_item_keeps_its_text() -> None:
    part = only({"type": "agent_message", "content": [{"type": "x", "text": "hello"}]})
    assert isinstance(part, ir.Foreign)
    assert part.readable == "[agent_message]\nhello"
    assert only({"type": "brand_new"}) is not None


def test_hosted_searches_and_code_runs() -> None:
    items = {i.get("type"): i for i in EXAMPLES["input_item"][0]}
    search, run = parts_of(items["web_search_call"], items["code_interpreter_call"])
    assert isinstance(search, ir.WebSearch)
    assert (search.query, search.wire) == ("oslo weather", (items["web_search_call"],))
    assert isinstance(run, ir.CodeRun)
    assert (run.code, run.output, run.ok) == ("print(1)", "1", True)


def test_a_generated_image_goes_on_as_a_user_image() -> None:
    request = parse(
        {"input": [{"type": "image_generation_call", "id": "ig", "result": "iVBORw0KGgo="}]}
    )
    [message] = request.messages
    assert message.role is ir.Role.USER
    assert isinstance(message.parts[0], ir.Image)
    assert [(u.path, u.loss) for u in request.unshared] == [("input[0]", Loss.VALUE)]


def test_a_reference_to_a_stored_item_is_impossible() -> None:
    for item in ({"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}):
        request = parse({"input": [item, "hi"]})
        assert [u.loss for u in request.unshared] == [Loss.IMPOSSIBLE]


def test_the_last_configuration_update_wins() -> None:
    request = parse(
        {
            "input": [
                {"type": "configuration_update", "reasoning": {"effort": "low"}},
                {"type": "configuration_update", "reasoning": {"effort": "high"}},
                {"type": "configuration_update", "text": {"format": {"type": "json_object"}}},
            ],
            "reasoning": {"effort": "minimal"},
        }
    )
    assert request.reasoning is not None
    assert request.reasoning.level is ir.Level.HIGH
    assert request.output is not None
    assert request.output.kind is ir.OutputKind.JSON_OBJECT
    assert [u.loss for u in request.unshared] == [Loss.VALUE] * 3


def test_sta_10_an_item_sent_twice_counts_once() -> None:
    message = {"type": "message", "id": "msg_1", "role": "user", "content": "hi"}
    call = {**CALL, "id": "fc_1"}
    assert len(parts_of(message, message, call, call, OUTPUT)) == 3
    other = {**CALL, "id": "fc_1", "call_id": "c2"}
    assert [p.call_id for p in parts_of(call, other) if isinstance(p, ir.ToolCall)] == ["c1", "c2"]
