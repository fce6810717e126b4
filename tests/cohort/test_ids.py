from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.cohort.ids import alike, is_nobody


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("s0001", "S0001"),
        ("s0001", "s1"),
        ("007", "7"),
        ("7", "7.0"),
        ("007", "7.00"),
        ("sub-01_ses-1", "sub-1_ses-01"),
        ("00", "0"),
        ("s\u200b1", "s1"),
        ("Ｓ1", "s1"),
        ("e\u0301", "é"),
        ("straße", "STRASSE"),
    ],
)
def test_ids_of_one_person_are_found(one: str, other: str) -> None:
    assert alike(["x", one, "y", other]) == [(one, other)]


@pytest.mark.parametrize(
    ("one", "other"),
    [("s10", "s1"), ("s1", "s11"), ("1.5", "1"), ("a1", "b1"), ("1.10", "1.1"), ("é", "e"), ("0", "1")],
)
def test_other_ids_are_two(one: str, other: str) -> None:
    assert alike([one, other]) == []


@given(st.lists(st.integers(0, 10**6), unique=True, max_size=30), st.booleans())
def test_numbered_people_are_never_alike(numbers: list[int], padded: bool) -> None:
    assert alike([f"sub-{n:07d}" if padded else f"sub-{n}" for n in numbers]) == []


@given(st.lists(st.text(max_size=5).map(str.strip).filter(bool), unique=True, max_size=20))
def test_alike_is_blind_to_the_order(ids: list[str]) -> None:
    assert bool(alike(ids)) == bool(alike(ids[::-1]))


@pytest.mark.parametrize("other", ["sub_01", "sub 01", "sub\u201301", "SUB__1"])
def test_dashes_and_blanks_tell_nobody_apart(other: str) -> None:
    assert alike(["sub-01", other]) == [("sub-01", other)]


def test_a_missing_code_after_the_prefix_names_nobody() -> None:
    ids = pd.Series(["sub-nan", "sub-n/a", "sub-NA", "n/a", "", "sub-", "sub-01", "none"])
    assert is_nobody(ids).tolist() == [True] * 5 + [False] * 3
