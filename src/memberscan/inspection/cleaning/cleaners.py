"""How a file of each format is written again without what was found in it; one function per format."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any, Final

from memberscan.inspection.cleaning.pruning import pruned
from memberscan.inspection.sources import Source

_LARGEST: Final = 4 << 30
"""Largest file that is written again, in bytes."""


class CannotCleanError(Exception):
    """A file cannot be written again without what was found in it; the message says why."""


Cleaner = Callable[[Source, Collection[str]], tuple[bytes, str]]
"""From a file and the places to take out: the new file, and what proves that predictions are unchanged."""


def clean_json(source: Source, places: Collection[str]) -> tuple[bytes, str]:
    """Write JSON without some of its entries."""
    value = json.loads(source.read(_LARGEST).decode("utf-8-sig"))
    kept = pruned(value, places)
    if kept == value:
        raise CannotCleanError("what was found is no entry of its own")
    return (json.dumps(kept, indent=2, ensure_ascii=False) + "\n").encode(), "It holds no weights."


def clean_notebook(source: Source, places: Collection[str]) -> tuple[bytes, str]:
    """Write a notebook without the outputs of its cells and without attachments; its program text stays."""
    del places
    notebook: dict[str, Any] = json.loads(source.read(_LARGEST).decode("utf-8-sig"))
    sheets = [notebook, *notebook.get("worksheets", [])]
    for cell in (cell for sheet in sheets for cell in sheet.get("cells", [])):
        if "outputs" in cell:
            cell["outputs"] = []
        cell.pop("attachments", None)
        cell["metadata"] = {}
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode(), "Its program is unchanged."


CLEANERS: Final[dict[str, Cleaner]] = {
    "JSON": clean_json,
    "notebook": clean_notebook,
}
"""By the name of the format's reader. Files of other formats are left out of the cleaned copy."""
