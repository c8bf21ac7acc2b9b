"""The smallest instance of a JSON Schema: what a model could answer when it has nothing to say."""

from __future__ import annotations

from typing import Any, Final

_MAX_DEPTH: Final = 12
_BY_FORMAT: Final = {
    "date-time": "2026-11-21T00:00:00Z",
    "date": "2026-11-21",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "ann@example.com",
    "hostname": "example.com",
    "uri": "https://example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def smallest(schema: Any, text: str = "fake", root: Any = None, depth: int = 0) -> Any:
    """An instance with the required properties only; strings are `text` where the schema allows it.

    Types in capitals (Gemini's `Schema`) are read like others. A schema nested too deeply gives null.
    """
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return text if schema is True else None
    if "$ref" in schema:
        return smallest(_target(schema["$ref"], root), text, root, depth + 1)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return smallest(schema[key][0], text, root, depth + 1)
    if schema.get("allOf"):
        return _merged(schema, text, root, depth)
    return _by_type(schema, text, root, depth)


def _by_type(schema: dict[str, Any], text: str, root: Any, depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = next((k for k in kind if k != "null"), "null") if isinstance(kind, list) else kind
    match str(kind).lower():
        case "object":
            required = schema.get("required", ())
            properties = schema.get("properties", {})
            return {
                name: smallest(properties.get(name, {}), text, root, depth + 1) for name in required
            }
        case "array":
            items = schema.get("items", {})
            count = int(schema.get("minItems", 0))
            return [smallest(items, text, root, depth + 1) for _ in range(count)]
        case "integer" | "number":
            return _number(schema)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _string(schema, text)


def _number(schema: dict[str, Any]) -> Any:
    if "minimum" in schema:
        return schema["minimum"]
    low = schema.get("exclusiveMinimum")
    value = 1 if not isinstance(low, (int, float)) else low + 1
    high = schema.get("maximum")
    return min(value, high) if isinstance(high, (int, float)) else value


def _string(schema: dict[str, Any], text: str) -> str:
    if schema.get("format") in _BY_FORMAT:
        return _BY_FORMAT[schema["format"]]
    text = text.ljust(int(schema.get("minLength", 0)), "x")
    longest = schema.get("maxLength")
    return text[: int(longest)] if longest is not None else text


def _merged(schema: dict[str, Any], text: str, root: Any, depth: int) -> Any:
    parts = [smallest(part, text, root, depth + 1) for part in schema["allOf"]]
    if all(isinstance(part, dict) for part in parts):
        return {key: value for part in parts for key, value in part.items()}
    return parts[0]


def _target(reference: str, root: Any) -> Any:
    node = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step:
            node = node.get(step, {}) if isinstance(node, dict) else {}
    return node
