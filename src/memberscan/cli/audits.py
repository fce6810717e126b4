"""``memberscan audit`` and ``report``: measure what a model gives away, and show it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from memberscan.cli.options import (
    AuditDir,
    Classes,
    Json,
    NoSeed,
    Seed,
    TargetColumn,
    Unit,
    answer,
    console,
    names_in,
    one_of,
    say,
)
from memberscan.errors import BadInputError
from memberscan.threat import OF_OUTSIDERS, Access, Attacker, ThreatModel

if TYPE_CHECKING:
    from memberscan.auditing import AuditResult
    from memberscan.report import AuditContent
    from memberscan.targets import PredictionsFrom


FAILED = 4
"""Exit code if the audit found what ``--fail-on`` names."""
BROKEN = "broken guarantee"
"""What ``--fail-on`` can name besides verdicts: canaries that show more than the training states."""
FailOn = Annotated[
    str | None,
    typer.Option(
        metavar="VERDICT,...",
        help=f"Exit with {FAILED} if the verdict is one of these: leaks, no-leak-shown, inconclusive, "
        "confounded; or, with broken-guarantee, if canaries contradict the stated epsilon.",
    ),
]


Name = Annotated[
    str | None, typer.Option(metavar="TEXT", help="What the head of the report calls the audit.")
]
Note = Annotated[
    str | None, typer.Option(metavar="TEXT", help="A note for the head of the report; name no people.")
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(audit)
    app.command()(report)


def audit(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="Directory of a run, or a TSV or CSV of predictions.")
    ],
    directory: AuditDir,
    attacker: Annotated[
        str,
        typer.Option(
            help="outsider, or for a federation: learner, server, aggregate or active-server.",
            autocompletion=one_of(Attacker),
        ),
    ] = "outsider",
    access: Annotated[
        str,
        typer.Option(help="What an outsider sees: outputs or weights.", autocompletion=one_of(OF_OUTSIDERS)),
    ] = "outputs",
    leaked: Annotated[float, typer.Option(help="Share of the smaller side that the attacker knows.")] = 0.5,
    repeats: Annotated[int, typer.Option(help="How many times to draw the subjects that it knows.")] = 5,
    rounds: Annotated[
        int | None, typer.Option(help="How many rounds a party looks at, evenly spaced. By default all.")
    ] = None,
    attacks: Annotated[
        list[str] | None, typer.Option(metavar="NAME ...", help="Attacks to run. By default all.")
    ] = None,
    cohort: Annotated[
        Path | None, typer.Option(help="New path of the run's cohort, if it was moved.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="package.module:factory of the run's network, if not built in. Its code is executed."
        ),
    ] = None,
    predictions_from: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="How a file's predictions were made: one-pass if by the final model in evaluation mode, in "
            "one pass over both sides; else unknown (default), which the verdict names.",
        ),
    ] = None,
    references: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Reference models of the attacker, from memberscan references."),
    ] = None,
    reference_count: Annotated[
        int | None, typer.Option(help="Use only the first of the references; even. By default all.")
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Models kept in training, if an outsider has them beside the weights."
        ),
    ] = None,
    target: TargetColumn = None,
    unit: Unit = None,
    classes: Classes = "",
    name: Name = None,
    note: Note = None,
    pseudonyms: Annotated[
        bool, typer.Option("--pseudonyms", help="Name the subjects in scores.tsv by salted pseudonyms.")
    ] = False,
    smallest_cell: Annotated[
        int, typer.Option(help="Fewest people on each side of a group that is reported; at least 5.")
    ] = 10,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    fail_on: FailOn = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Audit a model: can someone tell who was in its training set?

    Example: `memberscan audit run audit --access weights --attacks error gradient:conv6`
    """
    from memberscan.auditing import audit as run_audit

    failing = _labels(fail_on)
    who = Attacker.parse(attacker)
    threat = ThreatModel(Access.parse(access, who), leaked, repeats, who, rounds, reference_count)
    result = run_audit(
        source,
        directory,
        threat=threat,
        attacks=attacks or (),
        cohort=cohort,
        model=model,
        pseudonyms=pseudonyms,
        smallest_cell=smallest_cell,
        device=device,
        seed=seed,
        name=name,
        note=note,
        predictions_from=cast("PredictionsFrom | None", predictions_from),
        references=references,
        checkpoints=checkpoints,
        target=target,
        unit=unit,
        classes=names_in(classes),
    )
    show_audit(result, directory, json)
    _fail_on(failing, {directory.name: result.content})


def report(
    directory: Annotated[
        Path | None, typer.Argument(metavar="AUDIT", help="Directory of the audit to render again.")
    ] = None,
    merge: Annotated[
        list[Path] | None,
        typer.Option(metavar="AUDIT ...", help="Audits to join, as directories or files audit.json."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --merge: directory for consortium.html.")
    ] = None,
    name: Name = None,
    note: Note = None,
    fail_on: FailOn = None,
    seed: NoSeed = 0,
    json: Json = False,
) -> None:
    """Render the report of an audit again, or join several audits into one page for a consortium.

    Example: `memberscan report --merge site-a --merge site-b --out consortium`
    """
    del seed
    failing = _labels(fail_on)
    if merge:
        if name is not None or note is not None:
            raise BadInputError("--name and --note are for the report of one audit; leave out --merge")
        if directory is not None or out is None:
            raise BadInputError(
                "report --merge needs audits and --out DIR; name each audit and the directory to write to"
            )
        _fail_on(failing, _merge(merge, out, json))
        return
    if directory is None or out is not None:
        raise BadInputError("report takes one AUDIT, or --merge AUDIT AUDIT ... --out DIR to join several")
    from memberscan.auditing import AuditResult

    result = AuditResult.load(directory)
    if name is not None or note is not None:
        result = result.renamed(name, note)
        result.write(directory)
    result.render(directory)
    show_audit(result, directory, json)
    _fail_on(failing, {directory.name: result.content})


def _labels(text: str | None) -> set[str]:
    """Read verdicts separated by commas; their words may be joined by dashes or blanks."""
    if text is None:
        return set()
    from memberscan.report.words import LABELS

    labels = {part.strip().replace("-", " ") for part in text.split(",") if part.strip()}
    if unknown := sorted(labels - {*LABELS, BROKEN}):
        raise BadInputError(
            f"--fail-on {unknown[0]!r} is not a verdict; choose from "
            f"{', '.join(label.replace(' ', '-') for label in (*LABELS, BROKEN))}, separated by commas"
        )
    return labels


def _fail_on(failing: set[str], audits: Mapping[str, AuditContent | Mapping[str, Any]]) -> None:
    """Exit with code :data:`FAILED` if an audit found what ``--fail-on`` names."""
    if not failing:
        return
    from memberscan.report import check

    checked = [check(audit) for audit in audits.values()]
    found = sorted({audit.verdict.label for audit in checked} & failing)
    said = [f"the verdict is {' and '.join(found)}"] if found else []
    if BROKEN in failing:
        # None where there are no canaries, or no epsilon is stated.
        broken = [None if audit.canaries is None else audit.canaries.broken for audit in checked]
        if any(broken):
            said.append("canaries contradict the stated epsilon")
        if None in broken:
            untested = "an audit has no canaries or no stated epsilon, so broken-guarantee was not tested"
            typer.echo(f"memberscan: {untested} (--fail-on)", err=True)
    if said:
        typer.echo(f"memberscan: {', and '.join(said)} (--fail-on)", err=True)
        raise typer.Exit(FAILED)


def _merge(sources: list[Path], out: Path, as_json: bool) -> Mapping[str, AuditContent]:
    """Join audits, show them, and return them."""
    from memberscan.auditing.merging import PAGE, load_audits, merge
    from memberscan.report import terminal_table

    audits = load_audits(sources)
    content = merge(audits, out)
    if as_json:
        answer(content, as_json=True)
        return audits
    console().print(terminal_table(audits))
    say(f"report: {out / PAGE}")
    return audits


def show_audit(result: AuditResult, directory: Path, as_json: bool) -> None:
    """Print an audit as JSON, or as a table and the path of its page."""
    from memberscan.report import terminal_table

    if as_json:
        answer(dict(result.content), as_json=True)
        return
    console().print(terminal_table({directory.name: dict(result.content)}))
    say(f"report: {directory / 'audit.html'}")
