"""`llmgate connect CLIENT` and `llmgate disconnect CLIENT`: what a person types and reads."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, NoReturn
from urllib.parse import urlsplit

import typer

from addons.client_key import ensure_token
from addons.home import home as state_home
from addons.local import asked_card, model_card
from config.models import Config
from config.patterns import is_pattern
from scripts.llmgate.connect import actions, files
from scripts.llmgate.connect.actions import Step
from scripts.llmgate.connect.clients import CLIENTS, Connectable, Target
from scripts.llmgate.connect.files import FileError
from scripts.llmgate.connect.show import diff
from scripts.llmgate.connect.store import Record, State, Store, locked
from scripts.llmgate.launch import Facts
from scripts.llmgate.output import fail, out, step, warn
from scripts.llmgate.running import NoFactsError, asked_facts, is_healthy
from scripts.llmgate.serving import ConfigFile, is_free, read_config
from scripts.llmgate.status import base_url
from translators.errors import GatewayError

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
COLOURS: Final = {"+": "green", "-": "red", "@": "cyan"}
TIMEOUT_S: Final = 5.0

ClientName = Annotated[str | None, typer.Argument(help=f"One of: {', '.join(CLIENTS)}.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the changes and write nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(connect)
    app.command()(disconnect)


def connect(
    client: ClientName = None,
    gateway: Annotated[
        str | None, typer.Option(help="The gateway's address; default: the configured one.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model's name at the gateway; default: see the docs.")
    ] = None,
    small_model: Annotated[
        str | None, typer.Option(help="The model for the client's side jobs; default: the same.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(envvar="LLMGATE_KEY", help="The gateway's client key.")
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="List what was done, and change nothing.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    config: ConfigFile = None,
) -> None:
    """Point a client at the gateway in its own files; `disconnect` takes it back to the byte."""
    if history or client is None:
        list_history(client)
        return
    known = known_client(client)
    settings = read_config(config)
    url = (gateway or base_url(settings)).rstrip("/")
    check_url(url)
    name = model or default_model(settings)
    if name is None and known.needs_model:
        fail(f"{known.title} needs a model: name one with --model")
    check_words(name, small_model, key)
    store = Store(state_home(), client)
    value, key_file = key_and_file(settings, key, url, store, dry_run=dry_run)
    target = Target(
        url=url,
        key=value,
        key_file=key_file,
        model=name,
        small_model=small_model or name,
        facts=known_facts(settings, name) if url == base_url(settings) else told(url, value, name),
    )
    try:
        with opened(store, dry_run=dry_run) as state:
            steps = actions.connecting(known.settings(target, os.environ), state)
            record = entry(state, "connect", steps, url=url, model=name)
            if not any(s.changes for s in steps):
                if not dry_run:
                    keep_key(store, target)
                step(f"{known.title} is connected to {url} already; nothing to change")
            elif agreed(steps, value, dry_run=dry_run, yes=yes):
                keep_key(store, target)
                actions.carry_out(store, state, record, steps)
                step(f"{known.title} is connected to {url}; undo with: llmgate disconnect {client}")
    except FileError as error:
        fail(str(error))
    advise(known, target, settings, given=gateway is not None)


def disconnect(
    client: ClientName = None,
    restore: Annotated[
        int | None, typer.Option(help="Bring back the files as they were before this entry.")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Take a connection back: the client's files are as they were, but for what you changed since."""
    if client is None:
        usage(f"name a client: {', '.join(CLIENTS)}")
    known = known_client(client)
    store = Store(state_home(), client)
    try:
        with opened(store, dry_run=dry_run) as state:
            past = chosen(state, client, restore)
            take_back = actions.disconnecting if restore is None else actions.restoring
            steps = take_back(past)
            if agreed(steps, key_of(store), dry_run=dry_run, yes=yes):
                action = "disconnect" if restore is None else f"restore {restore}"
                record = entry(state, action, steps, url=past.url, model=past.model)
                actions.carry_out(store, state, record, steps)
                store.key_file.unlink(missing_ok=True)
                step(f"{known.title} is no longer connected")
    except FileError as error:
        fail(str(error))
    for path in (path for s in steps for path in s.kept):
        step(f"{path} was changed since and stays as it is")


@contextlib.contextmanager
def opened(store: Store, *, dry_run: bool) -> Iterator[State]:
    """A client's state under the lock, repaired if a run was killed; only looked at for a dry run."""
    if dry_run:
        yield store.load()
        return
    with locked(store.home):
        yield actions.recover(store, store.load())


def known_client(client: str) -> Connectable:
    """The client of that name, or the list of all."""
    if client not in CLIENTS:
        usage(f"unknown client {client}; known: {', '.join(CLIENTS)}")
    return CLIENTS[client]


def usage(text: str) -> NoReturn:
    """End because of what was typed."""
    fail(text, 2)


def check_url(url: str) -> None:
    """Refuse an address that is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        usage(f"{url} is no address; write it like http://127.0.0.1:8080")
    if parts.path or parts.query:
        usage(f"{url}: name the gateway without a path; each client's own is added")


def check_words(*words: str | None) -> None:
    """Refuse what no file could hold as it is."""
    if not all(word is None or word.isprintable() for word in words):
        usage("a model's name or the key has characters that cannot be written; paste it anew")


def default_model(config: Config) -> str | None:
    """The first configured name, if it is one and not a pattern."""
    first = next(iter(config.models), None)
    return None if first is None or is_pattern(first) else first


def known_facts(config: Config, name: str | None) -> Facts:
    """What the configuration says of a model; warns of a name that leads nowhere."""
    if name is None:
        return Facts()
    if model_card(config, name) is None:
        warn(f"no provider is configured for the model {name}; the gateway would refuse it")
    card = asked_card(config, name)
    if card is None:
        return Facts()
    return Facts(
        context_window=card.context_window,
        max_output_tokens=card.max_output_tokens,
        images=card.images,
    )


def told(url: str, key: str, name: str | None) -> Facts:
    """What another gateway says of a model; nothing when it does not run now, of which `advise` warns."""
    try:
        return Facts() if name is None else asked_facts(url, key, name)
    except NoFactsError:
        return Facts()


def key_and_file(
    config: Config, given: str | None, url: str, store: Store, *, dry_run: bool
) -> tuple[str, Path]:
    """The key to present and the file that clients read it from."""
    if given:
        return given, store.key_file
    if config.client_keys:
        return config.client_keys[0].key.get_secret_value(), store.key_file
    if urlsplit(url).hostname not in LOOPBACK:
        usage(f"name the key of the gateway at {url} with --key or LLMGATE_KEY")
    path = (state_home() / "token").absolute()
    if dry_run and not path.exists():
        return "a new key", path
    try:
        return ensure_token(state_home())[0], path
    except GatewayError as error:
        fail(error.message)


def keep_key(store: Store, target: Target) -> None:
    """Write a key that stands in no file of its own, for its owner only."""
    if target.key_file == store.key_file:
        files.write(store.key_file, f"{target.key}\n".encode(), files.OWNER_ONLY)


def key_of(store: Store) -> str:
    """The key that a client was given, so that a diff can hide it."""
    for path in (store.key_file, state_home() / "token"):
        if path.exists():
            return path.read_text().strip()
    return ""


def entry(
    state: State, action: str, steps: Sequence[Step], *, url: str, model: str | None
) -> Record:
    """An entry for the history."""
    return Record(
        number=state.next_number,
        action=action,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        url=url,
        model=model,
        saved=tuple(s.saved for s in steps),
    )


def chosen(state: State, client: str, number: int | None) -> Record:
    """The entry to take back."""
    if number is None:
        if state.current is None:
            fail(f"{client} is not connected; see: llmgate connect --history")
        return state.current
    for record in state.records:
        if record.number == number:
            return record
    numbers = ", ".join(str(record.number) for record in state.records) or "none"
    usage(f"{client} has no entry {number}; there are: {numbers}")


def agreed(steps: Sequence[Step], key: str, *, dry_run: bool, yes: bool) -> bool:
    """Show the changes, then ask where somebody sits at a terminal."""
    for changed in (s for s in steps if s.changes):
        for line in diff(changed, key):
            out.print(line, markup=False, style=COLOURS.get(line[:1], ""))
    if dry_run:
        step("nothing was written")
        return False
    if yes or not at_terminal():
        return True
    return typer.confirm("Write this?", default=True, err=True)


def at_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


def advise(known: Connectable, target: Target, config: Config, *, given: bool) -> None:
    """Warn of what would keep the client from working."""
    if known.program and shutil.which(known.program) is None:
        warn(
            f"{known.program} is not on the search path; get it with: npm install -g {known.package}"
        )
    for name in sorted({n for n in known.outranking if os.environ.get(n)}):
        warn(f"{name} is set in this shell and beats the client's file; unset it")
    if known.note:
        step(known.note)
    if not is_healthy(target.url):
        host, port = config.listen_host, config.listen_port
        if not given and not is_free(host, port):
            warn(f"port {port} on {host} is taken by another program; set `listen` to another one")
        else:
            warn(f"no gateway answers at {target.url}/health; start one with: llmgate serve")
    elif refuses(target):
        warn(f"the gateway at {target.url} refuses this key; name its own with --key")


def refuses(target: Target) -> bool:
    """Whether the gateway does not know the key."""
    request = urllib.request.Request(f"{target.url}/v1/models")  # noqa: S310 - checked before
    request.add_header("authorization", f"Bearer {target.key}")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        direct.open(request, timeout=TIMEOUT_S).close()
    except urllib.error.HTTPError as error:
        return error.code in (401, 403)
    except OSError:
        return False
    return False


def list_history(client: str | None) -> None:
    """Print what is connected, and what was done."""
    names = list(CLIENTS) if client is None else [client]
    entries = [found for name in names for found in history_of(name)]
    for line in entries or ["nothing is connected, and nothing was"]:
        out.print(line, markup=False)


def history_of(client: str) -> Iterator[str]:
    """The lines about one client, the oldest entry first, each with the copies of what it replaced."""
    known_client(client)
    store = Store(state_home(), client)
    try:
        state = store.load()
    except FileError as error:
        fail(str(error))
    for record in state.records:
        words = [client, str(record.number), record.time, record.action, record.url]
        words += [record.model] if record.model else []
        words += ["(in force)"] if record.number == state.active else []
        yield "  ".join(words)
        yield from (f"    {path}" for path in actions.backups_of(store, record))
