"""What each schema dialect can say: section 10 of the portability rules as data."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum, auto
from typing import Final


class Dialect(StrEnum):
    """Which subset a schema must fit."""

    OPENAI_STRICT = "openai_strict"
    ANTHROPIC = "anthropic"
    GEMINI_JSON = "gemini_json"
    GEMINI_OPENAPI = "gemini_openapi"
    GEMINI_VERTEX = "gemini_vertex"
    """The same on Google Cloud, where it has `additionalProperties` too."""


OPENAPI: Final = frozenset({Dialect.GEMINI_OPENAPI, Dialect.GEMINI_VERTEX})


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

COLUMN: Final[Mapping[Dialect, int]] = {
    Dialect.OPENAI_STRICT: 0,
    Dialect.ANTHROPIC: 1,
    Dialect.GEMINI_JSON: 2,
    Dialect.GEMINI_OPENAPI: 3,
    Dialect.GEMINI_VERTEX: 3,
}

_OPENAPI_FORMATS: Final = frozenset(
    {"enum", "date-time", "date", "time", "duration", "int32", "int64", "float", "double"}
)
_JSON_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)
FORMATS: Final[Mapping[Dialect, frozenset[str] | None]] = {
    Dialect.OPENAI_STRICT: _JSON_FORMATS,
    Dialect.ANTHROPIC: _JSON_FORMATS | {"uri"},
    Dialect.GEMINI_JSON: None,
    Dialect.GEMINI_OPENAPI: _OPENAPI_FORMATS,
    Dialect.GEMINI_VERTEX: _OPENAPI_FORMATS,
}
"""Values of `format` that are kept; None = all."""
