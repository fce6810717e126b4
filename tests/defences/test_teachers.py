"""teachers: the noise on the mean of disjoint teachers' answers has its law, and hides each person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from memberscan.cohort import Cohort
from memberscan.defences import defence_from
from memberscan.defences.accountant import epsilon_of
from memberscan.defences.defence import TrainingSize
from memberscan.defences.teachers import Teachers
from memberscan.errors import BadInputError, ModelError
from memberscan.gaussian_privacy import gaussian_epsilon
from memberscan.runs import Role
from memberscan.target_variable import AGE
from memberscan.training import TrainingConfig, teaching
from memberscan.training.central import scans_of
from memberscan.training.checkpoint import Progress
from memberscan.training.loop import fit
from memberscan.training.teaching import shares

from .lab import federated
from .test_distillation import go
from .test_dp_sgd import scored

SIZE = TrainingSize(people=60, scans=80, batch_size=8, epochs=3, held_out=25)


def slow_mean(answers: np.ndarray, low: float, high: float) -> list[float]:
    """Naive twin: clip each answer by hand, and take the middle of the range where there is none."""
    found = []
    for column in answers.T:
        values = [(low + high) / 2 if a != a else min(max(a, low), high) for a in column]
        found.append(sum(values) / len(values))
    return found


ANSWERS = st.lists(
    st.lists(st.floats(-1e6, 1e6) | st.just(np.nan) | st.just(np.inf), min_size=4, max_size=4),
    min_size=3,
    max_size=3,
).map(np.array)


@given(ANSWERS)
def test_without_noise_the_label_is_the_mean_of_clipped_answers(answers: np.ndarray) -> None:
    defence = Teachers(count=3, noise=0, low=-5, high=40)
    found = defence.taught(answers, AGE, SIZE, np.random.default_rng(0))
    np.testing.assert_allclose(found, slow_mean(answers, -5, 40))


@given(ANSWERS, ANSWERS)
def test_one_teacher_changes_each_label_by_no_more_than_its_share(one: np.ndarray, other: np.ndarray) -> None:
    defence, changed = Teachers(count=3, noise=0, low=-5, high=40), one.copy()
    changed[1] = other[1]
    labels = [defence.taught(each, AGE, SIZE, np.random.default_rng(0)) for each in (one, changed)]
    assert np.abs(labels[0] - labels[1]).max() <= 45 / 3 * (1 + 1e-12)


def drawn(defence: Teachers, answers: np.ndarray, times: int = 800) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.stack([defence.taught(answers, AGE, SIZE, rng) for _ in range(times)])


def test_the_noise_on_labels_has_the_stated_law() -> None:
    answers = np.full((4, SIZE.held_out), 50.0)
    z = (drawn(Teachers(count=4, noise=3, low=30, high=70), answers) - 50) / (3 * 40 / 4)
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(z[:, 0], z[:, 1])[0, 1]) < 5 / len(z) ** 0.5


def test_an_attacker_who_knows_all_others_stays_within_epsilon_and_comes_near_it() -> None:
    """The best attacker adds up the labels: one teacher moved all of them as far as it can."""
    defence = Teachers(count=4, epsilon=1, delta=0.05, low=30, high=70)
    outside = np.full((4, SIZE.held_out), 50.0)
    outside[0], inside = 30, outside.copy()
    inside[0] = 70
    sums = [drawn(defence, answers, 4000).sum(axis=1) for answers in (inside, outside)]
    cuts = np.quantile(sums[1], np.linspace(0.02, 0.98, 60))
    tpr, fpr = ((each[:, None] > cuts).mean(axis=0) for each in sums)
    beyond = tpr - np.exp(1) * fpr - 0.05
    error = 4 * (tpr * (1 - tpr) / 4000 + np.exp(2) * fpr * (1 - fpr) / 4000) ** 0.5
    assert (beyond < error).all()
    assert beyond.max() > -0.02


@pytest.mark.parametrize(("noise", "delta"), [(5.0, 1e-2), (30.0, 1e-3), (100.0, 1e-2)])
def test_epsilon_is_that_of_the_composed_gaussian_mechanism(noise: float, delta: float) -> None:
    stated = Teachers(count=10, noise=noise, delta=delta).guarantee(SIZE)
    assert stated is not None and stated.epsilon is not None and stated.delta == delta
    # Naive twin: mu^2 adds up over the answers.
    square = sum((1 / noise) ** 2 for _ in range(SIZE.held_out))
    assert stated.epsilon == pytest.approx(gaussian_epsilon(square**0.5, delta))
    # Opacus composes the same steps by Renyi divergences, an upper bound that is not far.
    bound = epsilon_of(noise, 1.0, SIZE.held_out, delta)
    assert stated.epsilon <= bound <= 2 * stated.epsilon + 0.2


@pytest.mark.parametrize("epsilon", [0.1, 1, 8, 1e4])
def test_the_noise_for_an_epsilon_gives_it(epsilon: float) -> None:
    stated = Teachers(epsilon=epsilon).guarantee(SIZE)
    assert stated is not None and stated.epsilon is not None
    assert stated.epsilon == pytest.approx(epsilon, rel=1e-6) and stated.epsilon <= epsilon * (1 + 1e-12)
    assert stated.delta == 1e-2 and "25 answers, each the mean of 10 teachers" in stated.statement
    assert stated.enforced_by == "whoever trains"


def test_the_least_noise_has_an_epsilon() -> None:
    stated = Teachers(noise=1e-4).guarantee(replace(SIZE, held_out=10**6))
    assert stated is not None and stated.epsilon is not None and 1e13 < stated.epsilon < np.inf


@pytest.mark.parametrize(
    ("text", "gaussian"), [("noise=2", True), ("epsilon=8", True), ("noise=0", False), ("noise=0.0", False)]
)
def test_it_says_whether_it_adds_gaussian_noise(text: str, gaussian: bool) -> None:
    for defence in (f"teachers:{text}", f"teachers:{text}+quantize"):
        assert defence_from(defence).gaussian_noise() is gaussian


def test_each_person_has_one_teacher_with_all_scans(volumes: Cohort) -> None:
    scans = volumes.scans.index.tolist()
    parts = shares(volumes, scans, 5, np.random.default_rng(0))
    assert sorted(scan for part in parts for scan in part) == sorted(scans) and len(parts) == 5
    holders = [set(volumes.scans.loc[part, "subject_id"]) for part in parts]
    assert sum(map(len, holders)) == len(volumes.subjects)


def test_a_person_more_changes_one_teacher_only(table: Cohort) -> None:
    scans = table.scans.index.tolist()
    for seed in range(20):
        fewer = shares(table, scans[:-1], 4, np.random.default_rng(seed))
        more = shares(table, scans, 4, np.random.default_rng(seed))
        changed = [[*one, scans[-1]] == other for one, other in zip(fewer, more, strict=True)]
        same = [one == other for one, other in zip(fewer, more, strict=True)]
        assert sum(changed) == 1 and sum(same) == 3


def test_people_are_drawn_independently(table: Cohort) -> None:
    rng = np.random.default_rng(0)
    sizes = np.array([len(shares(table, table.scans.index.tolist(), 4, rng)[0]) for _ in range(400)])
    # Binomial with n = 40 and p = 1/4; parts of equal size would not vary.
    assert sizes.mean() == pytest.approx(10, abs=4 * (7.5 / 400) ** 0.5)
    assert sizes.var() == pytest.approx(7.5, rel=0.3)


def test_teachers_are_trained_on_disjoint_members_and_the_student_on_others(
    table: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[list[str], np.ndarray]] = []

    def recording(model: Any, cohort: Cohort, scans: Sequence[str], *given: Any, **named: Any) -> Progress:
        weights = next(model.parameters()).numpy(force=True).copy()
        trained.append((list(scans), weights))
        return fit(model, cohort, scans, *given, **named)

    monkeypatch.setattr(teaching, "fit", recording)
    run = go(table, tmp_path / "run", "teachers:epsilon=8,count=3")
    *taught, (student, _) = trained
    assert student == scans_of(table, run.roles.subjects(Role.VALIDATION))
    members = [scan for scans, _ in taught for scan in scans]
    assert len(taught) == 3
    assert sorted(members) == sorted(scans_of(table, run.roles.subjects(Role.MEMBER)))
    # No two networks begin with the same weights.
    assert len({weights.tobytes() for _, weights in trained}) == 4
    stated = run.training["guarantee"]
    assert stated["epsilon"] == pytest.approx(8, rel=1e-6) and stated["delta"] == 1e-2


def test_the_scale_of_the_student_comes_from_the_noisy_answers(table: Cohort, tmp_path: Path) -> None:
    networks = [go(table, tmp_path / text, f"teachers:noise={text}").load() for text in ("0", "100")]
    # Noise of 100 x 70 / 10 years.
    assert 500 < float(networks[1].age_spread) < 900 and float(networks[0].age_spread) < 20


def test_more_teachers_than_people_leave_some_without_an_answer(table: Cohort, tmp_path: Path) -> None:
    run = go(table, tmp_path / "run", "teachers:noise=0,count=60,low=40,high=80")
    # About 14 of 60 teachers have somebody: most answers are the middle of the range.
    assert float(run.load().age_mean) == pytest.approx(60, abs=5)
    assert run.training["guarantee"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("teachers", "either epsilon"),
        ("teachers:epsilon=1,noise=1", "either epsilon"),
        ("teachers:epsilon=0", "epsilon is '0'; it must be above 0"),
        ("teachers:epsilon=nan", "epsilon"),
        ("teachers:noise=-1", "noise"),
        ("teachers:noise=inf", "noise"),
        ("teachers:noise=1e-200", "too little for any epsilon"),
        ("teachers:noise=1,count=1", "count"),
        ("teachers:noise=1,low=3", "both low and high"),
        ("teachers:noise=1,low=3,high=3", "low must be below high"),
        ("teachers:noise=1,delta=0", "delta"),
    ],
)
def test_impossible_parameters_are_refused(text: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        TrainingConfig(defence=text)


def test_another_target_needs_a_public_range(tmp_path: Path) -> None:
    other = scored(tmp_path)
    with pytest.raises(BadInputError, match="public range for the target 'score': add low"):
        go(other, tmp_path / "run", "teachers:noise=1")
    run = go(other, tmp_path / "run", "teachers:noise=0,low=10,high=30")
    assert 10 < float(run.load().age_mean) < 30


def test_classes_are_refused(tmp_path: Path) -> None:
    measure = np.random.default_rng(0).normal(size=40)
    people = pd.DataFrame({"id": range(40), "age": 50.5, "a": measure, "well": [0, 1] * 20})
    people.to_csv(tmp_path / "t.csv", index=False)
    cohort = Cohort.from_table(
        tmp_path / "t.csv", tmp_path / "c", subject="id", age="age", covariates=["well"]
    ).with_target("well")
    with pytest.raises(ModelError, match="'well' has classes; take distillation"):
        go(cohort, tmp_path / "run", "teachers:noise=1")


def test_federations_refuse_it(table: Cohort, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="'teachers' releases another model"):
        federated(table, tmp_path / "run", "teachers:noise=1")


def test_nothing_that_mixes_people_is_trained_beside_it() -> None:
    assert defence_from("teachers:noise=1+quantize").guarantee(SIZE) is not None
    with pytest.raises(BadInputError, match="would have no effect"):
        defence_from("mixup+teachers:noise=1")
