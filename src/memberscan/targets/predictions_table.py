"""A table of predictions as a target: there is no model, so every attacker sees outputs only."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from memberscan.cohort.target_column import Asked
from memberscan.files import TABLE_LIMIT, fingerprint
from memberscan.received import read_limited
from memberscan.targets.predictions_file import read_predictions
from memberscan.targets.target import PredictionsFrom, Target
from memberscan.threat import Access, ThreatModel


@dataclass(frozen=True, eq=False)
class PredictionsTable(Target):
    """Predictions of some scans, with their membership.

    Parameters
    ----------
    predictions
        Of each scan; of classes, the log-probability of its own class.
    digest
        Of the file.
    made
        How the predictions were made, as stated by the auditor.
    answers
        The same as they are written in the file.
    """

    predictions: np.ndarray = field(kw_only=True)
    digest: str = field(kw_only=True)
    answers: pd.DataFrame = field(kw_only=True)
    made: PredictionsFrom = field(default="unknown", kw_only=True)

    @classmethod
    def read(
        cls,
        path: Path,
        threat: ThreatModel,
        *,
        seed: int = 0,
        made: PredictionsFrom = "unknown",
        asked: Asked = Asked(),
    ) -> PredictionsTable:
        """Read a predictions file; see :func:`~memberscan.targets.predictions_file.read_predictions`."""
        read = read_predictions(path, asked)
        # Sorted, so that the order of rows does not change the result, not even its last bits.
        order = read.scans.index.argsort()
        return cls(
            scans=read.scans.iloc[order],
            is_member=read.member,
            covariates=read.covariates.iloc[order],
            ignored=read.ignored,
            threat=threat,
            seed=seed,
            predictions=read.predictions[order],
            copies=None if read.copies is None else read.copies[order],
            digest=fingerprint(read_limited(path, TABLE_LIMIT)),
            made=made,
            variable=read.variable,
            answers=read.answers.iloc[order],
        )

    @property
    def predictions_from(self) -> PredictionsFrom:
        """See :class:`.Target`."""
        return self.made

    @property
    def shows(self) -> Access:
        """Outputs only."""
        return Access.OUTPUTS

    def lacks(self, access: Access) -> str | None:
        """See :class:`.Target`."""
        if access is Access.OUTPUTS:
            return None
        return "needs the model's weights; a predictions file shows outputs only"

    def describe(self) -> dict[str, Any]:
        """See :class:`.Target`; a file does not say how its members were drawn."""
        return {
            "kind": "predictions",
            "model": "unknown",
            "parameters": None,
            "synthetic": False,
            "randomised": False,
        }

    def provenance(self) -> dict[str, Any]:
        """See :class:`.Target`."""
        return {"cohort": None, "roles": None, "weights": None, "predictions": self.digest, "threads": None}
