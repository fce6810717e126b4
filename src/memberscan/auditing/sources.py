"""Source inference: which learner holds a person, and how much of that the person's input gives away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from memberscan.evidence.intervals import wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int

    from memberscan.attacks.parties import Parties
    from memberscan.cohort import Cohort
    from memberscan.signals.updates import Updates

_BLOCKS = 6
_FOLDS = 5


def source_inference(updates: Updates, parties: Parties) -> dict[str, Any] | None:
    """Return how often the learner whose models predict a member best is the one that holds it.

    None if fewer than two learners took part: then there is nothing to choose from.

    Each learner's errors are first scaled by their mean over the held-out subjects that are known, so that a
    learner with good models is not named for everybody. By the mean error over the rounds that a learner took
    part in. A learner that never took part is never named, and its people are not asked about.

    Source: Hu, Salcic, Sun, Dobbie and Zhang, "Source inference attacks in federated learning" (ICDM 2021);
    for a regression, ours.

    Returns
    -------
    dict
        ``accuracy`` with its interval, and ``chance``: the share of the largest learner.
    """
    age = updates.scans["age"].to_numpy(float)
    columns = np.array([updates.learners.index(victim) for victim in parties.victims])
    present = taking_part(updates, parties)
    if len(present) < 2:
        return None
    local = updates.local[:, :, columns[present]]
    by_subject = parties.by_subject(np.nanmean(np.abs(age[None, :, None] - local), axis=0).T)
    scale = by_subject[:, parties.known] if parties.known.any() else by_subject[:, ~parties.member]
    named = present[np.argmin(by_subject / scale.mean(axis=1, keepdims=True), axis=0)]
    asked = np.isin(parties.home, present)
    right = named[asked] == parties.home[asked]
    counts = np.bincount(parties.home[asked])
    return {
        "accuracy": wilson(float(right.mean()), len(right)).to_dict(),
        "chance": float(counts.max() / counts.sum()),
    }


def taking_part(updates: Updates, parties: Parties) -> Int[np.ndarray, " learners"]:
    """Return the victims that took part in some round."""
    columns = [updates.learners.index(victim) for victim in parties.victims]
    return np.flatnonzero(updates.took_part[:, columns].any(axis=0))


def image_baseline(
    cohort: Cohort, scan_ids: Sequence[str], parties: Parties, learners: Int[np.ndarray, " learners"]
) -> dict[str, float] | None:
    """Return how often a classifier of the inputs alone, never of a model, names the learner of a member.

    It is asked about the people of ``learners``, positions of victims: those that :func:`taking_part` gives.

    Volumes enter as means over a coarse grid of blocks, tables as they are; a linear discriminant with a
    shrunken covariance is cross-validated over subjects. None if some learner has fewer members than there
    are folds.
    """
    # An audit of predictions must not pay for this import.
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    asked = np.isin(parties.home, learners)
    home = parties.home[asked]
    if np.unique(home, return_counts=True)[1].min() < _FOLDS:
        return None
    features = parties.by_subject(np.stack([_coarse(cohort, scan) for scan in scan_ids]).T).T[asked]
    # Regression on indicators would not see a site that lies between others, as a middle age does.
    discriminant = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    model = make_pipeline(StandardScaler(), discriminant)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    right = cross_val_predict(model, features, home, cv=folds) == home
    return wilson(float(right.mean()), len(right)).to_dict()


def _coarse(cohort: Cohort, scan_id: str) -> Float[np.ndarray, " features"]:
    """Return a scan as at most 6 x 6 x 6 means of blocks, or a row of a table as it is."""
    values = cohort.read([scan_id])[0].astype(float)
    for axis in range(values.ndim if cohort.kind == "volumes" else 0):
        cuts = np.linspace(0, values.shape[axis], min(_BLOCKS, values.shape[axis]) + 1).astype(int)
        sums = np.add.reduceat(values, cuts[:-1], axis=axis)
        values = sums / np.diff(cuts).reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    return np.asarray(values.ravel())
