"""``memberscan inspect``: what the files of a release say about people."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from memberscan.cli.audits import FAILED
from memberscan.cli.options import Json, NoSeed, answer, console, say
from memberscan.errors import BadInputError
from memberscan.shown import plain

if TYPE_CHECKING:
    from memberscan.inspection import InspectionContent

_SHOWN = 20
"""Findings that the terminal shows; the page shows more."""
_WIDTH = 40
"""Most characters of a file's name."""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(inspect)


def inspect(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH ...", help="Files, folders and archives of the release.")
    ],
    cohort: Annotated[
        Path | None,
        typer.Option(help="Directory of the cohort that the model was trained on: matches are then proven."),
    ] = None,
    ids: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Text file with the id of one member per line, to search for."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Directory for inspection.html and inspection.json.")
    ] = None,
    strip: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also write a copy of the release here, without what was found where possible.",
        ),
    ] = None,
    show: Annotated[
        bool,
        typer.Option("--show", help="Also give the ids that were found: in ids.tsv, or on the terminal."),
    ] = False,
    fail_on: Annotated[
        str | None,
        typer.Option(metavar="GRADE,...", help=f"Exit with {FAILED} if the result is one of: leaks, look."),
    ] = None,
    seed: NoSeed = 0,
    json: Json = False,
) -> None:
    """Find what the files of a release say about people, without executing anything in them.

    Example: `memberscan inspect release.zip --cohort cohort --out inspection`
    """
    del seed
    from memberscan.inspection import inspect as run
    from memberscan.inspection.cleaning.stripping import strip as copy_without
    from memberscan.inspection.writing import PAGE, require_outside, write

    failing = _grades(fail_on)
    if out is not None:
        require_outside(out, paths)
        if strip is not None:
            _require_apart(out, strip)
    inspected = run(paths, cohort=cohort, members=ids)
    content, found = inspected.content, inspected.ids
    if strip is not None:
        require_outside(strip, paths)
        content = content.model_copy(update={"cleaned": tuple(copy_without(inspected, strip))})
    if out is not None:
        write(content, out, found if show else None)
    if json:
        answer(content.dump() | ({"ids": sorted(found)} if show else {}), as_json=True)
    else:
        _show(content)
        if strip is not None:
            _show_cleaned(content, strip)
        if out is not None:
            say(f"page: {out / PAGE}")
        elif show:
            for each in sorted(found):
                say(each)
    if content.verdict in failing:
        raise typer.Exit(FAILED)


def _require_apart(out: Path, copy: Path) -> None:
    """Check that the report, which may hold ids, does not get into the copy, which is given away."""
    one, other = out.resolve(), copy.resolve()
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise BadInputError(f"--out {out} and --strip {copy} lie within each other; give two directories")


def _grades(text: str | None) -> set[str]:
    """Read grades separated by commas."""
    grades = {part.strip() for part in (text or "").split(",") if part.strip()}
    if unknown := sorted(grades - {"leaks", "look"}):
        raise BadInputError(
            f"--fail-on {unknown[0]!r} is not a grade; choose leaks or look, separated by a comma"
        )
    return grades


def _show(content: InspectionContent) -> None:
    """Print the answer, and the worst findings as a table."""
    from memberscan.inspection.page import answer as sentence

    say(f"{content.verdict}: {sentence(content)}")
    if not content.findings:
        return
    table = Table("grade", "what", "file", "people", "found")
    for each in content.findings[:_SHOWN]:
        people = "" if each.people is None else f"{each.people:,}"
        table.add_row(each.grade, each.kind, plain(_end(each.file)), people, plain(each.what))
    console().print(table)
    if len(content.findings) > _SHOWN:
        say(f"and {len(content.findings) - _SHOWN:,} more; --out DIR writes all")


def _show_cleaned(content: InspectionContent, copy: Path) -> None:
    """Print what became of the files in the cleaned copy."""
    counts = Counter(each.action for each in content.cleaned)
    say(f"copy: {copy} ({', '.join(f'{count:,} {action}' for action, count in counts.items())})")
    for each in content.cleaned:
        if each.action != "copied":
            say(f"  {each.action}: {each.file}. {each.said}")


def _end(name: str) -> str:
    """Return a name that fits into a column; its end says more than its beginning."""
    return name if len(name) <= _WIDTH else f"…{name[1 - _WIDTH :]}"
