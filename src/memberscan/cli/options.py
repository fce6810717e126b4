"""Options that several commands share, and how every command prints its answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

Seed = Annotated[int, typer.Option(help="Root seed; the same seed gives the same result.")]
NoSeed = Annotated[int, typer.Option(help="Accepted as by every command; nothing here is drawn at random.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON on standard output.")]
CohortDir = Annotated[Path, typer.Argument(metavar="COHORT", help="Directory of the cohort.")]
RunDir = Annotated[Path, typer.Argument(metavar="RUN", help="Directory of the run.")]
AuditDir = Annotated[Path, typer.Argument(metavar="AUDIT", help="Directory of the audit.")]


def console() -> Console:
    """Return the console for answers; progress and errors go to standard error."""
    return Console(width=None if Console().is_terminal else 110, highlight=False)


def answer(facts: Mapping[str, Any], as_json: bool) -> None:
    """Print facts: as JSON, or one line each."""
    if as_json:
        from memberscan.files import to_json

        typer.echo(to_json(facts), nl=False)
        return
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        typer.echo(f"{name.replace('_', ' '):<{width}}  {value}")
