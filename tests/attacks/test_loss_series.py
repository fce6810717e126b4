"""How the error goes over the rounds: against its definition in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from memberscan.attacks.loss_series import ZERO_KNOWLEDGE_LOSS_SERIES, course, series
from memberscan.signals import View
from memberscan.signals.round_predictions import ROUND_PREDICTIONS

from .conftest import scored


def seen(residuals: np.ndarray, age: float = 61.25) -> View:
    ids = [f"scan {n}" for n in range(len(residuals))]
    table = pd.DataFrame({"subject_id": ids, "label": age}, index=ids)
    return View(table, {ROUND_PREDICTIONS: age - residuals})


def test_what_is_summed_up_of_a_course_is_what_loops_give():
    residuals = 5 * np.random.default_rng(0).normal(size=(9, 7))
    for row, (mean, last, slope, steady) in zip(residuals, course(seen(residuals)), strict=True):
        error = [abs(r) for r in row]
        assert mean == pytest.approx(sum(error) / 7)
        assert last == pytest.approx(error[-1])
        assert slope == pytest.approx(np.polyfit(range(7), error, 1)[0])
        assert steady == pytest.approx(sum((r > 0) == (row[-1] > 0) for r in row) / 7)


def test_one_round_has_no_slope():
    np.testing.assert_allclose(course(seen(np.array([[-3.0], [2.0]]))), [[3, 3, 0, 1], [2, 2, 0, 1]])


def test_residuals_are_age_minus_prediction_and_keep_fractions():
    residuals = np.array([[1.25, -0.5], [0.0, 3.75]])
    np.testing.assert_allclose(series(seen(residuals)), residuals)


def test_without_knowledge_an_error_that_fell_says_member():
    residuals = np.array([[1.0, -1.0, 1.0], [4.0, 2.0, 0.0], [-2.0, -2.0, -2.5]])
    np.testing.assert_allclose(scored(ZERO_KNOWLEDGE_LOSS_SERIES, seen(residuals)), [0.0, 3.0, -0.5])
    # One round leaves nothing to compare with.
    np.testing.assert_allclose(scored(ZERO_KNOWLEDGE_LOSS_SERIES, seen(residuals[:, :1])), [-1.0, -4.0, -2.0])
