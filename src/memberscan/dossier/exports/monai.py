"""Entries for the metadata.json of a MONAI bundle: what an audit knows, for its makers to add."""

from __future__ import annotations

from typing import Any

from memberscan.dossier.content import AttackerRow, DossierContent
from memberscan.dossier.sources import Sources
from memberscan.files import to_json

METADATA = "metadata.json"
_PACKAGES = {"torch": "pytorch_version", "numpy": "numpy_version"}


def files_of(sources: Sources, content: DossierContent) -> dict[str, bytes]:
    """Return the files of the export by name.

    MONAI's schema asks for more (authors, copyright, the format of the network's data), which only the
    makers of the bundle know. Entries beyond its own are allowed there; ours are below "privacy_audit".
    """
    found: dict[str, Any] = {}
    if sources.audits:
        first = sources.audits[0].content
        versions = first.provenance.versions
        found |= {key: versions[name] for name, key in _PACKAGES.items() if name in versions}
        found["task"] = f"Prediction of {first.target.variable.name}"
    decision = content.decision
    found["privacy_audit"] = {
        "memberscan": content.memberscan,
        "date": content.declared.date,
        "context": content.declared.context,
        "outcome": decision.outcome,
        "sentence": decision.sentence,
        "missing": list(decision.missing),
        "attackers": [_attacker(row) for row in content.attackers],
        "synthetic": content.synthetic,
    }
    return {METADATA: to_json(found).encode()}


def _attacker(row: AttackerRow) -> dict[str, Any]:
    auc = None if row.average is None else row.average.auc
    return {
        "name": row.name,
        "sees": row.sees,
        "state": row.state,
        "outcome": row.outcome,
        "auc": None if auc is None else [auc.low, auc.value, auc.high],
    }
