"""Comparison of attacks within strata of alike people, if covariates tell members from non-members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy import stats
from scipy.special import ndtri

from memberscan.evidence.alignment import aligned
from memberscan.evidence.design_matrix import less_explained

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from memberscan.evidence.blind import Blind
    from memberscan.evidence.estimates import Errors, Estimates
    from memberscan.evidence.scores import Scores


@dataclass(frozen=True, eq=False)
class Strata:
    """The strata of alike people, without the model, for one target.

    Parameters
    ----------
    labels
        Stratum of each person; -1 for people outside the check.
    features
        Covariates as columns; NaN for the same people.
    """

    labels: Int[np.ndarray, " people"]
    features: Float[np.ndarray, "people columns"]

    @classmethod
    def of_check(cls, check: Blind, looked_at: Bool[np.ndarray, " people"] | None = None) -> Self:
        """Return the strata of a check without the model.

        Parameters
        ----------
        check
            Of the people looked at, in their order.
        looked_at
            Who they are; by default everyone.
        """
        if looked_at is None:
            return cls(check.strata, check.features)
        labels = np.full(len(looked_at), -1)
        features = np.full((len(looked_at), check.features.shape[1]), np.nan)
        labels[looked_at], features[looked_at] = check.strata, check.features
        return cls(labels, features)


def estimate_within_strata(
    scores: Sequence[Scores], strata: Mapping[str, Strata], errors: Errors
) -> Estimates | None:
    """Return the AUCs among people alike in their covariates, or None if too few are left to compare.

    Only people of one stratum of the blind score are compared, after what tells the sides apart (curves of
    covariates, and products of two) was taken out of the attacks' scores. Each step alone leaves bias:
    strata because people within one still differ, regression because its form is assumed.

    Parameters
    ----------
    scores
        Of the same people.
    strata
        For each target of their rows (:data:`memberscan.evidence.scores.MODEL` for draws).
    errors
        As for :func:`memberscan.evidence.estimates.estimate_aucs`.

    Raises
    ------
    MisalignedError, TooFewSubjectsError
        See :func:`memberscan.evidence.alignment.aligned`.
    """
    adjusted = [adjust(attack, strata) for attack in aligned(scores)]
    return errors.aucs_within(adjusted, {target: each.labels for target, each in strata.items()})


def adjust(attack: Scores, strata: Mapping[str, Strata]) -> Scores:
    """Return scores with what the covariates explain of them taken out, row by row.

    The regression does not use sides. What a curve or a product of the covariates does not fit stays in the
    scores; strata of the blind score catch part of it. So this is not a bound: an effect of the covariates
    that neither sees may look like a leak.
    """
    values = np.full(attack.values.shape, np.nan)
    for row, kept, found, rest in zip(attack.rows, attack.compared, attack.values, values, strict=True):
        if kept.any():
            rest[kept] = _residual(found[kept], strata[row.target].features[kept])
    return replace(attack, values=values)


def _residual(
    values: Float[np.ndarray, " compared"], features: Float[np.ndarray, "compared columns"]
) -> Float[np.ndarray, " compared"]:
    """Return normal scores of the ranks, minus their least-squares fit on the covariates."""
    # Normal scores, so that neither outliers nor the scale of an attack decide the fit.
    z = ndtri((stats.rankdata(values) - 0.5) / len(values))
    return less_explained(z[:, None], features - features.mean(axis=0))[0][:, 0]
