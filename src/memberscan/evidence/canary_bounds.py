"""What the scores of canaries say of epsilon, by several bounds that hold together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from memberscan.evidence.audit_inputs import check_delta, check_epsilon, check_level
from memberscan.evidence.epsilon_bounds import epsilon_gaussian
from memberscan.evidence.epsilon_from_auc import epsilon_gaussian_auc
from memberscan.evidence.one_run import epsilon_one_run, epsilon_one_run_fdp
from memberscan.evidence.rate_bounds import CONFIDENCE

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float

    from memberscan.evidence.epsilon_bounds import EpsilonBound

DELTA = 1e-5
"""At which delta a bound is given where the training states none."""


@dataclass(frozen=True)
class CanaryBound:
    """One lower bound of epsilon.

    Parameters
    ----------
    scores
        Name of the scores that it was made from.
    bound
        The bound. Its level is that of this bound alone.
    broken
        Whether it lies above the stated epsilon; None where none is stated.
    """

    scores: str
    bound: EpsilonBound
    broken: bool | None


@dataclass(frozen=True)
class CanaryEvidence:
    """What canaries show of a guarantee.

    Parameters
    ----------
    inside, outside
        How many canaries were in and out.
    level
        Confidence with which all bounds hold together, where what they assume is true.
    delta
        Of all bounds: that of the stated guarantee, else :data:`DELTA`.
    epsilon
        The stated one, or None.
    bounds
        All of them.
    estimate
        An estimate of epsilon, which is no bound; None where none was made.
    """

    inside: int
    outside: int
    level: float
    delta: float
    epsilon: float | None
    bounds: tuple[CanaryBound, ...]
    estimate: float | None = None

    @property
    def broken(self) -> bool | None:
        """Whether a bound lies above the stated epsilon; None where none is stated.

        False says that these canaries showed nothing, and not that the guarantee holds. Where only bounds
        that take canaries for independent lie above it, that assumption may be what is wrong.
        """
        return None if self.epsilon is None else any(each.broken for each in self.bounds)


def canary_evidence(
    scores: Mapping[str, Float[np.ndarray, " canaries"]],
    inside: Bool[np.ndarray, " canaries"],
    *,
    epsilon: float | None = None,
    delta: float | None = None,
    gaussian: bool = False,
    level: float = CONFIDENCE,
) -> CanaryEvidence:
    """Bound epsilon by every kind of score and every method that applies, and compare with a guarantee.

    Each bound has the level 1 - (1 - ``level``) / number of bounds, so that all hold together (Bonferroni);
    within each, the numbers of guesses that are tried are paid for in the same way. The bound of Steinke et
    al. loses up to 2 m delta for m canaries, which is much where delta is near 1 / m; that from the curve of
    rates does not.

    Parameters
    ----------
    scores
        By name, a score of each canary, higher for "in".
    inside
        Whether each canary was in, by a fair coin of its own, on which scores may depend through the model
        only.
    epsilon, delta
        The stated guarantee.
    gaussian
        Whether the guarantee is that of a mechanism with Gaussian noise. Three tighter bounds, which assume
        that, are then made too. Those of :func:`memberscan.evidence.epsilon_bounds.epsilon_gaussian` and
        :func:`memberscan.evidence.epsilon_from_auc.epsilon_gaussian_auc` also assume that canaries do not
        influence each other.
    level
        Confidence of all together.

    Raises
    ------
    TooFewSubjectsError, NonFiniteError, BadInputError
        As of :func:`memberscan.evidence.one_run.epsilon_one_run`.
    """
    check_level(level)
    if epsilon is not None:
        check_epsilon(epsilon)
    at = DELTA if delta is None else delta
    check_delta(at)
    methods: list[Callable[..., EpsilonBound]] = [
        epsilon_one_run,
        partial(epsilon_one_run_fdp, gaussian=False),
    ]
    if gaussian and at > 0:
        methods += [epsilon_one_run_fdp, epsilon_gaussian, epsilon_gaussian_auc]
    each_level = 1 - (1 - level) / (len(scores) * len(methods))
    bounds = []
    for name, values in scores.items():
        for method in methods:
            found = method(values[inside], values[~inside], delta=at, level=each_level)
            bounds.append(CanaryBound(name, found, None if epsilon is None else found.breaks(epsilon)))
    return CanaryEvidence(int(inside.sum()), int((~inside).sum()), level, at, epsilon, tuple(bounds))
