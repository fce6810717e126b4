"""Probabilities of a table are read whatever their decimals, and others are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from memberscan.cohort.answers import answer_columns, answers_in, needs_in_words
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
