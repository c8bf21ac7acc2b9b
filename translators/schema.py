"""JSON Schema for the protocol packages: conversion between dialects, and repair of what clients send.

The pieces: schema_nodes.py is the tree, schema_table.py the rules, schema_convert.py the walk, schema_fits.py
the question whether anything must be done. Input is never modified.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from translators.losses import Losses
from translators.schema_convert import MAX_REMEMBERED, MAX_REMEMBERED_BYTES, convert
from translators.schema_fits import fits_anthropic, fits_openai_strict
from translators.schema_nodes import (
    MAX_REFS,
    UNIONS,
    WRAP_KEY,
    from_openapi,
    repaired,
    resolve,
    root_is_object,
    types,
    without_added_nulls,
    wrap_root,
)
from translators.schema_table import Dialect
from translators.wire import Json, JsonObject, dumps, loads

__all__ = [
    "WRAP_KEY",
    "Dialect",
    "convert",
    "fits_anthropic",
    "fits_openai_strict",
    "from_openapi",
    "function_parameters",
    "made_strict",
    "root_is_object",
    "without_added_nulls",
    "wrap_root",
]

_MAX_ROOT_BRANCHES: Final = 1000
"""Most schemas that are looked at to merge the unions of a root."""


def function_parameters(schema: JsonObject | None, *, openapi: bool) -> JsonObject:
    """A tool's schema as C, R (non-strict) and A take it: any JSON Schema, but always an object at the root.

    Repairs what clients really send: no `type`, a bare property map, `required: true` on a property, root
    unions (merged), G's OpenAPI flavour. A root of another type goes under `value`. The result is shared among
    requests with the same tools and must not be modified.
    """
    raw = dumps(schema or {})
    made = _remembered if len(raw) <= MAX_REMEMBERED_BYTES else _parameters
    return made(raw, openapi)


def _parameters(raw: bytes, openapi: bool) -> JsonObject:
    schema = loads(raw)
    node = repaired(from_openapi(schema) if openapi else schema)
    node = _RootUnions(node).merged(node, frozenset())
    kinds = types(node)
    if (kinds and "object" not in kinds) or any(key in node for key in UNIONS):
        return wrap_root(node)
    rest = {key: value for key, value in node.items() if key != "type"}
    if not isinstance(rest.get("properties"), dict):
        rest["properties"] = {}
    return {"type": "object", **rest}


_remembered = lru_cache(maxsize=MAX_REMEMBERED)(_parameters)


def made_strict(parameters: JsonObject) -> JsonObject | None:
    """The same in OpenAI's strict subset, where nothing is lost by it; None where it is.

    Optional properties become nullable: `without_added_nulls` takes the nulls out of the arguments again.
    """
    losses = Losses()
    made = convert(parameters, Dialect.OPENAI_STRICT, "", losses)
    return made if not losses.degradations and fits_openai_strict(made) else None


class _RootUnions:
    """Put an object schema in place of a root `$ref`, `anyOf`, `oneOf` or `allOf` (TOOL-09)."""

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._left = _MAX_ROOT_BRANCHES

    def merged(self, node: JsonObject, seen: frozenset[str]) -> JsonObject:
        """The schema with its own unions merged; `seen` holds the references on the way to it."""
        self._left -= 1
        ref = node.get("$ref")
        if isinstance(ref, str):
            follow = ref not in seen and len(seen) < MAX_REFS and self._left > 0
            target = resolve(self._root, ref) if follow else None
            siblings = {key: value for key, value in node.items() if key != "$ref"}
            node = self.merged({**(target or {}), **siblings}, seen | {ref})
        for key in UNIONS:
            branches = node.get(key)
            if isinstance(branches, list):
                node = self._union(node, key, branches, seen)
        return node

    def _union(
        self, node: JsonObject, key: str, branches: list[Json], seen: frozenset[str]
    ) -> JsonObject:
        out = {name: value for name, value in node.items() if name != key}
        flat = [
            self.merged(item, seen)
            for item in branches
            if isinstance(item, dict) and types(item) != ["null"] and self._left > 0
        ]
        objects = [item for item in flat if "properties" in item or "object" in types(item)]
        speaks_of_objects = objects or "properties" in out or "object" in types(out)
        if flat and not speaks_of_objects and not any("required" in item for item in flat):
            return node  # a union of scalars: the caller wraps it
        properties: JsonObject = dict(out.get("properties") or {})
        for item in objects:
            for name, schema in (item.get("properties") or {}).items():
                known = name in properties
                properties[name] = _either(properties[name], schema) if known else schema
        out["type"] = "object"
        out["properties"] = properties
        required = _required(key, [item.get("required", []) for item in flat])
        required.update(out.get("required", []))
        if kept := [name for name in properties if name in required]:
            out["required"] = kept
        if objects and "additionalProperties" not in out:
            if all(item.get("additionalProperties") is False for item in objects):
                out["additionalProperties"] = False
        return out


def _required(key: str, branches: list[list[str]]) -> set[str]:
    """What all of the branches ask for, or with `allOf` any of them."""
    sets = [set(names) for names in branches]
    if not sets:
        return set()
    return set.union(*sets) if key == "allOf" else set.intersection(*sets)


def _either(one: Json, other: Json) -> Json:
    if one == other:
        return one
    branches = one["anyOf"] if isinstance(one, dict) and set(one) == {"anyOf"} else [one]
    return {"anyOf": branches if other in branches else [*branches, other]}
