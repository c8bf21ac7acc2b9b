"""Whether a schema fits a closed dialect (OpenAI strict, Anthropic) as it stands, and where it is recursive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from translators.schema_nodes import (
    MAX_DEPTH,
    children,
    definition_name,
    resolve,
    root_is_object,
    types,
)
from translators.schema_table import COLUMN, FORMATS, RULES, Dialect, Rule
from translators.wire import Json, JsonObject

_STRUCTURE_OF: Final[Mapping[Dialect, frozenset[str]]] = {
    Dialect.OPENAI_STRICT: frozenset(
        {"$ref", "$defs", "anyOf", "const", "enum", "format", "items", "properties", "required",
         "additionalProperties"}
    ),
    Dialect.ANTHROPIC: frozenset(
        {"$ref", "$defs", "allOf", "anyOf", "const", "default", "enum", "format", "items",
         "properties", "required", "additionalProperties"}
    ),
}  # fmt: skip
_TYPE_OF: Final[Mapping[str, type]] = {
    "$ref": str, "$defs": dict, "properties": dict, "required": list, "enum": list, "anyOf": list,
    "allOf": list, "format": str,
}  # fmt: skip
_MOST_PROPERTIES: Final = 5000
_MOST_LEVELS: Final = 10
_MOST_ENUM_VALUES: Final = 1000
_MOST_CHARACTERS: Final = 120_000


def fits_openai_strict(schema: JsonObject) -> bool:
    """Whether a schema is in the strict subset as it stands."""
    if not root_is_object(schema) or "$ref" in schema:
        return False
    properties = values = characters = 0
    stack: list[tuple[Json, int]] = [(schema, 1)]
    while stack:
        node, level = stack.pop()
        if level > _MOST_LEVELS or not _node_fits(node, Dialect.OPENAI_STRICT, schema):
            return False
        names = node.get("properties") or {}
        members = node.get("enum") or []
        if "object" in types(node) and set(names) != set(node.get("required") or []):
            return False
        properties += len(names)
        values += len(members)
        characters += sum(map(len, names)) + sum(len(str(item)) for item in members)
        for key, value in node.items():
            if key == "$defs":
                characters += sum(map(len, value))
                stack.extend((child, level) for child in value.values())
            elif key == "properties":
                stack.extend((child, level + 1) for child in value.values())
            elif key == "items":
                stack.append((value, level + 1))
            elif key == "anyOf":
                stack.extend((child, level) for child in value)
    return (
        properties <= _MOST_PROPERTIES
        and values <= _MOST_ENUM_VALUES
        and characters <= _MOST_CHARACTERS
    )


def fits_anthropic(schema: JsonObject) -> bool:
    """Whether a schema is in A's `strict` / `format` subset as it stands."""
    definitions = schema.get("$defs")
    if isinstance(definitions, dict) and back_edges(definitions):
        return False
    stack: list[tuple[Json, int]] = [(schema, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_DEPTH or not _node_fits(node, Dialect.ANTHROPIC, schema):
            return False
        if node.get("$ref") == "#" or node.get("minItems", 0) not in (0, 1):
            return False
        if any(isinstance(item, dict | list) for item in node.get("enum") or []):
            return False
        stack.extend((c, depth + 1) for c in children(node) if c is not False)
    return True


def _node_fits(node: Json, dialect: Dialect, root: JsonObject) -> bool:
    """Whether one schema, its children aside, uses only what a closed dialect has."""
    if not isinstance(node, dict) or not _well_formed(node):
        return False
    column = COLUMN[dialect]
    known = _STRUCTURE_OF[dialect]
    for key in node:
        if key not in known and (key not in RULES or RULES[key][column] is not Rule.KEEP):
            return False
    if isinstance(ref := node.get("$ref"), str):
        alone = set(node) <= {"$ref", "$defs"}
        return alone and (ref == "#" or ref.startswith("#/$defs/")) and bool(resolve(root, ref))
    kinds = types(node)
    if "object" in kinds and node.get("additionalProperties") is not False:
        return False
    if len(set(kinds) - {"null"}) > 1 or ("array" in kinds and "items" not in node):
        return False
    formats = FORMATS[dialect] or frozenset()
    if "format" in node and node["format"] not in formats:
        return False
    return bool(kinds) or any(key in node for key in ("anyOf", "allOf", "enum", "const"))


def _well_formed(node: JsonObject) -> bool:
    """Whether the keywords that are looked into have the types that JSON Schema gives them."""
    required = node.get("required")
    return all(
        isinstance(node[key], kind) for key, kind in _TYPE_OF.items() if key in node
    ) and all(isinstance(name, str) for name in required or ())


def back_edges(definitions: JsonObject) -> list[tuple[str, str]]:
    """References between definitions that close a circle, found by one walk in order."""
    targets = {name: _referred(schema, definitions) for name, schema in definitions.items()}
    found: list[tuple[str, str]] = []
    finished: set[str] = set()
    for first in definitions:
        if first in finished:
            continue
        on_path = {first}
        stack = [(first, iter(targets[first]))]
        while stack:
            name, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                on_path.discard(name)
                finished.add(name)
            elif following in on_path:
                found.append((name, following))
            elif following not in finished:
                on_path.add(following)
                stack.append((following, iter(targets[following])))
    return found


def _referred(schema: Json, definitions: JsonObject) -> list[str]:
    """The definitions that a schema refers to, in order."""
    found: dict[str, None] = {}
    stack: list[Json] = [schema]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            ref = node.get("$ref")
            name = definition_name(ref) if isinstance(ref, str) else None
            if name is not None and name in definitions:
                found[name] = None
            stack.extend(children(node))
    return list(found)
