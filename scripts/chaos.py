"""Faults against a real gateway: `./scripts/chaos --n 20000 --seed 7` prints a table fault x outcome.

Every answer must be whole and right, or end in its protocol's own error, within the timeouts; afterwards the gateway
must be alive, with no active exchange, no connection left in use, and memory as before. Linux only (/proc).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
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

type Json = dict[str, Any]

CONCURRENCY: Final = 24
LONGEST_S: Final = 15.0
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
UNNOTICED: Final = HARMLESS | {"h2-none", "h2-drip"}
"""Faults that a client must not notice."""
_ENDS: Final = {
    "openai_chat": b"data: [DONE]",
    "openai_responses": b"event: response.completed",
    "anthropic": b"event: message_stop",
    "gemini": b'"finishReason"',
}
_STREAM_ERRORS: Final = {
    "openai_chat": b'data: {"error":',
    "openai_responses": b"event: response.failed",
    "anthropic": b"event: error",
    "gemini": b'data: {"error":',
}


@dataclass(slots=True)
class Report:
    """What came of a run; `problems` must stay empty."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    """After each round."""
    active: int = -1
    busy: int = -1
    slowest_s: float = 0.0
    took_s: float = 0.0

    def table(self) -> str:
        """Fault x outcome, as Markdown."""
        kinds = ("whole", "error answer", "error in the stream", "left by the client", "wrong")
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
                f"problems {len(self.problems)}",
                *self.problems[:10],
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
        "timeouts": {"connect_s": 2, "first_byte_s": 2, "idle_s": 2, "total_s": 9, "stream_s": 9},
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
    report: Report = field(default_factory=Report)

    def plan(self, count: int) -> list[str]:
        """The faults of a run, shuffled."""
        rare = {name: min(most // ROUNDS or 1, max(1, count // 40)) for name, most in RARE.items()}
        usual = [name for name in ALL_FAULTS if name not in RARE]
        chosen = [name for name, most in rare.items() for _ in range(most)]
        chosen += [usual[n % len(usual)] for n in range(count - len(chosen))]
        self.random.shuffle(chosen)
        return chosen

    def request(self, fault: str) -> tuple[str, str, bool, bytes]:
        """Client protocol, provider, whether it streams, and the bytes; the place of the fault stands in the text."""
        protocol = self.random.choice(PROTOCOLS)
        provider = self.random.choice(list(PROVIDERS))
        if fault in H2_FAULTS:
            provider = f"h2-{provider}"
        elif fault in TLS_FAULTS:
            provider = fault
        stream = self.random.random() < 0.6
        text = f"fault-{fault}~{self.random.randrange(10**9)}"
        made = request_bytes(protocol, f"{provider}/fault-{fault}", stream, text)
        return protocol, provider, stream, made

    async def exchange(self, fault: str) -> None:
        """One exchange of any pair of protocols."""
        protocol, provider, stream, request = self.request(fault)
        where = f"{fault}: {protocol} -> {provider}, stream={stream}"
        started = time.monotonic()
        answer = b""
        try:
            async with asyncio.timeout(LONGEST_S):
                answer = await ask(self.gateway.port, request)
            outcome = judge(protocol, stream, answer)
        except (TimeoutError, OSError, ValueError) as error:
            outcome = "wrong"
            where += f" {type(error).__name__}"
        self.report.slowest_s = max(self.report.slowest_s, time.monotonic() - started)
        if fault in UNNOTICED and outcome != "whole":
            outcome = "wrong"
        if outcome == "wrong":
            self.report.problems.append(f"{where} {answer[:200]!r} … {answer[-300:]!r}")
        self.report.outcomes[fault, outcome] += 1

    async def abort(self, _fault: str) -> None:
        """A client that leaves at a random moment."""
        *_, request = self.request(self.random.choice(LEFT))
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(self.random.random() * 0.15):
                await ask(self.gateway.port, request)
        self.report.outcomes["abort", "left by the client"] += 1

    async def run(self, faults: Sequence[str], *, aborting: bool = False) -> None:
        """All of them, some at a time."""
        left = iter(faults)
        one = self.abort if aborting else self.exchange

        async def work() -> None:
            for fault in left:
                await one(fault)

        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))

    async def rounds(self, count: int, aborts: int) -> None:
        """Everything, in rounds; memory is looked at when each has settled."""
        started = time.monotonic()
        for _ in range(ROUNDS):
            await self.run(self.plan(count // ROUNDS))
            await self.run(["abort"] * (aborts // ROUNDS), aborting=True)
            await self.quiet()
            self.report.rss_mb.append(await self._settled_rss_mb())
        self.report.took_s = time.monotonic() - started

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


async def chaos(count: int, seed: int, aborts: int) -> Report:
    """A whole run in rounds of the same faults and leaving clients, and a look at what is left after each."""
    with tempfile.TemporaryDirectory(prefix="llmgate-chaos-") as folder:
        async with FaultUpstream() as upstream, FaultTls(Path(folder)) as tls:
            gateway = Mitmdump.gateway(configuration(upstream.base_url, tls))
            await asyncio.to_thread(gateway.__enter__)
            try:
                dice = random.Random(seed)  # noqa: S311 - repeatable
                one = Chaos(gateway, upstream, tls, dice)
                await one.rounds(count, aborts)
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
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    report = asyncio.run(chaos(options.n, options.seed, options.aborts))
    print(report.table())
    raise SystemExit(1 if report.problems else 0)


if __name__ == "__main__":
    main()
