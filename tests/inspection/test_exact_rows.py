"""Rows are inputs of a cohort exactly where all their numbers are equal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from memberscan.inspection.exact_rows import ExactRows

FEW = st.sampled_from([0.0, -0.0, 1.0, 2.5, -3.0, 1e-30])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@given(arrays(np.float64, (5, 3), elements=FEW), arrays(np.float64, (9, 3), elements=FEW))
def test_rows_are_found_as_by_comparing_all_with_all(dtype: str, inputs: np.ndarray, rows: np.ndarray):
    known = ExactRows(dtype)
    known.add(inputs[:2])
    known.add(inputs[2:])
    equal = (rows.astype(dtype)[:, None] == inputs.astype(dtype)).all(2)
    assert known.among(rows) == [(k, int(each.argmax())) for k, each in enumerate(equal) if each.any()]


def test_many_rows_of_a_large_table():
    random = np.random.default_rng(0)
    inputs, rows = random.normal(size=(50, 400)), random.normal(size=(6000, 400))
    rows[[3, 2700, 5999]] = inputs[[7, 0, 49]]
    known = ExactRows("float64")
    known.add(inputs)
    assert known.among(rows) == [(3, 7), (2700, 0), (5999, 49)]


def test_nothing_is_among_no_inputs():
    assert ExactRows("float32").among(np.zeros((3, 4))) == []
