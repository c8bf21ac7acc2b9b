"""Who may import whom: read from the source, so that a hidden import inside a function counts too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.presets import load_presets

ROOT = Path(__file__).resolve().parents[1]
PROTOCOLS = ("openai_chat", "openai_responses", "anthropic", "gemini")
PURE = {
    "__future__", "abc", "base64", "binascii", "bisect", "collections", "dataclasses", "datetime", "decimal",
    "email", "enum", "functools", "hashlib", "hmac", "html", "itertools", "json", "math", "orjson",
    "re", "string", "textwrap", "translators", "types", "typing", "unicodedata", "urllib", "zlib",
}  # fmt: skip
"""What translators may import: nothing that reaches the network, a file, the clock, chance, the environment or a log."""
IMPURE = {"urllib.request", "datetime.now"}
LAYERS = "mitmproxy.proxy.layers"
MODEL = re.compile(
    r"(gpt|claude|gemini|gemma|o[1-9]|llama|qwen|deepseek|kimi|glm|grok|mistral)-?[0-9a-z.-]*\d"
)


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def compared(path: Path) -> Iterator[tuple[int, str]]:
    """The texts that something is compared with, or looked for in, with their lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        found: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            found = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            found = [node.value]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found = node.args if node.func.attr in ("startswith", "endswith", "match") else []
        for one in found:
            for inner in ast.walk(one):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    yield inner.lineno, inner.value


@pytest.mark.parametrize("path", sources("translators"), ids=lambda p: str(p.relative_to(ROOT)))
def test_translators_are_pure(path: Path) -> None:
    found = set(imports(path))
    assert not {name for name in found if name.split(".")[0] not in PURE}
    assert not found & IMPURE


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_protocol_imports_another(protocol: str) -> None:
    others = tuple(f"translators.{other}" for other in PROTOCOLS if other != protocol)
    for path in sources(f"translators/{protocol}"):
        found = {name for name in imports(path) if name.startswith(others)}
        assert not found, path


def test_shared_translator_modules_know_no_protocol() -> None:
    packages = tuple(f"translators.{protocol}" for protocol in PROTOCOLS)
    for path in (ROOT / "translators").glob("*.py"):
        if path.name != "__init__.py":  # the one place that lists the protocols
            assert not {name for name in imports(path) if name.startswith(packages)}, path


def test_configuration_knows_neither_mitmproxy_nor_the_addons() -> None:
    for path in sources("config"):
        found = {n for n in imports(path) if n.split(".")[0] in ("mitmproxy", "addons", "scripts")}
        assert not found, path


def test_only_one_file_imports_mitmproxys_layers() -> None:
    for path in (*sources("addons"), *sources("scripts")):
        if path.name != "internals.py":
            assert not {n for n in imports(path) if n.startswith(LAYERS)}, path


@pytest.mark.parametrize("folder", ["addons", "config", "translators"])
def test_nothing_that_runs_needs_the_scripts_or_the_tests(folder: str) -> None:
    for path in sources(folder):
        assert not {n for n in imports(path) if n.split(".")[0] in ("scripts", "tests")}, path


@pytest.mark.parametrize("folder", ["addons", "translators"])
def test_nothing_is_decided_by_the_name_of_a_provider_or_model(folder: str) -> None:
    words = {*PROTOCOLS, "custom"}  # of the wire, too
    providers = set(load_presets()) - words
    for path in sources(folder):
        for line, text in compared(path):
            assert text not in providers, f"{path}:{line}"
            assert not MODEL.match(text), f"{path}:{line}"


def test_the_fake_provider_does_not_use_what_it_tests() -> None:
    for path in sources("scripts/fake"):
        found = {n for n in imports(path) if n.split(".")[0] in ("translators", "addons", "config")}
        assert not found, path


def test_no_addon_shadows_a_module() -> None:
    """mitmproxy puts addons/ first on the search path: a file named like a standard module would win."""
    import sys

    for path in (ROOT / "addons").glob("*.py"):
        assert path.stem == "__init__" or path.stem not in sys.stdlib_module_names, path
