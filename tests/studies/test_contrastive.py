"""Contrastive training: the loss against its definition, the views, and that members' loss falls."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from memberscan.models.landmarks import landmarks_of
from memberscan.studies import contrastive
from memberscan.studies.contrastive import (
    FEATURES,
    PROJECTED,
    TEMPERATURE,
    contrastive_loss,
    on_features,
    on_projection,
    trained,
    view_of,
)


def blobs(count: int) -> torch.Tensor:
    return torch.randn(count, 1, 9, 10, 11, generator=torch.Generator().manual_seed(0))


def test_the_loss_is_a_cross_entropy_over_all_other_views():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 4, 3))
    both = np.vstack([one, other])
    both /= np.linalg.norm(both, axis=1)[:, None]
    losses = []
    for k in range(8):
        rest = [j for j in range(8) if j != k]
        weights = np.exp([both[k] @ both[j] / TEMPERATURE for j in rest])
        losses.append(-np.log(weights[rest.index((k + 4) % 8)] / weights.sum()))
    found = contrastive_loss(torch.tensor(one), torch.tensor(other))
    assert found.item() == pytest.approx(np.mean(losses))


def test_a_view_without_any_change_is_the_volume_or_its_mirror_image(monkeypatch: pytest.MonkeyPatch):
    for name in ("ZOOM", "TURN", "SHIFT", "SCALE", "BIAS", "NOISE"):
        monkeypatch.setattr(contrastive, name, 0.0)
    volumes = blobs(12)
    views = view_of(volumes, torch.Generator().manual_seed(1))
    kept = (views - volumes).abs().amax(dim=(1, 2, 3, 4)) < 1e-4
    mirrored = (views - volumes.flip(2)).abs().amax(dim=(1, 2, 3, 4)) < 1e-4
    assert (kept ^ mirrored).all() and kept.any() and mirrored.any()


def test_views_differ_and_follow_from_the_seed():
    volumes = blobs(3)
    one, same, other = (view_of(volumes, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same) and one.shape == volumes.shape
    assert ((one - other).abs().amax(dim=(1, 2, 3, 4)) > 0.1).all()


def test_longer_training_continues_the_shorter_one_and_lowers_the_loss():
    volumes, losses = blobs(12), []
    kept = dict(trained(volumes, (0, 4, 20), seed=3))
    (_, alone), *_ = trained(volumes, (4,), seed=3)
    assert all(torch.equal(value, kept[4][name]) for name, value in alone.items())
    for weights in kept.values():
        network = on_projection()
        network.load_state_dict(dict(weights))
        network.eval()
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            views = [network.embedding(view_of(volumes, generator)) for _ in range(2)]
        losses.append(contrastive_loss(*views).item())
    assert losses[2] < losses[0] - 0.3


@pytest.mark.parametrize(("made", "width"), [(on_features, FEATURES), (on_projection, PROJECTED)])
def test_a_network_has_a_linear_head_on_its_embedding(made, width: int):
    network = made().eval()
    with torch.no_grad():
        embedding, age = network.embedding(blobs(2)), network(blobs(2))
        torch.testing.assert_close(age, network.output(embedding)[:, 0])
    assert embedding.shape == (2, width)
    assert landmarks_of(network)["output"] == "output"
