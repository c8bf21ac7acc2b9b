"""What the gateway costs, beside a plain mitmdump that only relays: `python -m scripts.bench gateway`.

Everything is in this process or started by it, on loopback: the fake provider's `bench` scenario, a load generator,
a gateway, and a `mitmdump -q` with an identity stream function that gets the provider's own requests. Rounds of both
are interleaved, and the medians compared, so that a busy machine disturbs both alike. Linux only (/proc).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scripts.fake import DEFAULT_KEY, FakeProvider
from scripts.mitm import KEY, Mitmdump

type Json = dict[str, Any]

CONCURRENCY: Final = 32
IDENTITY: Final = """
def responseheaders(flow):
    flow.response.stream = lambda data: data
"""
CHAT, RESPONSES, ANTHROPIC = "/v1/chat/completions", "/v1/responses", "/v1/messages"


@dataclass(frozen=True, slots=True)
class Workload:
    """One row. `path` and `body` are the client's; the plain proxy gets `plain`, the Chat request of the same size."""

    name: str
    about: str
    path: str
    body: Json
    plain: Json
    requests: int
    target: float | None
    end: bytes
    """What only a whole answer contains."""


def workloads() -> list[Workload]:
    """The rows of the table."""
    small = [{"role": "user", "content": "Say something short."}]
    tool = {"type": "object", "properties": {"city": {"type": "string"}}}
    chat_tool = {"type": "function", "function": {"name": "get_weather", "parameters": tool}}
    flat_tool = {"type": "function", "name": "get_weather", "parameters": tool}

    def chat(options: str, **more: Any) -> Json:
        usage = {"stream_options": {"include_usage": True}} if more.get("stream") else {}
        return {"model": f"fake-bench{options}", "messages": small, **usage, **more}

    def claude(options: str, **more: Any) -> Json:
        return {"model": f"fake-bench{options}", "max_tokens": 999, "messages": small, **more}

    many, few, paced = "~chunks=200", "~chunks=50", "~chunks=200~delay_ms=5"
    calling = "~chunks=50~tool=get_weather"
    chat_agent, claude_agent = _agent_requests()
    stream = {"stream": True}
    stop, done = b"message_stop", b"[DONE]"
    return [
        Workload("W1", "Anthropic to Chat, whole answer", ANTHROPIC, claude(""), chat(""),
                 1200, 0.85, b'"usage"'),
        Workload("W2", "Anthropic to Chat, 200 chunks at once", ANTHROPIC,
                 claude(many, **stream), chat(many, **stream), 320, 1.15, stop),
        Workload("W3", "Responses to Chat, text and a call, 50 chunks", RESPONSES,
                 {"model": f"fake-bench{calling}", "input": "Say something.", "tools": [flat_tool],
                  **stream},
                 chat(calling, tools=[chat_tool], **stream), 480, None, b"response.completed"),
        Workload("W5", "Chat to Chat, 200 chunks at once", CHAT,
                 chat(many, **stream), chat(many, **stream), 320, 0.8, done),
        Workload("W6", "Anthropic to Chat, agent request of 150 kB, 50 chunks", ANTHROPIC,
                 claude_agent | {"model": f"fake-bench{few}"},
                 chat_agent | {"model": f"fake-bench{few}"}, 320, 2.0, stop),
        Workload("W8", "as W2, one event every 5 ms", ANTHROPIC,
                 claude(paced, **stream), chat(paced, **stream), 64, 1.1, stop),
    ]  # fmt: skip


def _agent_requests() -> tuple[Json, Json]:
    """What an agent sends late in a session, in both protocols: system prompt, 20 tools, 60 turns; 150 kB."""
    schema: Json = {
        "type": "object",
        "properties": {
            f"field_{n}": {"type": "string", "description": "What the field is for. " * 4}
            for n in range(8)
        },
        "required": ["field_0"],
    }
    names = [f"tool_{n}" for n in range(20)]
    system = "You are an agent that edits code. " * 300
    output = "def function(argument):\n    return argument + 1\n" * 42
    chat: list[Json] = [{"role": "system", "content": system}]
    claude: list[Json] = []
    for turn in range(30):
        if turn % 2 == 0:
            question = f"Look at file {turn} and tell me what it does."
            chat.append({"role": "user", "content": question})
            claude.append({"role": "user", "content": question})
        call, name, arguments = f"call_{turn:04}", names[turn % 20], {"field_0": f"src/{turn}.py"}
        function = {"name": name, "arguments": json.dumps(arguments)}
        chat.append(
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": call, "type": "function", "function": function}],
            }
        )
        chat.append({"role": "tool", "tool_call_id": call, "content": output})
        use = {"type": "tool_use", "id": call, "name": name, "input": arguments}
        result = {"type": "tool_result", "tool_use_id": call, "content": output}
        claude.append({"role": "assistant", "content": [use]})
        claude.append({"role": "user", "content": [result]})
        if turn % 2 == 1:
            chat.append({"role": "assistant", "content": "It adds one."})
            claude.append({"role": "assistant", "content": "It adds one."})
    chat.append({"role": "user", "content": "Go on."})
    claude.append({"role": "user", "content": "Go on."})
    functions = [
        {"type": "function", "function": {"name": n, "description": n, "parameters": schema}}
        for n in names
    ]
    tools = [{"name": n, "description": n, "input_schema": schema} for n in names]
    usage = {"include_usage": True}
    return (
        {"messages": chat, "tools": functions, "stream": True, "stream_options": usage},
        {"messages": claude, "system": system, "tools": tools, "stream": True, "max_tokens": 999},
    )  # fmt: skip


class Client(asyncio.Protocol):
    """One keep-alive connection that sends the same request again and again, and times each answer."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._chunked: bool | None = None
        self._wanted = 0
        self._done: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream transport is needed")
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(exc or ConnectionError("closed in the middle of an answer"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._chunked is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            self._chunked = b"transfer-encoding: chunked" in head
            if not self._chunked:
                self._wanted = end + 4 + int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        whole = (
            self._buffer.endswith(b"\r\n0\r\n\r\n")
            if self._chunked
            else len(self._buffer) >= self._wanted
        )
        if whole and self._done is not None:
            self._done.set_result(bytes(self._buffer))

    async def ask(self, request: bytes) -> bytes:
        """Send a request; the whole answer, head included."""
        if self._transport is None:
            raise ConnectionError("not connected")
        self._buffer.clear()
        self._chunked = None
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._done

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


def request_bytes(path: str, body: Json, key: str) -> bytes:
    """A request as it goes over the wire."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\nanthropic-version: 2023-06-01\r\n"
        f"user-agent: bench\r\naccept: */*\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


@dataclass(slots=True)
class Measured:
    """The rounds of one workload on one side."""

    cpu_ms: list[float] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def cpu(self) -> float:
        """Median of the rounds."""
        return statistics.median(self.cpu_ms)

    def percentile(self, share: float) -> float:
        """A latency, over all rounds."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def load(
    proxy: Mitmdump, request: bytes, count: int, end: bytes
) -> tuple[float, list[float]]:
    """Send `count` requests over 32 connections: CPU ms per request, and each latency in ms."""
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(Client, "127.0.0.1", proxy.port))[1]
        for _ in range(min(CONCURRENCY, count))
    ]
    latencies: list[float] = []
    left = iter(range(count))

    async def work(client: Client) -> None:
        for _ in left:
            started = time.perf_counter()
            answer = await client.ask(request)
            latencies.append((time.perf_counter() - started) * 1000)
            if not answer.startswith(b"HTTP/1.1 200") or end not in answer:
                raise RuntimeError(f"a bad answer: {answer[:600]!r} … {answer[-300:]!r}")

    before = proxy.cpu_s()
    await asyncio.gather(*(work(client) for client in clients))
    spent = proxy.cpu_s() - before
    for client in clients:
        client.close()
    return spent * 1000 / count, latencies


async def measure(names: Sequence[str], rounds: int, scale: float) -> str:
    """Run the rounds; the table as text."""
    chosen = [one for one in workloads() if not names or one.name in names]
    results = {one.name: (Measured(), Measured()) for one in chosen}
    async with FakeProvider() as fake:
        config: Json = {
            "providers": {
                "fake": {
                    "protocol": "openai_chat",
                    "base_url": f"{fake.base_url}/v1",
                    "api_key": DEFAULT_KEY,
                }
            }
        }
        gateway = await asyncio.to_thread(Mitmdump.gateway(config).__enter__)
        script = gateway.home / "identity.py"
        script.write_text(IDENTITY)
        plain = await asyncio.to_thread(Mitmdump(script, fake.base_url).__enter__)
        try:
            for number in range(rounds + 1):  # the first one warms up
                for one in chosen:
                    count = max(CONCURRENCY, int(one.requests * scale / (1 if number else 4)))
                    sides = (
                        (plain, request_bytes(CHAT, one.plain, DEFAULT_KEY), b""),
                        (gateway, request_bytes(one.path, one.body, KEY), one.end),
                    )
                    for (proxy, request, end), result in zip(sides, results[one.name], strict=True):
                        cpu_ms, latencies = await load(proxy, request, count, end)
                        if number:
                            result.cpu_ms.append(cpu_ms)
                            result.latencies_ms += latencies
            memory = (
                f"RSS afterwards: plain {plain.rss_mb():.0f} MB, gateway {gateway.rss_mb():.0f} MB"
            )
        finally:
            await asyncio.to_thread(gateway.__exit__, None, None, None)
            await asyncio.to_thread(plain.__exit__, None, None, None)
    return "\n".join([*_table(chosen, results), "", memory, machine()])


def _table(chosen: list[Workload], results: dict[str, tuple[Measured, Measured]]) -> list[str]:
    rows = [
        "| | workload | plain mitmdump, CPU ms | llmgate, CPU ms | ratio | target | plain p50 / p99 ms "
        "| llmgate p50 / p99 ms |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for one in chosen:
        plain, ours = results[one.name]
        target = f"{one.target:g}" if one.target else "-"
        latencies = " | ".join(
            f"{side.percentile(0.5):.1f} / {side.percentile(0.99):.1f}" for side in (plain, ours)
        )
        rows.append(
            f"| {one.name} | {one.about} | {plain.cpu:.2f} | {ours.cpu:.2f} "
            f"| {ours.cpu / plain.cpu:.2f} | {target} | {latencies} |"
        )
    return rows


def machine() -> str:
    """What it ran on, without its name."""
    model = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    load_1 = os.getloadavg()[0]
    return (
        f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load {load_1:.1f}, concurrency {CONCURRENCY}"
    )


def main(given: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench gateway", description=__doc__)
    parser.add_argument("workloads", nargs="*", help="W1, W2, …; default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the number of requests")
    options = parser.parse_args(given)
    print(asyncio.run(measure(options.workloads, options.rounds, options.scale)))


if __name__ == "__main__":
    main()
