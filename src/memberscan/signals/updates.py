"""What each scan has to do with the learners' updates, as arrays: what a server can work out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Bool, Float, Int

AGGREGATE = "all"
"""Name of the one learner that somebody sees who sees sums only."""


class OnDisk(Sequence[np.ndarray]):
    """Arrays of files, each mapped into memory only while it is looked at."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, place: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, place: slice) -> OnDisk: ...
    def __getitem__(self, place: int | slice) -> np.ndarray | OnDisk:
        if isinstance(place, slice):
            return OnDisk(self._paths[place])
        stored: np.ndarray = np.load(self._paths[place], mmap_mode="r", allow_pickle=False)
        return stored


@dataclass(frozen=True, eq=False)
class Updates:
    """What somebody sees of scans who sees the learners' updates, or their sum.

    Parameters
    ----------
    scans
        Indexed by scan id: ``subject_id`` and ``age`` (years).
    learners
        Whose updates; ``("all",)`` for their sum.
    rounds
        Which rounds.
    took_part
        Whether a learner took part in a round.
    before
        Predictions by the global model that the round began with, years.
    local
        Predictions by each learner's model at its end, years; NaN where it took no part.
    products
        Inner product of a scan's Jacobian and the descent, global minus local model, by layer.
    norms
        Norm of a scan's Jacobian, by layer.
    descent_norms
        Norm of the descent, by layer.
    sketches
        Sketches of Jacobians, on disk, one array a round: read them with :meth:`sketch`.
    descent_sketches
        Sketch of each descent, by the same projection.
    rows
        Which rows of the sketches are those of the scans; None for all.
    """

    scans: pd.DataFrame
    learners: tuple[str, ...]
    rounds: tuple[int, ...]
    took_part: Bool[np.ndarray, "rounds learners"]
    before: Float[np.ndarray, "rounds scans"]
    local: Float[np.ndarray, "rounds scans learners"]
    products: Float[np.ndarray, "rounds scans learners layers"]
    norms: Float[np.ndarray, "rounds scans layers"]
    descent_norms: Float[np.ndarray, "rounds learners layers"]
    sketches: Sequence[Float[np.ndarray, "stored sketch"]]
    descent_sketches: Float[np.ndarray, "rounds learners sketch"]
    rows: Int[np.ndarray, " scans"] | None = None

    def sketch(self, place: int) -> Float[np.ndarray, "scans sketch"]:
        """Return the sketch of each scan's Jacobian in the round at this place; the others stay on disk."""
        stored = self.sketches[place]
        return stored if self.rows is None else stored[self.rows]

    def of(self, scans: Bool[np.ndarray, " scans"]) -> Updates:
        """Return what was seen of some of the scans."""
        return dataclasses.replace(
            self,
            scans=self.scans[scans],
            before=self.before[:, scans],
            local=self.local[:, scans],
            products=self.products[:, scans],
            norms=self.norms[:, scans],
            rows=np.flatnonzero(scans) if self.rows is None else self.rows[scans],
        )
