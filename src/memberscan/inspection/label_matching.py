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
"""Values are no proof if a random number of the same range and precision is a label this often."""


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
    """Match a column with labels in any order, if their precision makes chance agreement unlikely."""
    different = np.unique(labels[np.isfinite(labels)])
    if len(different) < FEWEST:
        return None
    # As many numbers as there are between the smallest and the largest label, at the smallest step between
    # two of them: the share of these that are labels is how often a random number agrees.
    step = max(float(np.diff(different).min()), 1e-9)
    chance = len(different) / max((different[-1] - different[0]) / step + 1, 1)
    nearest = np.clip(np.searchsorted(different, column), 1, len(different) - 1)
    closest = np.where(
        np.abs(different[nearest] - column) < np.abs(different[nearest - 1] - column), nearest, nearest - 1
    )
    agrees = np.isclose(different[closest], column, rtol=1e-6, atol=0)
    if chance > _LIKELY or agrees.mean() < _SHARE:
        return None
    return LabelMatch(
        np.flatnonzero(np.isin(labels, different[np.unique(closest[agrees])])), "as values, in another order"
    )
