"""Stacking with two references: what its learners may see, and that they add to the fixed rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from memberscan.attacks.references.regression import Laws, of_residuals
from memberscan.attacks.references.stacking import stacking
from memberscan.attacks.references.trials import Trials
from memberscan.attacks.references.two_references import (
    by_laws,
    fixed_rule,
    references_beside_target,
    scores_without_members,
    target_beside_references,
    two_references,
)
from memberscan.attacks.with_references import Compared
from memberscan.evidence.roc import aucs_of_rows

from .conftest import draw, twins
from .test_stacking import auc, band


def test_two_references_go_there():
    compared, member = draw(3, references=2, scans=1000)
    scores = stacking(compared)
    np.testing.assert_array_equal(scores, two_references(compared))
    assert auc(scores, member) > 0.64
    # Log odds, whose sum over scans means something: half of the people are taken for members.
    assert abs(expit(scores).mean() - 0.5) < 0.1 and abs(scores).max() > 2


def test_learners_find_a_band_that_the_fixed_rule_does_not():
    compared, member = band(1, 2)
    assert (
        auc(two_references(compared), member) > auc(fixed_rule(Trials.of_target(compared))[0], member) + 0.05
    )


def test_laws_of_odds_that_leave_no_doubt_are_those_of_known_members():
    compared, member = draw(0, references=2, scans=200)
    target = Trials.of_target(compared)
    ours = Laws.fit_to_odds(target, np.where(member, np.inf, -np.inf), of_residuals)
    of_known = Laws.fit(replace(target, inside=member[None]), None, lambda _: of_residuals(target))
    for found, expected in ((ours.members, of_known.members), (ours.others, of_known.others)):
        np.testing.assert_allclose(found.mean, expected.mean, atol=1e-9)
        np.testing.assert_allclose(found.log_variance, expected.log_variance, atol=1e-9)


def test_laws_learnt_from_the_target_find_more_where_people_differ_more_than_models():
    found = []
    for seed in range(8):
        compared, member = distinct(seed)
        target = Trials.of_target(compared)
        prior = fixed_rule(target)[0]
        found.append([auc(prior, member), auc(by_laws(target, prior, (of_residuals,)), member)])
    before, after = np.mean(found, axis=0)
    assert after > before + 0.01


def distinct(seed: int, scans: int = 500) -> tuple[Compared, np.ndarray]:
    """Draw residuals of which most is a person's own, and two fifths of that where a model has seen it."""
    rng = np.random.default_rng(seed)
    member = rng.permutation(scans) < scans // 2
    masks = np.concatenate([member[None], twins(rng, 2, scans)])
    own = 8 * rng.normal(size=scans)
    residual = np.where(masks, 0.4 * own, own) + 2 * rng.normal(size=masks.shape)
    return Compared(residual[0], residual[1:], masks[1:], rng.uniform(45, 80, scans)), member


def test_nothing_that_learners_see_depends_on_who_was_in_the_references():
    compared, _ = draw(0, references=2, scans=100)
    other = Compared(compared.residual, compared.references, ~compared.inside, compared.label)
    for trials in (references_beside_target, target_beside_references):
        for one, same in zip(
            scores_without_members(trials(compared)), scores_without_members(trials(other)), strict=True
        ):
            np.testing.assert_array_equal(one, same)


def copied(seed: int, **about: Any) -> tuple[Compared, np.ndarray]:
    """Draw models whose errors on copies are those on the scan and noise, whoever was trained on it."""
    compared, member = draw(seed, references=2, **about)
    rng = np.random.default_rng([seed, 1])
    both = np.concatenate([compared.residual[None], compared.references])
    copies = both[..., None] + 2 * rng.normal(size=(*both.shape, 5))
    mean, size = copies.mean(axis=-1), np.abs(copies).mean(axis=-1)
    also = tuple(
        replace(compared, residual=measure[0], references=measure[1:])
        for measure in (both - mean, size - np.abs(both), mean)
    )
    return replace(compared, also=also), member


def test_copies_that_tell_nothing_cost_little():
    found = []
    for seed in range(6):
        compared, member = copied(seed, scans=600)
        found.append([auc(two_references(each), member) for each in (compared, replace(compared, also=()))])
    with_copies, without = np.mean(found, axis=0)
    assert without > 0.68 and with_copies > without - 0.03


@pytest.mark.parametrize("seed", range(3))
def test_what_learners_see_of_copies_does_not_depend_on_who_was_in_the_references(seed: int):
    compared, _ = copied(seed, scans=60)
    also = tuple(replace(each, inside=~each.inside) for each in compared.also)
    other = replace(compared, inside=~compared.inside, also=also)
    for trials in (references_beside_target, target_beside_references):
        seen = [scores_without_members(trials(each)) for each in (compared, other)]
        assert len(seen[0]) == len(scores_without_members(trials(replace(compared, also=())))) + 5
        for one, same in zip(*seen, strict=True):
            np.testing.assert_array_equal(one, same)


def test_without_a_leak_what_learners_see_tells_nothing_of_the_references():
    found = []
    for seed in range(150):
        compared, _ = draw(seed, references=2, scans=100, h=0.0)
        trials = references_beside_target(compared)
        labels = compared.inside.astype(float)
        found.append([aucs_of_rows(s, labels).mean() for s in scores_without_members(trials)])
    error = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    # Twins mirror each other, so that the mean over both is more precise than chance would have it.
    np.testing.assert_array_less(np.abs(np.mean(found, axis=0) - 0.5), 4 * error + 1e-12)


def test_references_of_everybody_leave_the_fixed_rule():
    compared, _ = draw(1, references=2, scans=60)
    everybody = Compared(
        compared.residual, compared.references, np.ones_like(compared.inside), compared.label
    )
    fixed = fixed_rule(Trials.of_target(everybody))[0]
    np.testing.assert_array_equal(two_references(everybody), fixed)
