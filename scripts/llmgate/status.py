"""`llmgate status`: what rests in the running gateway, and the way to wake it."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from config.models import Config
from scripts.llmgate.output import fail, out, step
from scripts.llmgate.serving import ConfigFile, read_config

TIMEOUT_S: Final = 10.0
WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not listened on


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(status)


def status(
    config: ConfigFile = None,
    reset: Annotated[bool, typer.Option("--reset", help="End the rests first.")] = False,
    provider: Annotated[str | None, typer.Option(help="Only those of this provider.")] = None,
    key: Annotated[str | None, typer.Option(help="Only those of this key, by its name.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which keys and models rest after failures, why, and for how long."""
    found = read_config(config)
    if reset:
        body = {"provider": provider, "key": key}
        done = ask(found, "POST", "/admin/reset", body)
        step(f"{done['reset']} rests ended")
    state = ask(found, "GET", "/admin/status")
    if as_json:
        typer.echo(json.dumps(state, indent=2))
        return
    show(state)


def base_url(config: Config) -> str:
    """Where the gateway listens, as this machine reaches it."""
    host = WILDCARDS.get(config.listen_host, config.listen_host)
    host = f"[{host}]" if ":" in host else host
    scheme = "http" if config.tls is None else "https"
    url = f"{scheme}://{host}:{config.listen_port}"
    return os.environ.get("LLMGATE_URL", "").rstrip("/") or url


def ask(config: Config, method: str, path: str, body: Any = None) -> dict[str, Any]:
    """One request to the running gateway; ends with a clear message when there is none."""
    url = base_url(config) + path
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)  # noqa: S310 - the gateway's own URL
    request.add_header("content-type", "application/json")
    if config.admin.key is not None:
        request.add_header("authorization", f"Bearer {config.admin.key.get_secret_value()}")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=TIMEOUT_S) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found
    except urllib.error.HTTPError as error:
        fail(f"{url} answered {error.code}: {_message(error.read())}")
    except (OSError, ValueError) as error:
        fail(f"no gateway answers at {url} ({error}); start one with: llmgate serve")


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace")[:200]


def show(state: dict[str, Any]) -> None:
    """Print the state for people."""
    out.print(f"active {state['active']}, waiting {state['waiting']}, sessions {state['sessions']}")
    if state["usage"]:
        used = Table("client key", "requests, last minute", "tokens, last minute", "USD today")
        for one in state["usage"]:
            used.add_row(
                escape(one["client_key"] or "all"),
                str(one["requests_last_minute"]),
                str(one["tokens_last_minute"]),
                one["spent_usd"],
            )
        out.print(used)
    rests = state["cooldowns"]
    if not rests:
        out.print("nothing rests")
        return
    table = Table("provider", "key", "model", "state", "left", "failures", "why")
    for rest in rests:
        table.add_row(
            rest["provider"],
            rest["key"] or "all",
            rest["model"] or "all",
            rest["state"],
            f"{rest['remaining_s']:.0f} s",
            str(rest["failures"]),
            escape(rest["reason"]),  # may be the provider's own words
        )
    out.print(table)
