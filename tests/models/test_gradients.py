from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from memberscan.models import ModelSpec, build
from memberscan.models.gradients import (
    _both_ways_agree,
    agrees_with_autograd,
    capture,
    capture_slowly,
    parameter_layers,
)

from .awkward import FOUND_OUT, SERVED, VECTOR, Mixing, SharedTwice

AGES = torch.tensor([51.0, 62.5, 70.0])


def sample(shape: tuple[int, ...], count: int = 3) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(count))


def ours(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    shape = (7,) if name == "mlp" else (9, 10, 11)
    model = build(ModelSpec(name, shape, {"width": 4})).eval()
    model.calibrate(model.moments(AGES), len(AGES))  # type: ignore[operator]
    return model, shape if name == "mlp" else (1, *shape)


def assert_alike(model: nn.Module, inputs: Tensor, entering: tuple[str, ...] = ()) -> None:
    layers = parameter_layers(model)
    fast = capture(model, inputs, AGES, layers=layers, entering=entering)
    slow = capture_slowly(model, inputs, AGES, layers=layers, entering=entering)
    torch.testing.assert_close(fast.predictions, slow.predictions)
    assert list(fast.gradients) == list(slow.gradients) == layers
    for path in layers:
        expected = slow.gradients[path]
        scale = float(expected.abs().max()) or 1.0
        torch.testing.assert_close(fast.gradients[path] / scale, expected / scale, rtol=1e-4, atol=1e-5)
    for path in entering:
        torch.testing.assert_close(fast.entered[path], slow.entered[path])


@pytest.mark.parametrize("name", ["cnn3d", "slice-mean", "mlp"])
def test_batched_gradients_of_our_models_are_those_of_autograd(name: str) -> None:
    model, shape = ours(name)
    assert_alike(model, sample(shape), entering=("output",))
    assert agrees_with_autograd(model, sample(shape, 2), parameter_layers(model), ["output"])


@pytest.mark.parametrize("name", SERVED)
def test_batched_gradients_of_users_models_are_those_of_autograd(name: str) -> None:
    model, shape = SERVED[name]
    assert_alike(model.eval(), sample(shape))
    assert agrees_with_autograd(model, sample(shape, 2), parameter_layers(model))


@pytest.mark.parametrize("name", FOUND_OUT)
def test_a_model_that_the_batched_route_gets_wrong_is_found_out(name: str) -> None:
    model, shape = FOUND_OUT[name]
    assert not agrees_with_autograd(model.eval(), sample(shape, 2), parameter_layers(model), ["output"])


def test_the_slow_route_is_the_gradient_of_the_squared_error_by_definition() -> None:
    model, inputs = SharedTwice(), sample(VECTOR)
    seen = capture_slowly(model, inputs, AGES, layers=["step"])
    for row, (x, age) in enumerate(zip(inputs, AGES, strict=True)):
        model.zero_grad()
        (age - model(x[None])).square().sum().backward()  # type: ignore[no-untyped-call]
        expected = torch.cat([p.grad.flatten() for p in model.step.parameters() if p.grad is not None])
        torch.testing.assert_close(seen.gradients["step"][row], expected)


@pytest.mark.parametrize("route", [capture, capture_slowly])
def test_frozen_parameters_have_gradients_too_and_stay_as_they_were(route: object) -> None:
    model, shape = ours("cnn3d")
    free = route(model, sample(shape), AGES, layers=["encoder.conv6"])  # type: ignore[operator]
    model.encoder.requires_grad_(False)  # type: ignore[union-attr, operator]
    before = [p.requires_grad for p in model.parameters()]
    assert len(set(before)) == 2
    frozen = route(model, sample(shape), AGES, layers=["encoder.conv6"])  # type: ignore[operator]
    torch.testing.assert_close(frozen.gradients["encoder.conv6"], free.gradients["encoder.conv6"])
    assert [p.requires_grad for p in model.parameters()] == before


@pytest.mark.parametrize("route", [capture, capture_slowly])
def test_nothing_is_left_behind_even_when_the_model_fails(route: object) -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.Linear(4, 1))
    with pytest.raises(RuntimeError):
        route(model, sample(VECTOR), AGES, layers=["0"], entering=["1"])  # type: ignore[operator]
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_no_gradient_reaches_the_inputs_or_the_parameters() -> None:
    model, shape = ours("cnn3d")
    inputs = sample(shape)
    capture(model, inputs, AGES, layers=parameter_layers(model))
    assert not inputs.requires_grad
    assert all(p.grad is None for p in model.parameters())


def test_layers_before_the_first_asked_for_have_no_backward_pass() -> None:
    model, shape = ours("cnn3d")
    inputs = sample(shape)

    def backwards(layers: list[str]) -> int:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            capture(model, inputs, AGES, layers=layers)
        return sum(
            e.count for e in profile.key_averages() if e.key == "aten::max_pool3d_with_indices_backward"
        )

    assert backwards(["output"]) == backwards(["encoder.conv6"]) == 0
    assert backwards(["encoder.blocks.0.conv"]) == 2


def test_what_enters_the_output_is_seen_without_gradients() -> None:
    model, shape = ours("mlp")
    seen = capture(model, sample(shape), AGES, entering=["output"])
    assert seen.gradients == {}
    expected = model.output(seen.entered["output"]).flatten() * model.age_spread + model.age_mean  # type: ignore[operator]
    torch.testing.assert_close(seen.predictions, expected)


def test_mixing_is_found_out_from_predictions_alone() -> None:
    assert not agrees_with_autograd(Mixing(), sample(VECTOR, 2), [])
    assert agrees_with_autograd(SharedTwice(), sample(VECTOR, 2), [])


def test_a_small_wrong_row_does_not_hide_behind_a_large_one() -> None:
    model, _ = FOUND_OUT["folded by slice"]
    inputs = sample((1, 7, 8, 9), 2) * torch.tensor([1e-3, 1.0]).reshape(2, 1, 1, 1, 1)
    assert not agrees_with_autograd(model, inputs, ["conv"])


def test_a_prediction_that_happens_to_be_right_does_not_hide_a_wrong_gradient() -> None:
    class Right(Mixing):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs) * 1e-4

    assert not agrees_with_autograd(Right(), sample(VECTOR, 2), ["hidden"])


class NearlyTied(nn.Module):
    """Takes the larger of two equal values, of which one is rounded as the size of the batch says."""

    def __init__(self, *, mixes: float = 0.0) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 1), nn.Linear(6, 1)
        self.second.load_state_dict(self.first.state_dict())
        self.mixes = mixes

    def forward(self, inputs: Tensor) -> Tensor:
        first, second = self.first(inputs), self.second(inputs)
        if inputs.dtype == torch.float32:
            second = second * (1 + (len(inputs) - 1.5) * 1e-6)
        larger = torch.maximum(first, second)
        return larger + self.mixes * larger.mean()


def test_a_tie_that_rounding_decides_is_no_disagreement() -> None:
    model, inputs = NearlyTied(), sample(VECTOR, 2)
    layers = parameter_layers(model)
    assert not _both_ways_agree(model, inputs, layers, [])
    assert agrees_with_autograd(model, inputs, layers)
    assert not agrees_with_autograd(NearlyTied(mixes=1e-2), inputs, layers)
