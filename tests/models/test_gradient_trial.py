"""Networks that hide their gradients are found out, and those that only look odd are served."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from memberscan.models.gradient_trial import GradientTrial, try_activation, try_gradients
from memberscan.models.gradients import agrees_with_autograd, capture_slowly, parameter_layers

from .awkward import CUT, FOUND_OUT, SERVED, SILENT, WHOLE

INPUTS = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
OTHERS = {**SERVED, **FOUND_OUT}


@pytest.mark.parametrize("name", SILENT)
def test_a_network_without_gradients_says_so(name: str) -> None:
    trial = try_gradients(SILENT[name].eval(), INPUTS)
    assert trial.failure is not None and "no gradient reaches the model's parameters" in trial.failure
    assert trial.obstacle(None) == trial.obstacle(["output"]) == trial.failure


@pytest.mark.parametrize("name", CUT)
def test_a_layer_behind_a_cut_is_named_and_the_others_are_served(name: str) -> None:
    trial = try_gradients(CUT[name].eval(), INPUTS)
    assert trial == GradientTrial(None, ("hidden",))
    assert trial.obstacle(["output"]) is None
    for layers in (["hidden", "output"], None):
        assert "no gradient reaches hidden, though the predictions depend on it" in str(
            trial.obstacle(layers)
        )


@pytest.mark.parametrize("name", WHOLE)
def test_a_network_that_only_looks_odd_gives_its_gradients(name: str) -> None:
    network = WHOLE[name].eval()
    assert try_gradients(network, INPUTS) == GradientTrial()
    layers = parameter_layers(network)
    assert layers == ["hidden", "output"]
    gradients = capture_slowly(network, INPUTS, torch.zeros(2), layers=layers).gradients
    naive = []
    for p in network.parameters():
        p.requires_grad_(True)
    for x in INPUTS:
        network.zero_grad()
        network(x[None].clone()).square().sum().backward()
        naive.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    torch.testing.assert_close(torch.cat([gradients[path] for path in layers], dim=1), torch.stack(naive))
    assert agrees_with_autograd(network, INPUTS, layers) == (name != "TorchScript")


@pytest.mark.parametrize("name", OTHERS)
def test_the_networks_that_users_bring_pass_and_are_left_as_they_were(name: str) -> None:
    network, shape = OTHERS[name]
    before = {key: value.clone() for key, value in network.state_dict().items()}
    trial = try_gradients(network.eval(), torch.randn(2, *shape))
    assert trial == GradientTrial()
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_network_is_put_back_after_the_trial() -> None:
    network = CUT["detached features"].eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    try_gradients(network, INPUTS)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_gradients_that_are_nan_are_no_gradients() -> None:
    class Root(nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return (super().forward(input) * 0).sqrt() + 60

    assert "NaN" in str(try_gradients(Root(6, 1), INPUTS).failure)
    assert "no parameters" in str(try_gradients(nn.Flatten(0), INPUTS[:, :1]).failure)


def test_what_enters_a_layer_of_torchscript_cannot_be_watched() -> None:
    assert try_activation(WHOLE["checkpoint"], INPUTS, "output") is None
    assert try_activation(SILENT["no_grad"], INPUTS, "output") is None
    assert "output cannot be recorded" in str(try_activation(WHOLE["TorchScript"], INPUTS, "output"))
