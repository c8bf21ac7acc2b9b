"""JSON Schema between the four dialects: section 10 of the portability rules, as a table and one walk.

The walk knows which keyword holds a schema, a list of them or a map of names to them, so a property that is
called `type` or `$ref` is never taken for a keyword (pitfalls TOOL-03). Input is never modified. Numbers
stay as they are (TOOL-26). What becomes of recursion: cut where a dialect cannot say it, never followed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum, StrEnum, auto
from typing import Final
from urllib.parse import unquote

from translators.errors import ErrorKind, GatewayError
from translators.losses import Loss, Losses
from translators.wire import Json, JsonObject, dump_text

WRAP_KEY: Final = "value"
MAX_DEPTH: Final = 128
"""Deepest nesting of schemas that is read."""
MAX_REFS: Final = 32
"""Most `$ref`s that are followed inside each other."""
MAX_NODES: Final = 20_000
"""Most schema nodes that inlining may produce; shared definitions can otherwise grow exponentially."""


class Dialect(StrEnum):
    """Which subset a schema must fit."""

    OPENAI_STRICT = "openai_strict"
    ANTHROPIC = "anthropic"
    GEMINI_JSON = "gemini_json"
    GEMINI_OPENAPI = "gemini_openapi"


# ---------------------------------------------------------------------------------------- the table


class Rule(Enum):
    """What happens to a keyword whose value needs no further look."""

    KEEP = auto()
    DROP = auto()
    """Says nothing about values: gone."""
    FADE = auto()
    """A hint for the reader of the schema: gone, recorded as telemetry."""
    NOTE = auto()
    """A hint that goes into the description."""
    DESCRIBE = auto()
    """A constraint that is put into the description and not enforced: class V."""
    MEANING = auto()
    """As DESCRIBE, but class M."""


_K, _X, _F, _N, _D, _M = Rule.KEEP, Rule.DROP, Rule.FADE, Rule.NOTE, Rule.DESCRIBE, Rule.MEANING

RULES: Final[Mapping[str, tuple[Rule, Rule, Rule, Rule]]] = {
    # keyword:               O   A   GJ  GS
    "type":                 (_K, _K, _K, _K),
    "title":                (_K, _K, _K, _K),
    "description":          (_K, _K, _K, _K),
    "default":              (_F, _N, _F, _K),
    "examples":             (_F, _N, _F, _K),
    "$schema":              (_X, _X, _X, _X),
    "$id":                  (_X, _X, _X, _X),
    "id":                   (_X, _X, _X, _X),
    "$anchor":              (_X, _X, _X, _X),
    "$dynamicAnchor":       (_X, _X, _X, _X),
    "$vocabulary":          (_X, _X, _X, _X),
    "$comment":             (_X, _X, _X, _X),
    "$defs":                (_X, _X, _X, _X),
    "definitions":          (_X, _X, _X, _X),
    "readOnly":             (_X, _X, _X, _X),
    "writeOnly":            (_X, _X, _X, _X),
    "deprecated":           (_X, _X, _X, _X),
    "minItems":             (_K, _K, _K, _K),
    "maxItems":             (_K, _D, _K, _K),
    "uniqueItems":          (_D, _D, _D, _D),
    "contains":             (_D, _D, _D, _D),
    "minContains":          (_D, _D, _D, _D),
    "maxContains":          (_D, _D, _D, _D),
    "minProperties":        (_D, _D, _D, _K),
    "maxProperties":        (_D, _D, _D, _K),
    "minimum":              (_K, _D, _K, _K),
    "maximum":              (_K, _D, _K, _K),
    "exclusiveMinimum":     (_K, _D, _D, _D),
    "exclusiveMaximum":     (_K, _D, _D, _D),
    "multipleOf":           (_K, _D, _D, _D),
    "minLength":            (_K, _D, _D, _K),
    "maxLength":            (_K, _D, _D, _K),
    "pattern":              (_K, _D, _D, _K),
    "contentEncoding":      (_N, _N, _N, _N),
    "contentMediaType":     (_N, _N, _N, _N),
    "enumDescriptions":     (_N, _N, _N, _N),
    "not":                  (_M, _M, _M, _M),
    "if":                   (_M, _M, _M, _M),
    "then":                 (_M, _M, _M, _M),
    "else":                 (_M, _M, _M, _M),
    "dependentRequired":    (_M, _M, _M, _M),
    "dependentSchemas":     (_M, _M, _M, _M),
    "dependencies":         (_M, _M, _M, _M),
    "patternProperties":    (_M, _M, _M, _M),
    "propertyNames":        (_M, _M, _M, _M),
    "unevaluatedItems":     (_M, _M, _M, _M),
    "unevaluatedProperties": (_M, _M, _M, _M),
}  # fmt: skip
"""Keywords that are no structure; one that is not listed here at all is DESCRIBEd."""

_COLUMN: Final[Mapping[Dialect, int]] = {dialect: place for place, dialect in enumerate(Dialect)}

_JSON_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)
FORMATS: Final[Mapping[Dialect, frozenset[str] | None]] = {
    Dialect.OPENAI_STRICT: _JSON_FORMATS,
    Dialect.ANTHROPIC: _JSON_FORMATS | {"uri"},
    Dialect.GEMINI_JSON: None,
    Dialect.GEMINI_OPENAPI: frozenset(
        {"enum", "date-time", "date", "time", "duration", "int32", "int64", "float", "double"}
    ),
}
"""Values of `format` that are kept; None = all."""

_NAME_MAPS: Final = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
)
_SCHEMA_LISTS: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SCHEMAS: Final = frozenset(
    {"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames",
     "unevaluatedItems", "unevaluatedProperties", "additionalItems", "contentSchema"}
)  # fmt: skip
_STRUCTURE: Final = _NAME_MAPS | _SCHEMA_LISTS | _SCHEMAS
_FREE_VALUES: Final = frozenset({"default", "const", "example"})
"""Keywords whose value null means something."""

_TYPE_OF_KEYWORD: Final[Mapping[str, str]] = {
    "properties": "object", "required": "object", "additionalProperties": "object",
    "minProperties": "object", "maxProperties": "object", "patternProperties": "object",
    "propertyNames": "object", "propertyOrdering": "object",
    "items": "array", "prefixItems": "array", "minItems": "array", "maxItems": "array",
    "uniqueItems": "array", "contains": "array",
    "pattern": "string", "minLength": "string", "maxLength": "string", "format": "string",
    "minimum": "number", "maximum": "number", "multipleOf": "number",
    "exclusiveMinimum": "number", "exclusiveMaximum": "number",
}  # fmt: skip
"""The one type that a keyword constrains."""
_UNIONS: Final = ("allOf", "anyOf", "oneOf")
_ANNOTATIONS: Final = frozenset({"title", "description", "default", "examples", "deprecated"})
_NULL: Final[JsonObject] = {"type": "null"}
_DEFINITION: Final = re.compile(r"#/(?:\$defs|definitions)/([^/]+)")


# ------------------------------------------------------------------------------------ common pieces


def _children(node: JsonObject) -> Iterator[Json]:
    """The schemas directly inside a schema."""
    for key, value in node.items():
        if key in _NAME_MAPS and isinstance(value, dict):
            yield from value.values()
        elif key in _SCHEMA_LISTS and isinstance(value, list):
            yield from value
        elif key in _SCHEMAS:
            if isinstance(value, list):
                yield from value
            else:
                yield value


def _map_children(key: str, value: Json, fn: Callable[[Json], Json]) -> Json:
    """A keyword's value with every schema directly in it rewritten."""
    if key in _NAME_MAPS and isinstance(value, dict):
        return {name: fn(item) for name, item in value.items()}
    if (key in _SCHEMA_LISTS or key in _SCHEMAS) and isinstance(value, list):
        return [fn(item) for item in value]
    return fn(value) if key in _SCHEMAS else value


def _too_deep() -> GatewayError:
    return GatewayError(
        ErrorKind.INVALID_REQUEST, f"a JSON schema is nested more than {MAX_DEPTH} levels deep"
    )


def _types(node: JsonObject) -> list[str]:
    """The types that a schema names, [] when it names none."""
    kind = node.get("type")
    if isinstance(kind, str):
        return [kind]
    return [item for item in kind if isinstance(item, str)] if isinstance(kind, list) else []


def _type_of_value(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _value_fits(value: Json, kind: str) -> bool:
    found = _type_of_value(value)
    return found == kind or (found == "integer" and kind == "number")


def resolve(root: JsonObject, ref: str) -> JsonObject | None:
    """The schema that a local JSON pointer names; None when there is none."""
    if not ref.startswith("#"):
        return None
    value: Json = root
    for step in ref[1:].split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value if isinstance(value, dict) else None


def root_is_object(schema: JsonObject) -> bool:
    """Whether the schema's root is an object and no union."""
    seen: set[str] = set()
    node = schema
    while (ref := node.get("$ref")) is not None:
        target = resolve(schema, ref) if isinstance(ref, str) and ref not in seen else None
        if target is None:
            return False
        seen.add(ref)
        node = target
    if any(key in node for key in _UNIONS):
        return False
    kind = node.get("type")
    return kind == "object" or (kind is None and "properties" in node)


def wrap_root(schema: JsonObject) -> JsonObject:
    """Put a schema whose root is no object under the key `value` (section 9)."""
    inner = {k: v for k, v in schema.items() if k not in ("$defs", "definitions", "$schema")}
    wrapped: JsonObject = {
        "type": "object",
        "properties": {WRAP_KEY: inner},
        "required": [WRAP_KEY],
        "additionalProperties": False,
    }
    for key in ("$defs", "definitions"):
        if key in schema:
            wrapped[key] = schema[key]
    return wrapped


# ------------------------------------------------------------------------------- function parameters


def function_parameters(schema: JsonObject | None, *, openapi: bool) -> JsonObject:
    """A tool's schema as C, R (non-strict) and A take it: any JSON Schema, but always an object at the root.

    Repairs what clients really send: no `type`, a bare property map, `required: true` on a property, root
    unions (merged), G's OpenAPI flavour. A root of another type goes under `value`.
    """
    node = repaired(from_openapi(schema) if openapi and schema else schema or {})
    node = _without_root_unions(node, node, frozenset())
    kinds = _types(node)
    if (kinds and "object" not in kinds) or any(key in node for key in _UNIONS):
        return wrap_root(node)
    rest = {key: value for key, value in node.items() if key != "type"}
    if not isinstance(rest.get("properties"), dict):
        rest["properties"] = {}
    return {"type": "object", **rest}


def repaired(schema: JsonObject) -> JsonObject:
    """A copy with the usual damage mended at every level: nulls, `required: true`, draft-4 spellings."""
    result: JsonObject = _repaired(
        {"properties": schema} if _is_property_map(schema) else schema, 0
    )
    return result


def _is_property_map(schema: JsonObject) -> bool:
    """Whether this is `{"q": {"type": "string"}}`, the properties without their object (TOOL-06)."""
    if not schema or not all(isinstance(value, dict) for value in schema.values()):
        return False
    if any(key in _SCHEMAS or key == "$ref" for key in schema):
        return False
    maps = [value for key, value in schema.items() if key in _NAME_MAPS]
    return not any(
        all(isinstance(inner, dict | bool) for inner in value.values()) for value in maps
    )


def _repaired(node: Json, depth: int) -> Json:
    if not isinstance(node, dict):
        return node if isinstance(node, bool) else {}
    if depth > MAX_DEPTH:
        raise _too_deep()
    lifted = _lifted_required(node)
    out: JsonObject = {}
    for key, value in node.items():
        if value is None and key not in _FREE_VALUES:
            continue
        if key == "required" and not isinstance(value, list):
            continue
        if key == "items" and isinstance(value, list):
            key = "prefixItems"  # until 2019-09 `items` could be a list
        if key in _STRUCTURE:
            value = _map_children(key, value, lambda child: _repaired(child, depth + 1))
        out[key] = value
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(flag := out.get(exclusive), bool):
            del out[exclusive]
            if flag and bound in out:
                out[exclusive] = out.pop(bound)
    if lifted:
        named = out.get("required", [])
        out["required"] = [*named, *(name for name in lifted if name not in named)]
    return out


def _lifted_required(node: JsonObject) -> list[str]:
    properties = node.get("properties")
    if not isinstance(properties, dict):
        return []
    return [
        name
        for name, value in properties.items()
        if isinstance(value, dict) and value.get("required") is True
    ]


def _without_root_unions(node: JsonObject, root: JsonObject, seen: frozenset[str]) -> JsonObject:
    """An object schema in place of a root `$ref`, `anyOf`, `oneOf` or `allOf` (TOOL-09)."""
    ref = node.get("$ref")
    if isinstance(ref, str):
        target = resolve(root, ref) if ref not in seen and len(seen) < MAX_REFS else None
        siblings = {key: value for key, value in node.items() if key != "$ref"}
        node = _without_root_unions({**(target or {}), **siblings}, root, seen | {ref})
    for key in _UNIONS:
        branches = node.get(key)
        if isinstance(branches, list):
            node = _union_merged(node, key, branches, root, seen)
    return node


def _union_merged(
    node: JsonObject, key: str, branches: list[Json], root: JsonObject, seen: frozenset[str]
) -> JsonObject:
    out = {name: value for name, value in node.items() if name != key}
    if len(seen) >= MAX_REFS:
        return out
    flat = [
        _without_root_unions(item, root, seen | {f"{key} {place}"})
        for place, item in enumerate(branches)
        if isinstance(item, dict) and _types(item) != ["null"]
    ]
    objects = [item for item in flat if "properties" in item or "object" in _types(item)]
    speaks_of_objects = objects or "properties" in out or "object" in _types(out)
    if flat and not speaks_of_objects and not any("required" in item for item in flat):
        return node  # a union of scalars: the caller wraps it
    properties: JsonObject = dict(out.get("properties") or {})
    for item in objects:
        for name, schema in (item.get("properties") or {}).items():
            properties[name] = _either(properties[name], schema) if name in properties else schema
    required = [set(item.get("required", [])) for item in flat]
    common = set[str]()
    if required:
        common = set.union(*required) if key == "allOf" else set.intersection(*required)
    common |= set(out.get("required", []))
    out["type"] = "object"
    out["properties"] = properties
    if kept := [name for name in properties if name in common]:
        out["required"] = kept
    if objects and "additionalProperties" not in out:
        if all(item.get("additionalProperties") is False for item in objects):
            out["additionalProperties"] = False
    return out


def _either(one: Json, other: Json) -> Json:
    if one == other:
        return one
    branches = one["anyOf"] if isinstance(one, dict) and set(one) == {"anyOf"} else [one]
    return {"anyOf": branches if other in branches else [*branches, other]}


# ------------------------------------------------------------------------------------------ OpenAPI

_SNAKE: Final[Mapping[str, str]] = {
    "any_of": "anyOf", "min_items": "minItems", "max_items": "maxItems",
    "min_length": "minLength", "max_length": "maxLength", "min_properties": "minProperties",
    "max_properties": "maxProperties", "property_ordering": "propertyOrdering",
    "additional_properties": "additionalProperties", "ref": "$ref", "defs": "$defs",
}  # fmt: skip
_COUNTS: Final = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
)
_NUMBER_FORMATS: Final = frozenset({"int32", "int64", "float", "double", "enum"})


def from_openapi(schema: JsonObject) -> JsonObject:
    """G's OpenAPI flavour (`type: "OBJECT"`, `nullable`, `"minItems": "1"`) as JSON Schema."""
    result: JsonObject = _from_openapi(schema, 0)
    return result


def _from_openapi(node: Json, depth: int) -> Json:
    if not isinstance(node, dict):
        return node
    if depth > MAX_DEPTH:
        raise _too_deep()
    out: JsonObject = {}
    for raw_key, value in node.items():
        key = _SNAKE.get(raw_key, raw_key)
        if key == "type":
            if isinstance(value, str) and value.upper() != "TYPE_UNSPECIFIED":
                out["type"] = value.lower()
            elif isinstance(value, list):
                out["type"] = [item.lower() for item in value if isinstance(item, str)]
        elif key == "nullable" or (key == "format" and value in _NUMBER_FORMATS):
            continue
        elif key in _COUNTS and isinstance(value, str) and value.isdigit():
            out[key] = int(value)
        elif key == "example":
            out["examples"] = [value]
        elif key == "$ref" and isinstance(value, str):
            out[key] = value.replace("#/defs/", "#/$defs/")
        elif key == "$defs" or key in _STRUCTURE:
            out[key] = _map_children(key, value, lambda child: _from_openapi(child, depth + 1))
        elif key != "propertyOrdering":
            out[key] = value
    ordering = node.get("propertyOrdering", node.get("property_ordering"))
    if isinstance(ordering, list) and isinstance(properties := out.get("properties"), dict):
        first = {name: properties[name] for name in ordering if name in properties}
        out["properties"] = {**first, **properties}
    return _nullable(out) if node.get("nullable") is True else out


def _nullable(node: JsonObject) -> JsonObject:
    """The same schema, null allowed."""
    if node.get("const", node) is None:
        return node
    kinds = _types(node)
    if "$ref" in node or "const" in node:
        return {"anyOf": [node, dict(_NULL)]}
    for key in ("anyOf", "oneOf"):
        branches = node.get(key)
        if isinstance(branches, list):
            return node if _NULL in branches else {**node, key: [*branches, dict(_NULL)]}
    if not kinds and "enum" not in node:
        return node
    out = dict(node)
    if kinds and "null" not in kinds:
        out["type"] = [*kinds, "null"]
    if isinstance(values := out.get("enum"), list) and None not in values:
        out["enum"] = [*values, None]
    return out


def allows_null(node: Json) -> bool:
    """Whether a schema admits null by its own words (references are not followed)."""
    if not isinstance(node, dict):
        return node is True
    if "null" in _types(node) or node.get("nullable") is True:
        return True
    if None in (node.get("enum") or []) or node.get("const", 0) is None:
        return True
    return any(
        allows_null(item) for key in ("anyOf", "oneOf") for item in node.get(key) or [] if item
    )


def convert(schema: JsonObject, dialect: Dialect, path: str, losses: Losses) -> JsonObject:
    """Rewrite a JSON Schema for a dialect; what is not expressible is refused or recorded at `path`."""
    raise NotImplementedError


def fits_openai_strict(schema: JsonObject) -> bool:
    """Whether a schema is in the strict subset as it stands."""
    raise NotImplementedError


def fits_anthropic(schema: JsonObject) -> bool:
    """Whether a schema is in A's `strict` / `format` subset as it stands."""
    raise NotImplementedError
