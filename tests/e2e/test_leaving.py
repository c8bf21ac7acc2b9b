"""2,000 clients that leave a real gateway at random moments, in every state that a request can be in."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from scripts.chaos import PROTOCOLS, PROVIDERS, ask, request_bytes
from scripts.fault_tls import FaultTls
from scripts.fault_upstream import FaultUpstream
from tests.support.gateway import KEY, Gateway

PROBE = """
import asyncio, collections, gc, json, pathlib
from mitmproxy import ctx, http

async def llm_request(exchange):
    if "in-a-hook" in exchange.model:
        await asyncio.sleep(0.1)
    if "reply" in exchange.model:
        exchange.reply("word " * 20_000)

def request(flow):
    if flow.request.path != "/probe":
        return
    gc.collect()
    kinds = collections.Counter(type(one).__name__ for one in gc.get_objects())
    loop = asyncio.get_running_loop()
    timers = [one for one in loop._scheduled if not one.cancelled()]
    flow.response = http.Response.make(200, json.dumps({
        "connections": len(ctx.master.addons.get("proxyserver").connections),
        "tasks": len(asyncio.all_tasks()),
        "timers": sorted({str(one._callback) for one in timers if "Pool" not in str(one._callback)
                          and "Trim" not in str(one._callback)}),
        "exchanges": kinds["Exchange"],
        "streams": kinds["GatewayStream"],
        "attempts": kinds["Attempt"],
        "rss_mb": int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20,
    }).encode())
"""
STATES = {
    "reading": "",
    "in a hook": "chat/in-a-hook~1",
    "connecting": "tls-silent/fault-tls-silent~1",
    "waiting": "{}/fault-mute~{}",
    "waiting, HTTP/2": "h2-{}/fault-h2-mute~{}",
    "backing off": "{}/fault-status-500~{}",
    "looking at the first event": "{}/fault-stall~{}",
    "streaming": "{}/fault-drip~{}",
    "streaming, HTTP/2": "h2-{}/fault-h2-drip~{}",
    "ending": "{}/fault-none~{}",
    "answered by a script": "chat/reply~1",
}
ROUNDS, EACH = 4, 500
WIDTH = 24
FLAT_MB = 16


class Leavers:
    """Clients of one gateway that leave."""

    def __init__(self, gateway: Gateway, dice: random.Random) -> None:
        self.gateway = gateway
        self.dice = dice

    def _request(self) -> bytes:
        state = self.dice.choice(list(STATES))
        model = STATES[state].format(self.dice.choice(list(PROVIDERS)), self.dice.randrange(10**6))
        request = request_bytes(
            self.dice.choice(PROTOCOLS), model or "chat/x", self.dice.random() < 0.7
        ).replace(b"measurement-key", KEY.encode())
        return request if model else request[: self.dice.randrange(1, len(request))]

    async def leave(self) -> None:
        """Ask, and leave within a moment."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        try:
            writer.write(self._request())
            async with asyncio.timeout(self.dice.random() * 0.15):
                await reader.read(-1)
        except (TimeoutError, OSError):
            writer.transport.abort()
        finally:
            writer.close()

    async def round(self) -> None:
        """Many of them, some at a time."""
        left = iter(range(EACH))

        async def work() -> None:
            for _ in left:
                await self.leave()

        await asyncio.gather(*(work() for _ in range(WIDTH)))

    async def probe(self) -> dict[str, Any]:
        """What the gateway holds now."""
        answer = await ask(
            self.gateway.port, b"GET /probe HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )
        held: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
        return held

    async def settled(self, before: dict[str, Any]) -> dict[str, Any]:
        """What it holds once that is as little as before, or after some seconds."""
        held = await self.probe()
        lowest = held["rss_mb"]
        for _ in range(80):
            lowest = min(lowest, held["rss_mb"])
            if all(held[name] == before[name] for name in before if name != "rss_mb"):
                break
            await asyncio.sleep(0.1)
            held = await self.probe()
        for _ in range(3):  # free memory is given back a moment later
            await asyncio.sleep(1)
            lowest = min(lowest, (await self.probe())["rss_mb"])
        return held | {"rss_mb": lowest}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The probe."""
    file = tmp_path / "probe.py"
    file.write_text(PROBE)
    return file


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_is_left_of_clients_that_leave(script: Path) -> None:
    asyncio.run(_leave(script))


async def _leave(script: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with FaultUpstream() as plain, FaultTls(Path(folder)) as tls:
            providers = {
                name: {
                    "protocol": protocol,
                    "base_url": f"{plain.base_url}/{'v1beta' if name == 'gemini' else 'v1'}",
                    "api_key": "k",
                }
                for name, protocol in PROVIDERS.items()
            }
            config = {
                "providers": providers | tls.providers(PROVIDERS),
                "retry": {"max_attempts": 5, "per_candidate": 4, "backoff": {"first_s": 0.05}},
                "cooldowns": {"enabled": False},
            }
            gateway = Gateway(config, scripts=(script,), options=("-q",))
            await asyncio.to_thread(gateway.__enter__)
            try:
                leavers = Leavers(gateway, random.Random(7))  # noqa: S311 - repeatable
                before = await leavers.probe()
                before = await leavers.probe()
                seen = []
                for _ in range(ROUNDS):
                    await leavers.round()
                    seen.append(await leavers.settled(before))
            finally:
                await asyncio.to_thread(gateway.__exit__, *sys.exc_info())
    for held in seen:
        assert held | {"rss_mb": 0} == before | {"rss_mb": 0}, seen
    assert seen[-1]["rss_mb"] - seen[0]["rss_mb"] < FLAT_MB, seen
    assert plain.busy == tls.busy == 0
