"""`llmgate config …`, `llmgate token`, `llmgate models`: look at the configuration and what comes of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Final

import typer

from addons.client_key import TOKEN_PREFIX, ensure_token, write_secret
from addons.home import home
from config import loader
from config.pending import without_effect
from config.problems import ConfigError
from scripts.llmgate.output import fail, out, step
from scripts.llmgate.serving import ConfigFile, read_config
from translators.errors import GatewayError

EXAMPLE: Final = Path(loader.__file__).with_name("llmgate.example.yaml")

config_app = typer.Typer(help="Make, show and check the configuration.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(config_app, name="config")
    app.command()(token)


@config_app.command()
def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path(loader.PROJECT_FILE),
) -> None:
    """Write an example configuration to start from; never overwrites."""
    if path.exists():
        fail(f"{path} exists already; remove it first, or name another file")
    shutil.copyfile(EXAMPLE, path)
    path.chmod(0o600)
    step(f"wrote {path}; check it with: llmgate config validate -c {path}")


@config_app.command()
def validate(config: ConfigFile = None) -> None:
    """Check everything and print every mistake with its file, line and key."""
    try:
        found = loader.load(config)
    except ConfigError as error:
        fail(str(error))
    files = ", ".join(found.sources) or "no file: defaults only"
    out.print(f"ok ({files}): {len(found.providers)} providers, {len(found.models)} model names")
    if idle := without_effect(found):
        step(f"these settings have no effect yet: {', '.join(idle)}")


@config_app.command()
def show(config: ConfigFile = None) -> None:
    """Print the configuration in force, defaults included, without secrets."""
    import yaml

    found = read_config(config)
    text = yaml.safe_dump(found.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    for secret in found.secret_values:
        text = text.replace(secret, "[REDACTED]")
    out.print(text, markup=False, end="")


def token(
    rotate: Annotated[bool, typer.Option("--rotate", help="Make a new one first.")] = False,
) -> None:
    """Print the generated client key."""
    import secrets

    try:
        if rotate:
            home().mkdir(mode=0o700, parents=True, exist_ok=True)
            write_secret(home() / "token", TOKEN_PREFIX + secrets.token_urlsafe(32) + "\n")
        value, _made = ensure_token(home())
    except (GatewayError, OSError) as error:
        fail(str(error))
    typer.echo(value)
