"""Whether exposure of people is estimated right: linear models, whose true laws many references tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from memberscan.evidence.person_exposure import PersonExposure, person_exposure
from memberscan.evidence.twins import Twins
from memberscan.evidence.two_normals import TwoNormals
from memberscan.progress import progress

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

PEOPLE, MOST, TRUTH = 300, 10, 1000
REFERENCES = (4, 8, 16, 32)
SCENARIOS: dict[str, dict[str, Any]] = {
    "little overfit": {"features": 20},
    "overfit": {"features": 60},
    "strongly overfit": {"features": 120},
    "heavy tails": {"features": 60, "heavy": True},
    "half untouched": {"features": 60, "untouched": 0.5},
    "most untouched": {"features": 40, "untouched": 0.8},
    "all untouched": {"features": 60, "untouched": 1.0},
}


@dataclass(frozen=True, eq=False)
class World:
    """Fixed people, on one of each pair of whom linear models are trained.

    Parameters
    ----------
    features, outcome
        Of each person; the models predict the outcome.
    others
        People outside the audit, on whom all models are trained too.
    untouched
        Who is never trained on, whatever the mask says: their two laws are equal.
    age
        Says nothing of residuals.
    """

    features: Float[np.ndarray, "people features"]
    outcome: Float[np.ndarray, " people"]
    others: Bool[np.ndarray, " people"]
    untouched: Bool[np.ndarray, " people"]
    age: Float[np.ndarray, " people"]

    @classmethod
    def of(
        cls, people: int, features: int, seed: int = 0, untouched: float = 0.0, heavy: bool = False
    ) -> World:
        """Draw people; the first of them are untouched. If all are, others are trained on."""
        rng = np.random.default_rng(seed)
        count = 2 * people if untouched == 1 else people
        x = rng.normal(size=(count, features)) / np.sqrt(features)
        noise = rng.standard_t(3, count) if heavy else rng.normal(size=count)
        outcome = 50 + 3 * x @ rng.normal(size=features) + 5 * noise
        order = np.arange(count)
        kept = order < int(untouched * people) // 2 * 2
        return cls(x, outcome, order >= people, kept, rng.uniform(20, 80, count))

    def references(
        self, count: int, seed: int
    ) -> tuple[Float[np.ndarray, "references people"], Bool[np.ndarray, "references people"]]:
        """Train models on one of each pair of neighbours; return residuals and the mask."""
        inside = masks(count, len(self.outcome), np.random.default_rng(seed))
        residuals = np.empty(inside.shape)
        for k, row in enumerate(inside & ~self.untouched):
            x = np.column_stack([np.ones(row.sum()), self.features[row]])
            weights = np.linalg.solve(x.T @ x + 1e-3 * np.eye(x.shape[1]), x.T @ self.outcome[row])
            residuals[k] = self.outcome - weights[0] - self.features @ weights[1:]
        return residuals[:, ~self.others], inside[:, ~self.others]

    def twins(self, count: int, seed: int) -> Twins:
        """Return the residuals of that many references."""
        return Twins.of(*self.references(count, seed), self.age[~self.others])

    def truth(self, count: int = TRUTH) -> TwoNormals:
        """Return the laws by very many references."""
        twins = self.twins(count, 10**6)
        inside, outside = twins.inside, twins.outside
        return TwoNormals(inside.mean(0), inside.var(0), outside.mean(0), outside.var(0))

    def exposure(self, count: int, seed: int) -> PersonExposure:
        """Return the estimated exposure."""
        residuals, inside = self.references(count, seed)
        return person_exposure(residuals, inside, self.age[~self.others], np.random.default_rng(seed))


def masks(count: int, people: int, rng: np.random.Generator) -> Bool[np.ndarray, "references people"]:
    """Return masks of twins: one of each pair of neighbours, and the other one."""
    inside = np.empty((count, people), dtype=bool)
    inside[::2, ::2] = rng.random((count // 2, people // 2)) < 0.5
    inside[::2, 1::2] = ~inside[::2, ::2]
    inside[1::2] = ~inside[::2]
    return inside


def exposure(*, seed: int = 0, repetitions: int = 40) -> pd.DataFrame:
    """Estimate exposure in several scenarios, and compare it with the truth.

    Parameters
    ----------
    seed
        Of people and references.
    repetitions
        How often references are drawn, each time for other people.

    Returns
    -------
    DataFrame
        One row per scenario and number of references. ``mean`` and ``top``: mean AUC of all people, and of
        the ten that are found most exposed, beside the truth of the same people. ``right``: share of right
        answers about these ten, on models left out, beside the best possible share. ``covered``: how often
        the truth is within 1.96 standard errors of a person's AUC. ``listed``: people on the list; ``false``:
        the mean share of them who are untouched.
    """
    rows = []
    drawn = [(name, k) for name in SCENARIOS for k in range(repetitions)]
    with progress("training linear models", len(drawn)) as advance:
        for name, k in drawn:
            world = World.of(PEOPLE, **SCENARIOS[name], seed=seed + k)
            truth = world.truth()
            rows += [
                {"scenario": name, "references": count, **_row(world, truth, world.exposure(count, seed + k))}
                for count in REFERENCES
            ]
            advance(1)
    return pd.DataFrame(rows).groupby(["scenario", "references"], sort=False).mean().reset_index()


def _row(world: World, truth: TwoNormals, found: PersonExposure) -> dict[str, float]:
    # Chance gives the truth by a thousand references a little exposure; of untouched people it is known.
    untouched = world.untouched[~world.others]
    true = np.where(untouched, 0.5, truth.auc)
    best = np.where(untouched, 0.5, 0.5 + truth.total_variation / 2)
    top, listed = found.most_exposed(MOST), found.listed
    right = found.about_most_exposed(MOST).right
    within = np.abs(found.auc - true) < 1.96 * found.auc_error
    return {
        "true_mean": float(true.mean()),
        "mean": float(found.auc.mean()),
        "true_top": float(true[top].mean()),
        "top": float(found.auc[top].mean()),
        "best_right": float(best[top].mean()),
        "right": np.nan if right is None else right.value,
        "covered": np.nan if right is None else float(within.mean()),
        "listed": float(listed.sum()),
        "false": float((listed & untouched).sum() / max(listed.sum(), 1)),
    }
