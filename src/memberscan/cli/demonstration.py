"""``memberscan demo``: every step from brains to reports, on synthetic brains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memberscan.cli.options import Json, Seed, answer, console, say


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Directory to write into.")] = Path("memberscan-demo"),
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Build a phantom cohort, train both target models and a federation, and audit all in two minutes.

    Example: `memberscan demo --out memberscan-demo`
    """
    from memberscan.report import terminal_table
    from memberscan.studies.demo import run_demo

    results = run_demo(out, seed=seed)
    contents = {name: dict(result.content) for name, result in results.items()}
    if json:
        answer(contents, as_json=True)
        return
    console().print(terminal_table(contents))
    for name in results:
        say(f"report: {out / f'audit-{name}' / 'audit.html'}")
