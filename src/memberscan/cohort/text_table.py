"""Read users' tables, whether they were written by R, Excel, SPSS or pandas."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from memberscan import files
from memberscan.cohort.cells import with_decimal_points, without_thousands
from memberscan.errors import BadInputError, ParticipantsError
from memberscan.received import read_limited

_HINT = re.compile(r'"?sep=([^"])"?[,;\t]*')
"""A first line that tells Excel which separator the file uses."""
_BLANK = re.compile(r"[^\S\n]")
_BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")
_OTHER_SEPARATOR = re.compile(r"[^\s|](?:(\|)|\s+\S+\s+)\S")
_WIDER = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
_NAMELESS = re.compile(r"column \d+ \(no name\)|Unnamed: \d+([._][\w.]*)?|\.\.\.\d+")
_ADVICE = "save it as UTF-8 TSV or CSV with one header row"
_TEXT_FORMULA = re.compile(r'="([^"]*)"')
"""How text is written for Excel so that it keeps leading zeros, as in 007."""
_OTHER_KINDS = {
    b"PK\x03\x04": "an Excel workbook or another zip file",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"$FL": "an SPSS file",
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "compressed with gzip",
    b"\xff\xfe": 'text in UTF-16, as Excel\'s "Unicode text"',
    b"\xfe\xff": 'text in UTF-16, as Excel\'s "Unicode text"',
}


def read_text_table(path: Path) -> pd.DataFrame:
    """Read a TSV or CSV with every cell as text, stripped of blanks at both ends ("" for an empty one).

    A tab-separated file has no quoting: a quotation mark is an ordinary character, and only a pair around a
    whole cell, as R writes it, is removed. Cells of a CSV may be quoted. A CSV is separated by commas, or by
    semicolons if its header has more of those; decimal commas are then replaced by points. Empty rows, and
    empty columns without a name, are dropped. Any other column without a name is called, for example,
    "column 3 (no name)"; ``is_nameless`` recognises this name, so that the column is not used.

    Raises
    ------
    ParticipantsError
        If the file is missing, empty, not UTF-8, not a table, has rows wider than its header, or repeats a
        column name.
    """
    try:
        text = _decoded(path, read_limited(path, files.TABLE_LIMIT))
        text, separator = _separator(path, text)
        cells = _split(path, text, separator)
    except FileNotFoundError as error:
        raise ParticipantsError(f"{path} does not exist; check the path") from error
    except (OSError, ValueError, csv.Error, BadInputError) as error:
        if isinstance(error, ParticipantsError):
            raise
        raise ParticipantsError(f"{path} cannot be read as a table ({error}); {_ADVICE}") from error
    table = _named(path, _without_blanks(cells))
    if "'" in text:
        table = files.without_marks(table)
    return _with_decimal_points(table) if separator == ";" else table


def _decoded(path: Path, data: bytes) -> str:
    for start, kind in _OTHER_KINDS.items():
        if data.startswith(start):
            raise ParticipantsError(f"{path} cannot be read as a table: it is {kind}; {_ADVICE}")
    if b"\0" in data:
        raise ParticipantsError(
            f"{path} cannot be read as a table: it holds NUL bytes, so it is not text; {_ADVICE}"
        )
    return data.decode("utf-8-sig")


def is_nameless(name: str) -> bool:
    """Return whether a column has no real name, such as R's row names or "Unnamed: 0" of pandas.

    R's readr calls such a column "...1".
    """
    return _NAMELESS.fullmatch(name) is not None


def _with_decimal_points(table: pd.DataFrame) -> pd.DataFrame:
    """Replace decimal commas by points, in a table from Excel or R in a country that uses decimal commas."""
    plain = table.apply(with_decimal_points, sure=True)
    return table if plain.equals(table) else plain.apply(without_thousands)


def _separator(path: Path, text: str) -> tuple[str, str]:
    """Return the table's text, without a line that names the separator, and the separator."""
    text = _BLANK_LINES.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    header, _, rest = text.partition("\n")
    if (hint := _HINT.fullmatch(header)) is not None:
        return rest, hint[1]
    if path.suffix.lower() == ".tsv":
        if "\t" not in header and re.search(r"\w[\"' ]*[,;][\"' ]*\w", header):
            raise ParticipantsError(
                f"{path} is named .tsv and must be tab-separated, but its header has no tab "
                f"({header.strip()[:60]!r}); separate its cells by tabs, or rename it to .csv"
            )
        return text, "\t"
    unquoted = re.sub(r'"[^"]*"', "", header)
    if "\t" in unquoted:
        return text, "\t"
    if not re.search("[,;]", unquoted) and (between := _OTHER_SEPARATOR.search(header.strip())):
        what = "bars (|)" if between[1] == "|" else "blanks"
        raise ParticipantsError(
            f"{path} cannot be read as a table: {what} separate the cells of its header "
            f"({header.strip()[:60]!r}); separate them by tabs, commas or semicolons"
        )
    return text, ";" if unquoted.count(";") > unquoted.count(",") else ","


def _split(path: Path, text: str, separator: str) -> pd.DataFrame:
    """Return the cells, with the header as first row, and one more column to notice rows that are wider."""
    quoting: Literal[0, 3] = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    header = next(csv.reader(io.StringIO(text), delimiter=separator, quoting=quoting), [])
    width = len(header)
    files.require_few_cells(width, text, path)
    try:
        table = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            header=None,
            names=range(width + 1),
            index_col=False,
            dtype=object,
            keep_default_na=False,
            quoting=quoting,
        )
    except pd.errors.ParserError as error:
        if (wider := _WIDER.search(str(error))) is None:
            raise
        raise ParticipantsError(
            f"{path} cannot be read as a table: line {wider[2]} has {wider[3]} cells, its header has "
            f"{width}; " + _about_width(width, separator)
        ) from error
    cells = table.fillna("")
    if '"' in text or _BLANK.search(text.replace("\t", "") if separator == "\t" else text):
        unwrap, formulas = separator == "\t" and '"' in text, '="' in text
        cells = cells.apply(lambda column: _strip(column.tolist(), unwrap=unwrap, formulas=formulas))
    else:
        # Most large tables need no stripping; checking each cell would take as long as reading the table.
        cells = cells.astype("str")
    extra = cells[width].ne("")
    if extra.any():
        raise ParticipantsError(_about_wider_rows(path, cells, width, extra))
    return cells.drop(columns=width)


def _about_width(width: int, separator: str) -> str:
    if width == 1:
        return "the first line must hold the names of the columns, so remove titles and comments above them"
    return "quote cells that hold a comma" if separator == "," else _ADVICE


def _strip(cells: Sequence[str], *, unwrap: bool, formulas: bool) -> pd.Series:
    stripped = [cell.strip() for cell in cells]
    if unwrap:
        stripped = [_unwrap(cell) for cell in stripped]
    if formulas:
        stripped = [_TEXT_FORMULA.sub(r"\1", cell) if cell.startswith('="') else cell for cell in stripped]
    return pd.Series(stripped, dtype="str")


def _unwrap(cell: str) -> str:
    """Remove quotation marks around a whole cell, and undouble those inside it; leave any others alone."""
    if len(cell) < 2 or not cell[0] == cell[-1] == '"' or '"' in cell[1:-1].replace('""', ""):
        return cell
    return cell[1:-1].replace('""', '"').strip()


def _about_wider_rows(path: Path, cells: pd.DataFrame, width: int, extra: pd.Series) -> str:
    if width == 1:
        return f"{path} cannot be read as a table: its header has one cell; {_about_width(width, '')}"
    if extra.iloc[1:].all():
        return (
            f"every row of {path} has {width + 1} cells, but its header has {width}: these may be row names "
            "from R, or a name is missing; name every column (in R, write the table with row.names = FALSE)"
        )
    row = int(extra.argmax())
    return (
        f"row {row + 1} of {path} has {width + 1} cells, but its header has {width} (first cell "
        f"{cells.iloc[row, 0]!r}); quote cells that hold the separator, or remove the extra cell"
    )


def _without_blanks(cells: pd.DataFrame) -> pd.DataFrame:
    """Drop empty rows, and columns that have neither a name nor any cell."""
    filled = cells != ""
    return cells.loc[filled.any(axis=1), filled.any()]


def _named(path: Path, cells: pd.DataFrame) -> pd.DataFrame:
    if cells.empty:
        raise ParticipantsError(f"{path} cannot be read as a table (it is empty); {_ADVICE}")
    header = zip(cells.columns.tolist(), cells.iloc[0].tolist(), strict=True)
    names = [name or f"column {int(place) + 1} (no name)" for place, name in header]
    if repeated := sorted(name for name, times in Counter(names).items() if times > 1):
        raise ParticipantsError(
            f"{path} has several columns called {', '.join(repeated)}; rename or remove all but one"
        )
    return cells.iloc[1:].set_axis(names, axis="columns").reset_index(drop=True)
