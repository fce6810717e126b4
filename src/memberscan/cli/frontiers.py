"""``memberscan frontier`` and ``federated-frontier``: error against leakage of defences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from memberscan.cli.options import (
    By,
    Classes,
    CohortDir,
    Environment,
    Given,
    HeldOut,
    Json,
    Learners,
    TargetColumn,
    Unit,
    answer,
    console,
    declared,
    of_federations,
    say,
    stated_settings,
    with_target,
)
from memberscan.models.model_options import ModelOptions
from memberscan.training.config import TrainingConfig

if TYPE_CHECKING:
    from memberscan.frontier import FrontierContent
    from memberscan.task_pool import Engine


Points = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE|NAME ...",
        help="A table of points (name, defence, settings); or names: all, early-stopping, weight-decay, "
        "dropout, a defence at all its strengths, a defence with parameters, or package.module:Class of "
        "your own, whose code is executed. By default all.",
    ),
]
Workers = Annotated[
    int | None, typer.Option(help="Points trained at a time; by default one per core, or one on a CUDA card.")
]
OnEngine = Annotated[str, typer.Option(help="local, or ray for a Ray cluster.")]
Address = Annotated[str | None, typer.Option(help="Address of the Ray cluster.")]
DrawnBy = Annotated[
    int | None,
    typer.Option(
        help="Decides the draws of members and the defences' random numbers. By default a secret seed; "
        "whoever guesses it can repeat the draws."
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(frontier)
    app.command("federated-frontier")(federated_frontier)


@declared("training", TrainingConfig, omit=("defence",))
@declared("options", ModelOptions, omit=("class_count",))
def frontier(
    cohort: CohortDir,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Directory for models, audits, table and page.")],
    model: Annotated[str, typer.Option(help="cnn3d, slice-mean, mlp or package.module:factory.")],
    defences: Points = None,
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
    workers: Workers = None,
    engine: OnEngine = "local",
    address: Address = None,
    *,
    training: Given,
    options: Given,
    seed: DrawnBy = None,
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


@of_federations(omit=("defence", "secure", "timeout"))
def federated_frontier(
    cohort: CohortDir,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Directory for federations, tables and pages.")],
    model: Annotated[str, typer.Option(help="cnn3d, slice-mean, mlp or package.module:factory.")],
    defences: Points = None,
    seeds: Annotated[int, typer.Option(help="How often each point is federated, on other divisions.")] = 3,
    environment: Environment = "uniform-iid",
    learners: Learners = 8,
    by: By = None,
    held_out: HeldOut = 0.2,
    target: TargetColumn = None,
    unit: Unit = None,
    classes: Classes = "",
    workers: Workers = None,
    engine: OnEngine = "local",
    address: Address = None,
    *,
    settings: Given,
    training: Given,
    options: Given,
    seed: DrawnBy = None,
    json: Json = False,
) -> None:
    """Federate with every defence at several strengths, attack each as a learner and as the server.

    Example: `memberscan federated-frontier cohort frontier --model cnn3d --learners 8 --defences fedsparsify`
    """
    from memberscan.frontier import federated_frontier as make
    from memberscan.frontier.making import PAGE

    made = make(
        with_target(cohort, target, unit, classes),
        out,
        settings=stated_settings(model, 0, settings, training, options),
        defences=defences or (),
        seeds=seeds,
        environment=environment,
        learners=learners,
        held_out=held_out,
        by=by,
        seed=seed,
        workers=workers,
        engine=cast("Engine", engine),
        address=address,
    )
    if json:
        answer({str(party): found.dump() for party, found in made.items()}, as_json=True)
        return
    for party, found in made.items():
        say(f"attacked by {'the server' if party == 'server' else 'another learner'}:")
        _print(found)
        say(f"page: {out / party / PAGE}")


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
