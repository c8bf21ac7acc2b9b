"""`llmgate translate`: one request from one protocol to another, offline, with its loss report."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from scripts.llmgate.output import err, fail
from translators import PROTOCOLS
from translators.base import Call, Target
from translators.errors import GatewayError
from translators.losses import Losses, Mode
from translators.wire import JsonSyntaxError, loads


class Name(StrEnum):
    """The protocols."""

    OPENAI_CHAT = "openai_chat"
    OPENAI_RESPONSES = "openai_responses"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"


DEFAULT_MODEL: Final = "model"


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(translate)


def translate(
    file: Annotated[Path, typer.Argument(help="The request's JSON body; - for standard input.")],
    source: Annotated[Name, typer.Option("--from", help="The protocol that it is in.")],
    target: Annotated[Name, typer.Option("--to", help="The protocol that is wanted.")],
    mode: Annotated[Mode, typer.Option(help="How much may be given up.")] = Mode.MAX_COMPAT,
    model: Annotated[
        str | None, typer.Option(help="The provider's model name; default: the request's own.")
    ] = None,
) -> None:
    """Print a request as another protocol's provider would get it; the loss report goes to stderr."""
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        body = loads(data)
    except OSError as error:
        fail(f"cannot read {file}: {error.strerror}")
    except JsonSyntaxError as error:
        fail(f"{file} is not JSON: {error}")
    losses = Losses(mode)
    try:
        call = Call(model=model or DEFAULT_MODEL if source is Name.GEMINI else None, stream=None)
        request = PROTOCOLS[source].parse_request(body, call, None)
        aim = Target(provider="offline", model=model or request.model)
        rendered = PROTOCOLS[target].render_request(request, aim, losses)
    except GatewayError as error:
        fail(f"{error.message} ({error.kind.value})", 2)
    typer.echo(json.dumps(rendered.body, indent=2, ensure_ascii=False))
    for degradation in losses.degradations:
        err.print(f"lost {degradation.path}: {degradation.reason}", markup=False)
    if not losses.degradations:
        err.print("nothing was lost")
