"""``memberscan frontier``: every defence at several strengths, error against leakage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from memberscan.cli.options import (
    Classes,
    CohortDir,
    Given,
    Json,
    TargetColumn,
    Unit,
    answer,
    console,
    declared,
    say,
    with_target,
)
from memberscan.models.model_options import ModelOptions
from memberscan.training.config import TrainingConfig

if TYPE_CHECKING:
    from memberscan.frontier import FrontierContent
    from memberscan.task_pool import Engine


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(frontier)


@declared("training", TrainingConfig, omit=("defence",))
@declared("options", ModelOptions, omit=("class_count",))
def frontier(
    cohort: CohortDir,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Directory for models, audits, table and page.")],
    model: Annotated[str, typer.Option(help="cnn3d, slice-mean, mlp or package.module:factory.")],
    defences: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|NAME ...",
            help="A table of points (name, defence, settings); or names: all, early-stopping, weight-decay, "
            "dropout, a defence at all its strengths, a defence with parameters, or package.module:Class of "
            "your own, whose code is executed. By default all.",
        ),
    ] = None,
    references: Annotated[
        int, typer.Option(help="Reference models for each point and seed, trained with its defence; even.")
    ] = 8,
    seeds: Annotated[int, typer.Option(help="How often each point is trained, on other members.")] = 3,
    attacks: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME ...", help="Attacks to run on every point. By default the strongest."),
    ] = None,
    access: Annotated[str, typer.Option(help="What the attacker sees: outputs or weights.")] = "outputs",
    members: Annotated[float, typer.Option(help="Share of the subjects to train on.")] = 0.5,
    validation: Annotated[
        float, typer.Option(help="Share of the members held out to choose an epoch, at every point.")
    ] = 0.1,
    target: TargetColumn = None,
    unit: Unit = None,
    classes: Classes = "",
    workers: Annotated[
        int | None,
        typer.Option(help="Points trained at a time; by default one per core, or one on a CUDA card."),
    ] = None,
    engine: Annotated[str, typer.Option(help="local, or ray for a Ray cluster.")] = "local",
    address: Annotated[str | None, typer.Option(help="Address of the Ray cluster.")] = None,
    *,
    training: Given,
    options: Given,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Decides the draws of members and the defences' random numbers. By default a secret seed; "
            "whoever guesses it can repeat the draws."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Train every defence at several strengths, attack each, and lay error against leakage.

    Example: `memberscan frontier cohort frontier --model mlp --defences all --references 8 --seeds 3`
    """
    from memberscan.frontier import frontier as make
    from memberscan.frontier.making import PAGE

    found = make(
        with_target(cohort, target, unit, classes),
        out,
        model=model,
        defences=defences or (),
        references=references,
        seeds=seeds,
        attacks=attacks or (),
        access=access,
        members=members,
        validation=validation,
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


def _print(found: FrontierContent) -> None:
    from rich.table import Table

    from memberscan.report import words

    table = Table("point", f"error ({found.variable.unit or 'deviance residual'})", "AUC", "frontier")
    for point in found.points:
        if point.error is None or point.everybody is None:
            table.add_row(point.name, "failed", point.failed or "", "")
            continue
        error, auc = point.error, point.everybody.auc
        table.add_row(
            point.name,
            f"{words.amount(error.value, found.variable)} "
            f"({words.span(error, lambda value: words.amount(value, found.variable))})",
            f"{words.fraction(auc.value)} ({words.span(auc)})",
            "yes" if point.on_frontier else "",
        )
    console().print(table)
