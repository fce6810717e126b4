"""``memberscan reproduce``: a paper's experiments on another cohort, laid beside its claims."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from memberscan.cli.options import CohortDir, Given, Json, answer, console, declared, say
from memberscan.models.model_options import ModelOptions
from memberscan.training.config import TrainingConfig

if TYPE_CHECKING:
    from memberscan.report.content.parts import Estimate
    from memberscan.reproduction import ReproductionContent
    from memberscan.task_pool import Engine

_PAPERS = TrainingConfig(learning_rate=1e-4)
"""How the paper trained."""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(reproduce)


@declared(
    "training",
    TrainingConfig,
    omit=("epochs", "keep", "patience", "defence"),
    helps={"learning_rate": "Learning rate of both models; by default the paper's."},
    defaults=_PAPERS,
)
@declared("options", ModelOptions, omit=("head", "class_count"))
def reproduce(
    paper: Annotated[str, typer.Argument(metavar="PAPER", help="midl2021.")],
    cohort: CohortDir,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Directory for models, audits, table and page.")],
    quick: Annotated[
        bool, typer.Option("--quick", help="Three draws, and a fifth of the epochs and rounds.")
    ] = False,
    draws: Annotated[int | None, typer.Option(help="Draws of members in one place; by default 5.")] = None,
    federated_draws: Annotated[int, typer.Option(help="Draws of each federation.")] = 1,
    length: Annotated[
        float | None, typer.Option(help="Share of the paper's epochs and rounds; by default 1.")
    ] = None,
    members: Annotated[float, typer.Option(help="Share of the subjects to train on in one place.")] = 0.5,
    validation: Annotated[
        float,
        typer.Option(
            help="Share of the members held out to choose the epoch, as in the paper; 0 keeps the last one."
        ),
    ] = 0.1,
    held_out: Annotated[float, typer.Option(help="Share of the subjects kept out of a federation.")] = 0.2,
    learners: Annotated[int, typer.Option(help="Learners of each federation.")] = 8,
    workers: Annotated[
        int | None,
        typer.Option(help="Tasks at a time; by default one per core, or one on a CUDA card."),
    ] = None,
    engine: Annotated[str, typer.Option(help="local, or ray for a Ray cluster.")] = "local",
    address: Annotated[str | None, typer.Option(help="Address of the Ray cluster.")] = None,
    *,
    training: Given,
    options: Given,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Decides the draws of people. By default a secret seed; whoever guesses it can repeat them."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Do what a paper did on a cohort of yours, and lay the figures beside the paper's claims.

    Example: `memberscan reproduce midl2021 cohort reproduction --quick`
    """
    from memberscan.reproduction import reproduce as make
    from memberscan.reproduction.making import PAGE

    found = make(
        paper,
        cohort,
        out,
        quick=quick,
        draws=draws,
        federated_draws=federated_draws,
        length=length,
        members=members,
        validation=validation,
        held_out=held_out,
        learners=learners,
        options=options,
        config=TrainingConfig(**training),
        seed=seed,
        workers=workers,
        engine=cast("Engine", engine),
        address=address,
    )
    if json:
        answer(found.dump(), as_json=True)
        return
    _print(found)
    say(f"page: {out / PAGE}")


def _print(found: ReproductionContent) -> None:
    """Print both tables, and what they say of the claims."""
    from rich.table import Table

    accuracies = Table("model", "attack", "accuracy (95% interval)")
    for row in found.central:
        accuracies.add_row(row.model, row.attack, _written(row.accuracy))
    for curve in found.curves:
        where = f"learners, {curve.environment}, last round"
        accuracies.add_row(curve.model, where, _written(curve.rounds[-1].accuracy if curve.rounds else None))
    console().print(accuracies)
    claims = Table("claim", "of", "paper", "here", "outcome")
    for claim in found.claims:
        about = ", ".join(filter(None, (claim.model, claim.environment)))
        claims.add_row(claim.name, about, claim.paper, _written(claim.found), claim.outcome)
    console().print(claims)
    for failed in found.failed:
        say(f"failed: {failed.what}: {failed.reason}")


def _written(found: Estimate | None) -> str:
    """Return an estimate with its interval, or n/a."""
    from memberscan.report import words

    return f"{words.rough(found.value)} ({words.span(found, words.rough)})" if found else "n/a"
