"""Every statistic against one written person by person, and what holds for all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memberscan.attacks import REGISTRY
from memberscan.attacks.references.calibration import attack_r, difficulty
from memberscan.attacks.references.confidence import base, rmia
from memberscan.attacks.references.empirical_bayes import empirical_bayes
from memberscan.attacks.references.leverage import leverage
from memberscan.attacks.references.lira import offline, signed, usual
from memberscan.attacks.references.trials import Trials
from memberscan.attacks.references.tuning import aucs_for_references
from memberscan.attacks.with_references import Compared, ReferenceAttack
from memberscan.evidence.roc import aucs_of_rows

from . import naive
from .conftest import draw

ATTACKS = [attack for attack in REGISTRY.values() if isinstance(attack, ReferenceAttack)]
QUICK = [attack for attack in ATTACKS if attack.name != "stacking"]
every_attack = pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
PAIRS: list[tuple[Callable[..., np.ndarray], Callable[..., list[float]]]] = [
    (usual, naive.lira),
    (signed, naive.lira_signed),
    (offline, naive.lira_offline),
    (attack_r, naive.attack_r),
    (difficulty, naive.difficulty),
    (partial(base, temperature=0.5), partial(naive.base, temperature=0.5)),
    (partial(rmia, temperature=0.5, a=0.2), partial(naive.rmia, temperature=0.5, a=0.2)),
    (partial(leverage, kappa=2.0), partial(naive.leverage, kappa=2.0)),
    (partial(empirical_bayes, weight=8.0), partial(naive.empirical_bayes, weight=8.0)),
]


@pytest.mark.parametrize(("ours", "plain"), PAIRS, ids=[str(k) for k in range(len(PAIRS))])
def test_it_equals_one_written_person_by_person(ours, plain):
    compared, _ = draw(0, references=8, scans=60, offset=2.0)
    # Only the ridge of EB-LiRA's regression keeps it from being exact.
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if plain is PAIRS[-1][1] else {"rtol": 1e-8, "atol": 1e-8}
    np.testing.assert_allclose(ours(Trials.of_target(compared))[0], plain(compared), **tolerance)
    # And so for each reference in the target's place.
    together = ours(Trials.of_references(compared))
    if plain in (naive.lira, naive.attack_r):
        # Their offset is a share of the mean square of all references, not of those in use.
        return
    for k in (0, 5):
        np.testing.assert_allclose(together[k], plain(compared.with_target(k)), **tolerance)


def rearranged(compared: Compared, rows: np.ndarray) -> Compared:
    return Compared(compared.residual, compared.references[rows], compared.inside[rows], compared.label)


@every_attack
def test_the_order_of_pairs_and_of_twins_in_a_pair_decides_nothing(attack: ReferenceAttack):
    compared, _ = draw(1, references=8, scans=120, offset=1.0)
    one = attack.statistic(compared)
    for rows in ([2, 3, 6, 7, 0, 1, 4, 5], [1, 0, 3, 2, 5, 4, 7, 6]):
        other = attack.statistic(rearranged(compared, np.array(rows)))
        if attack.name == "stacking":
            # Trees split ties of gains by the order of rows, and folds are of pairs in their order.
            assert np.corrcoef(one, other)[0, 1] > 0.95
        else:
            np.testing.assert_allclose(other, one, rtol=1e-7, atol=1e-7)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 20))
def test_the_unit_of_age_decides_nothing(seed: int, scale: float):
    compared, _ = draw(seed, references=4, scans=80)
    other = Compared(
        compared.residual * scale, compared.references * scale, compared.inside, compared.label * scale
    )
    for attack in QUICK:
        one, same = attack.statistic(compared), attack.statistic(other)
        if attack.name == "leverage":
            # Its fallback is the error itself.
            same = same / scale if np.allclose(-np.abs(compared.residual), one) else same
        np.testing.assert_allclose(same, one, rtol=1e-6, atol=1e-6, err_msg=attack.name)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 4, 6]), st.sampled_from([-8.0, 3.0]))
def test_a_constant_error_of_a_model_decides_nothing_where_models_are_normalised(seed, references, offset):
    compared, _ = draw(seed, references=references, scans=80)
    shift = np.random.default_rng(seed).normal(size=(references, 1))
    moved = Compared(compared.residual + offset, compared.references + shift, compared.inside, compared.label)
    for name in NORMALISED:
        attack = REGISTRY[name]
        assert isinstance(attack, ReferenceAttack)
        one, other = attack.statistic(compared), attack.statistic(moved)
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-6, err_msg=name)


NORMALISED = ["lira:signed", "lira:regression", "lira:offline"]
NORMALISED += ["empirical-bayes", "base", "rmia", "difficulty"]
STRANGE: dict[str, Callable[[Compared], Compared]] = {
    "one age for everybody": lambda c: Compared(c.label - 60, c.references, c.inside, c.label),
    "a reference of one age": lambda c: Compared(
        c.residual, np.concatenate([c.references[:-1], [c.label - 60]]), c.inside, c.label
    ),
    "perfect predictions": lambda c: Compared(0 * c.residual, 0 * c.references, c.inside, c.label),
    "the references are one model": lambda c: Compared(
        c.residual, np.tile(c.references[:1], (len(c.inside), 1)), c.inside, c.label
    ),
    "the target is a reference": lambda c: Compared(c.references[0], c.references, c.inside, c.label),
    "one age": lambda c: Compared(c.residual, c.references, c.inside, np.full_like(c.label, 60)),
    "somebody in no reference": lambda c: Compared(
        c.residual, c.references, c.inside & (np.arange(c.inside.shape[1]) > 0), c.label
    ),
    "huge errors": lambda c: Compared(1e150 * c.residual, c.references, c.inside, c.label),
    "tiny errors": lambda c: Compared(1e-150 * c.residual, 1e-150 * c.references, c.inside, c.label),
}


@pytest.mark.parametrize("references", [2, 4])
@pytest.mark.parametrize("case", STRANGE)
@every_attack
def test_strange_models_have_finite_scores(attack: ReferenceAttack, case: str, references: int):
    compared, _ = draw(2, references=references, scans=40)
    with np.errstate(over="ignore"):
        assert np.isfinite(attack.statistic(STRANGE[case](compared))).all()


@pytest.mark.parametrize("references", [2, 4])
def test_without_a_leak_every_attack_has_an_auc_of_a_half(references: int):
    aucs = []
    for seed in range(120):
        compared, member = draw(seed, references=references, scans=80, h=0.0, offset=1.0)
        scores = np.stack([attack.statistic(compared) for attack in QUICK])
        aucs.append(aucs_of_rows(scores, np.tile(member.astype(float), (len(QUICK), 1))))
    error = np.std(aucs, axis=0, ddof=1) / np.sqrt(len(aucs))
    np.testing.assert_array_less(np.abs(np.mean(aucs, axis=0) - 0.5), 4 * error)


def test_without_a_leak_nothing_tells_whom_the_references_were_trained_on():
    """If the count of references betrayed a reference's members, stacking would learn the count."""
    scores = [*(ours for ours, _ in PAIRS), lambda trials: trials.moments.ins.mean]
    scores += [lambda trials: trials.moments.ins.squares - trials.moments.outs.squares]
    found = [
        aucs_for_references(draw(seed, references=6, scans=100, h=0.0)[0], scores) for seed in range(150)
    ]
    error = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    assert (error < 0.004).all()
    np.testing.assert_array_less(np.abs(np.mean(found, axis=0) - 0.5), 4 * error)
