"""Sessions in order, and ids of a table and of a folder that are the same, of names however long."""

from __future__ import annotations

import time

import pytest

from memberscan.cohort.matching import in_order, match_ids

PYTHON_S_LIMIT = 4300
"""Digits of the longest number that Python reads from text."""


def test_sessions_are_in_the_order_of_their_numbers() -> None:
    assert in_order({"ses-10", "ses-9", "ses-2", "ses-baseline"}) == [
        "ses-baseline",
        "ses-2",
        "ses-9",
        "ses-10",
    ]


@pytest.mark.parametrize("digits", [PYTHON_S_LIMIT + 1, 1_000_000])
def test_numbers_of_thousands_of_digits_are_ordered(digits: int) -> None:
    names = ["ses-2", "ses-10", "ses-1" + "0" * digits, "ses-9" + "0" * digits]
    assert in_order(names[::-1]) == names


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ("7" * 1_000_000, "sub-" + "7" * 1_000_000),
        ("0" * 1_000_000 + "7", "sub-7"),
        ("sub-" * 500_000 + "7", "sub-7"),
        ("SUB- " * 500_000 + "07", "sub-7"),
    ],
    ids=["digits", "zeros", "prefixes", "prefixes and blanks"],
)
def test_ids_of_millions_of_letters_are_matched_at_once(listed: str, found: str) -> None:
    start = time.process_time()
    assert match_ids([listed], [found], prefix="sub-", where="t.tsv") == {listed: found}
    assert time.process_time() - start < 2
