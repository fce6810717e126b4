"""Workbooks of Excel: all sheets, hidden ones too, and what else is kept in them."""

from __future__ import annotations

import datetime as dt
import fnmatch
import zipfile
from collections.abc import Iterator, Sequence
from typing import IO, Any, Final

from memberscan.errors import TooLargeError
from memberscan.inspection.readers.archives import check_directory
from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.readers.table_columns import tables
from memberscan.inspection.sources import Source

_LARGEST_PART: Final = 512 << 20
_ENTITIES: Final = tuple("<!ENTITY".encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be"))
_CELLS_AND_STYLES: Final = (
    "xl/worksheets/*.xml",
    "xl/sharedStrings.xml",
    "xl/styles.xml",
    "xl/theme/*",
    "*.rels",
    "[[]Content_Types].xml",
)
"""Parts whose content is read as cells, or is about the looks."""


class Excel:
    """A workbook in the Office Open XML format: xlsx and xlsm.

    Cells hold what was computed last, since formulas are not carried out. Comments, names of authors,
    and copies of tables kept for pivot tables and links to other workbooks are read as text.
    """

    name = "Excel workbook"
    needs = "openpyxl"

    def knows(self, source: Source, head: bytes) -> bool:
        """Return whether it is a zip archive that holds a workbook."""
        if not head.startswith(b"PK\3\4"):
            return False
        if source.suffix in (".xlsx", ".xlsm", ".xltx", ".xltm"):
            return True
        try:
            with source.open() as stream:
                check_directory(stream)
                return "xl/workbook.xml" in zipfile.ZipFile(stream).namelist()
        except (TooLargeError, zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
            return False

    def read(self, source: Source) -> Iterator[Item | Partly | Source]:
        """Yield the tables of all sheets, and the other parts as files."""
        with source.open() as stream:
            check_directory(stream)
            archive = zipfile.ZipFile(stream)
            for entry in archive.infolist():
                with archive.open(entry) as part:
                    _check_part(source, part)
            yield from _sheets(source)
            for entry in archive.infolist():
                if entry.is_dir() or any(
                    fnmatch.fnmatch(entry.filename, known) for known in _CELLS_AND_STYLES
                ):
                    continue
                with archive.open(entry) as part:
                    yield source.within(entry.filename, part)


def _sheets(source: Source) -> Iterator[Item]:
    import openpyxl

    with source.open() as stream:
        workbook = openpyxl.load_workbook(stream, read_only=True, data_only=True, keep_links=False)
        for sheet in workbook.worksheets:
            # What a sheet says of its size may be wrong; without it, rows end where their cells do.
            sheet.reset_dimensions()
            rows = (_row(row, source) for row in sheet.iter_rows(values_only=True))
            yield from (
                Item(sheet.title, table)
                for table in tables(row for row in rows if any(cell is not None for cell in row))
            )


def _row(cells: Sequence[Any], source: Source) -> list[Any]:
    source.budget.look()
    return [plain(cell) for cell in cells]


def plain(value: Any) -> Any:
    """Return a date or time as text in ISO 8601, anything else unchanged."""
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value) if isinstance(value, dt.timedelta) else value


def _check_part(source: Source, part: IO[bytes]) -> None:
    """Refuse XML that defines entities, which can make a little text endless, and parts that are too large.

    No program writes entities into workbooks.
    """
    size, tail = 0, b""
    while block := part.read(1 << 20):
        source.budget.expand(len(block))
        size += len(block)
        if size > _LARGEST_PART:
            raise TooLargeError("a part of it is too large; write it as CSV and inspect that")
        if any(mark in tail + block for mark in _ENTITIES):
            raise ValueError("its XML defines entities, which may expand without end")
        tail = block[-16:]
