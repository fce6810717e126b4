"""``memberscan study``: run a study whose numbers the documentation quotes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memberscan.cli.options import Json, Seed, answer, console
from memberscan.errors import BadInputError

_WITH_LONG = ("coverage", "verdict", "references", "reference-calibration", "defences")
_WITH_DATA = ("references", "queries", "checkpoints", "heads", "encoder", "defences")


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(study)


def study(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="overfitting, verdict, gap, chance, federated, parties, coverage, retraining, "
            "hidden-difference, exposure, reference-calibration, references, queries, checkpoints, "
            "another-visit, heads, encoder, defences, federated-defences, canaries or canary-updates.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Directory for what the study builds, its table and its figure.")
    ] = Path("studies-out"),
    run: Annotated[
        Path | None, typer.Option(help="For chance: a run whose non-members are labelled at random.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help=f"For {', '.join(_WITH_DATA)}: a folder with data to train on."),
    ] = None,
    long: Annotated[bool, typer.Option("--long", help=f"For {', '.join(_WITH_LONG)}: much more.")] = False,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Run one of the studies behind the documentation and print its table.

    Example: `memberscan study overfitting --out studies-out`
    """
    from rich.table import Table

    from memberscan.studies import STUDIES

    if long and name not in _WITH_LONG:
        raise BadInputError(f"--long is for {', '.join(_WITH_LONG)}; leave it out")
    if data and name not in _WITH_DATA:
        raise BadInputError(f"--data is for {', '.join(_WITH_DATA)}; leave it out")
    if name not in STUDIES:
        raise BadInputError(f"study {name!r} is unknown; choose one of {', '.join(STUDIES)}")
    options = ({"long": True} if long else {}) | ({"data": data} if data else {})
    rows = STUDIES[name](out / name, seed=seed, run=run, **options)
    if json:
        # JSON has no NaN.
        answer(
            {"study": name, "rows": rows.astype(object).where(rows.notna(), None).to_dict("records")},
            as_json=True,
        )
        return
    table = Table(*map(str, rows.columns))
    for row in rows.itertuples(index=False):
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row))
    console().print(table)
