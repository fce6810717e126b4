"""P-values over all attacks at once, from attacks fitted and scored again with membership permuted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from memberscan.errors import MisalignedError
from memberscan.evidence.roc import null_variance

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.evidence.joint import Joint


@dataclass(frozen=True, eq=False)
class NullCheck:
    """How often chance alone does as well as each attack, with all attacks tried counted against it.

    Parameters
    ----------
    attacks
        Their names.
    p_values
        Max-T p-values, one-sided.
    permutations
        How many were drawn; ``None`` where the p-values come from the joint normal.
    null_mean, null_spread
        Mean and standard deviation of each attack's AUC by chance.
    """

    attacks: tuple[str, ...]
    p_values: Float[np.ndarray, " attacks"]
    permutations: int | None
    null_mean: Float[np.ndarray, " attacks"]
    null_spread: Float[np.ndarray, " attacks"]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        columns = (self.attacks, self.p_values.tolist(), self.null_mean.tolist(), self.null_spread.tolist())
        names = ("attack", "p_value", "null_mean", "null_spread")
        return {
            "method": "closed form" if self.permutations is None else "permutation",
            "permutations": self.permutations,
            "attacks": [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)],
        }


def permuted_null(estimates: Joint, null: Float[np.ndarray, "permutations attacks"]) -> NullCheck:
    """Return max-T p-values (Westfall and Young, 1993) from AUCs found with membership permuted.

    Each attack is studentised by its spread over the permutations and the observation together, which keeps
    the test exact; p = (1 + number of permutations whose greatest statistic is at least the attack's) /
    (permutations + 1). With 99 permutations no p-value is below .01: give at least 199 where p-values decide.

    Parameters
    ----------
    estimates
        What was observed.
    null
        AUCs of the same attacks, refitted and rescored with labels permuted before known and unknown were
        split.
    """
    if null.ndim != 2 or null.shape[1] != len(estimates.attacks) or not np.isfinite(null).all():
        raise MisalignedError(
            f"null AUCs of shape {null.shape} for {len(estimates.attacks)} attacks; give finite AUCs, "
            "permutations x attacks"
        )
    every = np.vstack([estimates.auc, null])
    spread = every.std(axis=0)
    # Steps smaller than rounding are ties, and ties count against the attack.
    statistic = np.round(
        np.divide(every - every.mean(axis=0), spread, out=np.zeros_like(every), where=spread > 0), 9
    )
    greatest = statistic[1:].max(axis=1)
    p_values = (1 + (greatest[:, None] >= statistic[0]).sum(axis=0)) / len(every)
    return NullCheck(estimates.attacks, p_values, len(null), null.mean(axis=0), null.std(axis=0))


def normal_null(estimates: Joint) -> NullCheck:
    """Return max-T p-values from the joint normal that AUCs approach in large samples; no attack is refitted.

    The variance is that of an untied Mann-Whitney AUC with the subjects of a single draw. The p-value is the
    smaller of a Monte Carlo estimate from a fixed generator and Bonferroni's bound, which is the sharper one
    far in the tail.
    """
    spread = np.sqrt(null_variance(estimates.members, estimates.nonmembers))
    statistic = (estimates.auc - 0.5) / spread
    draws = len(estimates.greatest)
    sampled = (1 + draws - np.searchsorted(estimates.greatest, statistic)) / (1 + draws)
    bound = np.minimum(1.0, len(statistic) * stats.norm.sf(statistic))
    return NullCheck(
        estimates.attacks, np.minimum(sampled, bound), None, np.full(len(statistic), 0.5), spread
    )
