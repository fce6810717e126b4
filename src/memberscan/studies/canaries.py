"""Whether bounds from canaries are true, and whether they find mistakes in a private training."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from torch import nn

from memberscan.auditing.canary_results import scores_of
from memberscan.cohort import Cohort
from memberscan.defences import allow_own
from memberscan.evidence.canary_bounds import CanaryEvidence, canary_evidence
from memberscan.files import write_table
from memberscan.runs import Run
from memberscan.seeds import generator, integer
from memberscan.targets import open_target
from memberscan.task_pool import in_order
from memberscan.threat import Access, ThreatModel
from memberscan.training import TrainingConfig, train

CANARIES, MEMBERS, SCANS = 300, 20, 3
EPOCHS, RATE = 4, 0.01
STATED, DELTA = 4.0, 1e-5
SCALE = 5.0
"""Length of a person's features, so great that each gradient is longer than the clipping norm."""
RUNS, RUNS_OF_BUGS = 200, 20
METHODS = {
    "one_run": "one run",
    "fdp": "one run, f-DP",
    "fdp_gaussian": "one run, f-DP, Gaussian",
    "gaussian": "Gaussian",
    "gaussian_auc": "Gaussian, AUC",
}
"""Columns of the table, and the method of each."""
_BUGS = "memberscan.studies.planted_bugs"


@dataclass(frozen=True)
class Case:
    """One row: a training, the epsilon that it states, scans of a person, and whether its runs are few."""

    training: str
    defence: str
    epsilon: float
    scans: int = 1
    few: bool = False


CASES = (
    Case("dp-sgd, coins drawn after it", "dp-sgd", 0.0),
    Case("dp-sgd", "dp-sgd", 1.0),
    Case("dp-sgd", "dp-sgd", STATED),
    Case("noise left out", f"{_BUGS}:WithoutNoise", STATED, few=True),
    Case("clipped by scan", f"{_BUGS}:ClippedByScan", STATED, SCANS, few=True),
    Case("each person twice", f"{_BUGS}:PersonTwice", STATED, few=True),
    Case("each person twice", f"{_BUGS}:PersonTwice", 6.0, few=True),
)


def canaries(
    out: Path, *, seed: int = 0, processes: int = 1, runs: int = RUNS, of_bugs: int = RUNS_OF_BUGS
) -> pd.DataFrame:
    """Train many small models with canaries, by dp-sgd and by wrong versions of it, and read epsilon back.

    The model is linear and people are made up, with features at right angles to those of all others and ages
    that have nothing to do with them. All people are in every step. Nothing that a canary adds to the weights
    is then lost, and the bounds come as near to the true epsilon as they can.

    Returns
    -------
    DataFrame
        One row for each training: stated epsilon; runs; the median over runs of the bound of each method, see
        :data:`METHODS`; how often a bound is above the stated epsilon (``broken``), and the 95%
        Clopper-Pearson interval of that share. The table is written to ``out``.
    """
    tasks = [
        (case, integer(seed, case.training, str(case.epsilon), k))
        for case in CASES
        for k in range(of_bugs if case.few else runs)
    ]
    for scans in sorted({case.scans for case in CASES}):
        _people(out, scans, seed)
    found = list(in_order(functools.partial(_one_run, out), tasks, processes))
    rows = []
    for case in CASES:
        of_case = [each for (other, _), each in zip(tasks, found, strict=True) if other == case]
        rows.append({"training": case.training, "epsilon": case.epsilon} | summary(of_case, METHODS))
    table = pd.DataFrame(rows)
    write_table(out / "canaries.tsv", table.round(4))
    return table


def linear() -> nn.Module:
    """Return a linear model, whose gradient of a person has the direction of that person's features."""
    return nn.Linear(MEMBERS + 2 * CANARIES, 1, bias=False)


def _people(out: Path, scans: int, seed: int) -> None:
    """Build a table of enough people, each with so many noisy scans."""
    place = out / f"cohort-{scans}"
    if (place / "cohort.json").exists():
        return
    count, rng = MEMBERS + 2 * CANARIES, generator(seed, "people", scans)
    person = np.repeat(np.arange(count), scans)
    # The rows of an orthogonal matrix: what training on one person changes, no other person touches.
    own = SCALE * np.linalg.qr(rng.normal(size=(count, count)))[0]
    features = (own[person] + 0.01 * rng.normal(size=(len(person), count))).round(4)
    table = pd.DataFrame(features, columns=[f"feature {k}" for k in range(count)])
    table = table.assign(person=person, age=rng.uniform(30, 70, count).round(1)[person])
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / f"people-{scans}.csv", index=False)
    Cohort.from_table(out / f"people-{scans}.csv", place, subject="person", age="age")


def _one_run(out: Path, task: tuple[Case, int]) -> dict[str, float]:
    case, seed = task
    # Coins that are drawn after a training say nothing about it, whatever its own epsilon.
    defence = f"{case.defence}:epsilon={case.epsilon or STATED:g},delta={DELTA:g}"
    allow_own(defence)
    config = TrainingConfig(
        epochs=EPOCHS,
        batch_size=MEMBERS + CANARIES,
        learning_rate=RATE,
        optimizer="sgd",
        device="cpu",
        defence=defence,
        seed=seed,
    )
    with tempfile.TemporaryDirectory(dir=out, prefix="run-") as folder:
        run = train(
            out / f"cohort-{case.scans}",
            Path(folder) / "run",
            model=f"{__name__}:linear",
            members=MEMBERS / (MEMBERS + 2 * CANARIES),
            config=config,
            seed=seed,
            canaries=CANARIES,
        )
        return bounds_by_column(_evidence(run, None if case.epsilon else generator(seed, "coins after it")))


def _evidence(run: Run, coins: np.random.Generator | None) -> CanaryEvidence:
    """Return what canaries of a run show; with coins that are drawn now, about an epsilon of 0."""
    planted, stated = run.canaries, run.guarantee
    assert planted is not None and stated is not None
    scores = scores_of(open_target(run.path, ThreatModel(access=Access.WEIGHTS), model=run.code), planted)
    inside = planted.inside if coins is None else coins.random(len(planted)) < 0.5
    epsilon = stated.epsilon if coins is None else 0.0
    return canary_evidence(scores, inside, epsilon=epsilon, delta=stated.delta, gaussian=run.gaussian_noise)


def bounds_by_column(found: CanaryEvidence) -> dict[str, float]:
    """Return the greatest bound of each method, and 1 where one of them is above the stated epsilon."""
    greatest = {
        name: max(each.bound.value for each in found.bounds if each.bound.method == method)
        for name, method in METHODS.items()
    }
    return greatest | {"broken": float(bool(found.broken))}


def summary(found: Sequence[Mapping[str, float]], columns: Iterable[str]) -> dict[str, float]:
    """Return medians over runs, and how often the guarantee seemed broken, with its 95% interval."""
    count = int(sum(each["broken"] for each in found))
    interval = stats.binomtest(count, len(found)).proportion_ci(0.95, "exact")
    return {
        "runs": len(found),
        **{name: float(np.median([each[name] for each in found])) for name in columns},
        "broken": count / len(found),
        "broken_low": interval.low,
        "broken_high": interval.high,
    }
