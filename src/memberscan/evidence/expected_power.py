"""What reference models should give an attacker, from the model's errors alone and before any is trained."""

from __future__ import annotations

import numpy as np

from memberscan.evidence.roc import aucs_of_rows

_PEOPLE = 20_000


def expected_auc(h: float, references: int) -> float:
    """Return the AUC of the likelihood ratio with this many references, in a linear Gaussian model.

    A person's residual is N(m, h) in models that are not trained on the person, and N(m, h) / (1 + h) in
    those that are, in units of the noise; m, the person's own deviation from its age, is N(0, 1). References,
    half of them trained on the person, tell m with variance h / references; what remains unknown of it is
    integrated out.

    It is not an upper bound: in networks the effect of training differs between people, and attacks find
    more than in this model, where it is equal for all.

    Parameters
    ----------
    h
        Root mean squared error of non-members over that of members, minus 1.
    references
        How many there are.
    """
    if h <= 0:
        return 0.5
    rng = np.random.default_rng(0)
    own = rng.normal(size=_PEOPLE)
    noise = h / references
    # The mean of references estimates the deviation, and the prior pulls it towards zero.
    known = (own + np.sqrt(noise) * rng.normal(size=_PEOPLE)) / (1 + noise)
    variance = h + noise / (1 + noise)
    member = np.arange(_PEOPLE) % 2 == 0
    scale = np.where(member, 1 / (1 + h), 1.0)
    residual = (own + np.sqrt(h) * rng.normal(size=_PEOPLE)) * scale
    ratio = _log_density(residual * (1 + h), known, variance) - _log_density(residual, known, variance)
    return float(aucs_of_rows(ratio[None], member[None].astype(float))[0])


def _log_density(value: np.ndarray, mean: np.ndarray, variance: float) -> np.ndarray:
    return np.asarray(-((value - mean) ** 2) / (2 * variance))
