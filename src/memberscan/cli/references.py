"""``memberscan references``: train reference models, or plan them and collect what a lab has trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import click
import typer
from typer.core import TyperGroup

from memberscan.cli.options import Classes, Json, NoSeed, Seed, TargetColumn, Unit, answer, names_in

if TYPE_CHECKING:
    from memberscan.task_pool import Engine

UNFINISHED = 3
"""Exit code if the budget ended, or predictions are missing."""
Source = Annotated[
    Path, typer.Argument(metavar="SOURCE", help="Directory of a run, or a TSV or CSV of predictions.")
]
References = Annotated[Path, typer.Argument(metavar="REFS", help="Directory of the references.")]
Count = Annotated[int, typer.Option(help="Number of references; even.")]
CohortOption = Annotated[
    Path | None, typer.Option(help="Cohort, for a predictions file, or where a run's cohort was moved.")
]
Model = Annotated[
    str | None,
    typer.Option(help="package.module:factory of the run's network, if not built in. Its code is executed."),
]


class _TrainByDefault(TyperGroup):
    """Lets ``memberscan references RUN REFS`` mean ``memberscan references train RUN REFS``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["train", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_TrainByDefault,
    no_args_is_help=True,
    help="Train reference models for an audit, or plan them for a pipeline of your own.",
)


@app.command()
def train(
    source: Source,
    directory: References,
    count: Count = 8,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:FUNCTION",
            help="Function (cohort, members, seed) that returns a model, or predictions of all scans. Its "
            "code is executed. By default the run's own recipe.",
        ),
    ] = None,
    cohort: CohortOption = None,
    model: Model = None,
    target: TargetColumn = None,
    unit: Unit = None,
    classes: Classes = "",
    workers: Annotated[
        int | None,
        typer.Option(help="References trained at a time; by default one per core, or one on a CUDA card."),
    ] = None,
    engine: Annotated[str, typer.Option(help="local, or ray for a Ray cluster.")] = "local",
    address: Annotated[str | None, typer.Option(help="Address of the Ray cluster.")] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Begin no reference after this time, such as 2h or 90m."),
    ] = None,
    keep_weights: Annotated[bool, typer.Option("--keep-weights", help="Keep the models too.")] = False,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Train models of the target's recipe on other people, for attacks that compare with them.

    Example: `memberscan references train run references --count 8`, or without the word train
    """
    from memberscan.auditing.making_references import train_references
    from memberscan.cli.logs import NOTES
    from memberscan.training.reference_tasks import seconds_of

    made = train_references(
        source,
        directory,
        count=count,
        recipe=recipe,
        cohort=cohort,
        model=model,
        target=target,
        unit=unit,
        classes=names_in(classes),
        workers=workers,
        engine=cast("Engine", engine),
        address=address,
        budget=None if budget is None else seconds_of(budget),
        keep_weights=keep_weights,
        seed=seed,
        announce=lambda found: NOTES.info("%s", found),
    )
    if made is None:
        answer({"references": str(directory), "finished": "no: the budget ended; run again to go on"}, json)
        raise typer.Exit(UNFINISHED)
    answer({"references": str(directory), "count": len(made), "recipe": made.recipe}, json)


@app.command()
def plan(
    source: Source,
    directory: References,
    count: Count = 8,
    cohort: CohortOption = None,
    model: Model = None,
    target: TargetColumn = None,
    unit: Unit = None,
    classes: Classes = "",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Write who is in each reference: a list of subjects each, and a SLURM script.

    Example: `memberscan references plan predictions.tsv references --count 16`
    """
    from memberscan.auditing.making_references import plan_references
    from memberscan.references.collect import LISTS, SLURM

    made = plan_references(
        source, directory, count=count, cohort=cohort, model=model, seed=seed,
        target=target, unit=unit, classes=names_in(classes),
    )  # fmt: skip
    facts = {
        "references": str(directory),
        "count": len(made.inside),
        "people": len(made.subjects),
        "people in each": int(made.inside[0].sum()),
        "lists": str(directory / LISTS),
        "slurm": str(directory / SLURM),
    }
    answer(facts, json)


@app.command()
def collect(
    directory: References,
    tables: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="TABLE ...", help="Predictions, named as the references, or directories of them."
        ),
    ] = None,
    seed: NoSeed = 0,
    json: Json = False,
) -> None:
    """Read the predictions of planned references back, and check that they are those of the plan.

    Example: `memberscan references collect references returned/`
    """
    del seed
    from memberscan.auditing.making_references import collect_references

    found = collect_references(directory, tables or [])
    if found.ensemble is None:
        missing = ", ".join(found.missing[:10]) + (", ..." if len(found.missing) > 10 else "")
        answer({"references": str(directory), "missing": missing}, json)
        raise typer.Exit(UNFINISHED)
    answer({"references": str(directory), "count": len(found.ensemble), "missing": "none"}, json)
