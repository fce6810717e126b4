"""What a service knows of the scans that its model was trained on: their labels, and the errors on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from memberscan.defences.answers import OwnPeople, digests_of
from memberscan.errors import BadInputError
from memberscan.models.inputs import batches, predict_scans
from memberscan.progress import progress
from memberscan.runs import Role

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

    from memberscan.cohort import Cohort
    from memberscan.runs import Run

_BATCH = 8


@dataclass(frozen=True, eq=False)
class TrainedScans:
    """Labels of the scans that a model was trained on, by the digest of the input, and residuals.

    Parameters
    ----------
    labels
        True label by digest: see :func:`memberscan.defences.answers.digests_of`.
    members, others
        As of :class:`memberscan.defences.answers.OwnPeople`.
    """

    labels: Mapping[bytes, float]
    members: Float[np.ndarray, " scans"]
    others: Float[np.ndarray, " held_out"]

    @classmethod
    def of(cls, run: Run, cohort: Cohort | Path | None = None) -> Self:
        """Read the scans of a run's members and of people held out, and predict them.

        Parameters
        ----------
        run
            The run.
        cohort
            Its cohort, where it was moved or is open.

        Raises
        ------
        BadInputError
            If nobody was held out.
        """
        data = run.cohort(cohort) if cohort is None or isinstance(cohort, Path) else cohort
        whose, model = data.scans["subject_id"], run.load()
        members, others = (
            whose.index[whose.isin(run.roles.subjects(role))].tolist()
            for role in (Role.MEMBER, Role.VALIDATION)
        )
        if not others:
            raise BadInputError(
                f"{run.path} held nobody out, so what errors of other people are is not known; train again "
                "with --validation 0.2"
            )
        residuals = [
            data.labels[scans].to_numpy(float) - predict_scans(model, data, scans)[:, 0]
            for scans in (members, others)
        ]
        digests = []
        with progress("digests of scans trained on", len(members)) as advance:
            for inputs, _ in batches(data, members, _BATCH):
                digests += [row.tobytes() for row in digests_of(inputs.numpy())]
                advance(len(inputs))
        return cls(dict(zip(digests, data.labels[members].tolist(), strict=True)), *residuals)

    def asked(self, digests: UInt8[np.ndarray, "n 32"]) -> OwnPeople:
        """Return what is known of inputs with these digests; one that differs in a bit is not known."""
        labels = [self.labels.get(digest.tobytes(), np.nan) for digest in digests]
        return OwnPeople(np.array(labels, dtype=float), self.members, self.others)
