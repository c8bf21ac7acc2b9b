"""JSON Schema as a tree: which keyword holds a schema, references, repairs, and the OpenAPI flavour.

It knows keywords and no dialect; what a dialect can say is the business of schema.py. A property that is
called `type` or `$ref` is never taken for a keyword (pitfalls TOOL-03). Input is never modified.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import unquote

from translators.errors import ErrorKind, GatewayError
from translators.wire import Json, JsonObject

WRAP_KEY: Final = "value"
MAX_DEPTH: Final = 128
"""Deepest nesting of schemas that is read."""
MAX_REFS: Final = 32
"""Most `$ref`s that are followed inside each other."""

NAME_MAPS: Final = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
)
SCHEMA_LISTS: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
SCHEMAS: Final = frozenset(
    {"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames",
     "unevaluatedItems", "unevaluatedProperties", "additionalItems", "contentSchema"}
)  # fmt: skip
STRUCTURE: Final = NAME_MAPS | SCHEMA_LISTS | SCHEMAS
_FREE_VALUES: Final = frozenset({"default", "const", "example"})
"""Keywords whose value null means something."""

TYPE_OF_KEYWORD: Final[Mapping[str, str]] = {
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
UNIONS: Final = ("allOf", "anyOf", "oneOf")
ANNOTATIONS: Final = frozenset({"title", "description", "default", "examples", "deprecated"})
_DEFINITION: Final = re.compile(r"#/(?:\$defs|definitions)/([^/]+)")
NULL: Final[JsonObject] = {"type": "null"}


def children(node: JsonObject) -> Iterator[Json]:
    """The schemas directly inside a schema."""
    for key, value in node.items():
        if key in NAME_MAPS and isinstance(value, dict):
            yield from value.values()
        elif key in SCHEMA_LISTS and isinstance(value, list):
            yield from value
        elif key in SCHEMAS:
            if isinstance(value, list):
                yield from value
            else:
                yield value


def map_children(key: str, value: Json, fn: Callable[[Json], Json]) -> Json:
    """A keyword's value with every schema directly in it rewritten."""
    if key in NAME_MAPS and isinstance(value, dict):
        return {name: fn(item) for name, item in value.items()}
    if (key in SCHEMA_LISTS or key in SCHEMAS) and isinstance(value, list):
        return [fn(item) for item in value]
    return fn(value) if key in SCHEMAS else value


def too_deep() -> GatewayError:
    return GatewayError(
        ErrorKind.INVALID_REQUEST, f"a JSON schema is nested more than {MAX_DEPTH} levels deep"
    )


def types(node: JsonObject) -> list[str]:
    """The types that a schema names, [] when it names none."""
    kind = node.get("type")
    if isinstance(kind, str):
        return [kind]
    return [item for item in kind if isinstance(item, str)] if isinstance(kind, list) else []


def type_of_value(value: Json) -> str:
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


def value_fits(value: Json, kind: str) -> bool:
    found = type_of_value(value)
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


def definition_name(ref: str) -> str | None:
    """The name in `#/$defs/<name>` or `#/definitions/<name>`, None for any other reference."""
    match = _DEFINITION.fullmatch(ref)
    return unquote(match[1]).replace("~1", "/").replace("~0", "~") if match else None


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
    if any(key in node for key in UNIONS):
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
    if any(key in SCHEMAS or key == "$ref" for key in schema):
        return False
    maps = [value for key, value in schema.items() if key in NAME_MAPS]
    return not any(
        all(isinstance(inner, dict | bool) for inner in value.values()) for value in maps
    )


def _repaired(node: Json, depth: int) -> Json:
    if not isinstance(node, dict):
        return node if isinstance(node, bool) else {}
    if depth > MAX_DEPTH:
        raise too_deep()
    lifted = _lifted_required(node) if "properties" in node else None
    out: JsonObject = {}
    for key, value in node.items():
        if value is None and key not in _FREE_VALUES:
            continue
        if key == "required":
            if not isinstance(value, list):
                continue
            value = [name for name in value if isinstance(name, str)]
        if key == "items" and isinstance(value, list):
            key = "prefixItems"  # until 2019-09 `items` could be a list
        if key in STRUCTURE:
            value = map_children(key, value, lambda child: _repaired(child, depth + 1))
        elif key == "type" and isinstance(value, str):
            value = value.lower()
        out[key] = value
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if exclusive in out and isinstance(flag := out[exclusive], bool):
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
        raise too_deep()
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
        elif key == "$defs" or key in STRUCTURE:
            out[key] = map_children(key, value, lambda child: _from_openapi(child, depth + 1))
        elif key != "propertyOrdering":
            out[key] = value
    ordering = node.get("propertyOrdering", node.get("property_ordering"))
    if isinstance(ordering, list) and isinstance(properties := out.get("properties"), dict):
        first = {name: properties[name] for name in ordering if name in properties}
        out["properties"] = {**first, **properties}
    return nullable(out) if node.get("nullable") is True else out


def nullable(node: JsonObject) -> JsonObject:
    """The same schema, null allowed."""
    if node.get("const", node) is None:
        return node
    kinds = types(node)
    if "$ref" in node or "const" in node:
        return {"anyOf": [node, dict(NULL)]}
    for key in ("anyOf", "oneOf"):
        branches = node.get(key)
        if isinstance(branches, list):
            return node if NULL in branches else {**node, key: [*branches, dict(NULL)]}
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
    if "null" in types(node) or node.get("nullable") is True:
        return True
    if None in (node.get("enum") or []) or node.get("const", 0) is None:
        return True
    return any(
        allows_null(item) for key in ("anyOf", "oneOf") for item in node.get(key) or [] if item
    )


def without_added_nulls(value: Json, schema: Json) -> Json:
    """A value less the nulls of optional properties that the schema does not allow to be null."""
    root: JsonObject = schema if isinstance(schema, dict) else {}
    return _without_nulls(value, root, root, 0)


def _without_nulls(value: Json, node: Json, root: JsonObject, depth: int) -> Json:
    if not isinstance(node, dict) or depth > MAX_DEPTH or not isinstance(value, dict | list):
        return value
    for _ in range(MAX_REFS):
        ref = node.get("$ref")
        if not isinstance(ref, str):
            break
        node = resolve(root, ref) or {}
    for key in UNIONS:
        for branch in node.get(key) or []:
            value = _without_nulls(value, branch, root, depth + 1)
    if isinstance(value, list):
        items = node.get("items")
        return [_without_nulls(item, items, root, depth + 1) for item in value]
    properties = node.get("properties") or {}
    required = node.get("required") or []
    return {
        name: _without_nulls(item, properties.get(name), root, depth + 1)
        for name, item in value.items()
        if item is not None
        or name not in properties
        or name in required
        or allows_null(properties[name])
    }
