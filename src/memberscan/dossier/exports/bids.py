"""A BIDS derivative that holds a dossier: its description, and the dossier for programs."""

from __future__ import annotations

from memberscan.bids_derivative import DESCRIPTION, IGNORED, description_of
from memberscan.dossier.content import DossierContent
from memberscan.dossier.sources import Sources
from memberscan.files import to_json

README, DOSSIER = "README", "dossier.json"


def files_of(_: Sources, content: DossierContent) -> dict[str, bytes]:
    """Return the files of the export by name.

    It describes no subject: what BIDS calls a derivative at the level of a data set.
    """
    called = content.declared.name or content.model
    description = description_of(
        f"Privacy dossier of {called}",
        version=content.memberscan,
        about=f"Dossier for the release context {content.declared.context}: {content.decision.outcome}.",
    )
    about = (
        f"Privacy dossier of {called}, made on {content.declared.date}.\n\n{content.decision.sentence}\n\n"
        "dossier.json holds all of it for programs. It names no subject.\n"
    )
    return {
        DESCRIPTION: to_json(description).encode(),
        README: about.encode(),
        IGNORED: f"{DOSSIER}\n".encode(),
        DOSSIER: to_json(content.dump()).encode(),
    }
