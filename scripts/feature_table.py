"""The table of what crosses between protocols, made from what the translators really do with the corpus.

    python -m scripts.feature_table            write it into README.md, between the two markers
    python -m scripts.feature_table --check    exit 1 when README.md does not show what is true now

A row is a feature named in the `meta.yaml` of corpus requests, a cell what becomes of that request at an upstream
of which nothing is known. It is never set by hand; a feature that vanishes without a record is an error here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import yaml

from scripts import readme
from translators import PROTOCOLS, ir
from translators.base import Call, Reading, Target
from translators.errors import GatewayError
from translators.losses import Losses, Mode
from translators.wire import JsonObject, dumps, loads

ROOT: Final = Path(__file__).parents[1]
CORPUS: Final = ROOT / "tests" / "corpus"
LETTERS: Final = {"openai_chat": "C", "openai_responses": "R", "anthropic": "A", "gemini": "G"}
ORDER: Final = (
    "text",
    "system-turns",
    "tools",
    "forced-tool",
    "parallel-calls",
    "tool-results",
    "custom-tool",
    "namespace-tools",
    "web-search",
    "reasoning-tool",
    "structured-output",
    "image",
    "image-url",
    "document",
    "audio",
    "sampling",
    "stop-sequences",
    "logprobs",
    "several-answers",
    "end-user",
    "cache-marks",
)
"""The rows from top to bottom; a test holds this list against the corpus."""


class Outcome(StrEnum):
    """What becomes of a feature, as the table shows it."""

    CARRIED = "●"
    EMULATED = "◐"
    GIVEN_UP = "◌"
    REFUSED = "○"
    UNSAID = "–"


class LostSilentlyError(Exception):
    """A translation dropped a feature and recorded nothing: a bug of a translator."""


def main() -> int:
    """Write the table, or check that it is fresh."""
    return readme.update("matrix", table(), "python -m scripts.feature_table")


def table() -> str:
    """The whole table in Markdown, one line per feature, one column per pair of protocols."""
    pairs = [(client, upstream) for client in LETTERS for upstream in LETTERS if client != upstream]
    heads = [f"{LETTERS[client]}→{LETTERS[upstream]}" for client, upstream in pairs]
    lines = [_row("", heads), "|---|" + ":-:|" * len(heads)]
    for case in ORDER:
        cells = [outcome(case, client, upstream).value for client, upstream in pairs]
        lines.append(_row(_feature(case), cells))
    return "\n".join(lines) + "\n"


def _row(name: str, cells: list[str]) -> str:
    return f"| {name} | " + " | ".join(cells) + " |"


def _feature(case: str) -> str:
    metas = map(_meta, CORPUS.glob(f"*/{case}.meta.yaml"))
    found = {str(meta["feature"]) for meta in metas if "feature" in meta}  # answers name none
    (name,) = found
    return name


def _meta(path: Path) -> dict[str, Any]:
    meta: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return meta


def outcome(case: str, client: str, upstream: str) -> Outcome:
    """What an upstream gets of this case's request; UNSAID when the client's protocol cannot ask for it."""
    path = CORPUS / client / f"{case}.request.json"
    if not path.exists():
        return Outcome.UNSAID
    body = loads(path.read_bytes())
    call = Call(model="m", stream=False) if client == "gemini" else Call()
    request = PROTOCOLS[client].parse_request(body, call, None)
    witnesses = _meta(path.with_name(f"{case}.meta.yaml"))["witness"]
    if _crosses_whole(request, upstream, witnesses):
        return Outcome.CARRIED
    target, losses = _target(), Losses(Mode.MAX_COMPAT)
    try:
        rendered = PROTOCOLS[upstream].render_request(request, target, losses)
    except GatewayError:
        return Outcome.REFUSED
    recorded = bool(losses.degradations) or _undone(rendered.reading)
    if not recorded and not _warned(request, upstream):
        raise LostSilentlyError(f"{client}/{case} to {upstream}")
    lives_on = _arrives(witnesses, rendered.body) or _undone(rendered.reading)
    return Outcome.EMULATED if lives_on else Outcome.GIVEN_UP


def _crosses_whole(request: ir.Request, upstream: str, witnesses: list[str]) -> bool:
    """Nothing given up in the mode that gives up nothing, and a witness of the feature arrives."""
    losses = Losses(Mode.STRICT)
    try:
        rendered = PROTOCOLS[upstream].render_request(request, _target(), losses)
    except GatewayError:
        return False
    if losses.degradations or _undone(rendered.reading):
        return False
    return _arrives(witnesses, rendered.body)


def _arrives(witnesses: list[str], body: JsonObject) -> bool:
    """Whether one of these pieces of JSON text, as the protocols spell the feature, is in the body."""
    text = dumps(body)
    return any(witness.encode() in text for witness in witnesses)


def _warned(request: ir.Request, upstream: str) -> bool:
    """Whether the strict mode records it: what never changes an answer goes silently in the others."""
    losses = Losses(Mode.STRICT)
    try:
        PROTOCOLS[upstream].render_request(request, _target(), losses)
    except GatewayError:
        return False
    return bool(losses.degradations)


def _undone(reading: Reading) -> bool:
    """Whether the gateway works on the answer, to give the client what the provider cannot."""
    return any(
        (
            reading.custom,
            reading.wrapped,
            reading.cut_at,
            reading.single_call,
            reading.json_object,
            reading.forced_format_tool,
            reading.calls > 1,
        )
    )


def _target() -> Target:
    return Target(provider="up", model="up-model")


def features() -> Iterator[str]:
    """The corpus cases that name a feature."""
    for path in sorted(CORPUS.glob("*/*.meta.yaml")):
        if "feature" in _meta(path):
            yield path.name.removesuffix(".meta.yaml")


if __name__ == "__main__":
    sys.exit(main())
