"""Labels are found in the cohort's order or as rare values; common values prove nothing."""

from __future__ import annotations

import numpy as np
import pytest

from memberscan.inspection.label_matching import match_labels


def whole_years(seed: int, count: int = 200) -> np.ndarray:
    return np.random.default_rng(seed).integers(20, 80, count).astype(float)


def decimals(seed: int, count: int = 200) -> np.ndarray:
    return np.round(np.random.default_rng(seed).uniform(20, 80, count), 2)


def test_a_stretch_in_order_is_found():
    labels = whole_years(0)
    found = match_labels(labels[40:90], labels)
    assert found is not None and found.scans.tolist() == list(range(40, 90)) and "order" in found.exact


def test_shuffled_decimals_are_found_and_shuffled_years_are_not():
    rng = np.random.default_rng(3)
    labels = decimals(0)
    found = match_labels(rng.permutation(labels[:100]), labels)
    assert (
        found is not None and set(found.scans.tolist()) >= set(range(100)) and "another order" in found.exact
    )
    assert match_labels(rng.permutation(whole_years(0)[:100]), whole_years(0)) is None


@pytest.mark.parametrize("seed", range(10))
def test_labels_of_others_are_not_found(seed: int):
    assert match_labels(decimals(seed + 50, 60), decimals(seed)) is None
    assert match_labels(whole_years(seed + 50, 60), whole_years(seed)) is None


@pytest.mark.parametrize("column", [np.arange(5.0), np.full(50, 30.0), np.full(50, np.nan), np.zeros(0)])
def test_short_and_constant_columns_match_nothing(column: np.ndarray):
    assert match_labels(column, whole_years(0)) is None
