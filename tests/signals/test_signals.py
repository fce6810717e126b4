from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.errors import MisalignedError, NonFiniteError
from memberscan.signals.signals import PREDICTION, Signals, gradient


def make(ids: list[str], **changes: np.ndarray) -> Signals:
    n = len(ids)
    scans = pd.DataFrame(
        {"subject_id": ids, "age": np.linspace(50, 70, n)}, index=pd.Index(ids, name="scan_id")
    )
    arrays = {PREDICTION: np.arange(n, dtype=float), gradient("conv1"): np.arange(3.0 * n).reshape(n, 3)}
    return Signals(scans, arrays | changes)


def test_residuals_are_age_minus_prediction_with_their_sign() -> None:
    signals = make(["a", "b", "c"], prediction=np.array([40.0, 60.0, 80.0]))
    np.testing.assert_array_equal(signals.residual, [10, 0, -10])


@given(st.permutations(["a 1", "b/2", "é", "d"]), st.integers(0, 4))
def test_rows_follow_the_ids_asked_for(order: list[str], count: int) -> None:
    whole = make(["a 1", "b/2", "é", "d"])
    part = whole.at(order[:count])
    assert part.scans.index.tolist() == order[:count]
    for name, values in part.arrays.items():
        expected = [whole.arrays[name][whole.scans.index.get_loc(i)] for i in order[:count]]
        np.testing.assert_array_equal(values, np.reshape(expected, values.shape))


def test_an_id_that_is_not_there_is_named() -> None:
    with pytest.raises(MisalignedError, match="'x' is not among the signals"):
        make(["a", "b"]).at(["a", "x"])


def test_an_array_of_another_length_and_repeated_ids_are_errors() -> None:
    with pytest.raises(MisalignedError, match=r"gradient:conv1 has 3 rows for 2 scans"):
        make(["a", "b"], **{gradient("conv1"): np.zeros((3, 4))})
    with pytest.raises(MisalignedError, match="'b' stands twice"):
        make(["a", "b", "b"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_predictions_that_are_no_numbers_are_counted_and_refused(bad: float) -> None:
    with pytest.raises(NonFiniteError, match="2 of 3 predictions"):
        make(["a", "b", "c"], prediction=np.array([60.0, bad, bad]))
