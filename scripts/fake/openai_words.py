"""How OpenAI refuses a request, and the schema subset that both of its protocols demand of `strict` tools."""

from __future__ import annotations

import re
from typing import Any, Final

from scripts.fake.rejection import Rejection
from scripts.fake.shape import Json, Path, bracketed, listed

_STRICT_KEYWORDS: Final = frozenset(
    listed(
        "type properties required additionalProperties items enum const anyOf $ref $defs description title "
        "minItems maxItems minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength "
        "pattern format"
    )
)
_STRICT_FORMATS: Final = frozenset(
    listed("date-time time date duration email hostname ipv4 ipv6 uuid")
)
_NAMES: Final[dict[type, str]] = {
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}
_ARTICLES: Final = {"object": "an", "array": "an", "integer": "an"}


def _described(value: Json) -> str:
    return _NAMES.get(type(value), "something else")


class OpenAIWords:
    """OpenAI's messages, `param` and `code`."""

    def unknown(self, path: Path, value: Json) -> Rejection:
        name = bracketed(path)
        return Rejection(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")

    def missing(self, path: Path) -> Rejection:
        name = bracketed(path)
        message = f"Missing required parameter: '{name}'."
        return Rejection(400, message, param=name, code="missing_required_parameter")

    def wrong_type(self, path: Path, expected: str, value: Json) -> Rejection:
        name = bracketed(path)
        kinds = expected.split(" or ")
        wanted = (
            "one of " + " or ".join(kinds)
            if len(kinds) > 1
            else f"{_ARTICLES.get(expected, 'a')} {expected}"
        )
        message = (
            f"Invalid type for '{name}': expected {wanted}, but got {_described(value)} instead."
        )
        return Rejection(400, message, param=name, code="invalid_type")

    def wrong_value(self, path: Path, allowed: tuple[str, ...], value: Json) -> Rejection:
        name = bracketed(path)
        choices = ", ".join(f"'{item}'" for item in allowed)
        message = f"Invalid value: '{value}'. Supported values are: {choices}."
        return Rejection(400, message, param=name, code="invalid_value")

    def out_of_range(self, path: Path, bound: str, value: Json) -> Rejection:
        name = bracketed(path)
        side = "below minimum" if ">" in bound else "above maximum"
        message = f"Invalid '{name}': number {side} value. Expected a value {bound}, but got {value} instead."
        return Rejection(400, message, param=name, code="invalid_value")

    def bad_pattern(self, path: Path, pattern: str, value: str) -> Rejection:
        name = bracketed(path)
        message = (
            f"Invalid '{name}': string does not match pattern. "
            f"Expected a string that matches the pattern '^{pattern}$'."
        )
        return Rejection(400, message, param=name, code="invalid_value")

    def bad_length(self, path: Path, bound: str, length: int) -> Rejection:
        name = bracketed(path)
        if bound.startswith("at least"):
            message = f"Invalid '{name}': empty or too short. Expected {bound}, but got {length}."
            return Rejection(400, message, param=name, code="invalid_value")
        message = f"Invalid '{name}': too long. Expected {bound}, but got {length} instead."
        return Rejection(400, message, param=name, code="string_above_max_length")


WORDS: Final = OpenAIWords()


def invalid(path: str, message: str, code: str | None = None) -> Rejection:
    """A 400 whose rule is particular to one place."""
    return Rejection(400, message, param=path, code=code)


def check_strict_schema(schema: Any, param: str, name: str, *, output: bool = False) -> None:
    """Refuse a schema outside the structured-output subset, as OpenAI words it."""
    subject = f"schema for response_format '{name}'" if output else f"schema for function '{name}'"

    def refuse(context: tuple[str, ...], reason: str) -> Rejection:
        place = (
            "("
            + ", ".join(f"'{step}'" for step in context)
            + ("," if len(context) == 1 else "")
            + ")"
        )
        message = f"Invalid {subject}: In context={place}, {reason}"
        return Rejection(400, message, param=param, code="invalid_function_parameters")

    def walk(node: Any, context: tuple[str, ...], depth: int) -> None:
        if not isinstance(node, dict):
            raise refuse(context, "schema must be an object.")
        if depth > 10:
            raise refuse(context, "schema exceeds 10 levels of nesting.")
        for key in node:
            if key not in _STRICT_KEYWORDS:
                raise refuse(context, f"'{key}' is not permitted.")
        if "$ref" in node:
            if set(node) - {"$ref", "description"}:
                raise refuse(context, "$ref cannot have keywords beside it.")
            return
        if not node.keys() & {"type", "anyOf", "enum", "const"}:
            raise refuse(context, "schema must have a 'type' key.")
        form = node.get("format")
        if form is not None and form not in _STRICT_FORMATS:
            raise refuse(context, f"'{form}' is not a valid format.")
        kinds = node.get("type")
        if kinds == "object" or (isinstance(kinds, list) and "object" in kinds):
            walk_object(node, context, depth)
        if kinds == "array" and "items" not in node:
            raise refuse(context, "array schema missing items.")
        if "items" in node:
            walk(node["items"], (*context, "items"), depth + 1)
        for index, choice in enumerate(node.get("anyOf", ())):
            walk(choice, (*context, "anyOf", str(index)), depth)
        for key, part in node.get("$defs", {}).items():
            walk(part, (*context, "$defs", key), depth)

    def walk_object(node: dict[str, Any], context: tuple[str, ...], depth: int) -> None:
        if node.get("additionalProperties") is not False:
            raise refuse(
                context, "'additionalProperties' is required to be supplied and to be false."
            )
        properties = node.get("properties", {})
        missing = [key for key in properties if key not in node.get("required", ())]
        if missing:
            raise refuse(
                context,
                "'required' is required to be supplied and to be an array including every key in "
                f"properties. Missing '{missing[0]}'.",
            )
        for key in node.get("required", ()):
            if key not in properties:
                raise refuse(context, f"Extra required key '{key}' supplied.")
        for key, part in properties.items():
            walk(part, (*context, "properties", key), depth + 1)

    if not isinstance(schema, dict) or schema.get("type") != "object":
        kind = schema.get("type") if isinstance(schema, dict) else None
        raise refuse((), f'schema must be of type "object", got \'type: "{kind}"\'.')
    walk(schema, (), 0)


def check_plain_schema(schema: Any, param: str, name: str) -> None:
    """A non-strict function schema may be any JSON Schema whose root is an object."""
    if not isinstance(schema, dict) or (schema and schema.get("type", "object") != "object"):
        kind = schema.get("type") if isinstance(schema, dict) else None
        raise Rejection(
            400,
            f"Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"', "
            f"got 'type: \"{kind}\"'.",
            param=param,
            code="invalid_function_parameters",
        )
    if schema.get("type") == "object" and not isinstance(schema.get("properties", {}), dict):
        raise Rejection(
            400,
            f"Invalid schema for function '{name}': In context=(), 'properties' must be an object.",
            param=param,
            code="invalid_function_parameters",
        )


def check_image_url(url: str, path: str) -> None:
    """Data URLs must name an image type that is accepted and hold base64; references must be http(s)."""
    if url.startswith("data:"):
        match = re.fullmatch(
            r"data:image/(png|jpeg|jpg|webp|gif);base64,([A-Za-z0-9+/]+=*)", url, re.ASCII
        )
        if match is None:
            raise invalid(
                path,
                "You uploaded an unsupported image. Please make sure your image is valid and has one of "
                "the following formats: ['png', 'jpeg', 'gif', 'webp'].",
                "invalid_image_format",
            )
    elif not url.startswith(("http://", "https://")):
        raise invalid(path, f"Invalid '{path}'. Expected a valid URL.", "invalid_value")
