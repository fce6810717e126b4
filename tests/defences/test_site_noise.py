"""site-noise clips the updates of sites and adds noise to their sum, with canary updates where asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from memberscan.cohort import Cohort
from memberscan.defences import defence_from
from memberscan.defences.accountant import epsilon_of
from memberscan.defences.canary_updates import coins, directions, flat, shaped
from memberscan.defences.defence import Merge, TrainingSize
from memberscan.defences.site_noise import SiteNoise, clipped_total
from memberscan.errors import BadInputError, ModelError
from memberscan.evidence.canary_bounds import CanaryEvidence, canary_evidence
from memberscan.models import MLP
from memberscan.models.own_network import OwnNetwork

WEIGHTS, CANARIES, ROUNDS_OF_ALL, SITES = 6000, 200, 4, 3
DELTA = 1e-5


def merge_of(updates: list[list[float]], seed: int | None = 0, number: int = 1, rounds: int = 1) -> Merge:
    before = {"b": torch.tensor([1.0, 2.0]), "a": torch.tensor([[3.0]])}
    models = [shaped(flat(before) + torch.tensor(update), before) for update in updates]
    return Merge(models, before, before, number, rounds, seed)


@given(st.lists(st.lists(st.floats(-5, 5), min_size=3, max_size=3), min_size=1, max_size=5))
def test_the_next_model_is_the_mean_of_clipped_updates_plus_noise(updates: list[list[float]]) -> None:
    defence = SiteNoise(noise=1e-6, clip=2.0)
    found = flat(defence.merged(merge_of(updates))).numpy()
    clipped = [np.array(u) * min(1, 2 / max(np.linalg.norm(u), 1e-30)) for u in updates]
    np.testing.assert_allclose(found, np.array([3.0, 1.0, 2.0]) + np.mean(clipped, axis=0), atol=1e-4)


def test_the_noise_has_the_stated_spread_and_is_new_in_every_round() -> None:
    defence, zero = SiteNoise(noise=3.0, clip=0.5), {"w": torch.zeros(20_000)}
    one, other = (defence.merged(Merge([zero] * 4, zero, zero, number, 2, 7))["w"] for number in (1, 2))
    # noise x clip / sites; 20,000 draws have a standard error of 0.5%.
    assert float(one.std()) == pytest.approx(3 * 0.5 / 4, rel=0.03)
    assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 0.03
    again = defence.merged(Merge([zero] * 4, zero, zero, 1, 2, 7))["w"]
    assert torch.equal(one, again), "an interrupted federation ends in the same models"
    secret = [defence.merged(Merge([zero] * 4, zero, zero, 1, 2, None))["w"] for _ in range(2)]
    assert not torch.equal(*secret), "a server without a seed draws new noise"


def test_all_entries_keep_their_place() -> None:
    like = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor([9.0])}
    assert flat(like).tolist() == [9, 0, 1, 2, 3, 4, 5]
    assert all(torch.equal(part, like[name]) for name, part in shaped(flat(like), like).items())
    assert clipped_total([], 1.0) == 0


def test_canary_updates_are_unit_vectors_nearly_at_right_angles() -> None:
    found = torch.stack(list(directions(3, 30, {"w": torch.zeros(WEIGHTS)})))
    gram = (found @ found.T).numpy()
    np.testing.assert_allclose(np.diag(gram), 1, atol=1e-5)
    apart = gram[~np.eye(30, dtype=bool)]
    assert np.abs(apart).max() < 6 / np.sqrt(WEIGHTS)
    inside = np.array([coins(seed, 30) for seed in range(60)])
    assert abs(inside.mean() - 0.5) < 0.05 and inside.sum(axis=1).std() > 1


def read_back(defence: SiteNoise, seed: int, stated: float) -> CanaryEvidence:
    """Return what canaries show of a federation of sites that always send the same long update."""
    like, rng = {"w": torch.zeros(WEIGHTS)}, torch.Generator().manual_seed(seed)
    pull, model = torch.randn(WEIGHTS, generator=rng), like
    for number in range(1, ROUNDS_OF_ALL + 1):
        models = [{"w": model["w"] + pull}] * SITES
        model = dict(defence.merged(Merge(models, model, model, number, ROUNDS_OF_ALL, seed)))
    scores = np.array([float(unit @ model["w"]) for unit in directions(seed, CANARIES, like)])
    inside = coins(seed, CANARIES)
    return canary_evidence({"updates": scores}, inside, epsilon=stated, delta=DELTA, gaussian=True)


def test_a_true_guarantee_is_seldom_broken_and_its_mistakes_are_found() -> None:
    size = TrainingSize(10, 10, 2, ROUNDS_OF_ALL, ROUNDS_OF_ALL)
    right = SiteNoise(epsilon=4.0, canaries=CANARIES)
    stated = right.guarantee(size).epsilon
    assert stated is not None and 3.9 < stated <= 4
    broken = sum(bool(read_back(right, seed, stated).broken) for seed in range(12))
    assert stats.binomtest(broken, 12, 0.05, "greater").pvalue > 1e-3
    noise = right._noise(ROUNDS_OF_ALL)
    for wrong in (
        SiteNoise(noise=1e-3, canaries=CANARIES),
        # A clip of ten times the stated length, with the stated noise: canaries are as long as that.
        SiteNoise(noise=noise / 10, clip=10.0, canaries=CANARIES),
        SiteNoise(noise=noise / 2, canaries=CANARIES),
    ):
        assert read_back(wrong, 1, stated).broken


def test_the_guarantee_is_that_of_the_accountant() -> None:
    size = TrainingSize(10, 10, 2, 6, 3)
    stated = SiteNoise(noise=2.0).guarantee(size)
    assert stated.epsilon == epsilon_of(2.0, 1.0, 3, DELTA) and stated.enforced_by == "the server"
    assert SiteNoise(noise=2.0).extendable() and not SiteNoise(epsilon=2.0).extendable()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("site-noise", "either epsilon"),
        ("site-noise:epsilon=1,noise=1", "either epsilon"),
        ("site-noise:epsilon=0", "epsilon"),
        ("site-noise:noise=1,center=3", "both center and spread"),
        ("site-noise:noise=1,canaries=5", "canaries is 5"),
        ("site-noise:noise=1,canaries=2001", "canaries"),
    ],
)
def test_options_that_make_no_sense_are_refused(text: str, match: str) -> None:
    with pytest.raises(BadInputError, match=match):
        defence_from(text)


def test_where_it_has_no_meaning_it_is_refused(sixty: Cohort) -> None:
    defence = defence_from("site-noise:noise=1,canaries=100")
    with pytest.raises(BadInputError, match="use 'dp-sgd'"):
        defence.require_training(None)
    with pytest.raises(BadInputError, match="ciphertexts"):
        defence.require_training(2, encrypted=True)
    with pytest.raises(ModelError, match="too few for 100 canary updates"):
        defence.require(MLP((4,), width=5), sixty)
    mixing = nn.Sequential(nn.Linear(7, 50), nn.BatchNorm1d(50), nn.Linear(50, 1))
    with pytest.raises(ModelError, match=r"training changes network.1.num_batches_tracked.*use GroupNorm"):
        defence_from("site-noise:noise=1").require(OwnNetwork(mixing, "own"), sixty)
