"""Linear models of people whose true laws, with and without each person in training, can be simulated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memberscan.evidence.twins import Twins
from memberscan.evidence.two_normals import TwoNormals


@dataclass(frozen=True, eq=False)
class World:
    """Fixed people, on one of each pair of whom linear models are trained."""

    features: np.ndarray
    age: np.ndarray
    untouched: np.ndarray

    @classmethod
    def of(
        cls, people: int, features: int, seed: int = 0, untouched: float = 0.0, heavy: bool = False
    ) -> World:
        """Draw people; a share of them, the first ones, is never trained on whatever the mask says."""
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(people, features)) / np.sqrt(features)
        noise = rng.standard_t(3, people) if heavy else rng.normal(size=people)
        age = 50 + 3 * x @ rng.normal(size=features) + 5 * noise
        return cls(x, age, np.arange(people) < int(untouched * people) // 2 * 2)

    def references(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Train models on one of each pair of neighbours; return residuals and the mask."""
        inside = masks(count, len(self.age), np.random.default_rng(seed))
        residuals = np.empty(inside.shape)
        for k, row in enumerate(inside & ~self.untouched):
            x = np.column_stack([np.ones(row.sum()), self.features[row]])
            weights = np.linalg.solve(x.T @ x + 1e-3 * np.eye(x.shape[1]), x.T @ self.age[row])
            residuals[k] = self.age - weights[0] - self.features @ weights[1:]
        return residuals, inside

    def twins(self, count: int, seed: int) -> Twins:
        """Return the residuals of that many references. Models do not know age: it is drawn independently."""
        residuals, inside = self.references(count, seed)
        return Twins.of(residuals, inside, self.other_age)

    @property
    def other_age(self) -> np.ndarray:
        """An age that says nothing of residuals."""
        return np.random.default_rng(9).uniform(20, 80, len(self.age))

    def truth(self, count: int = 1000) -> TwoNormals:
        """Return the laws by very many references."""
        twins = self.twins(count, 10**6)
        inside, outside = twins.inside, twins.outside
        return TwoNormals(inside.mean(0), inside.var(0), outside.mean(0), outside.var(0))


def masks(count: int, people: int, rng: np.random.Generator) -> np.ndarray:
    """Return masks of twins: one of each pair of neighbours, and the other one."""
    inside = np.empty((count, people), dtype=bool)
    inside[::2, ::2] = rng.random((count // 2, people // 2)) < 0.5
    inside[::2, 1::2] = ~inside[::2, ::2]
    inside[1::2] = ~inside[::2]
    return inside
