"""Source inference: which learner has a person, and how well the inputs alone tell that.

Source: Hu, Salcic, Sun, Dobbie and Zhang, "Source inference attacks in federated learning" (ICDM 2021); its
use for a regression is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.evidence.intervals import Interval, wilson
from memberscan.signals.broadcast_answers import ANSWER_PREDICTIONS
from memberscan.signals.learner_updates import LOCAL_PREDICTIONS
from memberscan.threat import Attacker

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from memberscan.cohort import Cohort
    from memberscan.signals import View
    from memberscan.targets.party import Party

READS = {Attacker.SERVER: LOCAL_PREDICTIONS, Attacker.ACTIVE_SERVER: ANSWER_PREDICTIONS}
"""Predictions by the learners' own models, for the attackers that see these models."""
_BLOCKS = 6
_FOLDS = 5


@dataclass(frozen=True)
class SourceInference:
    """How often the learner that has a member is named correctly.

    Parameters
    ----------
    accuracy
        By the learners' models.
    chance
        The share of the largest learner.
    inputs
        The same by the inputs alone: see :func:`infer_from_inputs`.
    """

    accuracy: Interval
    chance: float
    inputs: Interval | None


def infer_sources(view: View, party: Party) -> SourceInference | None:
    """Name for each member the learner whose models predict it best.

    None if the attacker does not see the learners' own models, or if fewer than two learners took part: then
    there is no choice.

    Models are compared by their mean error over the rounds that a learner took part in. Each learner's errors
    are first divided by their mean over the known held-out subjects, so that a learner with a good model is
    not named for everybody. A learner that never took part is not named, and its people are not scored.
    """
    signal = READS.get(party.threat.attacker)
    if signal is None or signal not in view.values:
        return None
    columns = np.array([view.learners.index(victim) for victim in party.victims])
    every = view[signal][:, :, columns]
    # Predictions of a round in which a learner took no part are NaN.
    present = np.flatnonzero(~np.isnan(every).all(axis=(0, 1)))
    if len(present) < 2:
        return None
    errors = np.abs(view.residuals(every[:, :, present], scans=1))
    by_person = party.people.mean(np.nanmean(errors, axis=0).T)
    known = party.known_nonmembers
    scale = by_person[:, known] if known.any() else by_person[:, ~party.member]
    named = present[np.argmin(by_person / scale.mean(axis=1, keepdims=True), axis=0)]
    asked = np.isin(party.home, present)
    right = named[asked] == party.home[asked]
    counts = np.bincount(party.home[asked])
    inputs = infer_from_inputs(party, view.scans.index.tolist(), present)
    return SourceInference(
        wilson(float(right.mean()), len(right)), float(counts.max() / counts.sum()), inputs
    )


def infer_from_inputs(
    party: Party, scan_ids: Sequence[str], learners: Int[np.ndarray, " learners"]
) -> Interval | None:
    """Return how often a classifier of the inputs alone, never of a model, names the learner of a member.

    Volumes are reduced to means over a coarse grid of blocks, tables are used as they are. A linear
    discriminant with a shrunken covariance is cross-validated over subjects.

    Parameters
    ----------
    party
        The federation.
    scan_ids
        All scans.
    learners
        Positions of the victims whose people are asked about.

    Returns
    -------
    Interval or None
        None if some learner has fewer members than there are folds.
    """
    # An audit of predictions does not need this slow import.
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    asked = np.isin(party.home, learners)
    home = party.home[asked]
    if np.unique(home, return_counts=True)[1].min() < _FOLDS:
        return None
    coarse = np.stack([_coarse(party.cohort, scan) for scan in scan_ids])
    features = party.people.mean(coarse.T).T[asked]
    # Regression on indicators would miss a site that lies between others, such as one of middle age.
    discriminant = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    model = make_pipeline(StandardScaler(), discriminant)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    right = cross_val_predict(model, features, home, cv=folds) == home
    return wilson(float(right.mean()), len(right))


def _coarse(cohort: Cohort, scan_id: str) -> Float[np.ndarray, " features"]:
    """Return a scan as at most 6 x 6 x 6 means of blocks, or a row of a table as it is."""
    values = cohort.read([scan_id])[0].astype(float)
    for axis in range(values.ndim if cohort.kind == "volumes" else 0):
        cuts = np.linspace(0, values.shape[axis], min(_BLOCKS, values.shape[axis]) + 1).astype(int)
        sums = np.add.reduceat(values, cuts[:-1], axis=axis)
        values = sums / np.diff(cuts).reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    return np.asarray(values.ravel())
