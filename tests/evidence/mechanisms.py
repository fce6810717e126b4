"""Mechanisms whose epsilon is known exactly, and the scores of canaries that went through them."""

from __future__ import annotations

import numpy as np
from scipy.special import expit


def coins(rng: np.random.Generator, canaries: int) -> np.ndarray:
    """Return which canaries are in, each by a fair coin; at least one on each side."""
    while True:
        inside = rng.random(canaries) < 0.5
        if 0 < inside.sum() < canaries:
            return inside


def randomized_response(
    rng: np.random.Generator, canaries: int, epsilon: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return scores 1 or 0 of canaries in and out: the truth, by chance e^epsilon / (1 + e^epsilon)."""
    inside = coins(rng, canaries)
    said = np.where(rng.random(canaries) < expit(epsilon), inside, ~inside).astype(float)
    return said[inside], said[~inside]


def gaussian(rng: np.random.Generator, canaries: int, mu: float) -> tuple[np.ndarray, np.ndarray]:
    """Return scores of canaries in and out: mu or 0, plus standard normal noise."""
    inside = coins(rng, canaries)
    said = mu * inside + rng.normal(size=canaries)
    return said[inside], said[~inside]


def reveals_at_times(rng: np.random.Generator, canaries: int, delta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return scores that are noise, or, by one chance ``delta``, the truth about all canaries at once.

    It is (0, delta)-private, and nothing is further from independent scores.
    """
    inside = coins(rng, canaries)
    said = rng.random(canaries) + (inside if rng.random() < delta else 0)
    return said[inside], said[~inside]
