"""Draws of the known subjects, scores of all others, and what chance alone gives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from memberscan.attacks import REGISTRY
from memberscan.evidence.estimates import estimate_aucs
from memberscan.evidence.single_draw import DeLong

OUTPUTS = [REGISTRY[name] for name in ("error", "prediction+label", "error:zero-knowledge")]


@pytest.mark.parametrize("leaked", [0.1, 0.5, 0.9])
def test_k_subjects_a_side_are_known_and_not_scored(leaked, simulate, attempt):
    signals, member = simulate(np.random.default_rng(0), 60)
    member.iloc[:10] = False
    campaign = attempt(OUTPUTS, signals, member, leaked=leaked, repeats=7)
    k = int(leaked * member.sum() + 1e-9)
    fitted, label, unfitted = campaign.scored()
    assert fitted.values.shape == (7, 60)
    known = np.isnan(fitted.values)
    assert (known[:, campaign.member].sum(axis=1) == k).all()
    assert (known[:, ~campaign.member].sum(axis=1) == k).all()
    np.testing.assert_array_equal(known, np.isnan(label.values))
    assert not np.isnan(unfitted.values).any()
    assert len({row.tobytes() for row in known}) > 1


def test_a_seed_fixes_the_draws(simulate, attempt):
    signals, member = simulate(np.random.default_rng(1))
    one, same, other = (attempt(OUTPUTS[:1], signals, member, seed=seed).scored()[0] for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.values, same.values)
    assert not np.array_equal(one.sides, other.sides)


def test_a_subject_s_score_is_the_mean_over_its_scans(simulate, attempt):
    """Summed losses make people with many scans look like non-members."""
    signals, member = simulate(np.random.default_rng(2), 30, scans=4)
    uneven = [scan for n, scan in enumerate(signals.scans.index) if n % 4 == 0 or n % 5 == 0]
    signals = signals.at(uneven)
    assert signals.scans["subject_id"].value_counts().nunique() > 1
    campaign = attempt([REGISTRY["error:zero-knowledge"]], signals, member)
    (scored,) = campaign.scored()
    errors = (signals.scans["age"] - signals.arrays["prediction"]).abs()
    expected = -errors.groupby(signals.scans["subject_id"]).mean().loc[list(campaign.subjects)]
    np.testing.assert_allclose(scored.values[0], expected)


def test_more_draws_never_narrow_an_interval(simulate, attempt):
    ratios = []
    for seed in range(10):
        signals, member = simulate(np.random.default_rng(seed), 80, leak=0.5)
        few, many = (
            estimate_aucs(attempt(OUTPUTS[:2], signals, member, repeats=repeats).scored(), DeLong())
            for repeats in (2, 40)
        )
        ratios.append(many.standard_error / few.standard_error)
    # Were draws pooled as if they brought new subjects, forty would give errors a fourth of those of two.
    np.testing.assert_allclose(np.mean(ratios, axis=0), 1, atol=0.05)
    assert np.min(ratios) > 0.85


def test_the_null_is_centred_and_the_observed_auc_is_one_of_its_kind(simulate, attempt):
    signals, member = simulate(np.random.default_rng(3), 60)
    campaign = attempt([*OUTPUTS, REGISTRY["gradient:conv6"]], signals, member, repeats=2)
    null = campaign.null(120)
    assert null.shape == (120, 4)
    error = null.std(axis=0, ddof=1) / np.sqrt(len(null))
    np.testing.assert_array_less(np.abs(null.mean(axis=0) - 0.5), 4 * error)
    assert (null.std(axis=0) > 0.02).all()


def test_the_null_permutes_before_it_draws(simulate, attempt):
    """With a leak, attacks refitted on permuted labels must still find nothing."""
    signals, member = simulate(np.random.default_rng(4), 100, leak=3.0)
    campaign = attempt(OUTPUTS, signals, member, repeats=2)
    assert estimate_aucs(campaign.scored(), DeLong()).auc.min() > 0.7
    assert abs(campaign.null(60).mean() - 0.5) < 0.03


def test_the_null_s_auc_is_that_of_scikit_learn(simulate, attempt):
    signals, member = simulate(np.random.default_rng(5), 40)
    campaign = attempt(OUTPUTS[1:2], signals, member, repeats=3)
    null = campaign.null(4)
    from memberscan import seeds

    for b in range(4):
        rng = seeds.generator(campaign.seed, "null", b)
        labels = rng.permutation(campaign.member)
        draws = campaign._draws(labels, rng)
        scored = campaign._carry_out(campaign.attacks[0], labels, draws)
        aucs = [roc_auc_score(labels[~k], row[~k]) for k, row in zip(draws, scored.values, strict=True)]
        assert null[b, 0] == pytest.approx(np.mean(aucs), abs=1e-12)


def test_permutations_do_not_depend_on_how_many_are_asked_for(simulate, attempt):
    signals, member = simulate(np.random.default_rng(6), 40)
    campaign = attempt(OUTPUTS[:1], signals, member, repeats=1)
    np.testing.assert_array_equal(campaign.null(7)[:3], campaign.null(3))
    assert not np.array_equal(dataclasses.replace(campaign, seed=1).null(3), campaign.null(3))
