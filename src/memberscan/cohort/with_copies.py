"""A cohort with copies of some of its scans under other people's names, for canaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan import seeds
from memberscan.cohort.cohort import Cohort

if TYPE_CHECKING:
    from jaxtyping import Float32


@dataclass(frozen=True, eq=False, repr=False)
class CohortWithCopies(Cohort):
    """A cohort that has further scans, each made from one or two of its own.

    A copy that is made from two scans takes each value of its input, a voxel or a feature, from one of them
    by a coin. All copies of one person use the same coins.

    Parameters
    ----------
    base
        The cohort; path and fingerprint stay the same.
    copies
        By the id of the copy: ``subject_id``, ``source`` and ``mixed_with`` (ids of scans of the cohort, the
        same one twice for a plain copy), and ``label``.
    mixing_seed
        Seed of the coins.
    """

    base: Cohort
    copies: pd.DataFrame
    mixing_seed: int

    @cached_property
    def labels(self) -> pd.Series:
        """See :class:`memberscan.Cohort`; of copies, the label that they were given."""
        joined: pd.Series = pd.concat([self.base.labels, self.copies["label"]])
        return joined

    def read(self, scan_ids: Sequence[str]) -> Float32[np.ndarray, "scans ..."]:
        """See :meth:`memberscan.Cohort.read`."""
        copied = self.copies.reindex([scan for scan in scan_ids if scan in self.copies.index])
        source = dict(zip(copied.index, copied["source"], strict=True))
        inputs = self.base.read([source.get(scan, scan) for scan in scan_ids])
        mixed = copied[copied["source"] != copied["mixed_with"]]
        if len(mixed):
            others = self.base.read(mixed["mixed_with"].tolist())
            places = pd.Index(scan_ids).get_indexer(mixed.index)
            for place, subject, other in zip(places, mixed["subject_id"], others, strict=True):
                inputs[place] = np.where(self._from_other(subject), other, inputs[place])
        return inputs

    def _from_other(self, subject: str) -> np.ndarray:
        """Return which values of a person's inputs are of the second scan."""
        return seeds.generator(self.mixing_seed, "mixed", subject).random(self.shape) < 0.5


def with_copies(cohort: Cohort, copies: pd.DataFrame, mixing_seed: int) -> CohortWithCopies:
    """Add copies of scans to a cohort; see :class:`CohortWithCopies` for the parameters."""
    added = cohort.scans.loc[copies["source"]].assign(subject_id=copies["subject_id"].to_numpy())
    scans = pd.concat([cohort.scans, added.set_axis(copies.index)])
    kept = {field.name: getattr(cohort, field.name) for field in fields(Cohort)}
    return CohortWithCopies(**{**kept, "scans": scans}, base=cohort, copies=copies, mixing_seed=mixing_seed)
