"""A BIDS derivative that holds a dossier: its description, and the dossier for programs."""

from __future__ import annotations

from typing import Any

from memberscan.dossier.content import DossierContent
from memberscan.dossier.sources import Sources
from memberscan.files import to_json

DESCRIPTION, README, IGNORED, DOSSIER = "dataset_description.json", "README", ".bidsignore", "dossier.json"
VERSION = "1.10.0"
"""Version of the BIDS specification whose keys are used."""


def files_of(_: Sources, content: DossierContent) -> dict[str, bytes]:
    """Return the files of the export by name.

    It describes no subject: what BIDS calls a derivative at the level of a data set.
    """
    called = content.declared.name or content.model
    description: dict[str, Any] = {
        "Name": f"Privacy dossier of {called}",
        "BIDSVersion": VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [
            {
                "Name": "memberscan",
                "Version": content.memberscan,
                "Description": f"Dossier for the release context {content.declared.context}: "
                f"{content.decision.outcome}.",
            }
        ],
    }
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
