"""Entries added to and taken out of a file, and everything else left as it was."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config.edit import EditError, flow, with_entry, without_entry

ENTRY = {"preset": "groq", "api_key": "env:GROQ_KEY"}
LINE = "new: {preset: groq, api_key: env:GROQ_KEY}"
FILE = """\
# mine
listen: 127.0.0.1:8080   # here

providers:
  # the first
  a: {preset: openai}    # why
  b:
    preset: deepseek
    api_keys:
      - env:A   # one
      - env:B

  # about c
  c: {preset: xai}
# the end of it
models:
  x: a/m
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", f"providers:\n  {LINE}\n", id="an empty file"),
        pytest.param("listen: 1", f"listen: 1\n\nproviders:\n  {LINE}\n", id="no such section"),
        pytest.param("providers:\n", f"providers:\n  {LINE}\n", id="an empty section"),
        pytest.param(
            "providers:   # none yet\nmodels: {}\n",
            f"providers:   # none yet\n  {LINE}\nmodels: {{}}\n",
            id="an empty section with a remark",
        ),
        pytest.param(
            "providers: {}\n", f"providers: {{{LINE}}}\n", id="an empty mapping on a line"
        ),
        pytest.param(
            "providers: {a: {preset: xai}}  # one\n",
            f"providers: {{a: {{preset: xai}}, {LINE}}}  # one\n",
            id="a mapping on a line",
        ),
        pytest.param(
            "providers:\n    a:\n        preset: xai  # last\n\n# models\nmodels: {}\n",
            f"providers:\n    a:\n        preset: xai  # last\n    {LINE}\n\n# models\nmodels: {{}}\n",
            id="behind the last entry, before what follows, as deep as the others",
        ),
        pytest.param(
            "providers:\n  a: {preset: xai}",
            f"providers:\n  a: {{preset: xai}}\n  {LINE}\n",
            id="a file without a last line break",
        ),
    ],
)
def test_an_entry_is_added_where_it_belongs(text: str, expected: str) -> None:
    assert with_entry(text, "providers", "new", ENTRY) == expected


def test_everything_else_stays_as_it_was() -> None:
    changed = with_entry(FILE, "providers", "new", ENTRY)
    assert without_entry(changed, "providers", "new") == FILE
    assert changed.replace(f"  {LINE}\n", "") == FILE


def test_line_breaks_stay_what_they_are() -> None:
    windows = FILE.replace("\n", "\r\n")
    changed = with_entry(windows, "providers", "new", ENTRY)
    assert f"  {LINE}\r\n" in changed
    assert without_entry(changed, "providers", "new") == windows


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        pytest.param(FILE, "b", FILE.replace(FILE[FILE.index("  b:") : FILE.index("\n  # about c")], ""), id="a block of lines"),
        pytest.param(FILE, "a", FILE.replace("  a: {preset: openai}    # why\n", ""), id="the first, with its remark"),
        pytest.param("providers:\n  a: {preset: xai}\nmodels: {}\n", "a", "providers: {}\nmodels: {}\n", id="the only one"),
        pytest.param("providers: {a: {b: 1}, c: {d: 2}, e: {}}\n", "a", "providers: {c: {d: 2}, e: {}}\n", id="the first on a line"),
        pytest.param("providers: {a: {b: 1}, c: {d: 2}, e: {}}\n", "e", "providers: {a: {b: 1}, c: {d: 2}}\n", id="the last on a line"),
        pytest.param("providers: {a: {b: 1}}\n", "a", "providers: {}\n", id="the only one on a line"),
    ],
)  # fmt: skip
def test_an_entry_is_taken_out(text: str, name: str, expected: str) -> None:
    assert without_entry(text, "providers", name) == expected


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        pytest.param(FILE, "a", "providers.a is there already", id="a name that is taken"),
        pytest.param("- a\n", "a", "no mapping", id="a list"),
        pytest.param("a: [\n", "a", "not valid YAML", id="no YAML"),
        pytest.param("providers: &x\n  b: {}\nc: *x\n", "a", "edit it by hand", id="an anchor that others use"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(text: str, name: str, expected: str) -> None:
    with pytest.raises(EditError, match=expected):
        with_entry(text, "providers", name, ENTRY)


def test_taking_out_what_is_not_there_is_refused() -> None:
    with pytest.raises(EditError, match="is not there"):
        without_entry(FILE, "providers", "z")


WORDS = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=12)


@given(st.dictionaries(WORDS, WORDS | st.booleans(), max_size=4))
def test_whatever_is_written_is_read_back(value: dict[str, object]) -> None:
    assert yaml.safe_load(flow(value)) == value
