"""Tables as text: values separated by commas, tabs, semicolons, bars or spaces, with or without a header."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.readers.decoding import blocks_of_lines, encoding_of, is_text, lines_of
from memberscan.inspection.readers.regular_tables import regular
from memberscan.inspection.readers.table_columns import columns, header
from memberscan.inspection.readers.text import read_text
from memberscan.inspection.sources import HEAD, Source
from memberscan.inspection.values import Columns

_SEPARATORS: Final = ("\t", ",", ";", "|", " ")
_NAMED: Final = frozenset({".csv", ".tsv", ".tab", ".psv"})
_BLOCK: Final = 8 << 20
"""About how many characters of a table are parsed at a time."""
_PERHAPS: Final = frozenset({"", ".txt", ".dat", ".data", ".asc"})


class Table:
    """A table as text."""

    name = "table"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:
        """Return whether it is named as a table, or all its first lines have the same number of values."""
        if not is_text(head):
            return False
        return source.suffix in _NAMED or (source.suffix in _PERHAPS and bool(separator(head)))

    def read(self, source: Source) -> Iterator[Item]:
        """Yield the columns, of many rows in several parts that have the same names.

        A file that is named as a table but has only one column, or is quoted wrongly, is read as text, too.
        """
        with source.open() as stream:
            found = separator(stream.read(HEAD))
        try:
            yield from (Item("", table) for table in _parts(source, found or ","))
        except csv.Error:
            yield from read_text(source)


def _parts(source: Source, separator: str) -> Iterator[Columns]:
    """Yield the parts of a table, the first with its header."""
    blocks = blocks_of_lines(source, _BLOCK)
    names: list[str] | None = None
    table = Columns({})
    for block in blocks:
        if names is not None and (quick := regular(block, separator, table)) is not None:
            yield quick
            continue
        # A quoted cell may go on in the next block.
        text = chain([block], blocks) if '"' in block else [block]
        rows = _rows(text, separator)
        if names is None:
            names, rows = header(rows)
        for table in columns(rows, names):
            yield table


def _rows(blocks: Iterable[str], separator: str) -> Iterator[Sequence[str]]:
    lines = chain.from_iterable(map(lines_of, blocks))
    rows = csv.reader(lines, delimiter=separator, skipinitialspace=separator in (" ", ","))
    return (row for row in rows if row)


def separator(head: bytes) -> str:
    """Return what separates the values of a table, found from its first bytes; empty if it is not a table.

    That is the separator by which all of the first lines have the same number of values, at least two; the
    first line may have one less than the others. At least three lines are needed, or two of a whole file.
    """
    sample = head.decode(encoding_of(head), "replace").splitlines()
    if len(head) >= HEAD:
        sample = sample[:-1]
    sample = [line for line in sample if line.strip()]
    best, most = "", 1
    for candidate in _SEPARATORS:
        try:
            rows = list(csv.reader(sample, delimiter=candidate, skipinitialspace=candidate == " "))
        except csv.Error:
            continue
        widths = [len(row) for row in rows if row]
        if len(widths) < 2 + (len(head) >= HEAD) or not _agree(widths):
            continue
        # Spaces separate prose, too: they count only where nothing else does,
        # in at least three lines, and with numbers or quoted names of rows.
        if candidate == " " and (
            best or len(widths) < 3 or not (sample[1].startswith('"') or _mostly_numbers(rows))
        ):
            continue
        if widths[-1] > most:
            best, most = candidate, widths[-1]
    return best


def _agree(widths: list[int]) -> bool:
    return len({*widths[1:]}) <= 1 and widths[-1] > 1 and widths[0] in (widths[-1], widths[-1] - 1)


def _mostly_numbers(rows: list[list[str]]) -> bool:
    cells = [cell for row in rows[1:] for cell in row]
    return 2 * sum(cell.strip("+-").replace(".", "", 1)[:1].isdigit() for cell in cells) > len(cells)


class ColumnFile:
    """Apache Parquet, Arrow, Feather and ORC, which are not read."""

    name = "file of columns"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:  # noqa: ARG002
        """Return whether it begins as one of them does."""
        return head.startswith((b"PAR1", b"ARROW1", b"FEA1", b"ORC"))

    def read(self, source: Source) -> Iterator[Partly]:  # noqa: ARG002
        """Yield that it is not read."""
        yield Partly("", "files of this format are not read; write it as CSV and inspect that")
