from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.cohort import select_covariates
from memberscan.cohort.covariates import MISSING, as_covariate, missing_as_nan, read_text_table
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
    assert select_covariates(column.to_frame("x"))[0] == (("x",) if expected else ())
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
    assert missing_as_nan(table)["note"].isna().all()
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
