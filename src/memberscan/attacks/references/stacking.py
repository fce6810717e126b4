"""Stacking: many scores at once, weighed by what they tell of the references. The attack is ours.

No single statistic wins. Support-vector regression pins its members' residuals to the edge of a band, linear
models move their mean, forests do both. The references show which: each plays the target against the others,
without its twin, and membership in it is known. The target's own membership is never used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.references.calibration import attack_r, difficulty
from memberscan.attacks.references.confidence import base
from memberscan.attacks.references.copies import CopiesAttack, of_shifts, scores_of_copies
from memberscan.attacks.references.empirical_bayes import empirical_bayes
from memberscan.attacks.references.learners import Inputs, LogOdds, logistic, trees
from memberscan.attacks.references.leverage import leverage
from memberscan.attacks.references.lira import log_square, shrunk_ratio
from memberscan.attacks.references.regression import Laws, of_residuals
from memberscan.attacks.references.trials import Trials, thinned
from memberscan.attacks.references.tuning import can_play_target
from memberscan.attacks.references.two_references import two_references
from memberscan.attacks.with_references import Compared, ReferenceAttack
from memberscan.evidence.roc import aucs_of_rows

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

ROWS = 30_000
"""Pairs of a reference and a scan at most that are learnt from."""
ROWS_TO_CHOOSE = 10_000
"""The same for the choice between learners."""
LEAST_SCANS = 100
SHARES = (0.5, 0.0, 1.0)
"""Weights of the trees' log odds beside the logistic regression's; the first unless another is better."""
LEFT_OUT = 4
"""Pairs of references at most of which the target's comparison leaves each out in turn."""


def base_scores(trials: Trials) -> list[Float[np.ndarray, "models scans"]]:
    """Return the scores that are stacked; a new one is one line."""
    centred, detrended = trials.centred, trials.detrended
    return [
        -np.abs(trials.residual),
        -np.abs(centred.residual),
        shrunk_ratio(log_square(trials, 3e-4)),
        shrunk_ratio(log_square(trials, 3e-2)),
        shrunk_ratio(detrended),
        empirical_bayes(trials),
        empirical_bayes(trials, weight=np.inf, trend=False),
        difficulty(trials),
        attack_r(trials),
        base(trials, temperature=0.1),
        base(trials, temperature=1.0),
        base(trials, temperature=4.0),
        leverage(trials, kappa=2.0),
        leverage(trials, kappa=16.0),
        np.abs(centred.moments.outs.mean) - np.abs(centred.residual),
        np.abs(detrended.moments.outs.mean) - np.abs(detrended.residual),
        -np.sign(centred.moments.outs.mean) * centred.residual,
        -np.sign(detrended.moments.outs.mean) * detrended.residual,
    ]


def _inputs(trials: Trials, laws: Sequence[Laws]) -> Inputs:
    scores = base_scores(trials) + (scores_of_copies(trials) if trials.also else [])
    return Inputs.of(trials, [*scores, *(law.log_ratio(trials) for law in laws)])


@dataclass(frozen=True, eq=False)
class Stack:
    """What was learnt from references: laws, two learners, and the weight of the trees.

    Parameters
    ----------
    laws, logistic, trees
        See :mod:`~memberscan.attacks.references.regression` and
        :mod:`~memberscan.attacks.references.learners`.
    share
        Weight of the trees' log odds beside the logistic regression's.
    """

    laws: tuple[Laws, ...]
    logistic: LogOdds
    trees: LogOdds
    share: float = SHARES[0]

    @classmethod
    def fit(cls, trials: Trials, rows: Bool[np.ndarray, " models"] | None = None) -> Stack:
        """Learn from references that play the target, or from some of them."""
        chosen = np.ones(len(trials.residual), dtype=bool) if rows is None else rows
        predictors = (of_residuals, *((of_shifts,) if trials.also else ()))
        laws = tuple(Laws.fit(trials, chosen, each) for each in predictors)
        inputs, member = _inputs(trials, laws), trials.inside[chosen].ravel()
        kept = np.repeat(chosen, len(trials.label))
        return cls(laws, logistic(inputs.ranks[kept], member), trees(inputs.measured[kept], member))

    def log_odds(self, trials: Trials) -> Float[np.ndarray, "learners models scans"]:
        """Return the log odds by the logistic regression and by the trees."""
        inputs = _inputs(trials, self.laws)
        both = self.logistic(inputs.ranks), self.trees(inputs.measured)
        return np.stack(both).reshape(2, *trials.residual.shape)

    def score(self, trials: Trials) -> Float[np.ndarray, " scans"]:
        """Return the weighted mean of both learners' log odds, over all trials of one model."""
        by_logistic, by_trees = self.log_odds(trials).mean(axis=1)
        return np.asarray((1 - self.share) * by_logistic + self.share * by_trees)


def best_share(trials: Trials) -> float:
    """Choose the share of the trees by the AUC on pairs of references that were not learnt from."""
    fold = np.arange(len(trials.residual)) // 2 % 2
    aucs = np.zeros(len(SHARES))
    for out in (0, 1):
        by_logistic, by_trees = Stack.fit(trials, fold != out).log_odds(trials)[:, fold == out]
        member = trials.inside[fold == out].astype(float)
        for place, share in enumerate(SHARES):
            aucs[place] += aucs_of_rows((1 - share) * by_logistic + share * by_trees, member).sum()
    return SHARES[int(np.argmax(aucs))]


def stacking(compared: Compared) -> Float[np.ndarray, " scans"]:
    """Return the log odds of membership, learnt from the references."""
    if not can_play_target(compared):
        return two_references(compared)
    count = len(compared.references)
    some, many = (thinned(compared, max(rows // count, LEAST_SCANS)) for rows in (ROWS_TO_CHOOSE, ROWS))
    stack = Stack.fit(Trials.of_references(many))
    stack = replace(stack, share=best_share(Trials.of_references(some)))
    return stack.score(Trials.of_target_without_pairs(compared, most=LEFT_OUT))


STACKING = ReferenceAttack(
    "stacking",
    "all comparisons with reference models, weighed as the references show",
    statistic=stacking,
    log_likelihood_ratio=True,
)
STACKING_COPIES = CopiesAttack(
    "stacking:copies",
    "all comparisons with reference models, on the scan and on changed copies of it, weighed as the "
    "references show",
    statistic=stacking,
    log_likelihood_ratio=True,
)
