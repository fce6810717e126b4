"""label-noise adds numbers to labels, the same ones in every epoch and round."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from memberscan import seeds
from memberscan.cohort import Cohort
from memberscan.defences import defence_from
from memberscan.defences.defence import Defence, Step, mean_gradient
from memberscan.defences.label_noise import LabelNoise
from memberscan.errors import BadInputError, ModelError
from memberscan.federation import client
from memberscan.federation.site import Site
from memberscan.models import MLP
from memberscan.runs import Role
from memberscan.target_variable import AGE
from memberscan.training.loop import labels_of, moments_of

from ..conftest import Interrupted
from .lab import assert_resumes, federated, go


class Targets(list[dict[int, float]]):
    """The labels of the steps of trainings, in the unit, by scan; one mapping for each epoch and learner."""

    def watch(self, step: Step) -> torch.Tensor:
        targets = (step.targets * step.model.age_spread + step.model.age_mean).tolist()
        if not self or set(step.people.tolist()) & set(self[-1]):
            self.append({})
        self[-1].update(zip(step.people.tolist(), targets, strict=True))
        return mean_gradient(step)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Targets:
    targets = Targets()
    monkeypatch.setattr(Defence, "gradients", lambda _, step: targets.watch(step))
    return targets


def test_each_scan_has_the_same_noisy_label_in_every_epoch(
    table: Cohort, tmp_path: Path, watched: Targets
) -> None:
    run = go(table, tmp_path / "run", "label-noise:spread=3")
    subjects = run.roles.subjects(Role.MEMBER)
    true = table.labels[table.scans.index[table.scans["subject_id"].isin(subjects)]].to_numpy()
    first, *rest = ([epoch[place] for place in sorted(epoch)] for epoch in watched)
    assert len(rest) == 2 and rest == [first, first]
    seed = seeds.integer(4, "defence")
    noise = 3 * seeds.generator(seed, "labels").standard_normal(len(true))
    np.testing.assert_allclose(first, true + noise, atol=1e-4)
    network = run.load()
    assert float(network.age_mean) == pytest.approx(np.mean(true + noise), abs=1e-4)
    assert float(network.age_spread) == pytest.approx(np.std(true + noise, ddof=1), abs=1e-4)


def test_noise_has_the_spread_asked_for() -> None:
    own = np.linspace(40, 80, 20_000)
    noise = LabelNoise(spread=5.0).labels(own, AGE, np.random.default_rng(0)) - own
    assert noise.std() == pytest.approx(5, rel=0.02) and abs(noise.mean()) < 0.1
    assert abs(np.corrcoef(noise, own)[0, 1]) < 0.02


def test_learners_keep_their_noisy_labels_through_all_rounds(
    table: Cohort, tmp_path: Path, watched: Targets
) -> None:
    federated(table, tmp_path / "run", "label-noise:spread=3")
    assert len(watched) == 4
    first, second = watched[:2]
    assert watched[2:] == [first, second] and first != second


def test_a_site_that_keeps_no_seed_refuses(table: Cohort) -> None:
    members = tuple(table.scans.index[:20])
    site = Site("a", table, members)
    assert client._label_seed(site) is None
    noisy = LabelNoise(spread=1.0)
    with pytest.raises(BadInputError, match="once for the whole training"):
        moments_of(MLP(table.shape), table, members, noisy, client._label_seed(site))
    plain = labels_of(table, members, Defence(), None)
    np.testing.assert_allclose(plain, table.labels[list(members)], rtol=1e-6)


def test_an_interrupted_training_ends_in_the_same_weights(
    table: Cohort, tmp_path: Path, interrupted_in_epoch: Interrupted
) -> None:
    assert_resumes(table, tmp_path, interrupted_in_epoch, "label-noise:spread=3")


def test_classes_are_refused(table: Cohort, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="randomised-response"):
        go(table.with_target("sex"), tmp_path / "run", "label-noise:spread=1")


@pytest.mark.parametrize("text", ["label-noise", "label-noise:spread=0", "label-noise:spread=inf"])
def test_a_spread_above_0_is_needed(text: str) -> None:
    with pytest.raises(BadInputError, match="spread"):
        defence_from(text)
