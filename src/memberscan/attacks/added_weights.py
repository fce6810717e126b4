"""What the weights of a model add to its outputs and to reference models.

Reference models keep predictions only, so what signals of the weights say of members can only be learnt from
known people. A rule is fitted to the score that references give and to these signals, and compared with that
score alone on the same people. The comparison is ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import rankdata

from memberscan.attacks.attack import Features
from memberscan.attacks.learner import narrowed, ridge, standardise
from memberscan.evidence.scores import Scores
from memberscan.people import People
from memberscan.targets.known import Comparison

TRUST = 10.0
"""Length of the score's column, where each kind of signal has a total length of 1.

The ridge penalty then shrinks the signals long before it shrinks the score, so that signals that tell nothing
cost little: with the largest penalty the rule is the score.
"""


def with_weights(
    name: str, score: Scores, signals: Sequence[Features], comparisons: Sequence[Comparison], people: People
) -> tuple[Scores, Scores]:
    """Return a score in the draws of attacks that learn, and the rule that adds signals to it.

    Parameters
    ----------
    name
        Name of the rule.
    score
        Of an attack that learns from nobody: one row, with a value for everybody.
    signals
        Features of scans, each kind in columns of a total variance of 1.
    comparisons
        Whom the attacker knows in each draw, and who is compared.
    people
        Who has which scans.
    """
    alone, added = np.empty((2, len(comparisons), len(people)))
    ranks = rankdata(score.values[0]) / (len(people) + 1)
    columns = [TRUST * standardise(ndtri(ranks)[:, None]), *(_by_person(each, people) for each in signals)]
    features = Features(pd.Index(people.ids), narrowed(columns))
    for row, (own, rule) in enumerate(zip(alone, added, strict=True)):
        known = comparisons[row].known
        places = np.flatnonzero(known.everyone)
        own[:] = score.values[0]
        rule[:] = ridge(features.rows(places), known.members[places]).score(features)
        own[places] = rule[places] = np.nan
    rows = tuple(comparison.row for comparison in comparisons)
    sides = np.stack([comparison.sides for comparison in comparisons])
    # Only AUCs are compared, which need no threshold.
    thresholds = np.zeros(len(comparisons))
    return (
        Scores(score.attack, fitted=True, rows=rows, values=alone, sides=sides, thresholds=thresholds),
        Scores(name, fitted=True, rows=rows, values=added, sides=sides, thresholds=thresholds),
    )


def _by_person(features: Features, people: People) -> np.ndarray:
    return np.asarray(people.mean(features.values.T).T)
