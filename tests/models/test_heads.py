"""Every head's formulas agree with autograd; networks and per-sample gradients take them from it."""

from __future__ import annotations

from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from memberscan.errors import ModelError
from memberscan.models import AgeRegressor, ModelSpec, build, heads
from memberscan.models.gradients import (
    capture,
    capture_slowly,
    parameter_layers,
    sample_gradients,
    set_gradients,
)
from memberscan.models.heads import (
    HEADS,
    Bins,
    Classes,
    Head,
    Quantiles,
    SquaredError,
    head_named,
    head_of,
    loss_derivatives,
)

AGES = torch.tensor([51.0, 62.5, 70.0, 44.0])


class Laplace(Head):
    """Two outputs, the median and the log of the scale: the negative log-likelihood of a Laplace law."""

    name: ClassVar = "test-laplace"
    outputs = 2

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        median, log_scale = outputs.unbind(1)
        return (targets - median).abs() / log_scale.exp() + log_scale

    def derivative(self, outputs: Tensor, targets: Tensor) -> Tensor:
        median, log_scale = outputs.unbind(1)
        scale = log_scale.exp()
        return torch.stack([(median - targets).sign() / scale, 1 - (targets - median).abs() / scale], dim=1)

    def prediction(self, outputs: Tensor) -> Tensor:
        return outputs[:, 0]

    def in_unit(self, outputs: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
        return torch.stack([outputs[:, 0] * spread + mean, outputs[:, 1] + spread.log()], dim=1)

    def loss_in_unit(self, loss: float, spread: float) -> float:
        return loss + float(np.log(spread))


ALL = [*HEADS.values(), Laplace()]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the test's head as a new one is: by one entry."""
    monkeypatch.setattr(heads, "HEADS", MappingProxyType({head.name: head for head in ALL}))


def some(head: Head) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    outputs = torch.randn(6, head.outputs, generator=generator, dtype=torch.float64)
    targets = torch.randn(6, generator=generator, dtype=torch.float64)
    return outputs, targets if head.standardised else torch.arange(6.0).double() % head.outputs


def labels(head: Head) -> Tensor:
    """Return ages, or classes."""
    return AGES if head.standardised else torch.tensor([0.0, 1.0, 1.0, 0.0])


@pytest.mark.parametrize("head", ALL, ids=lambda head: head.name)
def test_the_derivative_is_that_of_the_loss(head: Head) -> None:
    outputs, targets = some(head)
    leaf = outputs.clone().requires_grad_()
    (expected,) = torch.autograd.grad(head.loss(leaf, targets).sum(), leaf)
    torch.testing.assert_close(head.derivative(outputs, targets), expected)
    found = loss_derivatives(head, outputs.numpy(), targets.numpy())
    np.testing.assert_allclose(found, expected.numpy())
    assert found.dtype == np.float64


@pytest.mark.parametrize("head", ALL, ids=lambda head: head.name)
def test_the_loss_in_years_is_the_loss_of_the_outputs_in_years(head: Head) -> None:
    outputs, targets = some(head)
    mean, spread = torch.tensor(61.0).double(), torch.tensor(9.5).double()
    in_years = head.in_unit(outputs, mean, spread)
    expected = head.loss(in_years, targets * spread + mean if head.standardised else targets).mean()
    found = head.loss_in_unit(float(head.loss(outputs, targets).mean()), float(spread))
    assert found == pytest.approx(float(expected), rel=1e-9)
    if head.standardised:
        torch.testing.assert_close(head.prediction(in_years), head.prediction(outputs) * spread + mean)
    assert float(head.loss(outputs, targets).min()) >= head.least_loss


def network(name: str, head: str) -> tuple[AgeRegressor, Tensor]:
    torch.manual_seed(0)
    shape = (7,) if name == "mlp" else (9, 10, 11)
    model = build(ModelSpec(name, shape, {"width": 4, "head": head})).eval()
    assert isinstance(model, AgeRegressor)
    model.calibrate(model.moments(AGES), len(AGES))
    nn.init.normal_(model.output.bias)  # type: ignore[arg-type]
    return model, torch.randn(4, *(shape if name == "mlp" else (1, *shape)))


@pytest.mark.parametrize("name", ["cnn3d", "slice-mean", "mlp"])
@pytest.mark.parametrize("head", ALL, ids=lambda head: head.name)
def test_a_network_gives_the_heads_outputs_and_per_sample_gradients_of_its_loss(
    name: str, head: Head
) -> None:
    model, inputs = network(name, head.name)
    assert model(inputs).shape == (4,)
    assert model.standard_outputs(inputs).shape == (4, head.outputs)
    torch.testing.assert_close(model(inputs), head.prediction(model.outputs(inputs)))
    layers = parameter_layers(model)
    fast, slow = (take(model, inputs, labels(head), layers=layers) for take in (capture, capture_slowly))
    for path in layers:
        rows = []
        for place in range(4):
            model.zero_grad()
            loss = head.loss(model.outputs(inputs[place : place + 1]), labels(head)[place : place + 1])
            loss.sum().backward()
            rows.append(torch.cat([p.grad.flatten() for p in model.get_submodule(path).parameters()]))  # type: ignore[union-attr]
        expected = torch.stack(rows)
        scale = float(expected.abs().max()) or 1.0
        for found in (fast, slow):
            torch.testing.assert_close(found.gradients[path] / scale, expected / scale, rtol=1e-3, atol=1e-4)
    answers = head.answer(model.outputs(inputs), labels(head)).detach()
    torch.testing.assert_close(fast.predictions, answers)


@pytest.mark.parametrize("head", ALL, ids=lambda head: head.name)
def test_the_mean_of_per_sample_gradients_is_the_gradient_of_a_training_step(head: Head) -> None:
    model, inputs = network("cnn3d", head.name)
    model.train()
    targets = (labels(head) - model.age_mean) / model.age_spread
    head.loss(model.standard_outputs(inputs), targets).mean().backward()  # type: ignore[no-untyped-call]
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}  # type: ignore[union-attr]
    model.zero_grad()
    outputs, rows = sample_gradients(
        model, lambda: model.standard_outputs(inputs), lambda found: head.derivative(found, targets)
    )
    torch.testing.assert_close(outputs, model.standard_outputs(inputs).detach())
    set_gradients(model, {path: values.mean(dim=0) for path, values in rows.items()})
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.grad, expected[name], rtol=1e-3, atol=1e-5)
    assert all(p.requires_grad for p in model.parameters())


def test_an_unknown_head_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="head 'softmax' is unknown; choose squared-error or gaussian"):
        build(ModelSpec("mlp", (3,), {"head": "softmax"}))
    with pytest.raises(ModelError, match="unknown"):
        head_named(["squared-error"])  # type: ignore[arg-type]


def test_a_network_that_users_bring_is_judged_by_squared_error() -> None:
    assert isinstance(head_of(nn.Linear(3, 1)), SquaredError)
    brought = nn.Sequential(nn.Linear(3, 1))
    brought.head = nn.Linear(1, 1)  # a layer of that name is no head
    assert isinstance(head_of(brought), SquaredError)


def test_squared_error_is_torchs_to_the_last_bit() -> None:
    generator = torch.Generator().manual_seed(2)
    outputs, targets = torch.randn(7, 1, generator=generator), torch.randn(7, generator=generator)
    gradients, losses = [], []
    for loss in (
        lambda leaf: SquaredError().loss(leaf, targets).mean(),
        lambda leaf: nn.functional.mse_loss(leaf.flatten(), targets),
    ):
        leaf = outputs.clone().requires_grad_()
        losses.append(loss(leaf))
        gradients.append(torch.autograd.grad(losses[-1], leaf)[0])
    assert torch.equal(losses[0], losses[1])
    assert torch.equal(gradients[0], gradients[1])


def test_a_gaussian_s_loss_is_torchs() -> None:
    outputs, targets = some(HEADS["gaussian"])
    expected = nn.functional.gaussian_nll_loss(
        outputs[:, 0], targets, outputs[:, 1].exp(), reduction="none", eps=0
    )
    torch.testing.assert_close(HEADS["gaussian"].loss(outputs, targets), expected)


def test_the_least_pinball_loss_is_at_the_quantiles() -> None:
    head = HEADS["quantiles"]
    targets = torch.from_numpy(np.random.default_rng(0).normal(size=4001))
    levels = torch.tensor(Quantiles().levels, dtype=torch.float64)
    best = torch.quantile(targets, levels)
    loss = head.loss(best.expand(len(targets), -1), targets).mean()
    for place in range(len(levels)):
        for step in (-0.05, 0.05):
            moved = best.clone()
            moved[place] += step
            assert head.loss(moved.expand(len(targets), -1), targets).mean() > loss


def test_a_soft_label_is_a_normal_law_that_sums_to_one_and_a_perfect_distribution_has_no_loss() -> None:
    head = HEADS["bins"]
    assert isinstance(head, Bins)
    targets = torch.tensor([-9.0, -3.0, 0.0, 0.4, 2.95, 7.0], dtype=torch.float64)
    _, label = head._compared(torch.zeros(6, 40, dtype=torch.float64), targets)
    torch.testing.assert_close(label.sum(dim=1), torch.ones(6).double())
    edges = np.linspace(-3, 3, 41)
    for row, target in zip(label.numpy(), targets.tolist(), strict=True):
        below = stats.norm.cdf(edges, target, 0.15)
        below[[0, -1]] = 0, 1
        np.testing.assert_allclose(row, np.diff(below), atol=1e-12)
    inner = targets[2:4]
    perfect = label[2:4].clamp_min(1e-300).log()
    torch.testing.assert_close(head.loss(perfect, inner), torch.zeros(2).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(head.prediction(perfect), inner, atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", ["gaussian", "quantiles", "bins"])
def test_uncertainty_is_in_the_unit_of_the_outputs(name: str) -> None:
    head = HEADS[name]
    outputs, _ = some(head)
    in_years = head.in_unit(outputs, torch.tensor(61.0).double(), torch.tensor(9.5).double())
    scale = 1 if name == "bins" else 9.5
    torch.testing.assert_close(head.uncertainty(in_years), head.uncertainty(outputs) * scale)
    assert (head.uncertainty(outputs) > 0).all()
    assert HEADS["squared-error"].uncertainty(outputs[:, :1]) is None


def test_probabilities_near_one_keep_their_digits_and_the_loss_is_the_cross_entropy() -> None:
    head = Classes(3)
    outputs = torch.tensor([[40.0, 0.0, -1.0], [0.3, -2.0, 1.0], [5.0, 5.0, 5.0]])
    own = torch.tensor([0.0, 2.0, 1.0])
    expected = torch.nn.functional.cross_entropy(outputs.double(), own.long(), reduction="none")
    torch.testing.assert_close(head.loss(outputs, own).double(), expected, rtol=1e-5, atol=1e-12)
    assert float(head.answer(outputs, own)[0]) == pytest.approx(-np.exp(-40) * (1 + np.exp(-1)), rel=1e-5)
    torch.testing.assert_close(head.uncertainty(outputs)[2], torch.tensor(3.0).log())
    with pytest.raises(ModelError, match=r"classes=1: .* from 2 to 20"):
        Classes(1)
