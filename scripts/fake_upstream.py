"""Runs the fake provider as a process: `python -m scripts.fake_upstream --port 0`.

Prints one line, `fake provider on http://127.0.0.1:PORT`, once it listens, and runs until it is interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import signal

from scripts.fake import DEFAULT_KEY, SCENARIOS, FakeProvider
from scripts.fake.scenarios import from_header


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    names = "\n".join(f"  {scenario.name:<15} {scenario.about}" for scenario in SCENARIOS.values())
    parser = argparse.ArgumentParser(
        prog="python -m scripts.fake_upstream",
        description="A fake LLM provider in four protocols.",
        epilog="scenarios (also by header x-fake-scenario: NAME;option=value, or by a model name that "
        f"contains fake-NAME~option=value):\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="0 picks a free port")
    parser.add_argument("--key", default=DEFAULT_KEY, help='the key to expect; "" accepts any')
    parser.add_argument(
        "--scenario", default="text", help="NAME;option=value, when a request names none"
    )
    parser.add_argument("--chunk-bytes", type=int, default=0, help="cut streams into such pieces")
    parser.add_argument("--window-tokens", type=int, default=None, help="longer prompts overflow")
    return parser.parse_args(given)


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGINT or SIGTERM."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    played = from_header(f"{options.scenario};chunk_bytes={options.chunk_bytes}")
    fake = FakeProvider(
        key=options.key, default=played, port=options.port, window_tokens=options.window_tokens
    )
    async with fake:
        print(f"fake provider on {fake.base_url}", flush=True)
        await over.wait()


def main() -> None:
    """Entry point."""
    options = arguments()
    try:
        asyncio.run(serve(options))
    except ValueError as error:
        raise SystemExit(f"fake_upstream: {error}") from None


if __name__ == "__main__":
    main()
