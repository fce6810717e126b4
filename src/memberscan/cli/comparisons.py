"""``memberscan compare``: two audits, before and after a defence, or of two candidates for release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memberscan.cli.options import Json, NoSeed, answer, console, say

if TYPE_CHECKING:
    from memberscan.comparison import ComparisonContent


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(compare)


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="Directory of an audit, or its audit.json.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="The other one.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Directory for a page and JSON; by default none.")
    ] = None,
    seed: NoSeed = 0,
    json: Json = False,
) -> None:
    """Compare two audits of the same attacker: B minus A, on the same people where both say who is who.

    Example: `memberscan compare before after --out comparison`
    """
    del seed
    from memberscan.comparison import compare as make
    from memberscan.comparison.making import PAGE

    found = make(first, second, out)
    if json:
        answer(found.dump(), as_json=True)
        return
    _print(found)
    if out is not None:
        say(f"page: {out / PAGE}")


def _print(found: ComparisonContent) -> None:
    """Print the answer and a table of the attacks."""
    from rich.table import Table
    from rich.text import Text

    from memberscan.report import words

    console().print(Text(found.answer, "bold"))
    console().print(Text(found.pairing))
    table = Table("attack", found.first.name, found.second.name, "difference (95% interval)")
    for row in found.attacks:
        difference = f"{words.signed(row.difference.value)} ({words.span(row.difference, words.signed)})"
        table.add_row(
            Text(row.attack_first),
            words.fraction(row.first.value),
            words.fraction(row.second.value),
            Text(difference, "bold" if row.shown else ""),
        )
    if found.attacks:
        console().print(table)
