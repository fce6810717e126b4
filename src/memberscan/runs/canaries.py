"""Canaries of a run: made-up people who were put into the training or left out by a coin, and who was in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from memberscan.cohort import Cohort
from memberscan.cohort.with_copies import CohortWithCopies, with_copies
from memberscan.errors import BadInputError, StaleError
from memberscan.files import OWNER_ONLY, fingerprint, write_json
from memberscan.received import load_json, stated

CANARIES = "canaries.json"
_SCHEMA = "memberscan.canaries/1"


@dataclass(frozen=True)
class Canary:
    """A made-up person: scans of people outside the training, with labels far from the true ones.

    Parameters
    ----------
    name
        Its subject id; its scans are called after it.
    sources, mixed_with
        Ids of the scans that its scans are made of; the same ids twice where they are copied as they are.
    true, labels
        The true label of each scan, and the one that it was given: in the unit of the target, or positions
        of classes.
    inside
        Whether it was trained on.
    """

    name: str
    sources: tuple[str, ...]
    mixed_with: tuple[str, ...]
    true: tuple[float, ...]
    labels: tuple[float, ...]
    inside: bool

    def __post_init__(self) -> None:
        if not len(self.sources) == len(self.mixed_with) == len(self.true) == len(self.labels) > 0:
            raise BadInputError(
                f"the canary {self.name!r} does not have one source and one label for each scan"
            )

    @property
    def scans(self) -> list[str]:
        """Ids of its scans."""
        return [f"{self.name}/{number}" for number in range(len(self.sources))]


@dataclass(frozen=True)
class Canaries:
    """All canaries of a run.

    Parameters
    ----------
    mixing_seed
        Seed of the coins that mix two scans: see :class:`memberscan.cohort.with_copies.CohortWithCopies`.
    weights_seed
        Seed of the network's initial weights, with which an owner can compare the final ones.
    canaries
        Each of them.
    """

    mixing_seed: int
    weights_seed: int
    canaries: tuple[Canary, ...]

    def __len__(self) -> int:
        return len(self.canaries)

    @classmethod
    def read(cls, path: Path) -> Canaries:
        """Read ``canaries.json``; :class:`BadInputError` says what is wrong with it."""
        content = load_json(path)
        if not isinstance(content, dict) or content.pop("schema", None) != _SCHEMA:
            raise BadInputError(f"{path} is not a file of canaries that this version reads; restore it")
        return stated(cls, content, str(path))

    def write(self, path: Path) -> None:
        """Write ``canaries.json``, for the owner only."""
        write_json(path, {"schema": _SCHEMA, **asdict(self)}, mode=OWNER_ONLY)

    @property
    def fingerprint(self) -> str:
        """A digest of all of it."""
        return fingerprint(asdict(self))

    @property
    def inside(self) -> np.ndarray:
        """Whether each canary was trained on."""
        return np.array([canary.inside for canary in self.canaries], dtype=bool)

    def scans(self, chosen: Sequence[bool] | np.ndarray | None = None) -> list[str]:
        """Return the ids of the scans of all canaries, or of the chosen ones."""
        asked = np.ones(len(self), dtype=bool) if chosen is None else chosen
        return [
            scan
            for canary, wanted in zip(self.canaries, asked, strict=True)
            if wanted
            for scan in canary.scans
        ]

    def added_to(self, cohort: Cohort) -> CohortWithCopies:
        """Return a cohort with these canaries, whichever side they are on.

        Raises
        ------
        StaleError
            If a scan that they are made of is not in the cohort.
        """
        rows = [
            (scan, canary.name, *parts)
            for canary in self.canaries
            for scan, *parts in zip(
                canary.scans, canary.sources, canary.mixed_with, canary.labels, strict=True
            )
        ]
        table = pd.DataFrame(rows, columns=["scan_id", "subject_id", "source", "mixed_with", "label"])
        asked = set(table["source"]) | set(table["mixed_with"])
        if absent := sorted(asked - set(cohort.scans.index)):
            raise StaleError(
                f"{len(absent)} scans that canaries are made of are not in {cohort.path} "
                f"({absent[0]!r}); restore {CANARIES}, or give the cohort that the run was trained on"
            )
        return with_copies(cohort, table.set_index("scan_id"), self.mixing_seed)
