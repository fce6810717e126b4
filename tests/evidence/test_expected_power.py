"""What references should give: the closed forms of the linear model, and more with more of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from memberscan.evidence.expected_power import expected_auc


@pytest.mark.parametrize(
    ("h", "oracle"), [(0.1, 0.580), (0.25, 0.627), (0.5, 0.679), (1.0, 0.746), (2.0, 0.819), (4.0, 0.885)]
)
def test_many_references_reach_the_oracle(h: float, oracle: float) -> None:
    # Values of the likelihood ratio where the person's deviation is known; .006 is three standard errors.
    assert expected_auc(h, 10_000) == pytest.approx(oracle, abs=0.012)


def test_more_references_give_more_and_none_is_worse_than_the_errors_alone() -> None:
    found = [expected_auc(1.0, count) for count in (2, 4, 8, 32, 1000)]
    assert all(a <= b + 0.002 for a, b in itertools.pairwise(found))
    assert found[0] >= 2 / np.pi * np.arctan(2.0) - 0.01


@pytest.mark.parametrize("h", [0.0, -0.2])
def test_without_a_gap_there_is_nothing_to_expect(h: float) -> None:
    assert expected_auc(h, 8) == 0.5
