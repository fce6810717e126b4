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
from memberscan.people import People
from memberscan.progress import progress
from memberscan.seeds import generator
from memberscan.signals import PREDICTION, View
from memberscan.targets.known import draws, everybody
from memberscan.threat import ThreatModel

if TYPE_CHECKING:
    from jaxtyping import Bool

SIDES = (40, 120, 600)
AUCS = (0.5, 0.65, 0.9)
COLUMNS, TELLING_COLUMNS = 50, 10
WIDE = LearnedAttack("50 columns", "columns of noise, ten of which are shifted for members", blocks=())
ATTACKS: tuple[Attack, ...] = (
    REGISTRY["error:zero-knowledge"],
    REGISTRY["error"],
    REGISTRY["prediction+label"],
    WIDE,
)


def coverage(repetitions: int = 400, seed: int = 0) -> pd.DataFrame:
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

    Returns
    -------
    DataFrame
        attack, subjects_a_side, leak (the AUC of the best rule), mean_auc, the shares auc_covered and
        accuracy_covered, the mean widths auc_width and accuracy_width, and leaks: how often the one-sided 99%
        lower bound of this attack alone exceeds one half. Without a leak these are false alarms.
    """
    rows = []
    with progress("simulating audits", len(ATTACKS) * len(SIDES) * len(AUCS)) as advance, one_thread():
        for attack in ATTACKS:
            for side in SIDES:
                for auc in AUCS:
                    rng = generator(seed, "coverage", attack.name, side, str(auc))
                    results = [_one_audit(attack, side, auc, rng) for _ in range(repetitions)]
                    about = {"attack": attack.name, "subjects_a_side": side, "leak": auc}
                    rows.append(about | _summary(pd.DataFrame(results), leak=auc > 0.5))
                    advance(1)
    return pd.DataFrame(rows)


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
    area = estimates.intervals[0]
    return {
        "auc": area.value,
        "auc_low": area.low,
        "auc_high": area.high,
        "accuracy": accuracy.value,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "leaks": float(estimates.simultaneous_low[0] > 0.5),
    }


def _seen(
    attack: Attack, ids: pd.Index, member: Bool[np.ndarray, " people"], auc: float, rng: np.random.Generator
) -> Features:
    """Return what an attack makes of predictions and ages."""
    age = rng.uniform(45.0, 80.0, len(ids))
    # The ratio of the spreads at which smaller errors rank members first with this AUC (docs: the gap).
    residual = rng.normal(size=len(ids)) * np.where(member, 1.0, np.tan(np.pi / 2 * auc))
    scans = pd.DataFrame({"subject_id": ids, "age": age}, index=ids)
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
    for name in ("auc", "accuracy"):
        truth = float(audits[name].mean()) if leak else 0.5
        low, high = audits[f"{name}_low"], audits[f"{name}_high"]
        summary[f"{name}_covered"] = float(((low <= truth) & (truth <= high)).mean())
        summary[f"{name}_width"] = float((high - low).mean())
    return summary | {"leaks": float(audits["leaks"].mean())}
