"""``memberscan-bids``: the same library, called as a BIDS App is: BIDS_DIR OUT participant or group."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from memberscan.cli import root, run
from memberscan.cli.audits import show_audit
from memberscan.cli.cohorts import entities_of
from memberscan.cli.options import Json, Seed, answer, one_of
from memberscan.errors import BadInputError
from memberscan.threat import OF_OUTSIDERS, Access, Attacker, ThreatModel

COHORT, AUDIT = "cohort", "audit"
_NOT_BIDS = (f"{COHORT}/", f"{AUDIT}/", "quality_*")
LABELS = ("--participant-label", "--participant_label")


class Level(StrEnum):
    """Levels of analysis of a BIDS App."""

    PARTICIPANT = "participant"
    GROUP = "group"


app = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False)


def main() -> None:
    """Run the BIDS App; exit codes and errors are those of ``memberscan``."""
    run(app, root.each_value_named(sys.argv[1:], LABELS))


@app.command()
def bids_app(
    context: typer.Context,
    bids_dir: Annotated[Path, typer.Argument(metavar="BIDS_DIR", help="The BIDS dataset; only read.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Directory of the derivative.")],
    level: Annotated[
        Level, typer.Argument(help="participant: prepare and check scans; group: audit a model.")
    ],
    participant_label: Annotated[
        list[str] | None,
        typer.Option(
            *LABELS, metavar="LABEL ...", help="People to take, with or without sub-; default: everybody."
        ),
    ] = None,
    select: Annotated[
        list[str] | None,
        typer.Option(help="participant: entity that files must have, such as desc=brain; may be repeated."),
    ] = None,
    suffix: Annotated[
        str | None, typer.Option(help="participant: kind of image, such as FLAIR; default T1w.")
    ] = None,
    spacing: Annotated[
        float | None, typer.Option(help="participant: edge of a voxel of the cohort's grid, mm; default 4.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="RUN", help="group: the model to audit, as a directory of a run.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="group: a table of predictions to audit.")
    ] = None,
    access: Annotated[
        str | None,
        typer.Option(
            help="group: what an outsider sees: outputs or weights; default outputs.",
            autocompletion=one_of(OF_OUTSIDERS),
        ),
    ] = None,
    references: Annotated[
        Path | None, typer.Option(metavar="DIR", help="group: reference models of the attacker.")
    ] = None,
    skip_bids_validation: Annotated[
        bool,
        typer.Option(
            "--skip-bids-validation",
            "--skip_bids_validation",
            help="Accepted and without effect: no validator is run, and what is read is always checked.",
        ),
    ] = False,
    n_cpus: Annotated[
        int | None, typer.Option("--n-cpus", "--n_cpus", help="Number of threads; default: one per core.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show only the result and errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show every line of progress.")] = False,
    progress: Annotated[str, typer.Option(metavar="auto|json", help="Form of the progress.")] = "auto",
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=root.print_version)
    ] = False,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Prepare and check the scans of a BIDS dataset, or audit a model, and write a BIDS derivative.

    Example: `memberscan-bids ds000001 derivatives/memberscan participant --participant-label 01 02`
    """
    del skip_bids_validation, version
    root.options(context, threads_=n_cpus, quiet=quiet, verbose=verbose, progress=progress)
    if level is Level.PARTICIPANT:
        _refuse_others(level, model=model, predictions=predictions, access=access, references=references)
        _prepare(
            bids_dir, out, json, participants=participant_label or (), select=entities_of(select or []),
            suffix=suffix or "T1w", spacing=4.0 if spacing is None else spacing,
        )  # fmt: skip
    else:
        _refuse_others(
            level, participant_label=participant_label, select=select, suffix=suffix, spacing=spacing
        )
        source, seen = _one_of(model, predictions), access or Access.OUTPUTS
        _audit(bids_dir, out, json, source=source, access=seen, references=references, seed=seed)


def _prepare(bids_dir: Path, out: Path, as_json: bool, **choices: Any) -> None:
    """Build the cohort, and write what there is to say about its scans."""
    from memberscan.bids_derivative import derivative
    from memberscan.cohort import Cohort
    from memberscan.cohort.quality import quality, write_quality

    name = f"quality_{choices['suffix']}.tsv"
    with derivative(out, bids_dir, not_bids=_NOT_BIDS):
        cohort = Cohort.from_bids(bids_dir, out / COHORT, **choices)
        table = quality(cohort)
        write_quality(table, out / name)
    facts = {
        "cohort": str(cohort.path),
        "quality": str(out / name),
        "subjects": len(cohort.subjects),
        "scans": len(cohort),
        "excluded": len(cohort.excluded),
        "unusual": int((table["unusual"].fillna("") != "").sum()),
    }
    answer(facts, as_json)


def _audit(
    bids_dir: Path, out: Path, as_json: bool, *, source: Path, access: str, references: Path | None, seed: int
) -> None:
    from memberscan.auditing import audit
    from memberscan.bids_derivative import derivative

    threat = ThreatModel(Access.parse(access, Attacker.OUTSIDER))
    with derivative(out, bids_dir, not_bids=_NOT_BIDS):
        result = audit(source, out / AUDIT, threat=threat, references=references, seed=seed)
    show_audit(result, out / AUDIT, as_json)


def _one_of(model: Path | None, predictions: Path | None) -> Path:
    given = [path for path in (model, predictions) if path is not None]
    if len(given) != 1:
        raise BadInputError("the group level audits one model; give --model RUN or --predictions FILE")
    return given[0]


def _refuse_others(level: Level, **options: object) -> None:
    """Refuse options of the other level, which would be ignored."""
    if given := [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]:
        raise BadInputError(f"{', '.join(given)}: not for the {level} level; leave it out")
