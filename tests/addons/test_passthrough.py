"""Same protocol: the bytes pass but for the model's name."""

from __future__ import annotations

import json

import pytest

from addons.passthrough import ModelRenamer, swap_model


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"model":"a","x":1}', b'{"model":"new","x":1}'),
        (
            b'{ "x" : [ {"model":"a"} ], "model" :\n "a" }',
            b'{ "x" : [ {"model":"a"} ], "model" :\n "new" }',
        ),
        (b'{"x":"\\"model\\":\\"a\\"","model":"a"}', b'{"x":"\\"model\\":\\"a\\"","model":"new"}'),
        (b'{"model":"a","metadata":{"model":"a"}}', b'{"model":"new","metadata":{"model":"a"}}'),
        (b'{"model":null,"n":1.50}', b'{"model":"new","n":1.50}'),
        (b'{"n":1e2}', b'{"model":"new","n":1e2}'),
        (b"{}", b'{"model":"new"}'),
        (b'{"model":"a\\"b","y":2}', b'{"model":"new","y":2}'),
        (rb'{"mod\u0065l":"a","y":2}', rb'{"mod\u0065l":"new","y":2}'),
        (
            rb'{"x":{"model":"a"},"\u006DODEL":1,"\u006dodel":"a"}',
            rb'{"x":{"model":"a"},"\u006DODEL":1,"\u006dodel":"new"}',
        ),
    ],
)
def test_only_the_top_level_model_changes(raw: bytes, expected: bytes) -> None:
    assert swap_model(raw, json.loads(raw), "new") == expected


def test_the_same_name_leaves_the_bytes_alone() -> None:
    raw = b'{"model" : "a"}'
    assert swap_model(raw, {"model": "a"}, "a") is raw


@pytest.mark.parametrize("second", [b'"model"', rb'"mod\u0065l"', rb'"\u006Dodel"'])
def test_a_repeated_key_changes_where_readers_look(second: bytes) -> None:
    raw = b'{"model":"a",' + second + b':"b"}'
    assert json.loads(swap_model(raw, json.loads(raw), "new"))["model"] == "new"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_stream_is_renamed_whatever_the_chunks(size: int) -> None:
    stream = b'data: {"id":"1","model":"up/m-1","t":"\\"model\\":\\"up/m-1\\""}\n\ndata: {"model": "up/m-1"}'
    renamer = ModelRenamer("model", "up/m-1", "mine\\1")
    pieces = [renamer(stream[i : i + size]) for i in range(0, len(stream), size)]
    pieces.append(renamer(b""))
    assert b"".join(pieces) == (
        b'data: {"id":"1","model":"mine\\\\1","t":"\\"model\\":\\"up/m-1\\""}\n\ndata: {"model": "mine\\\\1"}'
    )
