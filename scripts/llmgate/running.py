"""`llmgate run CLIENT`: start a gateway if none runs, launch the client against it, stop what was started."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import IO, Annotated, Final
from urllib.parse import quote, urlsplit

import typer

from addons.client_key import ensure_token
from addons.home import home as state_home
from config.models import Config
from scripts.llmgate.launch import CLIENTS, Client, Facts, Route, write_files
from scripts.llmgate.output import fail, step
from scripts.llmgate.serving import ConfigFile, command_line, is_free, read_config
from translators.errors import GatewayError

START_S: Final = 20.0
POLL_S: Final = 0.1


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("run", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
        run
    )


def run(
    context: typer.Context,
    client: Annotated[str, typer.Argument(help=f"One of: {', '.join(CLIENTS)}.")],
    model: Annotated[str | None, typer.Option(help="The model's name at the gateway.")] = None,
    small_model: Annotated[
        str | None, typer.Option(help="The model for the client's side jobs; default: the same.")
    ] = None,
    gateway: Annotated[str | None, typer.Option(help="A running gateway's address.")] = None,
    key: Annotated[
        str | None, typer.Option(envvar="LLMGATE_KEY", help="The gateway's client key.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Run an agent program against the gateway, with a configuration of its own; words after -- go to it."""
    known = CLIENTS.get(client)
    if known is None:
        fail(f"unknown client {client}; known: {', '.join(CLIENTS)}")
    program = shutil.which(known.program)
    if program is None:
        fail(f"{known.program} is not installed; try: npm install -g {known.package}")
    settings = read_config(config)
    token = key or client_key(settings)
    name = model or next(iter(settings.models), None)
    if name is None or "*" in name:
        fail("name a model with --model, or under `models` in the configuration")
    with running_gateway(settings, config, gateway) as url:
        route = Route(
            url=url,
            key=token,
            model=name,
            small_model=small_model or name,
            facts=model_facts(url, token, name),
        )
        raise typer.Exit(launch(known, program, route, context.args))


def client_key(config: Config) -> str:
    """The key to present: the first configured one, else the generated one."""
    if config.client_keys:
        return config.client_keys[0].key.get_secret_value()
    try:
        return ensure_token(state_home())[0]
    except GatewayError as error:
        fail(error.message)


class NoFactsError(Exception):
    """The gateway did not tell what it knows of a model: one sentence."""


def model_facts(url: str, key: str, model: str) -> Facts:
    """What the gateway knows of a model; ends with its words when it refuses, say because of the key."""
    try:
        return asked_facts(url, key, model)
    except NoFactsError as error:
        fail(str(error))


def asked_facts(url: str, key: str, model: str) -> Facts:
    """What the gateway knows of a model, nothing for a name that it does not list; `NoFactsError`."""
    path = f"/v1/models/{quote(model, safe='/')}?client_version=0"
    connection = connect_to(url, timeout_s=10)
    try:
        connection.request("GET", path, headers={"authorization": f"Bearer {key}"})
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NoFactsError(f"the gateway at {url} does not answer as one: {error}") from error
    finally:
        connection.close()
    if response.status == HTTPStatus.OK:
        return Facts.read(answer)
    if response.status == HTTPStatus.NOT_FOUND:
        return Facts()  # an only provider may serve it all the same
    words = answer.get("error", {}).get("message", answer)
    raise NoFactsError(f"the gateway at {url} refused: {words}")


def connect_to(url: str, *, timeout_s: float) -> http.client.HTTPConnection:
    """A connection to a gateway's address, not yet open."""
    parts = urlsplit(url)
    made = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return made(parts.hostname or "", parts.port, timeout=timeout_s)


def launch(client: Client, program: str, route: Route, words: list[str]) -> int:
    """Run the client in the foreground with a home of its own; its exit code."""
    with tempfile.TemporaryDirectory(prefix=f"llmgate-{client.program}-") as folder:
        home = Path(folder)
        setup = client.setup(route, home)
        write_files(setup, home)
        environment = {**clean_environment(os.environ, client), **setup.environment}
        # Ctrl-C reaches the client through the terminal; this process waits for it to end by itself.
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            process = subprocess.Popen([program, *setup.arguments, *words], env=environment)
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, lambda got, _frame: process.send_signal(got))
            code = process.wait()
        finally:
            signal.signal(signal.SIGINT, previous)
    return 128 - code if code < 0 else code


def clean_environment(environ: Mapping[str, str], client: Client) -> dict[str, str]:
    """The user's environment without what would lead the client past the gateway."""
    return {name: value for name, value in environ.items() if name not in client.foreign}


@contextlib.contextmanager
def running_gateway(config: Config, path: Path | None, url: str | None) -> Iterator[str]:
    """The address of a healthy gateway: the one given, one that listens already, or one started for now."""
    if url is not None:
        url = url.rstrip("/")
        if not is_healthy(url):
            fail(f"no healthy gateway answers at {url}/health")
        yield url
        return
    host, port = config.listen_host, config.listen_port
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{port}"
    if not is_free(host, port):
        if not is_healthy(url):
            fail(f"port {port} on {host} is taken by another program; set `listen` to another one")
        yield url
        return
    with tempfile.TemporaryFile() as log:
        command = command_line(config, path, web=False, extra=[])
        step(f"starting a gateway on {url}")
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until_healthy(process, url, log)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until_healthy(process: subprocess.Popen[bytes], url: str, log: IO[bytes]) -> None:
    """Wait for /health, or end with what the gateway printed."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if is_healthy(url):
            return
        if process.poll() is not None:
            break
        time.sleep(POLL_S)
    process.terminate()
    fail("the gateway did not start:\n" + _tail(log))


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    return "\n".join(log.read().decode(errors="replace").splitlines()[-15:])


def is_healthy(url: str) -> bool:
    """Whether a gateway answers there."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=2)
    try:
        connection.request("GET", "/health")
        response = connection.getresponse()
        return response.status == 200 and b'"version"' in response.read()
    except OSError:
        return False
    finally:
        connection.close()
