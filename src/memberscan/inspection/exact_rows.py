"""Find inputs of a cohort among the rows of an array, number by number."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np

_NUMBERS_AT_A_TIME = 1 << 20


class ExactRows:
    """The inputs of a cohort as numbers of one type.

    Parameters
    ----------
    dtype
        That type.
    """

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self._scans: dict[bytes, int] = {}
        self._sums = np.empty(0, np.uint64)
        self._known = 0

    def add(self, inputs: np.ndarray) -> None:
        """Add the next inputs of the cohort, along the first axis."""
        stored = _stored(inputs, self.dtype)
        self._sums = np.concatenate([self._sums, _sums(stored)])
        for row in stored:
            # Of equal inputs, the first scan counts.
            self._scans.setdefault(_digest(row), self._known)
            self._known += 1

    def among(self, rows: np.ndarray) -> list[tuple[int, int]]:
        """Return the place of each row that is an input, with its scan.

        Parameters
        ----------
        rows
            Rows x numbers of one input, of any numeric type.
        """
        found: list[tuple[int, int]] = []
        step = max(1, _NUMBERS_AT_A_TIME // max(rows.shape[1], 1))
        for start in range(0, len(rows), step):
            stored = _stored(rows[start : start + step], self.dtype)
            # Sums are fast, and equal where rows are equal; digests say which of these rows are.

            places = np.flatnonzero(np.isin(_sums(stored), self._sums))
            scans = ((start + int(place), self._scans.get(_digest(stored[place]))) for place in places)
            found += [(place, scan) for place, scan in scans if scan is not None]
        return found


def _stored(rows: np.ndarray, dtype: str) -> np.ndarray:
    """Return rows of numbers as the cohort stores them."""
    with np.errstate(over="ignore", invalid="ignore"):
        stored = np.ascontiguousarray(rows.reshape(len(rows), -1), dtype=dtype)
    # Zero has two signs, which are equal as numbers.
    return stored + 0


def _sums(stored: np.ndarray) -> np.ndarray:
    """Return a sum of each row's bits, with random odd weights, modulo 2^64."""
    bits = stored.view(f"u{stored.dtype.itemsize}")
    sums: np.ndarray = (bits * _weights(bits.shape[1])).sum(1, dtype=np.uint64)
    return sums


@lru_cache(maxsize=2)
def _weights(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 1 << 63, size, np.uint64) * 2 + 1


def _digest(row: np.ndarray) -> bytes:
    return hashlib.blake2b(row.tobytes(), digest_size=16).digest()
