"""Payload rules: paths, conditions, and bodies that are never modified."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from config.payload import PayloadContext, PayloadRule, apply_rules, could_apply, parse_path

CONTEXT = PayloadContext(
    protocol="openai_chat",
    provider="p",
    model="m-1",
    client_protocol="anthropic",
    headers={"user-agent": "agent/1"},
)


def apply(body: dict[str, Any], *rules: dict[str, Any]) -> dict[str, Any]:
    return apply_rules(body, [PayloadRule.model_validate(rule) for rule in rules], CONTEXT)


@pytest.mark.parametrize(
    ("rule", "body", "expected"),
    [
        pytest.param({"set": {"a": 1}}, {"a": 0, "b": 2}, {"a": 1, "b": 2}, id="F41: override"),
        pytest.param({"set_default": {"a": 1}}, {"a": None}, {"a": None}, id="F41: a default does not override null"),
        pytest.param({"set_default": {"a": 1}}, {}, {"a": 1}, id="F41: a default where nothing is"),
        pytest.param({"remove": "a"}, {"a": 1, "b": 2}, {"b": 2}, id="F41: remove"),
        pytest.param({"remove": "a.b[1].c"}, {"a": {"b": [1, {"c": 2, "d": 3}]}}, {"a": {"b": [1, {"d": 3}]}}, id="remove deep down"),
        pytest.param({"remove": "a[0]"}, {"a": [1, 2]}, {"a": [2]}, id="remove an element"),
        pytest.param({"remove": "a[*].b"}, {"a": [{"b": 1}, 5, {"b": 2, "c": 3}]}, {"a": [{}, 5, {"c": 3}]}, id="of every element"),
        pytest.param({"remove": "a[*]"}, {"a": {"x": 1, "y": 2}}, {"a": {}}, id="every key of an object"),
        pytest.param({"set": {"a.b.c": 1}}, {}, {"a": {"b": {"c": 1}}}, id="objects on the way are made"),
        pytest.param({"set": {"a[0].b": 1}}, {}, {}, id="elements are not"),
        pytest.param({"set": {"a[5]": 1}}, {"a": [0]}, {"a": [0]}, id="nor behind the end"),
        pytest.param({"set": {"a.b": 1}}, {"a": "text"}, {"a": "text"}, id="a text has no keys"),
        pytest.param({"set": {"a[*].x": 1}}, {"a": [{}, {"x": 2}]}, {"a": [{"x": 1}, {"x": 1}]}, id="set in every element"),
        pytest.param({"set_default": {"a[*].x": 1}}, {"a": [{}, {"x": 2}]}, {"a": [{"x": 1}, {"x": 2}]}, id="default in every element"),
        pytest.param({"set": {'a["b.c"]': 1}}, {"a": {}}, {"a": {"b.c": 1}}, id="a quoted key"),
        pytest.param({"remove": "a", "set": {"a": 2}}, {"a": {"x": 1}}, {"a": 2}, id="removal comes first"),
        pytest.param({"when": {"exists": "a"}, "set": {"b": 1}}, {"a": None}, {"a": None, "b": 1}, id="exists, also null"),
        pytest.param({"when": {"exists": "a"}, "set": {"b": 1}}, {}, {}, id="does not exist"),
        pytest.param({"when": {"missing": "a.b"}, "set": {"c": 1}}, {"a": {}}, {"a": {}, "c": 1}, id="missing"),
        pytest.param({"when": {"equals": {"a": 1}}, "set": {"c": 1}}, {"a": 1}, {"a": 1, "c": 1}, id="equals"),
        pytest.param({"when": {"equals": {"a": 1}}, "set": {"c": 1}}, {"a": True}, {"a": True}, id="true is not 1"),
        pytest.param({"when": {"equals": {"a": ["x", "y"]}}, "set": {"c": 1}}, {"a": "y"}, {"a": "y", "c": 1}, id="one of several"),
        pytest.param({"when": {"equals": {"a[*].t": "x"}}, "set": {"c": 1}}, {"a": [{"t": "y"}, {"t": "x"}]}, {"a": [{"t": "y"}, {"t": "x"}], "c": 1}, id="any element"),
        pytest.param({"when": {"protocol": "anthropic"}, "set": {"c": 1}}, {}, {}, id="another upstream protocol"),
        pytest.param({"when": {"client_protocol": "anthropic"}, "set": {"c": 1}}, {}, {"c": 1}, id="the client's protocol"),
        pytest.param({"when": {"model": "m-*", "provider": ["q", "p"]}, "set": {"c": 1}}, {}, {"c": 1}, id="model and provider patterns"),
        pytest.param({"when": {"model": "x-*"}, "set": {"c": 1}}, {}, {}, id="another model"),
        pytest.param({"when": {"headers": {"User-Agent": "agent/*"}}, "set": {"c": 1}}, {}, {"c": 1}, id="a header"),
        pytest.param({"when": {"headers": {"x-none": "*"}}, "set": {"c": 1}}, {}, {}, id="a header that is not there"),
    ],
)  # fmt: skip
def test_a_rule(rule: dict[str, Any], body: dict[str, Any], expected: dict[str, Any]) -> None:
    before = copy.deepcopy(body)
    assert apply(body, rule) == expected
    assert body == before


def test_rules_apply_in_order() -> None:
    assert apply({}, {"set": {"a": 1}}, {"when": {"equals": {"a": 1}}, "set": {"a": 2}}) == {"a": 2}


def test_a_body_that_no_rule_changes_is_the_very_same_object() -> None:
    body = {"a": [{"b": 1}], "c": {"d": 2}}
    rules = [
        {"remove": ["x", "a[*].x", "c.x.y", "a[9]"]},
        {"set": {"a[9].b": 1, "c[0]": 1}},
        {"set_default": {"c.d": 5}},
    ]
    assert apply(body, *rules) is body


def test_what_does_not_change_is_shared() -> None:
    body = {"messages": [{"content": "long"}], "x": 1}
    assert apply(body, {"remove": "x"})["messages"] is body["messages"]


@pytest.mark.parametrize("path", ["", ".a", "a..b", "a[", "a[x]", "a b", "[-1]"])
def test_unreadable_paths_are_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        PayloadRule.model_validate({"remove": path})


def test_a_rule_must_do_something() -> None:
    with pytest.raises(ValidationError, match="at least one of"):
        PayloadRule.model_validate({"when": {"model": "x"}})


def test_what_is_known_at_load_is_asked_at_load() -> None:
    rule = PayloadRule.model_validate(
        {"when": {"protocol": "gemini", "exists": "a"}, "remove": "a"}
    )
    assert could_apply(rule, "gemini", "p", "m")
    assert not could_apply(rule, "anthropic", "p", "m")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
PATHS = st.lists(st.sampled_from(["a", "b", "c", "[0]", "[1]", "[*]"]), min_size=1, max_size=4).map(
    lambda steps: "".join(
        step if step.startswith("[") else f".{step}" for step in ["a", *steps]
    ).lstrip(".")
)


@given(body=st.dictionaries(st.sampled_from("abc"), JSON, max_size=3), path=PATHS, value=JSON)
def test_any_rule_on_any_body_leaves_the_body_alone_and_is_repeatable(
    body: dict[str, Any], path: str, value: Any
) -> None:
    before = copy.deepcopy(body)
    for rule in ({"remove": [path]}, {"set": {path: value}}, {"set_default": {path: value}}):
        once = apply(body, rule)
        assert body == before
        if "remove" not in rule or not path.endswith("]"):
            assert apply(once, rule) == once
    assert parse_path(path)
