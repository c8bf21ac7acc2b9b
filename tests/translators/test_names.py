"""Wire names: legal, unique, reversible, and the same every time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators import ir
from translators.errors import ErrorKind, GatewayError
from translators.names import ToolNames, sanitise


def request(*refs: ir.ToolRef, called: tuple[ir.ToolRef, ...] = ()) -> ir.Request:
    calls = tuple(ir.ToolCall(call_id="c", name=r.name, namespace=r.namespace) for r in called)
    return ir.Request(
        protocol="p",
        model="m",
        messages=(ir.Message(role=ir.Role.ASSISTANT, parts=calls),),
        tools=tuple(
            ir.FunctionTool(name=r.name, namespace=r.namespace, path=f"tools[{place}]")
            for place, r in enumerate(refs)
        ),
    )


@pytest.mark.parametrize(
    ("ref", "wire"),
    [
        pytest.param(ir.ToolRef("read_file"), "read_file", id="a legal name stays"),
        pytest.param(ir.ToolRef("fs.readFile"), "fs_readFile", id="a dot"),
        pytest.param(ir.ToolRef("@scope/x"), "_scope_x", id="a scope"),
        pytest.param(ir.ToolRef("工具"), "__", id="no Latin letter at all"),
        pytest.param(ir.ToolRef("3d"), "_3d", id="a leading digit"),
        pytest.param(ir.ToolRef("-x"), "_-x", id="a leading dash"),
        pytest.param(ir.ToolRef("read", "mcp_x"), "mcp_x__read", id="a namespace"),
    ],
)
def test_wire_names(ref: ir.ToolRef, wire: str) -> None:
    names = ToolNames(request(ref))
    assert names.wire(ref) == wire
    assert names.restore == {wire: ref}


def test_long_names_are_cut_with_a_hash_that_tells_them_apart() -> None:
    one, other = ir.ToolRef("x" * 70 + "a"), ir.ToolRef("x" * 70 + "b")
    names = ToolNames(request(one, other))
    assert len(names.wire(one)) == len(names.wire(other)) == 64
    assert names.wire(one) != names.wire(other)


def test_collisions_are_numbered_in_order_of_declaration() -> None:
    refs = (ir.ToolRef("a.b"), ir.ToolRef("a_b"), ir.ToolRef("b", "a_"), ir.ToolRef("a/b"))
    names = ToolNames(request(*refs))
    assert [names.wire(ref) for ref in refs] == ["a_b", "a_b_2", "a___b", "a_b_3"]
    assert names.renamed == ((refs[0], "a_b"), (refs[1], "a_b_2"), (refs[3], "a_b_3"))


def test_tools_of_the_history_get_names_after_the_declared_ones() -> None:
    gone = ir.ToolRef("a.b")
    names = ToolNames(request(ir.ToolRef("a_b"), called=(gone, gone)))
    assert names.wire(gone) == "a_b_2"
    assert names.restore["a_b_2"] == gone


def test_an_unknown_tool_gets_its_sanitised_name() -> None:
    assert ToolNames(request()).wire(ir.ToolRef("a.b")) == "a_b"


def test_a_tool_declared_twice_is_refused() -> None:
    with pytest.raises(GatewayError) as caught:
        ToolNames(request(ir.ToolRef("f"), ir.ToolRef("f")))
    assert (caught.value.kind, caught.value.path) == (ErrorKind.INVALID_REQUEST, "tools[1]")


def test_hosted_tools_have_no_name() -> None:
    tool = ir.HostedTool(kind=ir.HostedKind.WEB_SEARCH, protocol="p", wire={})
    made = ir.Request(protocol="p", model="m", messages=(), tools=(tool,))
    assert ToolNames(made).restore == {}


refs = st.builds(ir.ToolRef, st.text(max_size=80), st.none() | st.text(max_size=9))


@given(st.lists(refs, unique=True, max_size=8), st.sampled_from([12, 64, 128]))
def test_names_are_a_bijection(declared: list[ir.ToolRef], limit: int) -> None:
    names = ToolNames(request(*declared), limit)
    wires = [names.wire(ref) for ref in declared]
    assert len(set(wires)) == len(wires)
    assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_-]*", wire) for wire in wires)
    assert all(len(wire) <= limit for wire in wires)
    assert [names.restore[wire] for wire in wires] == declared
    assert wires == [ToolNames(request(*declared), limit).wire(ref) for ref in declared]


@given(st.text(max_size=100))
def test_sanitising_twice_changes_nothing(name: str) -> None:
    assert sanitise(sanitise(name)) == sanitise(name)
