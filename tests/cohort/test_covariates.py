from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from memberscan.cohort import select_covariates
from memberscan.cohort.cells import MISSING, is_missing
from memberscan.cohort.covariates import as_covariate, typed
from memberscan.cohort.text_table import read_text_table
from memberscan.errors import ParticipantsError


def test_numbers_and_few_levels_are_kept_and_names_of_people_are_not() -> None:
    table = pd.DataFrame(
        {
            "id": [f"p{n}" for n in range(30)],
            "sex": ["F", "M"] * 15,
            "weight": np.linspace(50, 90, 30),
            "score": [str(n) for n in range(29)] + [np.nan],
            "comment": [f"said {n}" for n in range(30)],
            "smoker": [True, False] * 15,
            "empty": [np.nan] * 30,
            "constant": ["x"] * 30,
        }
    )
    kept, ignored = select_covariates(table, exclude=["id"])
    assert kept == ("sex", "weight", "score", "smoker", "empty", "constant")
    assert ignored == ("comment",)


@pytest.mark.parametrize("name", ["x", "row", "score"])
def test_a_column_without_values_names_no_rows(name: str) -> None:
    assert select_covariates(pd.DataFrame({name: [None] * 12}))[0] == (name,)


@pytest.mark.parametrize(("levels", "kept"), [(20, True), (21, False)])
def test_the_limit_is_twenty_levels(levels: int, kept: bool) -> None:
    table = pd.DataFrame({"site": [f"site {n}" for n in range(levels)] * 2 + [None]})
    assert (select_covariates(table) == (("site",), ())) is kept


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False), st.text("abc", max_size=2)), max_size=60))
def test_the_rule_against_its_plain_statement(values: list[object]) -> None:
    column = pd.Series(values, dtype=object)
    present = [v for v in values if v is not None]
    numeric = all(isinstance(v, float) for v in present)
    expected = numeric or len(set(present)) <= 20
    # Not numbered from 0 or 1 on, as rows are.
    assume(not (numeric and len(present) >= 10 and present[0] in (0, 1)))
    assert select_covariates(column.to_frame("score"))[0] == (("score",) if expected else ())
    if numeric:
        assert np.isfinite(as_covariate(column).dropna()).all()


def test_text_table_keeps_every_cell_as_written(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text('\ufeffid, age ,note\n007,"26,9",n/a\nTrue,nan,\n"a\nb",1e3\n')
    table = read_text_table(path)
    assert table.to_dict("list") == {
        "id": ["007", "True", "a\nb"],
        "age": ["26,9", "nan", "1e3"],
        "note": ["n/a", "", ""],
    }
    assert is_missing(table["note"]).all()
    assert "" in MISSING


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"a,a\n1,2\n", "several columns"),
        (b"a\n1,2,3\n4,5,6,7,8\n", "cannot be read"),
    ],
)
def test_unreadable_tables_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(content)
    with pytest.raises(ParticipantsError, match=message):
        read_text_table(path)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParticipantsError, match=r"nobody\.tsv does not exist"):
        read_text_table(tmp_path / "nobody.tsv")


def table_of(**columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype="str")


@pytest.mark.parametrize(
    "cells",
    [
        [*map(str, range(30)), "n.d."],
        [*map(str, range(30)), "1,234"],
        ["1,234", "5,678", "9,012"],
        ["1.5", "2", "oops"],
        [*map(str, range(20)), *["not done"] * 15],
    ],
    ids=["word", "one comma", "thousands or decimals", "three rows", "one word again and again"],
)
def test_numbers_but_for_a_few_cells_are_refused(cells: list[str]) -> None:
    with pytest.raises(ParticipantsError, match=r"t\.csv: column 'x' holds numbers except for a few"):
        typed(table_of(x=cells), Path("t.csv"))


@pytest.mark.parametrize(
    "cells",
    [
        ["1a", "2b", "3"],
        ["1", "2", "3a"] * 10,
        ["F", "M", "1"],
        ["1", "2", "x", "y"],
        ["3T", "1.5T", "7"],
    ],
    ids="/".join,
)
def test_codes_and_words_are_text(cells: list[str]) -> None:
    assert typed(table_of(x=cells), Path("t.csv"))["x"].tolist() == cells


@pytest.mark.parametrize("code", ["#NULL!", "-", "NULL", "", ".", "None", "nan", "#N/A"])
def test_missing_cells_leave_numbers_numbers_and_text_text(code: str) -> None:
    table = typed(table_of(x=["1", code, "2.5"], y=["a", code, "b"], z=[code] * 3), Path("t.csv"))
    assert table["x"].dtype == table["z"].dtype == float
    assert table.isna().to_numpy().tolist() == [
        [False, False, True],
        [True, True, True],
        [False, False, True],
    ]


def test_row_numbers_and_nameless_columns_are_ignored() -> None:
    n = np.arange(12.0)
    table = pd.DataFrame(
        {"column 1 (no name)": n * 2, "Unnamed: 0": n, "X": n + 1, "order": n[::-1], "two": n + 2}
    )
    assert select_covariates(table) == (("order", "two"), ("column 1 (no name)", "Unnamed: 0", "X"))


@given(
    st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=3, max_size=30),
    st.lists(st.sampled_from(["", "n/a", "-", "#NULL!", "NULL", ".", "NaN"]), max_size=8),
    st.randoms(use_true_random=False),
)
def test_any_numbers_with_any_missing_cells_are_numbers(
    values: list[float], missing: list[str], random
) -> None:
    cells = [*map(repr, values), *missing]
    random.shuffle(cells)
    read = typed(table_of(x=cells), Path("t.csv"))["x"]
    np.testing.assert_allclose(sorted(read.dropna()), sorted(values), rtol=1e-13)
    assert read.isna().sum() == len(missing)


@pytest.mark.parametrize(
    ("name", "values", "names"),
    [
        ("X", np.arange(60) * 3 + 2, True),
        ("index", np.arange(60)[::-1], True),
        ("X.1", np.random.default_rng(0).permutation(60), True),
        ("level_0", np.arange(60) + 7, True),
        ("record_id", 1001 + np.arange(60), True),
        ("RID", np.random.default_rng(0).permutation(4000)[:60], True),
        ("subjectID", np.repeat(np.arange(30) + 100, 2), True),
        ("joined", np.r_[np.arange(40), np.arange(20)], True),
        ("joined", np.r_[np.arange(40), np.arange(20)] + 1, True),
        ("site_id", np.repeat(np.arange(5), 12), False),
        ("site_id", np.tile(np.arange(24) + 1, 10), False),
        ("visit", np.tile([1, 2, 3], 20), False),
        ("thyroid", np.random.default_rng(0).permutation(60) + 100, False),
        ("score", np.arange(60)[::-1], False),
        ("id", np.arange(60) / 7, False),
    ],
)
def test_numbers_that_only_tell_rows_or_people_apart_are_no_covariates(
    name: str, values: np.ndarray, names: bool
) -> None:
    expected = ((), (name,)) if names else ((name,), ())
    assert select_covariates(pd.DataFrame({name: values.astype(float)})) == expected


def test_columns_that_readr_and_pandas_named_for_want_of_a_name_are_ignored() -> None:
    values = np.random.default_rng(0).normal(size=30)
    table = pd.DataFrame({"...1": values, "Unnamed: 0.1": values, "Unnamed: 0_level_1": values})
    assert select_covariates(table) == ((), tuple(table))


@pytest.mark.parametrize(
    "form",
    ["{:.1f} cm", "{:.1f}%", "{:.1f}mm³", "'{:.1f}", "{:.1f} kg"],
)
def test_what_stands_beside_all_numbers_of_a_column_is_taken_off(form: str) -> None:
    values = np.arange(30) + 0.5
    cells = [form.format(value) for value in values]
    cells[3] = "n/a"
    read = typed(table_of(x=cells), Path("t.csv"))["x"]
    assert np.isnan(read[3])
    np.testing.assert_array_equal(read.drop(3), np.delete(values, 3))


def test_a_minus_sign_of_print_is_one() -> None:
    read = typed(table_of(x=[f"{n - 15}".replace("-", "\u2212") for n in range(30)]), Path("t.csv"))
    assert read["x"].tolist() == [n - 15 for n in range(30)]


@pytest.mark.parametrize("other", ["{}.5 m", "{}.5"])
def test_numbers_of_several_units_are_refused(other: str) -> None:
    cells = [f"{n}.5 cm" if n % 3 else other.format(n) for n in range(40)]
    with pytest.raises(ParticipantsError, match=r"column 'x' holds numbers except for a few"):
        typed(table_of(x=cells), Path("t.csv"))
