"""How often the verdict is right, on simulated people and with the real attacks; and the gap identity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
from scipy import stats

from memberscan.attacks import attacks_on
from memberscan.attacks.attempt import attempt, observe, one_thread
from memberscan.auditing import facts, selection
from memberscan.auditing.weighing import Weighed, check_covariates, weigh
from memberscan.evidence.delong import DeLong
from memberscan.evidence.estimates import estimate_aucs
from memberscan.evidence.gap import auc_of_ratio
from memberscan.evidence.scores import Scores
from memberscan.progress import progress
from memberscan.seeds import generator
from memberscan.signals import PREDICTION, View
from memberscan.targets.predictions_table import PredictionsTable
from memberscan.task_pool import in_order
from memberscan.threat import ThreatModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Bool, Float

    Change = Callable[..., None]
    _Task = tuple[Change, float, int, str, int, int]

T = TypeVar("T")
R = TypeVar("R")

SIDES = (40, 120, 600, 2500)
LABELS = ("leaks", "no leak shown", "inconclusive", "confounded")
SHORT, LONG = 5, 100
"""Audits for each row of the table; the long study takes about a quarter of an hour on two free cores."""


@dataclass
class People:
    """Simulated people, members first.

    Parameters
    ----------
    member
        Who was trained on.
    z
        Age, in standard deviations of 12 years from 50.
    noise
        Errors of the model of each person, in its standard deviations.
    covariates
        What is recorded beside age.
    scans
        Scans of each person, of which the model makes independent errors.
    """

    member: Bool[np.ndarray, " people"]
    z: Float[np.ndarray, " people"]
    noise: Float[np.ndarray, " people"]
    covariates: dict[str, np.ndarray]
    scans: np.ndarray

    @classmethod
    def alike(cls, side: int, rng: np.random.Generator) -> People:
        """Draw members and non-members from one population."""
        n = 2 * side
        member = np.arange(n) < side
        return cls(member, rng.normal(size=n), rng.normal(size=n), {}, np.ones(n, dtype=int))


def shift(people: People, rng: np.random.Generator, *, by: float) -> None:  # noqa: ARG001
    """Make members older by so many standard deviations."""
    people.z = people.z + by * people.member


def scanner(people: People, rng: np.random.Generator, *, share: float) -> None:
    """Scan this share of members, and one less it of others, on a second scanner, where errors are larger."""
    second = rng.random(len(people.z)) < np.where(people.member, share, 1 - share)
    people.covariates["scanner"] = np.where(second, "second", "first")
    people.noise = people.noise * (1 + 0.5 * second) + 0.5 * second * people.z


def heavy_tails(people: People, rng: np.random.Generator) -> None:
    """Give errors Student's t distribution with three degrees of freedom."""
    people.noise = rng.standard_t(3, len(people.z))


def two_humps(people: People, rng: np.random.Generator) -> None:
    """Give members two ages: 50 + 15 + 6 and 50 - 15 + 6 years."""
    humps = (15 * rng.choice([-1, 1], len(people.z)) + 6 * rng.normal(size=len(people.z))) / 12
    people.z = np.where(people.member, humps, people.z)


def age_by_site(people: People, rng: np.random.Generator) -> None:
    """Make members older at one site and younger at the other; neither age nor site differs by itself."""
    second = rng.integers(0, 2, len(people.z)) == 1
    people.covariates["site"] = np.where(second, "b", "a")
    people.z = people.z + np.where(second, 1, -1) * np.where(people.member, 0.5, -0.5)
    people.noise = people.noise * (1 + 0.5 * second) + 0.5 * second * people.z


def sex_by_age(people: People, rng: np.random.Generator) -> None:
    """Make members mostly women where they are old and men where they are young; others the reverse."""
    chance = 1 / (1 + np.exp(np.where(people.member, -1, 1) * people.z))
    woman = rng.random(len(people.z)) < chance
    people.covariates["sex"] = np.where(woman, "F", "M")
    people.noise = people.noise * (1 + 0.8 * (woman & (people.z > 0)))


def nuisance(people: People, rng: np.random.Generator) -> None:
    """Record twenty columns that tell nothing; members are half a standard deviation older."""
    shift(people, rng, by=0.5)
    people.covariates |= {f"column {k}": rng.normal(size=len(people.z)) for k in range(20)}


def scan_counts(people: People, rng: np.random.Generator) -> None:
    """Scan members more often than others."""
    people.scans = 1 + rng.poisson(np.where(people.member, 1.5, 0.8))


def nothing(people: People, rng: np.random.Generator) -> None:
    """Leave members and others exchangeable."""


NO_LEAK: dict[str, Change] = {
    "exchangeable": nothing,
    "heavy tails": heavy_tails,
    **{f"members {by} SD older": partial(shift, by=by) for by in (0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0)},
    "two humps": two_humps,
    "age by site": age_by_site,
    "scanner 60:40": partial(scanner, share=0.6),
    "scanner 90:10": partial(scanner, share=0.9),
    "sex by age": sex_by_age,
    "twenty columns": nuisance,
    "scan counts": scan_counts,
}
"""Scenarios without a leak, in which a model's errors grow with age and lean to the mean age."""
POWER = (0.6, 0.65, 0.7)
"""AUCs that the errors of exchangeable people have in scenarios with a leak."""
CONFOUNDED_LEAKS = ("members 0.5 SD older", "two humps", "age by site", "twenty columns")
"""Scenarios that are also run with a leak, of AUC .65 among people who are alike."""


def verdict_rates(
    repetitions: int = SHORT, seed: int = 0, sides: tuple[int, ...] = SIDES, processes: int = 1
) -> pd.DataFrame:
    """Return how often each label is given, by scenario and number of people on each side.

    Every audit is of a table of predictions, whose members were chosen and not drawn: the default attacks of
    an outsider are fitted and scored, covariates are checked, and the verdict's own rule judges.

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
        scenario, people_a_side, a share for each label; the share in which the best attack alone, which knows
        the truth, is shown to succeed (``oracle``); and for scenarios without a leak the 95%
        Clopper-Pearson interval of the share of false "leaks".
    """
    scenarios = {name: (change, 0.5) for name, change in NO_LEAK.items()}
    scenarios |= {f"leak, AUC {auc}": (nothing, auc) for auc in POWER}
    scenarios |= {f"{name}, and a leak": (NO_LEAK[name], 0.65) for name in CONFOUNDED_LEAKS}
    cells = [(name, side) for name in scenarios for side in sides]
    tasks = [(*scenarios[name], side, name, seed, k) for name, side in cells for k in range(repetitions)]
    found = simulated(_one_task, tasks, processes)
    rows = []
    for number, (name, side) in enumerate(cells):
        of_cell = found[number * repetitions : (number + 1) * repetitions]
        rows.append({"scenario": name, "people_a_side": side} | _shares(scenarios[name][1], of_cell))
    return pd.DataFrame(rows)


def simulated(one_task: Callable[[T], R], tasks: Sequence[T], processes: int) -> list[R]:
    """Simulate audits on several cores, and return what each gives in their order."""
    found = []
    with progress("simulating audits", len(tasks)) as advance:
        for each in in_order(one_task, tasks, processes):
            found.append(each)
            advance(1)
    return found


def _one_task(task: _Task) -> tuple[str, bool]:
    change, auc, side, name, seed, repetition = task
    return _one_audit(change, auc, side, generator(seed, name, side, repetition))


def _shares(auc: float, found: list[tuple[str, bool]]) -> dict[str, float]:
    labels = [label for label, _ in found]
    shares = {label: labels.count(label) / len(labels) for label in LABELS}
    interval = stats.binomtest(labels.count("leaks"), len(labels)).proportion_ci(0.95, "exact")
    low, high = (interval.low, interval.high) if auc == 0.5 else (np.nan, np.nan)
    oracle = float(np.mean([shown for _, shown in found])) if auc > 0.5 else np.nan
    return shares | {"oracle": oracle, "false_leaks_low": low, "false_leaks_high": high}


def _one_audit(change: Change, auc: float, side: int, rng: np.random.Generator) -> tuple[str, bool]:
    """Simulate people and a model's predictions, audit them, and return the label and the oracle's answer."""
    people = People.alike(side, rng)
    change(people, rng)
    # Half-normal sizes of errors whose spreads have this ratio have this AUC (see the gap).
    ratio = np.where(people.member, 1.0, np.tan(np.pi / 2 * auc))
    target, view = target_of(people, ratio, rng)
    found = audited(target, view)
    truth = -np.abs(people.noise * ratio)
    oracle = Scores.of_draws(
        "truth", fitted=False, values=truth[None], member=people.member, thresholds=np.zeros(1)
    )
    return found.verdict.label, bool(estimate_aucs([oracle], DeLong()).simultaneous_low[0] > 0.5)


def audited(target: PredictionsTable, view: View) -> Weighed:
    """Audit a simulated table by all attacks that its attacker tries."""
    selected = selection.available(attacks_on(target), target)
    summary = facts.summarise_people(target, view)
    with one_thread():
        checks = check_covariates(target, summary.covariates)
        features = {name: observe(attack, view) for name, attack in selected.attacks.items()}
        scores = [attempt(attack, features[name], target) for name, attack in selected.attacks.items()]
        selected = selection.that_saw_something(selected, scores, target)
        seen = [each for each in scores if each is not None]
        return weigh(target, selected, features, seen, checks, summary.facts, refit=False)


def target_of(
    people: People, ratio: Float[np.ndarray, " people"], rng: np.random.Generator
) -> tuple[PredictionsTable, View]:
    """Return a table of predictions of these people, as a target and as its attacker sees it."""
    person = np.repeat(np.arange(len(people.z)), people.scans)
    ids = np.array([f"s{k:06d}" for k in range(len(people.z))])
    again = rng.normal(size=len(person)) * (people.scans[person] > 1)
    # Errors grow with age, and predictions lean to the mean age, as those of brain-age networks do.
    size = 4 * np.exp(0.3 * people.z) * ratio
    residual = size[person] * (people.noise[person] + 0.3 * again) + 4 * people.z[person]
    age = 50 + 12 * people.z[person]
    names = pd.Index([f"{ids[p]}/{k}" for k, p in enumerate(person)], name="scan_id")
    scans = pd.DataFrame({"subject_id": ids[person], "label": age}, index=names)
    target = PredictionsTable(
        scans=scans,
        is_member=pd.Series(people.member, index=ids),
        covariates=pd.DataFrame(
            {name: values[person] for name, values in people.covariates.items()}, index=names
        ),
        ignored=(),
        threat=ThreatModel(),
        seed=int(rng.integers(2**31)),
        predictions=age - residual,
        digest="",
        answers=pd.DataFrame({"prediction": age - residual}, index=names),
    )
    return target, View(scans, {PREDICTION: age - residual})


def gap_identity(seeds: int = 20) -> pd.DataFrame:
    """Return the error attack's AUC beside (2/pi) arctan(1 + h), for Gaussian residuals of a known ratio.

    One row per seed: h, expected AUC, estimate with its 95% interval, and whether the interval holds the
    expectation; on 250 members and 250 non-members.
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
