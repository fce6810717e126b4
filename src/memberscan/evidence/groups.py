"""Results of an attack in a group of people, by the same rule as the verdict on all people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.evidence.alignment import FEWEST_IN_A_DRAW
from memberscan.evidence.delong import DeLong
from memberscan.evidence.intervals import Interval
from memberscan.evidence.pairs import placements
from memberscan.evidence.scores import IN, MODEL, OUT, Scores
from memberscan.evidence.strata import Strata, adjust
from memberscan.limits import FEWEST_PER_SIDE

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

    from memberscan.evidence.verdict import Basis


@dataclass(frozen=True, eq=False)
class JudgedScores:
    """One attack's scores as the verdict judges them.

    Parameters
    ----------
    scores
        Rows are draws; of pairs, each person's mean place among the non-members of its pairs.
    strata
        People are compared within these only; None for no strata.
    adjusted
        Whether the covariates were taken out of the scores. Thresholds were chosen on the scale before, so
        there is no accuracy then.
    """

    scores: Scores
    strata: Int[np.ndarray, " people"] | None = None
    adjusted: bool = False


@dataclass(frozen=True)
class GroupResult:
    """What an attack shows among a group, or the reason why that is not known.

    ``accuracy`` is None too where the covariates were taken out of the scores.
    """

    auc: Interval | None = None
    accuracy: Interval | None = None
    reason: str | None = None


def judged_scores(
    scores: Sequence[Scores], basis: Basis, strata: Mapping[str, Strata]
) -> JudgedScores | None:
    """Return the strongest attack's scores as the verdict judges them; None where no attack ran.

    Parameters
    ----------
    scores
        Of all attacks.
    basis
        What the verdict rests on.
    strata
        The strata for each target of the rows; used if the verdict is within strata.
    """
    strongest = next((attack for attack in scores if attack.attack == basis.attack), None)
    if strongest is None:
        return None
    if basis.rule != "within strata":
        return JudgedScores(placements(strongest) if strongest.pairs else strongest)
    rest = adjust(strongest, strata)
    if strongest.pairs:
        # Victims have their own strata; a placement is among the held-out people of the same stratum.
        labels = {target: each.labels for target, each in strata.items()}
        return JudgedScores(placements(rest, labels), adjusted=True)
    return JudgedScores(rest, strata[MODEL].labels, adjusted=True)


def among(judged: JudgedScores, inside: Bool[np.ndarray, " people"]) -> GroupResult:
    """Return what the attack shows among the people ``inside``, judged by the same rule as among all."""
    part = judged.scores.of_people(inside)
    # Draws are pooled as for all people: each needs enough for a variance, and all together enough people.
    scored = min(int((part.compared & (part.sides == side)).any(axis=0).sum()) for side in (IN, OUT))
    if scored < FEWEST_PER_SIDE:
        return GroupResult(reason=f"fewer than {FEWEST_PER_SIDE} members or non-members scored")
    if part.counts.min() < FEWEST_IN_A_DRAW:
        return GroupResult(reason=f"fewer than {FEWEST_IN_A_DRAW} members or non-members scored in some draw")
    errors = DeLong()
    if judged.strata is None:
        estimates = errors.aucs([part])
    elif (alike := errors.aucs_within([part], {MODEL: judged.strata[inside]})) is not None:
        estimates = alike
    else:
        return GroupResult(
            reason=f"fewer than {FEWEST_PER_SIDE} members or non-members alike in the covariates"
        )
    accuracy = None if judged.adjusted else errors.accuracies([part], estimates)[0]
    return GroupResult(estimates.intervals[0], accuracy)
