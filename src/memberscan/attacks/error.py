"""The error attack: predictions are better for people the model was trained on.

Source: Yeom, Giacomelli, Fredrikson and Jha, "Privacy Risk in Machine Learning" (CSF 2018).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.attack import Features, FittedAttack, KnownScans, Rule
from memberscan.attacks.unfitted import LowerForMembers
from memberscan.signals import PREDICTION, View

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def absolute_error(view: View) -> Float[np.ndarray, " n"]:
    """Return absolute residuals."""
    return np.asarray(np.abs(view.residual))


_MOST_NUMBERS = 1_000_000
"""Known scans of which thresholds are found at once."""


@dataclass(frozen=True)
class ErrorAttack(FittedAttack):
    """Score minus the absolute error; the known subjects set the threshold."""

    def observe(self, view: View) -> Features:
        """Return absolute residuals."""
        return Features(view.scans.index, absolute_error(view)[:, None])

    def fit(self, known: Features, member: Bool[np.ndarray, " n"]) -> Rule:
        """Place the threshold where two Gaussians with the known errors' spreads cross."""
        error = known.values[:, 0]
        return Rule(np.array([-1.0]), crossing(error[member], error[~member]))

    def score_each(
        self, features: Features, known: Sequence[KnownScans]
    ) -> Iterator[Float[np.ndarray, " scans"]]:
        """See :class:`~memberscan.attacks.attack.Attack`; all thresholds are found first."""
        better = -features.values[:, 0]
        for threshold in crossings(features.values[:, 0], known):
            yield better + threshold


def crossings(error: Float[np.ndarray, " scans"], known: Sequence[KnownScans]) -> list[float]:
    """Return :func:`crossing` for each group of known scans, from their absolute errors."""
    alike: dict[tuple[int, int], list[int]] = defaultdict(list)
    for k, each in enumerate(known):
        alike[len(each.places), int(each.member.sum())].append(k)
    found = [0.0] * len(known)
    # Groups with as many scans on each side fill a rectangle, of which each row is one group.
    for (count, members), groups in alike.items():
        together = max(1, _MOST_NUMBERS // max(count, 1))
        for start in range(0, len(groups), together):
            part = groups[start : start + together]
            errors = error[np.stack([known[k].places for k in part])]
            inside = np.stack([known[k].member for k in part])
            sides = errors[inside].reshape(-1, members), errors[~inside].reshape(-1, count - members)
            for k, threshold in zip(part, _crossings(*sides), strict=True):
                found[k] = threshold
    return found


def crossing(inside: Float[np.ndarray, " m"], outside: Float[np.ndarray, " n"]) -> float:
    """Return the absolute error at which zero-mean Gaussians, fitted to the errors of each side, cross.

    With spreads s1 < s0: s1 s0 sqrt(2 ln(s0 / s1) / (s0^2 - s1^2)). If members' errors are not
    smaller, there is no reliable crossing, and the median of all errors is returned.
    """
    return _crossings(inside[None], outside[None])[0]


def _crossings(inside: Float[np.ndarray, "groups m"], outside: Float[np.ndarray, "groups n"]) -> list[float]:
    smaller, larger = (np.sqrt(np.mean(side**2, axis=1)) for side in (inside, outside))
    cross = (smaller > 0) & (smaller < larger * (1 - 1e-9))
    found = np.empty(len(cross))
    found[~cross] = np.median(np.hstack([inside[~cross], outside[~cross]]), axis=1)
    for k in np.flatnonzero(cross):
        s1, s0 = float(smaller[k]), float(larger[k])
        found[k] = s1 * s0 * float(np.sqrt(2 * np.log(s0 / s1) / (s0**2 - s1**2)))
    return [float(each) for each in found]


ERROR = ErrorAttack("error", "the size of the prediction error", (PREDICTION,))
ZERO_KNOWLEDGE_ERROR = LowerForMembers(
    "error:zero-knowledge",
    "the size of the prediction error, without known people",
    (PREDICTION,),
    measure=absolute_error,
)
