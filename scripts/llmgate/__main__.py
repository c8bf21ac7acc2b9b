"""Entry point of the command line."""

from __future__ import annotations

import typer

from scripts.llmgate import configuration, providers, running, serving, status, translating
from scripts.llmgate.connect import command as connecting

app = typer.Typer(
    name="llmgate",
    help="An LLM gateway on mitmproxy: any coding agent to any provider.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
for group in (serving, running, configuration, providers, translating, status, connecting):
    group.register(app)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
