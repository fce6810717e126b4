"""What every attack promises, tried on all that are registered and on one named by a module path."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from memberscan.attacks import (
    ATTACKS_OF,
    DEFAULT_ATTACKS,
    REGISTRY,
    UPDATE_ATTACKS,
    Attack,
    Features,
    Rule,
    named,
)
from memberscan.attacks.campaign import Campaign
from memberscan.errors import MisalignedError, NonFiniteError, UnknownAttackError
from memberscan.evidence.estimates import estimate_aucs
from memberscan.evidence.single_draw import DeLong
from memberscan.signals.signals import (
    ACTIVATION,
    GRADIENT_NORMS,
    PREDICTION,
    ROUND_PREDICTIONS,
    Signals,
    gradient,
)
from memberscan.threat import Access, Attacker, ThreatModel

ATTACKS = (*REGISTRY.values(), named("gradient:encoder.block.3"))
every_attack = pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)


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


def test_the_paper_s_rows_and_the_zero_knowledge_attacks_are_registered():
    assert DEFAULT_ATTACKS == (
        "error",
        "prediction+label",
        "activation",
        "gradient-magnitude",
        "gradient:conv1",
        "gradient:conv6",
        "gradient:output",
        "prediction+label+gradient:conv6+gradient:output",
        "error:zero-knowledge",
        "gradient-magnitude:zero-knowledge",
    )
    outputs = {"error", "prediction+label", "error:zero-knowledge"}
    assert {a.name for a in REGISTRY.values() if a.needs.access is Access.OUTPUTS} == outputs
    assert set(REGISTRY) - set(DEFAULT_ATTACKS) == {"loss-series", "loss-series:zero-knowledge"}


def test_every_party_tries_what_its_place_allows():
    assert ATTACKS_OF[Attacker.OUTSIDER] == DEFAULT_ATTACKS
    assert ATTACKS_OF[Attacker.LEARNER] == tuple(REGISTRY)
    for attacker in (Attacker.SERVER, Attacker.AGGREGATE):
        assert ATTACKS_OF[attacker] == tuple(UPDATE_ATTACKS)
    assert not set(REGISTRY) & set(UPDATE_ATTACKS)


@pytest.mark.parametrize("name", ["", "eror", "gradient", "gradient:", "Error"])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(UnknownAttackError, match=r"unknown; choose from error, .*gradient:LAYER"):
        named(name)


def test_signals_that_tell_nothing_give_an_auc_of_a_half(simulate, attempt):
    draws = []
    for seed in range(40):
        signals, member = simulate(np.random.default_rng(seed), 64)
        campaign = attempt(ATTACKS, signals, member, repeats=2, seed=seed)
        draws.append(estimate_aucs(campaign.scored(), DeLong()).auc)
    error = np.std(draws, axis=0, ddof=1) / np.sqrt(len(draws))
    assert (error < 0.02).all()
    np.testing.assert_array_less(np.abs(np.mean(draws, axis=0) - 0.5), 4 * error)


@every_attack
def test_a_planted_leak_scores_members_higher(attack, simulate, attempt):
    signals, member = simulate(np.random.default_rng(3), 160, leak=2.0)
    campaign = attempt([attack], signals, member)
    estimates = estimate_aucs(campaign.scored(), DeLong())
    assert estimates.auc[0] > 0.65
    assert estimates.intervals[0].low > 0.5


@every_attack
def test_the_order_of_scans_does_not_matter(attack, simulate, attempt):
    signals, member = simulate(np.random.default_rng(4), leak=0.5, scans=2)
    order = np.random.default_rng(5).permutation(signals.scans.index)
    (one,) = attempt([attack], signals, member).scored()
    (other,) = attempt([attack], signals.at(order.tolist()), member[::-1]).scored()
    np.testing.assert_allclose(other.values, one.values, atol=1e-8)
    np.testing.assert_allclose(other.thresholds, one.thresholds, atol=1e-8)


@every_attack
def test_a_fit_never_sees_whom_it_scores(attack, simulate, attempt):
    signals, member = simulate(np.random.default_rng(6), scans=3)
    witness = Witness(attack.name, attack.title, attack.needs, inner=attack)
    campaign = attempt([witness], signals, member)
    (scored,) = campaign.scored()
    if not attack.needs.leaked:
        ((known, labels),) = witness.fits
        assert len(known.values) == len(labels) == 0
        assert scored.compared.all()
        return
    assert len(witness.fits) == 5
    for (known, labels), seen in zip(witness.fits, scored.compared, strict=True):
        owners = signals.scans.loc[known.scan_ids, "subject_id"]
        assert set(owners) == set(np.array(campaign.subjects)[~seen])
        np.testing.assert_array_equal(labels, member.loc[owners])


@every_attack
def test_it_reads_only_what_it_declares(attack, simulate):
    signals, _ = simulate(np.random.default_rng(7))
    declared = {PREDICTION, *map(gradient, attack.needs.layers)}
    declared |= {ACTIVATION} if attack.needs.activation else set()
    declared |= {GRADIENT_NORMS} if attack.needs.norms else set()
    declared |= {ROUND_PREDICTIONS} if attack.needs.rounds else set()
    expected = Access.OUTPUTS if declared == {PREDICTION} else Access.WEIGHTS
    assert attack.needs.access is (Access.ROUNDS if attack.needs.rounds else expected)
    bare = Signals(signals.scans, {name: signals.arrays[name] for name in declared})
    np.testing.assert_array_equal(attack.observe(bare).values, attack.observe(signals).values)


@every_attack
def test_it_leaves_the_signals_as_they_were(attack, simulate, attempt):
    signals, member = simulate(np.random.default_rng(8))
    before = {name: values.copy() for name, values in signals.arrays.items()}
    scans = signals.scans.copy()
    attempt([attack], signals, member).scored()
    assert scans.equals(signals.scans)
    assert all(np.array_equal(before[name], values) for name, values in signals.arrays.items())


@every_attack
def test_it_is_a_frozen_value_with_words_for_people(attack):
    with pytest.raises(dataclasses.FrozenInstanceError):
        attack.name = "other"
    assert named(attack.name).name == attack.name
    assert attack.title[0].islower() and not attack.title.endswith(".")


@every_attack
def test_ages_keep_their_fractions(attack, simulate):
    """A tool that casts targets to int audits other residuals than the model has."""
    signals, _ = simulate(np.random.default_rng(9))
    whole = signals.scans.assign(age=np.floor(signals.scans["age"]))
    if attack.needs.access is Access.OUTPUTS:
        assert not np.allclose(
            attack.observe(Signals(whole, signals.arrays)).values, attack.observe(signals).values
        )


@every_attack
def test_features_of_other_scans_are_refused(attack, simulate):
    signals, _ = simulate(np.random.default_rng(10))
    features = attack.observe(signals)
    assert list(features.scan_ids) == list(signals.scans.index)
    with pytest.raises(MisalignedError, match="'nobody' is not among the attack's features"):
        features.at([signals.scans.index[0], "nobody"])


@dataclasses.dataclass(frozen=True)
class Careless(Attack):
    """Returns the errors of some scans only, or in another order."""

    places: tuple[int, ...] = ()

    def observe(self, signals: Signals) -> Features:
        places = list(self.places)
        return Features(signals.scans.index[places], np.abs(signals.residual)[places, None])

    def fit(self, known: Features, member: np.ndarray) -> Rule:
        return Rule(np.array([-1.0]), 0.0)


def test_a_user_s_attack_that_shuffles_scans_is_put_in_order(simulate, attempt):
    signals, member = simulate(np.random.default_rng(11))
    shuffled = tuple(np.random.default_rng(0).permutation(60).tolist())
    (mine,) = attempt([Careless("mine", "mine", places=shuffled)], signals, member).scored()
    (own,) = attempt([Careless("own", "own", places=tuple(range(60)))], signals, member).scored()
    np.testing.assert_array_equal(mine.values, own.values)


@pytest.mark.parametrize("places", [tuple(range(59)), (*range(59), 0)], ids=["a scan lost", "one twice"])
def test_a_user_s_attack_that_loses_or_repeats_scans_is_refused(places, simulate, attempt):
    signals, member = simulate(np.random.default_rng(12))
    with pytest.raises(MisalignedError, match="scan"):
        attempt([Careless("mine", "mine", places=places)], signals, member)


@pytest.mark.parametrize(
    "other", [{"nobody": True}, {}], ids=["membership of somebody else", "membership missing"]
)
def test_membership_of_other_people_is_refused(other, simulate):
    signals, member = simulate(np.random.default_rng(13))
    strange = pd.Series({**member.iloc[1:].to_dict(), **other})
    with pytest.raises(MisalignedError, match="different subjects"):
        Campaign.observe([REGISTRY["error"]], signals, strange, ThreatModel(), 0)


def test_features_must_be_numbers():
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        Features(pd.Index(["a", "b"]), np.array([[1.0], [np.inf]]))
