"""prune sets the smallest weights of a finished model to zero, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from memberscan.cohort import Cohort
from memberscan.defences import defence_from
from memberscan.defences.defence import generator_of
from memberscan.defences.prune import Prune
from memberscan.errors import BadInputError
from memberscan.models import CNN3D, MLP, AgeRegressor

from ..conftest import Interrupted
from .lab import assert_resumes, federated, go


def pruned(model: AgeRegressor, sparsity: float) -> dict[str, torch.Tensor]:
    defence_from(f"prune:sparsity={sparsity}").finished(model, generator_of(0))
    return model.state_dict()


@given(sparsity=st.floats(0.001, 0.999), seed=st.integers(0, 99))
def test_the_smallest_weights_of_all_layers_are_zero_and_the_rest_is_unchanged(
    sparsity: float, seed: int
) -> None:
    torch.manual_seed(seed)
    model = MLP((4,), width=6)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    after = pruned(model, sparsity)
    weights = [name for name, value in before.items() if value.dim() > 1]
    sizes = sorted((abs(float(x)), name, n) for name in weights for n, x in enumerate(before[name].flatten()))
    gone = {(name, n) for _, name, n in sizes[: int(sparsity * len(sizes))]}
    for name, value in before.items():
        for n, x in enumerate(value.flatten().tolist()):
            assert after[name].flatten()[n].item() == (0 if (name, n) in gone else x)


def test_of_equal_weights_the_first_are_zero_and_shares_are_read_as_written() -> None:
    model = MLP((4,), width=10)
    for p in model.parameters():
        nn.init.constant_(p, 0.5)
    after = pruned(model, 0.29)
    flat = torch.cat([value.flatten() for value in after.values() if value.dim() > 1])
    assert len(flat) == 150 and int(0.29 * 150) == 43
    assert not flat[:43].any() and bool((flat[43:] == 0.5).all())
    hundred = nn.Linear(10, 10)
    Prune(sparsity=0.29).finished(hundred, generator_of(0))  # type: ignore[arg-type]
    assert int((hundred.weight == 0).sum()) == 29


def test_convolutions_are_pruned_with_the_rest() -> None:
    torch.manual_seed(0)
    after = pruned(CNN3D((9, 10, 11), width=4), 0.9)
    weights = torch.cat([value.flatten() for value in after.values() if value.dim() > 1])
    assert int((weights == 0).sum()) == int(0.9 * len(weights) + 1e-9)


def test_the_written_model_is_the_trained_one_pruned(table: Cohort, tmp_path: Path) -> None:
    plain = go(table, tmp_path / "plain", None).load()
    written = go(table, tmp_path / "run", "prune:sparsity=0.6").load().state_dict()
    expected = pruned(plain, 0.6)
    assert all(torch.equal(value, expected[name]) for name, value in written.items())


def test_an_interrupted_training_ends_in_the_same_weights(
    table: Cohort, tmp_path: Path, interrupted_in_epoch: Interrupted
) -> None:
    assert_resumes(table, tmp_path, interrupted_in_epoch, "prune")


def test_of_a_federation_only_the_final_model_is_pruned(table: Cohort, tmp_path: Path) -> None:
    run = federated(table, tmp_path / "run", "prune")
    assert not (run.transcript.global_model(2)["hidden.0.weight"] == 0).any()
    weights = torch.cat([v.flatten() for v in run.load().state_dict().values() if v.dim() > 1])
    assert int((weights == 0).sum()) == len(weights) // 2


@pytest.mark.parametrize("sparsity", ["0", "1", "-1", "nan"])
def test_a_share_between_0_and_1_is_needed(sparsity: str) -> None:
    with pytest.raises(BadInputError, match="sparsity"):
        defence_from(f"prune:sparsity={sparsity}")
