"""How well an attack does among some of the people, as the verdict on all of them judges it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from memberscan.evidence.confounding import adjusted
from memberscan.evidence.findings import balanced_accuracy
from memberscan.evidence.intervals import Interval
from memberscan.evidence.joint import enough_comparable, joint
from memberscan.evidence.scored import FEWEST, Scored

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from memberscan.evidence.blind import Blind
    from memberscan.evidence.verdict import Basis


@dataclass(frozen=True, eq=False)
class JudgedScores:
    """One attack's scores as the verdict judges them.

    Parameters
    ----------
    scores
        Higher for a likelier member. Where attacks are judged among people who are alike, without what the
        covariates explain of them; their thresholds are then NaN, since adjusted scores have none.
    strata
        People are compared within these only; None for no strata.
    """

    scores: Scored
    strata: Int[np.ndarray, " subjects"] | None = None


@dataclass(frozen=True)
class GroupResult:
    """What an attack shows among a group, or the reason why that is not known.

    ``accuracy`` is None too where scores have no thresholds.
    """

    auc: Interval | None = None
    accuracy: Interval | None = None
    reason: str | None = None


def judged_scores(scored: Sequence[Scored], basis: Basis, blind: Blind) -> JudgedScores | None:
    """Return the strongest attack's scores as the verdict judges them; None where no attack ran."""
    strongest = next((attack for attack in scored if attack.attack == basis.attack), None)
    if strongest is None:
        return None
    if basis.rule != "within strata":
        return JudgedScores(strongest)
    (rest,) = adjusted([strongest], blind.features)
    return JudgedScores(without_thresholds(rest), blind.strata)


def without_thresholds(attack: Scored) -> Scored:
    """Return the scores with NaN for thresholds, which were chosen on another scale."""
    return replace(attack, thresholds=np.full(len(attack.scores), np.nan))


def among(
    judged: JudgedScores, member: Bool[np.ndarray, " subjects"], inside: Bool[np.ndarray, " subjects"]
) -> GroupResult:
    """Return what the attack shows among the people ``inside``, judged by the same rule as among all."""
    attack = judged.scores
    part = Scored(attack.attack, attack.fitted, attack.scores[:, inside], attack.thresholds)
    sides, strata = member[inside], None if judged.strata is None else judged.strata[inside]
    seen = part.scored
    fewest = int(min((seen & sides).sum(axis=1).min(), (seen & ~sides).sum(axis=1).min()))
    if fewest < FEWEST:
        return GroupResult(reason=f"fewer than {FEWEST} members or non-members scored in one draw")
    if strata is not None and not enough_comparable([part], sides, strata):
        return GroupResult(reason=f"fewer than {FEWEST} members or non-members alike in the covariates")
    auc = joint([part], sides, strata).intervals[0]
    return GroupResult(auc, None if _no_thresholds(part.thresholds) else balanced_accuracy(part, sides))


def _no_thresholds(thresholds: Float[np.ndarray, " draws"]) -> bool:
    return bool(np.isnan(thresholds).any())
