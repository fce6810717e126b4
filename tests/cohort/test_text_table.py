from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.cohort.text_table import is_nameless, read_text_table
from memberscan.errors import ParticipantsError


def read(folder: Path, text: str, name: str = "t.csv") -> dict[str, list[str]]:
    (folder / name).write_bytes(text.encode())
    return read_text_table(folder / name).to_dict("list")


def test_cells_and_names_are_stripped(tmp_path: Path) -> None:
    expected = {"id": ["s1", "s2"], "age": ["30", ""]}
    assert read(tmp_path, " id , age\ns1 ,\u00a030\r\n s2, \n") == expected
    assert read(tmp_path, "id\t age \ns1 \t30\ns2\t \n", "t.tsv") == expected


@pytest.mark.parametrize("cell", ['"left', 'left"', '5" scar', '"', '""left', 'a "b" c'])
def test_a_quotation_mark_in_a_tsv_swallows_nothing(tmp_path: Path, cell: str) -> None:
    table = read(tmp_path, f"id\tnote\tage\n1\t{cell}\t30\n2\tx\t31\n3\ty\t32\n", "t.tsv")
    assert table == {"id": ["1", "2", "3"], "note": [cell, "x", "y"], "age": ["30", "31", "32"]}


def test_a_pair_of_quotation_marks_around_a_cell_of_a_tsv_is_taken_off(tmp_path: Path) -> None:
    text = '"id"\t"note"\n"s1"\t"a ""b"""\n"s2"\t""\n'
    assert read(tmp_path, text, "t.tsv") == {"id": ["s1", "s2"], "note": ['a "b"', ""]}


def test_a_csv_may_quote(tmp_path: Path) -> None:
    assert read(tmp_path, 'id,"a;b"\n"1,5","x ""y"""\n') == {"id": ["1,5"], "a;b": ['x "y"']}


@pytest.mark.parametrize(
    "text",
    [
        "id,age,\n1,30,\n2,31,\n",
        "id,age\n1,30,\n2,31,\n",
        "id,age,\n1,30\n2,31\n",
        "id,age,,\n1,30\n2,31,,\n",
    ],
)
def test_lines_that_end_in_a_separator_make_no_column(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == {"id": ["1", "2"], "age": ["30", "31"]}


def test_empty_rows_and_columns_of_excel_are_dropped(tmp_path: Path) -> None:
    text = ";;;;\n;id;;age;\n;1;;30;\n;;;;\n\n;2;;31;\n;;;;\n"
    assert read(tmp_path, text) == {"id": ["1", "2"], "age": ["30", "31"]}
    assert read(tmp_path, "sep=;\n" + text) == {"id": ["1", "2"], "age": ["30", "31"]}


def test_columns_without_a_name_are_kept_apart(tmp_path: Path) -> None:
    table = read(tmp_path, '"",id,age\n"1",a,30\n"2",b,31\n')
    assert table == {"column 1 (no name)": ["1", "2"], "id": ["a", "b"], "age": ["30", "31"]}
    assert [name for name in (*table, "Unnamed: 0", "unnamed") if is_nameless(name)] == [
        "column 1 (no name)",
        "Unnamed: 0",
    ]


def test_semicolons_with_decimal_commas(tmp_path: Path) -> None:
    text = "id;age;volume;count;note\ns1;26,9;1.234,5;1.234;a,b\ns2;30;950,25;950;n/a\n"
    assert read(tmp_path, text) == {
        "id": ["s1", "s2"],
        "age": ["26.9", "30"],
        "volume": ["1234.5", "950.25"],
        "count": ["1234", "950"],
        "note": ["a,b", "n/a"],
    }


def test_semicolons_with_decimal_points_stay_as_they_are(tmp_path: Path) -> None:
    assert read(tmp_path, "id;x\na;1.234\nb;950\n") == {"id": ["a", "b"], "x": ["1.234", "950"]}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "t.tsv",
            "id\tage\n1\ta\t30\n2\tb\t31\n",
            "every row of .* has 3 cells, but its header has 2: these may be row names",
        ),
        ("t.csv", "id,age\na,30\nb,31,7\n", "row 3 of .* has 3 cells, but its header has 2 .first cell 'b'"),
        (
            "t.csv",
            "id,age\na,30\nb,31,7,8\n",
            "line 3 has 4 cells, its header has 2; quote cells that hold a comma",
        ),
        ("t.tsv", "id,age\na,30\n", "must be tab-separated"),
        ("t.tsv", '"id";"age"\na;30\n', "must be tab-separated"),
        ("t.csv", "\n\n", "cannot be read"),
        ("t.csv", ",,\n,,\n", "it is empty"),
        ("t.csv", "a, a\n1,2\n", "several columns called a"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ParticipantsError, match=message):
        read(tmp_path, text, name)


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6).map(str.strip)
NAMES = st.lists(CELLS.filter(lambda t: t and t[0] != "\ufeff"), min_size=1, max_size=4, unique=True)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    names = draw(NAMES)
    rows = st.lists(CELLS, min_size=len(names), max_size=len(names)).filter(any)
    return pd.DataFrame(draw(st.lists(rows, max_size=6)), columns=names, dtype=str)


@given(tables())
def test_any_csv_and_any_tsv_of_pandas_is_read_as_written(
    tmp_path_factory: pytest.TempPathFactory, table: pd.DataFrame
) -> None:
    folder = tmp_path_factory.mktemp("t")
    table.insert(0, "the id", [f"s{n}" for n in range(len(table))])
    for name, separator in (("t.csv", ","), ("t.tsv", "\t")):
        table.to_csv(folder / name, sep=separator, index=False, quoting=csv.QUOTE_ALL)
        assert read_text_table(folder / name).to_dict("list") == table.to_dict("list")


@given(st.text(st.sampled_from('ab12.,;\t\n\r "\u00a0-'), max_size=60), st.sampled_from(["t.csv", "t.tsv"]))
def test_any_text_is_a_table_or_an_error_in_words(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str
) -> None:
    path = tmp_path_factory.mktemp("t") / name
    path.write_bytes(text.encode())
    try:
        table = read_text_table(path)
    except ParticipantsError as error:
        assert name in str(error)
        return
    assert all(str(n) == str(n).strip() != "" for n in table.columns)
    assert table.columns.is_unique
    cells = table.to_numpy().ravel().tolist()
    assert all(isinstance(cell, str) and cell == cell.strip() for cell in cells)
    assert all(table.ne("").any(axis=1))


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3).filter(any), min_size=1, max_size=6))
def test_a_tsv_has_as_many_rows_as_lines(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    path = tmp_path_factory.mktemp("t") / "t.tsv"
    text = io.StringIO()
    text.write("a\tb\tc\n" + "".join("\t".join(row) + "\n" for row in rows))
    path.write_text(text.getvalue())
    assert len(read_text_table(path)) == len(rows)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_line_of_separators_takes_no_time(tmp_path: Path, separator: str) -> None:
    with pytest.raises(ParticipantsError, match="1,000,001 columns, but at most 20,000 are read"):
        read(tmp_path, "a" + separator * 1_000_000 + "\n1\n", "t.tsv" if separator == "\t" else "t.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04" + bytes(99), "cannot be read as a table: it is an Excel workbook"),
        (b"$FL2@(#) SPSS DATA FILE" + bytes(99), "it is an SPSS file"),
        ("a\tb\n1\t2\n".encode("utf-16"), "it is text in UTF-16.*save it as UTF-8"),
        ("a\tb\n1\t2\n".encode("utf-16-le"), "NUL bytes"),
        (b"id|age\n1|2\n", r"bars \(\|\) separate the cells"),
        (b'"id" "age" "sex"\n"1" "x" 2 "M"\n', "blanks separate the cells"),
        (b"  id   age sex\n  1   2   M\n", "blanks separate the cells"),
        (b"# exported\nid,age\n1,2\n", "first line must hold the names"),
    ],
)
def test_what_is_no_table_of_text_is_said_in_words(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(ParticipantsError, match=rf"t\.csv cannot be read as a table.*{message}|{message}"):
        read_text_table(path)


@pytest.mark.parametrize("hint", ['"sep=;"', "sep=;", "sep=;;;"])
def test_every_form_of_the_line_that_names_the_separator(tmp_path: Path, hint: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{hint}\nid;age;x\n1;2;a,b\n")
    assert read_text_table(path).iloc[0].tolist() == ["1", "2", "a,b"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_text_that_is_a_formula_for_excel_is_its_text(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_text('id,age\n="007",="26.5"\n'.replace(",", "\t" if suffix == ".tsv" else ","))
    assert read_text_table(path).iloc[0].tolist() == ["007", "26.5"]
