"""Read configuration: files, environment and options in layers, and every mistake at once.

Layers, the most important first: options (`--set llmgate_*`), environment (`LLMGATE_*`), the project's file,
the user's, the machine's, defaults. Mappings are merged key by key; anything else is replaced. A file that
is named (`--set llmgate_config=`, `LLMGATE_CONFIG`) is the only one that is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from config.checks import Written, WrittenConfig, check
from config.models import Config
from config.problems import (
    ConfigError,
    KeyPath,
    Mark,
    Problem,
    mark_of,
    show_path,
    show_value,
    walk,
)
from config.reports import explain
from config.secrets import SecretSources
from config.yamltree import parse_scalar, read_yaml

PROJECT_FILE: Final = "llmgate.yaml"
USER_FILE: Final = Path(".config/llmgate/config.yaml")
SYSTEM_FILE: Final = Path("/etc/llmgate/config.yaml")
PREFIX: Final = "LLMGATE_"
CONFIG_VARIABLE: Final = "LLMGATE_CONFIG"
NESTING: Final = "__"
MAX_ROUNDS: Final = 50
"""How often broken entries are set aside to look at the rest."""
_ENTRY_DEPTH: Final = {"providers": 2, "models": 2, "routes": 2, "client_keys": 2, "namespaces": 2}


@dataclass(slots=True)
class Layer:
    """One source of settings and where its keys stand."""

    value: dict[str, Any] = field(default_factory=dict)
    marks: dict[KeyPath, Mark] = field(default_factory=dict)


def load(
    path: Path | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    home: Path | None = None,
    system_file: Path = SYSTEM_FILE,
    resolve_secrets: bool = True,
) -> Config:
    """Read the configuration; `ConfigError` lists everything that is wrong with it.

    `path` (from `--set llmgate_config=`) is the only file read. `options` are the other `llmgate_*` options,
    with or without that prefix, nested ones as `timeouts__connect_s`; empty ones count as not given.
    `resolve_secrets` False checks everything without reading a secret.
    """
    environ = os.environ if environ is None else environ
    files = config_files(path, environ=environ, cwd=cwd, home=home, system_file=system_file)
    problems: list[Problem] = []
    layers = [_file_layer(file, problems) for file in reversed(files)]
    if problems:
        raise ConfigError(problems)
    merged = Layer({}, {(): Mark(str(files[0]) if files else "configuration")})
    for layer in layers:
        _merge(merged, layer)
    _merge(merged, _named_layer(_environment(environ), "environment {}", merged.value))
    _merge(merged, _named_layer(_options(options or {}), "--set {}", merged.value))
    sources = SecretSources(environ=environ, resolve=resolve_secrets)
    return _validate(merged, sources).with_sources(str(file) for file in files)


def loads(
    text: str,
    source: str = "llmgate.yaml",
    *,
    base: Path | None = None,
    environ: Mapping[str, str] | None = None,
    resolve_secrets: bool = True,
) -> Config:
    """Read a configuration from YAML text alone; `base` is where relative paths start."""
    tree = read_yaml(text, source, base)
    problems = tree.problems or _not_a_mapping(tree.value, source)
    if problems:
        raise ConfigError(problems)
    environ = os.environ if environ is None else environ
    sources = SecretSources(environ=environ, resolve=resolve_secrets)
    return _validate(Layer(tree.value, tree.marks), sources)


def config_files(
    path: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    home: Path | None = None,
    system_file: Path = SYSTEM_FILE,
) -> tuple[Path, ...]:
    """The files that `load` would read, the most important first: what a watcher watches.

    A file that is named is listed even if it does not exist; the usual places only if they do.
    """
    environ = os.environ if environ is None else environ
    named = path or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    if named is not None:
        return ((cwd or Path.cwd()) / named.expanduser(),)
    places = ((cwd or Path.cwd()) / PROJECT_FILE, (home or Path.home()) / USER_FILE, system_file)
    return tuple(place for place in places if place.is_file())


def _file_layer(file: Path, problems: list[Problem]) -> Layer:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        problems.append(_whole(str(file), error.strerror or "unreadable", "a readable file"))
        return Layer()
    except UnicodeDecodeError:
        problems.append(_whole(str(file), "bytes that are not UTF-8", "UTF-8 text"))
        return Layer()
    tree = read_yaml(text, str(file), file.absolute().parent)
    found = tree.problems or _not_a_mapping(tree.value, str(file))
    problems.extend(found)
    return Layer() if found else Layer(tree.value, tree.marks)


def _not_a_mapping(value: Any, source: str) -> list[Problem]:
    if isinstance(value, dict):
        return []
    return [_whole(source, show_value(value), "a mapping of settings")]


def _whole(source: str, found: str, expected: str) -> Problem:
    return Problem(mark=Mark(source), path="", found=found, expected=expected)


def _environment(environ: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    """Settings among the variables: those whose first word is a key; others (LLMGATE_KEY) are not ours."""
    for name, value in sorted(environ.items()):
        words = tuple(name.removeprefix(PREFIX).lower().split(NESTING))
        if name.startswith(PREFIX) and words[0] in Config.model_fields and value != "":
            yield name, words, parse_scalar(value)


def _options(options: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    for name, value in options.items():
        if value is None or value == "":
            continue
        words = tuple(name.lower().removeprefix(PREFIX.lower()).split(NESTING))
        parsed = parse_scalar(value) if isinstance(value, str) else value
        yield f"{PREFIX.lower()}{NESTING.join(words)}", words, parsed


def _named_layer(
    settings: Iterable[tuple[str, tuple[str, ...], Any]], source: str, below: Mapping[str, Any]
) -> Layer:
    """Nest `timeouts__connect_s` style names; a name that stands below in other spelling is that one."""
    layer = Layer()
    for name, words, value in settings:
        node, known = layer.value, below
        path: KeyPath = ()
        mark = Mark(source.format(name))
        for depth, word in enumerate(words):
            key = next((one for one in known if _same_name(one, word)), word)
            path = (*path, key)
            layer.marks[path] = mark
            if depth == len(words) - 1:
                node[key] = value
                break
            inner = node.get(key)
            node[key] = inner if isinstance(inner, dict) else {}
            node = node[key]
            under = known.get(key)
            known = under if isinstance(under, dict) else {}
    return layer


def _same_name(key: str, word: str) -> bool:
    return key.lower().replace("-", "_") == word.replace("-", "_")


def _merge(below: Layer, above: Layer) -> None:
    """Lay one layer over another: mappings key by key, everything else as a whole."""

    def overlay(target: dict[str, Any], values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            old = target.get(key)
            if isinstance(value, dict) and isinstance(old, dict):
                overlay(old, value)
            else:
                target[key] = value

    overlay(below.value, above.value)
    below.marks.update(above.marks)


def _validate(layer: Layer, sources: SecretSources) -> Config:
    """The validated configuration, or one error with every problem of keys, values and names."""
    value = layer.value
    positions: dict[KeyPath, list[int]] = {}
    problems: list[Problem] = []
    config: Config | None = None
    for _ in range(MAX_ROUNDS):
        try:
            config = Config.model_validate(value, context=sources)
            break
        except ValidationError as error:
            places = [_original(item["loc"], positions) for item in error.errors()]
            found = explain(error, layer.value, layer.marks, places)
            problems.extend(problem for problem in found if problem not in problems)
            value = _set_aside(value, [item["loc"] for item in error.errors()], positions)
    if config is not None:
        for issue in check(config, _written(layer.value, positions)):
            path, _value = walk(layer.value, issue.path)
            problems.append(
                Problem(
                    mark=mark_of(layer.marks, path),
                    path=show_path(path),
                    found=issue.found,
                    expected=issue.expected,
                    hint=issue.hint,
                )
            )
    if problems or config is None:
        raise ConfigError(sorted(problems, key=_place))
    return config


def _place(problem: Problem) -> tuple[str, int, str]:
    return problem.mark.source, problem.mark.line or 0, problem.path


def _set_aside(
    value: dict[str, Any],
    places: Iterable[tuple[str | int, ...]],
    positions: dict[KeyPath, list[int]],
) -> dict[str, Any]:
    """The settings without the entries that are broken, so that the others can be looked at."""
    for path in sorted({_entry(place) for place in places}, key=_descending):
        value = _without(value, path, (), positions)
    return value


def _entry(place: tuple[str | int, ...]) -> KeyPath:
    """The entry or section that an error is in: small enough to lose, large enough to stand alone."""
    path = tuple(place)
    depth = _ENTRY_DEPTH.get(str(path[0]), 1) if path else 1
    if path[:1] == ("namespaces",) and len(path) > 2:
        depth = 2 + _ENTRY_DEPTH.get(str(path[2]), 1)
    return path[:depth]


def _descending(path: KeyPath) -> tuple[Any, ...]:
    # Later list items first, so that the positions of earlier ones still hold.
    return tuple(-step if isinstance(step, int) else 0 for step in path)


def _without(value: Any, path: KeyPath, above: KeyPath, positions: dict[KeyPath, list[int]]) -> Any:
    if not path:
        return {}
    step, rest = path[0], path[1:]
    if isinstance(value, dict) and step in value:
        if rest and isinstance(value[str(step)], dict | list):
            return {**value, step: _without(value[str(step)], rest, (*above, step), positions)}
        return {key: inner for key, inner in value.items() if key != step}
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        kept = positions.setdefault(above, list(range(len(value))))
        del kept[step]
        return [inner for index, inner in enumerate(value) if index != step]
    return value


def _original(
    place: tuple[str | int, ...], positions: Mapping[KeyPath, list[int]]
) -> tuple[str | int, ...]:
    """A place in the reduced settings as a place in the file."""
    found: list[str | int] = []
    for step in place:
        kept = positions.get(tuple(found))
        moved = kept is not None and isinstance(step, int) and step < len(kept)
        found.append(kept[step] if moved and kept is not None and isinstance(step, int) else step)
    return tuple(found)


def _written(value: Mapping[str, Any], positions: Mapping[KeyPath, list[int]]) -> WrittenConfig:
    namespaces = value.get("namespaces")
    return WrittenConfig(
        top=_written_tenant(value, (), positions),
        namespaces={
            name: _written_tenant(tenant, ("namespaces", name), positions)
            for name, tenant in (namespaces.items() if isinstance(namespaces, dict) else ())
            if isinstance(tenant, dict)
        },
    )


def _written_tenant(
    value: Mapping[str, Any], path: KeyPath, positions: Mapping[KeyPath, list[int]]
) -> Written:
    def names(key: str) -> tuple[str, ...]:
        inner = value.get(key)
        return tuple(inner) if isinstance(inner, dict) else ()

    keys = value.get("client_keys")
    entries = keys if isinstance(keys, list) else []
    named = [entry.get("name") for entry in entries if isinstance(entry, dict)]
    return Written(
        providers=names("providers"),
        models=names("models"),
        client_keys=tuple(name for name in named if isinstance(name, str)),
        routes=tuple(positions.get((*path, "routes"), ())),
        has_client_keys=bool(keys),
    )
