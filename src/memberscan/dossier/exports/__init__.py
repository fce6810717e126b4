"""Exports: a dossier's findings in the formats of other tools; each is a function of the dossier alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from memberscan.dossier.content import DossierContent
from memberscan.dossier.declaration import Export
from memberscan.dossier.exports import bids, model_card, monai, sacro
from memberscan.dossier.sources import Sources

EXPORTS: Mapping[Export, Callable[[Sources, DossierContent], dict[str, bytes]]] = MappingProxyType(
    {
        "sacro": sacro.files_of,
        "model-card": model_card.files_of,
        "monai": monai.files_of,
        "bids": bids.files_of,
    }
)
"""By name, what returns the bytes of an export's files by their names."""
