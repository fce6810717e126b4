"""Models of a Gaussian linear law and references in twins, for attacks that compare them."""

from __future__ import annotations

import numpy as np

from memberscan.attacks.references.trials import Trials
from memberscan.attacks.with_references import Compared


def twins(rng: np.random.Generator, references: int, scans: int) -> np.ndarray:
    """Return who each reference is trained on: one of every two neighbours, and the others for its twin."""
    first = rng.integers(0, 2, (references // 2, scans // 2)).astype(bool)
    one = np.stack([first, ~first], axis=2).reshape(references // 2, scans)
    return np.stack([one, ~one], axis=1).reshape(references, scans)


def draw(
    seed: int, *, references: int = 8, scans: int = 300, h: float = 1.0, offset: float = 0.0
) -> tuple[Compared, np.ndarray]:
    """Draw residuals by the law of linear models: r_in = r_out / (1 + h), with h = 0 for no leak.

    Returns
    -------
    Compared, ndarray
        The target and its references, and who is a member of the target. ``offset`` is the standard
        deviation of a model's mean residual.
    """
    rng = np.random.default_rng(seed)
    inside = twins(rng, references, scans)
    member = rng.permutation(scans) < scans // 2
    own = 5 * rng.normal(size=scans)
    masks = np.concatenate([member[None], inside])
    noise = 5 * np.sqrt(max(h, 0.25)) * rng.normal(size=masks.shape)
    residual = (own + noise) / np.where(masks, 1 + h, 1.0) + offset * rng.normal(size=(len(masks), 1))
    return Compared(residual[0], residual[1:], inside, rng.uniform(45, 80, scans)), member


def trials_of(compared: Compared) -> Trials:
    return Trials.of_target(compared)
