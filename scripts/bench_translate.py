"""How much CPU a translation costs: a large agent request across, and one chunk of a stream across, for all pairs.

Times are process CPU, the best of several runs, so that a busy machine shows the same as an idle one.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any, Final

from translators import PROTOCOLS, ir
from translators.base import Call, Reading, Target, Writing
from translators.ids import digest62
from translators.losses import Losses, Mode, Side
from translators.seal import Seal
from translators.wire import JsonObject, dumps, loads

NAMES: Final = tuple(PROTOCOLS)
REQUEST_BYTES: Final = 150_000
TOOLS: Final = 40
MESSAGES: Final = 60
REQUEST_TARGET_MS: Final = 2.0
CHUNK_TARGET_US: Final = 10.0
MODEL: Final = "bench-model"
CALL: Final = Call(model=MODEL)
SEAL: Final = Seal(b"b" * 32)

_WORDS: Final = (
    "The function reads its input once, checks each field against the declared shape, and reports the first "
    "path that does not fit. Nothing is changed in place; a caller may try again with other limits. "
)


def agent_body() -> JsonObject:
    """A Messages request as coding agents send it: 40 tools, 60 messages of text, calls and results, 150 kB."""
    body: JsonObject = {
        "model": MODEL,
        "max_tokens": 8000,
        "system": _WORDS * 60,
        "tools": [_tool(number) for number in range(TOOLS)],
        "messages": [_message(number, "") for number in range(MESSAGES)],
    }
    missing = REQUEST_BYTES - len(dumps(body))
    share = missing // (MESSAGES // 4)
    filler = (_WORDS * (share // len(_WORDS) + 1))[:share]
    body["messages"] = [_message(number, filler) for number in range(MESSAGES)]
    return body


def _tool(number: int) -> JsonObject:
    names = ("path", "pattern", "limit", "recursive", "options")
    kinds: list[JsonObject] = [
        {"type": "string", "description": "Where to look, as an absolute path."},
        {"type": "string", "description": "What to look for: a regular expression."},
        {"type": "integer", "minimum": 1, "maximum": 1000},
        {"type": "boolean", "default": False},
        {
            "type": "object",
            "properties": {"case": {"type": "string", "enum": ["lower", "upper", "any"]}},
            "additionalProperties": False,
        },
    ]
    return {
        "name": f"tool_{number:02}",
        "description": _WORDS * 3,
        "input_schema": {
            "type": "object",
            "properties": dict(zip(names, kinds, strict=True)),
            "required": ["path"],
            "additionalProperties": False,
        },
    }


def _message(number: int, filler: str) -> JsonObject:
    call_id = "toolu_" + digest62(str(number // 4), length=24)
    match number % 4:
        case 0:
            return {"role": "user", "content": [{"type": "text", "text": _WORDS}]}
        case 1:
            call = {
                "type": "tool_use",
                "id": call_id,
                "name": f"tool_{number % TOOLS:02}",
                "input": {"path": f"/src/{number}", "pattern": "def .*", "limit": number},
            }
            return {"role": "assistant", "content": [{"type": "text", "text": _WORDS}, call]}
        case 2:
            result = {"type": "tool_result", "tool_use_id": call_id, "content": _WORDS + filler}
            return {"role": "user", "content": [result]}
        case _:
            return {"role": "assistant", "content": [{"type": "text", "text": _WORDS}]}


def request_body(protocol: str) -> bytes:
    """The agent's request in a protocol's own words."""
    request = PROTOCOLS["anthropic"].parse_request(agent_body(), CALL, SEAL)
    target = Target(provider="bench", model=MODEL)
    rendered = PROTOCOLS[protocol].render_request(request, target, Losses(Mode.MAX_COMPAT))
    return dumps(rendered.body)


def request_ms(client: str, upstream: str, raw: bytes) -> float:
    """CPU milliseconds from the client's bytes to the upstream's."""
    target = Target(provider="bench", model=MODEL)

    def once() -> None:
        request = PROTOCOLS[client].parse_request(loads(raw), CALL, SEAL)
        dumps(PROTOCOLS[upstream].render_request(request, target, Losses(Mode.MAX_COMPAT)).body)

    return best_s(once, calls=20, rounds=7) * 1e3


_PARTS: Final[dict[str, tuple[ir.Part, str]]] = {
    "text": (ir.Text(text=""), " some words here"),
    "arguments": (
        ir.ToolCall(call_id="call_0123456789abcdefghij", name="tool_00", arguments=""),
        '{"path": "/src/main',
    ),
}
CHUNKS: Final = 200


def chunk_us(client: str, upstream: str, kind: str) -> float | None:
    """CPU microseconds of one chunk of text, or of a tool's arguments: upstream bytes in, client bytes out.

    None = the upstream's protocol has no such chunk (Gemini sends calls whole).
    """
    part, text = _PARTS[kind]
    head, chunk = _upstream_frames(upstream, part, text)
    if not chunk:
        return None
    reading = Reading(provider="bench", model=MODEL, stream=True)

    def run(chunks: int) -> float:
        decoder = PROTOCOLS[upstream].decoder(reading, Losses(side=Side.RESPONSE))
        encoder = PROTOCOLS[client].encoder(_writing(client), Losses(side=Side.RESPONSE))
        feed, encode = decoder.feed, encoder.encode
        for event in feed(head):
            encode(event)
        started = time.process_time()
        for _ in range(chunks):
            for event in feed(chunk):
                encode(event)
        return (time.process_time() - started) / chunks

    run(CHUNKS)
    return min(run(CHUNKS * 10) for _ in range(7)) * 1e6


def _upstream_frames(protocol: str, part: ir.Part, text: str) -> tuple[bytes, bytes]:
    """What a provider's stream starts with, and one chunk of it, as our own encoder writes them."""
    encoder = PROTOCOLS[protocol].encoder(_writing(protocol), Losses(side=Side.RESPONSE))
    head = encoder.encode(ir.MessageStart(id="bench-1", model=MODEL))
    head += encoder.encode(ir.PartStart(index=0, part=part))
    head += encoder.encode(ir.PartDelta(0, text))  # some protocols open a part with its first text
    return head, encoder.encode(ir.PartDelta(0, text))


def _writing(protocol: str) -> Writing:
    message = ir.Message(role=ir.Role.USER, parts=(ir.Text(text="Hi"),))
    request = ir.Request(protocol=protocol, model=MODEL, messages=(message,), stream=True)
    return Writing(request=request, model=MODEL, now_s=1_700_000_000, seal=SEAL)


def best_s(once: Callable[[], Any], *, calls: int, rounds: int) -> float:
    """The CPU seconds of one call: the best of several rounds, without the garbage collector's turns."""
    once()
    gc.collect()
    gc.disable()
    try:
        times = []
        for _ in range(rounds):
            started = time.process_time()
            for _ in range(calls):
                once()
            times.append((time.process_time() - started) / calls)
        return min(times)
    finally:
        gc.enable()


def report() -> bool:
    """Print the table; whether every figure is within its target."""
    print(
        f"parse + render of a {REQUEST_BYTES // 1000} kB request ({TOOLS} tools, {MESSAGES} messages), "
        f"ms CPU; target {REQUEST_TARGET_MS:g}"
    )
    bodies = {name: request_body(name) for name in NAMES}
    good = _table(lambda client, up: request_ms(client, up, bodies[client]), REQUEST_TARGET_MS)
    for kind in _PARTS:
        print(f"\ndecode + encode of one chunk of {kind}, µs CPU; target {CHUNK_TARGET_US:g}")
        good &= _table(
            lambda client, up, kind=kind: chunk_us(client, up, kind),  # type: ignore[misc]
            CHUNK_TARGET_US,
        )
    return good


def _table(measure: Callable[[str, str], float | None], target: float) -> bool:
    print(f"{'client':>18}" + "".join(f"{name:>18}" for name in NAMES) + "  (upstream)")
    good = True
    for client in NAMES:
        cells = []
        for upstream in NAMES:
            value = measure(client, upstream)
            if value is None:
                cells.append("whole".rjust(18))
                continue
            good &= value <= target
            cells.append(f"{value:.2f}{'' if value <= target else ' !'}".rjust(18))
        print(f"{client:>18}" + "".join(cells))
    return good
