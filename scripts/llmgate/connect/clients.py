"""What is set in which file of which client: data. Knows nothing of disks or formats' syntax.

References (read 2026-11-21): https://developers.openai.com/codex/config-reference,
https://code.claude.com/docs/en/settings, https://geminicli.com/docs/reference/configuration,
https://opencode.ai/docs/config, https://opencode.ai/docs/providers; for AtomCode `docs/config.example.toml` of its
repository; for Claude Desktop https://claude.com/docs/third-party/claude-desktop/gateway and, for the files, which that
page does not name, descriptions by others. The last two were not tried with the programs themselves.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scripts.llmgate.connect.data import ABSENT, Change, Entry
from scripts.llmgate.connect.data import Path as Steps
from scripts.llmgate.connect.formats import FormatName
from scripts.llmgate.launch import CLIENTS as PROGRAMS
from scripts.llmgate.launch import Facts, claude_window, gemini_side_jobs, opencode_model

type Environment = Mapping[str, str]
type Settings = dict[Steps, Any]

PROVIDER: Final = "llmgate"
PROFILE_ID: Final = "6c6c6d67-6174-4665-8000-6c6c6d676174"
"""Claude Desktop names its profiles by UUID; this one is ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a client is to go. `model` None leaves the client's own choice; `key_file` holds `key`.

    `facts` are what is known of the model.
    """

    url: str
    key: str
    key_file: Path
    model: str | None
    small_model: str | None
    facts: Facts = field(default_factory=Facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSettings:
    """The settings for one file. `holds_key`: the key itself is among them, so only the owner may read it."""

    path: Path
    format: FormatName
    changes: tuple[Change, ...]
    holds_key: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Connectable:
    """A client whose files can be written. `outranking`: environment variables that beat its files."""

    title: str
    settings: Callable[[Target, Environment], tuple[FileSettings, ...]]
    program: str | None = None
    package: str | None = None
    outranking: tuple[str, ...] = ()
    needs_model: bool = False
    note: str = ""
    """What to know afterwards; one sentence."""


def home(environment: Environment) -> Path:
    """The user's home."""
    return Path(environment["HOME"]) if environment.get("HOME") else Path.home()


def _folder(environment: Environment, variable: str, default: str) -> Path:
    value = environment.get(variable)
    return Path(value).expanduser() if value else home(environment) / default


def _changes(settings: Settings) -> tuple[Change, ...]:
    return tuple(Change(path, value) for path, value in settings.items())


def _removed(prefix: tuple[str, ...], names: Iterable[str]) -> Settings:
    return {(*prefix, name): ABSENT for name in names}


def _codex(target: Target, environment: Environment) -> tuple[FileSettings, ...]:
    provider = ("model_providers", PROVIDER)
    settings: Settings = {} if target.model is None else {("model",): target.model}
    settings |= {
        ("model_provider",): PROVIDER,
        (*provider, "name"): PROVIDER,
        (*provider, "base_url"): f"{target.url}/v1",
        (*provider, "wire_api"): "responses",
        (*provider, "supports_websockets"): False,
        # Left over from an entry made by hand, each of these is an error beside `auth`.
        **_removed(provider, ("env_key", "experimental_bearer_token", "requires_openai_auth")),
        (*provider, "auth", "command"): "cat",
        (*provider, "auth", "args"): [str(target.key_file)],
    }
    path = _folder(environment, "CODEX_HOME", ".codex") / "config.toml"
    return (FileSettings(path=path, format="toml", changes=_changes(settings)),)


_CLAUDE_OTHER_WAYS: Final = (
    "ANTHROPIC_API_KEY",
    *(name for name in PROGRAMS["claude"].foreign if name != "ANTHROPIC_MODEL"),
)
"""Each beats `apiKeyHelper`, or leads past the base URL."""


def _claude(target: Target, environment: Environment) -> tuple[FileSettings, ...]:
    settings: Settings = {
        ("apiKeyHelper",): f"cat {shlex.quote(str(target.key_file))}",
        ("env", "ANTHROPIC_BASE_URL"): target.url,
        **_removed(("env",), _CLAUDE_OTHER_WAYS),
    }
    if target.model is not None:
        for name in (
            "ANTHROPIC_MODEL",
            "ANTHROPIC_DEFAULT_OPUS_MODEL",
            "ANTHROPIC_DEFAULT_SONNET_MODEL",
        ):
            settings["env", name] = target.model
    if target.small_model is not None:
        settings["env", "ANTHROPIC_DEFAULT_HAIKU_MODEL"] = target.small_model
        settings["env", "ANTHROPIC_SMALL_FAST_MODEL"] = ABSENT  # its older name
    for name, value in claude_window(target.facts).items():
        settings["env", name] = value
    path = _folder(environment, "CLAUDE_CONFIG_DIR", ".claude") / "settings.json"
    return (FileSettings(path=path, format="json", changes=_changes(settings)),)


_OVERRIDES: Final = "customOverrides"


def _gemini(target: Target, environment: Environment) -> tuple[FileSettings, ...]:
    settings: Settings = {
        ("security", "auth", "selectedType"): "gemini-api-key",
    }
    if target.model is not None:
        settings["model", "name"] = target.model
        for job in gemini_side_jobs(target.model, target.small_model or target.model)[_OVERRIDES]:
            entry = Entry(("match", "model"), job["match"]["model"])
            settings["modelConfigs", _OVERRIDES, entry] = job
    variables: Settings = {
        ("GOOGLE_GEMINI_BASE_URL",): target.url,
        ("GEMINI_API_KEY",): target.key,
        **_removed((), PROGRAMS["gemini"].foreign),
    }
    folder = _folder(environment, "GEMINI_CLI_HOME", "") / ".gemini"
    return (
        FileSettings(path=folder / "settings.json", format="json", changes=_changes(settings)),
        FileSettings(
            path=folder / ".env", format="env", changes=_changes(variables), holds_key=True
        ),
    )


def _opencode(target: Target, environment: Environment) -> tuple[FileSettings, ...]:
    provider = ("provider", PROVIDER)
    settings: Settings = {
        ("model",): f"{PROVIDER}/{target.model}",
        ("small_model",): f"{PROVIDER}/{target.small_model}",
        (*provider, "npm"): "@ai-sdk/openai-compatible",
        (*provider, "name"): PROVIDER,
        (*provider, "options", "baseURL"): f"{target.url}/v1",
        (*provider, "options", "apiKey"): f"{{file:{target.key_file}}}",
    }
    models = {str(target.small_model): Facts(), str(target.model): target.facts}
    for model, facts in models.items():
        settings[*provider, "models", model] = opencode_model(model, facts)
    folder = _folder(environment, "XDG_CONFIG_HOME", ".config") / "opencode"
    # All three are read, the later over the earlier ones: the last that exists decides.
    names = ("opencode.jsonc", "opencode.json", "config.json")
    path = next((folder / name for name in names if (folder / name).exists()), folder / names[1])
    return (FileSettings(path=path, format="json", changes=_changes(settings)),)


def _atomcode(target: Target, environment: Environment) -> tuple[FileSettings, ...]:
    provider = ("providers", PROVIDER)
    settings: Settings = {
        ("default_provider",): PROVIDER,
        (*provider, "type"): "openai",
        (*provider, "api_key"): target.key,
        (*provider, "model"): target.model,
        (*provider, "base_url"): f"{target.url}/v1",
    }
    if target.facts.context_window is not None:
        settings[*provider, "context_window"] = target.facts.context_window
    path = home(environment) / ".atomcode" / "config.toml"
    return (FileSettings(path=path, format="toml", changes=_changes(settings), holds_key=True),)


def _desktop_folders(environment: Environment) -> tuple[Path, Path]:
    """Where Claude Desktop keeps its settings, and those of its third-party mode."""
    if sys.platform == "darwin":
        base = home(environment) / "Library" / "Application Support"
    else:
        base = _folder(environment, "XDG_CONFIG_HOME", ".config")
    return base / "Claude", base / "Claude-3p"


def _claude_desktop(target: Target, environment: Environment) -> tuple[FileSettings, ...]:
    first_party, third_party = _desktop_folders(environment)
    profile: Settings = {
        ("inferenceProvider",): "gateway",
        ("inferenceGatewayBaseUrl",): target.url,
        ("inferenceGatewayApiKey",): target.key,
        ("inferenceGatewayAuthScheme",): "bearer",
    }
    if target.model is not None:
        names = dict.fromkeys(name for name in (target.model, target.small_model) if name)
        profile["inferenceModels",] = list(names)
    entry = Entry(("id",), PROFILE_ID)
    library: Settings = {
        ("appliedId",): PROFILE_ID,
        ("entries", entry): {"id": PROFILE_ID, "name": PROVIDER},
    }
    mode = _changes({("deploymentMode",): "3p"})
    folder = third_party / "configLibrary"
    return (
        FileSettings(
            path=folder / f"{PROFILE_ID}.json",
            format="json",
            changes=_changes(profile),
            holds_key=True,
        ),
        FileSettings(path=folder / "_meta.json", format="json", changes=_changes(library)),
        FileSettings(path=third_party / "claude_desktop_config.json", format="json", changes=mode),
        FileSettings(path=first_party / "claude_desktop_config.json", format="json", changes=mode),
    )


def _of_run(name: str) -> dict[str, Any]:
    """What `llmgate run` knows of the program."""
    known = PROGRAMS[name]
    return {"program": known.program, "package": known.package}


CLIENTS: Final[Mapping[str, Connectable]] = {
    "codex": Connectable(title="Codex", settings=_codex, **_of_run("codex")),
    "claude": Connectable(
        title="Claude Code",
        settings=_claude,
        outranking=_CLAUDE_OTHER_WAYS,
        **_of_run("claude"),
    ),
    "gemini": Connectable(
        title="Gemini CLI",
        settings=_gemini,
        outranking=(
            "GEMINI_API_KEY",
            "GOOGLE_GEMINI_BASE_URL",
            "GEMINI_MODEL",
            *PROGRAMS["gemini"].foreign,
        ),
        note="It reads its .env in trusted folders only, and a project's own .env instead of it.",
        **_of_run("gemini"),
    ),
    "opencode": Connectable(
        title="OpenCode",
        settings=_opencode,
        outranking=("OPENCODE_CONFIG", *PROGRAMS["opencode"].foreign),
        needs_model=True,
        **_of_run("opencode"),
    ),
    "atomcode": Connectable(
        title="AtomCode",
        settings=_atomcode,
        program="atomcode",
        package="@atomgit.com/atomcode",
        needs_model=True,
        note="Written after its documentation, not tried with the program.",
    ),
    "claude-desktop": Connectable(
        title="Claude Desktop",
        settings=_claude_desktop,
        note="Written after its documentation, not tried with the program; quit and restart it.",
    ),
}
