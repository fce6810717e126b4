"""Probabilities of a table are read whatever their decimals, and others are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.cohort.answers import (
    answer_columns,
    answers_about_copies,
    answers_in,
    copy_columns,
    needs_in_words,
)
from memberscan.errors import BadInputError
from memberscan.target_variable import AGE, TargetVariable

DX = TargetVariable("dx", classes=("AD", "CN"))


def read(*rows: tuple[str, str], label: int = 0) -> np.ndarray:
    table = pd.DataFrame(rows, columns=answer_columns(DX))
    return np.exp(answers_in(table, DX, np.full(len(rows), float(label))))


def test_the_own_probability_is_read() -> None:
    np.testing.assert_allclose(read(("0.3", "0.7"), ("1", "0")), [0.3, 1])
    np.testing.assert_allclose(read(("0.3", "0.7"), label=1), [0.7])
    assert needs_in_words(DX) == "p_AD, p_CN (probabilities)" and needs_in_words(AGE) == "prediction"


def test_a_probability_rounded_to_zero_is_half_of_the_least() -> None:
    np.testing.assert_allclose(read(("0.00", "1.00"), ("0.02", "0.98")), [0.01, 0.02])


@pytest.mark.parametrize(
    "row", [("0.3", "0.6"), ("-0.1", "1.1"), ("x", "1"), ("", "1"), ("nan", "1"), ("3", "1")]
)
def test_what_are_no_probabilities_is_nan(row: tuple[str, str]) -> None:
    assert np.isnan(read(row)).all()


def test_rounded_probabilities_of_many_classes_are_accepted() -> None:
    many = TargetVariable("dx", classes=tuple("abcdefghijklmnopqrst"))
    p = np.random.default_rng(0).dirichlet(np.ones(20), 50)
    table = pd.DataFrame(p.round(2).astype(str), columns=answer_columns(many))
    assert np.isfinite(answers_in(table, many, np.zeros(50))).all()


def test_copies_of_classes_have_a_probability_of_each_class():
    variable = TargetVariable("diagnosis", classes=("AD", "CN"))
    names = [f"{copy}p_{name}" for copy in ("", "copy_1_", "copy_2_") for name in ("AD", "CN")]
    table = pd.DataFrame([["0.8", "0.2", "0.7", "0.3", "0.4", "0.6"]] * 2, columns=names)
    found = answers_about_copies(table[names[::-1]], variable, np.array([0.0, 1.0]))
    np.testing.assert_allclose(found, np.log([[0.7, 0.4], [0.3, 0.6]]))
    assert answers_about_copies(table[names[:2]], variable, np.zeros(2)) is None
    with pytest.raises(BadInputError, match="no column copy_1_p_CN"):
        copy_columns(["p_AD", "p_CN", "copy_1_p_AD"], variable)


@given(st.sets(st.integers(0, 12) | st.just(9999)), st.sampled_from(["prediction", "p_AD", "age"]))
def test_copies_are_numbered_from_one_without_gaps(numbers: set[int], name: str):
    columns = ["subject_id", *(f"copy_{number}_{name}" for number in numbers), "copy_01_prediction"]
    given_numbers = numbers - {0} if name == "prediction" else set()
    if max(given_numbers, default=0) > len(given_numbers):
        with pytest.raises(BadInputError, match="number copies from 1"):
            copy_columns(columns, AGE)
    else:
        expected = [[f"copy_{number}_prediction"] for number in range(1, len(given_numbers) + 1)]
        assert copy_columns(columns, AGE) == expected
