"""Attacks within a federation: who is learnt from, who is scored, and at which threshold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from memberscan.attacks import REGISTRY, Attack, Features, Rule
from memberscan.attacks.parties import Parties, by_learners, by_one, share_threshold
from memberscan.evidence.scores import ASIDE, IN, OUT, Pair
from memberscan.signals.signals import Signals

LEARNERS = ("site-1", "site-2", "site-3")
LEARNT = [a for a in REGISTRY.values() if a.needs.leaked]
UNLEARNT = [a for a in REGISTRY.values() if not a.needs.leaked]


@dataclasses.dataclass(frozen=True)
class Witness(Attack):
    """Carries out another attack and writes down what its fits were given."""

    inner: Attack = REGISTRY["error"]
    fits: list[tuple[Features, np.ndarray]] = dataclasses.field(default_factory=list)

    def observe(self, signals: Signals) -> Features:
        return self.inner.observe(signals)

    def fit(self, known: Features, member: np.ndarray) -> Rule:
        self.fits.append((known, member))
        return self.inner.fit(known, member)


def divide(signals: Signals, victims: tuple[str, ...] = LEARNERS, known: int = 6, each: int = 12) -> Parties:
    """Give each victim some subjects; the others are held out, the first of them known."""
    codes, names = pd.factorize(signals.scans["subject_id"], sort=True)
    home = np.full(len(names), -1)
    home[: each * len(victims)] = np.repeat(np.arange(len(victims)), each)
    home = np.random.default_rng(0).permutation(home)
    is_known = np.zeros(len(names), dtype=bool)
    is_known[np.flatnonzero(home == -1)[:known]] = True
    return Parties(tuple(names), codes, victims, home, is_known)


@pytest.fixture
def seen(simulate: Callable[..., tuple[Signals, pd.Series]]) -> Signals:
    """Signals of 60 subjects with three scans each, in no order."""
    signals, _ = simulate(np.random.default_rng(0), 60, scans=3)
    order = np.random.default_rng(1).permutation(signals.scans.index)
    return signals.at(order.tolist())


@pytest.mark.parametrize("attack", LEARNT, ids=lambda attack: attack.name)
def test_nobody_is_scored_by_who_knows_them(attack: Attack, seen: Signals):
    parties = divide(seen)
    witness = Witness("w", "w", attack.needs, inner=attack)
    pairs = by_learners(witness, seen, parties, LEARNERS)
    assert pairs.rows == tuple(Pair(a, v) for a in LEARNERS for v in LEARNERS if a != v) and pairs.fitted
    assert not pairs.thresholds.any()
    for a, (attacker, (known, labels)) in enumerate(zip(LEARNERS, witness.fits, strict=True)):
        fitted = set(seen.scans.loc[known.scan_ids, "subject_id"])
        own = {s for s, home in zip(parties.subjects, parties.home, strict=True) if home == a}
        outside = {s for s, its in zip(parties.subjects, parties.known, strict=True) if its}
        assert fitted == own | outside
        owners = seen.scans.loc[known.scan_ids, "subject_id"]
        np.testing.assert_array_equal(labels, owners.isin(own))
        for row, values, sides in zip(pairs.rows, pairs.values, pairs.sides, strict=True):
            if row.attacker != attacker:
                continue
            scored = {s for s, its in zip(parties.subjects, values, strict=True) if not np.isnan(its)}
            assert scored == set(parties.subjects) - fitted
            # Third parties' people are scored, and not compared.
            inside, outside = parties.home == LEARNERS.index(row.victim), parties.home == -1
            expected = np.select([parties.known, inside, outside], [ASIDE, IN, OUT], ASIDE)
            np.testing.assert_array_equal(sides, expected)


@pytest.mark.parametrize("attack", UNLEARNT, ids=lambda attack: attack.name)
def test_who_knows_nobody_still_does_not_attack_itself(attack: Attack, seen: Signals):
    parties = divide(seen)
    pairs = by_learners(attack, seen, parties, LEARNERS)
    for row, values, threshold in zip(pairs.rows, pairs.values, pairs.thresholds, strict=True):
        a, v = LEARNERS.index(row.attacker), LEARNERS.index(row.victim)
        np.testing.assert_array_equal(~np.isnan(values), ~(parties.known | (parties.home == a)))
        assert threshold == share_threshold(values, parties.home, v)


@pytest.mark.parametrize("attack", ["error", "error:zero-knowledge"])
def test_the_scans_of_a_subject_are_averaged(attack: str, seen: Signals):
    parties = divide(seen)
    pairs = by_learners(REGISTRY[attack], seen, parties, LEARNERS)
    features = REGISTRY[attack].observe(seen)
    known = np.zeros(0, dtype=bool), features.at(())
    if REGISTRY[attack].needs.leaked:
        scans = np.flatnonzero((parties.known | (parties.home == 0))[parties.subject])
        known = (parties.home == 0)[parties.subject[scans]], features.at(features.scan_ids[scans].tolist())
    rule, found = REGISTRY[attack].fit(known[1], known[0]), pairs.values[0]
    assert pairs.rows[0] == Pair("site-1", "site-2")
    scores = dict(zip(features.scan_ids, rule.score(features), strict=True))
    for s, subject in enumerate(parties.subjects):
        if not np.isnan(found[s]):
            its = [scores[scan] for scan in seen.scans.index[seen.scans["subject_id"] == subject]]
            assert len(its) == 3
            assert found[s] == pytest.approx(np.mean(its))


def test_a_site_that_audits_its_own_people_is_attacked_by_who_needs_nobody(seen: Signals):
    parties = divide(seen, victims=("site-2",), each=30)
    everyone = REGISTRY["error:zero-knowledge"]
    pairs = by_learners(everyone, seen, parties, LEARNERS)
    assert pairs.rows == (Pair("site-1", "site-2"), Pair("site-3", "site-2"))
    assert pairs.attempted.all() and pairs.seen == ("site-2",)
    learnt = by_learners(REGISTRY["error"], seen, parties, LEARNERS)
    assert learnt.rows == learnt.seen == ()


def test_a_server_scores_all_but_the_known(seen: Signals):
    parties = divide(seen)
    scores = np.random.default_rng(2).normal(size=(len(parties.subject), 3))
    pairs = by_one("x", "server", scores, parties)
    assert pairs.rows == tuple(Pair("server", victim) for victim in LEARNERS) and not pairs.fitted
    for v in range(3):
        for s in range(60):
            value = pairs.values[v, s]
            its = scores[parties.subject == s, v]
            assert np.isnan(value) if parties.known[s] else value == pytest.approx(its.mean())
        assert pairs.thresholds[v] == share_threshold(pairs.values[v], parties.home, v)


def test_scans_that_were_not_scored_leave_their_subject_out(seen: Signals):
    parties = divide(seen)
    scores = np.zeros((len(parties.subject), 3))
    scores[parties.subject == 7] = np.nan
    assert np.isnan(by_one("x", "server", scores, parties).values[:, 7]).all()


def test_the_threshold_says_member_of_as_many_as_there_are():
    rng = np.random.default_rng(3)
    home = np.repeat([0, 1, -1], [15, 20, 25])
    row = rng.normal(size=60)
    row[55:] = np.nan
    for victim, members in ((0, 15), (1, 20)):
        asked = (home == victim) | (home == -1)
        threshold = share_threshold(row, home, victim)
        assert abs((row[asked] > threshold).sum() - members) <= 1
    # Whoever it is about, and whatever the others score.
    assert share_threshold(np.where(home == 1, 99.0, row), home, 0) == share_threshold(row, home, 0)
    assert share_threshold(np.full(60, np.nan), home, 0) == 0.0


def test_averages_keep_leading_axes(seen: Signals):
    parties = divide(seen)
    values = np.random.default_rng(4).normal(size=(2, 3, len(parties.subject)))
    means = parties.by_subject(values)
    assert means.shape == (2, 3, 60)
    expected = values[1, 2, parties.subject == 11].mean()
    assert means[1, 2, 11] == pytest.approx(expected)
    np.testing.assert_array_equal(parties.member, parties.home >= 0)
