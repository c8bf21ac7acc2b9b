"""Printing: results to stdout, everything else to stderr, one clear sentence for every failure."""

from __future__ import annotations

from typing import Final, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

out: Final = Console(soft_wrap=True, highlight=False)
err: Final = Console(stderr=True, soft_wrap=True, highlight=False)


def step(text: str) -> None:
    """A line of progress."""
    err.print(f"[dim]==>[/dim] {escape(text)}")


def warn(text: str) -> None:
    """A line about what somebody has to do."""
    err.print(f"[yellow]warning:[/yellow] {escape(text)}")


def fail(text: str, code: int = 1) -> NoReturn:
    """Say what is wrong and what to do, and end."""
    err.print(f"[red]error:[/red] {escape(text)}")
    raise typer.Exit(code)
