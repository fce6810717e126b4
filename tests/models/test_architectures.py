from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from memberscan.errors import ModelError
from memberscan.models import CNN3D, MLP, AgeRegressor, ModelSpec, SliceMean, build
from memberscan.models.encoder import block_count
from memberscan.models.footprint import describe, footprint

PAPER_GRID = (91, 109, 91)


def on_meta(name: str, grid: tuple[int, ...] = PAPER_GRID) -> AgeRegressor:
    with torch.device("meta"):
        model = build(ModelSpec(name, grid))
    assert isinstance(model, AgeRegressor)
    return model


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def small(name: str) -> tuple[AgeRegressor, Tensor]:
    torch.manual_seed(0)
    shape = (7,) if name == "mlp" else (9, 10, 11)
    model = build(ModelSpec(name, shape, {"width": 4})).eval()
    assert isinstance(model, AgeRegressor)
    model.calibrate(model.moments(torch.tensor([50.0, 60.0, 75.0])), 3)
    return model, torch.randn(5, *(shape if name == "mlp" else (1, *shape)))


@pytest.mark.parametrize(
    ("name", "total", "landmarks"),
    [
        ("cnn3d", 2_948_801, {"conv1": 896, "conv6": 16_448, "output": 65}),
        ("slice-mean", 998_625, {"conv1": 320, "conv6": 16_448, "output": 65}),
    ],
)
def test_models_have_the_papers_parameters(name: str, total: int, landmarks: dict[str, int]) -> None:
    model = on_meta(name)
    assert count(model) == total
    assert {k: count(model.get_submodule(path)) for k, path in model.landmarks.items()} == landmarks


def test_the_slice_mean_embeds_each_slice_in_32_features() -> None:
    model = on_meta("slice-mean")
    assert isinstance(model, SliceMean)
    assert (count(model.embed), count(model.hidden)) == (2080, 32 * 64 + 64)


@pytest.mark.parametrize("name", ["cnn3d", "slice-mean"])
@pytest.mark.parametrize(
    ("grid", "blocks"),
    [(PAPER_GRID, 5), ((46, 55, 46), 4), ((30, 36, 30), 3), ((16, 19, 16), 3), ((4, 5, 7), 1)],
)
def test_blocks_leave_two_voxels_along_every_axis(name: str, grid: tuple[int, ...], blocks: int) -> None:
    model = on_meta(name, grid)
    assert isinstance(model, (CNN3D, SliceMean))
    assert len(model.encoder.blocks) == blocks
    assert model.encoder.conv6.in_channels == (32, 64, 128, 256, 256)[blocks - 1]
    assert model.encoder.features == 64


def test_the_volume_left_before_conv6_is_the_papers() -> None:
    model = on_meta("cnn3d")
    assert isinstance(model, CNN3D)
    assert model.encoder.blocks(torch.zeros(1, 1, *PAPER_GRID, device="meta")).shape == (1, 256, 2, 3, 2)


def test_blocks_are_conv_norm_pool_rectifier_and_the_norm_has_nothing_of_its_own() -> None:
    model = on_meta("cnn3d")
    assert isinstance(model, CNN3D)
    kinds = [type(layer) for layer in model.encoder.blocks[0].children()]
    assert kinds == [nn.Conv3d, nn.InstanceNorm3d, nn.MaxPool3d, nn.ReLU]
    assert not list(model.encoder.blocks[0].norm.state_dict())


@pytest.mark.parametrize("grid", [(3, 9, 9), (9, 9, 3), (1, 2, 3)])
def test_a_grid_too_small_is_an_error_that_names_it(grid: tuple[int, int, int]) -> None:
    with pytest.raises(ModelError, match="x".join(map(str, grid)) + ".*finer spacing"):
        block_count(grid)


@pytest.mark.parametrize("name", ["cnn3d", "slice-mean", "mlp"])
def test_the_output_bias_of_zero_is_the_mean_age(name: str) -> None:
    model, inputs = small(name)
    output = model.get_submodule(model.landmarks["output"])
    assert isinstance(output, (nn.Linear, nn.Conv3d))
    assert not output.bias.any()
    nn.init.zeros_(output.weight)
    torch.testing.assert_close(model(inputs), torch.full((5,), (50.0 + 60 + 75) / 3))


@pytest.mark.parametrize("name", ["cnn3d", "slice-mean", "mlp"])
def test_a_batch_gives_what_its_scans_give_one_at_a_time(name: str) -> None:
    model, inputs = small(name)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    together = model(inputs)
    assert together.shape == (5,)
    assert together.std() > 1e-3
    torch.testing.assert_close(together, torch.cat([model(x) for x in inputs.split(1)]))


def test_equal_ages_and_a_single_age_leave_a_usable_scale() -> None:
    for ages in (torch.tensor([60.0, 60.0]), torch.tensor([60.0])):
        model = MLP((3,))
        model.calibrate(model.moments(ages, torch.ones(len(ages), 3)), len(ages))
        assert torch.isfinite(model(torch.randn(2, 3))).all()
        assert model.age_spread > 0


def test_features_are_standardised_by_buffers_and_constant_ones_are_left_alone() -> None:
    model = MLP((2,))
    model.calibrate(model.moments(torch.tensor([50.0, 70.0]), torch.tensor([[1.0, 5.0], [3.0, 5.0]])), 2)
    assert model.feature_mean.tolist() == [2, 5]
    torch.testing.assert_close(model.feature_spread, torch.tensor([2**0.5, 1.0]))
    assert {"age_mean", "age_spread", "feature_mean", "feature_spread"} <= set(model.state_dict())


def test_the_footprint_counts_the_output_of_every_layer() -> None:
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 1))
    size = footprint(model, torch.zeros(1, 3))
    assert (size.parameters, size.parameter_bytes) == (26, 104)
    assert size.activation_bytes == 4 * (5 + 5 + 1)


def test_models_are_described_without_being_computed_and_one_that_does_not_fit_gives_the_reason() -> None:
    rows = {row["model"]: row for row in describe(PAPER_GRID)}
    assert rows["cnn3d"]["parameters"] == 2_948_801
    assert rows["cnn3d"]["landmarks"]["conv1"] == {"path": "encoder.blocks.0.conv", "parameters": 896}  # type: ignore[index]
    assert rows["cnn3d"]["activation_bytes_per_scan"] > 4 * 32 * 91 * 109 * 91  # type: ignore[operator]
    assert all("finer spacing" in str(row["reason"]) for row in describe((3, 3, 3)) if row["model"] != "mlp")
