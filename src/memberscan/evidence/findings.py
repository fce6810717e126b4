"""What each attack showed: area, accuracy, rates where false alarms are rare, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from memberscan.evidence.intervals import Interval, balanced_accuracy_interval
from memberscan.evidence.joint import SIMULTANEOUS_LEVEL, Joint
from memberscan.evidence.operating import OperatingPoint, operating_points, roc_points
from memberscan.evidence.scored import Scored

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass(frozen=True, eq=False)
class Finding:
    """What one attack showed about subjects it was not fitted on.

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
        Balanced accuracy at the attack's own threshold; nothing is discarded.
    tpr
        At a false-positive rate of 10%, 1% and 0.1%.
    roc
        False-positive rates over true-positive rates.
    members, nonmembers
        Subjects scored in one draw.
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


def findings(
    attacks: Sequence[Scored], member: Bool[np.ndarray, " subjects"], estimates: Joint
) -> tuple[Finding, ...]:
    """Return what each attack showed, in the order given.

    Parameters
    ----------
    attacks
        Scores of the same subjects.
    member
        Who was trained on.
    estimates
        Of the same attacks, from :func:`memberscan.evidence.joint.joint`.
    """
    return tuple(
        Finding(
            attack=attack.attack,
            auc=estimates.intervals[k],
            simultaneous_low=float(estimates.simultaneous_low[k]),
            standard_error=float(estimates.standard_error[k]),
            accuracy=balanced_accuracy(attack, member),
            tpr=operating_points(attack, member),
            roc=roc_points(attack, member),
            members=int(estimates.members[k]),
            nonmembers=int(estimates.nonmembers[k]),
        )
        for k, attack in enumerate(attacks)
    )


def balanced_accuracy(attack: Scored, member: Bool[np.ndarray, " subjects"]) -> Interval:
    """Return balanced accuracy: the mean over draws, with the interval of one draw."""
    decided = attack.scores > attack.thresholds[:, None]
    inside, outside = attack.scored & member, attack.scored & ~member
    sensitivity = np.mean((decided & inside).sum(axis=1) / inside.sum(axis=1))
    specificity = np.mean((~decided & outside).sum(axis=1) / outside.sum(axis=1))
    sides = int(inside.sum(axis=1).min()), int(outside.sum(axis=1).min())
    return balanced_accuracy_interval(float(sensitivity), float(specificity), *sides)
