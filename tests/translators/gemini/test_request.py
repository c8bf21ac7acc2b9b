"""What a Gemini client may write, in either spelling."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from google.genai import types

from tests.translators.gemini.support import (
    CAPTURES,
    EXAMPLES,
    assistant,
    call,
    hub,
    parse,
    parse_parts,
    render,
    result,
    system,
    user,
)
from translators import ir
from translators.base import Call
from translators.errors import ErrorKind, GatewayError
from translators.gemini import TRANSLATOR
from translators.losses import Degradation, Loss, Losses, Mode

HI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


@pytest.mark.parametrize(
    "body", [pytest.param(b, id=f"{i}") for i, b in enumerate(EXAMPLES["request"])]
)
@pytest.mark.parametrize("mode", list(Mode))
def test_the_examples_of_the_reference_go_through(body: dict[str, Any], mode: Mode) -> None:
    request = parse(
        {key: item for key, item in body.items() if key not in ("labels", "safetySettings")}
    )
    rendered = render(request, mode).body
    defaults = {"labels", "safetySettings"}
    if body["toolConfig"] == {"functionCallingConfig": {"mode": "AUTO"}}:
        defaults.add("toolConfig")
    assert rendered.keys() == body.keys() - defaults
    # A placeholder stands for no state and is not sent to a model that needs none.
    assert repr(rendered["contents"]) == repr(
        [
            {**content, "parts": [_without_placeholder(part) for part in content["parts"]]}
            for content in body["contents"]
        ]
    )


def _without_placeholder(part: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in part.items() if v != "skip_thought_signature_validator"}


def snake(value: Any) -> Any:
    """A body in snake_case, as some clients write it."""
    if isinstance(value, list):
        return [snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    opaque = {"args", "response", "parameters", "headers"}
    opaque |= {"parametersJsonSchema", "parameters_json_schema"}
    return {
        "".join(f"_{c.lower()}" if c.isupper() else c for c in key): item
        if key in opaque
        else snake(item)
        for key, item in value.items()
    }


@pytest.mark.parametrize(
    "body",
    [
        *[pytest.param(b, id=f"example {i}") for i, b in enumerate(EXAMPLES["request"])],
        *[pytest.param(r["body"], id=name) for name, rs in CAPTURES.items() for r in rs[-1:]],
        *[
            pytest.param({"contents": [{"role": "model", "parts": [part]}]}, id=f"part {i}")
            for i, part in enumerate(EXAMPLES["part"][0])
        ],
        *[
            pytest.param({**HI, "tools": [tool]}, id=f"tool {i}")
            for i, tool in enumerate(EXAMPLES["tool"][0])
        ],
        *[
            pytest.param({**HI, "toolConfig": c}, id=f"config {i}")
            for i, c in enumerate(EXAMPLES["tool_config"][0])
        ],
    ],
)
def test_sys_07_and_med_13_both_spellings_mean_the_same(body: dict[str, Any]) -> None:
    camel, other = parse(body), parse(snake(body))
    strip = {"unshared": ()}
    assert _fields(camel, strip) == _fields(other, strip)
    assert [lost.loss for lost in camel.unshared] == [lost.loss for lost in other.unshared]
    assert Loss.UNKNOWN not in [lost.loss for lost in camel.unshared]


def _fields(request: ir.Request, without: dict[str, Any]) -> dict[str, Any]:
    return {name: getattr(request, name) for name in request.__slots__ if name not in without}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("S", id="a string"),
        pytest.param({"parts": [{"text": "S"}]}, id="without role"),
        pytest.param({"role": "system", "parts": [{"text": "S"}]}, id="with a role of its own"),
        pytest.param({"parts": {"text": "S"}}, id="one part, no array"),
        pytest.param({"parts": "S"}, id="a string for parts"),
        pytest.param({"text": "S"}, id="a bare part"),
        pytest.param([{"text": "S"}], id="an array of parts"),
    ],
)
@pytest.mark.parametrize("key", ["systemInstruction", "system_instruction"])
def test_sys_07_system_instruction_in_every_shape(key: str, value: Any) -> None:
    messages = parse({**HI, key: value}).messages
    assert messages[0] == system("S")
    assert len(messages) == 2


def test_sys_21_all_parts_of_a_system_instruction_in_order() -> None:
    value = {"parts": [{"text": "S1"}, {"text": ""}, {"text": "S2"}]}
    messages = parse({**HI, "systemInstruction": value}).messages
    assert messages[:2] == (system("S1"), system("S2"))
    assert messages[1].parts[0].path == "systemInstruction.parts[2]"  # type: ignore[union-attr]


def test_sys_17_an_image_in_system_text_is_refused() -> None:
    value = {"parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}]}
    with pytest.raises(GatewayError) as caught:
        parse({**HI, "systemInstruction": value})
    assert caught.value.path == "systemInstruction.parts[0]"


@pytest.mark.parametrize(
    "contents",
    [
        pytest.param("hi", id="a string"),
        pytest.param(["hi"], id="an array of strings"),
        pytest.param({"parts": [{"text": "hi"}]}, id="one content without role"),
        pytest.param([{"role": "user", "parts": ["hi"]}], id="string parts"),
        pytest.param([{"role": None, "parts": {"text": "hi"}}], id="role null, one part"),
    ],
)
def test_contents_in_every_shape(contents: Any) -> None:
    assert parse({"contents": contents}).messages == (user("hi"),)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        pytest.param({}, "contents", id="no contents"),
        pytest.param({"contents": []}, "contents", id="empty contents"),
        pytest.param({"contents": [{"role": "robot"}]}, "contents[0].role", id="a strange role"),
        pytest.param({"contents": [{"parts": [{"hologram": 1}]}]}, "contents[0].parts[0]", id="a strange part"),
        pytest.param({"contents": [{"parts": [{"functionCall": {}}]}]}, "contents[0].parts[0].functionCall.name", id="a call without name"),
        pytest.param({**HI, "generation_config": {"max_output_tokens": "x"}}, "generation_config.max_output_tokens", id="the client's own spelling in the path"),
        pytest.param({**HI, "generationConfig": {"thinkingConfig": {"thinkingLevel": "EXTREME"}}}, "generationConfig.thinkingConfig.thinkingLevel", id="a strange level"),
        pytest.param({**HI, "toolConfig": {"functionCallingConfig": {"mode": "MAYBE"}}}, "toolConfig.functionCallingConfig.mode", id="a strange mode"),
        pytest.param({**HI, "generationConfig": {"responseMimeType": "text/html"}}, "generationConfig.responseMimeType", id="a strange answer type"),
        pytest.param({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "?"}}]}]}, "contents[0].parts[0].inlineData.data", id="damaged base64"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_path(body: dict[str, Any], path: str) -> None:
    with pytest.raises(GatewayError) as caught:
        parse(body)
    assert (caught.value.kind, caught.value.path) == (ErrorKind.INVALID_REQUEST, path)


def test_model_and_stream_come_from_the_url() -> None:
    request = TRANSLATOR.parse_request(
        {**HI, "model": "body"}, Call(model="url", stream=True), None
    )
    assert (request.model, request.stream) == ("url", True)


def test_cnt_06_both_bodies_of_count_tokens() -> None:
    bare = parse({**HI, "systemInstruction": "S"})
    wrapped = {"generateContentRequest": {"model": "models/m", **HI, "systemInstruction": "S"}}
    assert parse(wrapped) == bare
    assert TRANSLATOR.parse_request(wrapped, Call(), None).model == "m"


# ------------------------------------------------------------------------------------- fields


@pytest.mark.parametrize(
    ("extra", "path", "loss"),
    [
        pytest.param({"labels": {"a": "b"}}, "labels", Loss.TELEMETRY, id="labels"),
        pytest.param({"cachedContent": "cachedContents/x"}, "cachedContent", Loss.IMPOSSIBLE, id="CAC-10 cachedContent"),
        pytest.param({"continuationToken": "eA=="}, "continuationToken", Loss.IMPOSSIBLE, id="continuation"),
        pytest.param({"modelArmorConfig": {"promptTemplateName": "x"}}, "modelArmorConfig", Loss.SAFETY, id="model armor"),
        pytest.param({"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_LOW_AND_ABOVE"}]}, "safetySettings[0]", Loss.SAFETY, id="PAR-17 strict safety"),
        pytest.param({"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]}, "safetySettings[0]", Loss.NOTE, id="loose safety"),
        pytest.param({"generationConfig": {"speechConfig": {"languageCode": "en"}}}, "generationConfig.speechConfig", Loss.MEANING, id="speech"),
        pytest.param({"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}}, "generationConfig.responseModalities", Loss.MEANING, id="image output"),
        pytest.param({"generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_LOW"}}, "generationConfig.mediaResolution", Loss.HINT, id="media resolution"),
        pytest.param({"generationConfig": {"routingConfig": {"autoMode": {}}}}, "generationConfig.routingConfig", Loss.TELEMETRY, id="routing"),
        pytest.param({"generationConfig": {"enableAffectiveDialog": True}}, "generationConfig.enableAffectiveDialog", Loss.IMPOSSIBLE, id="live only"),
        pytest.param({"toolConfig": {"retrievalConfig": {"languageCode": "en"}}}, "toolConfig.retrievalConfig", Loss.HINT, id="retrieval"),
        pytest.param({"frobnicate": 1}, "frobnicate", Loss.UNKNOWN, id="PAR-15 an unknown field"),
        pytest.param({"generationConfig": {"frobnicate": 1}}, "generationConfig.frobnicate", Loss.UNKNOWN, id="an unknown option"),
    ],
)  # fmt: skip
def test_fields_of_gemini_alone_keep_their_class(
    extra: dict[str, Any], path: str, loss: Loss
) -> None:
    (lost,) = parse({**HI, **extra}).unshared
    assert (lost.path, lost.loss) == (path, loss)


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"labels": {}, "store": None, "cachedContent": ""}, id="protobuf defaults"),
        pytest.param({"generationConfig": {"speechConfig": None, "audioTimestamp": False}}, id="options"),
        pytest.param({"generationConfig": {"responseModalities": ["TEXT"]}}, id="text output"),
        pytest.param({"safetySettings": [{"category": "X", "threshold": "HARM_BLOCK_THRESHOLD_UNSPECIFIED"}]}, id="no threshold"),
        pytest.param({"generationConfig": {}, "tools": [], "toolConfig": {}}, id="empty objects"),
    ],
)  # fmt: skip
def test_defaults_are_no_loss(extra: dict[str, Any]) -> None:
    assert parse({**HI, **extra}).unshared == ()


def test_loose_safety_settings_warn_in_every_mode() -> None:
    setting = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}
    for mode in Mode:
        losses = Losses(mode)
        asked = parse({**HI, "safetySettings": [setting]})
        render(replace(asked, protocol="another"), losses=losses)
        assert losses.degradations == (
            Degradation("safetySettings[0]", "safety settings have no equivalent"),
        )
        assert render(asked, losses=Losses(mode)).body["safetySettings"] == [setting]


@pytest.mark.parametrize(
    ("wire", "tier"),
    [("standard", "default"), ("FLEX", "flex"), ("priority", "priority"), ("unspecified", None)],
)
def test_service_tiers(wire: str, tier: str | None) -> None:
    assert parse({**HI, "serviceTier": wire}).service_tier == tier


@pytest.mark.parametrize(
    ("tier", "wire"),
    [("default", "standard"), ("ultrafast", "priority"), ("auto", None), ("scale", None)],
)
def test_service_tiers_of_others(tier: str, wire: str | None) -> None:
    assert render(hub(user("hi"), service_tier=tier)).body.get("serviceTier") == wire


def test_the_sdks_own_request_objects_are_understood() -> None:
    """What `google.genai` makes of its models is read without a remainder."""
    contents = [
        types.Content(
            role="user",
            parts=[
                types.Part(text="see"),
                types.Part(
                    inline_data=types.Blob(mime_type="image/png", data=b"\x89PNG\r\n\x1a\n")
                ),
            ],
        )
    ]
    config = types.GenerationConfig(
        temperature=0.5,
        top_k=3,
        max_output_tokens=9,
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=512),
    )
    tool = types.Tool(
        function_declarations=[
            types.FunctionDeclaration(name="f", parameters_json_schema={"type": "object"})
        ]
    )
    for by_alias in (True, False):
        dump = {"mode": "json", "exclude_none": True, "by_alias": by_alias}
        request = parse(
            {
                "contents": [content.model_dump(**dump) for content in contents],
                "generationConfig": config.model_dump(**dump),
                "tools": [tool.model_dump(**dump)],
            }
        )
        assert request.unshared == ()
        assert isinstance(request.messages[0].parts[1], ir.Image)
        assert request.sampling == ir.Sampling(temperature=0.5, top_k=3)
        assert request.reasoning == ir.ReasoningControl(
            level=ir.Level.MINIMAL, budget_tokens=512, summary=True
        )
        assert [t.name for t in request.tools if isinstance(t, ir.FunctionTool)] == ["f"]


# -------------------------------------------------------------------------------- calls and results


def test_id_02_results_without_ids_pair_with_calls_in_order() -> None:
    request = parse(
        {
            "contents": [
                {"role": "model", "parts": [
                    {"functionCall": {"name": "f", "args": {"n": 1}}},
                    {"functionCall": {"name": "g", "args": {}}},
                    {"functionCall": {"name": "f", "args": {"n": 2}}},
                ]},
                {"role": "user", "parts": [
                    {"functionResponse": {"name": "g", "response": {"output": "G"}}},
                    {"functionResponse": {"name": "f", "response": {"output": "one"}}},
                    {"functionResponse": {"name": "f", "response": {"output": "two"}}},
                ]},
            ]
        }
    )  # fmt: skip
    calls, results = request.messages[0].parts, request.messages[1].parts
    ids = [part.call_id for part in calls]  # type: ignore[union-attr]
    assert len(set(ids)) == 3
    assert [part.call_id for part in results] == [ids[1], ids[0], ids[2]]  # type: ignore[union-attr]


def test_id_01_a_longer_history_gives_the_same_ids() -> None:
    turn = [
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "f", "response": {"output": "x"}}}],
        },
    ]
    short, long = parse({"contents": turn}), parse({"contents": turn * 3})
    assert long.messages[:2] == short.messages
    ids = [part.call_id for m in long.messages for part in m.parts]  # type: ignore[union-attr]
    assert len(set(ids)) == 3


def test_an_id_that_only_the_response_has_pairs_by_name() -> None:
    request = parse(
        {
            "contents": [
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
                {"parts": [{"functionResponse": {"id": "z", "name": "f", "response": {}}}]},
            ]
        }
    )
    made, answered = request.messages[0].parts[0], request.messages[1].parts[0]
    assert made.call_id == answered.call_id  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("response", "text", "is_error"),
    [
        pytest.param({"output": "4 C"}, "4 C", False, id="output"),
        pytest.param({"result": "4 C"}, "4 C", False, id="result"),
        pytest.param({"output": {"t": 4}}, '{"t":4}', False, id="an object as output"),
        pytest.param({"output": 0}, "0", False, id="a number as output"),
        pytest.param({"error": "boom"}, "boom", True, id="error"),
        pytest.param({"o": 1}, '{"o":1}', False, id="RES-19 any other object"),
        pytest.param({"output": "x", "error": "y"}, '{"output":"x","error":"y"}', False, id="both"),
        pytest.param({}, "{}", False, id="an empty object"),
        pytest.param(None, "", False, id="null"),
        pytest.param("bare", "bare", False, id="a string"),
    ],
)
def test_the_text_of_a_response(response: Any, text: str, is_error: bool) -> None:
    (part,) = parse_parts({"functionResponse": {"name": "f", "response": response}}, role="user")
    assert isinstance(part, ir.ToolResult)
    assert "".join(item.text for item in part.content) == text  # type: ignore[union-attr]
    assert part.is_error is is_error


def test_media_in_a_result() -> None:
    png = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
    wav = {"inlineData": {"mimeType": "audio/wav", "data": "UklGRgAAAABXQVZF"}}
    response = {"name": "shot", "response": {"output": "see"}, "parts": [png, wav]}
    request = parse({"contents": [{"parts": [{"functionResponse": response}]}]})
    part = request.messages[0].parts[0]
    assert isinstance(part, ir.ToolResult)
    assert [type(item) for item in part.content] == [ir.Text, ir.Image]
    assert [lost.loss for lost in request.unshared] == [Loss.MEANING]


def test_res_15_arguments_of_any_shape_stay_json() -> None:
    for args, text in ((None, "{}"), ({}, "{}"), ({"a": 2**63 + 1}, '{"a":9223372036854775809}')):
        (part,) = parse_parts({"functionCall": {"name": "f", "args": args}})
        assert isinstance(part, ir.ToolCall)
        assert part.arguments == text


# ------------------------------------------------------------------------------------------- parts


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        pytest.param({"inlineData": {"mimeType": "image/jpg", "data": "_9j_4A"}}, ir.Image(source=ir.Inline(media_type="image/jpeg", data="/9j/4A==")), id="URL-safe base64, an odd type"),
        pytest.param({"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0xLjQ=", "displayName": "a.pdf"}}, ir.Document(source=ir.Inline(media_type="application/pdf", data="JVBERi0xLjQ="), title="a.pdf"), id="a PDF"),
        pytest.param({"inlineData": {"mimeType": "audio/wav", "data": "UklGRgAAAABXQVZF"}}, ir.Audio(source=ir.Inline(media_type="audio/wav", data="UklGRgAAAABXQVZF")), id="sound"),
        pytest.param({"fileData": {"mimeType": "image/png", "fileUri": "gs://b/a.png"}}, ir.Image(source=ir.Url(url="gs://b/a.png", media_type="image/png")), id="a bucket"),
        pytest.param({"fileData": {"fileUri": "https://e.com/a.png?x=1"}}, ir.Image(source=ir.Url(url="https://e.com/a.png?x=1", media_type="image/png")), id="a type guessed from the address"),
        pytest.param({"fileData": {"fileUri": "https://youtu.be/x"}, "videoMetadata": {"fps": 1}}, ir.Video(source=ir.Url(url="https://youtu.be/x", media_type="video/mp4"), options={"fps": 1}), id="a video"),
        pytest.param({"fileData": {"mimeType": "video/mp4", "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}}, ir.Video(source=ir.FileId(file_id="https://generativelanguage.googleapis.com/v1beta/files/abc", protocol="gemini", media_type="video/mp4")), id="a stored file"),
        pytest.param({"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}, "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"}}, ir.Image(source=ir.Inline(media_type="image/png", data="iVBORw0KGgo="), detail="high"), id="detail"),
    ],
)  # fmt: skip
def test_media_parts(part: dict[str, Any], expected: ir.Part) -> None:
    assert parse_parts(part, role="user") == (expected,)


def test_every_part_of_the_reference_goes_out_as_it_came() -> None:
    for part in EXAMPLES["part"][0]:
        role = "user" if "functionResponse" in part else "model"
        request = parse({"contents": [{"role": role, "parts": [part]}]})
        losses = Losses()
        rendered = render(_answered(request), losses=losses, vertex=True).body["contents"]
        mine = [found for content in rendered for found in content["parts"]]
        expected = json.loads(json.dumps(part))
        if expected.get("inlineData", {}).get("mimeType") == "image/png":
            expected["inlineData"].pop("displayName", None)  # pictures have no title in the hub
        if "functionResponse" in part and "id" not in part["functionResponse"]:
            continue  # an orphan: it becomes text
        if "functionCall" in expected or "functionResponse" in expected:
            assert any(_like(found, expected) for found in mine), part
        else:
            assert expected in mine, part


def _answered(request: ir.Request) -> ir.Request:
    """The request with the calls that its results lack."""
    (message,) = request.messages
    results = [part for part in message.parts if isinstance(part, ir.ToolResult)]
    if not results:
        return request
    made = [call(part.call_id, part.name or "") for part in results]
    return ir.Request(protocol="gemini", model="m", messages=(user("x"), assistant(*made), message))


def _like(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    return all(found.get(key) == value for key, value in expected.items())


def test_adjacent_thoughts_are_one_piece_of_reasoning() -> None:
    parts = parse_parts(
        {"text": "a", "thought": True}, {"text": "b", "thought": True}, {"text": "c"}
    )
    assert parts == (ir.Reasoning(text="ab"), ir.Text(text="c"))


def test_text_beside_a_call_is_kept_and_two_kinds_of_content_are_refused() -> None:
    made = {"name": "f", "id": "c", "args": {}}
    parts = parse_parts({"text": "a", "functionCall": made})
    assert [type(part) for part in parts] == [ir.Text, ir.ToolCall]
    with pytest.raises(GatewayError) as caught:
        parse_parts({"functionCall": made, "functionResponse": made})
    assert caught.value.path == "contents[0].parts[0]"


def test_code_and_its_result_are_one_part() -> None:
    (run,) = parse_parts(
        {"executableCode": {"language": "PYTHON", "code": "1", "id": "x"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "no", "id": "x"}},
    )
    assert isinstance(run, ir.CodeRun)
    assert (run.call_id, run.code, run.output, run.ok) == ("x", "1", "no", False)


def test_results_with_flags_lose_them_as_a_hint() -> None:
    response = {
        "id": "c",
        "name": "f",
        "response": {},
        "willContinue": True,
        "scheduling": "SILENT",
    }
    request = parse({"contents": [{"parts": [{"functionResponse": response}]}]})
    assert [lost.loss for lost in request.unshared] == [Loss.HINT, Loss.HINT]


def test_res_21_results_and_text_of_one_content_stay_together() -> None:
    request = parse(
        {
            "contents": [
                {"role": "model", "parts": [{"functionCall": {"id": "c", "name": "f"}}]},
                {"parts": [{"text": "and"}, {"functionResponse": {"id": "c", "name": "f"}}]},
            ]
        }
    )
    parts = render(request).body["contents"][-1]["parts"]
    assert "functionResponse" in parts[0]
    assert parts[1] == {"text": "and"}
    assert result("c").call_id == "c"
