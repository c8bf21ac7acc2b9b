"""Conversations of other protocols as a Gemini upstream wants them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.gemini.support import (
    EXAMPLES,
    assistant,
    call,
    hub,
    render,
    result,
    system,
    user,
)
from translators import ir
from translators.errors import ErrorKind, GatewayError
from translators.gemini.request import GO_ON
from translators.losses import Losses, Mode
from translators.profile import MidSystem

PNG = ir.Inline(media_type="image/png", data="iVBORw0KGgo=")
PDF = ir.Inline(media_type="application/pdf", data="JVBERi0xLjQ=")


def contents(*messages: ir.Message, **profile: Any) -> list[dict[str, Any]]:
    """The rendered conversation."""
    found: list[dict[str, Any]] = render(hub(*messages), **profile).body["contents"]
    return found


def test_section_24_the_conversation_of_the_rule_book() -> None:
    request = hub(
        system("Be brief."),
        user("Weather in Oslo and Rome?"),
        assistant(
            "Checking.",
            call("call_a1", "get_weather", '{"city":"Oslo"}'),
            call("call_b2", "get_weather", '{"city":"Rome"}'),
        ),
        user(result("call_a1", "4 C"), result("call_b2", "timeout", is_error=True)),
        tools=(
            ir.FunctionTool(
                name="get_weather",
                schema={
                    "type": "object",
                    "properties": {"city": {"type": "string"}},
                    "required": ["city"],
                    "additionalProperties": False,
                },
            ),
        ),
        tool_choice=ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED),
        reasoning=ir.ReasoningControl(level=ir.Level.HIGH, summary=True),
        max_output_tokens=4096,
    )
    assert render(request, signatures_required=True).body == EXAMPLES["request"][1]


def test_roles_are_merged() -> None:
    found = contents(user("a"), user("b"), assistant("c"), assistant("d"), user("e"))
    assert [content["role"] for content in found] == ["user", "model", "user"]
    assert found[0]["parts"] == [{"text": "a"}, {"text": "b"}]


def test_sys_10_empty_text_is_never_sent() -> None:
    found = contents(user("", "a"), assistant("", call()), user(result(), ""))
    assert found[0]["parts"] == [{"text": "a"}]
    assert len(found[1]["parts"]) == 1
    with pytest.raises(GatewayError):
        contents(user(""))
    assert "systemInstruction" not in render(hub(system(""), user("a"))).body


def test_a_later_system_message_keeps_its_place_or_moves_to_the_front() -> None:
    messages = (system("S"), user("a"), assistant("b"), system("late"), user("c"))
    kept = render(hub(*messages)).body
    assert kept["systemInstruction"] == {"parts": [{"text": "S"}]}
    assert "<system>" in kept["contents"][2]["parts"][0]["text"]
    moved = render(hub(*messages), mid_system=MidSystem.HOIST).body
    assert moved["systemInstruction"]["parts"] == [{"text": "S"}, {"text": "late"}]
    with pytest.raises(GatewayError):
        render(hub(*messages), Mode.STRICT)


def test_results_stand_first_in_call_order_in_one_content() -> None:
    found = contents(
        user("x"),
        assistant(call("a", "f"), call("b", "g")),
        user("text", result("b", "B"), result("a", "A")),
    )
    names = [part.get("functionResponse", {}).get("name") for part in found[2]["parts"]]
    assert names == ["f", "g", None]


def test_id_10_the_name_of_a_result_is_looked_up() -> None:
    found = contents(user("x"), assistant(call("toolu_x-y", "get")), user(result("toolu_x-y", "1")))
    response = found[2]["parts"][0]["functionResponse"]
    assert (response["name"], response["id"]) == ("get", "toolu_x-y")


def test_tool_11_and_13_names_are_made_legal_and_unique_everywhere() -> None:
    refs = ["mcp__srv/tool", "a.b", "a_b", "工具", "x" * 70]
    request = hub(
        user("x"),
        assistant(*[call(str(i), name) for i, name in enumerate(refs)]),
        user(*[result(str(i), "r") for i in range(len(refs))]),
        tools=tuple(ir.FunctionTool(name=name) for name in refs),
        tool_choice=ir.ToolChoice(
            mode=ir.ChoiceMode.REQUIRED, allowed=(ir.ToolRef("mcp__srv/tool"),)
        ),
    )
    losses = Losses(Mode.STRICT)
    rendered = render(request, losses=losses)
    declared = [tool["name"] for tool in rendered.body["tools"][0]["functionDeclarations"]]
    assert len(set(declared)) == len(refs)
    assert all(len(name) <= 64 and name.isascii() for name in declared)
    made = [part["functionCall"]["name"] for part in rendered.body["contents"][1]["parts"]]
    answered = [part["functionResponse"]["name"] for part in rendered.body["contents"][2]["parts"]]
    assert made == answered == declared
    choice = rendered.body["toolConfig"]["functionCallingConfig"]
    assert choice["allowedFunctionNames"] == declared[:1]
    assert [rendered.reading.tool(name).name for name in declared] == refs
    assert losses.degradations


def test_a_namespace_is_part_of_the_name_and_comes_back() -> None:
    tool = ir.FunctionTool(name="read", namespace="mcp_x")
    made = call("c", "read", namespace="mcp_x")
    rendered = render(hub(user("x"), assistant(made), user(result("c")), tools=(tool,)))
    assert rendered.body["contents"][1]["parts"][0]["functionCall"]["name"] == "mcp_x__read"
    assert rendered.body["contents"][2]["parts"][0]["functionResponse"]["name"] == "mcp_x__read"
    assert rendered.reading.tool("mcp_x__read") == ir.ToolRef("read", "mcp_x")


@pytest.mark.parametrize(
    ("content", "fields", "response"),
    [
        pytest.param(("4 C",), {}, {"output": "4 C"}, id="text"),
        pytest.param(('{"t":4}',), {}, {"output": {"t": 4}}, id="a JSON object"),
        pytest.param(("[1]",), {}, {"output": "[1]"}, id="a JSON array stays text"),
        pytest.param(("{ cut",), {}, {"output": "{ cut"}, id="RES-05 what only looks like JSON"),
        pytest.param(("boom",), {"is_error": True}, {"error": "boom"}, id="an error"),
        pytest.param((), {}, {"output": ""}, id="nothing"),
        pytest.param(("a", "b"), {}, {"output": "a\nb"}, id="several texts"),
        pytest.param(("null",), {}, {"output": "null"}, id="a JSON scalar stays text"),
    ],
)
def test_the_response_of_a_result(content: Any, fields: Any, response: Any) -> None:
    found = contents(user("x"), assistant(call()), user(result("c1", *content, **fields)))
    assert found[2]["parts"][0]["functionResponse"]["response"] == response


@pytest.mark.parametrize(
    ("arguments", "args"),
    [
        pytest.param("", {}, id="RES-16 none"),
        pytest.param('{"a":9223372036854775809}', {"a": 9223372036854775809}, id="TOOL-26 digits"),
        pytest.param("{cut", {"_raw": "{cut"}, id="RES-17 cut"),
        pytest.param("null", {}, id="null"),
    ],
)
def test_arguments_of_history(arguments: str, args: Any) -> None:
    found = contents(user("x"), assistant(call(arguments=arguments)), user(result()))
    assert found[1]["parts"][0]["functionCall"]["args"] == args


def test_a_freeform_call_goes_under_its_one_key() -> None:
    made = call("c", "patch", "*** Begin", kind=ir.ToolKind.CUSTOM)
    answered = result("c", "ok", kind=ir.ToolKind.CUSTOM)
    request = hub(user("x"), assistant(made), user(answered), tools=(ir.CustomTool(name="patch"),))
    rendered = render(request)
    assert rendered.body["contents"][1]["parts"][0]["functionCall"]["args"] == {
        "input": "*** Begin"
    }
    assert rendered.reading.custom == {ir.ToolRef("patch")}


# ------------------------------------------------------------------------------------------- media


def test_images_in_results_go_beside_the_response() -> None:
    shot = result("c1", "see", ir.Image(source=PNG))
    found = contents(user("x"), assistant(call()), user(shot))
    response = found[2]["parts"][0]["functionResponse"]
    assert response["response"] == {"output": "see"}
    assert response["parts"] == [{"inlineData": {"mimeType": "image/png", "data": PNG.data}}]


def test_images_in_results_have_no_resolution_of_their_own() -> None:
    shot = result("c1", "see", ir.Image(source=PNG, detail="high", path="p"))
    rendered = render(hub(user("x"), assistant(call()), user(shot)))
    response = rendered.body["contents"][2]["parts"][0]["functionResponse"]
    assert response["parts"] == [{"inlineData": {"mimeType": "image/png", "data": PNG.data}}]


def test_images_in_results_follow_as_content_where_results_hold_none() -> None:
    shot = result("c1", "see", ir.Image(source=PNG))
    found = contents(user("x"), assistant(call()), user(shot), tool_result_media=False)
    first, second = found[2]["parts"]
    assert first["functionResponse"]["response"] == {"output": "see\n[image attached below]"}
    assert "parts" not in first["functionResponse"]
    assert second["inlineData"]["data"] == PNG.data


@pytest.mark.parametrize(
    ("part", "wire"),
    [
        pytest.param(ir.Image(source=PNG, detail="low"), {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}, "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}}, id="an image with detail"),
        pytest.param(ir.Image(source=ir.Url(url="gs://b/a.png", media_type="image/png")), {"fileData": {"mimeType": "image/png", "fileUri": "gs://b/a.png"}}, id="a bucket"),
        pytest.param(ir.Document(source=PDF, title="a.pdf"), {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0xLjQ="}}, id="a PDF"),
        pytest.param(ir.Document(source=ir.PlainText(text="T"), title="n.txt"), {"text": "# n.txt\nT"}, id="a text document"),
        pytest.param(ir.Audio(source=ir.Inline(media_type="audio/wav", data="UklGRg==")), {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}, id="MED-09 sound"),
        pytest.param(ir.Video(source=ir.Url(url="gs://b/v.mp4", media_type="video/mp4")), {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/v.mp4"}}, id="MED-10 a video"),
    ],
)  # fmt: skip
def test_media_of_a_user(part: ir.Part, wire: dict[str, Any]) -> None:
    assert contents(user(part))[0]["parts"] == [wire]


def test_med_01_an_address_must_be_fetched_first() -> None:
    image = ir.Image(source=ir.Url(url="https://e.com/a.png"), path="messages[0].content[1]")
    for mode in Mode:
        with pytest.raises(GatewayError) as caught:
            render(hub(user(image)), mode)
        assert caught.value.kind is ErrorKind.UNTRANSLATABLE
        assert caught.value.path == "messages[0].content[1]"
        assert "fetch" in caught.value.message
    (part,) = contents(user(image), file_uris=True)[0]["parts"]
    assert part == {"fileData": {"fileUri": "https://e.com/a.png"}}


def test_files_of_other_providers_and_odd_pictures_are_refused() -> None:
    for source in (
        ir.FileId(file_id="file_1", protocol="openai_responses"),
        ir.Inline(media_type="image/tiff", data="SUkqAA=="),
    ):
        with pytest.raises(GatewayError) as caught:
            contents(user(ir.Image(source=source)))
        assert caught.value.kind is ErrorKind.UNTRANSLATABLE


def test_a_text_only_model_loses_pictures_by_class() -> None:
    request = hub(user("see", ir.Image(source=PNG)))
    losses = Losses()
    body = render(request, losses=losses, image_types=frozenset()).body
    assert body["contents"][0]["parts"] == [{"text": "see"}, {"text": "[image omitted]"}]
    assert losses.degradations
    with pytest.raises(GatewayError):
        render(request, Mode.BALANCED, image_types=frozenset())


def test_code_that_another_provider_ran_is_said_in_geminis_words() -> None:
    run = ir.CodeRun(call_id="x", code="print(1)", output="1", protocol="openai_responses")
    found = contents(user("x"), assistant(run, "so"), user("y"))
    code, outcome, _ = found[1]["parts"]
    assert code == {"executableCode": {"language": "PYTHON", "code": "print(1)"}}
    assert outcome == {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}


def test_a_missing_result_is_made_up_only_in_max_compat() -> None:
    request = hub(user("x"), assistant(call()), user("go on"))
    parts = render(request).body["contents"][2]["parts"]
    assert parts[0]["functionResponse"]["response"] == {"error": "(no result)"}
    with pytest.raises(GatewayError):
        render(request, Mode.BALANCED)


def test_a_trailing_model_turn_is_history_and_the_user_has_the_last_word() -> None:
    written = contents(user("x"), assistant("{"))
    assert [content["role"] for content in written] == ["user", "model", "user"]
    assert written[-1]["parts"] == [{"text": GO_ON}]


def test_cac_09_a_longer_conversation_keeps_the_bytes_of_the_shorter() -> None:
    turn = (user("x"), assistant("a", call()), user(result("c1", "r")), assistant("b"), user("y"))
    short, longer = contents(*turn), contents(*turn, assistant("c"), user("z"))
    assert longer[: len(short)] == short
