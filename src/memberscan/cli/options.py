"""Options that several commands share, and how every command prints its answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from memberscan.shown import escaped, plain

Seed = Annotated[int, typer.Option(help="Root seed; the same seed gives the same result.")]
NoSeed = Annotated[int, typer.Option(help="Accepted as by every command; nothing here is drawn at random.")]
DrawSeed = Annotated[
    int | None,
    typer.Option(
        help="Draws the members, and decides the training's random numbers. Without one, members are drawn "
        "in secret and the training takes 0. Whoever guesses a seed can draw the same members again."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON on standard output.")]
CohortDir = Annotated[Path, typer.Argument(metavar="COHORT", help="Directory of the cohort.")]
RunDir = Annotated[Path, typer.Argument(metavar="RUN", help="Directory of the run.")]
AuditDir = Annotated[Path, typer.Argument(metavar="AUDIT", help="Directory of the audit.")]

Width = Annotated[int | None, typer.Option(help="Width of the first layer; by default the model's own.")]
Dropout = Annotated[float | None, typer.Option(help="Share of features dropped in training.")]
LearningRate = Annotated[float | None, typer.Option(help="By default the model's own.")]
BatchSize = Annotated[int, typer.Option(help="Scans a step.")]
Optimizer = Annotated[str, typer.Option(help="adam or sgd.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Rounds = Annotated[int, typer.Option(help="Rounds of training and averaging.")]
LocalEpochs = Annotated[int, typer.Option(help="Epochs of each learner in a round.")]
MinLearners = Annotated[int, typer.Option(help="A round with fewer ends the federation.")]
Timeout = Annotated[float, typer.Option(help="Seconds that a round waits for learners elsewhere.")]
Secure = Annotated[str, typer.Option(help="none, or ckks: the server sees ciphertexts only.")]


def given(**options: float | None) -> dict[str, float]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def console() -> Console:
    """Return the console for answers; progress and errors go to standard error."""
    return Console(width=None if Console().is_terminal else 110, highlight=False)


def answer(facts: Mapping[str, Any], as_json: bool) -> None:
    """Print facts: as JSON, or one line each."""
    if as_json:
        from memberscan.files import to_json

        typer.echo(escaped(to_json(facts)), nl=False)
        return
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        say(f"{name.replace('_', ' '):<{width}}  {value}")


def say(line: str) -> None:
    """Print a line; names of files in it may hold anything."""
    typer.echo(plain(line))
