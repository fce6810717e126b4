"""Find the labels of a cohort, such as ages, in a column of numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FEWEST = 20
"""Fewer numbers may agree with labels by chance."""
_FEWEST_VALUES = 5
"""A column with fewer different values, such as a class, agrees with many."""
_SHARE = 0.9
"""Share of a column that must be labels."""
_LIKELY = 0.5
"""Values are no proof if a random number of their range and precision is a label this often."""


@dataclass(frozen=True)
class LabelMatch:
    """Numbers that are labels of a cohort."""

    scans: np.ndarray
    """The scans whose labels they are, as far as labels tell them apart."""
    exact: str
    """How they agree, in words."""


def match_labels(column: np.ndarray, labels: np.ndarray) -> LabelMatch | None:
    """Match a column of numbers with labels, in the order of the cohort or as values.

    Whole years are shared by many people: only twenty or more in the order of the cohort are proof. Ages with
    decimals are nearly unique: that nine in ten numbers of a column are among them is not chance.

    Parameters
    ----------
    column
        Numbers from a file.
    labels
        The label of each scan.
    """
    if len(column) < FEWEST or len(labels) < FEWEST or len(np.unique(column)) < _FEWEST_VALUES:
        return None
    if (ordered := _in_order(column, labels)) is not None:
        return ordered
    return _as_values(column, labels)


def _in_order(column: np.ndarray, labels: np.ndarray) -> LabelMatch | None:
    """Match a column with a stretch of the labels."""
    if len(column) > len(labels):
        return None
    starts = np.flatnonzero(np.isclose(labels[: len(labels) - len(column) + 1], column[0], rtol=1e-6))
    for start in starts:
        if np.allclose(labels[start : start + len(column)], column, rtol=1e-6, atol=0):
            scans = np.arange(start, start + len(column))
            return LabelMatch(scans, "number by number, in the order of the cohort")
    return None


def _as_values(column: np.ndarray, labels: np.ndarray) -> LabelMatch | None:
    """Match a column with labels in any order, if its precision makes chance agreement unlikely."""
    known = np.unique(labels[np.isfinite(labels)])
    values = column[np.isfinite(column)]
    step = _step(values)
    if step is None or len(known) < FEWEST:
        return None
    # How often a random number of the column's range and precision is a label.
    candidates = known[(known >= values.min()) & (known <= values.max())]
    on_grid = candidates[np.isclose(candidates / step, np.round(candidates / step), rtol=0, atol=1e-6)]
    chance = len(on_grid) / (round((values.max() - values.min()) / step) + 1)
    agrees = np.isin(np.round(column / step), np.round(on_grid / step))
    if chance > _LIKELY or agrees.sum() < _SHARE * len(column):
        return None
    return LabelMatch(_scans(column[agrees], labels, step), "as values, in another order")


def _step(values: np.ndarray) -> float | None:
    """Return the last decimal that a column's numbers use; None if they use more than are compared."""
    for step in (1.0, 0.1, 0.01, 0.001, 1e-4, 1e-5):
        if np.isclose(values / step, np.round(values / step), rtol=0, atol=1e-3).all():
            return step
    return None


def _scans(values: np.ndarray, labels: np.ndarray, step: float) -> np.ndarray:
    """Return a scan for each number; where several scans have a label, as many as there are numbers."""
    left: dict[float, list[int]] = {}
    for scan, label in enumerate(np.round(labels / step).tolist()):
        left.setdefault(label, []).append(scan)
    found = [left[each].pop(0) for each in np.round(values / step).tolist() if left.get(each)]
    return np.array(found, dtype=np.int64)
