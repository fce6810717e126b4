"""What intervals over people do not cover: the same network trained again, on other people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.evidence.delong import DeLong
from memberscan.evidence.estimates import estimate_aucs
from memberscan.evidence.gap import gap_baseline
from memberscan.evidence.scores import Scores
from memberscan.progress import progress
from memberscan.seeds import generator

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.evidence.intervals import Interval

MEMBERS = 200
SHARES = (0.1, 0.5, 0.75, 0.9)
"""Parameters of the model over its training people: the more, the more it overfits."""


def retraining(repetitions: int = 400, seed: int = 0) -> pd.DataFrame:
    """Return how often intervals of the error attack and of the gap hold what other trainings give.

    The model is linear regression by least squares with Gaussian inputs and noise, of which everything is
    known. Each repetition trains a model, audits it on its members and as many others, trains the same
    model on other people, and asks whether the interval holds the AUC of the second model on its own
    members and a great many others.

    Parameters
    ----------
    repetitions
        Pairs of trainings for each row of the table.
    seed
        Root of the random numbers.

    Returns
    -------
    DataFrame
        parameters_over_members; mean AUC; the share of intervals of the AUC, and of the gap's AUC, that hold
        the mean over all trainings, and that of the one other training.
    """
    rows = []
    with progress("training again", len(SHARES) * repetitions) as advance:
        for share in SHARES:
            intervals: list[tuple[Interval, Interval]] = []
            truths = []
            for repetition in range(repetitions):
                rng = generator(seed, "retraining", str(share), repetition)
                width = round(share * MEMBERS)
                intervals.append(_audited(*_trained(width, MEMBERS, rng), rng))
                # So many others that their sampling does not count.
                truths.append(_auc(*_trained(width, 50 * MEMBERS, rng)))
                advance(1)
            mean = float(np.mean(truths))
            row = {"parameters_over_members": share, "mean_auc": mean}
            for name, each in zip(("auc", "gap"), zip(*intervals, strict=True), strict=True):
                row[f"{name}_holds_mean"] = float(np.mean([i.low <= mean <= i.high for i in each]))
                held = [i.low <= truth <= i.high for i, truth in zip(each, truths, strict=True)]
                row[f"{name}_holds_another"] = float(np.mean(held))
            rows.append(row)
    return pd.DataFrame(rows)


def _trained(
    width: int, others: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " members"], Float[np.ndarray, " others"]]:
    """Return residuals of members and of others, of least squares on pure noise."""
    x, y = rng.normal(size=(MEMBERS, width)), rng.normal(size=MEMBERS)
    weights = np.linalg.lstsq(x, y, rcond=None)[0]
    # For Gaussian inputs, the prediction of somebody else is normal with the weights' length as its spread.
    spread = np.sqrt(1 + weights @ weights)
    return y - x @ weights, spread * rng.normal(size=others)


def _scores(members: Float[np.ndarray, " members"], others: Float[np.ndarray, " others"]) -> Scores:
    values = -np.abs(np.concatenate([members, others]))[None]
    member = np.arange(values.shape[1]) < len(members)
    return Scores.of_draws("error", fitted=False, values=values, member=member, thresholds=np.zeros(1))


def _audited(
    members: Float[np.ndarray, " members"], others: Float[np.ndarray, " others"], rng: np.random.Generator
) -> tuple[Interval, Interval]:
    scores = _scores(members, others)
    squares = np.concatenate([members, others]) ** 2
    gap = gap_baseline(squares, np.arange(len(squares)) < len(members), rng)
    return estimate_aucs([scores], DeLong()).intervals[0], gap.auc


def _auc(members: Float[np.ndarray, " members"], others: Float[np.ndarray, " others"]) -> float:
    return float(estimate_aucs([_scores(members, others)], DeLong()).auc[0])
