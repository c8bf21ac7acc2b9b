"""Requests for Chat upstreams: tools, formats, limits, sampling and media by what the profile allows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.translators.openai_chat.support import (
    CALL,
    LOOSE,
    OPEN_MAP,
    OPENAI,
    PDF,
    PLAIN,
    PNG,
    RESULT,
    SCHEMA,
    SQL,
    USER,
    F,
    G,
    assistant,
    body,
    degraded,
    hub,
    parse,
    refused,
    refusing_modes,
    render,
    roles,
    system,
    user,
)
from translators import ir
from translators.losses import Loss, Losses, Mode
from translators.profile import ModelProfile, SamplingSupport

# ------------------------------------------------------------------------------------------ tools


def test_function_tools() -> None:
    out = body(hub(tools=(replace(F, description="d"), G)))["tools"]
    assert out == [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}},
        {"type": "function", "function": {"name": "g"}},
    ]


@pytest.mark.parametrize(
    ("schema", "strict", "profile", "sent", "modes"),
    [
        pytest.param(SCHEMA, True, PLAIN, True, set(), id="in the subset"),
        pytest.param(OPEN_MAP, True, PLAIN, None, {"strict"}, id="outside the subset"),
        pytest.param(SCHEMA, False, PLAIN, None, set(), id="not asked for"),
        pytest.param(
            SCHEMA, True, replace(PLAIN, strict_tools=False), None, {"strict"}, id="not enforced"
        ),
    ],
)
def test_strict_tools(
    schema: dict[str, Any], strict: bool, profile: ModelProfile, sent: Any, modes: set[str]
) -> None:
    request = hub(tools=(replace(F, schema=schema, strict=strict),))
    assert body(request, profile)["tools"][0]["function"].get("strict") is sent
    assert body(request, profile)["tools"][0]["function"]["parameters"] == schema
    assert refusing_modes(request, profile) == modes


def test_tool_10_keys_of_other_vendors_do_not_reach_the_wire() -> None:
    tool = replace(F, cache=ir.CacheMark(ttl="1h"), examples=({"a": 1},))
    request = hub(tools=(tool,))
    function = body(request)["tools"][0]
    assert set(function) == {"type", "function"}
    assert '{"a":1}' in function["function"]["description"]
    assert refusing_modes(request) == {"strict"}


def test_tool_11_names_are_made_legal_and_the_way_back_is_kept() -> None:
    tools = (replace(F, name="fs.read"), replace(G, name="fs_read"), replace(G, name="x" * 80))
    call = replace(CALL, name="fs.read")
    request = hub(
        USER,
        assistant(call),
        user(RESULT),
        tools=tools,
        tool_choice=ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED, allowed=(ir.ToolRef("fs.read"),)),
    )
    rendered = render(request)
    names = [tool["function"]["name"] for tool in rendered.body["tools"]]
    assert len(set(names)) == 3
    assert all(len(name) <= 64 and "." not in name for name in names)
    assert rendered.body["messages"][1]["tool_calls"][0]["function"]["name"] == names[0]
    assert rendered.body["tool_choice"]["function"]["name"] == names[0]
    assert rendered.reading.tool(names[0]) == ir.ToolRef("fs.read")
    assert "tools" in {item.path for item in _strict_losses(request)}


def _strict_losses(request: ir.Request, profile: ModelProfile = PLAIN) -> Any:
    losses = Losses(Mode.STRICT)
    render(request, profile, losses=losses)
    return losses.degradations


def test_tool_17_namespaces_are_flattened() -> None:
    tool = replace(F, namespace="srv")
    call = replace(CALL, namespace="srv")
    rendered = render(hub(USER, assistant(call), user(RESULT), tools=(tool,)))
    assert rendered.body["tools"][0]["function"]["name"] == "srv__f"
    assert rendered.body["messages"][1]["tool_calls"][0]["function"]["name"] == "srv__f"
    assert rendered.reading.tool("srv__f") == ir.ToolRef("f", "srv")


CUSTOM_CALL = ir.ToolCall(
    call_id="call_1", name="sql", arguments='say "hi"', kind=ir.ToolKind.CUSTOM
)


def test_freeform_tools_where_they_are_known() -> None:
    tool = replace(SQL, grammar=ir.Grammar(syntax="regex", definition="a+"))
    choice = ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED, allowed=(ir.ToolRef("sql"),))
    request = hub(USER, assistant(CUSTOM_CALL), user(RESULT), tools=(tool,), tool_choice=choice)
    rendered = render(request, OPENAI, Mode.STRICT)
    assert rendered.body["tools"][0] == {
        "type": "custom",
        "custom": {
            "name": "sql",
            "description": "Run SQL",
            "format": {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}},
        },
    }
    assert rendered.body["tool_choice"] == {"type": "custom", "custom": {"name": "sql"}}
    call = rendered.body["messages"][1]["tool_calls"][0]
    assert call["custom"] == {"name": "sql", "input": 'say "hi"'}
    assert rendered.reading.custom == frozenset()


def test_freeform_tools_where_they_are_not_known() -> None:
    choice = ir.ToolChoice(mode=ir.ChoiceMode.REQUIRED, allowed=(ir.ToolRef("sql"),))
    request = hub(USER, assistant(CUSTOM_CALL), user(RESULT), tools=(SQL,), tool_choice=choice)
    rendered = render(request, mode=Mode.STRICT)
    assert rendered.reading.custom == {ir.ToolRef("sql")}
    assert rendered.body["tools"][0]["type"] == "function"
    assert rendered.body["tool_choice"] == {"type": "function", "function": {"name": "sql"}}
    call = rendered.body["messages"][1]["tool_calls"][0]["function"]
    assert json.loads(call["arguments"]) == {"input": 'say "hi"'}


def test_a_grammar_that_cannot_be_enforced() -> None:
    tool = replace(SQL, grammar=ir.Grammar(syntax="lark", definition="start: /a+/"))
    request = hub(tools=(tool,))
    assert refusing_modes(request) == {"strict", "balanced"}
    assert "start: /a+/" in body(request)["tools"][0]["function"]["description"]


CHOICE = ir.ChoiceMode
F_REF, G_REF = ir.ToolRef("f"), ir.ToolRef("g")


@pytest.mark.parametrize(
    ("mode", "allowed", "wire"),
    [
        pytest.param(CHOICE.AUTO, (), "auto", id="free"),
        pytest.param(CHOICE.VALIDATED, (), "auto", id="CHO-10 checked calls"),
        pytest.param(CHOICE.NONE, (), "none", id="CHO-02 none"),
        pytest.param(CHOICE.REQUIRED, (), "required", id="CHO-02 any"),
        pytest.param(
            CHOICE.REQUIRED,
            (F_REF,),
            {"type": "function", "function": {"name": "f"}},
            id="CHO-01 CHO-03 one",
        ),
        pytest.param(
            CHOICE.REQUIRED,
            (F_REF, G_REF),
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [
                        {"type": "function", "function": {"name": "f"}},
                        {"type": "function", "function": {"name": "g"}},
                    ],
                },
            },
            id="CHO-04 some",
        ),
        pytest.param(
            CHOICE.AUTO,
            (F_REF,),
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": "f"}}],
                },
            },
            id="CHO-04 one, free",
        ),
    ],
)
def test_tool_choice(mode: ir.ChoiceMode, allowed: tuple[ir.ToolRef, ...], wire: Any) -> None:
    request = hub(tools=(F, G), tool_choice=ir.ToolChoice(mode=mode, allowed=allowed))
    assert body(request, OPENAI, mode=Mode.STRICT)["tool_choice"] == wire


def test_cho_04_others_get_the_allowed_tools_alone_and_those_the_history_calls() -> None:
    h = replace(G, name="h")
    request = hub(
        USER,
        assistant(CALL),
        user(RESULT),
        tools=(F, G, h),
        tool_choice=ir.ToolChoice(mode=CHOICE.REQUIRED, allowed=(G_REF, ir.ToolRef("x"))),
    )
    assert refused(request) == "tool_choice"
    fine = replace(request, tool_choice=ir.ToolChoice(mode=CHOICE.AUTO, allowed=(G_REF,)))
    out = body(fine)
    assert [tool["function"]["name"] for tool in out["tools"]] == ["f", "g"]
    assert out["tool_choice"] == "auto"


def test_cho_05_a_choice_without_tools_is_dropped_unless_it_forces() -> None:
    assert "tool_choice" not in body(hub(tool_choice=ir.ToolChoice(mode=CHOICE.AUTO)))
    assert "tool_choice" not in body(hub(tool_choice=ir.ToolChoice(mode=CHOICE.NONE)))
    assert refused(hub(tool_choice=ir.ToolChoice(mode=CHOICE.REQUIRED))) == "tool_choice"


def test_a_model_that_cannot_be_forced() -> None:
    request = hub(tools=(F,), tool_choice=ir.ToolChoice(mode=CHOICE.REQUIRED))
    profile = replace(PLAIN, forced_tool_choice=False)
    assert body(request, profile)["tool_choice"] == "auto"
    assert refusing_modes(request, profile) == {"strict", "balanced"}


def test_one_call_at_a_time() -> None:
    request = hub(tools=(F,), parallel_tool_calls=False)
    assert render(request).body["parallel_tool_calls"] is False
    assert render(request).reading.single_call is False
    without = render(request, replace(PLAIN, parallel_calls=False))
    assert "parallel_tool_calls" not in without.body
    assert without.reading.single_call is True
    assert "parallel_tool_calls" not in body(hub(parallel_tool_calls=False)), "only beside tools"


SEARCH = ir.HostedTool(
    kind=ir.HostedKind.WEB_SEARCH,
    protocol="anthropic",
    wire={},
    search=ir.SearchOptions(user_location={"type": "approximate", "city": "Oslo"}),
    path="tools[0]",
)


def test_web_search_where_the_provider_runs_it() -> None:
    profile = replace(PLAIN, hosted_tools=frozenset({ir.HostedKind.WEB_SEARCH}))
    out = body(hub(tools=(SEARCH,)), profile)
    assert out["web_search_options"] == {
        "user_location": {"type": "approximate", "approximate": {"city": "Oslo"}}
    }
    assert "tools" not in out
    assert refusing_modes(hub(tools=(SEARCH,)), profile) == {"strict"}
    limited = replace(SEARCH, search=ir.SearchOptions(allowed_domains=("a.org",)))
    assert refusing_modes(hub(tools=(limited,)), profile) == {"strict", "balanced"}


@pytest.mark.parametrize(
    ("kind", "modes"),
    [
        (ir.HostedKind.WEB_SEARCH, {"strict", "balanced"}),
        (ir.HostedKind.MCP, {"strict", "balanced"}),
        (ir.HostedKind.TOOL_SEARCH, set()),
        (ir.HostedKind.FILE_SEARCH, {"strict", "balanced", "max_compat"}),
        (ir.HostedKind.CLIENT_TOOLSET, {"strict", "balanced", "max_compat"}),
    ],
)
def test_tools_that_the_provider_does_not_run(kind: ir.HostedKind, modes: set[str]) -> None:
    assert refusing_modes(hub(tools=(replace(SEARCH, kind=kind),))) == modes


# ---------------------------------------------------------------------------------- output format


def output(**fields: Any) -> ir.Request:
    """A request for an output format."""
    return hub(output=ir.OutputFormat(**fields))


def test_out_01_a_schema_nests_and_has_a_name() -> None:
    request = output(kind=ir.OutputKind.JSON_SCHEMA, schema=SCHEMA)
    assert body(request, mode=Mode.STRICT)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "response", "schema": SCHEMA, "strict": True},
    }


def test_out_03_a_schema_outside_the_subset_is_not_changed() -> None:
    request = output(kind=ir.OutputKind.JSON_SCHEMA, schema=LOOSE, name="n", description="d")
    assert body(request)["response_format"]["json_schema"] == {
        "name": "n",
        "description": "d",
        "schema": LOOSE,
        "strict": False,
    }
    assert refusing_modes(request) == {"strict"}
    said = replace(request, output=replace(request.output, strict=False))
    assert refusing_modes(said) == set(), "the client itself asked for no more"


def test_a_root_that_is_no_object_is_wrapped() -> None:
    request = output(kind=ir.OutputKind.JSON_SCHEMA, schema={"type": "array", "items": SCHEMA})
    rendered = render(request)
    shape = rendered.body["response_format"]["json_schema"]["schema"]
    assert shape["properties"]["value"]["type"] == "array"
    assert rendered.reading.wrapped is True


def test_out_07_without_schema_support_the_schema_goes_into_the_prompt() -> None:
    request = output(kind=ir.OutputKind.JSON_SCHEMA, schema=SCHEMA)
    profile = replace(PLAIN, json_schema=False)
    out = body(request, profile)
    assert out["response_format"] == {"type": "json_object"}
    assert out["messages"][0]["role"] == "system"
    assert '"additionalProperties":false' in out["messages"][0]["content"]
    assert refusing_modes(request, profile) == {"strict", "balanced"}
    neither = render(request, replace(profile, json_object=False))
    assert "response_format" not in neither.body
    assert neither.reading.json_object is True


def test_any_json_mentions_json_because_the_protocol_demands_it() -> None:
    request = output(kind=ir.OutputKind.JSON_OBJECT)
    out = body(request)
    assert out["response_format"] == {"type": "json_object"}
    assert "JSON" in out["messages"][0]["content"]
    said = replace(request, messages=(user(ir.Text(text="as json please")),))
    assert roles(body(said)["messages"]) == ["user"]


def test_any_json_without_support_is_asked_for_in_words_and_checked() -> None:
    request = output(kind=ir.OutputKind.JSON_OBJECT)
    profile = replace(PLAIN, json_object=False)
    rendered = render(request, profile)
    assert "response_format" not in rendered.body
    assert rendered.reading.json_object is True
    assert refusing_modes(request, profile) == {"strict"}


# ------------------------------------------------------------------------------- limits, sampling


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_par_01_the_limit_goes_in_the_field_of_the_upstream(field: str) -> None:
    out = body(hub(max_output_tokens=5), replace(PLAIN, max_tokens_field=field))
    assert {key: out[key] for key in out if "max" in key} == {field: 5}


def test_par_04_the_limit_is_only_lowered() -> None:
    profile = replace(PLAIN, max_output_tokens=100)
    assert body(hub(max_output_tokens=500), profile)["max_completion_tokens"] == 100
    assert body(hub(max_output_tokens=50), profile)["max_completion_tokens"] == 50
    assert refusing_modes(hub(max_output_tokens=500), profile) == {"strict"}


@pytest.mark.parametrize(
    ("limit", "sent", "cut"),
    [(None, ["1", "2", "3", "4"], ("5",)), (2, ["1", "2"], ("3", "4", "5")), (0, None, tuple("12345"))],
)  # fmt: skip
def test_par_06_stop_sequences_beyond_the_limit_are_the_gateways(
    limit: int | None, sent: list[str] | None, cut: tuple[str, ...]
) -> None:
    request = hub(stop=tuple("12345"))
    profile = replace(PLAIN, stop_limit=limit)
    rendered = render(request, profile)
    assert rendered.body.get("stop") == sent
    assert rendered.reading.cut_at == cut
    assert refusing_modes(request, profile) == {"strict"}
    assert degraded(request, profile) == {}, "lossless"


def test_sampling_where_all_of_it_is_taken() -> None:
    sampling = ir.Sampling(
        temperature=0.5, top_p=0.9, seed=7, frequency_penalty=1, presence_penalty=-1
    )
    out = body(hub(sampling=sampling), mode=Mode.STRICT)
    assert {k: out[k] for k in out if k not in ("model", "messages")} == {
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "frequency_penalty": 1,
        "presence_penalty": -1,
    }


@pytest.mark.parametrize("support", [SamplingSupport.DEFAULT_ONLY, SamplingSupport.NONE])
def test_par_11_sampling_where_it_is_not_taken(support: SamplingSupport) -> None:
    profile = replace(PLAIN, sampling=support)
    request = hub(sampling=ir.Sampling(temperature=0.5, top_p=1))
    assert not {"temperature", "top_p"} & set(body(request, profile))
    assert list(degraded(request, profile)) == ["temperature"]
    assert refusing_modes(request, profile) == {"strict"}
    assert refusing_modes(hub(sampling=ir.Sampling(temperature=1)), profile) == set()


def test_par_08_a_temperature_above_the_models_range_is_lowered() -> None:
    request = parse(temperature=1.5)
    profile = replace(PLAIN, max_temperature=1.0)
    assert body(request, profile)["temperature"] == 1.0
    assert list(degraded(request, profile)) == ["temperature"]


def test_par_09_top_k_is_dropped_with_a_record() -> None:
    request = hub(sampling=ir.Sampling(top_k=5))
    assert "top_k" not in body(request)
    assert list(degraded(request)) == ["top_k"]


def test_par_10_several_choices() -> None:
    for stream in (False, True):
        request = hub(candidates=3, stream=stream)
        assert body(request)["n"] == 3
        assert refusing_modes(request) == set()


def test_log_probabilities() -> None:
    assert body(hub(logprobs=0))["logprobs"] is True
    assert "top_logprobs" not in body(hub(logprobs=0))
    assert body(hub(logprobs=3))["top_logprobs"] == 3


def test_usage_is_always_asked_for_in_a_stream() -> None:
    out = body(parse(stream=True))
    assert out["stream"] is True
    assert out["stream_options"] == {"include_usage": True}
    assert "stream" not in body(parse())


EXTRAS = {
    "verbosity": "low",
    "end_user": "u",
    "metadata": {"a": "b"},
    "service_tier": "flex",
    "store": True,
    "cache_key": "k",
}


def test_prv_17_strict_servers_get_no_optional_field() -> None:
    out = body(hub(**EXTRAS, cache_prefix=ir.CacheMark(ttl="1h")))
    assert set(out) == {"model", "messages"}
    assert set(degraded(hub(**EXTRAS))) == {"verbosity"}, "the rest is telemetry"


def test_openai_gets_its_own_fields() -> None:
    request = parse(
        verbosity="low",
        safety_identifier="u",
        metadata={"a": "b"},
        service_tier="flex",
        store=True,
        prompt_cache_key="k",
    )
    out = body(request, OPENAI, mode=Mode.STRICT)
    assert {k: out[k] for k in out if k not in ("model", "messages")} == {
        "verbosity": "low",
        "safety_identifier": "u",
        "service_tier": "flex",
        "store": True,
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
    }


def test_metadata_goes_with_stored_answers_only() -> None:
    request = hub(metadata={"a": "b"}, store=True)
    out = body(request, OPENAI)
    assert "metadata" not in out
    assert "store" not in out


def test_par_12_a_long_end_user_is_hashed() -> None:
    out = body(hub(end_user="user_" + "x" * 200), OPENAI)
    again = body(hub(end_user="user_" + "x" * 200), OPENAI)
    assert len(out["safety_identifier"]) == 64
    assert out == again


def test_what_only_the_clients_protocol_has_is_refused_or_recorded() -> None:
    lost = ir.Unshared(path="container", loss=Loss.MEANING)
    request = hub(unshared=(lost,))
    assert refusing_modes(request) == {"strict", "balanced"}
    assert list(degraded(request)) == ["container"]


# ----------------------------------------------------------------------------------- cache, media


def test_cac_01_cache_marks_are_stripped_by_default() -> None:
    mark = ir.CacheMark(ttl="1h")
    request = hub(
        system("S"),
        user(ir.Text(text="a", cache=mark, path="m")),
        assistant(CALL),
        user(replace(RESULT, cache=mark)),
        tools=(replace(F, cache=mark),),
    )
    assert "cache" not in json.dumps(body(request))
    assert {item.path for item in _strict_losses(request)} == {"m", "res", "tools[0]"}


def test_cac_02_the_last_marks_go_out_as_breakpoints() -> None:
    marked = [ir.Text(text=str(i), cache=ir.CacheMark(ttl="5m")) for i in range(5)]
    out = body(hub(user(*marked)), OPENAI)["messages"][0]["content"]
    assert [part.get("prompt_cache_breakpoint") for part in out] == [
        None,
        None,
        *[{"mode": "explicit", "ttl": "30m"}] * 3,
    ]


def test_marks_in_system_text_keep_it_in_parts() -> None:
    message = ir.Message(
        role=ir.Role.SYSTEM, parts=(ir.Text(text="S", cache=ir.CacheMark()),), path="system"
    )
    out = body(hub(message, USER), OPENAI)["messages"][0]
    breakpoint_ = {"mode": "explicit"}
    assert out == {
        "role": "developer",
        "content": [{"type": "text", "text": "S", "prompt_cache_breakpoint": breakpoint_}],
    }


def media(part: ir.Part, profile: ModelProfile = PLAIN) -> Any:
    """The wire parts of a user message with one part behind a text."""
    return body(hub(user(ir.Text(text="see"), part)), profile)["messages"][0]["content"]


@pytest.mark.parametrize(
    ("part", "profile", "wire"),
    [
        pytest.param(
            PNG,
            PLAIN,
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            id="a picture",
        ),
        pytest.param(
            ir.Image(source=ir.Url(url="https://a/b.png"), detail="low"),
            PLAIN,
            {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "low"}},
            id="a picture by URL",
        ),
        pytest.param(
            replace(PNG, detail="original"),
            PLAIN,
            {
                "type": "image_url",
                "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "high"},
            },
            id="MED-11 a detail that others do not know",
        ),
        pytest.param(
            replace(PDF, title="a.pdf"),
            PLAIN,
            {
                "type": "file",
                "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
            },
            id="MED-06 a PDF",
        ),
        pytest.param(
            ir.Document(source=ir.PlainText(text="body"), title="Note"),
            PLAIN,
            {"type": "text", "text": "# Note\n\nbody"},
            id="MED-07 a text document",
        ),
        pytest.param(
            ir.Document(source=ir.FileId(file_id="file-1", protocol="openai_responses")),
            OPENAI,
            {"type": "file", "file": {"file_id": "file-1"}},
            id="a stored file at OpenAI",
        ),
        pytest.param(
            ir.Audio(source=ir.Inline(media_type="audio/mp3", data="UklGRg==")),
            replace(PLAIN, audio=True),
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "mp3"}},
            id="sound",
        ),
        pytest.param(
            ir.Video(source=ir.Url(url="https://a/b.mp4")),
            replace(PLAIN, video=True),
            {"type": "video_url", "video_url": {"url": "https://a/b.mp4"}},
            id="a video",
        ),
    ],
)
def test_media(part: ir.Part, profile: ModelProfile, wire: dict[str, Any]) -> None:
    assert media(part, profile) == [{"type": "text", "text": "see"}, wire]


ALL = {"strict", "balanced", "max_compat"}


@pytest.mark.parametrize(
    ("part", "profile", "modes"),
    [
        pytest.param(
            PNG, replace(PLAIN, image_types=frozenset()), {"strict", "balanced"}, id="a text model"
        ),
        pytest.param(
            replace(PNG, source=ir.Inline(media_type="image/heic", data="AAAA")),
            PLAIN,
            ALL,
            id="a picture of another type",
        ),
        pytest.param(
            replace(PNG, source=ir.Url(url="https://a")),
            replace(PLAIN, image_urls=False),
            ALL,
            id="a provider that fetches nothing",
        ),
        pytest.param(
            replace(PNG, source=ir.FileId(file_id="f", protocol="anthropic")),
            OPENAI,
            ALL,
            id="MED-04 a stored picture",
        ),
        pytest.param(
            replace(PDF, source=ir.FileId(file_id="f", protocol="anthropic")),
            OPENAI,
            ALL,
            id="a stored file of another vendor",
        ),
        pytest.param(replace(PDF, source=ir.Url(url="https://a")), PLAIN, ALL, id="a file by URL"),
        pytest.param(
            PDF, replace(PLAIN, documents=False), {"strict", "balanced"}, id="no documents"
        ),
        pytest.param(replace(PDF, cite=True), PLAIN, {"strict", "balanced"}, id="citations"),
        pytest.param(
            ir.Audio(source=ir.Inline(media_type="audio/wav", data="AAAA")),
            PLAIN,
            {"strict", "balanced"},
            id="no sound",
        ),
        pytest.param(
            ir.Audio(source=ir.Inline(media_type="audio/flac", data="AAAA")),
            replace(PLAIN, audio=True),
            ALL,
            id="sound of another type",
        ),
        pytest.param(ir.Video(source=ir.Url(url="https://a")), PLAIN, ALL, id="no video"),
    ],
)
def test_media_that_the_upstream_does_not_take(
    part: ir.Part, profile: ModelProfile, modes: set[str]
) -> None:
    assert refusing_modes(hub(user(ir.Text(text="see"), part)), profile) == modes
