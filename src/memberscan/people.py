"""The people behind scans: which scan is whose, and means and sums over a person's scans."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class People:
    """The subjects of some scans, sorted by id, so that results do not depend on the order of scans.

    Parameters
    ----------
    ids
        Subject ids.
    of_scan
        For each scan, the position of its subject in ``ids``.
    """

    ids: tuple[str, ...]
    of_scan: Int[np.ndarray, " scans"]

    @classmethod
    def of(cls, subject_id: pd.Series) -> People:
        """Return the people of these scans, from one subject id per scan."""
        codes, ids = pd.factorize(subject_id, sort=True)
        return cls(tuple(ids.to_numpy(object)), codes.astype(np.int64))

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def scan_count(self) -> Int[np.ndarray, " people"]:
        """Number of scans of each subject."""
        return np.bincount(self.of_scan, minlength=len(self.ids))

    def mean(self, values: Float[np.ndarray, "*more scans"]) -> Float[np.ndarray, "*more people"]:
        """Return the mean over each subject's scans, along the last axis.

        A mean, not a sum: sums would be larger for people with many scans, whatever the model predicts.
        """
        return np.asarray(self.total(values) / self.scan_count)

    def total(self, values: Float[np.ndarray, "*more scans"]) -> Float[np.ndarray, "*more people"]:
        """Return the sum over each subject's scans, along the last axis; for log-likelihood ratios only."""
        flat = np.asarray(values, dtype=float).reshape(-1, len(self.of_scan))
        sums = np.reshape(
            [np.bincount(self.of_scan, row, len(self.ids)) for row in flat], (len(flat), len(self.ids))
        )
        return np.asarray(sums.reshape(*np.shape(values)[:-1], len(self.ids)))

    def covariates(self, by_scan: pd.DataFrame) -> pd.DataFrame:
        """Return one row per subject: means of numbers, and the first value of text.

        Parameters
        ----------
        by_scan
            One row per scan, in the order of ``of_scan``.
        """
        grouped = by_scan.groupby(self.of_scan, sort=False)
        columns = {
            str(name): grouped[str(name)].agg("mean" if pd.api.types.is_numeric_dtype(values) else "first")
            for name, values in by_scan.items()
        }
        table = pd.DataFrame(columns, index=pd.RangeIndex(len(self.ids)))
        return table.set_index(pd.Index(self.ids))

    def scans_of(self, people: Bool[np.ndarray, " people"]) -> Int[np.ndarray, " scans"]:
        """Return the positions of the scans of some of the people."""
        return np.flatnonzero(people[self.of_scan])
