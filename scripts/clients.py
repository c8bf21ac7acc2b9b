"""Install the real agent programs that the tests run, at the versions pinned in `clients.json`.

    python -m scripts.clients install    into .cache/clients, only what is missing
    python -m scripts.clients update     pin the newest versions, then install them

Nothing outside the repository's own cache is touched.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PINS: Final = Path(__file__).with_name("clients.json")
CACHE: Final = ROOT / ".cache" / "clients"
PACKAGES: Final = {
    "claude": "@anthropic-ai/claude-code",
    "codex": "@openai/codex",
    "gemini": "@google/gemini-cli",
    "opencode": "opencode-ai",
}
_PROGRAMS: Final = {
    # Two packages hold their program in a platform package beside them; install scripts do not run here.
    "claude": ("@anthropic-ai/claude-code-*/claude",),
    "codex": (".bin/codex",),
    "gemini": (".bin/gemini",),
    "opencode": ("opencode-*-*[!e]/bin/opencode", "opencode-*/bin/opencode"),
}


def pins() -> dict[str, str]:
    """Package name -> pinned version."""
    loaded: dict[str, str] = json.loads(PINS.read_text())
    return loaded


def binary(client: str) -> Path | None:
    """A client's program in the cache, None when it is not installed."""
    for pattern in _PROGRAMS[client]:
        if found := sorted((CACHE / "node_modules").glob(pattern)):
            return found[0]
    return None


def installed_version(package: str) -> str | None:
    """The version in the cache, None when it is not there."""
    manifest = CACHE / "node_modules" / package / "package.json"
    if not manifest.exists():
        return None
    version: str = json.loads(manifest.read_text())["version"]
    return version


def is_required() -> bool:
    """Whether a missing program is a failure: in CI, and wherever npm could install it."""
    return os.environ.get("CI") == "true" or shutil.which("npm") is not None


def install() -> int:
    """Install what is missing; npm's exit code."""
    wanted = {
        name: version for name, version in pins().items() if installed_version(name) != version
    }
    if not wanted:
        return 0
    npm = shutil.which("npm")
    if npm is None:
        print("error: npm is not installed", file=sys.stderr)
        return 1
    CACHE.mkdir(parents=True, exist_ok=True)
    manifest = {"name": "llmgate-clients", "private": True, "dependencies": pins()}
    (CACHE / "package.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(f"==> installing {', '.join(f'{n}@{v}' for n, v in wanted.items())}", file=sys.stderr)
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
    # npm prints its warnings about the user's own configuration to stderr; they are not ours to show.
    done = subprocess.run([*command, "--loglevel=error"], cwd=CACHE, check=False)
    return done.returncode


def update() -> int:
    """Pin the newest version of every package, then install."""
    newest = {}
    for name in pins():
        command = ["npm", "view", name, "version", "--loglevel=error"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=dict(os.environ)
        )
        newest[name] = done.stdout.strip()
    PINS.write_text(json.dumps(newest, indent=2) + "\n")
    return install()


def main() -> int:
    """The command line."""
    commands = {"install": install, "update": update}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        print(__doc__, file=sys.stderr)
        return 2
    return commands[sys.argv[1]]()


if __name__ == "__main__":
    sys.exit(main())
