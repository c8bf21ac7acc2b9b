"""`llmgate serve`: mitmdump or mitmweb with the right options."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from config import loader
from config.models import Config
from config.problems import ConfigError
from scripts.llmgate.output import fail, step

ADDON: Final = Path(__file__).resolve().parents[2] / "addons" / "llmgate.py"
PLACEHOLDER: Final = "http://localhost:9"
"""mitmproxy's reverse mode asks for a target; where a request goes is decided per request."""

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="The configuration file (YAML).")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(serve)


def read_config(path: Path | None) -> Config:
    """The configuration, or an error that lists everything wrong with it."""
    try:
        return loader.load(path)
    except ConfigError as error:
        fail(str(error))


def command_line(config: Config, path: Path | None, *, web: bool, extra: list[str]) -> list[str]:
    """The mitmproxy command that serves a configuration."""
    program = "mitmweb" if web else "mitmdump"
    command = [
        str(Path(sys.executable).with_name(program)),
        "-s",
        str(ADDON),
        "--mode",
        f"reverse:{PLACEHOLDER}@{config.listen_host}:{config.listen_port}",
    ]
    if path is not None:
        command += ["--set", f"llmgate_config={path.absolute()}"]
    if not web:
        command += (
            ["-q"] if config.logging.level in ("warning", "error") else ["--flow-detail", "0"]
        )
    return command + extra


def is_free(host: str, port: int) -> bool:
    """Whether nobody listens there yet."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def serve(
    config: ConfigFile = None,
    web: Annotated[bool, typer.Option("--web", help="Watch the traffic in mitmweb.")] = False,
    extra: Annotated[
        list[str] | None, typer.Argument(help="Further options for mitmproxy, after --.")
    ] = None,
) -> None:
    """Run the gateway in the foreground."""
    settings = read_config(config)
    host, port = settings.listen_host, settings.listen_port
    if port and not is_free(host, port):
        fail(
            f"port {port} on {host} is taken; stop the program there, or set `listen` to another one"
        )
    command = command_line(settings, config, web=web, extra=extra or [])
    if not Path(command[0]).exists():
        fail(f"{command[0]} is missing; install mitmproxy into this environment")
    step(f"llmgate listens on http://{host}:{port}")
    os.execv(command[0], command)  # noqa: S606 - a list of our own, no shell
