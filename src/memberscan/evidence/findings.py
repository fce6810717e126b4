"""Results of each attack: AUC, accuracy, and rates at few false alarms, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from memberscan.evidence.alignment import aligned
from memberscan.evidence.estimates import SIMULTANEOUS_LEVEL
from memberscan.evidence.operating import OperatingPoint, operating_points, roc_points

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.evidence.estimates import Errors, Estimates
    from memberscan.evidence.intervals import Interval
    from memberscan.evidence.scores import Scores


@dataclass(frozen=True, eq=False)
class Finding:
    """What one attack showed about people it was not fitted on.

    Parameters
    ----------
    attack
        Its name.
    auc
        With its 95% interval, alone.
    simultaneous_low
        One-sided 99% lower bound of the AUC that holds for all attacks of the audit together: the headline's
        number.
    standard_error
        Of the AUC, on its own scale.
    accuracy
        Balanced accuracy at the attack's own thresholds; nothing is discarded.
    tpr
        At a false-positive rate of 10%, 1% and 0.1%.
    roc
        False-positive rates over true-positive rates.
    members, nonmembers
        People compared: in one draw, or distinct people over all pairs.
    """

    attack: str
    auc: Interval
    simultaneous_low: float
    standard_error: float
    accuracy: Interval
    tpr: tuple[OperatingPoint, ...]
    roc: Float[np.ndarray, "2 points"]
    members: int
    nonmembers: int

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        simultaneous = {"level": SIMULTANEOUS_LEVEL, "low": self.simultaneous_low}
        return {
            "attack": self.attack,
            "auc": self.auc.to_dict() | {"simultaneous": simultaneous, "standard_error": self.standard_error},
            "accuracy": self.accuracy.to_dict(),
            "tpr": [point.to_dict() for point in self.tpr],
            "roc": {"fpr": self.roc[0].tolist(), "tpr": self.roc[1].tolist()},
            "scored": {"members": self.members, "nonmembers": self.nonmembers},
        }


def collect_findings(scores: Sequence[Scores], estimates: Estimates, errors: Errors) -> tuple[Finding, ...]:
    """Return what each attack showed, in the order given.

    True-positive rates and ROC curves are means over rows at equal false-positive rate.

    Parameters
    ----------
    scores
        Of the same people.
    estimates
        Of the same attacks, from :func:`memberscan.evidence.estimates.estimate_aucs`.
    errors
        The ones given there.

    Raises
    ------
    MisalignedError, TooFewSubjectsError
        See :func:`memberscan.evidence.alignment.aligned`.
    """
    scores = aligned(scores)
    accuracies = errors.accuracies(scores, estimates)
    return tuple(
        Finding(
            attack=attack.attack,
            auc=estimates.intervals[k],
            simultaneous_low=float(estimates.simultaneous_low[k]),
            standard_error=float(estimates.standard_error[k]),
            accuracy=accuracies[k],
            tpr=operating_points(attack, estimates.decisions_of(k)),
            roc=roc_points(attack),
            members=int(estimates.members[k]),
            nonmembers=int(estimates.nonmembers[k]),
        )
        for k, attack in enumerate(scores)
    )
