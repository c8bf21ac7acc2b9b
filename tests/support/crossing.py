"""The corpus, and one way to take a case across protocols: shared by the matrix and the properties."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from translators import PROTOCOLS, ir
from translators.base import Call, Operation, Reading, Rendered, Target, Writing
from translators.errors import GatewayError
from translators.filters import filter_response, filters_for, run
from translators.losses import Losses, Mode, Side
from translators.seal import Seal
from translators.wire import JsonObject, loads

CORPUS: Final = Path(__file__).parents[1] / "corpus"
SEAL: Final = Seal(b"the key of the corpus and its goldens")
NOW_S: Final = 1_794_000_000
NAMES: Final = tuple(PROTOCOLS)
PAIRS: Final = tuple((client, upstream) for client in NAMES for upstream in NAMES)


@dataclass(frozen=True, slots=True)
class Case:
    """One corpus case: a request of a client, an upstream's answer whole and streamed; each may be missing."""

    protocol: str
    name: str

    def path(self, ending: str) -> Path:
        """Where a file of this case is."""
        return CORPUS / self.protocol / f"{self.name}.{ending}"

    @property
    def meta(self) -> dict[str, Any]:
        """Where it comes from."""
        found: dict[str, Any] = yaml.safe_load(self.path("meta.yaml").read_text())
        return found

    @property
    def request(self) -> JsonObject | None:
        """What a client of this protocol sent."""
        return self._json("request.json")

    @property
    def response(self) -> JsonObject | None:
        """What an upstream of this protocol answered."""
        return self._json("response.json")

    @property
    def stream(self) -> bytes | None:
        """The same answer as a stream."""
        path = self.path("stream.sse")
        return path.read_bytes() if path.exists() else None

    def _json(self, ending: str) -> JsonObject | None:
        path = self.path(ending)
        return loads(path.read_bytes()) if path.exists() else None

    def __str__(self) -> str:
        return f"{self.protocol}/{self.name}"


@cache
def cases() -> tuple[Case, ...]:
    """All of the corpus, in order."""
    return tuple(
        Case(protocol, path.name.removesuffix(".meta.yaml"))
        for protocol in NAMES
        for path in sorted((CORPUS / protocol).glob("*.meta.yaml"))
    )


def parse(case: Case) -> ir.Request:
    """A case's request in the hub."""
    body, meta = case.request, case.meta
    assert body is not None
    return parse_body(case.protocol, body, meta.get("headers") or {}, meta.get("operation"))


def parse_body(
    protocol: str,
    body: JsonObject,
    headers: dict[str, str] | None = None,
    operation: str | None = None,
) -> ir.Request:
    """A client's body in the hub."""
    call = Call(
        model="m" if protocol == "gemini" else None,
        stream=False if protocol == "gemini" else None,
        headers=headers or {},
        operation=Operation(operation or "generate"),
    )
    return PROTOCOLS[protocol].parse_request(body, call, SEAL)


def render(
    request: ir.Request, upstream: str, mode: Mode = Mode.MAX_COMPAT
) -> tuple[Rendered, Losses]:
    """The request for an upstream of which nothing is known."""
    losses = Losses(mode)
    target = Target(provider="up", model="up-model")
    return PROTOCOLS[upstream].render_request(request, target, losses), losses


def asked(client: str, upstream: str, name: str) -> tuple[Reading, Writing]:
    """How the answer to this case's request is read and written; where a client cannot ask it, to its text case."""
    for case in (Case(client, name), Case(client, "text")):
        body = case.request
        if body is None:
            continue
        request = parse(case)
        try:
            reading = render(request, upstream)[0].reading
        except GatewayError:
            continue
        return reading, writing_for(request, body)
    raise AssertionError(f"{client} has no text case")


def writing_for(request: ir.Request, body: JsonObject) -> Writing:
    """How to write an answer to this request, with the gateway's defaults."""
    return Writing(
        request=request,
        model="shown",
        now_s=NOW_S,
        raw=body,
        seal=SEAL,
        chat_reasoning="reasoning_content",
        request_id="req_1",
    )


def whole(upstream: str, client: str, body: JsonObject, name: str) -> tuple[JsonObject, Losses]:
    """An upstream's whole answer in a client's words."""
    reading, writing = asked(client, upstream, name)
    losses = Losses(side=Side.RESPONSE)
    response = PROTOCOLS[upstream].parse_response(body, reading, losses)
    response = filter_response(response, reading, losses)
    return PROTOCOLS[client].render_response(response, writing, losses), losses


def events_of(
    upstream: str, pieces: Iterable[bytes], reading: Reading, losses: Losses | None = None
) -> list[ir.StreamEvent]:
    """The filtered hub events of an upstream's stream."""
    collected = losses or Losses(side=Side.RESPONSE)
    decoder = PROTOCOLS[upstream].decoder(reading, collected)
    raw = [event for piece in pieces for event in decoder.feed(piece)]
    raw += decoder.close()
    chain = filters_for(reading, collected)
    return [made for event in raw for made in run(chain, event)]


def streamed(
    upstream: str, client: str, pieces: Iterable[bytes], name: str
) -> tuple[bytes, Losses]:
    """An upstream's stream in a client's words."""
    reading, writing = asked(client, upstream, name)
    losses = Losses(side=Side.RESPONSE)
    encoder = PROTOCOLS[client].encoder(writing, losses)
    events = events_of(upstream, pieces, reading, losses)
    return b"".join(encoder.encode(event) for event in events), losses
