"""Who may import whom: read from the source, so that a hidden import inside a function counts too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROTOCOLS = ("openai_chat", "openai_responses", "anthropic", "gemini")
IMPURE = {
    "aiohttp", "asyncio", "http", "httpx", "io", "logging", "mitmproxy", "os", "pathlib", "random",
    "requests", "socket", "subprocess", "sys", "threading", "time", "urllib.request", "uuid",
}  # fmt: skip
ENGINE_ONLY = "mitmproxy.proxy.layers"
ENGINE_FILES = {
    "machine.py",
    "gateway_layer.py",
    "internals.py",
    "selfcheck.py",
    "framing.py",
    "engine.py",
    "pool.py",
}


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


@pytest.mark.parametrize("path", sources("translators"), ids=lambda p: str(p.relative_to(ROOT)))
def test_translators_are_pure(path: Path) -> None:
    found = {name for name in imports(path) if name in IMPURE or name.split(".")[0] in IMPURE}
    assert not found
    assert not {
        name for name in imports(path) if name.split(".")[0] in ("addons", "config", "scripts")
    }


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


def test_only_the_engine_touches_mitmproxys_layers() -> None:
    for path in sources("addons"):
        if path.name not in ENGINE_FILES:
            assert not {n for n in imports(path) if n.startswith(ENGINE_ONLY)}, path


def test_the_fake_provider_does_not_use_what_it_tests() -> None:
    for path in sources("scripts/fake"):
        found = {n for n in imports(path) if n.split(".")[0] in ("translators", "addons", "config")}
        assert not found, path


def test_no_addon_shadows_a_module() -> None:
    """mitmproxy puts addons/ first on the search path: a file named like a standard module would win."""
    import sys

    for path in (ROOT / "addons").glob("*.py"):
        assert path.stem == "__init__" or path.stem not in sys.stdlib_module_names, path
