"""Editing clients' files in place: what is not ours stays as it is, byte for byte, there and back."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.llmgate.connect.data import (
    ABSENT,
    Change,
    EditError,
    Entry,
    applied,
    new_containers,
)
from scripts.llmgate.connect.formats import FORMATS, FormatName, edit, restore
from scripts.llmgate.connect.undo import LINES, MAX_UNITS, WORDS, merge, undone

JSON = (
    Change(("apiKeyHelper",), "cat /t"),
    Change(("env", "BASE"), "http://127.0.0.1:8080"),
    Change(("env", "OLD_KEY"), ABSENT),
    Change(("env", "deep", "er"), {"a": [1, 2], "b": True}),
    Change(("entries", Entry(("id",), "ours")), {"id": "ours", "name": "llmgate"}),
)
TOML = (
    Change(("model",), "mine"),
    Change(("model_provider",), "llmgate"),
    Change(("model_providers", "llmgate", "base_url"), "http://127.0.0.1:8080/v1"),
    Change(("model_providers", "llmgate", "env_key"), ABSENT),
    Change(("model_providers", "llmgate", "flag"), False),
    Change(("model_providers", "llmgate", "auth", "args"), ["/t/with space"]),
)
ENV = (
    Change(("GEMINI_API_KEY",), "a-key"),
    Change(("GOOGLE_GEMINI_BASE_URL",), "http://127.0.0.1:8080"),
    Change(("GOOGLE_API_KEY",), ABSENT),
)
CHANGES: dict[FormatName, tuple[Change, ...]] = {"json": JSON, "toml": TOML, "env": ENV}

JSON_DOCUMENTS = [
    pytest.param("", id="an empty file"),
    pytest.param(" \n", id="blanks only"),
    pytest.param("// a comment only\n", id="a comment only"),
    pytest.param("{}", id="an empty object without a line end"),
    pytest.param("{}\n", id="an empty object"),
    pytest.param("{\n}\n", id="an empty object over two lines"),
    pytest.param("{\n  // later\n}\n", id="a comment inside"),
    pytest.param('{"a": 1}', id="one line"),
    pytest.param('{"a":1,"b":[1,2],"env":{"X":"y"}}', id="without any space"),
    pytest.param('{\n  "z": 1,\n  "a": 2\n}\n', id="odd order"),
    pytest.param('{\n\t"permissions": {\n\t\t"allow": []\n\t}\n}\n', id="tabs"),
    pytest.param('{\r\n    "a": 1,\r\n    "env": {}\r\n}\r\n', id="CRLF and four spaces"),
    pytest.param('{\n  "a": 1, // why\n  "b": 2, // last\n}\n', id="comments, trailing comma"),
    pytest.param('{\n  "a": 1 // no comma after this\n}\n', id="a comment after the last one"),
    pytest.param('{\n  "a": 1 /* x */ /* y */\n}', id="block comments after the last one"),
    pytest.param(
        '{\n  "env": {\n    "OLD_KEY": "s", // mine\n    "KEEP": "1"\n  }\n}\n',
        id="a setting that goes, with a comment",
    ),
    pytest.param(
        '{\n  "env": {\n    "KEEP": "1",\n    "OLD_KEY": "s"\n  }\n}\n', id="the last goes"
    ),
    pytest.param('{\n  "env": {\n    "OLD_KEY": "s"\n  }\n}\n', id="the only one goes"),
    pytest.param('{"env": {"OLD_KEY": "s", "K": 1}, "x": 1.50}', id="a setting goes on one line"),
    pytest.param('{\n  "apiKeyHelper" : "other",\n  "env":{"BASE" :\t"x"}\n}', id="ours exist"),
    pytest.param(
        '{\n  "appliedId": "x",\n  "entries": [\n    { "id": "x", "name": "Bedrock" }\n  ]\n}\n',
        id="a list with an entry",
    ),
    pytest.param('{"entries": [{"id": "ours", "name": "old"}]}', id="our entry is there"),
    pytest.param('{\n  "entries": [\n  ]\n}\n', id="an empty list"),
    pytest.param('{"\\u00fc": "\\ud83d\\ude00 \u2028", "n": 1e999, "m": -0.0}', id="odd values"),
]
TOML_DOCUMENTS = [
    pytest.param("", id="an empty file"),
    pytest.param("# only a comment", id="a comment without a line end"),
    pytest.param('model = "a"\n', id="one key"),
    pytest.param("model = 'a'   # why\n", id="a literal string and a comment"),
    pytest.param("x = 1\n\n# servers\n[mcp.x]\na = 1\n", id="a comment of the table"),
    pytest.param("# servers\n[mcp.x]\na = 1\n", id="a table first, with its comment"),
    pytest.param("# about this file\n\n[a]\nx = 1\n", id="a comment of the file"),
    pytest.param("#:schema https://example.com/s.json\n[a]\nx = 1\n", id="a schema line"),
    pytest.param("[a]\nx=1", id="no line end at the end"),
    pytest.param('model = "a"\r\n\r\n[t]\r\nx=1\r\n', id="CRLF"),
    pytest.param("[t]\n  x=1\n  [t.u]\n    y=2\n", id="indented tables"),
    pytest.param(
        "[model_providers.a]\nx=1\n\n[other]\ny=2\n\n[model_providers.b]\nx=2\n", id="scattered"
    ),
    pytest.param("[model_providers]\n\n[model_providers.a]\nx=1\n", id="an explicit parent"),
    pytest.param('model_providers.a.name = "x"\nfoo = 1\n', id="dotted keys"),
    pytest.param(
        'model_providers.llmgate.name = "x" # mine\nfoo = 1\n\n[t]\n', id="ours in dotted keys"
    ),
    pytest.param(
        '[model_providers.llmgate]\nname = "n"\nenv_key = "K"\nbase_url = "x"\n\n[z]\nq=1\n',
        id="ours by hand, with a key that goes",
    ),
    pytest.param(
        '[model_providers.llmgate.auth]\nargs = [ # one\n  "a", # ]\n]\n', id="our list, commented"
    ),
    pytest.param(
        'notify = [\n  "a", # [x]\n  """b\n[c]\nmodel = 1\n""",\n]\nq = \'\'\'\n[d]\n\'\'\'\n[e]\n',
        id="brackets and headers inside values",
    ),
    pytest.param(
        "[[hooks]]\nmodel=1\n[hooks.x]\nmodel=2\n\n[[hooks]]\na=2\n", id="lists of tables"
    ),
    pytest.param(
        '"model" = "a"\n[ "mcp" . \'x.y\' ]\nk = 1979-05-27T07:32:00Z\n', id="quoted keys"
    ),
    pytest.param('t = { model = "x", y = { z = 1 } }\nn = nan\nf = 1_0.50\n', id="inline tables"),
    pytest.param('s = """"quoted""""\nm = "# no comment"\n', id="quotes in strings"),
]
ENV_DOCUMENTS = [
    pytest.param("", id="an empty file"),
    pytest.param("# mine\nexport A=1\n\nB='x # y'\n", id="comments and quotes"),
    pytest.param('GEMINI_API_KEY="old" # mine\nA=1', id="ours, quoted, no line end"),
    pytest.param("A=1\r\nGOOGLE_API_KEY=k\r\nB=2\r\n", id="CRLF and one that goes"),
    pytest.param('M="a\nGEMINI_API_KEY=inside\nb"\nC=\nnot an assignment\n', id="a value of lines"),
    pytest.param("GEMINI_API_KEY=one\nGEMINI_API_KEY=two\n", id="the last one counts"),
    pytest.param("GEMINI_API_KEY=\nOTHER: x\n", id="an empty value, a colon"),
]
DOCUMENTS = [
    pytest.param(name, *document.values, id=f"{name}: {document.id}")
    for name, documents in (
        ("json", JSON_DOCUMENTS),
        ("toml", TOML_DOCUMENTS),
        ("env", ENV_DOCUMENTS),
    )
    for document in documents
]

SAID_ONCE = [document for document in DOCUMENTS if document.id != "env: the last one counts"]
"""Without the one in which an earlier, overruled line says something, which is no setting."""


def connected(name: FormatName, text: str) -> tuple[str, tuple[Any, ...], tuple[Any, ...]]:
    form = FORMATS[name]
    made = new_containers(form.load(text), CHANGES[name])
    after, done = edit(text, CHANGES[name], form)
    return after, done, made


@pytest.mark.parametrize(("name", "text"), DOCUMENTS)
def test_only_our_settings_differ(name: FormatName, text: str) -> None:
    form = FORMATS[name]
    after, _, _ = connected(name, text)
    assert form.load(after) == applied(form.load(text), CHANGES[name])
    assert edit(after, CHANGES[name], form) == (after, ())
    for line in text.splitlines():
        comment = line.partition("//" if name == "json" else "#")[2]
        # Only a comment inside a value that is replaced goes with it.
        assert comment in after or "args = [" in text, "a comment went"
    if "\r\n" in text:
        assert after.count("\n") == after.count("\r\n")


@pytest.mark.parametrize(("name", "text"), SAID_ONCE)
def test_taking_it_back_setting_by_setting_says_what_it_said(name: FormatName, text: str) -> None:
    """What happens when a client has rewritten the whole file, so that no line can be trusted."""
    form = FORMATS[name]
    after, done, made = connected(name, text)
    assert form.load(restore(after, done, made, form)) == form.load(text)


def touched(name: FormatName, text: str) -> str:
    """The document with an edit that a person could make at its end."""
    if name == "json":
        return text + "// seen\n" if text.endswith("\n") else text + "\n// seen\n"
    ending = "" if not text or text.endswith("\n") else "\n"
    return text + ending + ("USER=1\n" if name == "env" else "\n[user]\nown = 1\n")


@pytest.mark.parametrize(("name", "text"), DOCUMENTS)
def test_an_edit_in_between_survives(name: FormatName, text: str) -> None:
    form = FORMATS[name]
    after, done, made = connected(name, text)
    now = touched(name, after)
    back = undone(text, after, now, done, made, form)
    assert form.load(back) == form.load(touched(name, text))
    if name == "json" and text.strip():
        assert back.endswith("// seen\n")


EXACT = [
    pytest.param(
        "json",
        '{\n  "a": 1,\n  "env": {\n    "X": "1"\n  }\n}\n',
        ('"a": 1', '"a": 2'),
        id="json: a value",
    ),
    pytest.param(
        "json", '{\n  "a": 1, // c\n  "b": {}\n}\n', ("// c", "// changed"), id="json: a comment"
    ),
    pytest.param(
        "json", '{\r\n  "a": 1,\r\n  "b": {}\r\n}\r\n', ('"a": 1', '"a": [\r\n 1]'), id="json: CRLF"
    ),
    pytest.param("toml", '# x\nmodel = "a"\n\n[t]\nx=1\n', ("x=1", "x=1\ny=2"), id="toml: a key"),
    pytest.param(
        "toml", 'model = "a"\n\n# t\n[t]\nx=1\n', ("# t\n", "# u\n\n\n"), id="toml: a comment"
    ),
    pytest.param("env", "A=1\n# c\nB=2\n", ("A=1", "A=1\nZ=3"), id="env: a line"),
    pytest.param(
        "json",
        '{\n  "env": {\n    "OLD_KEY": "s", // mine\n    "K": 1\n  },\n  "z": 1\n}\n',
        ('"z": 1', '"z": 2'),
        id="json: what was taken out comes back to its place",
    ),
    pytest.param("toml", "a = 1\n[t]\nx=1", ("a = 1", "a = 2"), id="toml: no line end at the end"),
    pytest.param(
        "env", "GOOGLE_API_KEY=k # c\nA=1", ("A=1", "A=2"), id="env: a line with a comment"
    ),
]


@pytest.mark.parametrize(("name", "text", "change"), EXACT)
def test_an_edit_elsewhere_survives_to_the_byte(
    name: FormatName, text: str, change: tuple[str, str]
) -> None:
    after, done, made = connected(name, text)
    assert change[0] in after
    back = undone(text, after, after.replace(*change), done, made, FORMATS[name])
    assert back == text.replace(*change)


LAYOUTS = [
    pytest.param(
        "json", '{\n\t"a": 1\n}', '{\n\t"a": 1,\n\t"n": {\n\t\t"v": "x"\n\t}\n}', id="tabs"
    ),
    pytest.param("json", '{"a":1}', '{"a":1,"n":{"v":"x"}}', id="one line without spaces"),
    pytest.param("json", '{"a": 1}', '{"a": 1, "n": {"v": "x"}}', id="one line"),
    pytest.param(
        "json",
        '{\n  "a": 1, // c\n}',
        '{\n  "a": 1, // c\n  "n": {\n    "v": "x"\n  },\n}',
        id="a trailing comma",
    ),
    pytest.param(
        "json",
        '{\n    "n": {},\n    "a": 1\n}\n',
        '{\n    "n": {\n        "v": "x"\n    },\n    "a": 1\n}\n',
        id="an empty object opens up",
    ),
    pytest.param(
        "json",
        '{\n  "a": 1 }\n',
        '{\n  "a": 1,\n  "n": {\n    "v": "x"\n  } }\n',
        id="a bracket behind the last value",
    ),
    pytest.param("json", "", '{\n  "n": {\n    "v": "x"\n  }\n}\n', id="a new file"),
    pytest.param(
        "toml", "# c\n[t]\na = 1", '# c\n[t]\na = 1\n\n[n]\nv = "x"\n', id="a table at the end"
    ),
    pytest.param(
        "toml",
        "[n]\n  a = 1\n\n# c\n[t]\n",
        '[n]\n  a = 1\n  v = "x"\n\n# c\n[t]\n',
        id="its table",
    ),
    pytest.param(
        "toml", "n.a = 1\n\n[t]\n", 'n.a = 1\nn.v = "x"\n\n[t]\n', id="beside dotted keys"
    ),
]


@pytest.mark.parametrize(("name", "text", "expected"), LAYOUTS)
def test_what_is_added_looks_like_what_is_there(name: FormatName, text: str, expected: str) -> None:
    assert edit(text, [Change(("n", "v"), "x")], FORMATS[name])[0] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# servers\n[t]\n", 'v = "x"\n\n# servers\n[t]\n'),
        ("# the file\n\n[t]\n", '# the file\n\nv = "x"\n\n[t]\n'),
        ("#:schema s\n[t]\n", '#:schema s\nv = "x"\n\n[t]\n'),
        ("a = [\n 1,\n] # c\n\n[t]\n", 'a = [\n 1,\n] # c\nv = "x"\n\n[t]\n'),
    ],
)
def test_a_first_key_stands_before_the_tables_and_parts_no_comment_from_its_table(
    text: str, expected: str
) -> None:
    assert edit(text, [Change(("v",), "x")], FORMATS["toml"])[0] == expected


def test_a_table_appended_behind_ours_stays() -> None:
    """Codex itself appends what it learns: the folders that it may trust."""
    text = 'model = "a"\n\n[t]\nx = 1\n'
    after, done, made = connected("toml", text)
    added = '\n[projects."/home/user/work"]\ntrust_level = "trusted"\n'
    assert undone(text, after, after + added, done, made, FORMATS["toml"]) == text + added


def test_a_setting_of_ours_that_was_changed_since_stays() -> None:
    text = '{\n  "a": 1\n}\n'
    after, done, made = connected("json", text)
    now = after.replace("cat /t", "cat /mine")
    back = undone(text, after, now, done, made, FORMATS["json"])
    assert json.loads(back) == {"a": 1, "apiKeyHelper": "cat /mine"}


def test_a_file_written_anew_by_its_client_loses_only_ours() -> None:
    text = '{"a": 1, "env": {"OLD_KEY": "s"}}'
    after, done, made = connected("json", text)
    now = json.dumps(json.loads(after) | {"new": True}, indent=4, sort_keys=True)
    back = undone(text, after, now, done, made, FORMATS["json"])
    assert json.loads(back) == {"a": 1, "env": {"OLD_KEY": "s"}, "new": True}


@pytest.mark.parametrize(
    ("name", "text", "line", "words"),
    [
        ("json", '{\n  "a": 1\n  "b": 2\n}', 3, "expected a comma"),
        ("json", '{\n  "a": \n}', 3, "expected a value"),
        ("json", "{\n  a: 1\n}", 2, "expected a name in double quotes"),
        ("json", '{"a" 1}', 1, "expected a colon"),
        ("json", '{\n "a": "x\n"}', 2, "a string does not end"),
        ("json", '{"a": "\\x"}', 1, "bad escape"),
        ("json", "[1]", 1, "must hold one object"),
        ("json", "{}\n{}", 2, "goes on after"),
        ("json", '{"a": ' + "[" * 200, 1, "nested too deeply"),
        ("json", '{\n  "env": "text"\n}', 2, "env must be an object"),
        ("json", '{"entries": {}}', 1, "entries must be a list"),
        ("json", "{", 1, "expected a name in double quotes, found end"),
        ("json", '{"a":\n' + "1" * 5000 + "}", 2, "a number is too long"),
        ("toml", "a = " + "1" * 5000, None, "a number that is too long"),
        ("toml", "a = " + "[" * 5000, None, "nested too deeply"),
        ("toml", "a = 1\nb = \n", 2, "invalid value"),
        ("toml", "a = 1\na = 2\n", 2, "overwrite"),
        ("toml", "x = 1\nmodel_providers = { a = { n = 1 } }\n", 2, "write it as a table"),
        ("toml", "[model_providers]\nllmgate = { base_url = 'x' }\n", 2, "write it as a table"),
        ("json", '{"env": {"OLD_KEY": 1, "OLD_KEY": 2}}', None, "set these by hand"),
    ],
)
def test_what_cannot_be_edited_is_refused_with_its_line(
    name: FormatName, text: str, line: int | None, words: str
) -> None:
    with pytest.raises(EditError, match=words) as caught:
        connected(name, text)
    if line is not None:
        assert caught.value.line == line


def test_merging_refuses_what_touches() -> None:
    assert merge("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", LINES) == "A\nb\nC\n"
    assert merge("a\nb\n", "A\nb\n", "B\nb\n", LINES) is None
    assert merge("a\n", "a\nx\n", "a\ny\n", LINES) is None
    assert merge('"z": 1\n', '"z": 1,\n', '"z": 2\n', LINES) is None
    assert merge('"z": 1\n', '"z": 1,\n', '"z": 2\n', WORDS) == '"z": 2,\n'


def test_merging_gives_up_on_too_much() -> None:
    many = "a\n" * (MAX_UNITS + 1)
    assert merge(many, many.replace("a", "b"), many, LINES) is None


# Random documents.

NAMES = st.sampled_from(
    ["a", "b", "env", "BASE", "OLD_KEY", "model", "apiKeyHelper", "ü", 'q"x', ""]
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=5), st.sampled_from([1.5, -0.25])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
GAPS = st.sampled_from(["", " ", "\n", "\n  ", "\t", " // x\n", "/* y */", "\r\n"])


@st.composite
def json_texts(draw: st.DrawFn) -> str:
    """A document in any layout that its grammar allows."""

    def write(value: Any) -> str:
        if isinstance(value, dict | list):
            opening, closing = "{}" if isinstance(value, dict) else "[]"
            items = [
                (f"{json.dumps(item)}{draw(GAPS)}:{draw(GAPS)}{write(value[item])}")
                if isinstance(value, dict)
                else write(item)
                for item in value
            ]
            text = ",".join(draw(GAPS) + item + draw(GAPS) for item in items)
            comma = "," if items and draw(st.booleans()) else ""
            return opening + text + comma + draw(GAPS) + closing
        return json.dumps(value, ensure_ascii=draw(st.booleans()))

    return draw(GAPS) + write(draw(st.dictionaries(NAMES, VALUES, max_size=4))) + draw(GAPS)


@given(json_texts())
def test_any_json_document_there_and_back(text: str) -> None:
    there_and_back("json", text)


KEYS = st.sampled_from(["a", "b-c", '"q x"', "'l.x'", "model", "model_provider", "name"])
TOML_VALUES = st.sampled_from(
    ["1", "-1.50", "nan", "true", '"x # y"', "'[z]'", '"""\n[m]\nk=1"""', "[\n 1, # ]\n]",
     "{ a = 1 }", "2026-11-21"]
)  # fmt: skip
HEADERS = st.sampled_from(
    ["[t]", "[ t . u ]", "[model_providers.a]", "[model_providers.llmgate]", "[[list]]", "[list.x]",
     "[model_providers]", '["q"]', "[model_providers.llmgate.auth]"]
)  # fmt: skip


@st.composite
def toml_texts(draw: st.DrawFn) -> str:
    """Statements in any order that the grammar allows: each is kept if the document still reads."""
    end = draw(st.sampled_from(["\n", "\r\n"]))
    text = ""
    for _ in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["key", "key", "header", "blank", "comment", "dotted"]))
        indent = draw(st.sampled_from(["", "", "  ", "\t"]))
        line = {
            "key": f"{draw(KEYS)}{draw(st.sampled_from([' = ', '=']))}{draw(TOML_VALUES)}",
            "dotted": f"{draw(KEYS)}.{draw(KEYS)} = 1",
            "header": draw(HEADERS),
            "blank": "",
            "comment": "# a = 1 [b]",
        }[kind]
        tail = draw(st.sampled_from(["", "  # c"])) if kind in ("key", "header") else ""
        longer = text + (indent + line + tail).replace("\n", end) + end
        try:
            tomllib.loads(longer)
        except tomllib.TOMLDecodeError:
            continue
        text = longer
    return text.removesuffix(end) if draw(st.booleans()) else text


@given(toml_texts())
def test_any_toml_document_there_and_back(text: str) -> None:
    there_and_back("toml", text)


@given(st.text(alphabet="AB=#'\"\n\r \t:é", max_size=40), st.booleans())
def test_any_env_file_there_and_back(text: str, ours: bool) -> None:
    there_and_back("env", ("GEMINI_API_KEY=x\n" if ours else "") + text)


PIECES = st.sampled_from(
    ["{", "}", "[", "]", ",", ":", "=", ".", "#", "//", "/*", "*/", '"', "'", '"""', "\\", "\n", "\r", " ",
     "a", "1", "true", "\x00", "\u2028", "é", "env", '"env"', "GEMINI_API_KEY", "model", "llmgate"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=25).map("".join))
def test_no_text_at_all_does_harm(text: str) -> None:
    there_and_back("json", text)
    there_and_back("toml", text)
    there_and_back("env", text)


def there_and_back(name: FormatName, text: str) -> None:
    """Connecting changes our settings alone, or is refused; taking it back is exact; twice is once."""
    form = FORMATS[name]
    try:
        after, done, made = connected(name, text)
    except EditError:
        return
    assert form.load(after) == applied(form.load(text), CHANGES[name])
    assert edit(after, CHANGES[name], form) == (after, ())
    assert undone(text, after, after, done, made, form) == text
    try:
        back = undone(text, after, touched(name, after), done, made, form)
    except EditError:
        return
    assert form.load(back) == form.load(touched(name, text))
