"""Faults against a real gateway: `./scripts/chaos --n 20000 --seed 7` prints a table fault x outcome.

Every answer must be whole and right, or end in its protocol's own error, within the timeouts; afterwards the gateway
must be alive, with no active exchange, no connection left in use, and memory as before. Linux only (/proc).

Each problem is printed with all that it takes to trace it: number, place of the fault, what the client got, and the
gateway's log lines of the request. A timeout under a harmless fault is counted apart, as late, only where the gateway
or this process (client and provider) had no processor for half of its time: own work never excuses it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scripts.fault_tls import H2_FAULTS, TLS_FAULTS, FaultTls
from scripts.fault_upstream import FAULTS, HARMLESS, FaultUpstream
from scripts.mitm import KEY, Mitmdump
from scripts.starved import BEAT_S, watch

type Json = dict[str, Any]

CONCURRENCY: Final = 24
LONGEST_S: Final = 15.0
TIMEOUT_S: Final = 2.0
"""Of the gateway, for connecting, the first byte and silence."""
STARVED_S: Final = TIMEOUT_S / 2
"""Without a processor, within one exchange: that explains a timeout."""
ROUNDS: Final = 4
SETTLE_S: Final = 4
RARE: Final = {
    "huge-line": 4,
    "endless-headers": 40,
    "stall": 200,
    "mute": 200,
    "h2-stall": 100,
    "h2-mute": 100,
    "tls-silent": 100,
}
"""Most exchanges of a fault that takes long."""
PROTOCOLS: Final = ("openai_chat", "openai_responses", "anthropic", "gemini")
PROVIDERS: Final = dict(
    zip(("chat", "responses", "claude", "gemini"), PROTOCOLS, strict=True),
)
ALL_FAULTS: Final = (*FAULTS, *H2_FAULTS, *TLS_FAULTS)
LEFT: Final = (
    "drip",
    "stall",
    "mute",
    "none",
    "pieces",
    "h2-drip",
    "h2-stall",
    "h2-mute",
    "tls-silent",
)
"""Of which clients leave: while the gateway connects, waits, streams and ends."""
UNNOTICED: Final = HARMLESS | {"h2-none", "h2-drip", "h2-goaway-graceful"}
"""Faults that a client must not notice."""
_ENDS: Final = {
    "openai_chat": b"data: [DONE]",
    "openai_responses": b"event: response.completed",
    "anthropic": b"event: message_stop",
    "gemini": b'"finishReason"',
}
_TIMEOUTS: Final = re.compile(rb"took too long|in time|stopped in the middle")
"""Of the gateway's own words."""
_REQUEST_ID: Final = re.compile(rb"(?i)\r\nx-llmgate-request-id: (\S+)")
TRACE: Final = """
import asyncio
import logging
import pathlib

from scripts.starved import watch

folder = pathlib.Path(__file__).parent
handler = logging.FileHandler(folder / "trace")
handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
for name in ("llmgate", "addons"):
    logging.getLogger(name).addHandler(handler)

def load(loader):
    global watching
    starved = (folder / "starved").open("w", buffering=1)
    watching = asyncio.get_running_loop().create_task(
        watch(lambda at, for_s: print(at, for_s, file=starved))
    )

def done():
    watching.cancel()
"""
"""A script that keeps what the gateway logs, of all levels, and when it had no processor."""
_STREAM_ERRORS: Final = {
    "openai_chat": b'data: {"error":',
    "openai_responses": b"event: response.failed",
    "anthropic": b"event: error",
    "gemini": b'data: {"error":',
}


@dataclass(slots=True)
class Asked:
    """One exchange, and what came of it."""

    number: int
    fault: str
    place: int
    """The seed of the fault, which stands in the request's text."""
    protocol: str
    provider: str
    stream: bool
    request: bytes
    answer: bytes = b""
    started: float = 0.0
    took_s: float = 0.0
    error: str = ""

    def told(self, trace: str) -> str:
        """All that it takes to trace it."""
        found = _REQUEST_ID.search(self.answer.partition(b"\r\n\r\n")[0])
        request_id = found[1].decode() if found is not None else ""
        logged = [line for line in trace.splitlines() if request_id and request_id in line]
        return "\n  ".join(
            [
                f"#{self.number} {self.fault}~{self.place}: {self.protocol} -> {self.provider}, "
                f"stream={self.stream}, {self.took_s:.2f} s {self.error}".rstrip(),
                f"got {len(self.answer)} bytes: {self.answer[:300]!r} … {self.answer[-300:]!r}",
                *(logged or [f"no log line of request {request_id or 'without id'}"]),
            ]
        )


@dataclass(slots=True)
class Report:
    """What came of a run; `problems` must stay empty."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    """Timeouts of harmless faults of which the machine's load is the cause."""
    starved_s: float = 0.0
    """How long the gateway had no processor, in all."""
    rss_mb: list[float] = field(default_factory=list)
    """After each round."""
    active: int = -1
    busy: int = -1
    slowest_s: float = 0.0
    took_s: float = 0.0

    def table(self) -> str:
        """Fault x outcome, as Markdown."""
        kinds = ["whole", "error answer", "error in the stream", "left by the client", "wrong"]
        if self.late:
            kinds.append("late")
        rows = ["| fault | " + " | ".join(kinds) + " |", "|---|" + "--:|" * len(kinds)]
        for name in dict.fromkeys([*ALL_FAULTS, *(fault for fault, _ in self.outcomes)]):
            counts = [self.outcomes[name, kind] for kind in kinds]
            if any(counts):
                rows.append(f"| {name} | " + " | ".join(map(str, counts)) + " |")
        memory = " -> ".join(f"{rss:.0f}" for rss in self.rss_mb)
        return "\n".join(
            [
                *rows,
                "",
                f"{self.outcomes.total()} exchanges in {self.took_s:.0f} s, slowest "
                f"{self.slowest_s:.1f} s; RSS after each round {memory} MB; active {self.active}; "
                f"upstream answers open {self.busy}; "
                f"the gateway was without a processor for {self.starved_s:.1f} s; "
                f"late {len(self.late)}; problems {len(self.problems)}",
            ]
        )


def configuration(base_url: str, tls: FaultTls) -> Json:
    """A provider per protocol, one attempt each, short timeouts."""
    providers = {
        name: {
            "protocol": protocol,
            "base_url": f"{base_url}/{'v1beta' if name == 'gemini' else 'v1'}",
            "api_key": "k",
        }
        for name, protocol in PROVIDERS.items()
    }
    return {
        "providers": providers | tls.providers(PROVIDERS),
        "timeouts": {
            "connect_s": TIMEOUT_S,
            "first_byte_s": TIMEOUT_S,
            "idle_s": TIMEOUT_S,
            "total_s": 9,
            "stream_s": 9,
        },
        "retry": {"max_attempts": 1},
        "cooldowns": {"enabled": False},
    }


def request_bytes(protocol: str, model: str, stream: bool, text: str = "Hi") -> bytes:
    """A small request that ends its connection."""
    messages = [{"role": "user", "content": text}]
    body: Json = {"model": model, "stream": stream}
    if protocol == "gemini":
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        path = f"/v1beta/models/{model}:{verb}"
        body = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    elif protocol == "openai_responses":
        path, body = "/v1/responses", body | {"input": text, "store": False}
    elif protocol == "anthropic":
        path, body = "/v1/messages", body | {"max_tokens": 99, "messages": messages}
    else:
        path, body = "/v1/chat/completions", body | {"messages": messages}
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n"
        f"content-type: application/json\r\nanthropic-version: 2023-06-01\r\n"
        f"connection: close\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def ask(port: int, request: bytes) -> bytes:
    """Everything that the gateway answers until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read(-1)
    finally:
        writer.close()


def judge(protocol: str, stream: bool, answer: bytes) -> str:
    """The outcome of an answer by the client protocol's rules."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head[9:12]) if head.startswith(b"HTTP/1.1 ") else 0
    if status >= 400:
        payload = json.loads(body)
        return "error answer" if isinstance(payload.get("error"), dict) else "wrong"
    if status != 200:
        return "wrong"
    if not stream:
        json.loads(body)
        return "whole" if b"END-OF-ANSWER" in body else "wrong"
    if not body.endswith(b"\r\n0\r\n\r\n"):
        return "wrong"
    ended, failed = _ENDS[protocol] in body, _STREAM_ERRORS[protocol] in body
    if ended == failed:
        return "wrong"
    return "whole" if ended else "error in the stream"


@dataclass(slots=True)
class Chaos:
    """One run against one gateway."""

    gateway: Mitmdump
    upstream: FaultUpstream
    tls: FaultTls
    random: random.Random
    rounds: int = ROUNDS
    report: Report = field(default_factory=Report)
    noticed: list[tuple[str, Asked]] = field(default_factory=list)
    """Exchanges to be told of, with why."""
    starved: list[tuple[float, float]] = field(default_factory=list)
    """When this process had no processor, and for how long."""

    def plan(self, count: int) -> list[str]:
        """The faults of a run, shuffled."""
        rare = {
            name: min(most // self.rounds or 1, max(1, count // 40)) for name, most in RARE.items()
        }
        usual = [name for name in ALL_FAULTS if name not in RARE]
        chosen = [name for name, most in rare.items() for _ in range(most)]
        chosen += [usual[n % len(usual)] for n in range(count - len(chosen))]
        self.random.shuffle(chosen)
        return chosen

    def asked(self, fault: str) -> Asked:
        """An exchange of any pair of protocols; the place of the fault stands in its text."""
        protocol = self.random.choice(PROTOCOLS)
        provider = self.random.choice(list(PROVIDERS))
        if fault in H2_FAULTS:
            provider = f"h2-{provider}"
        elif fault in TLS_FAULTS:
            provider = fault
        stream = self.random.random() < 0.6
        place = self.random.randrange(10**9)
        text = f"fault-{fault}~{place}"
        made = request_bytes(protocol, f"{provider}/fault-{fault}", stream, text)
        return Asked(self.report.outcomes.total(), fault, place, protocol, provider, stream, made)

    async def exchange(self, fault: str) -> None:
        """One exchange, judged."""
        one = self.asked(fault)
        one.started = time.monotonic()
        outcome = "wrong"
        try:
            async with asyncio.timeout(LONGEST_S):
                one.answer = await ask(self.gateway.port, one.request)
            outcome = judge(one.protocol, one.stream, one.answer)
        except (TimeoutError, OSError, ValueError) as error:
            one.error = type(error).__name__
        one.took_s = time.monotonic() - one.started
        self.report.slowest_s = max(self.report.slowest_s, one.took_s)
        if fault in UNNOTICED and outcome not in ("whole", "wrong"):
            outcome = "late" if self.excused(one) else "wrong"
        if outcome in ("wrong", "late"):
            self.noticed.append((outcome, one))
        self.report.outcomes[fault, outcome] += 1

    def excused(self, one: Asked) -> bool:
        """Whether it is a timeout in whose time the gateway, or this process, had no processor."""
        if _TIMEOUTS.search(one.answer) is None:
            return False
        ended = one.started + one.took_s
        return any(
            sum(for_s for at, for_s in starved if one.started < at < ended + BEAT_S) > STARVED_S
            for starved in (self.starved, self.gateway_starved())
        )

    def gateway_starved(self) -> list[tuple[float, float]]:
        """As `starved`, of the gateway."""
        lines = map(str.split, self.gateway.kept("starved").splitlines())
        return [(float(at), float(for_s)) for at, for_s in lines]

    async def abort(self, _fault: str) -> None:
        """A client that leaves at a random moment."""
        one = self.asked(self.random.choice(LEFT))
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(self.random.random() * 0.15):
                await ask(self.gateway.port, one.request)
        self.report.outcomes["abort", "left by the client"] += 1

    async def run(self, faults: Sequence[str], *, aborting: bool = False) -> None:
        """All of them, some at a time."""
        left = iter(faults)
        one = self.abort if aborting else self.exchange

        async def work() -> None:
            for fault in left:
                await one(fault)

        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))

    async def play(self, count: int, aborts: int) -> None:
        """Everything, in rounds; memory is looked at when each has settled."""
        started = time.monotonic()
        watching = asyncio.create_task(watch(lambda *beat: self.starved.append(beat)))
        for _ in range(self.rounds):
            await self.run(self.plan(count // self.rounds))
            await self.run(["abort"] * (aborts // self.rounds), aborting=True)
            await self.quiet()
            self.report.rss_mb.append(await self._settled_rss_mb())
        watching.cancel()
        self.report.took_s = time.monotonic() - started
        self.report.starved_s = sum(for_s for _, for_s in self.gateway_starved())

    def tell(self) -> None:
        """Say what was noticed, with the gateway's log lines."""
        trace = self.gateway.kept("trace")
        for outcome, one in self.noticed:
            kept = self.report.late if outcome == "late" else self.report.problems
            kept.append(one.told(trace))

    async def _settled_rss_mb(self) -> float:
        """The least within a few seconds: free memory is given back a moment after the last request."""
        seen = [self.gateway.rss_mb()]
        for _ in range(SETTLE_S):
            await asyncio.sleep(1)
            seen.append(self.gateway.rss_mb())
        return min(seen)

    async def active(self) -> int:
        """What /health says; -1 when it says nothing."""
        request = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        with contextlib.suppress(OSError, ValueError, TimeoutError):
            async with asyncio.timeout(5):
                answer = await ask(self.gateway.port, request)
                return int(json.loads(answer.partition(b"\r\n\r\n")[2])["active"])
        return -1

    async def quiet(self) -> None:
        """Wait until nothing is active but the question itself, which counts as one; note what is left."""
        for _ in range(50):
            self.report.active = await self.active() - 1
            self.report.busy = self.upstream.busy + self.tls.busy
            if self.report.active == 0 and self.report.busy == 0:
                break
            await asyncio.sleep(0.1)
        left = (self.report.active, self.report.busy)
        if left != (0, 0) or not self.gateway.alive:
            self.report.problems.append(f"left={left} alive={self.gateway.alive}")


async def chaos(count: int, seed: int, aborts: int, rounds: int = ROUNDS) -> Report:
    """A whole run in rounds of the same faults and leaving clients, and a look at what is left after each."""
    with tempfile.TemporaryDirectory(prefix="llmgate-chaos-") as folder:
        async with FaultUpstream() as upstream, FaultTls(Path(folder)) as tls:
            gateway = Mitmdump.gateway(configuration(upstream.base_url, tls), TRACE)
            await asyncio.to_thread(gateway.__enter__)
            try:
                dice = random.Random(seed)  # noqa: S311 - repeatable
                one = Chaos(gateway, upstream, tls, dice, rounds)
                await one.play(count, aborts)
                one.tell()
                if "Traceback" in (log := gateway.log):
                    one.report.problems.append(log[log.index("Traceback") :][:1500])
                return one.report
            finally:
                await asyncio.to_thread(gateway.__exit__, None, None, None)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m scripts.chaos", description=__doc__)
    parser.add_argument("--n", type=int, default=2000, help="exchanges")
    parser.add_argument(
        "--aborts", type=int, default=2000, help="requests that their client leaves"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of equal make")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--problems", type=Path, help="write all problems here, not only ten")
    options = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # providers write to those who have left
    report = asyncio.run(chaos(options.n, options.seed, options.aborts, options.rounds))
    noticed = [*report.problems, *(f"late: {one}" for one in report.late)]
    print(report.table(), *noticed[:10], sep="\n")
    if options.problems is not None:
        options.problems.write_text("\n".join([*noticed, ""]))
    raise SystemExit(1 if report.problems else 0)


if __name__ == "__main__":
    main()
