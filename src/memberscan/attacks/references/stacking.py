"""Stacking: many scores at once, weighed by what they tell of the references. The attack is ours.

No single statistic wins. Support-vector regression pins its members' residuals to the edge of a band, linear
models move their mean, forests do both. The references show which: each plays the target against the others,
without its twin, and membership in it is known. The target's own membership is never used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logit, ndtri
from scipy.stats import rankdata

from memberscan.attacks.references.calibration import attack_r, difficulty
from memberscan.attacks.references.confidence import base
from memberscan.attacks.references.empirical_bayes import empirical_bayes
from memberscan.attacks.references.learners import LogOdds, logistic, trees
from memberscan.attacks.references.leverage import leverage
from memberscan.attacks.references.lira import log_square, shrunk_ratio
from memberscan.attacks.references.trials import Trials, thinned
from memberscan.attacks.references.tuning import can_play_target
from memberscan.attacks.with_references import Compared, ReferenceAttack
from memberscan.evidence.roc import aucs_of_rows

if TYPE_CHECKING:
    from jaxtyping import Float

ROWS = 40_000
"""Pairs of a reference and a scan at most that are learnt from."""
ROWS_TO_CHOOSE = 10_000
"""The same for the choice between learners."""
SHARES = (0.5, 0.0, 1.0)
"""Weights of the trees' log odds beside the logistic regression's; the first unless another is better."""


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


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the learners see of some trials, all scans of a model below those of the one before.

    Parameters
    ----------
    ranks
        Of the base scores within a model, as normal quantiles: what scores mean, not their units.
    measured
        The same and absolute residuals, of which trees find bands and edges.
    """

    ranks: Float[np.ndarray, "rows scores"]
    measured: Float[np.ndarray, "rows columns"]

    @classmethod
    def of(cls, trials: Trials) -> Inputs:
        """Compute the base scores of some trials."""
        scans = len(trials.age)
        ranks = [ndtri(rankdata(score, axis=1) / (scans + 1)).ravel() for score in base_scores(trials)]
        sizes = [np.abs(same.residual).ravel() for same in (trials, trials.detrended)]
        return cls(np.stack(ranks, axis=1), np.stack([*ranks, *sizes], axis=1))


@dataclass(frozen=True, eq=False)
class Stack:
    """Two learners of membership and the share of the trees in their sum."""

    logistic: LogOdds
    trees: LogOdds
    share: float

    def log_odds(self, inputs: Inputs) -> Float[np.ndarray, " rows"]:
        """Return the weighted mean of both learners' log odds."""
        return (1 - self.share) * self.logistic(inputs.ranks) + self.share * self.trees(inputs.measured)


def learnt(trials: Trials, rows: np.ndarray | slice = slice(None), share: float = SHARES[0]) -> Stack:
    """Learn from some of the trials of the references."""
    inputs, member = Inputs.of(trials), trials.inside[rows].ravel()
    kept = np.arange(trials.residual.size).reshape(trials.residual.shape)[rows].ravel()
    return Stack(logistic(inputs.ranks[kept], member), trees(inputs.measured[kept], member), share)


def best_share(trials: Trials) -> float:
    """Choose the share of the trees by the AUC on pairs of references that were not learnt from."""
    inputs, shape = Inputs.of(trials), trials.residual.shape
    fold = np.arange(shape[0]) // 2 % 2
    aucs = np.zeros(len(SHARES))
    for out in (0, 1):
        stack = learnt(trials, fold != out)
        for place, share in enumerate(SHARES):
            found = Stack(stack.logistic, stack.trees, share).log_odds(inputs).reshape(shape)
            aucs[place] += aucs_of_rows(found[fold == out], trials.inside[fold == out].astype(float)).sum()
    return SHARES[int(np.argmax(aucs))]


def stacking(compared: Compared) -> Float[np.ndarray, " scans"]:
    """Return the log odds of membership, learnt from the references."""
    target = Trials.of_target(compared)
    if not can_play_target(compared):
        return np.asarray(fixed_rule(target)[0])
    count = len(compared.references)
    share = best_share(Trials.of_references(thinned(compared, max(ROWS_TO_CHOOSE // count, 100))))
    stack = learnt(Trials.of_references(thinned(compared, max(ROWS // count, 100))), share=share)
    return stack.log_odds(Inputs.of(target))


def fixed_rule(trials: Trials) -> Float[np.ndarray, "models scans"]:
    """Return the log odds of the mean rank of three scores, for two references."""
    chosen = (shrunk_ratio(log_square(trials, 3e-4)), base(trials), empirical_bayes(trials))
    ranks = [rankdata(score, axis=1) / (len(trials.age) + 1) for score in chosen]
    return np.asarray(logit(np.mean(ranks, axis=0)))


STACKING = ReferenceAttack(
    "stacking",
    "all comparisons with reference models, weighed as the references show",
    statistic=stacking,
    log_likelihood_ratio=True,
)
