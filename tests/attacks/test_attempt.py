"""Attacks carried out: whom they learn from, whom they score, and thresholds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from memberscan.attacks import REGISTRY, Attack
from memberscan.attacks.attack import NOBODY, Features, KnownScans
from memberscan.attacks.attempt import attempt, carry_out, observe
from memberscan.evidence.delong import DeLong
from memberscan.evidence.estimates import estimate_aucs
from memberscan.evidence.scores import ASIDE, IN, OUT, Pair, Scores
from memberscan.people import People
from memberscan.signals import View
from memberscan.targets.known import Comparison, Known, known_per_side, threshold_by_share

from .conftest import Simulate, attempt_all, draw_signals, draw_updates, table_of

OUTPUTS = [REGISTRY[name] for name in ("error", "prediction+label", "error:zero-knowledge")]
LEARNERS = ("site-1", "site-2", "site-3")
ON_MODEL = [attack for attack in REGISTRY.values() if not attack.by_learner]


@pytest.mark.parametrize("leaked", [0.1, 0.5, 0.9])
def test_k_subjects_a_side_are_known_and_not_scored(leaked: float, simulate: Simulate):
    view, member = simulate(np.random.default_rng(0), 60)
    member.iloc[:10] = False
    fitted, label, unfitted = attempt_all(OUTPUTS, view, member, leaked=leaked, repeats=7)
    count = int(leaked * member.sum() + 1e-9)
    folds = {0.1: 2, 0.5: 2, 0.9: 9}[leaked]
    assert fitted.values.shape == (7 * folds, 60) and fitted.fitted
    known = np.isnan(fitted.values)
    inside = member.sort_index().to_numpy()
    assert (known[:, inside].sum(axis=1) == count).all()
    assert (known[:, ~inside].sum(axis=1) == count).all()
    np.testing.assert_array_equal(known, np.isnan(label.values))
    np.testing.assert_array_equal(known, fitted.sides == ASIDE)
    assert not np.isnan(unfitted.values).any() and not unfitted.fitted
    assert len({row.tobytes() for row in known}) > 1


def test_a_seed_fixes_the_draws(simulate: Simulate):
    view, member = simulate(np.random.default_rng(1))
    one, same, other = (attempt_all(OUTPUTS[:1], view, member, seed=seed)[0] for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.values, same.values)
    assert not np.array_equal(one.compared, other.compared)


def test_a_subject_s_score_is_the_mean_over_its_scans(simulate: Simulate):
    """Summed losses make people with many scans look like non-members."""
    view, member = simulate(np.random.default_rng(2), 30, scans=4)
    uneven = [scan for n, scan in enumerate(view.scans.index) if n % 4 == 0 or n % 5 == 0]
    view = view.at(uneven)
    assert view.scans["subject_id"].value_counts().nunique() > 1
    (scores,) = attempt_all([REGISTRY["error:zero-knowledge"]], view, member)
    errors = pd.Series(np.abs(view.residual), index=view.scans.index)
    expected = -errors.groupby(view.scans["subject_id"]).mean().sort_index()
    np.testing.assert_allclose(scores.values[0], expected)


def test_declared_log_likelihood_ratios_are_summed_over_a_person_s_scans(simulate: Simulate):
    """Independent evidence adds up, so two scans that say the same say twice as much."""
    view, member = simulate(np.random.default_rng(2), 30, scans=3)
    mean = REGISTRY["error:zero-knowledge"]
    total = dataclasses.replace(mean, log_likelihood_ratio=True)
    one, other = attempt_all([mean, total], view, member)
    np.testing.assert_allclose(other.values, 3 * one.values)
    summed = {name for name, attack in REGISTRY.items() if attack.log_likelihood_ratio}
    assert {"stacking", "lira", "lira:signed", "empirical-bayes"} < summed
    assert not {"error", "leverage", "difficulty", "lira:offline"} & summed


def test_no_number_of_draws_brings_more_people(simulate: Simulate):
    ratios = []
    for seed in range(10):
        view, member = simulate(np.random.default_rng(seed), 80, leak=0.5)
        few, many = (
            estimate_aucs(attempt_all(OUTPUTS, view, member, repeats=repeats), DeLong())
            for repeats in (2, 40)
        )
        # The last attack is scored once, on everybody.
        ratios.append([each.standard_error[:2] / few.standard_error[2] for each in (few, many)])
    # Were draws pooled as if they brought new subjects, forty would give a fifth of these errors.
    assert np.min(ratios) > 0.9
    assert (np.mean(ratios, axis=0)[1] > 0.97).all()


def test_without_knowledge_the_threshold_says_member_of_as_many_as_there_are(simulate: Simulate):
    view, member = simulate(np.random.default_rng(3), 60)
    member.iloc[:24] = False
    fitted, _, unfitted = attempt_all(OUTPUTS, view, member)
    assert (unfitted.values[0] > unfitted.thresholds[0]).sum() == member.sum()
    np.testing.assert_array_equal(fitted.thresholds, 0)


@dataclasses.dataclass(frozen=True, eq=False)
class Division:
    """Who is whose among sixty people with three scans each, in no order."""

    view: View
    home: np.ndarray
    known: np.ndarray
    victims: tuple[str, ...]

    @property
    def people(self) -> People:
        return People.of(self.view.scans["subject_id"])

    def rows(self, attackers: tuple[str, ...] = LEARNERS) -> list[Comparison]:
        """Return the pairs of learners, of whom each knows its own people."""
        rows = []
        for attacker in attackers:
            own = np.zeros(len(self.home), dtype=bool)
            if attacker in self.victims:
                own = self.home == self.victims.index(attacker)
            known = Known(own, self.known)
            for place, victim in enumerate(self.victims):
                sides = np.full(len(self.home), ASIDE, dtype=np.int8)
                sides[self.home == place] = IN
                sides[(self.home < 0) & ~self.known] = OUT
                if victim != attacker:
                    rows.append(Comparison(Pair(attacker, victim), known, sides))
        return rows


def divide(victims: tuple[str, ...] = LEARNERS, known: int = 6, each: int = 12) -> Division:
    """Give each victim some subjects; the others are held out, the first of them known."""
    view, _ = draw_signals(np.random.default_rng(0), 60, scans=3)
    view = view.at(np.random.default_rng(1).permutation(view.scans.index).tolist())
    home = np.full(60, -1)
    home[: each * len(victims)] = np.repeat(np.arange(len(victims)), each)
    home = np.random.default_rng(0).permutation(home)
    is_known = np.zeros(60, dtype=bool)
    is_known[np.flatnonzero(home == -1)[:known]] = True
    return Division(view, home, is_known, victims)


@dataclasses.dataclass(frozen=True)
class Counting(Attack):
    """Scores the error, and writes down how often it was asked."""

    asked: list[KnownScans] = dataclasses.field(default_factory=list)

    def observe(self, view: View) -> Features:
        return REGISTRY["error"].observe(view)

    def score(self, features: Features, known: KnownScans) -> np.ndarray:
        self.asked.append(known)
        return REGISTRY["error"].score(features, known)


def among(division: Division, attack: Attack, attackers: tuple[str, ...] = LEARNERS) -> Scores | None:
    rows = division.rows(attackers)
    return carry_out(attack, observe(attack, division.view), rows, division.people)


def test_a_learner_fits_once_for_all_its_victims():
    attack = Counting("counting", "counting")
    found = among(divide(), attack)
    assert found is not None and len(found.rows) == 6 and len(attack.asked) == 3


@pytest.mark.parametrize("attack", ON_MODEL, ids=lambda attack: attack.name)
def test_who_attacks_neither_scores_itself_nor_whom_it_knows(attack: Attack):
    division = divide()
    found = among(division, attack)
    assert found is not None and found.pairs and found.fitted == attack.learns
    assert list(found.rows) == [row.row for row in division.rows()]
    for row, comparison, threshold in zip(found.values, division.rows(), found.thresholds, strict=True):
        np.testing.assert_array_equal(np.isnan(row), comparison.known.everyone)
        expected = 0.0 if attack.learns else threshold_by_share(row, comparison.sides)
        assert threshold == expected


@pytest.mark.parametrize("name", ["error", "error:zero-knowledge"])
def test_the_scans_of_a_subject_are_averaged(name: str):
    division, attack = divide(), REGISTRY[name]
    found, features = among(division, attack), observe(attack, division.view)
    assert found is not None
    known = NOBODY
    if attack.learns:
        everyone = division.rows()[0].known
        places = division.people.scans_of(everyone.everyone)
        known = KnownScans(places, everyone.members[division.people.of_scan[places]])
    scores = attack.score(features, known)
    for person, value in enumerate(found.values[0]):
        own = scores[division.people.of_scan == person]
        assert len(own) == 3
        if not np.isnan(value):
            assert value == pytest.approx(np.mean(own))


def test_learners_whose_people_are_not_here_attack_with_what_needs_nobody():
    division = divide(victims=("site-2",), each=30)
    found = among(division, REGISTRY["error:zero-knowledge"])
    assert found is not None and [row.attacker for row in found.rows] == ["site-1", "site-3"]
    assert found.attempted.all()
    assert among(division, REGISTRY["error"], ("site-2",)) is None


def test_a_server_scores_each_victim_by_its_own_column_and_all_but_the_known():
    view, home_of_scan = draw_updates(np.random.default_rng(2), scans=2)
    attack, people = REGISTRY["local-error"], People.of(view.scans["subject_id"])
    home = home_of_scan[::2]
    known = np.zeros(len(home), dtype=bool)
    known[-7:] = True
    knows = Known(np.zeros_like(known), known)
    sides = np.where(home == 3, IN, np.where((home < 0) & ~known, OUT, ASIDE)).astype(np.int8)
    # The victims may be fewer than the learners, and in another order.
    rows = [Comparison(Pair("server", victim), knows, sides) for victim in ("site 3", "site 1")]
    features = observe(attack, view)
    found = carry_out(attack, features, rows, people, view.learners)
    by_scan = attack.score(features, NOBODY)
    assert found is not None and not found.fitted
    for row, column in zip(found.values, (3, 1), strict=True):
        for person, value in enumerate(row):
            own = by_scan[people.of_scan == person, column]
            assert np.isnan(value) if known[person] else value == pytest.approx(own.mean())


def test_scans_that_were_not_scored_leave_their_subject_out():
    view, home = draw_updates(np.random.default_rng(2))
    attack, people = REGISTRY["local-error"], People.of(view.scans["subject_id"])
    chosen = np.arange(len(home)) != 70
    features = observe(attack, view).rows(np.flatnonzero(chosen)).spread(view.scans.index, chosen)
    sides = np.where(home == 0, IN, np.where((home < 0) & chosen, OUT, ASIDE)).astype(np.int8)
    nobody = Known.nobody(len(home))
    row = Comparison(Pair("server", "site 0"), nobody, sides)
    found = carry_out(attack, features, [row], people, view.learners)
    assert found is not None
    np.testing.assert_array_equal(np.isnan(found.values[0]), ~chosen)


def test_only_those_asked_about_are_compared(simulate: Simulate):
    view, member = simulate(np.random.default_rng(7), 40)
    target, attack = table_of(view, member), REGISTRY["error"]
    asked = np.arange(40) < 25
    whole = attempt(attack, observe(attack, view), target)
    part = attempt(attack, observe(attack, view), target, asked=asked)
    assert whole is not None and part is not None
    np.testing.assert_array_equal(part.values, whole.values)
    np.testing.assert_array_equal(part.compared, whole.compared & asked)
    alone, everyone = (
        attempt(OUTPUTS[2], observe(OUTPUTS[2], view), target, asked=who) for who in (asked, None)
    )
    assert alone is not None and everyone is not None
    np.testing.assert_array_equal(
        alone.thresholds, [np.quantile(everyone.values[0, asked], 1 - target.member[asked].mean())]
    )


def test_an_attack_that_sees_the_same_of_everybody_is_not_carried_out(simulate: Simulate):
    view, member = simulate(np.random.default_rng(8), 40)
    attack = REGISTRY["error"]
    same = Features(view.scans.index, np.ones((40, 1)))
    assert attempt(attack, same, table_of(view, member)) is None


def test_as_many_are_known_as_the_threat_says(simulate: Simulate):
    view, member = simulate(np.random.default_rng(9), 50)
    target = table_of(view, member, leaked=0.3)
    assert target.known_people == (known_per_side(target.threat, 25, 25),) * 2 == (7, 7)
