"""Tables as text: what separates, what names the columns, and which cells are numbers."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.errors import TooLargeError
from memberscan.inspection.readers import decoding, table_columns
from memberscan.inspection.readers.base import Item
from memberscan.inspection.readers.table_columns import is_header
from memberscan.inspection.readers.tables import Table
from memberscan.inspection.values import Columns

from .opening import plain, read, reader_of, reasons, source


def columns(content: str | bytes, scratch: Path, name: str = "people.csv") -> dict[str, Any]:
    content = content.encode() if isinstance(content, str) else content
    file = source(content, name, scratch)
    assert isinstance(reader_of(file), Table)
    (item,) = read(file)
    assert isinstance(item, Item)
    found: dict[str, Any] = plain(item.value)
    return found


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_separator_is_found_and_the_header_names_columns(separator: str, end: str, tmp_path: Path) -> None:
    rows = [["id", "age", "city"], ["sub-01", "51.5", f'"a{separator} b"'], ["sub-02", "", "Köln"]]
    text = end.join(separator.join(row) for row in rows) + end
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "latin-1"):
        found = columns(text.encode(encoding), tmp_path)
        assert found["id"] == ["sub-01", "sub-02"] and found["city"] == [f"a{separator} b", "Köln"]
        assert found["age"][0] == 51.5 and found["age"][1] != found["age"][1]


def test_without_a_header_columns_are_numbered(tmp_path: Path) -> None:
    assert columns("sub-01,51\nsub-02,52\n", tmp_path) == {"1": ["sub-01", "sub-02"], "2": [51, 52]}
    assert columns(",0,1\n0,5,a\n1,6,b\n", tmp_path) == {"": [0, 1], "0": [5, 6], "1": ["a", "b"]}


def test_tables_of_r_have_one_name_less(tmp_path: Path) -> None:
    text = '"age" "sex"\n"sub-01" 51 "f"\n"sub-02" 52 "m"\n"sub-03" 53 "m"\n'
    found = columns(text, tmp_path, "people.txt")
    assert found == {"": ["sub-01", "sub-02", "sub-03"], "age": [51, 52, 53], "sex": ["f", "m", "m"]}


def test_ids_of_digits_stay_text(tmp_path: Path) -> None:
    found = columns(
        "id,long,n\n0012,1234567890123456789,1000123\n0013,1234567890123456780,1000124\n", tmp_path
    )
    assert found["id"] == ["0012", "0013"] and found["long"][1] == "1234567890123456780"
    assert found["n"] == [1000123, 1000124]


def test_odd_rows_lose_nothing(tmp_path: Path) -> None:
    found = columns("a,a\n1,x,surplus\n2\n", tmp_path)
    assert found == {"a": [1, 2], "a'": ["x", None], "3": ["surplus", None]}
    assert columns("id,age\n", tmp_path) == {"id": [], "age": []}


CELL = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=5)


@given(st.lists(st.tuples(CELL, CELL)))
def test_any_cells_of_a_written_table_come_back(rows: list[tuple[str, str]]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["first", "second"], *rows])
    found = columns(buffer.getvalue(), Path())
    assert [*found] == ["first", "second"]
    for name, cells in zip(found, zip(*rows, strict=True), strict=bool(rows)):
        for value, cell in zip(found[name], cells, strict=True):
            # Numbers come back as numbers, and a space after a separator is not part of a cell.
            assert value == (
                float(cell) if isinstance(value, float) and value == value else cell.lstrip(" ")
            ) or (value != value and cell.strip() in ("", "NA", "N/A", "n/a", "NaN", "nan", "."))


def test_large_tables_come_in_parts_of_the_same_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_columns, "CELLS", 300)
    text = "id,age\n" + "".join(f"sub-{i:04},{i}\n" for i in range(1000))
    parts = read(source(text.encode(), "people.csv", tmp_path))
    assert len(parts) == 7
    ids = [one for part in parts if isinstance(part, Item) for one in part.value.columns["id"]]
    assert ids == [f"sub-{i:04}" for i in range(1000)]


@pytest.mark.parametrize(
    "text",
    ["One, two.\nThree, four, five.\nSix.\n", "a b c\nd e f\ng h i\n", "epoch 1: loss 2\nepoch 2: loss 3\n"],
)
def test_prose_is_no_table(text: str, tmp_path: Path) -> None:
    assert not isinstance(reader_of(source(text.encode(), "notes.txt", tmp_path)), Table)


def test_one_long_row_does_not_make_all_rows_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_columns, "CELLS", 300)
    text = "id,age\n" + "sub-01,1\n" * 90 + "sub-02" + ",2" * 250 + "\n" + "sub-03,3\n"
    tables = [
        part.value for part in read(source(text.encode(), "people.csv", tmp_path)) if isinstance(part, Item)
    ]
    assert sum(table.rows * len(table.columns) for table in tables) < 1200
    assert [one for table in tables for one in table.columns["id"]] == ["sub-01"] * 90 + ["sub-02", "sub-03"]


def test_lines_of_old_macintoshs_are_told_apart(tmp_path: Path) -> None:
    assert columns("id,age\rsub-01,51\rsub-02,52\r", tmp_path) == {
        "id": ["sub-01", "sub-02"],
        "age": [51, 52],
    }


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "LONGEST_LINE", 1000)
    with pytest.raises(TooLargeError):
        read(source(b"a,b\n" + b"1," * 2000, "people.csv", tmp_path))


def test_a_table_with_a_huge_field_is_read_as_text(tmp_path: Path) -> None:
    items = read(source(b"id,x\nsub-01," + b"9" * 200_000 + b"\n", "people.csv", tmp_path))
    text = [item.value for item in items if isinstance(item, Item) and isinstance(item.value, str)]
    assert "sub-01" in text[0]


def test_files_of_columns_are_named_as_not_read(tmp_path: Path) -> None:
    assert "CSV" in reasons(source(b"PAR1" + bytes(20) + b"PAR1", "people.parquet", tmp_path))[""]


def test_empty_columns_have_no_rows() -> None:
    assert Columns({}).rows == 0


def test_ids_of_digits_can_be_names_of_columns():
    rows = [["region", "100307", "100408"], ["1", "2.5", "2.6"], ["2", "2.7", "2.8"]]
    assert is_header(rows)
    assert not is_header([["a", "1"], ["b", "2"], ["c", "3"]])


@pytest.mark.parametrize(
    "names", ["subject,0,1,2", "row,0,1,2", "scan,1,2,3", "Participant ID,2019,2020,2021", "0,1"]
)
def test_names_of_columns_can_be_numbers(names: str):
    cells = names.split(",")
    values = [[f"S{k}", "0.12", "0.5", "-1.25"][: len(cells)] for k in range(3)]
    assert is_header([cells, *values])


@pytest.mark.parametrize(
    "rows",
    [
        ["1,2,3", "4,5,6", "7,8,10"],
        ["S1,0,1", "S2,1,0", "S3,1,1"],
        ["patient,1,50.5", "patient,0,31.5", "control,1,20.1"],
        ["S1,3,1,2", "S2,0,1,2"],
    ],
)
def test_first_rows_of_values_are_no_header(rows: list[str]):
    assert not is_header([row.split(",") for row in rows])
