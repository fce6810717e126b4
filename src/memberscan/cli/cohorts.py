"""``memberscan cohort``: build a cohort from a BIDS dataset, a table, or the phantom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memberscan.cli.options import CohortDir, Json, NoSeed, Seed, answer, names_in
from memberscan.errors import BadInputError

if TYPE_CHECKING:
    from memberscan.cohort import Cohort

app = typer.Typer(
    help="Build a cohort: scans, ages, and what else is known about people.", no_args_is_help=True
)


@app.command()
def bids(
    bids_dir: Annotated[Path, typer.Argument(metavar="BIDS_DIR", help="A BIDS dataset, raw or derivative.")],
    cohort: CohortDir,
    select: Annotated[
        list[str] | None,
        typer.Option(help="Entity that files must have, such as desc=brain; may be repeated."),
    ] = None,
    suffix: Annotated[str, typer.Option(help="Kind of image, such as T1w or FLAIR.")] = "T1w",
    spacing: Annotated[
        float | None, typer.Option(help="Edge of a voxel of the cohort's grid, mm; default 4.")
    ] = None,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Take images as they are: for a model that was trained on them.")
    ] = False,
    recentre: Annotated[
        bool | None,
        typer.Option(
            "--recentre/--keep-position",
            help="Shift each head to the centre of the grid; default: unless registered to a template.",
        ),
    ] = None,
    participants: Annotated[
        str, typer.Option(help="Labels of the people to take, separated by commas; default: everybody.")
    ] = "",
    seed: NoSeed = 0,
    json: Json = False,
) -> None:
    """Build a cohort from the scans of a BIDS dataset.

    Example: `memberscan cohort bids ds000001 cohort --select desc=brain --spacing 4`
    """
    del seed
    from memberscan.cohort import Cohort

    if as_is and spacing is not None:
        raise BadInputError("--as-is keeps the images' own grid and --spacing gives another; leave out one")
    if as_is and recentre is not None:
        raise BadInputError("--as-is moves no image; leave out --recentre and --keep-position")
    made = Cohort.from_bids(
        bids_dir,
        cohort,
        select=entities_of(select or []),
        suffix=suffix,
        spacing=None if as_is else 4.0 if spacing is None else spacing,
        recentre=recentre,
        participants=names_in(participants),
    )
    _print(made, json)


@app.command()
def table(
    csv: Annotated[Path, typer.Argument(metavar="CSV", help="CSV or TSV, one row per scan.")],
    cohort: CohortDir,
    subject: Annotated[str, typer.Option(help="Column with the subject's id.")],
    age: Annotated[str, typer.Option(help="Column with the age in years.")],
    covariates: Annotated[str, typer.Option(help="Columns that are not features, separated by commas.")] = "",
    features: Annotated[
        str, typer.Option(help="Columns that are features; default: all other numeric columns.")
    ] = "",
    seed: NoSeed = 0,
    json: Json = False,
) -> None:
    """Build a cohort from a table of regional measures; it prints which columns became features.

    Example: `memberscan cohort table thickness.csv cohort --subject uid --age age --covariates sex,site`
    """
    del seed
    from memberscan.cohort import Cohort

    made = Cohort.from_table(
        csv, cohort, subject=subject, age=age, covariates=names_in(covariates), features=names_in(features)
    )
    _print(made, json)


@app.command("from")
def from_(
    csv: Annotated[Path, typer.Argument(metavar="CSV", help="CSV or TSV, one row per scan.")],
    cohort: CohortDir,
    loader: Annotated[
        str,
        typer.Option(help="package.module:function of your own, from a cell to an array; it is executed."),
    ],
    subject: Annotated[str, typer.Option(help="Column with the subject's id.")],
    age: Annotated[str, typer.Option(help="Column with the age in years.")],
    file: Annotated[
        str | None, typer.Option(help="Column with what the function gets; default: the subject's id.")
    ] = None,
    covariates: Annotated[str, typer.Option(help="Columns that describe people; default: all others.")] = "",
    seed: NoSeed = 0,
    json: Json = False,
) -> None:
    """Build a cohort from images that your own function loads.

    Example: `memberscan cohort from people.csv cohort --loader lab:load --subject id --age age --file path`
    """
    del seed
    from memberscan.cohort import Cohort

    made = Cohort.from_loader(
        csv, cohort, loader=loader, subject=subject, age=age, file=file, covariates=names_in(covariates)
    )
    _print(made, json)


@app.command()
def phantom(
    cohort: CohortDir,
    subjects: Annotated[int, typer.Option(help="Number of people.")] = 200,
    spacing: Annotated[float, typer.Option(help="Edge of a voxel of the cohort's grid, mm.")] = 6.0,
    scans_per_subject: Annotated[int, typer.Option(help="Number of scans per person.")] = 1,
    patients: Annotated[float, typer.Option(help="Share of the people with a simulated disease.")] = 0.0,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Make a cohort of synthetic, T1-like brains.

    Example: `memberscan cohort phantom phantoms --subjects 200 --spacing 6`
    """
    from memberscan.cohort import Cohort

    made = Cohort.phantom(
        cohort,
        subjects=subjects,
        spacing=spacing,
        scans_per_subject=scans_per_subject,
        seed=seed,
        patients=patients,
    )
    _print(made, json)


def entities_of(pairs: list[str]) -> dict[str, str]:
    """Read key=value pairs, given one per option or separated by commas."""
    entities = {}
    for pair in (p for text in pairs for p in text.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise BadInputError(f"--select {pair!r} is not of the form entity=value, such as desc=brain")
        entities[key.strip()] = value.strip()
    return entities


def _print(cohort: Cohort, as_json: bool) -> None:
    facts = {
        "cohort": str(cohort.path),
        "scans": len(cohort),
        "subjects": len(cohort.subjects),
        "excluded": len(cohort.excluded),
        "shape": list(cohort.shape),
        "covariates": list(cohort.covariates),
        **({"features": list(cohort.features)} if cohort.features else {}),
        "ignored": list(cohort.ignored),
        "fingerprint": cohort.fingerprint,
    }
    answer(facts, as_json)
