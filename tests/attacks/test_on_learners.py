"""What all attacks on learners' updates promise beside the contract of every attack."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from memberscan.attacks import REGISTRY
from memberscan.attacks.attack import NOBODY, Features
from memberscan.attacks.on_learners import AttackOnLearners, cosines
from memberscan.signals.broadcast_answers import ANSWER_PREDICTIONS, BROADCAST_PREDICTIONS
from memberscan.signals.learner_updates import (
    JACOBIAN_NORMS,
    JACOBIAN_SKETCHES,
    LOCAL_PREDICTIONS,
    LOSS_DERIVATIVES,
    START_PREDICTIONS,
    UPDATE_NORMS,
    UPDATE_PRODUCTS,
    UPDATE_SKETCHES,
)

from .conftest import SimulateUpdates, changed, of_learners, of_rounds, scored
from .loops import ABSENT

ON_LEARNERS = [attack for attack in REGISTRY.values() if isinstance(attack, AttackOnLearners)]
every_attack = pytest.mark.parametrize("attack", ON_LEARNERS, ids=lambda attack: attack.name)
ON_UPDATES = [attack for attack in ON_LEARNERS if BROADCAST_PREDICTIONS not in attack.reads]
on_updates = pytest.mark.parametrize("attack", ON_UPDATES, ids=lambda attack: attack.name)


def predicts_only(attack: AttackOnLearners) -> bool:
    """Tell whether an attack looks at what learners' models predict, and not at how they changed."""
    return attack.reads == (LOCAL_PREDICTIONS,)


def auc(inside: np.ndarray, outside: np.ndarray) -> float:
    return float(stats.mannwhitneyu(inside, outside).statistic / (len(inside) * len(outside)))


def test_they_are_the_attacks_that_score_each_learner():
    assert [attack.name for attack in ON_LEARNERS] == [a.name for a in REGISTRY.values() if a.by_learner]
    assert not any(attack.learns for attack in ON_LEARNERS)


@on_updates
def test_residuals_of_zero_and_models_that_do_not_move_tell_nothing(
    attack: AttackOnLearners, federate: SimulateUpdates
):
    view, _ = federate(np.random.default_rng(10), leak=0.0, noise=0.0)
    perfect = changed(
        view,
        {
            START_PREDICTIONS: np.tile(view.label, (3, 1)),
            LOSS_DERIVATIVES: np.zeros((3, len(view.label))),
            LOCAL_PREDICTIONS: np.tile(view.label[:, None], (3, 1, 5)),
            UPDATE_PRODUCTS: np.zeros_like(view[UPDATE_PRODUCTS]),
            JACOBIAN_NORMS: np.zeros_like(view[JACOBIAN_NORMS]),
            JACOBIAN_SKETCHES: [np.zeros_like(sketch) for sketch in view[JACOBIAN_SKETCHES]],
        },
    )
    moving = {signal: view[signal] for signal in (JACOBIAN_NORMS, JACOBIAN_SKETCHES)}
    for nothing in (perfect, changed(perfect, moving)):
        scores = scored(attack, nothing)
        if predicts_only(attack):  # what the learners' models predict is seen all the same
            assert np.isfinite(scores).all() and np.ptp(scores) == 0
        else:
            assert np.isnan(scores).all()


@on_updates
def test_a_model_that_did_not_change_is_no_update(attack: AttackOnLearners, federate: SimulateUpdates):
    view, _ = federate(np.random.default_rng(10))
    still = {
        signal: np.where(np.arange(5).reshape(shape) == 3, 0, view[signal])
        for signal, shape in (
            (UPDATE_PRODUCTS, (1, 1, 5, 1)),
            (UPDATE_NORMS, (1, 5, 1)),
            (UPDATE_SKETCHES, (1, 5, 1)),
        )
    }
    scores = scored(attack, changed(view, still))
    assert np.isnan(scores[:, 3]).all() != predicts_only(attack)
    assert np.isfinite(np.delete(scores, 3, axis=1)).all()
    if attack.others and not predicts_only(attack):
        # Nor is it one of the others that a learner is compared with.
        others = np.array([0, 1, 2, 4])
        np.testing.assert_allclose(scores[:, others], scored(attack, of_learners(view, others)))


@every_attack
def test_a_scan_without_a_gradient_of_its_own_is_scored_among_the_others(
    attack: AttackOnLearners, federate: SimulateUpdates
):
    view, _ = federate(np.random.default_rng(10))
    exact, derivative = view[START_PREDICTIONS].copy(), view[LOSS_DERIVATIVES].copy()
    exact[:, 7], derivative[:, 7] = view.label[7], 0.0
    changes = {START_PREDICTIONS: exact, BROADCAST_PREDICTIONS: exact, LOSS_DERIVATIVES: derivative}
    assert np.isfinite(scored(attack, changed(view, changes))).all()


def test_its_cosine_is_zero(federate: SimulateUpdates):
    view, _ = federate(np.random.default_rng(10))
    derivative = view[LOSS_DERIVATIVES].copy()
    derivative[:, 7] = 0.0
    found = cosines(changed(view, {LOSS_DERIVATIVES: derivative}))
    assert (found[:, 7] == 0).all() and (np.delete(found, 7, axis=1) != 0).all()


@every_attack
def test_a_learner_that_is_never_there_is_said_nothing_of(
    attack: AttackOnLearners, federate: SimulateUpdates
):
    view, _ = federate(np.random.default_rng(11), absent=[(t, 2) for t in range(3)])
    assert np.isnan(attack.by_round(view)[:, :, 2]).all()
    scores = scored(attack, view)
    assert np.isnan(scores[:, 2]).all()
    assert np.ptp(scores[:, [0, 1, 3, 4]], axis=0).min() > 0
    others = np.array([0, 1, 3, 4])
    if attack.name != "gradient-difference":  # its step is set by how many learners there are
        np.testing.assert_allclose(scored(attack, of_learners(view, others)), scores[:, others], atol=1e-9)


@pytest.mark.parametrize("learners", [1, 2])
@every_attack
def test_one_or_two_learners_are_enough_unless_others_are_compared_with(
    attack: AttackOnLearners, learners: int, federate: SimulateUpdates
):
    view, home = federate(np.random.default_rng(12), learners=learners, each=30)
    scores = scored(attack, view)
    if attack.others:
        assert np.isnan(scores).all()
    else:
        assert auc(scores[home == 0, 0], scores[home == -1, 0]) > 0.65


@every_attack
def test_a_round_is_scored_by_itself(attack: AttackOnLearners, federate: SimulateUpdates):
    view, _ = federate(np.random.default_rng(13))
    last = attack.by_round(of_rounds(view, [2]))
    np.testing.assert_allclose(last[0], attack.by_round(view)[2], atol=1e-12)


@every_attack
def test_features_up_to_a_round_are_those_of_the_first_rounds(
    attack: AttackOnLearners, federate: SimulateUpdates
):
    view, _ = federate(np.random.default_rng(14), absent=ABSENT)
    features = attack.observe(view)
    for count in (1, 2, 3):
        first = attack.score(attack.observe(of_rounds(view, range(count))), NOBODY)
        np.testing.assert_allclose(attack.score(features.up_to(count), NOBODY), first, atol=1e-12)


@dataclasses.dataclass(frozen=True)
class Given(AttackOnLearners):
    """Returns what it is given."""

    values: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((1, 1, 1)))

    def by_round(self, view: object) -> np.ndarray:
        return self.values


def test_the_mean_leaves_out_rounds_that_tell_nothing(federate: SimulateUpdates):
    view, _ = federate(np.random.default_rng(0), learners=2, each=1, held_out=1)
    values = np.full((3, 3, 2), np.nan)
    values[0, :, 0], values[2, :, 0] = 1.0, 4.0
    found = scored(Given("x", "x", values=values), view)
    np.testing.assert_array_equal(found, [[2.5, np.nan]] * 3)


def test_answers_are_read_as_updates_are(federate: SimulateUpdates):
    """A broadcast that nobody answered tells nothing of anybody."""
    view, _ = federate(np.random.default_rng(1))
    silent = changed(view, {ANSWER_PREDICTIONS: np.full_like(view[ANSWER_PREDICTIONS], np.nan)})
    features = REGISTRY["gradient-ascent"].observe(silent)
    assert isinstance(features, Features) and not features.vary
