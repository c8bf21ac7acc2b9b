"""How each agent program is pointed at the gateway without touching anything of the user's: pure data.

Every client gets a configuration directory of its own (`home`), thrown away afterwards; the user's own is neither
read nor written, and its credentials are kept out of the environment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a launch needs: words for the command line, environment, files (path below `home` -> text)."""

    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the gateway knows of a model; None = not known. Limits are tokens, `catalogue` is Codex's."""

    context_window: int | None = None
    max_output_tokens: int | None = None
    images: bool = True
    web_search: bool = False
    catalogue: Mapping[str, Any] | None = None

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Facts:
        """From `GET /v1/models/{id}?client_version=…` of the gateway."""
        models = entry.get("models") or []
        kinds = models[0].get("input_modalities") if models else None
        return cls(
            context_window=entry.get("context_length"),
            max_output_tokens=entry.get("max_output_tokens"),
            images=kinds is None or "image" in kinds,
            web_search=entry.get("web_search") is True,
            catalogue={"models": models} if models else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a client is to go: the gateway's address and key, the model's name and that of the small one."""

    url: str
    key: str
    model: str
    small_model: str
    facts: Facts = Facts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """An agent program. `foreign` are variables of the user's that would lead it elsewhere."""

    program: str
    package: str
    foreign: tuple[str, ...]
    setup: Callable[[Route, Path], Setup]
    headless: Callable[[str], tuple[str, ...]]
    """The words for one turn without a terminal."""


def _claude(route: Route, home: Path) -> Setup:
    return Setup(
        arguments=("--model", route.model),
        environment={
            "ANTHROPIC_BASE_URL": route.url,
            "ANTHROPIC_API_KEY": route.key,
            "ANTHROPIC_SMALL_FAST_MODEL": route.small_model,
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": route.small_model,
            "CLAUDE_CONFIG_DIR": str(home),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_TELEMETRY": "1",
            **claude_window(route.facts),
        },
    )


def claude_window(facts: Facts) -> dict[str, str]:
    """The window of a model that Claude Code does not know by its name; else it takes it for a million tokens."""
    if facts.context_window is None:
        return {}
    window = str(facts.context_window)
    return {"CLAUDE_CODE_MAX_CONTEXT_TOKENS": window, "CLAUDE_CODE_AUTO_COMPACT_WINDOW": window}


def _codex(route: Route, home: Path) -> Setup:
    # JSON strings are TOML strings; the key stays in the environment.
    files = {}
    catalogue = ""
    if route.facts.catalogue is not None:
        files["models.json"] = json.dumps(route.facts.catalogue, indent=2)
        catalogue = f"model_catalog_json = {json.dumps(str(home / 'models.json'))}\n"
    search = "" if route.facts.web_search else 'web_search = "disabled"\n'
    config = f"""model = {json.dumps(route.model)}
model_provider = "llmgate"
{search}{catalogue}[features]
plugins = false
[model_providers.llmgate]
name = "llmgate"
base_url = {json.dumps(route.url + "/v1")}
env_key = "LLMGATE_CLIENT_KEY"
wire_api = "responses"
supports_websockets = false
"""
    return Setup(
        environment={"CODEX_HOME": str(home), "LLMGATE_CLIENT_KEY": route.key},
        files={"config.toml": config, **files},
    )


_GEMINI_MAIN: Final = (
    "chat-compression-default",
    "chat-compression-3-pro",
    "chat-compression-3-flash",
    "chat-compression-3.1-flash-lite",
    "chat-compression-2.5-pro",
    "chat-compression-2.5-flash",
    "chat-compression-2.5-flash-lite",
    "agent-history-provider-summarizer",
    "context-snapshotter",
    "loop-detection-double-check",
)
_GEMINI_SMALL: Final = (
    "classifier",
    "edit-corrector",
    "fast-ack-helper",
    "llm-edit-fixer",
    "loop-detection",
    "next-speaker-checker",
    "prompt-completion",
    "summarizer-default",
    "summarizer-shell",
    "web-fetch",
    "web-fetch-fallback",
    "web-search",
)
"""Gemini CLI's side jobs, each with a Google model's name built in that a gateway need not have."""


def gemini_side_jobs(model: str, small_model: str) -> dict[str, Any]:
    """Gemini CLI's setting `modelConfigs`: its side jobs go where the gateway has a model."""
    jobs = [(job, model) for job in _GEMINI_MAIN] + [(job, small_model) for job in _GEMINI_SMALL]
    return {
        "customOverrides": [
            {"match": {"model": job}, "modelConfig": {"model": name}} for job, name in jobs
        ]
    }


def _gemini(route: Route, home: Path) -> Setup:
    settings = {
        "modelConfigs": gemini_side_jobs(route.model, route.small_model),
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "telemetry": {"enabled": False},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False, "disableAutoUpdate": True},
    }
    return Setup(
        arguments=("-m", route.model),
        environment={
            "GOOGLE_GEMINI_BASE_URL": route.url,
            "GEMINI_API_KEY": route.key,
            "GEMINI_CLI_HOME": str(home),
        },
        files={".gemini/settings.json": json.dumps(settings, indent=2)},
    )


def _opencode(route: Route, home: Path) -> Setup:
    models = {
        route.small_model: {"name": route.small_model, "tool_call": True},
        route.model: opencode_model(route.model, route.facts),
    }
    config = {
        "$schema": "https://opencode.ai/config.json",
        "model": f"llmgate/{route.model}",
        "small_model": f"llmgate/{route.small_model}",
        "autoupdate": False,
        "share": "disabled",
        "provider": {
            "llmgate": {
                "npm": "@ai-sdk/openai-compatible",
                "options": {"baseURL": f"{route.url}/v1", "apiKey": "{env:LLMGATE_CLIENT_KEY}"},
                "models": models,
            }
        },
    }
    folders = {"CONFIG": "config", "DATA": "data", "CACHE": "cache", "STATE": "state"}
    return Setup(
        environment={
            "LLMGATE_CLIENT_KEY": route.key,
            "OPENCODE_CONFIG": str(home / "opencode.json"),
            **{f"XDG_{name}_HOME": str(home / folder) for name, folder in folders.items()},
        },
        files={"opencode.json": json.dumps(config, indent=2)},
    )


_OPENCODE_OUTPUT: Final = 32_000
"""What OpenCode reserves for an answer where nothing is known; it wants both limits or none."""


def opencode_model(name: str, facts: Facts) -> dict[str, Any]:
    """A model's entry: without limits OpenCode never compacts, without modalities it sends no image."""
    kinds = ["text", "image"] if facts.images else ["text"]
    entry: dict[str, Any] = {
        "name": name,
        "tool_call": True,
        "attachment": facts.images,
        "modalities": {"input": kinds, "output": ["text"]},
    }
    if facts.context_window is not None:
        output = facts.max_output_tokens or min(_OPENCODE_OUTPUT, facts.context_window // 4)
        entry["limit"] = {"context": facts.context_window, "output": output}
    return entry


CLIENTS: Final[Mapping[str, Client]] = {
    "claude": Client(
        program="claude",
        package="@anthropic-ai/claude-code",
        foreign=(
            "ANTHROPIC_AUTH_TOKEN",
            "ANTHROPIC_MODEL",
            "CLAUDE_CODE_USE_BEDROCK",
            "CLAUDE_CODE_USE_VERTEX",
        ),
        setup=_claude,
        headless=lambda prompt: ("-p", "--dangerously-skip-permissions", prompt),
    ),
    "codex": Client(
        program="codex",
        package="@openai/codex",
        foreign=("OPENAI_API_KEY", "OPENAI_BASE_URL", "CODEX_API_KEY"),
        setup=_codex,
        headless=lambda prompt: (
            "exec",
            "--skip-git-repo-check",
            "-s",
            "danger-full-access",
            prompt,
        ),
    ),
    "gemini": Client(
        program="gemini",
        package="@google/gemini-cli",
        foreign=("GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_API_VERSION"),
        setup=_gemini,
        headless=lambda prompt: ("--approval-mode", "yolo", "-p", prompt),
    ),
    "opencode": Client(
        program="opencode",
        package="opencode-ai",
        foreign=("OPENCODE_CONFIG_CONTENT", "OPENCODE_CONFIG_DIR"),
        setup=_opencode,
        headless=lambda prompt: ("run", "--auto", prompt),
    ),
}


def write_files(setup: Setup, home: Path) -> None:
    """Write a setup's files below `home`, readable by their owner only."""
    for name, text in setup.files.items():
        path = home / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)
