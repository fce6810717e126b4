"""Mark a folder as a derivative of a BIDS dataset, so that tools for BIDS say what made it and from what."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from memberscan.errors import OutputConflictError
from memberscan.files import write_json, write_text
from memberscan.received import load_json
from memberscan.shown import plain
from memberscan.version import __version__

DESCRIPTION = "dataset_description.json"
IGNORED = ".bidsignore"
BIDS_VERSION = "1.10.0"
"""Version of the specification whose rules for derivatives this follows."""
NAME = "memberscan"
_LONGEST = 500


@contextlib.contextmanager
def derivative(out: Path, source: Path, *, not_bids: Collection[str]) -> Iterator[None]:
    """Make a folder a derivative: check it before the work in this context, and describe it afterwards.

    ``dataset_description.json`` and ``.bidsignore`` are written at the end, so that work which fails before
    it has written anything leaves nothing behind.

    Parameters
    ----------
    out
        The derivative.
    source
        The BIDS dataset that it is made from. Its name and DOI are written down, and its path is not.
    not_bids
        Names in ``out`` that BIDS has no rules for, which a validator should pass over.

    Raises
    ------
    OutputConflictError
        If ``out`` is the dataset itself, or was made by something else.
    BadInputError
        If a description exists and cannot be read.
    """
    if out.resolve() == source.resolve():
        raise OutputConflictError(f"{out} is the dataset itself; write to another directory")
    description = out / DESCRIPTION
    if description.exists() and NAME not in _makers(load_json(description)):
        raise OutputConflictError(f"{description} is not of {NAME}; write to another directory")
    yield
    out.mkdir(parents=True, exist_ok=True)
    write_json(description, described(source))
    write_text(out / IGNORED, "".join(f"{name}\n" for name in sorted(not_bids)))


def described(source: Path) -> dict[str, Any]:
    """Return the description of a derivative of a dataset, with its name and DOI if it states them."""
    stated = load_json(source / DESCRIPTION) if (source / DESCRIPTION).exists() else {}
    name, doi = _text(stated, "Name"), _text(stated, "DatasetDOI")
    description = description_of(f"{NAME} of {name or 'a dataset without a name'}")
    return description | ({"SourceDatasets": [{"DOI": doi}]} if doi else {})


def description_of(name: str, *, version: str = __version__, about: str = "") -> dict[str, Any]:
    """Return what every derivative that memberscan makes says of itself.

    Source: BIDS 1.10.0, "Modality agnostic files", table of dataset_description.json and GeneratedBy.

    Parameters
    ----------
    name
        Name of the derivative.
    version
        Version of memberscan that made it.
    about
        What was made, in a sentence.
    """
    maker = {"Name": NAME, "Version": version} | ({"Description": about} if about else {})
    return {"Name": name, "BIDSVersion": BIDS_VERSION, "DatasetType": "derivative", "GeneratedBy": [maker]}


def _text(stated: Any, key: str) -> str:
    """Return a text of a received description; "" if it is missing or something else."""
    value = stated.get(key) if isinstance(stated, dict) else None
    return plain(value[:_LONGEST]) if isinstance(value, str) else ""


def _makers(stated: Any) -> list[object]:
    """Return the names of what made a derivative, as its description says."""
    made = stated.get("GeneratedBy") if isinstance(stated, dict) else None
    return [each.get("Name") for each in made if isinstance(each, dict)] if isinstance(made, list) else []
