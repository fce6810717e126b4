"""Write an inspection: JSON for programs, a page for people, and the ids only for those who ask."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from memberscan.errors import BadInputError
from memberscan.files import OWNER_ONLY, to_json, write_table, write_text
from memberscan.inspection.content import InspectionContent
from memberscan.inspection.page import render

RESULT, PAGE, IDS = "inspection.json", "inspection.html", "ids.tsv"


def require_outside(out: Path, paths: Collection[Path]) -> None:
    """Check that the output is not part of what is inspected.

    Raises
    ------
    BadInputError
        If it is.
    """
    for path in paths:
        if out.resolve().is_relative_to(path.resolve()):
            raise BadInputError(f"{out} lies within {path}; give an output directory outside the release")


def write(content: InspectionContent, out: Path, ids: Collection[str] | None) -> None:
    """Write the inspection to a directory, replacing an earlier one.

    Parameters
    ----------
    content
        What was found.
    out
        The directory; made if it does not exist.
    ids
        The ids that were found, for a file that only its owner can read; None to write none.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / IDS).unlink(missing_ok=True)
    if ids is not None:
        write_table(out / IDS, pd.DataFrame({"id": sorted(ids)}), mode=OWNER_ONLY)
    write_text(out / PAGE, render(content))
    write_text(out / RESULT, to_json(content.dump()))
