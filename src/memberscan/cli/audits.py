"""``memberscan audit`` and ``report``: find out what a model gives away, and show it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memberscan.cli.options import AuditDir, Json, NoSeed, Seed, answer, console, say
from memberscan.errors import BadInputError
from memberscan.threat import Access, Attacker, ThreatModel

if TYPE_CHECKING:
    from memberscan.auditing import AuditResult


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
        typer.Option(help="outsider, or of a federation: learner, server, aggregate or active-server."),
    ] = "outsider",
    access: Annotated[str, typer.Option(help="What an outsider sees: outputs or weights.")] = "outputs",
    leaked: Annotated[float, typer.Option(help="Share of the smaller side that the attacker knows.")] = 0.5,
    repeats: Annotated[int, typer.Option(help="Draws of the subjects it knows.")] = 5,
    rounds: Annotated[
        int | None, typer.Option(help="Rounds that a party looks at, evenly spaced. By default all.")
    ] = None,
    attacks: Annotated[
        list[str] | None, typer.Option(metavar="NAME ...", help="Attacks to run. By default all.")
    ] = None,
    cohort: Annotated[Path | None, typer.Option(help="The run's cohort, where it was moved.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="package.module:factory of the run's network, if it is not one of ours; it is run."
        ),
    ] = None,
    pseudonyms: Annotated[
        bool, typer.Option("--pseudonyms", help="Name subjects in scores.tsv, by salted pseudonyms.")
    ] = False,
    smallest_cell: Annotated[
        int, typer.Option(help="Fewest people on each side of a group that is reported; at least 5.")
    ] = 10,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Audit a model: can someone tell who was in its training set?

    Example: `memberscan audit run audit --access weights --attacks error gradient:conv6`
    """
    from memberscan.auditing import audit as run_audit

    threat = ThreatModel(Access.parse(access), leaked, repeats, Attacker.parse(attacker), rounds)
    result = run_audit(
        source,
        directory,
        threat=threat,
        attacks=attacks or (),
        cohort=cohort,
        model=model,
        pseudonyms=pseudonyms,
        smallest_cell=smallest_cell,
        seed=seed,
    )
    _show(result, directory, json)


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
    seed: NoSeed = 0,
    json: Json = False,
) -> None:
    """Render the report of an audit again, or join several audits into a consortium's page.

    Example: `memberscan report --merge site-a --merge site-b --out consortium`
    """
    del seed
    if merge:
        if directory is not None or out is None:
            raise BadInputError(
                "report --merge takes audits and --out DIR; name each audit, and where to write"
            )
        _merge(merge, out, json)
        return
    if directory is None or out is not None:
        raise BadInputError("report takes one AUDIT, or --merge AUDIT AUDIT ... --out DIR to join several")
    from memberscan.auditing import AuditResult

    result = AuditResult.load(directory)
    result.render(directory)
    _show(result, directory, json)


def _merge(sources: list[Path], out: Path, as_json: bool) -> None:
    from memberscan.auditing.merging import PAGE, load_audits, merge
    from memberscan.report import terminal_table

    audits = load_audits(sources)
    content = merge(audits, out)
    if as_json:
        answer(content, as_json=True)
        return
    console().print(terminal_table(audits))
    say(f"report: {out / PAGE}")


def _show(result: AuditResult, directory: Path, as_json: bool) -> None:
    from memberscan.report import terminal_table

    if as_json:
        answer(dict(result.content), as_json=True)
        return
    console().print(terminal_table({directory.name: dict(result.content)}))
    say(f"report: {directory / 'audit.html'}")
