"""How often the verdict is right, by applying its whole rule to simulated audits; and the gap identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from memberscan.evidence.blind import blind_check
from memberscan.evidence.estimates import estimate_aucs
from memberscan.evidence.gap import auc_of_ratio
from memberscan.evidence.permutation import normal_null
from memberscan.evidence.scores import MODEL, Scores
from memberscan.evidence.single_draw import DeLong
from memberscan.evidence.strata import Strata, estimate_within_strata
from memberscan.evidence.verdict import judge
from memberscan.progress import progress
from memberscan.seeds import generator

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

SCENARIOS = {
    "no leak": "members and non-members are exchangeable",
    "leak, AUC 0.65": "non-members' errors are 1.63 times as large",
    "leak, AUC 0.75": "non-members' errors are 2.41 times as large",
    "confounded": "no leak; members are one standard deviation older, scores depend on age (correlation 0.7)",
    "confounded leak": "like confounded, and non-members' errors are 2.41 times as large",
    "randomised": "no leak; membership was drawn at random, members happen to be 0.5 deviations older",
}
SIDES = (60, 250, 1000)
LABELS = ("leaks", "no leak shown", "inconclusive", "confounded")
DRAWS = 5


def verdict_rates(repetitions: int = 100, seed: int = 0) -> pd.DataFrame:
    """Return how often each label is given, by scenario and number of subjects per side.

    Each simulated audit has an error attack, scored once on everyone, and three attacks fitted on half of the
    subjects in each of five draws, with age and a site as covariates. Scores of fitted attacks are simulated,
    not fitted.

    Parameters
    ----------
    repetitions
        Audits for each row of the table.
    seed
        Root of the random numbers.

    Returns
    -------
    DataFrame
        scenario, subjects_a_side, the share of each label and, for scenarios without a leak, the 95%
        Clopper-Pearson interval of the share of false "leaks".
    """
    rows = []
    with progress("simulating verdicts", len(SCENARIOS) * len(SIDES) * repetitions) as advance:
        for scenario in SCENARIOS:
            for side in SIDES:
                labels = []
                for repetition in range(repetitions):
                    labels.append(_one_verdict(scenario, side, generator(seed, scenario, side, repetition)))
                    advance(1)
                rows.append({"scenario": scenario, "subjects_a_side": side} | _shares(scenario, labels))
    return pd.DataFrame(rows)


def _shares(scenario: str, labels: list[str]) -> dict[str, float]:
    shares = {label: labels.count(label) / len(labels) for label in LABELS}
    interval = stats.binomtest(labels.count("leaks"), len(labels)).proportion_ci(0.95, "exact")
    is_false = "leak" not in scenario or scenario == "no leak"
    low, high = (interval.low, interval.high) if is_false else (np.nan, np.nan)
    return shares | {"false_leaks_low": low, "false_leaks_high": high}


def _one_verdict(scenario: str, side: int, rng: np.random.Generator) -> str:
    """Simulate one audit and return its label."""
    member = np.arange(2 * side) < side
    shift = {"confounded": 1.0, "confounded leak": 1.0, "randomised": 0.5}.get(scenario, 0.0)
    age = rng.normal(size=2 * side) + shift * member
    covariates = pd.DataFrame({"age": age, "site": rng.choice(["a", "b", "c"], size=2 * side)})
    target = 0.65 if "0.65" in scenario else 0.75 if "leak" in scenario and scenario != "no leak" else 0.5
    residuals = rng.normal(size=2 * side) * np.where(member, 1.0, np.tan(np.pi / 2 * target))
    attacks = _attacks(residuals, age if "confounded" in scenario else np.zeros_like(age), member, rng)
    estimates = estimate_aucs(attacks, DeLong())
    check = blind_check(covariates, member, rng, randomised=scenario == "randomised")
    within = None
    if check.gates:
        within = estimate_within_strata(attacks, {MODEL: Strata.of_check(check)}, DeLong())
    return judge(estimates, normal_null(estimates), check, within).label


def _attacks(
    residuals: Float[np.ndarray, " subjects"],
    age: Float[np.ndarray, " subjects"],
    member: Bool[np.ndarray, " subjects"],
    rng: np.random.Generator,
) -> list[Scores]:
    """Return the error attack and three noisier attacks that know the same half of the subjects in each draw.

    Normal scores of -|r| are mixed with age (correlation 0.7, in confounded scenarios), then noise is added.
    """
    error = stats.norm.ppf((stats.rankdata(-np.abs(residuals)) - 0.5) / len(residuals))
    error = error + age * error.std() * (0.98 if age.any() else 0.0)
    attacks = [
        Scores.of_draws("error", fitted=False, values=error[None], member=member, thresholds=np.zeros(1))
    ]
    known = np.stack([_known(member, rng) for _ in range(DRAWS)])
    for k, noise in enumerate((0.3, 0.6, 1.0)):
        scores = error + noise * rng.normal(size=(DRAWS, len(error)))
        values, name = np.where(known, np.nan, scores), f"fitted {k + 1}"
        attacks.append(
            Scores.of_draws(name, fitted=True, values=values, member=member, thresholds=np.zeros(DRAWS))
        )
    return attacks


def _known(member: Bool[np.ndarray, " subjects"], rng: np.random.Generator) -> Bool[np.ndarray, " subjects"]:
    known = np.zeros(len(member), dtype=bool)
    for side in (np.flatnonzero(member), np.flatnonzero(~member)):
        known[rng.choice(side, len(side) // 2, replace=False)] = True
    return known


def gap_identity(seeds: int = 20) -> pd.DataFrame:
    """Compare the error attack's AUC with (2/pi) arctan(1 + h), for Gaussian residuals of a known ratio.

    One row per seed, for 250 members and 250 non-members: h, expected AUC, estimate with its 95% interval,
    and whether the interval contains the expected AUC.
    """
    rows = []
    member = np.arange(500) < 250
    for seed in range(seeds):
        rng = generator(seed, "gap identity")
        h = float(rng.uniform(0.0, 1.5))
        residuals = rng.normal(size=500) * np.where(member, 1.0, 1.0 + h)
        values = -np.abs(residuals)[None]
        error = Scores.of_draws("error", fitted=False, values=values, member=member, thresholds=np.zeros(1))
        interval = estimate_aucs([error], DeLong()).intervals[0]
        expected = float(auc_of_ratio(np.array(1.0 + h)))
        within = interval.low <= expected <= interval.high
        rows.append(
            {"seed": seed, "h": h, "expected_auc": expected, **_named(interval.to_dict()), "within": within}
        )
    return pd.DataFrame(rows)


def _named(interval: dict[str, float]) -> dict[str, float]:
    return {"auc": interval["value"], "auc_low": interval["low"], "auc_high": interval["high"]}
