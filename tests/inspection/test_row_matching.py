"""Rows of a cohort are found after any scaling of columns, and nothing is found where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from memberscan.inspection.row_matching import match_rows


def made(seed: int, scans: int = 120, columns: int = 7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(columns, columns))
    return rng.normal(size=(scans, columns)) @ mixing + rng.normal(size=columns) * 5


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_scaled_rows_are_found(seed: int, share: float):
    inputs = made(seed)
    rng = np.random.default_rng(seed + 100)
    chosen = rng.permutation(len(inputs))[: int(share * len(inputs))]
    stored = inputs[chosen]
    stored = ((stored - stored.mean(0)) / stored.std(0)).astype(np.float32)
    found = match_rows(stored, inputs)
    assert found is not None
    assert np.array_equal(found.scans[np.argsort(found.rows)], chosen)
    assert found.largest < 1e-4


def test_rows_among_strangers_are_found():
    inputs, strangers = made(1), made(2)[:30]
    stored = np.concatenate([inputs[:60], strangers]) * 3 - 1
    found = match_rows(stored, inputs)
    assert found is not None and set(found.scans.tolist()) == set(range(60)) and found.rows.max() < 60


@pytest.mark.parametrize("seed", range(10))
def test_other_people_are_not_found(seed: int):
    both = made(seed, scans=240)
    assert match_rows(both[:120], both[120:]) is None


@pytest.mark.parametrize(
    "stored",
    [np.zeros((10, 7)), np.full((10, 7), np.nan), np.zeros((10, 6)), np.zeros((2, 7)), np.zeros((3, 3, 7))],
)
def test_odd_arrays_match_nothing(stored: np.ndarray):
    assert match_rows(stored, made(0)) is None
