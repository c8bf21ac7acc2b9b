"""`llmgate provider list|add|remove|test`: who can be asked, and what their models can do."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from addons.client_key import write_secret
from addons.home import home
from config import capabilities, edit, loader
from config.detect import guesses
from config.models import Config
from config.presets import Preset, load_presets
from config.problems import ConfigError, Problem
from config.runtime import Provider
from config.secrets import SecretError, resolve
from config.section import NAME_PATTERN
from scripts.llmgate.output import err, fail, out, step
from scripts.llmgate.probing import REQUESTS, Result, finding, probe
from scripts.llmgate.serving import ConfigFile, read_config
from translators.errors import GatewayError

REFERENCE: Final = re.compile(r"(env|file|cmd):.+", re.DOTALL)
MARKS: Final = {True: "[green]yes[/green]", False: "[red]no[/red]", None: "[dim]?[/dim]"}

provider_app = typer.Typer(help="Add, remove and test providers.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(provider_app, name="provider")


# -- list


def _described(preset: Preset) -> str:
    """What a preset is and gives, in words that wrap where a terminal is narrow."""
    optional = "optional" if preset.key_optional else ""
    facts = {
        "protocols": ", ".join(preset.endpoints),
        "model": preset.default_model,
        "key": preset.credential_type or preset.key_env or optional,
    }
    title = ": ".join(filter(None, (preset.title, preset.description)))
    return "\n".join((title, "; ".join(f"{key} {fact}" for key, fact in facts.items() if fact)))


@provider_app.command("list")
def show(
    config: ConfigFile = None,
    presets: Annotated[bool, typer.Option("--presets", help="Show the known presets.")] = False,
) -> None:
    """Show the configured providers: where they are, with which keys, and what tests found out."""
    if presets:
        table = Table("preset", "what it is")
        for name, preset in sorted(load_presets().items()):
            table.add_row(name, _described(preset))
        out.print(table)
        return
    try:
        settings = loader.load(config, resolve_secrets=False)
    except ConfigError as error:
        fail(str(error))
    if not settings.providers:
        out.print("no providers; add one with: llmgate provider add")
        return
    table = Table("name", "preset", "protocol", "address", "keys", "tested")
    known = capabilities.read_findings(home() / capabilities.FILE)
    for name, entry in settings.providers.items():
        if name not in settings.upstreams:
            table.add_row(name, entry.preset or "", "", "[dim]disabled[/dim]", "", "")
            continue
        upstream = settings.upstreams[name]
        for number, endpoint in enumerate(upstream.endpoints.values()):
            tested = sorted(
                one.model
                for one in known
                if (one.provider, one.base_url) == (name, endpoint.base_url) and one.text
            )
            first = number == 0
            table.add_row(
                name if first else "",
                (entry.preset or "") if first else "",
                endpoint.protocol,
                endpoint.base_url,
                _keys(upstream) if first else "",
                ", ".join(dict.fromkeys(tested)),
            )
    out.print(table)


def _keys(upstream: Provider) -> str:
    """Where the keys come from, never what they are."""
    if upstream.credential is not None:
        return upstream.credential.type
    origins = [key.secret.origin for key in upstream.keys if key.secret is not None]
    return ", ".join(origins) or "none"


# -- add


@provider_app.command()
def add(
    key: Annotated[
        str | None,
        typer.Argument(
            help="env:NAME, file:PATH, cmd:COMMAND, the key itself, or - to read it from standard input; "
            "asked for when absent.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="The known provider that it is.")] = None,
    name: Annotated[str | None, typer.Option(help="Its name; default: the preset's.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Its address, with the version.")] = None,
    protocol: Annotated[str | None, typer.Option(help="The protocol of --base-url.")] = None,
    project: Annotated[str | None, typer.Option(help="The cloud project.")] = None,
    region: Annotated[str | None, typer.Option(help="The cloud region.")] = None,
    resource: Annotated[str | None, typer.Option(help="The cloud resource or account.")] = None,
    no_key: Annotated[bool, typer.Option("--no-key", help="It needs none.")] = False,
    config: ConfigFile = None,
) -> None:
    """Add a provider to the configuration file; its preset is guessed from the key, and the file's comments stay."""
    given = None if no_key else _given_key(key, load_presets().get(preset or ""))
    chosen = _preset(preset, given, base_url)
    title = name or chosen
    if not re.fullmatch(NAME_PATTERN, title):
        fail(f'"{title}" is no name for a provider: letters, digits, _ . and - only')
    places = {
        "preset": chosen, "base_url": base_url, "protocol": protocol,
        "project": project, "region": region, "resource": resource,
    }  # fmt: skip
    entry: dict[str, Any] = {key: value for key, value in places.items() if value is not None}
    path, stored = _file(config), home() / "credentials" / f"{title}.key"
    is_literal = given is not None and REFERENCE.fullmatch(given) is None
    entry |= _credential(load_presets()[chosen], f"file:{stored}" if is_literal else given)
    try:
        text = _read(path) if path.exists() else ""
        changed = edit.with_entry(text, "providers", title, entry)
        _check(path, text, changed)
        if given is not None and is_literal:
            _store(stored, given)
        _write(path, changed)
    except edit.EditError as error:
        fail(f"{path}: {error}")
    except (ConfigError, SecretError) as error:
        fail(f"nothing was written, as it would not work:\n{error}")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    step(f"{path} has the provider {title}; try it with: llmgate provider test {title}")


def _given_key(key: str | None, preset: Preset | None) -> str | None:
    """The key or a reference to it; asked for without an echo, so that no shell history keeps it."""
    if key is None:
        if preset is not None and (preset.key_optional or preset.credential_type == "google"):
            return None
        if not sys.stdin.isatty():
            fail("no key given: env:NAME, file:PATH, - for standard input, or --no-key")
        key = str(typer.prompt("Key (not shown)", hide_input=True))
    if key == "-":
        key = sys.stdin.readline()
    key = key.strip()
    if not key:
        fail("the key is empty")
    return key


def _preset(asked: str | None, key: str | None, base_url: str | None) -> str:
    """The preset that was named, else the one that the key looks like, with the reason."""
    presets = load_presets()
    if asked is not None:
        if asked not in presets:
            fail(f"unknown preset {asked}; known: {', '.join(sorted(presets))}")
        return asked
    if base_url is not None:
        return "custom"
    if key is None:
        fail("say whose it is: --preset NAME, or --base-url URL with --protocol NAME")
    try:
        looks_like = guesses(resolve(key).get_secret_value())
    except SecretError as error:
        fail(f"the key cannot be read, so --preset must say whose it is: {error}")
    if not looks_like:
        fail(
            "the key looks like no known provider's; say --preset NAME (llmgate provider list --presets)"
        )
    best = looks_like[0]
    step(f"{best.title}: {best.reason}")
    others = [guess.preset for guess in looks_like[1:]]
    if not best.sure and others:
        step(f"not certain: it could be {', '.join(others)} too; say --preset if so")
    return best.preset


def _credential(preset: Preset, reference: str | None) -> dict[str, Any]:
    """The key as the entry says it: plain, or as what the preset's users have instead."""
    match preset.credential_type:
        case "google" if reference is None:
            return {"credential": {"type": "google_default"}}
        case "google":
            return {"credential": {"type": "google_service_account", "json": reference}}
        case "github_copilot" if reference is not None:
            return {"credential": {"type": "github_copilot", "token": reference}}
        case _:
            return {} if reference is None else {"api_key": reference}


def _store(path: Path, key: str) -> None:
    """Keep a key that was given itself, so that the configuration need not hold it."""
    value = resolve(key).get_secret_value()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_secret(path, value + "\n")
    step(f"the key is in {path}, which only you can read")


def _file(path: Path | None) -> Path:
    """The file to change: the one named, the most important one there is, else the user's own."""
    if path is not None:
        return path
    found = loader.config_files()
    return found[0] if found else Path.home() / loader.USER_FILE


def _read(path: Path) -> str:
    """The file's text with the line breaks that it has."""
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def _check(path: Path, before: str, after: str) -> None:
    """Refuse a change that makes mistakes; those that were there before are another matter."""
    known = {_key(problem) for problem in _problems(path, before)}
    new = [problem for problem in _problems(path, after) if _key(problem) not in known]
    if new:
        raise ConfigError(new)


def _problems(path: Path, text: str) -> Sequence[Problem]:
    try:
        loader.loads(text, str(path), base=path.absolute().parent, resolve_secrets=False)
    except ConfigError as error:
        return error.problems
    return ()


def _key(problem: Problem) -> tuple[str, str, str]:
    """What a mistake is, wherever its line has moved."""
    return problem.path, problem.found, problem.expected


def _write(path: Path, text: str) -> None:
    """Replace the file as a whole, through a link to where it leads, readable by its owner only."""
    target = Path(os.path.realpath(path))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_secret(target, text)


# -- remove


@provider_app.command()
def remove(
    name: Annotated[str, typer.Argument(help="The provider's name.")], config: ConfigFile = None
) -> None:
    """Take a provider out of the configuration file, and its stored key with it."""
    path = _file(config)
    try:
        text = _read(path)
        changed = edit.without_entry(text, "providers", name)
        _check(path, text, changed)
        _write(path, changed)
    except edit.EditError as error:
        fail(f"{path}: {error}")
    except ConfigError as error:
        fail(f"nothing was written, as something else still needs {name}:\n{error}")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    for kind in ("key", "json"):
        (home() / "credentials" / f"{name}.{kind}").unlink(missing_ok=True)
    step(f"{path} no longer has the provider {name}")


# -- test


@provider_app.command("test")
def examine(
    name: Annotated[str, typer.Argument(help="The provider's name.")],
    model: Annotated[
        str | None, typer.Option(help="The model; default: the provider's usual.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Send four tiny requests (text, stream, tool, image) over each protocol; the gateway routes by what they find."""
    settings = read_config(config)
    upstream = settings.upstreams.get(name)
    if upstream is None:
        fail(
            f"there is no enabled provider {name}; known: {', '.join(settings.upstreams) or 'none'}"
        )
    asked = model or _usual_model(settings, upstream)
    if asked is None:
        fail(f"the provider {name} has no usual model; name one with --model")
    table = Table("protocol", *REQUESTS)
    findings: list[capabilities.Finding] = []
    told: list[str] = []
    for endpoint in upstream.endpoints.values():
        if not endpoint.serves(asked):
            continue
        step(f"{name}/{asked} over {endpoint.protocol}")
        found = probe(settings, upstream, endpoint, asked)
        findings.append(finding(upstream, endpoint, asked, found, time.time()))
        table.add_row(endpoint.protocol, *(MARKS[result.works] for result in found.values()))
        told += [_line(endpoint.protocol, *item) for item in found.items() if item[1].why]
    out.print(table)
    for line in told:
        err.print(line, markup=False)
    _keep(findings)
    if not all(one.text for one in findings):
        raise typer.Exit(1)


def _line(protocol: str, name: str, result: Result) -> str:
    return f"{protocol} {name}: {result.why}"


def _usual_model(config: Config, upstream: Provider) -> str | None:
    """The model to ask: the entry's own, the first one that `models` leads to, or one that is known."""
    for entry in config.models.values():
        for candidate in entry.candidates:
            head, _, model = candidate.target.partition("/")
            if head == upstream.name and model and "*" not in model:
                return model
    return upstream.default_model or next(iter(upstream.known_models), None)


def _keep(findings: list[capabilities.Finding]) -> None:
    path = home() / capabilities.FILE
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = capabilities.read_findings(path)
        write_secret(path, capabilities.dump_findings([*known, *findings]))
    except (OSError, GatewayError) as error:
        fail(f"the results cannot be kept: {error}")
