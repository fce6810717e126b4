"""Whether attacks with references find a leak where there is none: few of them, other recipes, other ages."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from memberscan.attacks import REGISTRY
from memberscan.attacks.references.copies import CopiesAttack
from memberscan.attacks.with_references import ReferenceAttack
from memberscan.evidence.roc import aucs_of_rows
from memberscan.references.ensemble import Ensemble
from memberscan.references.plan import Plan
from memberscan.seeds import generator
from memberscan.signals import PREDICTION, View
from memberscan.signals.augmented_predictions import AUGMENTED_PREDICTIONS
from memberscan.signals.reference_models import REFERENCE_COPIES, REFERENCE_MEMBERS, REFERENCE_PREDICTIONS
from memberscan.studies.verdict_rates import People, audited, nothing, shift, simulated, target_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float

SIDES = (40, 120, 600)
SHORT, LONG = 20, 100
"""Audits for each row."""
COPIES = 5
"""Of each scan, which the model and its references predict, too; a year apart, typically."""
SCENARIOS: dict[str, tuple[Callable[..., None], int, float]] = {
    "two references": (nothing, 2, 1.0),
    "eight references": (nothing, 8, 1.0),
    "references overfit, the model does not": (nothing, 8, 2.0),
    "members 0.5 SD older": (partial(shift, by=0.5), 8, 1.0),
    "both": (partial(shift, by=0.5), 8, 2.0),
}
"""What is changed, the number of references, and by how much they fit better whom they are trained on."""


def reference_calibration(
    repetitions: int = SHORT, seed: int = 0, sides: tuple[int, ...] = SIDES, processes: int = 1
) -> pd.DataFrame:
    """Return how often audits with references find a leak in models that remember nobody.

    Parameters
    ----------
    repetitions
        Audits for each row of the table.
    seed
        Root of the random numbers.
    sides
        Numbers of members, and of non-members.
    processes
        How many audits run at the same time. The table is the same for any number.

    Returns
    -------
    DataFrame
        scenario, people_a_side, ``leaks`` with its 95% Clopper-Pearson interval, and the smallest and the
        largest mean AUC of an attack with references, which should be 0.5 where members are not older.
    """
    cells = [(name, side) for name in SCENARIOS for side in sides]
    tasks = [(name, side, seed, k) for name, side in cells for k in range(repetitions)]
    found = simulated(_one_task, tasks, processes)
    rows = []
    for number, (name, side) in enumerate(cells):
        of_cell = found[number * repetitions : (number + 1) * repetitions]
        leaks = sum(label == "leaks" for label, _ in of_cell)
        interval = stats.binomtest(leaks, repetitions).proportion_ci(0.95, "exact")
        means = np.mean([aucs for _, aucs in of_cell], axis=0)
        rows.append(
            {
                "scenario": name,
                "people_a_side": side,
                "leaks": leaks / repetitions,
                "leaks_low": interval.low,
                "leaks_high": interval.high,
                "smallest_mean_auc": float(means.min()),
                "largest_mean_auc": float(means.max()),
            }
        )
    return pd.DataFrame(rows)


def _one_task(task: tuple[str, int, int, int]) -> tuple[str, list[float]]:
    """Simulate people, a model that remembers nobody and references; return the label and mean AUCs."""
    name, side, seed, repetition = task
    change, count, overfit = SCENARIOS[name]
    rng = generator(seed, "references", name, side, repetition)
    people = People.alike(side, rng)
    change(people, rng)
    target, view = target_of(people, np.ones(2 * side), rng)
    ensemble = _references(people, view, count, overfit, rng)
    copies = _of_copies(view[PREDICTION], rng)
    target = replace(target, references=ensemble, copies=copies)
    values = {
        PREDICTION: view[PREDICTION],
        AUGMENTED_PREDICTIONS: copies,
        REFERENCE_PREDICTIONS: ensemble.predictions,
        REFERENCE_COPIES: ensemble.copies,
        REFERENCE_MEMBERS: ensemble.inside,
    }
    found = audited(target, View(view.scans, values))
    member = people.member.astype(float)
    aucs = [
        float(aucs_of_rows(each.values, member[None])[0])
        for each in found.scores
        if isinstance(REGISTRY[each.attack], (ReferenceAttack, CopiesAttack))
    ]
    return found.verdict.label, aucs


def _references(people: People, view: View, count: int, overfit: float, rng: np.random.Generator) -> Ensemble:
    """Return references whose errors have much in common with the model's own."""
    plan = Plan.draw(
        pd.DataFrame({"label": view.label}, index=view.scans["subject_id"]),
        count=count,
        size=len(people.z) // 2,
        seed=int(rng.integers(2**31)),
    )
    noise = 0.6 * people.noise + 0.8 * rng.normal(size=plan.inside.shape)
    level, lean = rng.normal(size=(2, count, 1))
    size, rest = 4 * np.exp(0.3 * people.z), level + (4 + 0.5 * lean) * people.z
    residual = size * noise / np.where(plan.inside, overfit, 1.0) + rest
    return Ensemble(
        scans=view.scans,
        predictions=view.label - residual,
        inside=plan.inside,
        pair=pd.Series(plan.pair, index=list(plan.subjects)),
        recipe="simulated",
        cohort=None,
        fingerprint="",
        # What training took from an error on a scan it did not take from those on copies.
        copies=_of_copies(view.label - size * noise - rest, rng),
    )


def _of_copies(predictions: np.ndarray, rng: np.random.Generator) -> Float[np.ndarray, "... copies"]:
    """Return predictions of copies, around those of scans as if these were not trained on."""
    return np.asarray(predictions[..., None] + rng.normal(size=(*predictions.shape, COPIES)))
