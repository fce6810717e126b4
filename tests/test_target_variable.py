"""Residuals of numbers and of classes, against the formulas that they stand for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.errors import BadInputError
from memberscan.target_variable import AGE, TargetVariable, minus_logit

SEX = TargetVariable("sex", classes=("F", "M"))
PROBABILITIES = st.floats(1e-9, 1 - 1e-9)


@given(st.lists(PROBABILITIES, min_size=1, max_size=20))
def test_half_the_square_of_a_class_residual_is_the_cross_entropy(probabilities: list[float]) -> None:
    p = np.array(probabilities)
    residual = SEX.residual(np.zeros(len(p)), np.log(p))
    assert (residual >= 0).all()
    np.testing.assert_allclose(residual**2 / 2, -np.log(p), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(minus_logit(residual), -np.log(p / (1 - p)), rtol=1e-6, atol=1e-6)


def test_logits_of_probabilities_near_one_keep_their_digits() -> None:
    half = np.array([1e-30, 1e-12, 1e-3])
    np.testing.assert_allclose(minus_logit(np.sqrt(2 * half)), np.log(np.expm1(half)), rtol=1e-12)
    assert np.isfinite(minus_logit(np.zeros(1))).all()


def test_the_best_constant_answer_is_the_median_or_the_shares() -> None:
    ages = np.array([40.0, 50.0, 90.0])
    assert AGE.error_of_constant(ages) == pytest.approx(50 / 3)
    labels = np.array([0.0, 0, 0, 1])
    shares = np.where(labels == 0, 0.75, 0.25)
    assert SEX.error_of_constant(labels) == pytest.approx(np.sqrt(-2 * np.log(shares)).mean())


def test_labels_are_read_as_they_are_written() -> None:
    labels = pd.Series([1.0, 0.0, 1.0])
    assert SEX.written(labels).tolist() == ["M", "F", "M"]
    assert SEX.read(SEX.written(labels)).tolist() == labels.tolist()
    assert SEX.read(pd.Series(["X", None, "F"])).isna().tolist() == [True, True, False]
    assert AGE.read(pd.Series(["50.5", "inf", "x"])).isna().tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "mmse"}, "give the unit of a number, or the names of classes"),
        ({"name": "mmse", "unit": "points", "classes": ("a", "b")}, "give the unit of a number, or"),
        ({"name": "mmse", "unit": "po\nints"}, "unit '.*write at most 60"),
        ({"name": "mmse", "unit": "p" * 61}, "at most 60"),
        ({"name": "age", "unit": "months"}, "ages are in years.*leave out --unit"),
        ({"name": "dx", "classes": ("AD",)}, "give from 2 to 20 different ones"),
        ({"name": "dx", "classes": ("AD", "AD")}, "give from 2 to 20 different ones"),
    ],
)
def test_what_is_no_target_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        TargetVariable(**given)  # type: ignore[arg-type]
