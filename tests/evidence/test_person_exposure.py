"""Exposure of each person against the truth of linear models, its errors, and who cannot be judged."""

from __future__ import annotations

import time

import numpy as np
import pytest

from memberscan.errors import TooFewSubjectsError
from memberscan.evidence.person_exposure import PersonExposure, person_exposure
from memberscan.studies.exposure import World, masks


def exposure(world: World, references: int, seed: int) -> PersonExposure:
    residuals, inside = world.references(references, seed)
    return person_exposure(residuals, inside, world.age, np.random.default_rng(0))


@pytest.fixture(scope="module")
def world() -> World:
    return World.of(300, 60)


@pytest.mark.parametrize("references", [8, 16])
def test_errors_cover_the_truth(world, references):
    true, found = world.truth().auc, [exposure(world, references, seed) for seed in range(12)]
    covered = [np.abs(e.auc - true) < 1.96 * e.auc_error for e in found]
    assert np.mean(covered) > 0.85
    spread = np.std([e.auc for e in found], axis=0).mean()
    assert spread < np.mean([e.auc_error for e in found]) < 3 * spread


def test_the_most_exposed_are_as_exposed_as_is_said(world):
    true = world.truth()
    found = [exposure(world, 12, seed) for seed in range(6)]
    top = [e.most_exposed(10) for e in found]
    said = np.mean([e.about(t).auc.value for e, t in zip(found, top, strict=True)])
    assert said == pytest.approx(np.mean([true.auc[t].mean() for t in top]), abs=0.03)
    right = [e.about_most_exposed(10).right for e in found]
    accuracy = np.mean([0.5 + true.total_variation[t].mean() / 2 for t in top])
    assert np.mean([r.value for r in right]) == pytest.approx(accuracy, abs=0.05)
    power = np.mean([e.about(t).rates[0] for e, t in zip(found, top, strict=True)])
    assert power == pytest.approx(np.mean([true.true_positive_rate(0.01)[t].mean() for t in top]), abs=0.1)


def test_shift_is_towards_the_age(world):
    assert np.median(exposure(world, 16, 0).d_prime) > 0.3


def test_halves_agree_more_with_more_references(world):
    few, many = (exposure(world, k, 0).stability for k in (8, 32))
    assert few is not None and many is not None
    assert (few.references, many.references) == (4, 16)
    assert 0.5 < few.rank_correlation < many.rank_correlation < 1
    assert many.overlap > 0.4
    assert exposure(world, 6, 0).stability is None


def test_with_four_references_there_are_no_errors_and_no_checks(world):
    found = exposure(world, 4, 0)
    assert np.isfinite(found.auc).all() and np.isnan(found.auc_error).all()
    assert found.information is found.best is found.about_most_exposed(10).right is None
    assert found.about(found.judged).auc.error is None
    assert found.about(found.judged).right is None


def test_for_whom_too_few_were_trained_is_said_and_not_guessed(world):
    residuals, inside = world.references(8, 0)
    inside[:, :3] = True
    inside[4:, 5] = False
    found = person_exposure(residuals, inside, world.age, np.random.default_rng(0))
    assert np.flatnonzero(~found.judged).tolist() == [0, 1, 2]
    assert np.isnan(found.auc[:3]).all() and not found.listed[:3].any()
    assert np.isnan(found.auc_error[5]) and np.isfinite(found.auc[5])
    assert not found.most_exposed(297)[:3].any()
    with pytest.raises(TooFewSubjectsError, match="train at least 4 references"):
        person_exposure(residuals[:2], inside[:2], world.age, np.random.default_rng(0))


def test_it_is_fast_for_many_people():
    rng = np.random.default_rng(0)
    inside = masks(32, 4000, rng)
    start = time.process_time()
    found = person_exposure(rng.normal(size=(32, 4000)), inside, rng.uniform(20, 80, 4000), rng)
    assert time.process_time() - start < 10
    assert not found.listed.any() and np.nanmean(found.auc) < 0.52


@pytest.mark.parametrize("people", [10, 60])
@pytest.mark.parametrize("references", [4, 6, 8])
def test_odd_residuals_give_numbers_and_no_warnings(people, references):
    rng = np.random.default_rng(people + references)
    inside, age, base = masks(references, people, rng), rng.uniform(20, 80, people), rng.normal(size=people)
    noise = rng.normal(size=(references, people))
    far = base + noise
    far[:, 3] += 500
    kinds = {
        "identical models": np.tile(base, (references, 1)),
        "members fitted exactly": np.where(inside, 0.0, base + noise),
        "two values": np.where(inside, 0.0, base),
        "one person far off": far,
        "rounded": np.round(base + noise),
    }
    found = {
        name: person_exposure(residuals, inside, age, np.random.default_rng(0))
        for name, residuals in kinds.items()
    }
    for e in found.values():
        assert np.isfinite(e.auc).all() and ((e.auc > 0.499) & (e.auc <= 1)).all()
    assert found["identical models"].auc == pytest.approx(0.5, abs=1e-5)
    assert found["members fitted exactly"].auc.mean() > found["one person far off"].auc.mean()
    ones = person_exposure(base + noise, inside, np.full(people, 50.0), np.random.default_rng(0))
    assert np.isfinite(ones.auc).all()


def test_people_who_are_always_recognised_have_an_error_all_the_same():
    inside = masks(8, 40, np.random.default_rng(0))
    base = 20 * np.random.default_rng(1).normal(size=40)
    found = person_exposure(np.where(inside, 0, base), inside, np.full(40, 50.0), np.random.default_rng(2))
    told = found.about_most_exposed(10)
    assert told.auc.value > 0.99
    error, right = told.auc.error, told.right
    assert error is not None and error >= 0.5 / 40
    assert right is not None and right.error is not None and right.error > 0.01
