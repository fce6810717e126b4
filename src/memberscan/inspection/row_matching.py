"""Find rows of a cohort in an array from a file, however its columns were scaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_COLUMNS = 3
"""Fewer columns may agree by chance after a scaling."""
FEWEST_ROWS = 5
"""Fewer rows could be fitted by a scaling, which has two numbers for each column."""
AGREES = 1e-3
"""Largest difference of a row, in standard deviations of a column, that counts as agreement."""
_STEPS = 30
_FACTOR = 3.0
"""Most by which the scale of a column may differ from its first guess."""


@dataclass(frozen=True)
class RowMatch:
    """The rows of an array that are rows of a cohort."""

    rows: np.ndarray
    """Positions in the array."""
    scans: np.ndarray
    """The cohort's row for each."""
    largest: float
    """Largest difference among them, in standard deviations of the cohort's columns."""
    among: int
    """How many rows the array has."""

    @classmethod
    def none(cls, among: int) -> RowMatch:
        """Return that no row agrees."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), 0.0, among)

    @classmethod
    def together(cls, parts: Sequence[RowMatch]) -> RowMatch:
        """Return what was found in an array that came in parts, one below the other."""
        starts = np.cumsum([0, *(part.among for part in parts)])
        return cls(
            np.concatenate([part.rows + start for part, start in zip(parts, starts, strict=False)]),
            np.concatenate([part.scans for part in parts]),
            max(part.largest for part in parts),
            int(starts[-1]),
        )


def match_rows(array: np.ndarray, inputs: np.ndarray, *, scaled: bool = True) -> RowMatch | None:
    """Match rows that agree after an unknown scaling and shift of every column.

    Pipelines standardise their inputs, so that stored rows are not the cohort's numbers. As in the iterative
    closest point algorithm (Besl and McKay, 1992), each row is paired with the nearest row of the cohort, the
    scaling of each column is fitted to the pairs by least squares, and both are repeated until nothing
    changes. A wrong start does not give agreement in many columns at once, so that agreement is proof.

    Parameters
    ----------
    array
        Rows x columns, from a file.
    inputs
        Scans x columns, of the cohort.
    scaled
        Whether to look for scalings, which takes many times as long as to compare the numbers as they are.

    Returns
    -------
    RowMatch or None
        None if no rows agree. It does not prove that rows are absent: other transformations are not undone,
        and few of the cohort's rows among many of strangers are not found once they are scaled.
    """
    if array.ndim != 2 or inputs.ndim != 2 or array.shape[1] != inputs.shape[1]:
        return None
    finite = np.isfinite(array).all(0) & np.isfinite(inputs).all(0)
    varies = finite & (np.ptp(array, axis=0) > 0) & (np.ptp(inputs, axis=0) > 0)
    if len(array) < FEWEST_ROWS or varies.sum() < FEWEST_COLUMNS:
        return None
    own = array[:, varies].astype(np.float64)
    theirs = inputs[:, varies].astype(np.float64)
    center, scale = theirs.mean(0), theirs.std(0)
    theirs = (theirs - center) / scale
    if not scaled:
        return _from((own - center) / scale, theirs, steps=1)
    starts = [(own - center) / scale, (own - own.mean(0)) / own.std(0)]
    ours, of_theirs = _robust(own), _robust(theirs)
    if (ours[1] > 0).all() and (of_theirs[1] > 0).all():
        starts.append((own - ours[0]) / ours[1] * of_theirs[1] + of_theirs[0])
    return next((found for start in starts if (found := _from(start, theirs)) is not None), None)


def _robust(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median of each column, and the median distance from it."""
    middle = np.median(values, axis=0)
    return middle, np.median(np.abs(values - middle), axis=0)


def _from(start: np.ndarray, theirs: np.ndarray, steps: int = _STEPS) -> RowMatch | None:
    """Match rows from one guess of the scaling: none, that of mean and spread, or that of the median."""
    moved, pairs = start, np.full(len(start), -1)
    for _ in range(steps):
        nearest = _nearest(moved, theirs)
        if np.array_equal(nearest, pairs):
            break
        pairs = nearest
        moved = _fitted(start, theirs[pairs], moved)
    # Once most columns of a row agree, the scale of the others is free: in a column of zeros with one large
    # value, the first guess may be far off.
    moved = _fitted(start, theirs[pairs], moved, factor=np.inf)
    differences = np.abs(moved - theirs[pairs]).max(1)
    agree = differences <= AGREES
    if len(np.unique(pairs[agree])) < FEWEST_ROWS:
        return None
    return RowMatch(np.flatnonzero(agree), pairs[agree], float(differences[agree].max()), len(start))


def _nearest(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the place of the nearest of the others to each row."""
    squares = (others**2).sum(1)
    places = np.empty(len(rows), dtype=np.int64)
    # In blocks, so that memory stays below 64 MiB however many rows there are.
    step = max(1, (8 << 20) // max(len(others), 1))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        places[start : start + step] = (squares - 2 * block @ others.T).argmin(1)
    return places


def _fitted(own: np.ndarray, paired: np.ndarray, moved: np.ndarray, factor: float = _FACTOR) -> np.ndarray:
    """Return the rows with each column scaled and shifted to fit its pairs by least squares.

    Only the half that agrees best so far is fitted, so that rows of strangers do not pull; a row is judged by
    its median over columns, so that one column of a few large values does not decide. The scale is kept
    within a factor, since a scale of zero would move all rows to one point, where they agree with one scan.
    """
    distance = np.median(np.abs(moved - paired), axis=1)
    trusted = distance <= max(float(np.median(distance)), AGREES)
    x, y = own[trusted], paired[trusted]
    spread = np.maximum(x.var(0), 1e-300)
    slope = np.clip(((x - x.mean(0)) * (y - y.mean(0))).mean(0) / spread, 1 / factor, factor)
    fitted: np.ndarray = (own - x.mean(0)) * slope + y.mean(0)
    return fitted
