"""How often intervals of attacks cover, and how often the bound of the verdict finds a leak."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from memberscan.attacks import REGISTRY
from memberscan.attacks.attack import Attack, Features
from memberscan.attacks.attempt import carry_out, one_thread
from memberscan.attacks.learned import LearnedAttack
from memberscan.attacks.learner import joined, standardise
from memberscan.errors import MisalignedError
from memberscan.evidence.delong import DeLong
from memberscan.evidence.estimates import estimate_accuracies, estimate_aucs
from memberscan.evidence.operating import FPRS, operating_points
from memberscan.people import People
from memberscan.progress import progress
from memberscan.seeds import generator
from memberscan.signals import PREDICTION, View
from memberscan.targets.known import draws, everybody
from memberscan.task_pool import in_order
from memberscan.threat import ThreatModel

if TYPE_CHECKING:
    from jaxtyping import Bool

SIDES = (40, 120, 600)
AUCS = (0.5, 0.65, 0.9)
COLUMNS, TELLING_COLUMNS = 50, 10
SHORT, LONG = 400, 1600
"""Audits for each row of the table; two Monte-Carlo errors of a share of .95 are .022 and .011."""
WIDE = LearnedAttack("50 columns", "columns of noise, ten of which are shifted for members", blocks=())
ATTACKS: tuple[Attack, ...] = (
    REGISTRY["error:zero-knowledge"],
    REGISTRY["error"],
    REGISTRY["prediction+label"],
    WIDE,
)


def coverage(repetitions: int = SHORT, seed: int = 0, processes: int = 1) -> pd.DataFrame:
    """Return how often 95% intervals of AUC and accuracy cover, and how often one attack is called a leak.

    Residuals are Gaussian; those of non-members are so much larger that the error attack has the given AUC.
    Attacks are those of an audit, and fitted as in one. The columns of the wide attack are noise; ten of them
    are shifted so far that the best rule of all ten has the given AUC. What intervals should cover is the
    mean over the simulated audits, or one half where there is no leak.

    Parameters
    ----------
    repetitions
        Simulated audits for each row of the table.
    seed
        Root of the random numbers.
    processes
        How many rows of the table are simulated at the same time. The table is the same for any number.

    Returns
    -------
    DataFrame
        attack, subjects_a_side, leak (the AUC of the best rule), mean_auc; the shares auc_covered,
        accuracy_covered, and tpr_covered for the true-positive rate at a false-positive rate of 10%, missing
        where it is not resolved; auc_too_high and auc_too_low, the shares of intervals of the AUC that lie
        wholly above and below what they should cover; the mean widths auc_width, accuracy_width and
        tpr_width; and leaks: how often the one-sided 99% lower bound of this attack alone exceeds one half.
        Without a leak these are false alarms.
    """
    tasks = [(k, side, auc, repetitions, seed) for k in range(len(ATTACKS)) for side in SIDES for auc in AUCS]
    rows = []
    with progress("simulating audits", len(tasks)) as advance:
        for row in in_order(_one_row, tasks, processes):
            rows.append(row)
            advance(1)
    return pd.DataFrame(rows)


def _one_row(task: tuple[int, int, float, int, int]) -> dict[str, str | float]:
    number, side, auc, repetitions, seed = task
    attack = ATTACKS[number]
    rng = generator(seed, "coverage", attack.name, side, str(auc))
    with one_thread():
        results = [_one_audit(attack, side, auc, rng) for _ in range(repetitions)]
    about: dict[str, str | float] = {"attack": attack.name, "subjects_a_side": side, "leak": auc}
    return about | _summary(pd.DataFrame(results), leak=auc > 0.5)


def _one_audit(attack: Attack, side: int, auc: float, rng: np.random.Generator) -> dict[str, float]:
    """Simulate one audit by one attack, and return its estimates with their intervals."""
    member = np.arange(2 * side) < side
    ids = pd.Index([f"{number:05d}" for number in range(2 * side)])
    features = _columns(ids, member, auc, rng) if attack is WIDE else _seen(attack, ids, member, auc, rng)
    rows = draws(member, ThreatModel(), rng) if attack.learns else everybody(member)
    scores = carry_out(attack, features, rows, People.of(pd.Series(ids)))
    if scores is None:
        raise MisalignedError(f"attack {attack.name} scored nobody")
    estimates = estimate_aucs([scores], DeLong())
    (accuracy,) = estimate_accuracies([scores], DeLong())
    area, tpr = estimates.intervals[0], operating_points(scores, estimates.decisions_of(0))[0]
    return {
        "auc": area.value,
        "auc_low": area.low,
        "auc_high": area.high,
        "accuracy": accuracy.value,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "tpr": np.nan if tpr.value is None else tpr.value,
        "tpr_low": np.nan if tpr.low is None else tpr.low,
        "tpr_high": np.nan if tpr.high is None else tpr.high,
        "leaks": float(estimates.simultaneous_low[0] > 0.5),
    }


def _seen(
    attack: Attack, ids: pd.Index, member: Bool[np.ndarray, " people"], auc: float, rng: np.random.Generator
) -> Features:
    """Return what an attack makes of predictions and ages."""
    age = rng.uniform(45.0, 80.0, len(ids))
    # The ratio of the spreads at which smaller errors rank members first with this AUC (docs: the gap).
    residual = rng.normal(size=len(ids)) * np.where(member, 1.0, np.tan(np.pi / 2 * auc))
    scans = pd.DataFrame({"subject_id": ids, "label": age}, index=ids)
    return attack.observe(View(scans, {PREDICTION: age - residual}))


def _columns(
    ids: pd.Index, member: Bool[np.ndarray, " people"], auc: float, rng: np.random.Generator
) -> Features:
    """Return standardised noise, some columns of which are shifted for members."""
    values = rng.normal(size=(len(ids), COLUMNS))
    shift = np.sqrt(2 / TELLING_COLUMNS) * stats.norm.ppf(auc)
    values[:, :TELLING_COLUMNS] += shift * member[:, None]
    return Features(ids, joined([[standardise(values)]]))


def _summary(audits: pd.DataFrame, *, leak: bool) -> dict[str, float]:
    summary = {"mean_auc": float(audits["auc"].mean())}
    for name, chance in (("auc", 0.5), ("accuracy", 0.5), ("tpr", FPRS[0])):
        truth = float(audits[name].mean()) if leak else chance
        low, high = audits[f"{name}_low"], audits[f"{name}_high"]
        resolved = bool(audits[name].notna().all())
        summary[f"{name}_covered"] = float(((low <= truth) & (truth <= high)).mean()) if resolved else np.nan
        if name == "auc":
            summary |= {
                "auc_too_high": float((low > truth).mean()),
                "auc_too_low": float((high < truth).mean()),
            }
        summary[f"{name}_width"] = float((high - low).mean()) if resolved else np.nan
    return summary | {"leaks": float(audits["leaks"].mean())}
