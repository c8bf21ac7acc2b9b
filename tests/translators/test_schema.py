"""Schema conversion: keyword by keyword and dialect by dialect, at every depth, in linear time."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators.errors import ErrorKind, GatewayError
from translators.losses import Losses, Mode
from translators.schema import (
    Dialect,
    convert,
    fits_anthropic,
    fits_openai_strict,
    from_openapi,
    function_parameters,
    root_is_object,
    without_added_nulls,
    wrap_root,
)

O, A, GJ, GS, GV = Dialect  # noqa: E741 - the letters of the rules
EMPTY = {"type": "object", "properties": {}}


def converted(schema: dict[str, Any], dialect: Dialect, mode: Mode = Mode.MAX_COMPAT) -> Any:
    before = copy.deepcopy(schema)
    out = convert(schema, dialect, "tools[0]", Losses(mode))
    assert schema == before
    return out


def prop(schema: dict[str, Any], dialect: Dialect, mode: Mode = Mode.MAX_COMPAT) -> Any:
    """A schema as the one required property of an object."""
    root = {"type": "object", "properties": {"x": schema}, "required": ["x"]}
    return converted(root, dialect, mode)["properties"]["x"]


S = {"type": "string"}
I = {"type": "integer"}  # noqa: E741


@pytest.mark.parametrize(
    ("schema", "dialect", "expected"),
    [
        pytest.param({"type": ["string", "null"]}, O, {"type": ["string", "null"]}, id="O null"),
        pytest.param({"type": ["string", "null"]}, A, {"anyOf": [S, {"type": "null"}]}, id="A null"),
        pytest.param({"type": ["string", "null"]}, GS, {"type": "STRING", "nullable": True}, id="GS null"),
        pytest.param(
            {"type": ["string", "integer"], "minLength": 1, "minimum": 2, "title": "t"}, O,
            {"title": "t", "anyOf": [{"type": "string", "minLength": 1}, {"type": "integer", "minimum": 2}]},
            id="O a list of types is a union, each with its own keywords",
        ),
        pytest.param(
            {"type": ["string", "integer", "null"]}, GS,
            {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}], "nullable": True}, id="GS union with null",
        ),
        pytest.param({"type": ["string", "integer"]}, GJ, {"type": ["string", "integer"]}, id="GJ keeps lists"),
        pytest.param({"const": "a"}, O, {"type": "string", "const": "a"}, id="O const gets its type"),
        pytest.param({"const": "a"}, GJ, {"type": "string", "enum": ["a"]}, id="GJ const is an enum"),
        pytest.param({"enum": ["a", None]}, GS, {"type": "STRING", "nullable": True, "enum": ["a"]}, id="GS enum with null"),
        pytest.param({"enum": [1, 2]}, GS, {"type": "STRING", "enum": ["1", "2"]}, id="GS enum of numbers"),
        pytest.param({"enum": [True, False]}, GJ, {"type": "boolean"}, id="GJ both booleans are no constraint"),
        pytest.param({"type": "array", "items": S, "maxItems": 3}, A,
                     {"type": "array", "items": S, "description": '{"maxItems":3}'}, id="A maxItems is told"),
        pytest.param({"type": "array", "items": S, "minItems": 1}, A,
                     {"type": "array", "items": S, "minItems": 1}, id="A minItems 1 stays"),
        pytest.param({"type": "array", "prefixItems": [S, I, S]}, GS,
                     {"type": "ARRAY", "items": {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}}, id="GS prefixItems"),
        pytest.param({"type": "array", "items": [S, I]}, GJ,
                     {"type": "array", "prefixItems": [S, I]}, id="the old spelling of prefixItems"),
        pytest.param({"oneOf": [S, I]}, A, {"anyOf": [S, I]}, id="A oneOf"),
        pytest.param({"oneOf": [S, I]}, GJ, {"oneOf": [S, I]}, id="GJ oneOf stays"),
        pytest.param({"anyOf": [S, {"type": "null"}], "description": "d"}, GS,
                     {"type": "STRING", "description": "d", "nullable": True}, id="GS a union with null only"),
        pytest.param({"allOf": [S, {"minLength": 2}]}, GS, {"type": "STRING", "minLength": 2}, id="allOf is merged"),
        pytest.param({"type": "string", "nullable": True}, A, {"anyOf": [S, {"type": "null"}]}, id="A nullable"),
        pytest.param({"type": "string", "format": "uri"}, O, {**S, "description": '{"format":"uri"}'}, id="O unknown format"),
        pytest.param({"type": "string", "format": "uri"}, A, {**S, "format": "uri"}, id="A uri"),
        pytest.param({"type": "string", "format": "uri"}, GJ, {**S, "format": "uri"}, id="GJ any format"),
        pytest.param({"type": "string", "default": "d", "examples": ["e"]}, GS,
                     {"type": "STRING", "default": "d", "example": "e"}, id="GS default and example"),
        pytest.param({"type": "string", "default": "d"}, A, {**S, "description": '{"default":"d"}'}, id="A default is told"),
        pytest.param({"type": "string", "default": "d"}, GJ, S, id="GJ default goes"),
        pytest.param({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, O,
                     {"type": "integer", "exclusiveMinimum": 1}, id="draft 4 exclusiveMinimum"),
        pytest.param({"type": "integer", "maximum": 9223372036854775807}, GJ,
                     {"type": "integer", "maximum": 9223372036854775807}, id="large integers stay exact"),
        pytest.param({"type": "integer", "maximum": 2**70}, GS,
                     {"type": "INTEGER", "maximum": 2**70}, id="larger ones too"),
        pytest.param({"type": "string", "description": "d", "minLength": 1}, A,
                     {"type": "string", "description": 'd {"minLength":1}'}, id="constraints follow the description"),
        pytest.param({"type": "array", "items": S, "uniqueItems": False}, O, {"type": "array", "items": S},
                     id="what constrains nothing is not told"),
        pytest.param({"type": "string", "x-made-up": 1}, GJ, {**S, "description": '{"x-made-up":1}'}, id="unknown keyword"),
        pytest.param({"type": "object", "additionalProperties": S}, GV,
                     {"type": "OBJECT", "additionalProperties": {"type": "STRING"}}, id="GV maps"),
        pytest.param({"type": "object", "properties": {"a": S}, "additionalProperties": False}, GV,
                     {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "additionalProperties": False}, id="GV closed objects"),
        pytest.param({"type": "object", "properties": {"a": S}, "additionalProperties": False}, GS,
                     {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}, id="GS knows no closed objects"),
        pytest.param({"type": "STRING"}, A, S, id="capital types"),
        pytest.param({}, GJ, {}, id="GJ anything"),
        pytest.param(True, GJ, {}, id="GJ true"),
        pytest.param({}, A, {"anyOf": [S, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]}, id="A anything"),
        pytest.param({"items": S}, GS, {"type": "ARRAY", "items": {"type": "STRING"}}, id="a type that goes without saying"),
    ],
)  # fmt: skip
def test_property(schema: dict[str, Any], dialect: Dialect, expected: Any) -> None:
    assert prop(schema, dialect) == expected


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize("depth", [0, 3])
@pytest.mark.parametrize(
    "keyword",
    [
        {"uniqueItems": True}, {"deprecated": True}, {"$comment": "c"}, {"enumDescriptions": ["d"]},
        {"propertyNames": {"pattern": "a"}}, {"encrypted": True}, {"if": {"required": ["a"]}},
        {"patternProperties": {"^a": {"type": "string"}}}, {"contentEncoding": "base64"},
        {"not": {"type": "null"}}, {"dependentRequired": {"a": ["b"]}}, {"$id": "i"},
        {"unevaluatedProperties": False}, {"$schema": "s"}, {"readOnly": True}, {"contains": {}},
        {"minContains": 1},
    ],
    ids=lambda keyword: next(iter(keyword)),
)  # fmt: skip
def test_f42_a_keyword_that_nobody_takes_never_gets_through(
    keyword: dict[str, Any], dialect: Dialect, depth: int
) -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"a": S}, **keyword}
    for wrapper in ("items", "anyOf", "properties")[:depth]:
        schema = {
            "items": {"type": "array", "items": schema},
            "anyOf": {"anyOf": [schema, {"type": "string"}]},
            "properties": {"type": "object", "properties": {"p": schema}},
        }[wrapper]
    out = prop(schema, dialect)
    assert next(iter(keyword)) not in keys_of(out)


def keys_of(node: Any) -> set[str]:
    """Every keyword of a schema; names of properties do not count."""
    if isinstance(node, list):
        return set().union(*map(keys_of, node))
    if not isinstance(node, dict):
        return set()
    found = set(node)
    for key, value in node.items():
        if key in ("properties", "$defs"):
            found |= set().union(*map(keys_of, value.values()))
        elif key not in ("enum", "const", "default", "example", "required", "propertyOrdering"):
            found |= keys_of(value)
    return found


@pytest.mark.parametrize("dialect", list(Dialect))
def test_properties_that_are_called_like_keywords_stay(dialect: Dialect) -> None:
    names = ["properties", "type", "required", "enum", "$ref", "default", "items", "anyOf", "not"]
    schema = {"type": "object", "properties": dict.fromkeys(names, S), "required": names}
    out = converted(schema, dialect)
    assert list(out["properties"]) == names
    assert out["required"] == names
    assert {value["type"].lower() for value in out["properties"].values()} == {"string"}


def test_openai_strict_requires_everything_and_makes_the_optional_nullable() -> None:
    schema = {
        "type": "object",
        "properties": {"a": S, "b": {"type": "string", "enum": ["x"]}, "c": {"anyOf": [S, I]}},
        "required": ["a"],
    }
    assert converted(schema, O) == {
        "type": "object",
        "properties": {
            "a": S,
            "b": {"type": ["string", "null"], "enum": ["x", None]},
            "c": {"anyOf": [S, I, {"type": "null"}]},
        },
        "required": ["a", "b", "c"],
        "additionalProperties": False,
    }


def test_anthropic_keeps_optional_properties() -> None:
    schema = {"type": "object", "properties": {"a": S, "b": S}, "required": ["a", "gone"]}
    assert converted(schema, A) == {**schema, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize("dialect", [GJ, GS])
def test_gemini_is_told_the_order(dialect: Dialect) -> None:
    schema = {"type": "object", "properties": {"b": S, "a": S}}
    assert converted(schema, dialect)["propertyOrdering"] == ["b", "a"]


OPEN_MAP = {"type": "object", "additionalProperties": {"type": "string"}}


@pytest.mark.parametrize("dialect", [O, A, GS])
def test_an_open_map_is_meaning(dialect: Dialect) -> None:
    with pytest.raises(GatewayError) as caught:
        prop(OPEN_MAP, dialect, Mode.BALANCED)
    assert caught.value.path == "tools[0]"
    assert "additionalProperties" in prop(OPEN_MAP, dialect)["description"]


def test_an_open_map_goes_to_gemini_json() -> None:
    assert prop(OPEN_MAP, GJ, Mode.STRICT) == OPEN_MAP


@pytest.mark.parametrize(
    ("schema", "dialect", "strict", "balanced"),
    [
        pytest.param({"type": "string", "minLength": 1}, A, False, True, id="a constraint is a value"),
        pytest.param({"type": "string", "not": {}}, A, False, False, id="a negation is meaning"),
        pytest.param({"type": "string", "default": "x"}, GJ, True, True, id="a default is a hint"),
        pytest.param({"type": "string", "title": "x"}, GS, True, True, id="nothing to lose"),
    ],
)  # fmt: skip
def test_modes(schema: dict[str, Any], dialect: Dialect, strict: bool, balanced: bool) -> None:
    for mode, allowed in ((Mode.STRICT, strict), (Mode.BALANCED, balanced)):
        if allowed:
            prop(schema, dialect, mode)
        else:
            with pytest.raises(GatewayError):
                prop(schema, dialect, mode)


def test_losses_are_recorded_once_per_keyword() -> None:
    losses = Losses()
    fields = {str(number): {"type": "string", "minLength": 1} for number in range(50)}
    convert({"type": "object", "properties": fields}, A, "tools[0]", losses)
    assert len(losses.degradations) == 1
    assert "minLength" in losses.degradations[0].reason


# ---- references

TREE = {
    "type": "object",
    "properties": {"root": {"$ref": "#/$defs/Node"}},
    "required": ["root"],
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {"next": {"$ref": "#/$defs/Node"}, "name": S},
            "required": ["next", "name"],
            "additionalProperties": False,
        },
        "Unused": S,
    },
}


@pytest.mark.parametrize("dialect", [O, GJ])
def test_recursion_stays_where_it_can_be_said(dialect: Dialect) -> None:
    out = converted(TREE, dialect, Mode.BALANCED)
    assert list(out["$defs"]) == ["Node"]
    assert out["$defs"]["Node"]["properties"]["next"] == {"$ref": "#/$defs/Node"}


@pytest.mark.parametrize("dialect", [A, GS])
def test_recursion_is_cut_elsewhere(dialect: Dialect) -> None:
    with pytest.raises(GatewayError):
        converted(TREE, dialect, Mode.BALANCED)
    out = converted(TREE, dialect)
    node = out["$defs"]["Node"] if dialect is A else out["properties"]["root"]
    assert node["properties"]["next"]["type"].lower() == "object"
    assert "$ref" not in node["properties"]["next"]


@pytest.mark.parametrize("dialect", list(Dialect))
def test_old_definitions_and_pointers(dialect: Dialect) -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"$ref": "#/definitions/a~1b"},
            "c": {"$ref": "#/properties/a", "description": "d"},
            "lost": {"$ref": "#/nowhere", "type": "string"},
            "far": {"$ref": "https://example.com/s", "type": "string"},
        },
        "required": ["a", "c", "lost", "far"],
        "definitions": {"a/b": S},
    }
    out = converted(schema, dialect)
    assert "definitions" not in keys_of(out)
    refs = [value.get("$ref") for value in out["properties"].values()]
    if dialect in (GS, GV):
        assert refs == [None] * 4
        assert out["properties"]["a"] == {"type": "STRING"}
    else:
        assert refs == ["#/$defs/a~1b", None, None, None]
        assert out["$defs"] == {"a/b": S}
    assert out["properties"]["lost"]["type"].lower() == "string"
    assert out["properties"]["c"]["description"] == "d"


def test_siblings_of_a_reference_go_around_it() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/S", "description": "d"}},
        "required": ["a"],
        "$defs": {"S": S},
    }
    assert converted(schema, GJ)["properties"]["a"] == {
        "description": "d",
        "anyOf": [{"$ref": "#/$defs/S"}],
    }


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"$ref": "#"}, id="the root is itself"),
        pytest.param({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, id="A is A"),
        pytest.param(
            {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}},
            id="A is B and B is A",
        ),
        pytest.param(
            {"type": "object", "properties": {"a": {"allOf": [{"$ref": "#/$defs/A"}]}},
             "$defs": {"A": {"allOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}]}}},
            id="allOf of itself",
        ),
        pytest.param(
            {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}}, id="a pointer to itself"
        ),
        pytest.param(
            {"type": "object", "properties": {"a": {"$ref": "#", "minProperties": 1}}}, id="the root with siblings"
        ),
        pytest.param(
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/A", "type": "object"}},
             "$defs": {"A": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A", "minProperties": 1}}}}},
            id="recursion with siblings",
        ),
    ],
)  # fmt: skip
def test_circles_end(schema: dict[str, Any], dialect: Dialect) -> None:
    converted(schema, dialect)
    function_parameters(schema, openapi=False)


@pytest.mark.parametrize("dialect", list(Dialect))
def test_shared_definitions_do_not_explode(dialect: Dialect) -> None:
    definitions: dict[str, Any] = {"D0": S}
    for number in range(1, 40):
        ref = {"$ref": f"#/$defs/D{number - 1}"}
        definitions[f"D{number}"] = {"type": "object", "properties": {"l": ref, "r": ref}}
    out = converted({"$ref": "#/$defs/D39", "$defs": definitions}, dialect)
    assert len(str(out)) < 3_000_000


@pytest.mark.parametrize("dialect", list(Dialect))
def test_too_deep_a_schema_is_refused(dialect: Dialect) -> None:
    schema: dict[str, Any] = S
    for _ in range(200):
        schema = {"type": "array", "items": schema}
    for convert_it in (
        lambda: converted({"type": "object", "properties": {"a": schema}}, dialect),
        lambda: function_parameters({"properties": {"a": schema}}, openapi=False),
        lambda: from_openapi(schema),
    ):
        with pytest.raises(GatewayError) as caught:
            convert_it()
        assert caught.value.kind is ErrorKind.INVALID_REQUEST


# ---- what fits

GOOD = {
    "type": "object",
    "properties": {"a": S, "b": {"$ref": "#/$defs/N"}},
    "required": ["a", "b"],
    "additionalProperties": False,
    "$defs": {"N": {"type": ["integer", "null"], "minimum": 1}},
}


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        pytest.param({}, True, id="a good schema"),
        pytest.param({"required": ["a"]}, False, id="an optional property"),
        pytest.param({"additionalProperties": True}, False, id="an open object"),
        pytest.param({"$schema": "s"}, False, id="a keyword that is refused"),
        pytest.param({"anyOf": [S]}, False, id="a union at the root"),
        pytest.param({"$defs": {"N": {"$ref": "#/$defs/N"}}}, True, id="recursion"),
        pytest.param({"$defs": {}}, False, id="a reference that leads nowhere"),
        pytest.param({"$defs": {"N": {"type": ["string", "integer"]}}}, False, id="a list of types"),
        pytest.param({"$defs": {"N": {"type": "string", "format": "uri"}}}, False, id="a format"),
        pytest.param({"$defs": {"N": {"type": "array"}}}, False, id="an array of anything"),
        pytest.param({"$defs": {"N": {}}}, False, id="no type"),
        pytest.param({"$defs": {"N": {"type": "integer", "enum": list(range(1001))}}}, False, id="many values"),
    ],
)  # fmt: skip
def test_fits_openai_strict(change: dict[str, Any], fits: bool) -> None:
    assert fits_openai_strict({**GOOD, **change}) is fits


def test_ten_levels_fit_openai_strict() -> None:
    def nested(levels: int) -> dict[str, Any]:
        schema: dict[str, Any] = S
        for _ in range(levels - 1):
            schema = {
                "type": "object",
                "properties": {"a": schema},
                "required": ["a"],
                "additionalProperties": False,
            }
        return schema

    assert fits_openai_strict(nested(10))
    assert not fits_openai_strict(nested(11))


PLAIN = {"type": "object", "properties": {"a": S, "b": S}, "required": ["a"], "additionalProperties": False}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        pytest.param({}, True, id="optional properties are fine"),
        pytest.param({"additionalProperties": True}, False, id="an open object"),
        pytest.param({"properties": {"a": {"type": "string", "minLength": 1}}}, False, id="a length"),
        pytest.param({"properties": {"a": {"type": "array", "items": S, "minItems": 1}}}, True, id="minItems 1"),
        pytest.param({"properties": {"a": {"type": "array", "items": S, "minItems": 2}}}, False, id="minItems 2"),
        pytest.param({"properties": {"a": {"enum": [{}]}}}, False, id="an enum of objects"),
        pytest.param({"$defs": {"N": {"anyOf": [{"$ref": "#/$defs/N"}, S]}}}, False, id="recursion"),
    ],
)  # fmt: skip
def test_fits_anthropic(change: dict[str, Any], fits: bool) -> None:
    assert fits_anthropic({**PLAIN, **change}) is fits


names = st.sampled_from(["a", "b", "type", "$ref", "properties"])
schemas = st.recursive(
    st.one_of(
        st.sampled_from(
            [{}, True, False, None, {"$ref": "#/$defs/D"}, {"$ref": "#"}, {"const": 1}, {"enum": ["x", 1, None]}]
        ),
        st.builds(
            lambda kind, extra: {"type": kind, **extra},
            st.sampled_from(["string", "integer", "null", ["string", "null"], "any", "OBJECT"]),
            st.sampled_from([{}, {"minLength": 1}, {"format": "uri"}, {"nullable": True}, {"default": 1}]),
        ),
    ),
    lambda inner: st.one_of(
        st.builds(
            lambda props, required, extra: {
                "type": "object", "properties": props, "required": required, "additionalProperties": extra,
            },
            st.dictionaries(names, inner, max_size=3),
            st.one_of(st.lists(names, max_size=2), st.booleans()),
            st.one_of(st.booleans(), inner),
        ),
        st.builds(lambda item: {"type": "array", "items": item}, inner),
        st.builds(
            lambda key, items: {key: items},
            st.sampled_from(["anyOf", "oneOf", "allOf", "prefixItems"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
    ),
    max_leaves=8,
)  # fmt: skip


@given(schemas, schemas)
def test_whatever_comes_in_fits_or_is_refused(schema: Any, definition: Any) -> None:
    root = {
        "type": "object",
        "properties": {"x": schema},
        "required": ["x"],
        "$defs": {"D": definition},
    }
    before = copy.deepcopy(root)
    assert fits_openai_strict(converted(root, O))
    assert fits_anthropic(converted(root, A))
    for dialect in (GJ, GS):
        out = converted(root, dialect)
        assert not {"$schema", "allOf", "const", "nullable"} & (keys_of(out) - {"nullable"})
    made = function_parameters(root, openapi=False)
    assert root_is_object(made)
    assert "properties" in made
    assert root == before


# ---- function parameters


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        pytest.param(None, EMPTY, id="none"),
        pytest.param({}, EMPTY, id="empty"),
        pytest.param({"type": "object"}, EMPTY, id="no properties"),
        pytest.param({"properties": {"a": S}}, {"type": "object", "properties": {"a": S}}, id="no type"),
        pytest.param({"type": "object", "properties": None}, EMPTY, id="null properties"),
        pytest.param(
            {"q": {"type": "string", "required": True}, "r": S},
            {"type": "object", "properties": {"q": S, "r": S}, "required": ["q"]}, id="a bare property map",
        ),
        pytest.param(
            {"type": {"type": "string"}}, {"type": "object", "properties": {"type": S}},
            id="a bare property called type",
        ),
        pytest.param(
            {"type": "object", "properties": {"o": {"type": "object", "properties": {"a": {"type": "string", "required": True}}}}},
            {"type": "object", "properties": {"o": {"type": "object", "properties": {"a": S}, "required": ["a"]}}},
            id="required on a property below",
        ),
        pytest.param(
            {"anyOf": [{"type": "object", "properties": {"a": S}, "required": ["a"]},
                       {"type": "object", "properties": {"a": I, "b": S}, "required": ["a", "b"]}, {"type": "null"}]},
            {"type": "object", "properties": {"a": {"anyOf": [S, I]}, "b": S}, "required": ["a"]}, id="a root union",
        ),
        pytest.param(
            {"allOf": [{"properties": {"a": S}, "required": ["a"]}, {"properties": {"b": S}, "required": ["b"]}]},
            {"type": "object", "properties": {"a": S, "b": S}, "required": ["a", "b"]}, id="a root allOf",
        ),
        pytest.param(
            {"type": "object", "properties": {"a": S, "b": S}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"type": "object", "properties": {"a": S, "b": S}}, id="either of two properties",
        ),
        pytest.param(
            {"$ref": "#/$defs/P", "$defs": {"P": {"type": "object", "properties": {"p": {"$ref": "#/$defs/P"}}}}},
            {"type": "object", "properties": {"p": {"$ref": "#/$defs/P"}},
             "$defs": {"P": {"type": "object", "properties": {"p": {"$ref": "#/$defs/P"}}}}}, id="a root reference",
        ),
        pytest.param({"type": ["object", "null"], "properties": {"a": S}}, {"type": "object", "properties": {"a": S}},
                     id="an object or null"),
        pytest.param({"type": "array", "items": S}, wrap_root({"type": "array", "items": S}), id="no object at all"),
        pytest.param(
            {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9223372036854775807, "x-y": 1}}, "$schema": "s"},
            {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9223372036854775807, "x-y": 1}}, "$schema": "s"},
            id="everything else as it is",
        ),
    ],
)  # fmt: skip
def test_function_parameters(schema: dict[str, Any] | None, expected: dict[str, Any]) -> None:
    before = copy.deepcopy(schema)
    assert function_parameters(schema, openapi=False) == expected
    assert schema == before


def test_openapi_parameters() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {
            "n": {"type": "INTEGER", "format": "int64", "nullable": True},
            "type": {"type": "ARRAY", "minItems": "1", "items": {"type": "STRING", "format": "enum", "enum": ["a"]}},
            "when": {"type": "STRING", "format": "date-time", "example": "e"},
            "u": {"any_of": [{"type": "STRING"}, {"type": "NUMBER", "format": "float"}], "nullable": True},
        },
        "required": ["n"],
        "propertyOrdering": ["type", "n"],
    }  # fmt: skip
    out = function_parameters(schema, openapi=True)
    assert list(out["properties"]) == ["type", "n", "when", "u"]
    assert out == {
        "type": "object",
        "properties": {
            "type": {"type": "array", "minItems": 1, "items": {"type": "string", "enum": ["a"]}},
            "n": {"type": ["integer", "null"]},
            "when": {"type": "string", "format": "date-time", "examples": ["e"]},
            "u": {"anyOf": [S, {"type": "number"}, {"type": "null"}]},
        },
        "required": ["n"],
    }


def test_wrapping_the_root_keeps_references_alive() -> None:
    schema = {"type": "array", "items": {"$ref": "#/$defs/S"}, "$defs": {"S": S}}
    assert not root_is_object(schema)
    wrapped = wrap_root(schema)
    assert root_is_object(wrapped)
    assert wrapped["$defs"] == {"S": S}
    assert wrapped["properties"]["value"] == {"type": "array", "items": {"$ref": "#/$defs/S"}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"a": None, "b": None}, {"a": None}, id="only the optional"),
        pytest.param({"a": "x", "n": None}, {"a": "x", "n": None}, id="not what may be null"),
        pytest.param({"a": "x", "l": [{"b": None}]}, {"a": "x", "l": [{}]}, id="inside arrays"),
        pytest.param({"a": "x", "u": {"b": None}}, {"a": "x", "u": {}}, id="inside unions"),
        pytest.param({"a": "x", "free": None}, {"a": "x", "free": None}, id="not what is not declared"),
        pytest.param("text", "text", id="no object"),
    ],
)  # fmt: skip
def test_added_nulls_are_taken_out(value: Any, expected: Any) -> None:
    inner = {"type": "object", "properties": {"b": S}}
    schema = {
        "type": "object",
        "properties": {
            "a": S,
            "b": S,
            "n": {"type": ["string", "null"]},
            "l": {"type": "array", "items": {"$ref": "#/$defs/I"}},
            "u": {"anyOf": [inner, S]},
        },
        "required": ["a"],
        "$defs": {"I": inner},
    }
    assert without_added_nulls(value, schema) == expected


@pytest.mark.parametrize(
    "junk",
    [
        pytest.param({"required": [[]]}, id="a list for a name"),
        pytest.param({"required": "a"}, id="a name for a list"),
        pytest.param({"properties": ["a"]}, id="a list of properties"),
        pytest.param({"enum": 1}, id="one value for a list"),
        pytest.param({"anyOf": None}, id="no alternatives"),
        pytest.param({"$defs": None}, id="no definitions"),
        pytest.param({"format": []}, id="a list for a format"),
        pytest.param({"$ref": {}}, id="an object for a reference"),
    ],
)
def test_junk_fits_no_closed_dialect(junk: Any) -> None:
    closed = {
        "type": "object",
        "properties": {"a": S},
        "required": ["a"],
        "additionalProperties": False,
    }
    nested = closed | {"properties": {"a": closed | junk}}
    assert fits_openai_strict(closed)
    assert fits_anthropic(closed)
    for schema in (closed | junk, nested):
        assert not fits_openai_strict(schema)
        assert not fits_anthropic(schema)


def test_a_nullable_object_with_an_optional_property_is_not_strict() -> None:
    inner = {"type": ["object", "null"], "properties": {"a": S}, "additionalProperties": False}
    outer = {"type": "object", "required": ["o"], "additionalProperties": False}
    assert not fits_openai_strict(outer | {"properties": {"o": inner}})
    assert fits_openai_strict(outer | {"properties": {"o": inner | {"required": ["a"]}}})


@pytest.mark.parametrize("dialect", list(Dialect))
def test_names_that_are_no_strings_are_not_required(dialect: Dialect) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": [[], 1, "a"]}
    assert converted(schema, dialect)["required"] == ["a"]


def test_a_schema_converted_again_loses_the_same_again() -> None:
    wanted: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string", "not": {"const": "x"}}}}  # fmt: skip
    before = copy.deepcopy(wanted)
    first, second = Losses(), Losses()
    made = convert(wanted, Dialect.ANTHROPIC, "tools[0]", first)
    assert convert(wanted, Dialect.ANTHROPIC, "tools[7]", second) is made
    assert [one.path for one in first.degradations] == ["tools[0]"]
    assert [one.path for one in second.degradations] == ["tools[7]"]
    with pytest.raises(GatewayError):
        convert(wanted, Dialect.ANTHROPIC, "tools[0]", Losses(Mode.STRICT))
    assert convert(wanted, Dialect.GEMINI_JSON, "tools[0]", Losses()) != made
    assert wanted == before


def test_a_large_schema_is_converted_and_not_kept() -> None:
    properties = {f"p{n}": {"type": "string", "description": "x" * 100} for n in range(200)}
    wanted: dict[str, Any] = {"type": "object", "properties": properties}
    one = function_parameters(wanted, openapi=False)
    other = function_parameters(wanted, openapi=False)
    assert one == other
    assert one is not other
    assert one["properties"] == properties
