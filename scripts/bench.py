"""Measure what the gateway costs, and say on which machine.

python -m scripts.bench translate    requests and stream chunks through the translators, no I/O
python -m scripts.bench gateway      a real gateway beside a plain mitmdump
"""

from __future__ import annotations

import os
import platform
import runpy
import sys
from pathlib import Path


def machine() -> str:
    """The machine in one line: system, Python, processor and how many of them."""
    return f"{platform.platform()}, Python {platform.python_version()}, {_cpu()} x {os.cpu_count()}"


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2] for line in text.splitlines() if line.startswith("model name")]
    return names[0].strip() if names else platform.machine()


def main() -> int:
    """The command line."""
    command, rest = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if command == "translate" and not rest:
        from scripts.bench_translate import report

        print(f"machine: {machine()}\n")
        return 0 if report() else 1
    if command == "gateway":
        print(f"machine: {machine()}\n")
        sys.argv = ["scripts.bench_gateway", *rest]
        runpy.run_module("scripts.bench_gateway", run_name="__main__")
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
