"""quantize rounds weights to few values of each output channel, and nothing else."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memberscan.cohort import Cohort
from memberscan.defences import defence_from
from memberscan.defences.defence import generator_of
from memberscan.defences.finished_weights import weights_of
from memberscan.defences.quantize import multiples, ternary
from memberscan.errors import BadInputError
from memberscan.models import CNN3D, AgeRegressor

from ..conftest import Interrupted
from .lab import assert_resumes, go


def quantized(model: AgeRegressor, bits: str) -> dict[str, torch.Tensor]:
    defence_from(f"quantize:bits={bits}").finished(model, generator_of(0))
    return model.state_dict()


@pytest.mark.parametrize(("bits", "most"), [(8, 127), (4, 7)])
@given(seed=st.integers(0, 99))
def test_weights_become_the_nearest_multiples_of_their_channels_scale(
    bits: int, most: int, seed: int
) -> None:
    rows = np.random.default_rng(seed).normal(size=(3, 20))
    found = multiples(torch.from_numpy(rows), bits).numpy()
    for row, after in zip(rows, found, strict=True):
        grid = np.abs(row).max() / most * np.arange(-most, most + 1)
        nearest = np.abs(row[:, None] - grid).min(axis=1)
        np.testing.assert_allclose(np.abs(row - after), nearest, atol=1e-12)
        assert np.abs(after[:, None] - grid).min(axis=1).max() < 1e-12


@given(
    rows=st.lists(
        st.lists(st.sampled_from([-3.0, -1.0, -0.4, 0.0, 0.5, 1.0, 2.0]), min_size=5, max_size=5),
        min_size=1,
        max_size=3,
    )
)
def test_ternary_weights_are_the_best_ones_of_their_channel(rows: list[list[float]]) -> None:
    found = ternary(torch.tensor(rows, dtype=torch.float64)).numpy()
    for row, after in zip(np.array(rows), found, strict=True):
        assert len(set(np.abs(after[after != 0]))) <= 1
        errors = [((row - scale_of(row, signs) * signs) ** 2).sum() for signs in all_signs(len(row))]
        assert ((row - after) ** 2).sum() == pytest.approx(min(errors), abs=1e-12)


def all_signs(count: int) -> list[np.ndarray]:
    return [np.array(signs) for signs in itertools.product((-1, 0, 1), repeat=count)]


def scale_of(row: np.ndarray, signs: np.ndarray) -> float:
    """Return the best scale for given signs, by least squares."""
    return float(max(row @ signs, 0) / max(signs @ signs, 1))


@pytest.mark.parametrize("bits", ["8", "4", "ternary"])
def test_a_channel_of_zeros_stays_zero_and_zeros_stay_zero(bits: str) -> None:
    model = CNN3D((9, 10, 11), width=4)
    *_, inner, output = weights_of(model)
    torch.nn.init.zeros_(output)
    with torch.no_grad():
        inner[:, ::2] = 0
    quantized(model, bits)
    assert not output.any() and not inner[:, ::2].any() and inner.any()


@pytest.mark.parametrize(("bits", "most"), [("8", 255), ("4", 15), ("ternary", 3)])
def test_only_weights_change_and_each_channel_has_few_values(bits: str, most: int) -> None:
    torch.manual_seed(0)
    model = CNN3D((9, 10, 11), width=4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for name, value in quantized(model, bits).items():
        assert value.dtype == torch.float32
        if value.dim() > 1:
            assert not torch.equal(value, before[name])
            assert all(len(set(row.tolist())) <= most for row in value.flatten(1))
        else:
            assert torch.equal(value, before[name])


def test_the_written_model_is_the_trained_one_rounded(table: Cohort, tmp_path: Path) -> None:
    plain = go(table, tmp_path / "plain", None).load()
    written = go(table, tmp_path / "run", "quantize:bits=4").load().state_dict()
    expected = quantized(plain, "4")
    assert all(torch.equal(value, expected[name]) for name, value in written.items())


def test_a_pruned_model_stays_pruned(table: Cohort, tmp_path: Path) -> None:
    pruned = go(table, tmp_path / "pruned", "prune:sparsity=0.7").load().state_dict()
    both = go(table, tmp_path / "both", "prune:sparsity=0.7+quantize").load().state_dict()
    for name, value in pruned.items():
        assert value.dim() < 2 or not both[name][value == 0].any()


@pytest.mark.parametrize("bits", ["8", "ternary"])
def test_an_interrupted_training_ends_in_the_same_weights(
    table: Cohort, tmp_path: Path, interrupted_in_epoch: Interrupted, bits: str
) -> None:
    assert_resumes(table, tmp_path, interrupted_in_epoch, f"quantize:bits={bits}")


def test_other_numbers_of_bits_are_refused() -> None:
    with pytest.raises(BadInputError, match="bits is '2'; choose 8, 4 or ternary"):
        defence_from("quantize:bits=2")
