"""Lower bounds of epsilon from one run, in which every canary was in or out by a coin of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from memberscan.errors import BadInputError
from memberscan.evidence.audit_inputs import check_delta, check_level, checked_guesses, checked_scores
from memberscan.evidence.epsilon_bounds import GAUSSIAN_ONLY, NOT_AN_ESTIMATE, EpsilonBound
from memberscan.evidence.one_run_rejection import largest_rejected, p_values, rejected_by_curve
from memberscan.evidence.privacy_region import smallest_fpr
from memberscan.evidence.rate_bounds import CONFIDENCE
from memberscan.gaussian_privacy import gaussian_epsilon, smallest_fpr_gaussian

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Int
    from numpy.typing import ArrayLike

    from memberscan.evidence.epsilon_bounds import Method

Sides = Literal["in", "both"]
_FEWEST = 8
"""The default numbers of guesses end above this; fewer right guesses show little."""
_POINTS_OF_CURVES = 63
"""The recursion over guesses is a loop of small steps, which cost as much for one parameter as for many."""


def default_guesses(canaries: int, sides: Sides = "both") -> tuple[int, ...]:
    """Return the numbers of guesses that are tried by default: all canaries, a half, a quarter, and so on.

    Guesses of "in" only start at a half, since about that many are in.
    """
    first = canaries if sides == "both" else max(1, canaries // 2)
    return tuple(first >> k for k in range(first.bit_length()) if first >> k >= _FEWEST) or (first,)


def right_guesses(
    inside: ArrayLike, outside: ArrayLike, guesses: Sequence[int], sides: Sides = "both"
) -> Int[np.ndarray, " numbers"]:
    """Return how many of several numbers of guesses are right, if the highest scores are guessed first.

    With ``sides`` "both", half of the guesses are "in", for the highest scores, and half are "out", for the
    lowest; the canaries between are not guessed. Ties count against the audit, because an order of equal
    scores that depends on who was in would be a leak of the audit itself.
    """
    values = np.concatenate([checked_scores("inside", inside), checked_scores("outside", outside)])
    was_in = np.arange(len(values)) < len(np.asarray(inside))
    numbers = np.asarray(guesses)
    of_in = numbers if sides == "in" else (numbers + 1) // 2
    right = np.zeros(len(numbers), dtype=int)
    for side, order, count in ((was_in, -values, of_in), (~was_in, values, numbers - of_in)):
        # The last key sorts first: by score, and within ties the wrong guesses before the right ones.
        first = side[np.lexsort((side, order))]
        right += np.r_[0, np.cumsum(first)][count]
    return right


def epsilon_one_run(
    inside: ArrayLike,
    outside: ArrayLike,
    *,
    delta: float = 0.0,
    level: float = CONFIDENCE,
    guesses: Sequence[int] | None = None,
    sides: Sides = "both",
) -> EpsilonBound:
    """Return the bound of one run from how many guesses of an attack are right.

    With delta = 0, right guesses are no more likely than heads of a coin with chance e^epsilon / (1 +
    e^epsilon), whatever the mechanism does with all canaries together. Source: Steinke, Nasr and Jagielski,
    NeurIPS 2023 (see :func:`memberscan.evidence.one_run_rejection.p_values`).

    Parameters
    ----------
    inside, outside
        Scores of all canaries, higher for "in". Each must have been put in or left out by a fair coin of its
        own, unknown to the attack. Half of the canaries chosen at random is not the same: then the coins are
        not independent. The scores need not be independent; canaries that influence each other only lower
        the bound.
    delta
        Of the guarantee.
    level
        Confidence.
    guesses
        Numbers of guesses to try, fixed before the scores were seen; the level is corrected for how many
        there are (Bonferroni). By default those of :func:`default_guesses`.
    sides
        Whether the lowest scores are guessed to be out. "in" is better if only some canaries stand out.

    Raises
    ------
    TooFewSubjectsError, NonFiniteError, BadInputError
        If a side is empty, a score is not finite, or an option makes no sense.
    """
    check_delta(delta)
    return _Guessed.of(inside, outside, level, guesses, sides).bound("one run", delta, float)


def epsilon_one_run_fdp(
    inside: ArrayLike,
    outside: ArrayLike,
    *,
    delta: float,
    level: float = CONFIDENCE,
    guesses: Sequence[int] | None = None,
    sides: Sides = "both",
    gaussian: bool = True,
) -> EpsilonBound:
    """Return the bound of one run from the curve of rates that the mechanism is supposed to have.

    Source: Mahloujifar, Melis and Chaudhuri, ICML 2025 (see
    :func:`memberscan.evidence.one_run_rejection.rejected_by_curve`). With ``gaussian`` the curve is that of a
    Gaussian mechanism, to which DP-SGD comes near: the bound is tighter, and can be too high for mechanisms
    that leak otherwise. Without, it is the curve of (epsilon, delta)-privacy, and nothing is assumed of the
    mechanism.

    Parameters
    ----------
    inside, outside, level, guesses, sides
        As of :func:`epsilon_one_run`, with the same coins.
    delta
        Of the guarantee; above 0 with ``gaussian``.
    gaussian
        Which curve.

    Raises
    ------
    TooFewSubjectsError, NonFiniteError, BadInputError
        As of :func:`epsilon_one_run`, or if delta is 0 with ``gaussian``.
    """
    check_delta(delta, positive=gaussian)
    run = _Guessed.of(inside, outside, level, guesses, sides)
    # The curve of a Gaussian mechanism has the parameter mu, which is turned into epsilon at the end.
    method: Method = "one run, f-DP, Gaussian" if gaussian else "one run, f-DP"
    to_epsilon = partial(gaussian_epsilon, delta=delta) if gaussian else float
    return run.bound(method, delta, to_epsilon)


@dataclass(frozen=True, eq=False)
class _Guessed:
    """How many guesses of each number were right, and would be if the scores were separated perfectly."""

    inside: int
    outside: int
    level: float
    numbers: tuple[int, ...]
    right: tuple[int, ...]
    best: tuple[int, ...]

    @classmethod
    def of(
        cls,
        inside: ArrayLike,
        outside: ArrayLike,
        level: float,
        guesses: Sequence[int] | None,
        sides: Sides,
    ) -> _Guessed:
        """Count the guesses of scores."""
        check_level(level)
        if sides not in get_args(Sides):
            raise BadInputError(f'sides is "{sides}"; give "in" or "both"')
        members, others = checked_scores("inside", inside), checked_scores("outside", outside)
        canaries = len(members) + len(others)
        numbers = default_guesses(canaries, sides) if guesses is None else checked_guesses(guesses, canaries)
        right = right_guesses(members, others, numbers, sides)
        best = right_guesses(np.ones(len(members)), np.zeros(len(others)), numbers, sides)
        return cls(len(members), len(others), level, numbers, tuple(right.tolist()), tuple(best.tolist()))

    @property
    def canaries(self) -> int:
        return self.inside + self.outside

    @property
    def alpha(self) -> float:
        """Chance of error of one number of guesses."""
        return (1 - self.level) / len(self.numbers)

    def bound(self, method: Method, delta: float, to_epsilon: Callable[[float], float]) -> EpsilonBound:
        """Return the greatest bound over the numbers of guesses, and that of perfect separation."""
        value, ceiling = 0.0, 0.0
        made: tuple[int, int] | tuple[None, None] = (None, None)
        for guessed, right, most in zip(self.numbers, self.right, self.best, strict=True):
            tested = method, delta, self.alpha, self.canaries, guessed
            found = _largest_rejected(*tested, right, value)
            if found > value:
                value, made = found, (guessed, right)
            ceiling = _largest_rejected(*tested, most, ceiling)
        return EpsilonBound(
            to_epsilon(value),
            self.level,
            delta,
            method,
            self.inside,
            self.outside,
            len(self.numbers),
            to_epsilon(ceiling),
            GAUSSIAN_ONLY if method == "one run, f-DP, Gaussian" else NOT_AN_ESTIMATE,
            *made,
        )


# Runs that are repeated with as many canaries, and the ceilings of two runs, ask for the same again.
@lru_cache(maxsize=4096)
def _largest_rejected(
    method: Method, delta: float, alpha: float, canaries: int, guessed: int, right: int, start: float
) -> float:
    """Return the largest parameter that so many right guesses reject, or ``start``."""
    if method == "one run":
        return largest_rejected(
            lambda epsilon: p_values(epsilon, canaries, guessed, right, delta) <= alpha, start
        )
    gaussian = method == "one run, f-DP, Gaussian"
    curve = smallest_fpr_gaussian if gaussian else partial(smallest_fpr, delta=delta)
    return largest_rejected(
        lambda values: rejected_by_curve(values, canaries, guessed, right, alpha, curve),
        start,
        points=_POINTS_OF_CURVES,
    )
