"""mixup takes weighted means of two scans of a batch and of their labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from memberscan.cohort import Cohort
from memberscan.defences import defence_from, written_in_full
from memberscan.defences.defence import generator_of
from memberscan.defences.mixup import Mixup, generator_like
from memberscan.errors import BadInputError, ModelError

from ..conftest import Interrupted
from .lab import assert_resumes, go, step


@pytest.mark.parametrize("kernel", [None, 0.5])
def test_rows_and_labels_are_mixed_with_the_same_shares(kernel: float | None) -> None:
    defence, plain = Mixup(alpha=0.7, kernel=kernel), step(inputs=torch.randn(6, 2, 3, 4))
    plain.model.age_spread.fill_(3)
    mixed = defence.prepared(plain)
    rng = generator_like(generator_of(1))
    partners = defence.partners(3 * plain.targets.double().numpy(), rng)
    shares = rng.beta(0.7, 0.7, 6)
    for row, (partner, share) in enumerate(zip(partners, shares, strict=True)):
        assert partner != row
        for before, after in ((plain.inputs, mixed.inputs), (plain.targets, mixed.targets)):
            torch.testing.assert_close(
                after[row], (share * before[row] + (1 - share) * before[partner]).float()
            )
    assert torch.equal(mixed.people, plain.people) and mixed.model is plain.model


def test_shares_follow_the_beta_distribution() -> None:
    inputs = torch.tensor([[0.0], [1.0]])
    defence, shares, whole = Mixup(alpha=0.4), [], step(inputs=inputs, targets=inputs[:, 0])
    for _ in range(1000):
        first, second = defence.prepared(whole).targets.tolist()
        shares += [1 - first, second]
    assert stats.kstest(shares, stats.beta(0.4, 0.4).cdf).pvalue > 1e-3


def test_partners_are_drawn_by_the_distance_of_labels() -> None:
    labels, rng = np.array([40.0, 42.0, 50.0, 43.0]), np.random.default_rng(0)
    defence, seen = Mixup(kernel=4.0), np.zeros((4, 4))
    for _ in range(20_000):
        seen[np.arange(4), defence.partners(labels, rng)] += 1 / 20_000
    expected = np.zeros((4, 4))
    for i in range(4):
        for j in range(4):
            expected[i, j] = 0 if i == j else np.exp(-((labels[i] - labels[j]) ** 2) / (2 * 4.0**2))
    np.testing.assert_allclose(seen, expected / expected.sum(axis=1, keepdims=True), atol=0.02)


def test_a_narrow_kernel_draws_the_nearest_label_and_none_draws_all_alike() -> None:
    labels, rng = np.array([40.0, 42.0, 50.0, 43.0]), np.random.default_rng(0)
    assert Mixup(kernel=1e-3).partners(labels, rng).tolist() == [1, 3, 3, 1]
    drawn = np.stack([Mixup().partners(labels, rng) for _ in range(6000)])
    for own in range(4):
        assert np.bincount(drawn[:, own], minlength=4) / 6000 == pytest.approx(
            np.where(np.arange(4) == own, 0, 1 / 3), abs=0.03
        )


def test_small_alpha_mixes_little_and_a_batch_of_one_scan_not_at_all() -> None:
    plain = step()
    targets = Mixup(alpha=1e-3).prepared(plain).targets
    assert all(min((t - plain.targets).abs()) < 1e-3 for t in targets)
    one = step(inputs=plain.inputs[:1], targets=plain.targets[:1])
    assert Mixup().prepared(one) is one


def test_it_is_written_with_the_parameters_that_it_has() -> None:
    assert written_in_full("mixup") == "mixup:alpha=1.0"
    assert written_in_full("mixup:kernel=4") == "mixup:alpha=1.0,kernel=4.0"


def test_a_guarantee_for_one_person_is_not_given_for_mixed_people() -> None:
    assert not Mixup.keeps_people_apart
    with pytest.raises(BadInputError, match="mixes people"):
        defence_from("mixup+randomised-response:epsilon=1")


@pytest.mark.parametrize("defence", ["mixup", "mixup:alpha=0.3,kernel=4"])
def test_an_interrupted_training_ends_in_the_same_weights(
    table: Cohort, tmp_path: Path, interrupted_in_epoch: Interrupted, defence: str
) -> None:
    assert_resumes(table, tmp_path, interrupted_in_epoch, defence)


def test_classes_are_refused(table: Cohort, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has classes"):
        go(table.with_target("sex"), tmp_path / "run", "mixup")


@pytest.mark.parametrize("text", ["alpha=0", "alpha=nan", "alpha=1e4", "kernel=0", "kernel=inf"])
def test_bad_options_are_refused(text: str) -> None:
    with pytest.raises(BadInputError, match=text.partition("=")[0]):
        defence_from(f"mixup:{text}")
