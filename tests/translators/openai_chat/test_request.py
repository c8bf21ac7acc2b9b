"""Requests of Chat clients: every documented field is read, what nobody knows is noted, faults name their path."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.openai_chat.support import (
    BODY,
    CAPTURES,
    EXAMPLES,
    SEAL,
    parse,
    parse_messages,
)
from translators import ir
from translators.base import Call
from translators.errors import ErrorKind, GatewayError
from translators.losses import Loss
from translators.openai_chat import TRANSLATOR

PNG = "data:image/png;base64,iVBORw0KGgo="
TOOL = {"type": "function", "function": {"name": "f"}}


def noted(**fields: Any) -> dict[str, Loss]:
    """The classes of what is unshared in a request of these fields."""
    return {item.path: item.loss for item in parse(**fields).unshared}


def refused(**fields: Any) -> str | None:
    """The path that a request of these fields is refused at."""
    with pytest.raises(GatewayError) as caught:
        parse(**fields)
    assert caught.value.kind is ErrorKind.INVALID_REQUEST
    return caught.value.path


def user_part(part: dict[str, Any]) -> ir.Part:
    """One content part of a user message, read."""
    (message,) = parse_messages({"role": "user", "content": [part]}).messages
    return message.parts[0]


# ----------------------------------------------------------------------------------- whole requests


def test_the_documented_example() -> None:
    request = TRANSLATOR.parse_request(EXAMPLES["request"][0], Call(), None)
    assert request.model == "gpt-6-sol"
    assert [message.role for message in request.messages] == [ir.Role.SYSTEM, ir.Role.USER]
    text, image = request.messages[1].parts
    assert text == ir.Text(text="What is in this picture?", cache=ir.CacheMark(ttl="30m"))
    assert image == ir.Image(source=ir.Url(url="https://example.com/a.png"), detail="high")
    assert isinstance(request.tools[0], ir.FunctionTool)
    assert request.tools[0].strict is True
    assert request.tool_choice == ir.ToolChoice(mode=ir.ChoiceMode.AUTO)
    assert request.parallel_tool_calls is True
    assert request.reasoning == ir.ReasoningControl(level=ir.Level.LOW)
    assert request.verbosity == "low"
    assert request.max_output_tokens == 2048
    assert request.cache_key == "tenant-7"
    assert request.cache_prefix == ir.CacheMark(ttl="30m")
    assert request.end_user == "u_5f1c"
    assert request.service_tier is None
    assert request.store is False
    assert (request.stream, request.stream_usage) == (True, True)
    assert request.unshared == ()


@pytest.mark.parametrize(
    ("name", "body"),
    [(name, body) for name, bodies in CAPTURES.items() for body in bodies],
    ids=[f"{name} {i}" for name, bodies in CAPTURES.items() for i in range(len(bodies))],
)
def test_what_real_clients_send_is_understood_to_the_last_field(
    name: str, body: dict[str, Any]
) -> None:
    request = TRANSLATOR.parse_request(body, Call(), SEAL)
    assert request.unshared == (), name
    assert len(request.tools) == len(body.get("tools", ()))


def test_reasoning_of_a_real_client_comes_back() -> None:
    body = CAPTURES["opencode-1.18.33-reasoning-tool"][2]
    turn = TRANSLATOR.parse_request(body, Call(), None).messages[2]
    assert [type(part) for part in turn.parts] == [ir.Reasoning, ir.ToolCall]


def test_all_documented_message_shapes() -> None:
    request = parse(messages=EXAMPLES["message"])
    roles = [message.role.value for message in request.messages]
    assert roles == ["system", "system", "user", "assistant", "user", *["assistant"] * 4, "user"]
    assert request.messages[2].name == "ann"
    first, second = request.messages[3].parts
    assert first == ir.ToolCall(call_id="call_a1", name="get_weather", arguments='{"city":"Oslo"}')
    assert second == ir.ToolCall(
        call_id="call_b2", name="run_sql", arguments="select 1", kind=ir.ToolKind.CUSTOM
    )
    results = request.messages[4].parts
    assert [part.call_id for part in results if isinstance(part, ir.ToolResult)] == [
        "call_a1",
        "call_b2",
    ]
    refusal = (ir.Refusal(text="I can't help with that."),)
    assert request.messages[6].parts == request.messages[7].parts == refusal
    audio = request.messages[8].parts[0]
    assert isinstance(audio, ir.Foreign)
    assert (audio.type, audio.wire) == ("audio", {"id": "audio_abc"})


def test_all_documented_user_parts() -> None:
    request = parse_messages({"role": "user", "content": EXAMPLES["user_part"]})
    kinds = [type(part).__name__ for part in request.messages[0].parts]
    assert kinds == ["Text", "Text", "Image", "Image", "Audio", "Document", "Document"]
    assert request.unshared == ()
    assert request.messages[0].parts[3] == ir.Image(
        source=ir.Inline(media_type="image/png", data="iVBORw0KGgo="), detail="original"
    )
    assert request.messages[0].parts[6] == ir.Document(
        source=ir.Inline(media_type="application/pdf", data="JVBERi0xLjQ="), title="a.pdf"
    )


def test_all_documented_tools() -> None:
    noop, weather, sql, calc = parse(tools=EXAMPLES["tool"]).tools
    assert noop == ir.FunctionTool(name="noop")
    assert isinstance(weather, ir.FunctionTool)
    assert weather.strict is True
    assert sql == ir.CustomTool(name="run_sql", description="Run SQL")
    assert calc == ir.CustomTool(
        name="calc", grammar=ir.Grammar(syntax="lark", definition="start: /[0-9+]+/")
    )


def test_all_documented_tool_choices() -> None:
    weather, sql = ir.ToolRef("get_weather"), ir.ToolRef("run_sql")
    mode = ir.ChoiceMode
    assert [parse(tool_choice=choice).tool_choice for choice in EXAMPLES["tool_choice"]] == [
        ir.ToolChoice(mode=mode.NONE),
        ir.ToolChoice(mode=mode.AUTO),
        ir.ToolChoice(mode=mode.REQUIRED),
        ir.ToolChoice(mode=mode.REQUIRED, allowed=(weather,)),
        ir.ToolChoice(mode=mode.REQUIRED, allowed=(sql,)),
        ir.ToolChoice(mode=mode.AUTO, allowed=(weather,)),
        ir.ToolChoice(mode=mode.REQUIRED, allowed=(weather,)),
    ]


def test_all_documented_response_formats() -> None:
    text, any_json, schema = (parse(response_format=f).output for f in EXAMPLES["response_format"])
    assert text is None
    assert any_json == ir.OutputFormat(kind=ir.OutputKind.JSON_OBJECT)
    assert schema is not None
    assert (schema.kind, schema.name, schema.description, schema.strict) == (
        ir.OutputKind.JSON_SCHEMA,
        "answer",
        "d",
        True,
    )


# ----------------------------------------------------------------------------------- single fields


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        pytest.param({"max_tokens": 5}, "max_output_tokens", 5, id="the older limit"),
        pytest.param(
            {"max_tokens": 5, "max_completion_tokens": 6}, "max_output_tokens", 6, id="newer wins"
        ),
        pytest.param({"stop": "X"}, "stop", ("X",), id="PAR-07 a single stop"),
        pytest.param({"stop": ["X", "", "Y"]}, "stop", ("X", "Y"), id="PAR-07 several stops"),
        pytest.param({"stop": None}, "stop", (), id="PAR-07 null stop"),
        pytest.param({"stop": []}, "stop", (), id="PAR-07 no stops"),
        pytest.param({"n": 3}, "candidates", 3, id="choices"),
        pytest.param({"n": None}, "candidates", 1, id="null choices"),
        pytest.param({"logprobs": True, "top_logprobs": 4}, "logprobs", 4, id="alternatives"),
        pytest.param({"logprobs": True}, "logprobs", 0, id="log probabilities alone"),
        pytest.param({"logprobs": False}, "logprobs", None, id="no log probabilities"),
        pytest.param({"user": "u"}, "end_user", "u", id="the older end user"),
        pytest.param({"metadata": {"a": "b"}}, "metadata", {"a": "b"}, id="metadata"),
        pytest.param({"service_tier": "flex"}, "service_tier", "flex", id="a tier"),
        pytest.param({"verbosity": "medium"}, "verbosity", None, id="the default verbosity"),
        pytest.param({"store": True}, "store", True, id="storage"),
        pytest.param({"tools": None, "tool_choice": None}, "tools", (), id="PAR-13 null tools"),
        pytest.param({"stream_options": {"include_usage": False}}, "stream_usage", False, id="no usage"),
        pytest.param(
            {"prompt_cache_key": "k"}, "cache_prefix", ir.CacheMark(), id="a cache key alone"
        ),
        pytest.param(
            {"prompt_cache_key": "k", "prompt_cache_options": {"mode": "explicit"}},
            "cache_prefix",
            None,
            id="explicit marks only",
        ),
    ],
)  # fmt: skip
def test_fields(fields: dict[str, Any], attribute: str, value: Any) -> None:
    assert getattr(parse(**fields), attribute) == value


def test_sampling_keeps_numbers_as_written_and_drops_default_penalties() -> None:
    sampling = parse(
        temperature=0, top_p=0.5, seed=7, frequency_penalty=0, presence_penalty=1.5
    ).sampling
    assert sampling == ir.Sampling(temperature=0, top_p=0.5, seed=7, presence_penalty=1.5)


@pytest.mark.parametrize(
    ("word", "level"),
    [("none", ir.Level.OFF), ("xhigh", ir.Level.XHIGH), ("ultra", ir.Level.MAX), ("auto", None)],
)
def test_rsn_23_effort_words(word: str, level: ir.Level | None) -> None:
    control = parse(reasoning_effort=word).reasoning
    assert (control.level if control else None) is level


@pytest.mark.parametrize(
    ("fields", "path", "loss"),
    [
        ({"logit_bias": {"1": 5}}, "logit_bias", Loss.HINT),
        ({"prediction": {"type": "content", "content": "x"}}, "prediction", Loss.TELEMETRY),
        ({"modalities": ["text", "audio"], "audio": {}}, "modalities", Loss.MEANING),
        ({"moderation": {"model": "m"}}, "moderation", Loss.SAFETY),
        ({"prompt_cache_retention": "24h"}, "prompt_cache_retention", Loss.TELEMETRY),
        (
            {"stream_options": {"include_obfuscation": True}},
            "stream_options.include_obfuscation",
            Loss.TELEMETRY,
        ),
        ({"brand_new": 1}, "brand_new", Loss.UNKNOWN),
        ({"stream_options": {"brand_new": 1}}, "stream_options.brand_new", Loss.UNKNOWN),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_fields_of_this_protocol_only_are_noted(
    fields: dict[str, Any], path: str, loss: Loss
) -> None:
    assert noted(**fields) == {path: loss}


@pytest.mark.parametrize(
    "fields",
    [
        {"logit_bias": {}},
        {"logit_bias": None},
        {"modalities": ["text"]},
        {"prompt_cache_retention": "in_memory"},
        {"stream_options": {"include_obfuscation": False}},
        {"brand_new": None},
    ],
    ids=str,
)
def test_fields_at_their_default_are_not_noted(fields: dict[str, Any]) -> None:
    assert noted(**fields) == {}


def test_unknown_keys_deep_inside_are_noted_with_their_path() -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "a", "odd": 1}], "new": 2}]
    assert noted(messages=messages) == {
        "messages[0].content[0].odd": Loss.UNKNOWN,
        "messages[0].new": Loss.UNKNOWN,
    }


def test_errors_know_the_clients_names() -> None:
    request = parse(max_tokens=5, user="u")
    assert request.path_of("max_output_tokens") == "max_tokens"
    assert request.path_of("end_user") == "user"
    assert request.path_of("candidates") == "n"
    assert request.path_of("temperature") == "temperature"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        pytest.param({"model": None}, "model", id="no model"),
        pytest.param({"model": 5}, "model", id="a model that is no string"),
        pytest.param({"messages": None}, "messages", id="no messages"),
        pytest.param({"messages": []}, "messages", id="an empty conversation"),
        pytest.param({"messages": "hi"}, "messages", id="messages as text"),
        pytest.param({"temperature": "hot"}, "temperature", id="a temperature in words"),
        pytest.param({"max_tokens": 0}, "max_tokens", id="no room for an answer"),
        pytest.param({"n": 0}, "n", id="no choices"),
        pytest.param({"top_logprobs": 2}, "logprobs", id="alternatives without logprobs"),
        pytest.param({"reasoning_effort": "some"}, "reasoning_effort", id="an unknown effort"),
        pytest.param({"response_format": {"type": "xml"}}, "response_format.type", id="xml"),
        pytest.param({"tool_choice": "sometimes"}, "tool_choice", id="an unknown choice"),
        pytest.param({"tools": [{"type": "function"}]}, "tools[0].name", id="a nameless tool"),
        pytest.param({"metadata": {"a": 1}}, "metadata.a", id="metadata that is no text"),
        pytest.param(
            {"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", id="a role"
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "vidoe"}]}]},
            "messages[0].content[0].type",
            id="an unknown part",
        ),
        pytest.param(
            {"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": PNG}]}]},
            "messages[0].content[0]",
            id="SYS-17 a picture in a system message",
        ),
        pytest.param(
            {"messages": [{"role": "tool", "content": "x"}]},
            "messages[0].tool_call_id",
            id="a result of nothing",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": ""}}]}]},
            "messages[0].content[0].image_url.url",
            id="MED-04 a picture without an address",
        ),
    ],
)  # fmt: skip
def test_faults_name_their_path(fields: dict[str, Any], path: str) -> None:
    assert refused(**fields) == path


def test_the_path_of_the_url_wins_over_the_body() -> None:
    request = TRANSLATOR.parse_request(BODY, Call(model="other", stream=True), None)
    assert (request.model, request.stream) == ("other", True)


# ----------------------------------------------------------------------------------- messages


def test_sys_11_empty_text_beside_calls_is_no_part() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    for content in ("", None, [{"type": "text", "text": ""}]):
        turn = parse_messages({"role": "assistant", "content": content, "tool_calls": [call]})
        assert turn.messages[0].parts == (ir.ToolCall(call_id="c", name="f"),)


def test_results_in_a_row_become_one_turn() -> None:
    request = parse_messages(
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}]},
        {"role": "user", "content": "go on"},
        {"role": "tool", "tool_call_id": "c", "content": None},
    )
    assert [len(message.parts) for message in request.messages] == [2, 1, 1]
    assert request.messages[0].parts[1] == ir.ToolResult(call_id="b", content=(ir.Text(text="2"),))
    assert request.messages[2].parts[0] == ir.ToolResult(call_id="c")


@pytest.mark.parametrize(
    ("content", "text"),
    [({"a": 1}, '{"a":1}'), (5, "5"), ([1, 2], "[1,2]"), ([{"a": 1}], '[{"a":1}]')],
    ids=str,
)
def test_res_04_results_that_are_no_text_go_as_json(content: Any, text: str) -> None:
    message = parse_messages({"role": "tool", "tool_call_id": "a", "content": content}).messages[0]
    assert message.parts[0] == ir.ToolResult(call_id="a", content=(ir.Text(text=text),))


def test_a_picture_in_a_result_is_read() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": PNG}}]
    message = parse_messages({"role": "tool", "tool_call_id": "a", "content": content}).messages[0]
    result = message.parts[0]
    assert isinstance(result, ir.ToolResult)
    assert [type(part) for part in result.content] == [ir.Text, ir.Image]


def test_legacy_functions_become_tools_calls_and_results() -> None:
    request = parse_messages(
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "42"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "[]"}},
        {"role": "function", "name": "f", "content": "43"},
        functions=[{"name": "f", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
    )
    assert request.legacy_functions is True
    assert request.parallel_tool_calls is False
    assert request.tools == (ir.FunctionTool(name="f", schema={"type": "object"}),)
    assert request.tool_choice == ir.ToolChoice(
        mode=ir.ChoiceMode.REQUIRED, allowed=(ir.ToolRef("f"),)
    )
    ids = [part.call_id for m in request.messages for part in m.parts if hasattr(part, "call_id")]
    assert ids == ["call_1", "call_1", "call_2", "call_2"]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_of_an_earlier_turn_is_kept(field: str) -> None:
    turn = parse_messages({"role": "assistant", "content": "x", field: "think"}).messages[0]
    assert turn.parts == (ir.Reasoning(text="think"), ir.Text(text="x"))


@pytest.mark.parametrize("text", ["[reasoning unavailable]", "", None])
def test_rsn_27_placeholders_are_no_reasoning(text: str | None) -> None:
    message = {"role": "assistant", "content": "x", "reasoning_content": text}
    assert parse_messages(message).messages[0].parts == (ir.Text(text="x"),)


def test_reasoning_details_are_state() -> None:
    details = [{"type": "reasoning.text", "text": "hm", "signature": "S"}]
    message = {"role": "assistant", "content": "x", "reasoning_details": details}
    reasoning = parse_messages(message).messages[0].parts[0]
    assert reasoning == ir.Reasoning(
        text="hm",
        state=ir.OpaqueState(
            kind=ir.StateKind.CHAT_DETAILS,
            value='[{"type":"reasoning.text","text":"hm","signature":"S"}]',
        ),
    )


def signed_call(signature: str) -> dict[str, Any]:
    """An assistant message with one call that carries a thought signature."""
    call = {
        "id": "c",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": signature}},
    }
    return {"role": "assistant", "tool_calls": [call]}


def test_a_thought_signature_stands_before_its_call() -> None:
    parts = parse_messages(signed_call("SIG")).messages[0].parts
    state = ir.OpaqueState(kind=ir.StateKind.GEMINI_SIGNATURE, value="SIG")
    assert parts == (
        ir.Reasoning(state=state),
        ir.ToolCall(call_id="c", name="f", arguments="{}"),
    )


def test_a_sealed_signature_is_opened_and_a_foreign_one_dropped() -> None:
    state = ir.OpaqueState(
        kind=ir.StateKind.ANTHROPIC_SIGNATURE, value="v", provider="p", model="m"
    )
    inner = ir.Reasoning(text="hm", state=state)
    sealed = SEAL.wrap(inner)
    assert sealed is not None
    assert parse_messages(signed_call(sealed), seal=SEAL).messages[0].parts[0] == inner
    assert len(parse_messages(signed_call(sealed)).messages[0].parts) == 1


def test_cit_04_fields_of_answers_that_clients_replay_are_no_surprise() -> None:
    message = {
        "role": "assistant",
        "content": "x",
        "refusal": None,
        "audio": None,
        "annotations": [],
        "function_call": None,
        "tool_calls": None,
    }
    request = parse_messages(message)
    assert request.messages[0].parts == (ir.Text(text="x"),)
    assert request.unshared == ()


def test_cache_marks_of_others_are_read() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    part = user_part({"type": "text", "text": "a", "cache_control": mark})
    assert part == ir.Text(text="a", cache=ir.CacheMark(ttl="1h"))
    whole = parse_messages({"role": "system", "content": "a", "cache_control": mark})
    assert whole.messages[0].parts == (part,)
    tool = parse(tools=[TOOL | {"cache_control": mark}]).tools[0]
    assert isinstance(tool, ir.FunctionTool)
    assert tool.cache == ir.CacheMark(ttl="1h")


# ----------------------------------------------------------------------------------- parts, tools


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        pytest.param(
            {"type": "image_url", "image_url": {"url": "DATA:image/jpg;base64,/9j/4AA="}},
            ir.Image(source=ir.Inline(media_type="image/jpeg", data="/9j/4AA=")),
            id="MED-02 upper case and a wrong name of jpeg",
        ),
        pytest.param(
            {"type": "image_url", "image_url": "https://a/b.png"},
            ir.Image(source=ir.Url(url="https://a/b.png")),
            id="a bare address",
        ),
        pytest.param(
            {"type": "file", "file": {"file_data": "JVBERi0xLjQ="}},
            ir.Document(source=ir.Inline(media_type="application/pdf", data="JVBERi0xLjQ=")),
            id="a PDF without its prefix",
        ),
        pytest.param(
            {"type": "file", "file": {"file_id": "file-1"}},
            ir.Document(source=ir.FileId(file_id="file-1", protocol="openai_chat")),
            id="a stored file",
        ),
        pytest.param(
            {"type": "file", "file": {"file_data": PNG, "filename": "a.png"}},
            ir.Image(source=ir.Inline(media_type="image/png", data="iVBORw0KGgo=")),
            id="a picture as a file",
        ),
        pytest.param(
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            ir.Audio(source=ir.Inline(media_type="audio/wav", data="UklGRg==")),
            id="MED-09 sound",
        ),
        pytest.param(
            {"type": "video_url", "video_url": {"url": "https://a/b.mp4"}},
            ir.Video(source=ir.Url(url="https://a/b.mp4")),
            id="MED-10 a video",
        ),
    ],
)
def test_parts(part: dict[str, Any], expected: ir.Part) -> None:
    assert user_part(part) == expected


def test_tools_in_the_flat_shape_of_responses_are_read() -> None:
    tool = parse(tools=[{"type": "function", "name": "f", "parameters": {"type": "object"}}])
    assert tool.tools == (ir.FunctionTool(name="f", schema={"type": "object"}),)
    assert tool.unshared == ()


def test_web_search_options_are_a_hosted_tool() -> None:
    options = {
        "search_context_size": "low",
        "user_location": {"type": "approximate", "approximate": {"city": "Oslo"}},
    }
    tool = parse(web_search_options=options).tools[0]
    assert isinstance(tool, ir.HostedTool)
    assert tool.kind is ir.HostedKind.WEB_SEARCH
    assert tool.search == ir.SearchOptions(
        user_location={"type": "approximate", "city": "Oslo"}, context_size="low"
    )


def test_a_tool_of_unknown_type_is_kept_for_its_own_protocol() -> None:
    tool = parse(tools=[{"type": "live_search", "depth": 3}]).tools[0]
    assert isinstance(tool, ir.HostedTool)
    assert (tool.kind, tool.wire) == (ir.HostedKind.OTHER, {"type": "live_search", "depth": 3})


def test_tool_26_huge_integers_keep_their_digits() -> None:
    schema = {"type": "object", "properties": {"n": {"maximum": 9223372036854775807}}}
    tool = parse(tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}])
    assert isinstance(tool.tools[0], ir.FunctionTool)
    assert tool.tools[0].schema == schema
