"""JSON Schema between the four dialects: section 10 of the portability rules, as a table and one walk."""

from __future__ import annotations

from enum import StrEnum

from translators.losses import Losses
from translators.wire import JsonObject


class Dialect(StrEnum):
    """Which subset a schema must fit."""

    OPENAI_STRICT = "openai_strict"
    ANTHROPIC = "anthropic"
    GEMINI_JSON = "gemini_json"
    GEMINI_OPENAPI = "gemini_openapi"


def convert(schema: JsonObject, dialect: Dialect, path: str, losses: Losses) -> JsonObject:
    """Rewrite a JSON Schema for a dialect; what is not expressible is refused or recorded at `path`."""
    raise NotImplementedError


def from_openapi(schema: JsonObject) -> JsonObject:
    """G's OpenAPI flavour (`type: "OBJECT"`, `nullable`, `"minItems": "1"`) as JSON Schema."""
    raise NotImplementedError


def fits_openai_strict(schema: JsonObject) -> bool:
    """Whether a schema is in the strict subset as it stands."""
    raise NotImplementedError


def fits_anthropic(schema: JsonObject) -> bool:
    """Whether a schema is in A's `strict` / `format` subset as it stands."""
    raise NotImplementedError


def function_parameters(schema: JsonObject | None, *, openapi: bool) -> JsonObject:
    """A tool's schema as C, R (non-strict) and A take it: any JSON Schema, but always an object at the root.

    Repairs what clients really send: no `type`, a bare property map, `required: true` on a property, root
    unions (merged), G's OpenAPI flavour.
    """
    raise NotImplementedError


def wrap_root(schema: JsonObject) -> JsonObject:
    """Put a schema whose root is no object under the key `value` (section 9)."""
    raise NotImplementedError


def root_is_object(schema: JsonObject) -> bool:
    """Whether the schema's root is an object and no union."""
    raise NotImplementedError
