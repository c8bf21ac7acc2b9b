"""Payload rules: set, default and remove parts of an upstream body by JSON path, under conditions.

They express what a provider wants beyond its protocol (a switch of its own, a field it refuses) and what
a user wants for some models. A path is `a.b[0].c`; `[*]` is every element; `a["odd.key"]` quotes a key.
Bodies are never modified: a changed body shares with the old one all that did not change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BeforeValidator, model_validator

from config.patterns import matches, matches_any
from config.section import ProtocolName, Section, Strings

_STEP: Final = re.compile(
    r"""\.?(?P<name>[A-Za-z0-9_$][A-Za-z0-9_$-]*)|\[(?P<index>\d+)\]|\[(?P<all>\*)\]|\["(?P<quoted>[^"]+)"\]"""
)
_MISSING: Final = object()
EVERY: Final = "[*]"
MAX_INDEX: Final = 100_000

type Steps = tuple[str | int, ...]


@lru_cache(maxsize=4096)
def parse_path(path: str) -> Steps:
    """The steps of a path; `[*]` is `EVERY`. ValueError says what was expected."""
    steps: list[str | int] = []
    position = 0
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None or (position == 0 and path[0] == "."):
            raise ValueError(
                f"a JSON path like `a.b[0].c` or `a[*].b` (unreadable at {path[position:]!r})"
            )
        if step["index"] is not None:
            steps.append(min(int(step["index"]), MAX_INDEX))
        else:
            steps.append(step["name"] or step["quoted"] or EVERY)
        position = step.end()
    if not steps:
        raise ValueError("a JSON path like `a.b[0].c`")
    return tuple(steps)


def _path(value: str) -> str:
    parse_path(value)
    return value


def _as_tuple(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


type JsonPath = Annotated[str, AfterValidator(_path)]
type JsonPaths = Annotated[tuple[JsonPath, ...], BeforeValidator(_as_tuple)]


class PayloadWhen(Section):
    """When a rule applies; every given condition must hold."""

    protocol: Annotated[tuple[ProtocolName, ...], BeforeValidator(_as_tuple)] = ()
    """The upstream's protocol."""
    client_protocol: Annotated[tuple[ProtocolName, ...], BeforeValidator(_as_tuple)] = ()
    """The client's protocol."""
    provider: Strings = ()
    """Patterns of the provider's name."""
    model: Strings = ()
    """Patterns of the upstream model's name."""
    headers: Mapping[str, str] = {}
    """Patterns of the client's request headers; `*` = present."""
    exists: JsonPaths = ()
    """Paths that must be there, whatever their value."""
    missing: JsonPaths = ()
    """Paths that must not be there."""
    equals: Mapping[JsonPath, Any] = {}
    """Paths and the value that they must have; a list means one of its members."""


class PayloadRule(Section):
    """Changes to a body: removals first, then `set`, then `set_default`."""

    when: PayloadWhen = PayloadWhen()
    """Conditions."""
    set_default: Mapping[JsonPath, Any] = {}
    """Values for paths that are not there."""
    set: Mapping[JsonPath, Any] = {}
    """Values for paths, whatever stands there."""
    remove: JsonPaths = ()
    """Paths to take out."""
    reason: str = ""
    """Why: for readers of the file."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.set_default or self.set or self.remove):
            raise ValueError("at least one of `set_default`, `set` and `remove`")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadContext:
    """What a body is for. `headers` are the client's, lower case."""

    protocol: str
    provider: str
    model: str
    client_protocol: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def could_apply(rule: PayloadRule, protocol: str, provider: str, model: str) -> bool:
    """Whether a rule is about this target at all, whatever the request: worth asking once, at load."""
    when = rule.when
    return (
        (not when.protocol or protocol in when.protocol)
        and (not when.provider or matches_any(when.provider, provider))
        and (not when.model or matches_any(when.model, model))
    )


def apply_rules(
    body: dict[str, Any], rules: Iterable[PayloadRule], context: PayloadContext
) -> dict[str, Any]:
    """The body after every rule that applies, in order; the very same object when none changed it."""
    for rule in rules:
        if _applies(rule.when, body, context) and could_apply(
            rule, context.protocol, context.provider, context.model
        ):
            body = _change(body, rule)
    return body


def _applies(when: PayloadWhen, body: dict[str, Any], context: PayloadContext) -> bool:
    if when.client_protocol and context.client_protocol not in when.client_protocol:
        return False
    for name, pattern in when.headers.items():
        value = context.headers.get(name.lower())
        if value is None or not matches(pattern, value):
            return False
    return (
        all(_values(body, parse_path(path)) for path in when.exists)
        and not any(_values(body, parse_path(path)) for path in when.missing)
        and all(
            any(_equal(found, wanted) for found in _values(body, parse_path(path)))
            for path, wanted in when.equals.items()
        )
    )


def _equal(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list) and not isinstance(found, list):
        return any(_equal(found, one) for one in wanted)
    # True == 1 in Python, but not in JSON.
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)


def _values(node: Any, steps: Steps) -> list[Any]:
    """What stands at a path, in order; [] when nothing does."""
    nodes = [node]
    for step in steps:
        nodes = [
            child for parent in nodes for child in _children(parent, step) if child is not _MISSING
        ]
    return nodes


def _children(node: Any, step: str | int) -> list[Any]:
    if isinstance(node, list):
        if step == EVERY:
            return node
        return [node[step]] if isinstance(step, int) and step < len(node) else []
    if isinstance(node, dict):
        if step == EVERY:
            return list(node.values())
        return [node.get(step, _MISSING)] if isinstance(step, str) else []
    return []


def _change(body: dict[str, Any], rule: PayloadRule) -> dict[str, Any]:
    changed: Any = body
    for path in rule.remove:
        changed = _removed(changed, parse_path(path))
    for path, value in rule.set.items():
        changed = _placed(changed, parse_path(path), value, overwrite=True)
    for path, value in rule.set_default.items():
        changed = _placed(changed, parse_path(path), value, overwrite=False)
    result: dict[str, Any] = changed
    return result


def _removed(node: Any, steps: Steps) -> Any:
    step, rest = steps[0], steps[1:]
    if isinstance(node, dict) and isinstance(step, str):
        if step != EVERY and step not in node:
            return node
        keys = list(node) if step == EVERY else [step]
        if not rest:
            return {key: value for key, value in node.items() if key not in keys}
        changed = {key: _removed(node[key], rest) for key in keys}
        return _replaced(node, changed)
    if isinstance(node, list):
        indexes = range(len(node)) if step == EVERY else (step,)
        wanted = {index for index in indexes if isinstance(index, int) and index < len(node)}
        if not wanted:
            return node
        if not rest:
            return [value for index, value in enumerate(node) if index not in wanted]
        values = [
            _removed(value, rest) if index in wanted else value for index, value in enumerate(node)
        ]
        return values if any(a is not b for a, b in zip(values, node, strict=True)) else node
    return node


def _placed(node: Any, steps: Steps, value: Any, *, overwrite: bool) -> Any:
    """The node with a value at a path; objects on the way are made, list elements are not."""
    step, rest = steps[0], steps[1:]
    if isinstance(node, dict) and isinstance(step, str):
        keys = list(node) if step == EVERY else [step]
        changed = {
            key: _child_placed(node.get(key, _MISSING), rest, value, overwrite) for key in keys
        }
        return _replaced(node, changed)
    if isinstance(node, list):
        indexes = range(len(node)) if step == EVERY else (step,)
        wanted = {index for index in indexes if isinstance(index, int) and index < len(node)}
        values = [
            _child_placed(child, rest, value, overwrite) if index in wanted else child
            for index, child in enumerate(node)
        ]
        return values if any(a is not b for a, b in zip(values, node, strict=True)) else node
    return node


def _child_placed(child: Any, rest: Steps, value: Any, overwrite: bool) -> Any:
    if not rest:
        return value if overwrite or child is _MISSING else child
    if child is _MISSING:
        # An element cannot be made out of nothing, an object can.
        child = {} if isinstance(rest[0], str) and rest[0] != EVERY else _MISSING
    return child if child is _MISSING else _placed(child, rest, value, overwrite=overwrite)


def _replaced(node: dict[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    news = {
        key: value
        for key, value in changed.items()
        if value is not _MISSING and node.get(key, _MISSING) is not value
    }
    return {**node, **news} if news else node
