"""The dossier: one document for the person who decides on a release, made from audits."""

from memberscan.dossier.content import DOSSIER_SCHEMA, DossierContent
from memberscan.dossier.contexts import CONTEXTS
from memberscan.dossier.exports import EXPORTS
from memberscan.dossier.making import Dossier, dossier
from memberscan.dossier.verifying import Verified, verify

__all__ = [
    "CONTEXTS",
    "DOSSIER_SCHEMA",
    "EXPORTS",
    "Dossier",
    "DossierContent",
    "Verified",
    "dossier",
    "verify",
]
