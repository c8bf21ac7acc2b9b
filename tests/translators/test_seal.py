"""The envelope: what goes in comes out, byte for byte, and nothing else opens."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators import ir
from translators.seal import TEXT_PREFIX, Seal

SEAL = Seal(b"k" * 16)
STATE = ir.OpaqueState(kind=ir.StateKind.ANTHROPIC_SIGNATURE, value="s==", provider="p", model="m")

states = st.builds(
    ir.OpaqueState,
    kind=st.sampled_from(ir.StateKind),
    value=st.text(),
    provider=st.none() | st.text(),
    model=st.none() | st.text(),
)
pieces = st.builds(ir.Reasoning, text=st.text(), state=states, item_id=st.none() | st.just("rs_1"))


@given(pieces)
def test_what_goes_in_comes_out(reasoning: ir.Reasoning) -> None:
    wrapped = SEAL.wrap(reasoning, ("call_1",))
    assert wrapped is not None
    assert wrapped.startswith(TEXT_PREFIX)
    assert Seal.is_envelope(wrapped)
    base64.b64decode(wrapped, validate=True)
    assert SEAL.unwrap(wrapped) == reasoning
    assert SEAL.unwrap(wrapped.replace("+", "-").replace("/", "_").rstrip("=")) == reasoning
    assert SEAL.wrap(reasoning, ("call_1",)) == wrapped


def test_reasoning_without_state_has_no_envelope() -> None:
    assert SEAL.wrap(ir.Reasoning(text="hm")) is None


def test_the_path_is_given_to_what_comes_out() -> None:
    wrapped = SEAL.wrap(ir.Reasoning(state=STATE)) or ""
    opened = SEAL.unwrap(wrapped, "messages[1]")
    assert opened is not None
    assert opened.path == "messages[1]"


WRAPPED = SEAL.wrap(ir.Reasoning(text="hm", state=STATE)) or ""


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="nothing"),
        pytest.param("EqQBCg==", id="a foreign signature"),
        pytest.param(TEXT_PREFIX, id="a prefix alone"),
        pytest.param(TEXT_PREFIX + "é", id="not ASCII"),
        pytest.param(TEXT_PREFIX + "!!", id="no base64"),
        pytest.param(WRAPPED[:-8], id="cut"),
        pytest.param(WRAPPED[:40] + ("A" if WRAPPED[40] != "A" else "B") + WRAPPED[41:], id="changed"),
        pytest.param(WRAPPED + "AAAA", id="extended"),
    ],
)  # fmt: skip
def test_anything_else_does_not_open(value: str) -> None:
    assert SEAL.unwrap(value) is None


def test_another_key_does_not_open() -> None:
    assert Seal(b"x" * 16).unwrap(WRAPPED) is None


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert SEAL.unwrap(TEXT_PREFIX + text) is None


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Seal(b"short")


def test_thoughts_without_state_survive_a_client_that_drops_thoughts() -> None:
    sealed = SEAL.wrap_text("Two calls.")
    assert sealed is not None
    assert Seal.is_envelope(sealed)
    assert SEAL.unwrap(sealed) == ir.Reasoning(
        text="Two calls.", state=ir.OpaqueState(kind=ir.StateKind.CHAT_TEXT, value="")
    )
    assert SEAL.wrap_text("") is None
    assert Seal(b"another key of 16 bytes").unwrap(sealed) is None
