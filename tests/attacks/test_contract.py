"""What every attack promises, tried on all that are registered and on one named by a module path."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from memberscan.attacks import REGISTRY, Attack, Features, default_attacks, named
from memberscan.attacks.attack import NOBODY, KnownScans
from memberscan.attacks.attempt import carry_out, observe
from memberscan.attacks.availability import suits
from memberscan.attacks.references import learners
from memberscan.attacks.references.copies import CopiesAttack
from memberscan.attacks.with_references import ReferenceAttack
from memberscan.errors import MisalignedError, NonFiniteError, UnknownAttackError
from memberscan.evidence.delong import DeLong
from memberscan.evidence.estimates import estimate_aucs
from memberscan.evidence.resampling import Resampling
from memberscan.evidence.scores import ASIDE, Scores
from memberscan.people import People
from memberscan.signals import View
from memberscan.threat import OF_OUTSIDERS, Attacker, ThreatModel

from .conftest import Simulate, attempt_all, draw_world, of_learners, part_of

ATTACKS = (*REGISTRY.values(), named("gradient:encoder.block.3"))
every_attack = pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
THREATS = [ThreatModel(attacker=a) for a in Attacker] + [ThreatModel(access) for access in OF_OUTSIDERS]


@dataclasses.dataclass(frozen=True)
class Witness(Attack):
    """Carries out another attack and writes down whom it was told of."""

    inner: Attack = REGISTRY["error"]
    told: list[KnownScans] = dataclasses.field(default_factory=list)

    @property
    def learns(self) -> bool:  # type: ignore[override]
        return self.inner.learns

    @property
    def by_learner(self) -> bool:  # type: ignore[override]
        return self.inner.by_learner

    def observe(self, view: View) -> Features:
        return self.inner.observe(view)

    def score(self, features: Features, known: KnownScans) -> np.ndarray:
        self.told.append(known)
        return self.inner.score(features, known)


def mean_auc(scores: Scores) -> float:
    rows = [
        stats.mannwhitneyu(inside, outside).statistic / (len(inside) * len(outside))
        for inside, outside in scores.split()
    ]
    return float(np.mean(rows))


@pytest.mark.parametrize("name", ["", "eror", "gradient", "gradient:", "Error"])
def test_an_unknown_name_lists_the_known_ones(name: str):
    with pytest.raises(UnknownAttackError, match=r"unknown; choose from error, .*gradient:LAYER"):
        named(name)


def test_every_attack_is_tried_by_somebody_from_whose_place_it_can_be_seen():
    tried = {threat.attacker: set(default_attacks(threat)) for threat in THREATS}
    with_references = {name for t in THREATS for name in default_attacks(t, references=True)}
    on_request = {name for name, attack in REGISTRY.items() if attack.on_request}
    assert with_references == set(REGISTRY) - on_request
    assert all(any(suits(REGISTRY[name], t, references=True) for t in THREATS) for name in on_request)
    # Without references, nobody tries the attacks that need some.
    kinds = (ReferenceAttack, CopiesAttack)
    needy = {name for name, attack in REGISTRY.items() if isinstance(attack, kinds)}
    assert set().union(*tried.values()) == with_references - needy and "stacking" in needy
    # Who sees the learners' updates does not work on the final model, and the other way round.
    for attacker, names in tried.items():
        by_learner = {REGISTRY[name].by_learner for name in names}
        assert by_learner == {attacker in (Attacker.SERVER, Attacker.ACTIVE_SERVER, Attacker.AGGREGATE)}
    assert tried[Attacker.OUTSIDER] < tried[Attacker.LEARNER]


def test_signals_that_tell_nothing_give_an_auc_of_a_half(monkeypatch: pytest.MonkeyPatch):
    # Half of the time would be spent on trees.
    monkeypatch.setattr(learners, "TREES", 8)
    found = []
    for seed in range(18):
        world = draw_world(np.random.default_rng(seed), leak=0.0, noise=1.0, learners=4, each=11, held_out=44)
        found.append([mean_auc(world.carry_out(attack, repeats=2)) for attack in ATTACKS])
    error = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    assert (error < 0.02).all()
    np.testing.assert_array_less(np.abs(np.mean(found, axis=0) - 0.5), 4 * error)


@every_attack
def test_a_planted_leak_scores_members_higher(attack: Attack):
    world = draw_world(np.random.default_rng(3), leak=1.0, learners=6, each=14, held_out=84)
    scores = world.carry_out(attack)
    errors = Resampling.draw([scores], np.random.default_rng(0)) if scores.pairs else DeLong()
    estimates = estimate_aucs([scores], errors)
    assert estimates.auc[0] == pytest.approx(mean_auc(scores)) and estimates.auc[0] > 0.65
    assert estimates.intervals[0].low > 0.5


@every_attack
def test_neither_the_order_of_scans_nor_that_of_learners_matters(attack: Attack):
    world = draw_world(np.random.default_rng(4), leak=0.5, scans=2, absent=[(0, 1), (2, 0)])
    rng = np.random.default_rng(5)
    view = part_of(world.view, rng.permutation(len(world.view.scans)))
    one, other = world.carry_out(attack), world.carry_out(attack, of_learners(view, rng.permutation(5)))
    np.testing.assert_allclose(other.values, one.values, atol=1e-8)
    np.testing.assert_allclose(other.thresholds, one.thresholds, atol=1e-8)


@every_attack
def test_whom_it_knows_it_never_scores_and_whom_it_scores_it_never_knew(attack: Attack):
    world = draw_world(np.random.default_rng(6), leak=0.3, scans=3)
    witness = Witness(attack.name, attack.title, attack.reads, inner=attack)
    scores = world.carry_out(witness)
    rows, people = world.rows(attack), world.people
    for row, comparison in zip(scores.values, rows, strict=True):
        np.testing.assert_array_equal(np.isnan(row), comparison.known.everyone)
        assert (comparison.sides[comparison.known.everyone] == ASIDE).all()
    if not attack.learns:
        assert all(told is NOBODY for told in witness.told) and len(NOBODY.places) == len(NOBODY.member) == 0
        return
    # Three repeats, in each of which two halves take turns.
    assert len(witness.told) == len(rows) == 6
    for told, comparison in zip(witness.told, rows, strict=True):
        owners = people.of_scan[told.places]
        assert set(owners) == set(np.flatnonzero(comparison.known.everyone))
        assert len(told.places) == 3 * comparison.known.everyone.sum()
        np.testing.assert_array_equal(told.member, world.member[owners])


@every_attack
def test_it_reads_what_it_declares_and_nothing_else(attack: Attack):
    view = draw_world(np.random.default_rng(7), leak=0.3).view
    seen = {signal: view[signal] for signal in attack.reads}
    assert seen and len(seen) == len(attack.reads)
    bare = View(view.scans, seen, view.learners, view.rounds)
    np.testing.assert_array_equal(attack.observe(bare).values, attack.observe(view).values)
    for signal in attack.reads:
        rest = {other: values for other, values in seen.items() if other != signal}
        with pytest.raises(KeyError):
            attack.observe(View(view.scans, rest, view.learners, view.rounds))


@every_attack
def test_it_leaves_the_signals_as_they_were(attack: Attack):
    world = draw_world(np.random.default_rng(8), leak=0.3)
    before = {signal: np.array(values) for signal, values in world.view.values.items()}
    scans = world.view.scans.copy()
    world.carry_out(attack)
    assert scans.equals(world.view.scans)
    for signal, values in world.view.values.items():
        np.testing.assert_array_equal(before[signal], np.array(values))


@every_attack
def test_it_is_a_frozen_value_with_words_for_people(attack: Attack):
    for field in dataclasses.fields(attack):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(attack, field.name, None)
    assert named(attack.name).name == attack.name
    assert attack.title[0].islower() and not attack.title.endswith(".")
    if attack.name in REGISTRY:
        assert named(attack.name) is attack


def differ(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape != other.shape or not np.allclose(one, other, equal_nan=True)


@every_attack
def test_ages_keep_their_fractions(attack: Attack):
    """A tool that casts targets to int audits other residuals than the model has."""
    rng = np.random.default_rng(9)
    view = draw_world(rng, leak=0.3).view
    exact, whole, others = (
        attack.observe(View(view.scans.assign(label=age), view.values, view.learners, view.rounds)).values
        for age in (view.label, np.floor(view.label), rng.permutation(np.floor(view.label)))
    )
    # Ages matter to this attack, so their fractions do.
    if differ(whole, others):
        assert differ(exact, whole)


@every_attack
def test_features_of_other_scans_are_refused(attack: Attack):
    view = draw_world(np.random.default_rng(10), leak=0.3).view
    features = attack.observe(view)
    assert list(features.scan_ids) == list(view.scans.index)
    with pytest.raises(MisalignedError, match="'nobody' is not among the attack's features"):
        features.at([view.scans.index[0], "nobody"])


@every_attack
def test_equal_scans_are_not_scored_at_all(attack: Attack):
    """Equal scores of everybody would say that an attack was tried and failed."""
    nobody = [(t, c) for t in range(3) for c in range(5)]
    world = draw_world(np.random.default_rng(11), leak=0.3, absent=nobody)
    first = part_of(world.view, np.zeros(1, dtype=int))
    same = {
        signal: np.repeat(first[signal], len(world.view.scans), signal.dimensions.index("scan"))
        for signal in attack.reads
        if "scan" in signal.dimensions and not isinstance(first[signal], list)
    }
    scans = world.view.scans.assign(label=first.label[0])
    view = View(scans, {**world.view.values, **same}, world.view.learners, world.view.rounds)
    assert not observe(attack, view).vary


@dataclasses.dataclass(frozen=True)
class Careless(Attack):
    """Returns the errors of some scans only, or in another order."""

    places: tuple[int, ...] = ()

    def observe(self, view: View) -> Features:
        places = list(self.places)
        return Features(view.scans.index[places], np.abs(view.residual)[places, None])

    def score(self, features: Features, known: KnownScans) -> np.ndarray:
        return -features.values[:, 0]


def test_a_user_s_attack_that_shuffles_scans_is_put_in_order(simulate: Simulate):
    view, member = simulate(np.random.default_rng(11))
    shuffled = tuple(np.random.default_rng(0).permutation(60).tolist())
    mine, own = attempt_all(
        [Careless("mine", "mine", places=shuffled), Careless("own", "own", places=tuple(range(60)))],
        view,
        member,
    )
    np.testing.assert_array_equal(mine.values, own.values)


@pytest.mark.parametrize("places", [tuple(range(59)), (*range(59), 0)], ids=["a scan lost", "one twice"])
def test_a_user_s_attack_that_loses_or_repeats_scans_is_refused(places, simulate: Simulate):
    view, member = simulate(np.random.default_rng(12))
    with pytest.raises(MisalignedError, match="scan"):
        attempt_all([Careless("mine", "mine", places=places)], view, member)


@pytest.mark.parametrize("change", ["somebody else", "somebody missing", "somebody twice"])
def test_membership_of_other_people_is_refused(change: str, simulate: Simulate):
    view, member = simulate(np.random.default_rng(13))
    strange = {
        "somebody else": pd.concat([member, pd.Series({"nobody": True})]),
        "somebody missing": member.iloc[1:],
        "somebody twice": pd.concat([member, member.iloc[:1]]),
    }
    with pytest.raises(MisalignedError, match="different subjects"):
        attempt_all([REGISTRY["error"]], view, strange[change])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_must_be_numbers(value: float):
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        Features(pd.Index(["a", "b"]), np.array([[1.0], [value]]))


def test_features_of_learners_may_lack_a_round_but_not_be_infinite():
    values = np.array([[[1.0, np.nan]], [[2.0, np.nan]]])
    assert Features(pd.Index(["a", "b"]), values).vary
    assert not Features(pd.Index(["a", "b"]), np.full((2, 1, 2), np.nan)).vary
    with pytest.raises(NonFiniteError):
        Features(pd.Index(["a", "b"]), np.where(np.isnan(values), np.inf, values))


def test_an_attack_that_scores_nobody_has_no_scores():
    world = draw_world(np.random.default_rng(14), leak=0.3)
    attack = REGISTRY["local-error"]
    features = observe(attack, world.view)
    nothing = Features(features.scan_ids, np.full_like(features.values, np.nan))
    people = People.of(world.view.scans["subject_id"])
    assert carry_out(attack, nothing, world.rows(attack), people, world.view.learners) is None
