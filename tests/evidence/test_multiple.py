from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from memberscan.evidence.multiple import holm


@given(hnp.arrays(float, st.integers(0, 30), elements=st.floats(0, 1)))
def test_holm_equals_its_definition(p_values):
    corrected, greatest = holm(p_values), 0.0
    expected = np.empty(len(p_values))
    for done, k in enumerate(np.argsort(p_values, kind="stable")):
        greatest = max(greatest, min(1.0, (len(p_values) - done) * p_values[k]))
        expected[k] = greatest
    np.testing.assert_array_equal(corrected, expected)


def test_lists_are_taken_too():
    np.testing.assert_allclose(holm([0.02, 0.01, 0.5]), [0.04, 0.03, 0.5])
