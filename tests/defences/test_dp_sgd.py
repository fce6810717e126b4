"""DP-SGD: each person's gradient is clipped as one, and the noise and the draw of people have their law."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from opacus.accountants import RDPAccountant
from scipy import stats
from torch import Tensor, nn

from memberscan.cohort import Cohort
from memberscan.defences import defence_from
from memberscan.defences.accountant import epsilon_of, noise_for
from memberscan.defences.defence import Step, TrainingSize, generator_of
from memberscan.errors import BadInputError, FederationError, ModelError
from memberscan.models import CNN3D, MLP, AgeRegressor
from memberscan.models.gradients import parameter_layers
from memberscan.runs import Role
from memberscan.training import TrainingConfig, train

from ..conftest import Interrupted
from .lab import assert_resumes, federated, go, gradients_of

WITHOUT_NOISE = "dp-sgd:noise=1e-9,clip={}"


def step(model: AgeRegressor, inputs: Tensor, people: list[int], *, among: int, seed: int = 1) -> Step:
    size = TrainingSize(people=among, scans=2 * among, batch_size=among, epochs=3)
    precise = torch.autocast("cpu", dtype=torch.bfloat16, enabled=False)
    targets = torch.linspace(-1, 2, len(people))
    return Step(model.train(), inputs, targets, torch.tensor(people), size, 0, precise, generator_of(seed))


def slow_sum(step: Step, clip: float) -> Tensor:
    """Naive twin: a backward pass for each person, over the mean loss of that person's scans."""
    total = torch.zeros(sum(p.numel() for p in step.model.parameters()))
    for person in step.people.unique():
        own = step.people == person
        loss = step.model.head.loss(step.model.standard_outputs(step.inputs[own]), step.targets[own]).mean()
        found = torch.autograd.grad(loss, list(step.model.parameters()))
        gradient = torch.cat([g.flatten() for g in found])
        total += gradient * min(1.0, clip / float(gradient.norm()))
    return total


@pytest.fixture
def mlp() -> AgeRegressor:
    torch.manual_seed(0)
    return MLP((4,), width=5)


@pytest.mark.parametrize("clip", [1e-3, 0.5, 1e6])
@pytest.mark.parametrize("people", [[0, 1, 2, 3], [2, 0, 2, 1, 0, 2], [5] * 7, [*range(12), *range(12)]])
def test_all_scans_of_a_person_are_clipped_as_one(mlp: AgeRegressor, clip: float, people: list[int]) -> None:
    one = step(mlp, torch.randn(len(people), 4), people, among=20)
    defence_from(WITHOUT_NOISE.format(clip)).gradients(one)
    torch.testing.assert_close(gradients_of(mlp), slow_sum(one, clip) / 20, rtol=1e-4, atol=1e-7 * clip)


@pytest.mark.parametrize("grid", [(7, 8, 9), (16, 18, 17)])
def test_gradients_of_a_network_on_images_are_clipped(grid: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    model, people = CNN3D(grid, width=2), [0, 1, 1, 2]
    one = step(model, torch.randn(4, 1, *grid), people, among=10)
    defence_from(WITHOUT_NOISE.format(0.3)).gradients(one)
    torch.testing.assert_close(gradients_of(model), slow_sum(one, 0.3) / 10, rtol=1e-3, atol=1e-6)


def test_the_noise_of_a_step_has_the_stated_law(mlp: AgeRegressor) -> None:
    people, noise, clip = [0, 1, 1, 2], 1.5, 0.4
    inputs, defence = torch.randn(4, 4), defence_from(f"dp-sgd:noise={noise},clip={clip}")
    drawn = []
    for seed in range(300):
        one = step(mlp, inputs, people, among=8, seed=seed)
        defence.gradients(one)
        drawn.append(gradients_of(mlp))
    spread = noise * clip / 8
    z = ((torch.stack(drawn) - slow_sum(one, clip) / 8) / spread).double().numpy()
    # All parameters of all steps together are independent standard normal numbers.
    assert stats.kstest(z.flatten(), "norm").pvalue > 1e-3
    assert stats.kstest(z.mean(axis=0) * len(z) ** 0.5, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(z[:-1].flatten(), z[1:].flatten())[0, 1]) < 5 / z.size**0.5


def test_a_step_that_draws_nobody_is_noise(mlp: AgeRegressor) -> None:
    one = step(mlp, torch.zeros(0, 4), [], among=8)
    one = Step(**{**one.__dict__, "people": torch.zeros(0, dtype=torch.long), "targets": torch.zeros(0)})
    assert defence_from("dp-sgd:noise=2").gradients(one) == 0
    assert float(gradients_of(mlp).std()) == pytest.approx(2 / 8, rel=0.4)


def test_people_are_drawn_independently_with_all_their_scans() -> None:
    people = np.array([0, 0, 1, 2, 2, 2, 3, *range(4, 40)])
    size = TrainingSize(people=40, scans=len(people), batch_size=8, epochs=1)
    defence, rng = defence_from("dp-sgd:noise=1"), np.random.default_rng(0)
    inside = []
    for _ in range(200):
        parts = defence.batches(people, size, rng)
        assert parts is not None and len(parts) == 5
        for part in parts:
            drawn = np.isin(np.arange(40), people[part])
            assert len(part) == np.isin(people, np.flatnonzero(drawn)).sum()
            inside.append(drawn)
    sizes = np.sum(inside, axis=1)
    # A binomial number of people, not a fixed one: mean 8, variance 40 x .2 x .8 = 6.4.
    assert np.mean(sizes) == pytest.approx(8, abs=4 * (6.4 / 1000) ** 0.5)
    assert np.var(sizes) == pytest.approx(6.4, rel=0.2)
    assert np.abs(np.mean(inside, axis=0) - 0.2).max() < 4.5 * (0.16 / 1000) ** 0.5


def test_a_batch_of_more_than_everybody_draws_everybody() -> None:
    size = TrainingSize(people=5, scans=5, batch_size=8, epochs=1)
    parts = defence_from("dp-sgd:noise=1").batches(np.arange(5), size, np.random.default_rng(0))
    assert [part.tolist() for part in parts or ()] == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize(("noise", "rate", "steps"), [(0.6, 0.1, 50), (1.0, 0.13, 320), (5.0, 1.0, 3)])
def test_epsilon_is_that_of_opacus(noise: float, rate: float, steps: int) -> None:
    accountant = RDPAccountant()
    for _ in range(steps):
        accountant.step(noise_multiplier=noise, sample_rate=rate)
    expected = accountant.get_epsilon(delta=1e-3)
    assert epsilon_of(noise, rate, steps, 1e-3) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("epsilon", [0.3, 1, 8, 100, 1e4])
def test_the_noise_for_an_epsilon_is_the_least_that_gives_it(epsilon: float) -> None:
    noise = noise_for(epsilon, 0.13, 320, 1e-2)
    assert epsilon_of(noise, 0.13, 320, 1e-2) <= epsilon < epsilon_of(noise / 1.01, 0.13, 320, 1e-2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dp-sgd", "either epsilon"),
        ("dp-sgd:epsilon=1,noise=1", "either epsilon"),
        ("dp-sgd:epsilon=0", "epsilon is '0'; it must be above 0"),
        ("dp-sgd:epsilon=-3", "above 0"),
        ("dp-sgd:epsilon=inf", "epsilon"),
        ("dp-sgd:epsilon=1,delta=1", "delta"),
        ("dp-sgd:epsilon=1,clip=0", "clip"),
        ("dp-sgd:epsilon=1,center=4", "both center and spread"),
        ("dp-sgd:epsilon=1,sigma=4", "sigma is unknown"),
    ],
)
def test_impossible_parameters_are_refused(text: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        TrainingConfig(defence=text)


@pytest.mark.parametrize("epsilon", ["1e-9,delta=1e-12", "1e12"])
def test_an_epsilon_that_no_noise_gives_is_refused_before_training(
    table: Cohort, tmp_path: Path, epsilon: str
) -> None:
    with pytest.raises(BadInputError, match="epsilon is 1e"):
        go(table, tmp_path / "run", f"dp-sgd:epsilon={epsilon}")
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_a_run_states_its_guarantee(table: Cohort, tmp_path: Path) -> None:
    run = go(table, tmp_path / "run", "dp-sgd:epsilon=8")
    stated, people = run.training["guarantee"], len(run.roles.subjects(Role.MEMBER))
    assert stated["epsilon"] == pytest.approx(8, rel=0.01) and stated["epsilon"] <= 8
    # The largest power of ten below one over the number of people.
    assert stated["delta"] == 10.0 ** np.floor(np.log10(1 / people - 1e-12))
    assert "epsilon 7.99" in stated["statement"] and stated["enforced_by"] == "whoever trains"


def test_an_interrupted_training_ends_in_the_same_weights(
    table: Cohort, tmp_path: Path, interrupted_in_epoch: Interrupted
) -> None:
    assert_resumes(table, tmp_path, interrupted_in_epoch, "dp-sgd:epsilon=8")


def test_no_scale_depends_on_the_people_trained_on(table: Cohort, tmp_path: Path) -> None:
    runs = [go(table, tmp_path / str(seed), "dp-sgd:noise=1", seed=seed).load() for seed in (1, 2)]
    for name in runs[0].fixed_buffers():
        assert torch.equal(runs[0].get_buffer(name), runs[1].get_buffer(name))
    assert float(runs[0].age_mean) == 50
    assert float(runs[0].age_spread) == pytest.approx(20, rel=0.05)


def test_a_table_whose_features_are_not_standardised_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"volume": rng.normal(1200, 50, 40), "id": range(40), "age": rng.uniform(20, 80, 40)})
    rows.to_csv(tmp_path / "t.csv", index=False)
    cohort = Cohort.from_table(tmp_path / "t.csv", tmp_path / "c", subject="id", age="age")
    with pytest.raises(ModelError, match="standardise the table with public constants"):
        go(cohort, tmp_path / "run", "dp-sgd:noise=1")
    given = "dp-sgd:noise=1,feature_center=1200,feature_spread=50"
    network = go(cohort, tmp_path / "other", given).load()
    assert network.get_buffer("feature_mean").tolist() == [1200]
    assert network.get_buffer("feature_spread").tolist() == pytest.approx([50], rel=0.05)


def scored(path: Path) -> Cohort:
    """Return people with a score."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc"))
    rows = rows.assign(id=range(60), age=rng.uniform(20, 80, 60), score=rng.uniform(10, 30, 60))
    rows.to_csv(path / "t.csv", index=False)
    made = Cohort.from_table(path / "t.csv", path / "c", subject="id", age="age", covariates=["score"])
    return made.with_target("score", unit="points")


def test_another_target_needs_public_constants(tmp_path: Path) -> None:
    other = scored(tmp_path)
    with pytest.raises(BadInputError, match="center"):
        go(other, tmp_path / "run", "dp-sgd:noise=1")
    network = go(other, tmp_path / "run", "dp-sgd:noise=1,center=3,spread=2").load()
    assert float(network.age_mean) == 3


class Normalised(nn.Module):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm, self.out = norm, nn.Linear(7, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.out(self.norm(x.unsqueeze(1)).squeeze(1)).squeeze(1)
        return found


class Centered(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(7, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.out(x - x.mean(dim=0)).squeeze(1)
        return found


def batch_norm() -> nn.Module:
    return Normalised(nn.BatchNorm1d(1))


def running_instance_norm() -> nn.Module:
    return Normalised(nn.InstanceNorm1d(1, track_running_stats=True))


def centered() -> nn.Module:
    return Centered()


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("batch_norm", r"norm \(BatchNorm1d\).*GroupNorm"),
        ("running_instance_norm", "InstanceNorm1d"),
        ("centered", "its layers mix scans"),
    ],
)
def test_networks_that_mix_people_are_refused(
    table: Cohort, tmp_path: Path, factory: str, message: str
) -> None:
    config = TrainingConfig(epochs=1, device="cpu", defence="dp-sgd:noise=1")
    with pytest.raises(ModelError, match=message):
        train(table, tmp_path / "run", model=f"{__name__}:{factory}", config=config, seed=0)


def test_each_learner_of_a_federation_has_its_own_guarantee(table: Cohort, tmp_path: Path) -> None:
    run = federated(table, tmp_path / "run", "dp-sgd:epsilon=4")
    assert run.transcript is not None
    for learner in run.transcript.learners:
        assert run.training["guarantee"][learner]["epsilon"] == pytest.approx(4, rel=0.01)
    # The moments that learners send are the public constants.
    assert float(run.transcript.global_model(0)["age_mean"]) == 50


def test_a_federation_says_why_a_learner_cannot_train_privately(tmp_path: Path) -> None:
    with pytest.raises(FederationError, match="public constants"):
        federated(scored(tmp_path), tmp_path / "run", "dp-sgd:noise=1")


def test_layers_of_a_network_are_all_protected(mlp: AgeRegressor) -> None:
    one = step(mlp, torch.randn(3, 4), [0, 1, 2], among=3)
    defence_from("dp-sgd:noise=1").gradients(one)
    assert len(parameter_layers(mlp)) == 3
    assert all(p.grad is not None and p.grad.abs().min() > 0 for p in mlp.parameters())


@pytest.mark.parametrize(
    ("text", "gaussian"),
    [
        ("dp-sgd:noise=2", True),
        ("label-noise:spread=3+dp-sgd:noise=2", True),
        ("label-noise:spread=3", False),
        (None, False),
    ],
)
def test_it_says_that_its_noise_is_gaussian(text: str | None, gaussian: bool) -> None:
    assert defence_from(text).gaussian_noise() is gaussian


def test_the_accountant_leaves_the_messages_of_other_libraries_alone() -> None:
    code = (
        "import logging\nfrom memberscan.defences.accountant import epsilon_of\n"
        "epsilon_of(1.0, 0.1, 10, 1e-5)\nprint(logging.root.handlers)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
