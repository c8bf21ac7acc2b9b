"""Rewrite a JSON Schema for a dialect: one walk that follows the table of schema_table.py.

What becomes of recursion: kept where the dialect has references, else cut, never followed. Numbers stay as
they are (pitfalls TOOL-26).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from translators.losses import Loss, Losses
from translators.schema_fits import back_edges
from translators.schema_nodes import (
    ANNOTATIONS,
    MAX_DEPTH,
    MAX_REFS,
    NULL,
    TYPE_OF_KEYWORD,
    UNIONS,
    allows_null,
    definition_name,
    map_children,
    nullable,
    repaired,
    resolve,
    too_deep,
    type_of_value,
    types,
    value_fits,
)
from translators.schema_table import COLUMN, FORMATS, OPENAPI, RULES, Dialect, Rule
from translators.wire import Json, JsonObject, dump_text, dumps, loads

MAX_REMEMBERED: Final = 1024
MAX_REMEMBERED_BYTES: Final = 16 * 1024
"""Conversions that are kept, and the largest schema for which one is."""
MAX_NODES: Final = 20_000
"""Most schema nodes that a conversion may produce; shared definitions can otherwise grow exponentially."""


def convert(schema: JsonObject, dialect: Dialect, path: str, losses: Losses) -> JsonObject:
    """Rewrite a JSON Schema for a dialect; what is not expressible is refused or recorded at `path`.

    For OPENAI_STRICT, optional properties become nullable: `without_added_nulls` undoes it in the answer.
    Agents send the same tools with every request: the result is shared among them and must not be modified.
    """
    raw = dumps(schema)
    convert_raw = _remembered if len(raw) <= MAX_REMEMBERED_BYTES else _converted
    converted, lost = convert_raw(raw, dialect)
    for loss, reason in lost:
        losses.give_up(loss, path, reason)
    return converted


type _Lost = tuple[tuple[Loss, str], ...]


def _converted(raw: bytes, dialect: Dialect) -> tuple[JsonObject, _Lost]:
    """A conversion, and what was lost in it."""
    converter = _Converter(repaired(loads(raw)), dialect)
    converted = converter.run()
    return converted, tuple(converter.lost)


_remembered = lru_cache(maxsize=MAX_REMEMBERED)(_converted)


_SCALARS: Final = ("string", "number", "boolean")
_SHAPES: Final = frozenset({"type", "anyOf", "enum", "const"})
_CONDITIONS: Final = frozenset({"required", "not", "description", "title"})
"""Branches with nothing but these state which properties go together."""


class _Converter:
    """One conversion: the walk, with what it must remember about references."""

    def __init__(self, root: JsonObject, dialect: Dialect) -> None:
        self.root = root
        self.dialect = dialect
        self.lost: list[tuple[Loss, str]] = []
        self.column = COLUMN[dialect]
        self.is_openapi = dialect in OPENAPI
        self.keeps_extra = dialect in (Dialect.GEMINI_JSON, Dialect.GEMINI_VERTEX)
        self.is_closed = dialect in (Dialect.OPENAI_STRICT, Dialect.ANTHROPIC)
        self.definitions: JsonObject = {
            **(root.get("definitions") or {}),
            **(root.get("$defs") or {}),
        }
        self.wanted: list[str] = []
        self.active: list[str] = []  # references that are being inlined
        self.nodes = 0

    def run(self) -> JsonObject:
        """The root, and the definitions that are still referred to, in their own order."""
        out = self.node(self._root(), 0)
        done: JsonObject = {}
        for name in self.wanted:  # grows while definitions are converted
            done[name] = self.node(self.definitions[name], 1)
        if self.dialect is Dialect.ANTHROPIC:
            for name, target in back_edges(done):
                done[name] = self.without_ref(done[name], "#/$defs/" + _pointer(target))
        if done:
            out["$defs"] = {name: done[name] for name in self.definitions if name in done}
        return out

    def _root(self) -> JsonObject:
        node = self.root
        seen: set[str] = set()
        while isinstance(ref := node.get("$ref"), str) and ref not in seen:
            target = resolve(self.root, ref)
            if target is None:
                break
            seen.add(ref)
            node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
        return node

    # -- one node

    def node(self, node: Json, depth: int) -> JsonObject:
        """One schema in the words of the dialect."""
        if depth > MAX_DEPTH:
            raise too_deep()
        self.nodes += 1
        if self.nodes > MAX_NODES:
            return self.cut("a schema of this size")
        if not isinstance(node, dict):
            return self.anything({})
        if isinstance(node.get("allOf"), list):
            node, followed = self.merged(node)
            self.active.extend(followed)
            made = self.node(node, depth + 1)
            del self.active[len(self.active) - len(followed) :]
            return made
        if isinstance(node.get("$ref"), str):
            return self.reference(node, depth)
        if node.get("nullable") is True and not self.is_openapi:
            node = nullable({key: value for key, value in node.items() if key != "nullable"})
        kinds = types(node)
        if not kinds:
            node = _typed(node)
            kinds = types(node)
        if not kinds and not self.has_shape(node):
            return self.anything(node)
        if self.must_split(kinds):
            return self.split(node, kinds, depth)
        out: JsonObject = {}
        notes: JsonObject = {}
        kept = _KEPT[self.column]
        for key, value in node.items():
            if key in kept:
                out[key] = value
                continue
            step = _STEPS.get(key)
            if step is None:
                self.plain(key, value, out, notes)
            else:
                step(self, node, out, notes, depth)
        if "object" in kinds:
            self.close_object(node, out, notes)
        if "array" in kinds and "items" not in out and self.dialect is not Dialect.GEMINI_JSON:
            out["items"] = self.anything({})
        if self.dialect is not Dialect.GEMINI_JSON and not _SHAPES.intersection(out):
            out |= self.anything(node)
        if notes:
            told = out.get("description")
            said = dump_text(notes)
            out["description"] = f"{told} {said}" if told else said
        return out

    def has_shape(self, node: JsonObject) -> bool:
        """Whether anything but a type says what the values are."""
        if self.dialect is Dialect.GEMINI_JSON:
            return True
        return any(key in node for key in ("enum", "const", *UNIONS))

    def anything(self, node: JsonObject) -> JsonObject:
        """What stands for a schema that allows every value."""
        out: JsonObject = {key: node[key] for key in ("title", "description") if key in node}
        if self.dialect is Dialect.GEMINI_JSON:
            return out
        self.lose(Loss.MEANING, "a schema without a type became one of all scalars")
        if self.is_openapi:
            return {**out, "anyOf": [{"type": kind.upper()} for kind in _SCALARS], "nullable": True}
        return {**out, "anyOf": [*({"type": kind} for kind in _SCALARS), dict(NULL)]}

    def cut(self, what: str) -> JsonObject:
        """What stands for a schema that cannot be followed further."""
        self.lose(Loss.MEANING, f"{what} cannot be said here; it was cut to an object")
        if self.is_openapi:
            return {"type": "OBJECT"}
        out: JsonObject = {"type": "object"}
        if self.is_closed:
            out |= {"properties": {}, "additionalProperties": False}
            if self.dialect is Dialect.OPENAI_STRICT:
                out["required"] = []
        return out

    def lose(self, loss: Loss, reason: str) -> None:
        """Note one loss of this schema."""
        self.lost.append((loss, reason))

    def plain(self, key: str, value: Json, out: JsonObject, notes: JsonObject) -> None:
        """A keyword that the table decides alone."""
        row = RULES.get(key)
        rule = row[self.column] if row else Rule.DESCRIBE
        match rule:
            case Rule.KEEP:
                if key == "examples" and isinstance(value, list):
                    if value:
                        out["example"] = value[0]
                else:
                    out[key] = value
            case Rule.NOTE:
                notes[key] = value
            case Rule.FADE:
                self.lose(Loss.TELEMETRY, f"`{key}` was dropped from a schema")
            case Rule.DESCRIBE:
                if value is not False:
                    self.describe(key, value, notes)
            case Rule.MEANING:
                self.describe(key, value, notes, Loss.MEANING)
            case Rule.DROP:
                pass

    def describe(self, key: str, value: Json, notes: JsonObject, loss: Loss = Loss.VALUE) -> None:
        """Say a constraint in the description, where nothing enforces it."""
        self.lose(loss, f"the schema keyword `{key}` is not enforced; it is in the description")
        notes[key] = value

    # -- types

    def must_split(self, kinds: list[str]) -> bool:
        """Whether a list of types has to become a union."""
        if len(kinds) < 2 or self.dialect is Dialect.GEMINI_JSON:
            return False
        return not (self.dialect is Dialect.OPENAI_STRICT and len(kinds) == 2 and "null" in kinds)

    def split(self, node: JsonObject, kinds: list[str], depth: int) -> JsonObject:
        """`type: [T, U]` as `anyOf`, each branch with the keywords of its type."""
        rest = [kind for kind in kinds if kind != "null"]
        outer = {key: value for key, value in node.items() if key in ANNOTATIONS}
        inner = {
            key: value for key, value in node.items() if key not in ANNOTATIONS and key != "type"
        }
        if any(key in inner for key in UNIONS):
            self.lose(Loss.VALUE, "`type` beside a union was dropped from a schema")
            return self.node({**outer, **inner}, depth + 1)
        branches = [branch for kind in rest if (branch := _of_type(inner, kind)) is not None]
        made: JsonObject = {**outer, "anyOf": branches}
        if len(branches) == 1 and (self.is_openapi or "null" not in kinds):
            made = {**outer, **branches[0]}
        if "null" in kinds:
            if self.is_openapi:
                made["nullable"] = True
            else:
                made["anyOf"] = [*branches, dict(NULL)]
        return self.node(made, depth + 1)

    # -- keywords with structure; each takes the node, what is built, and notes for the description

    def type_(self, node: JsonObject, out: JsonObject, notes: JsonObject, depth: int) -> None:
        value = node["type"]
        out["type"] = value.upper() if self.is_openapi and isinstance(value, str) else value

    def nullable_(self, node: JsonObject, out: JsonObject, notes: JsonObject, depth: int) -> None:
        if self.is_openapi and node["nullable"] is True:
            out["nullable"] = True

    def format_(self, node: JsonObject, out: JsonObject, notes: JsonObject, depth: int) -> None:
        known = FORMATS[self.dialect]
        if known is None or node["format"] in known:
            out["format"] = node["format"]
        else:
            self.describe("format", node["format"], notes)

    def min_items(self, node: JsonObject, out: JsonObject, notes: JsonObject, depth: int) -> None:
        if self.dialect is Dialect.ANTHROPIC and node["minItems"] not in (0, 1):
            self.describe("minItems", node["minItems"], notes)
        else:
            out["minItems"] = node["minItems"]

    def enum(self, node: JsonObject, out: JsonObject, notes: JsonObject, depth: int) -> None:
        values = node["enum"]
        if not isinstance(values, list) or not values:
            return
        if self.is_closed:
            primitive = not any(isinstance(value, dict | list) for value in values)
            if primitive or self.dialect is Dialect.OPENAI_STRICT:
                out["enum"] = values
            else:
                self.describe("enum", values, notes)
            return
        if self.is_openapi and None in values:
            out["nullable"] = True
        members = [value for value in values if value is not None]
        if any(isinstance(value, bool | dict | list) for value in members):
            if set(map(str, members)) != {"True", "False"}:
                self.describe("enum", values, notes)
            return
        if self.is_openapi and not all(isinstance(value, str) for value in members):
            self.lose(Loss.VALUE, "an `enum` of numbers became one of strings")
            members = [value if isinstance(value, str) else dump_text(value) for value in members]
            out["type"] = "STRING"
        if members:
            out["enum"] = members

    def const(self, node: JsonObject, out: JsonObject, notes: JsonObject, depth: int) -> None:
        value = node["const"]
        if self.is_closed:
            out["const"] = value
        elif value is not None:
            # a list of one; `enum` beside `const` would only repeat it
            self.enum({"enum": [value]}, out, notes, depth)

    def properties(self, node: JsonObject, out: JsonObject, notes: JsonObject, depth: int) -> None:
        values = node["properties"]
        if not isinstance(values, dict):
            return
        required = node.get("required") or []
        made: JsonObject = {}
        for name, value in values.items():
            if value is False:
                continue
            made[name] = self.node(value, depth + 1)
            if self.dialect is Dialect.OPENAI_STRICT and name not in required:
                if not allows_null(made[name]):
                    made[name] = nullable(made[name])
        out["properties"] = made

    def close_object(self, node: JsonObject, out: JsonObject, notes: JsonObject) -> None:
        """`required`, `additionalProperties` and the order of an object's properties."""
        made: JsonObject = out.get("properties") or {}
        required = [name for name in node.get("required") or [] if name in made]
        if self.dialect is Dialect.OPENAI_STRICT:
            required = list(made)
        if required or self.dialect is Dialect.OPENAI_STRICT:
            out["required"] = required
        extra = node.get("additionalProperties")
        if self.is_closed:
            self.close_map(extra, made, notes)
            out.setdefault("properties", {})
            out["additionalProperties"] = False
            return
        if self.is_openapi:
            if isinstance(extra, dict) and extra and not self.keeps_extra:
                self.describe("additionalProperties", extra, notes, Loss.MEANING)
            if not made:
                out.pop("properties", None)  # an empty map is refused
        if len(made) > 1:
            out["propertyOrdering"] = list(made)

    def close_map(self, extra: Json, made: JsonObject, notes: JsonObject) -> None:
        """Account for closing an object that was open."""
        if isinstance(extra, dict) and extra:
            self.describe("additionalProperties", extra, notes, Loss.MEANING)
        elif extra is not False and not made:
            self.lose(Loss.MEANING, "an object of any properties became one of none")
        elif extra is True or extra == {}:
            self.lose(Loss.VALUE, "`additionalProperties: true` became false")

    def extra(self, node: JsonObject, out: JsonObject, notes: JsonObject, depth: int) -> None:
        if self.keeps_extra:
            value = node["additionalProperties"]
            out["additionalProperties"] = (
                self.node(value, depth + 1) if isinstance(value, dict) else value
            )

    def items(self, node: JsonObject, out: JsonObject, notes: JsonObject, depth: int) -> None:
        value = node["items"]
        if value is not False and (
            "prefixItems" not in node or self.dialect is Dialect.GEMINI_JSON
        ):
            out["items"] = self.node(value, depth + 1)

    def prefix_items(
        self, node: JsonObject, out: JsonObject, notes: JsonObject, depth: int
    ) -> None:
        values = [value for value in node["prefixItems"] if value is not False]
        if self.dialect is Dialect.GEMINI_JSON:
            out["prefixItems"] = [self.node(value, depth + 1) for value in values]
            return
        self.lose(Loss.VALUE, "`prefixItems` became `items` of any of them, in any place")
        if isinstance(node.get("items"), dict):
            values.append(node["items"])
        if values:
            out["items"] = self.node(_any_of(values), depth + 1)

    def any_of(self, node: JsonObject, out: JsonObject, notes: JsonObject, depth: int) -> None:
        self.branches("anyOf", node, out, notes, depth)

    def one_of(self, node: JsonObject, out: JsonObject, notes: JsonObject, depth: int) -> None:
        if "anyOf" in node:
            self.describe("oneOf", node["oneOf"], notes, Loss.MEANING)
            return
        if self.is_closed:
            self.lose(Loss.VALUE, "`oneOf` became `anyOf`")
        self.branches("oneOf", node, out, notes, depth)

    def branches(
        self, key: str, node: JsonObject, out: JsonObject, notes: JsonObject, depth: int
    ) -> None:
        """The branches of a union."""
        values = [value for value in node[key] if value is not False]
        if all(isinstance(value, dict) and _CONDITIONS.issuperset(value) for value in values):
            if any(values):
                self.describe(key, node[key], notes, Loss.MEANING)
            return
        if self.is_openapi:
            typed = [value for value in values if value != NULL]
            if len(typed) < len(values):
                out["nullable"] = True
            if len(typed) == 1:
                made = self.node(typed[0], depth + 1)
                out.update({name: value for name, value in made.items() if name not in out})
                return
            values = typed
        target = key if self.dialect is Dialect.GEMINI_JSON else "anyOf"
        out[target] = [self.node(value, depth + 1) for value in values]

    def ignore(self, node: JsonObject, out: JsonObject, notes: JsonObject, depth: int) -> None:
        """Dealt with elsewhere."""

    # -- references and allOf

    def reference(self, node: JsonObject, depth: int) -> JsonObject:
        """A `$ref`: kept where the dialect can say it, else inlined, or cut where it recurs."""
        ref: str = node["$ref"]
        siblings = {
            key: value
            for key, value in node.items()
            if key not in ("$ref", "$defs", "definitions", "$schema", "$id")
        }
        target = resolve(self.root, ref)
        if target is None:
            self.lose(Loss.MEANING, "a `$ref` that leads nowhere was dropped from a schema")
            return self.node(siblings, depth + 1)
        name = definition_name(ref)
        if name not in self.definitions:
            name = None
        stays = not self.is_openapi and (
            name is not None or (ref == "#" and self.dialect is not Dialect.ANTHROPIC)
        )
        if not stays or (not ANNOTATIONS.issuperset(siblings) and ref not in self.active):
            return self.inlined(ref, target, siblings, depth)
        if name is None:
            return _with_siblings({"$ref": "#"}, siblings)
        if name not in self.wanted:
            self.wanted.append(name)
        kept = {key: value for key, value in siblings.items() if key in ("title", "description")}
        return _with_siblings({"$ref": "#/$defs/" + _pointer(name)}, kept)

    def without_ref(self, node: Json, ref: str) -> Json:
        """A converted schema with one of its references cut."""
        if not isinstance(node, dict):
            return node
        if node.get("$ref") == ref:
            return self.cut("a recursive `$ref`")
        return {
            key: map_children(key, value, lambda child: self.without_ref(child, ref))
            for key, value in node.items()
        }

    def inlined(self, ref: str, target: JsonObject, siblings: JsonObject, depth: int) -> JsonObject:
        """The schema behind a reference, in its place."""
        if ref in self.active or len(self.active) >= MAX_REFS or ref == "#":
            return self.cut("a recursive `$ref`")
        self.active.append(ref)
        made = self.node({**target, **siblings}, depth + 1)
        self.active.pop()
        return made

    def merged(self, node: JsonObject) -> tuple[JsonObject, list[str]]:
        """A schema with its `allOf` merged in, and the references that were followed for it.

        It is never kept as it is: closed objects inside `allOf` would exclude each other.
        """
        out = {key: value for key, value in node.items() if key != "allOf"}
        queue = [(branch, 0) for branch in reversed(node["allOf"])]
        if len(queue) == 1 and ANNOTATIONS.issuperset(out):
            return ({**queue[0][0], **out} if isinstance(queue[0][0], dict) else out), []
        followed: dict[str, None] = {}  # merging a definition twice changes nothing
        refused = False
        while queue:
            branch, level = queue.pop()
            if not isinstance(branch, dict):
                continue
            ref = branch.get("$ref")
            if isinstance(ref, str):
                branch = {key: value for key, value in branch.items() if key != "$ref"}
                if ref in self.active or len(self.active) >= MAX_REFS:
                    refused = True
                elif ref not in followed:
                    followed[ref] = None
                    branch = {**(resolve(self.root, ref) or {}), **branch}
            deeper = branch.get("allOf")
            if isinstance(deeper, list) and level < MAX_REFS:
                queue.extend((item, level + 1) for item in reversed(deeper))
            branch = {key: value for key, value in branch.items() if key != "allOf"}
            refused = not _merge_into(out, branch) or refused
        if refused:
            self.lose(
                Loss.MEANING, "a branch of `allOf` that cannot be merged was dropped from a schema"
            )
        return out, list(followed)


type _Step = Callable[[_Converter, JsonObject, JsonObject, JsonObject, int], None]

_STEPS: Final[Mapping[str, _Step]] = {
    "type": _Converter.type_,
    "nullable": _Converter.nullable_,
    "format": _Converter.format_,
    "minItems": _Converter.min_items,
    "enum": _Converter.enum,
    "const": _Converter.const,
    "properties": _Converter.properties,
    "required": _Converter.ignore,
    "additionalProperties": _Converter.extra,
    "items": _Converter.items,
    "prefixItems": _Converter.prefix_items,
    "anyOf": _Converter.any_of,
    "oneOf": _Converter.one_of,
    "propertyOrdering": _Converter.ignore,
}
_KEPT: Final = tuple(
    frozenset(
        key
        for key, row in RULES.items()
        if row[column] is Rule.KEEP and key not in _STEPS and key != "examples"
    )
    for column in sorted(set(COLUMN.values()))
)
"""Per dialect, the keywords that stay as they are; most of a schema is made of them."""


def _typed(node: JsonObject) -> JsonObject:
    """A schema that names no type with one, where its other keywords leave no doubt."""
    kinds: list[str] = []
    if isinstance(values := node.get("enum"), list):
        kinds = list(dict.fromkeys(type_of_value(value) for value in values))
    elif "const" in node:
        kinds = [type_of_value(node["const"])]
    elif "properties" in node or not any(key in node for key in UNIONS):
        kinds = [kind for key, kind in TYPE_OF_KEYWORD.items() if key in node][:1]
    if not kinds:
        return node
    rest = {key: value for key, value in node.items() if key != "type"}
    return {"type": kinds[0] if len(kinds) == 1 else kinds, **rest}


def _of_type(inner: JsonObject, kind: str) -> JsonObject | None:
    """The keywords that concern one type; None when no value of that type is allowed."""
    family = "number" if kind == "integer" else kind
    out: JsonObject = {"type": kind}
    for key, value in inner.items():
        if TYPE_OF_KEYWORD.get(key, family) != family:
            continue
        if key == "enum" and isinstance(value, list):
            value = [item for item in value if value_fits(item, kind)]
            if not value:
                return None
        if key == "const" and not value_fits(value, kind):
            return None
        out[key] = value
    return out


def _any_of(values: list[Json]) -> JsonObject:
    unique: list[Json] = []
    for value in values[:MAX_REFS]:
        if value not in unique:
            unique.append(value)
    if len(unique) == 1 and isinstance(unique[0], dict):
        return unique[0]
    return {"anyOf": unique}


def _merge_into(out: JsonObject, branch: JsonObject) -> bool:
    """Add one branch of an `allOf`; False, and nothing added, where the two contradict each other."""
    added: JsonObject = {}
    for key, value in branch.items():
        mine = out.get(key)
        if mine is None or mine == value or key in ("$schema", "$id", "$comment"):
            added[key] = value if mine is None else mine
        elif key == "properties":
            if any(name in mine and mine[name] != item for name, item in value.items()):
                return False
            added[key] = {**mine, **value}
        elif key == "required":
            added[key] = [*mine, *(name for name in value if name not in mine)]
        elif key == "additionalProperties":
            added[key] = False if value is False else mine
        elif key not in ANNOTATIONS:
            return False
    out.update(added)
    return True


def _with_siblings(ref: JsonObject, siblings: JsonObject) -> JsonObject:
    """A `$ref` may stand with nothing beside it: siblings go around it."""
    return {**siblings, "anyOf": [ref]} if siblings else ref


def _pointer(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
