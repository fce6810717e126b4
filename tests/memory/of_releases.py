"""Hostile files of releases and of the documents about them: lists of ids, dossiers, audits to compare."""

from __future__ import annotations

from pathlib import Path

from memberscan.bids_derivative import described
from memberscan.comparison import compare
from memberscan.dossier import dossier, verify
from memberscan.inspection.cohort_index import ids_of

from .cases import add, one, put, sparse, spoilt
from .of_runs import DEEP


def unpacked(good: Path, folder: Path) -> Path:
    """Write a dossier whose declaration is nested too deeply, with a manifest that fits."""
    put(folder / "inputs" / "declaration.json", DEEP)
    put(folder / "request.json", DEEP)
    return put(folder / "dossier.json", DEEP).parent


add(
    "list of ids without end",
    "inspection.cohort_index",
    lambda good, folder: sparse(folder / "ids.txt"),
    ids_of,
)
add(
    "input of a dossier",
    "dossier.sources",
    spoilt("audit", "audit.json", DEEP),
    lambda path: dossier([path], path.parent / "dossier", context="api"),
)
add(
    "dossier of another request",
    "dossier.making",
    unpacked,
    lambda path: dossier([path], path, context="api"),
)
add("dossier without a manifest", "dossier.verifying", unpacked, verify)
add(
    "manifest without end",
    "dossier.manifest",
    lambda good, folder: sparse(folder / "manifest.sha256").parent,
    verify,
)
add(
    "audit to compare",
    "comparison.people",
    spoilt("audit", "audit.json", DEEP),
    lambda path: compare(path, path),
)
add(
    "description of a dataset",
    "bids_derivative",
    one("dataset_description.json", DEEP),
    lambda path: described(path.parent),
)
