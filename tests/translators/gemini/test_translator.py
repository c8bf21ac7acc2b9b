"""The package's face, and its small modules: framing, partial arguments, counting, spelling."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.gemini.support import (
    EXAMPLES,
    hub,
    parse_answer,
    render,
    system,
    user,
    wire_answer,
)
from translators import ir
from translators.base import Operation, Translator
from translators.errors import ErrorKind, GatewayError, invalid
from translators.gemini import TRANSLATOR
from translators.gemini.answer import CharOffsets, byte_span
from translators.gemini.counting import count_body, parse_count, render_count
from translators.gemini.framing import Splitter
from translators.gemini.partial import PartialArguments
from translators.gemini.spelling import ProtoFields, camel, camel_deep


def test_it_is_a_translator() -> None:
    translator: Translator = TRANSLATOR
    assert translator.name == "gemini"


@pytest.mark.parametrize(
    ("operation", "model", "stream", "path"),
    [
        (Operation.GENERATE, "gemini-x", False, "/models/gemini-x:generateContent"),
        (Operation.GENERATE, "gemini-x", True, "/models/gemini-x:streamGenerateContent?alt=sse"),
        (Operation.GENERATE, "tunedModels/t", False, "/tunedModels/t:generateContent"),
        (Operation.GENERATE, "models/x", False, "/models/x:generateContent"),
        (Operation.GENERATE, "a:b c", False, "/models/a%3Ab%20c:generateContent"),
        (Operation.COUNT_TOKENS, "x", False, "/models/x:countTokens"),
        (Operation.LIST_MODELS, "", False, "/models"),
        (Operation.GET_MODEL, "x", False, "/models/x"),
    ],
)
def test_paths(operation: Operation, model: str, stream: bool, path: str) -> None:
    assert TRANSLATOR.upstream_path(operation, model, stream) == path


# ----------------------------------------------------------------------------------------- framing


@pytest.mark.parametrize(
    "text",
    [
        b'[{"a":"}{][\\"\\\\"},\r\n{"b":{"c":[1]}}\n]',
        b'\n [ {"a":"}{][\\"\\\\"} , {"b":{"c":[1]}}]\n',
        b'\xef\xbb\xbf[{"a":"}{][\\"\\\\"},{"b":{"c":[1]}}]',
        b'{"a":"}{][\\"\\\\"}{"b":{"c":[1]}}',
    ],
)
def test_an_array_is_split_wherever_it_is_cut(text: bytes) -> None:
    expected = [b'{"a":"}{][\\"\\\\"}', b'{"b":{"c":[1]}}']
    for at in range(len(text) + 1):
        splitter = Splitter()
        frames = splitter.feed(text[:at]) + splitter.feed(text[at:]) + splitter.close()
        assert [frame.data for frame in frames] == expected
    splitter = Splitter()
    assert [f.data for i in range(len(text)) for f in splitter.feed(text[i : i + 1])] == expected


@pytest.mark.parametrize("text", [b"[}", b'["text"]', b"[{} x {}]", b'[{}, "x"]'])
def test_an_array_of_anything_else_is_malformed(text: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        Splitter().feed(text)
    assert caught.value.kind is ErrorKind.UPSTREAM_MALFORMED


def test_str_34_to_37_every_kind_of_line() -> None:
    data = (
        b"\xef\xbb\xbf: comment\r\nid: 1\r\nretry: 5\r\nevent: x\r\n\r\n"
        b"data:{}\n\ndata: {\ndata: }\n\ndata: [1]"
    )
    for at in range(len(data)):
        splitter = Splitter()
        frames = splitter.feed(data[:at]) + splitter.feed(data[at:]) + splitter.close()
        assert [frame.data for frame in frames] == [b"{}", b"{\n}", b"[1]"]
        assert splitter.comments == 1


def test_str_46_a_whole_answer_instead_of_a_stream_is_read() -> None:
    from tests.translators.gemini.support import decode
    from translators.wire import dumps

    events = decode(dumps(wire_answer({"text": "a"})))
    assert isinstance(events[-1], ir.Finish)


# --------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("pieces", "value"),
    [
        pytest.param([{"jsonPath": "$.a", "numberValue": 1}], {"a": 1}, id="a number"),
        pytest.param([{"jsonPath": "$.a", "boolValue": False}], {"a": False}, id="false"),
        pytest.param([{"jsonPath": "$.a", "nullValue": "NULL_VALUE"}], {"a": None}, id="null"),
        pytest.param([{"json_path": "$.a", "string_value": "x"}], {"a": "x"}, id="snake_case"),
        pytest.param(
            [{"jsonPath": "$.a[1].b", "stringValue": "x"}, {"jsonPath": "$.a[0]", "numberValue": 2}],
            {"a": [2, {"b": "x"}]},
            id="nested",
        ),
        pytest.param([{"jsonPath": "$['a b'][\"c.d\"]", "stringValue": "x"}], {"a b": {"c.d": "x"}}, id="quoted"),
        pytest.param(
            [{"jsonPath": "$.a", "stringValue": "x", "willContinue": True}, {"jsonPath": "$.a", "stringValue": "y"}],
            {"a": "xy"},
            id="continued",
        ),
        pytest.param(
            [{"jsonPath": "$.a", "stringValue": "x"}, {"jsonPath": "$.a", "stringValue": "y"}],
            {"a": "y"},
            id="replaced",
        ),
    ],
)  # fmt: skip
def test_partial_arguments(pieces: list[dict[str, Any]], value: Any) -> None:
    partial = PartialArguments()
    for piece in pieces:
        partial.add([piece])
    assert partial.value == value


@pytest.mark.parametrize("path", ["", "$", "a", "$.a[", "$.a[99999999]", "$[0]"])
def test_paths_that_lead_nowhere(path: str) -> None:
    with pytest.raises(GatewayError):
        PartialArguments().add([{"jsonPath": path, "stringValue": "x"}])


# ----------------------------------------------------------------------------------------- counting


def test_cnt_06_counting_upstream_wraps_the_request() -> None:
    body = render(hub(system("S"), user("hi"), max_output_tokens=5)).body
    counted = {"model": "models/gemini-x", **body}
    assert count_body(body, "gemini-x") == {"generateContentRequest": counted}
    bare = {"contents", "systemInstruction", "generationConfig"}
    assert set(count_body(body, "x", vertex=True)) == bare


@pytest.mark.parametrize(
    ("body", "total"),
    [
        (EXAMPLES["count_tokens_response"][0], 57),
        ({"total_tokens": "9"}, 9),
        ({"promptTokensDetails": []}, 0),
        ({"totalTokens": None}, None),
        ({}, None),
        ([], None),
        ({"totalTokens": "x"}, None),
    ],
)
def test_a_count_is_read(body: Any, total: int | None) -> None:
    assert parse_count(body) == total


def test_a_count_is_written() -> None:
    assert render_count(7) == {"totalTokens": 7}


# ------------------------------------------------------------------------------------------ offsets


def test_offsets_inside_a_character_name_nothing() -> None:
    offsets = CharOffsets("aü€😀b")
    assert offsets.span({"startIndex": 1, "endIndex": 3}, "") == (1, 2)
    assert offsets.span({"endIndex": 11}, "") == (0, 5)
    assert offsets.span({"startIndex": 2, "endIndex": 3}, "") == (None, None)
    assert offsets.span({"startIndex": 2, "endIndex": 3}, "€") == (2, 3)
    assert offsets.span({"startIndex": 0, "endIndex": 99}, "nowhere") == (None, None)
    assert byte_span("aü€😀b", 1, 4) == (1, 10)
    assert byte_span("ab", None, None) == (0, 2)


def test_recitations_are_sources_too() -> None:
    metadata = {"citationSources": [{"startIndex": 0, "endIndex": 1, "uri": "u"}, {"license": "x"}]}
    response = parse_answer(wire_answer({"text": "ab"}, citationMetadata=metadata))
    assert isinstance(response.parts[0], ir.Text)
    assert response.parts[0].citations == (ir.UrlCitation(url="u", start=0, end=1),)


# ----------------------------------------------------------------------------------------- spelling


def test_spelling() -> None:
    assert camel("parameters_json_schema") == "parametersJsonSchema"
    assert camel("alreadyCamel") == "alreadyCamel"
    assert camel_deep({"tool_call": {"args": {"a_b": 1}, "tool_type": [{"x_y": 1}]}}) == {
        "toolCall": {"args": {"a_b": 1}, "toolType": [{"xY": 1}]}
    }


def test_a_field_in_both_spellings_is_still_one_field() -> None:
    fields = ProtoFields({"top_k": 1, "maxTokens": "x"}, "c")
    assert fields.optional_int("topK") == 1
    assert fields.at("topK") == "c.top_k"
    with pytest.raises(GatewayError) as caught:
        fields.optional_int("maxTokens")
    assert caught.value.message == invalid("c.maxTokens", "an integer", "x").message
