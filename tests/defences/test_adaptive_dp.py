"""adaptive-dp: the step size decays, noise grows with it, and epsilon is composed over steps of any noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from opacus.accountants import RDPAccountant
from scipy import stats

from memberscan.cohort import Cohort
from memberscan.defences import defence_from
from memberscan.defences.accountant import epsilon_of, noise_for
from memberscan.defences.adaptive_dp import AdaptiveDP
from memberscan.defences.defence import TrainingSize
from memberscan.errors import BadInputError
from memberscan.training import TrainingConfig, loop

from ..conftest import Interrupted
from .lab import assert_resumes, federated, go, gradients_of, step


def slow_step_size(epoch: int, decay: float) -> float:
    """Naive twin: divide by 2^decay for each power of two from 2 to the number of the epoch."""
    factor, power = 1.0, 2
    while power <= epoch + 1:
        factor, power = factor / 2**decay, 2 * power
    return factor


@given(st.integers(0, 5000), st.floats(0, 1))
def test_the_step_size_falls_as_a_power_of_the_epoch(epoch: int, decay: float) -> None:
    found = AdaptiveDP(noise=1, decay=decay).step_size(epoch)
    assert found == pytest.approx(slow_step_size(epoch, decay))
    smooth = (epoch + 1.0) ** -decay
    assert smooth <= found * (1 + 1e-12) and found <= smooth * 2**decay * (1 + 1e-12)


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=12))
def test_no_other_noise_adds_less_at_the_same_cost_of_privacy(sizes: list[float]) -> None:
    def added(square: Sequence[float]) -> float:
        """Return the noise added to the weights, with noise scaled so that the cost of privacy is 1."""
        cost = sum(1 / a for a in square)
        return sum(e**2 * a * cost for e, a in zip(sizes, square, strict=True))

    rule = [1 / e for e in sizes]
    assert added(rule) == pytest.approx(sum(sizes) ** 2)
    for power in (0.0, 0.5, 1.5, 2.0):
        assert added(rule) <= added([a**power for a in rule]) * (1 + 1e-9)


def test_the_noise_follows_the_rule_for_the_steps_of_the_loop(
    table: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []

    def recording(model: object, optimizer: torch.optim.Optimizer, *given: object, **named: object) -> float:
        found = plain(model, optimizer, *given, **named)  # type: ignore[arg-type]
        rates.append(optimizer.param_groups[0]["lr"])
        return found

    plain = loop.train_epoch
    monkeypatch.setattr(loop, "train_epoch", recording)
    go(table, tmp_path / "run", "adaptive-dp:noise=2,decay=0.8", epochs=5, learning_rate=0.01)
    defence = AdaptiveDP(noise=2, decay=0.8)
    expected = [0.01 / defence.relative_noise(epoch) ** 2 for epoch in range(5)]
    assert rates == pytest.approx(expected) and len(set(rates)) == 3


@pytest.mark.parametrize(
    ("given", "exponent"), [("noise=1.5,clip=0.4,decay=1", 0.5), ("noise=1.5,clip=0.4,adaptation=1", 0.5)]
)
@pytest.mark.parametrize("epoch", [0, 4])
def test_the_noise_of_a_step_has_the_stated_law(given: str, exponent: float, epoch: int) -> None:
    defence, nobody = defence_from(f"adaptive-dp:{given}"), torch.zeros(0)
    drawn = []
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        one = step(
            inputs=torch.zeros(0, 4), targets=nobody, people=nobody.long(), epoch=epoch, generator=generator
        )
        defence.gradients(one)
        drawn.append(gradients_of(one.model))
    # The learning rate of the fifth epoch is a half or a quarter; noise is that to the minus 1/2, or minus 1.
    spread = 1.5 * 0.4 * (4**exponent if epoch else 1) / 6
    z = (torch.stack(drawn) / spread).double().numpy()
    assert stats.kstest(z.flatten(), "norm").pvalue > 1e-3
    assert np.std(z) == pytest.approx(1, abs=5 / (2 * z.size) ** 0.5)


def slow_epsilon(noises: Sequence[float], rate: float, delta: float) -> float:
    """Naive twin: Opacus' accountant, told of one step after the other."""
    accountant = RDPAccountant()
    for noise in noises:
        accountant.step(noise_multiplier=noise, sample_rate=rate)
    return accountant.get_epsilon(delta=delta)


@pytest.mark.parametrize("noises", [[0.8, 0.8, 1.1, 1.1, 1.1], [3.0, 1.0, 2.0, 1.0], [0.6]])
def test_epsilon_of_steps_with_different_noise_is_that_of_opacus(noises: list[float]) -> None:
    groups = tuple((noise / 2, noises.count(noise)) for noise in dict.fromkeys(noises))
    expected = slow_epsilon(noises, 0.2, 1e-3)
    assert epsilon_of(2.0, 0.2, groups, 1e-3) == pytest.approx(expected, rel=1e-9)


def test_one_noise_in_several_groups_costs_what_it_costs_in_one() -> None:
    assert epsilon_of(1.0, 0.2, ((1.0, 12),), 1e-2) == epsilon_of(1.0, 0.2, 12, 1e-2)
    split = epsilon_of(1.0, 0.2, ((1.0, 5), (1.0, 7)), 1e-2)
    assert split == pytest.approx(epsilon_of(1.0, 0.2, 12, 1e-2), rel=1e-12)
    assert noise_for(4, 1.0, ((1.0, 12),), 1e-2) == noise_for(4, 1.0, 12, 1e-2)


def test_the_guarantee_is_composed_over_all_steps_of_all_epochs() -> None:
    size = TrainingSize(people=40, scans=50, batch_size=10, epochs=5)
    defence = AdaptiveDP(noise=1.3, decay=1, delta=1e-3)
    noises = [1.3 * slow_step_size(epoch, 1) ** -0.5 for epoch in range(5) for _ in range(4)]
    stated = defence.guarantee(size)
    assert stated.epsilon == pytest.approx(slow_epsilon(noises, 0.25, 1e-3), rel=1e-9)
    assert "noise 1.3 (first epoch) to 2.6 (last epoch) times" in stated.statement
    assert "in each of 20 steps" in stated.statement


def test_at_equal_epsilon_the_first_noise_is_lower_than_dp_sgds_and_the_last_higher() -> None:
    # Each step draws everybody, for which the accountant has a closed form.
    size = TrainingSize(people=40, scans=40, batch_size=40, epochs=7)
    plain, adaptive = defence_from("dp-sgd:epsilon=4"), AdaptiveDP(epsilon=4)
    stated = [each.guarantee(size) for each in (plain, adaptive)]
    epsilons = [each.epsilon for each in stated if each is not None]
    assert epsilons == pytest.approx([4, 4], rel=0.01) and max(epsilons) <= 4
    constant = noise_for(4, 1.0, 7, 1e-2)
    groups = tuple((2 ** (k / 4), 2**k) for k in range(3))
    first = noise_for(4, 1.0, groups, 1e-2)
    assert first < constant < first * adaptive.relative_noise(6)
    assert f"noise {first:.3g} (first epoch)" in adaptive.guarantee(size).statement


def test_with_a_constant_step_size_it_is_dp_sgd(table: Cohort, tmp_path: Path) -> None:
    runs = [
        go(table, tmp_path / name, text)
        for name, text in (("plain", "dp-sgd:noise=1"), ("constant", "adaptive-dp:noise=1,decay=0"))
    ]
    assert runs[0].weights_fingerprint == runs[1].weights_fingerprint
    assert runs[0].training["guarantee"] == runs[1].training["guarantee"]


def test_an_interrupted_training_ends_in_the_same_weights(
    table: Cohort, tmp_path: Path, interrupted_in_epoch: Interrupted
) -> None:
    assert_resumes(table, tmp_path, interrupted_in_epoch, "adaptive-dp:noise=1,decay=1")


def test_each_learner_of_a_federation_has_its_own_guarantee(table: Cohort, tmp_path: Path) -> None:
    run = federated(table, tmp_path / "run", "adaptive-dp:noise=1,decay=1")
    assert run.transcript is not None
    for learner in run.transcript.learners:
        stated = run.training["guarantee"][learner]
        assert stated["epsilon"] > 0
        # Two rounds of one epoch: the learning rate halves in the second.
        assert "noise 1 (first epoch) to 1.41 (last epoch)" in stated["statement"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adaptive-dp", "either epsilon"),
        ("adaptive-dp:epsilon=1,decay=-1", "decay"),
        ("adaptive-dp:epsilon=1,decay=2", "decay"),
        ("adaptive-dp:epsilon=1,adaptation=nan", "adaptation"),
        ("adaptive-dp:epsilon=1+dp-sgd:epsilon=1", "AdaptiveDP and DPSGD both decide"),
        ("adaptive-dp:epsilon=1+mixup", "Mixup mixes people"),
    ],
)
def test_impossible_parameters_are_refused(text: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        TrainingConfig(defence=text)


def test_the_step_size_decays_beside_another_defence() -> None:
    assert defence_from("adaptive-dp:noise=1,decay=1+prune").step_size(4) == 0.25
    assert defence_from("dp-sgd:noise=1+prune").step_size(4) == 1
