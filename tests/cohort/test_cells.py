from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.cohort.cells import MISSING, is_missing, looks_numeric, with_decimal_points

SPELLINGS = [
    "", "n/a", "N/A", "NA", "nan", "NaN", "NAN", "NULL", "null", "None", "#NULL!", "#N/A", "#N/A N/A", "<NA>",
    "-NaN", "1.#QNAN", ".", ".a", "-", "--", "---", "–", "missing", "#DIV/0!", "#VALUE!", "#NV",
]  # fmt: skip


@pytest.mark.parametrize("written", SPELLINGS)
def test_missing_is_missing_however_a_program_writes_it(written: str) -> None:
    assert is_missing(pd.Series(["1", written])).tolist() == [False, True]


def test_every_default_of_pandas_is_known() -> None:
    from pandas._libs.parsers import STR_NA_VALUES

    assert STR_NA_VALUES <= MISSING


@pytest.mark.parametrize("written", ["0", "-9", "none", "no", "+", "n", "A.", "sub-", "n.d."])
def test_other_cells_are_not_missing(written: str) -> None:
    assert not is_missing(pd.Series([written])).any()


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        (["26,9", "27,25", "NA"], ["26.9", "27.25", "NA"]),
        (["1.234,5", "7"], ["1234.5", "7"]),
        (["1 234,5", "12\u202f345,25"], ["1234.5", "12345.25"]),
        (["1,234.5", "950.25"], ["1234.5", "950.25"]),
        (["1,234,567", "2"], ["1234567", "2"]),
        (["1'234.5", "12"], ["1234.5", "12"]),
        (["0,125", "0,250"], ["0.125", "0.250"]),
        (["-1,5e3", "2"], ["-1.5e3", "2"]),
    ],
)
def test_numbers_of_other_countries_are_written_plainly(written: list[str], plain: list[str]) -> None:
    assert with_decimal_points(pd.Series(written, dtype="str")).tolist() == plain


@pytest.mark.parametrize(
    "written",
    [["1,234", "5,678"], ["3,5", "3.5"], ["a,b"], ["26,9", "1.234"], ["1", "2.5"], ["12,34,5"], ["1,5", "x"]],
    ids=" and ".join,
)
def test_what_could_be_either_or_is_neither_stays_as_it_is(written: list[str]) -> None:
    assert with_decimal_points(pd.Series(written, dtype="str")).tolist() == written


def test_a_comma_that_is_known_to_be_decimal_is_read_as_that() -> None:
    column = pd.Series(["1,234", "1.234,500"], dtype="str")
    assert with_decimal_points(column, sure=True).tolist() == ["1.234", "1234.500"]


@given(
    st.lists(st.floats(-1e7, 1e7, allow_nan=False), min_size=1, max_size=20), st.sampled_from(["", ".", " "])
)
def test_a_column_of_a_german_or_french_spreadsheet_is_read_right(values: list[float], group: str) -> None:
    written = [f"{v:,.2f}".replace(",", "_").replace(".", ",").replace("_", group) for v in values]
    plain = with_decimal_points(pd.Series(written, dtype="str"), sure=True).astype(float)
    np.testing.assert_array_equal(plain, [float(f"{v:.2f}") for v in values])
    assert all(map(looks_numeric, written))
