"""``memberscan dossier`` and ``verify``: one document for the person who decides on a release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memberscan.cli.audits import Name, Note
from memberscan.cli.options import Json, NoSeed, answer, console, say

if TYPE_CHECKING:
    from memberscan.dossier import Dossier


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(dossier)
    app.command()(verify)


def dossier(
    audits: Annotated[
        list[Path],
        typer.Argument(
            metavar="AUDIT...", help="Audits of one release, or joined audits: directories or files."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Directory of the dossier.")],
    context: Annotated[
        str | None,
        typer.Option(
            metavar="CONTEXT",
            help="How the model is to be released: internal, api, open-weights or federation.",
        ),
    ] = None,
    inspect: Annotated[
        Path | None, typer.Option(metavar="DIR", help="What memberscan inspect found in the release's files.")
    ] = None,
    frontier: Annotated[
        list[Path] | None, typer.Option(metavar="DIR ...", help="Frontiers that show other recipes.")
    ] = None,
    export: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME ...", help="Write for other tools too: sacro, model-card, monai, bids."),
    ] = None,
    name: Name = None,
    note: Note = None,
    seed: NoSeed = 0,
    json: Json = False,
) -> None:
    """Make one document for the person who decides on a release, from audits and an inspection.

    Example: `memberscan dossier audit --context open-weights --out dossier`
    """
    del seed
    from memberscan.dossier import dossier as make

    made = make(
        audits,
        out,
        context=context,
        inspection=inspect,
        frontiers=frontier or (),
        exports=export or (),
        name=name,
        note=note,
    )
    if json:
        answer(made.content.dump(), as_json=True)
        return
    _print(made)


def _print(made: Dossier) -> None:
    """Print the aid for the decision, and where the document is."""
    from rich.text import Text

    from memberscan.dossier.page import OUTCOMES
    from memberscan.dossier.printing import BY_HAND

    decision = made.content.decision
    console().print(Text(OUTCOMES[decision.outcome].upper(), "bold"))
    console().print(Text(decision.sentence))
    for title, lines in (
        ("Found:", [fact.text for fact in (*decision.found, *decision.beyond)]),
        ("Missing:", decision.missing),
    ):
        if lines:
            console().print(Text("\n".join((title, *(f"  {line}" for line in lines)))))
    say(f"page: {made.page}")
    say(f"pdf: {made.pdf}" if made.pdf else f"pdf: no Chromium was found; {BY_HAND}")
    say(f"sha256 of the manifest: {made.sha256}")


def verify(
    directory: Annotated[Path, typer.Argument(metavar="DOSSIER", help="Directory of the dossier.")],
    sha256: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="SHA-256 of the manifest, as the sender stated it elsewhere."),
    ] = None,
    seed: NoSeed = 0,
    json: Json = False,
) -> None:
    """Check every byte of a dossier, and derive its content from its inputs again.

    Example: `memberscan verify dossier`
    """
    del seed
    from memberscan.dossier import verify as check

    found = check(directory, sha256=sha256)
    facts = {
        "files": found.files,
        "derived_again": ", ".join(found.derived),
        "by_digest_only": ", ".join(found.by_digest_only),
        "sha256": found.sha256,
    }
    if json:
        lists = {"derived_again": list(found.derived), "by_digest_only": list(found.by_digest_only)}
        answer({**facts, **lists}, as_json=True)
        return
    say("Nothing was changed, added or removed, and the content follows from the inputs.")
    answer(facts, as_json=False)
    if sha256 is None:
        say("Compare this SHA-256 with what the sender stated elsewhere, or give it with --sha256.")
