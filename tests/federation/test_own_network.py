"""A user's own network, trained and federated here by its factory, and audited with its weights."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from memberscan import ThreatModel, audit, import_run, train, train_references
from memberscan.cohort import Cohort
from memberscan.errors import ModelError, UntrustedCodeError
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import federate
from memberscan.models.gradients import agrees_with_autograd
from memberscan.models.inputs import as_inputs, predict_scans
from memberscan.models.own_network import OwnNetwork
from memberscan.runs import Run
from memberscan.threat import Access, Attacker
from memberscan.training import TrainingConfig

MODEL = f"{__name__}:network"
SLOW = pytest.mark.skipif(not os.environ.get("MEMBERSCAN_SLOW_TESTS"), reason="make test-all runs it")


class Own(nn.Module):
    """A network with batch norm and dropout, and layers of its own names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv3d(1, 4, 3)
        self.norm = nn.BatchNorm3d(4)
        self.last = nn.Conv3d(4, 4, 3)
        self.drop = nn.Dropout(0.1)
        self.age = nn.Linear(4, 1)

    def forward(self, volumes: Tensor) -> Tensor:
        features = self.last(self.norm(self.first(volumes)).relu()).relu().mean((2, 3, 4))
        return self.age(self.drop(features))


def network() -> nn.Module:
    return Own()


def needs_more_than_one() -> nn.Module:
    """Return a network that fails in training on a batch of one scan, and only there."""
    return nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.BatchNorm1d(1), nn.Linear(1, 1))


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory, cohort_maker: Callable[..., Cohort]) -> Cohort:
    ages = np.random.default_rng(1).uniform(45, 80, 60).round(1).tolist()
    return cohort_maker(tmp_path_factory.mktemp("sixty") / "cohort", ages, [f"sub-{n}" for n in range(60)])


def settings(**changes: object) -> Settings:
    return Settings(MODEL, training=TrainingConfig(epochs=1, device="cpu"), rounds=2, **changes)


@pytest.fixture(scope="module")
def federation(volumes: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("own") / "run"
    return federate(volumes, path, settings=settings(), learners=2, held_out=0.4, seed=0)


@pytest.fixture(scope="module")
def central(volumes: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("own") / "run"
    return train(volumes, path, model=MODEL, config=TrainingConfig(epochs=2, device="cpu"), seed=0)


def test_it_predicts_years_and_keeps_the_names_of_its_layers(central: Run, volumes: Cohort) -> None:
    model = Run.open(central.path, model=MODEL).load()
    assert isinstance(model, OwnNetwork)
    assert model.landmarks == {"conv1": "network.first", "conv6": "network.last", "output": "network.age"}
    inputs = as_inputs(volumes, volumes.scans.index.tolist())
    with torch.no_grad():
        expected = model.network(inputs)[:, 0] * model.age_spread + model.age_mean
        torch.testing.assert_close(model(inputs), expected)
    assert agrees_with_autograd(model, inputs[:2], list(model.landmarks.values()))


def test_the_seed_decides_the_weights(volumes: Cohort, central: Run, tmp_path: Path) -> None:
    config = TrainingConfig(epochs=2, device="cpu")
    torch.manual_seed(99)
    again = train(volumes, tmp_path / "a", model=MODEL, config=config, seed=0)
    assert again.weights_fingerprint == central.weights_fingerprint
    other = train(volumes, tmp_path / "b", model=MODEL, config=TrainingConfig(epochs=2, seed=1), seed=0)
    assert other.weights_fingerprint != central.weights_fingerprint


def test_its_code_is_executed_only_if_it_is_named(federation: Run, central: Run) -> None:
    for run in (federation, central):
        with pytest.raises(UntrustedCodeError, match=f"--model {MODEL}"):
            audit(run.path)
        with pytest.raises(UntrustedCodeError, match=f"--model {MODEL}"):
            train_references(run.path, run.path.parent / "references", count=2)


def test_the_model_is_audited_with_its_weights(central: Run) -> None:
    result = audit(central.path, threat=ThreatModel(access=Access.WEIGHTS, repeats=1), model=MODEL)
    assert {"error", "gradient-magnitude", "gradient:conv1", "activation"} <= set(result.findings["attack"])
    assert result.content["target"]["randomised"]


@pytest.mark.parametrize("attacker", [Attacker.LEARNER, Attacker.SERVER, Attacker.ACTIVE_SERVER])
def test_the_federation_is_audited_as_each_party(federation: Run, attacker: Attacker) -> None:
    result = audit(federation.path, threat=ThreatModel(attacker=attacker, repeats=1, leaked=0), model=MODEL)
    assert len(result.findings) > 0


def test_references_repeat_its_recipe(central: Run, tmp_path: Path) -> None:
    made = train_references(central.path, tmp_path / "references", count=2, model=MODEL, workers=1)
    assert np.isfinite(made.predictions).all()


@SLOW
def test_references_repeat_the_federation(federation: Run, tmp_path: Path) -> None:
    made = train_references(federation.path, tmp_path / "references", count=2, model=MODEL, workers=1)
    assert np.isfinite(made.predictions).all()


def test_what_was_trained_here_can_be_imported_for_other_people(
    central: Run, federation: Run, volumes: Cohort, tmp_path: Path
) -> None:
    scans = volumes.scans.index.tolist()
    for name, run, given in (
        ("central", central, {"weights": central.path / "weights.safetensors"}),
        ("federated", federation, {"transcript": federation.path / "rounds"}),
    ):
        made = import_run(tmp_path / name, cohort=volumes, model=MODEL, roles=run.path / "roles.tsv", **given)
        assert made.spec.trained_here and Run.open(made.path, model=MODEL).spec.trained_here
        expected, found = (predict_scans(each.load(), volumes, scans) for each in (run, made))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_it_is_federated_with_encryption(volumes: Cohort, federation: Run, tmp_path: Path) -> None:
    pytest.importorskip("tenseal")
    made = federate(
        volumes, tmp_path / "run", settings=settings(secure="ckks"), learners=2, held_out=0.4, seed=0
    )
    plain, secure = federation.load().state_dict(), made.load().state_dict()
    for name, value in plain.items():
        torch.testing.assert_close(secure[name], value, rtol=1e-3, atol=1e-3)


@pytest.mark.deployment
@SLOW
def test_on_ray_it_is_the_same(volumes: Cohort, federation: Run, tmp_path: Path) -> None:
    made = federate(
        volumes, tmp_path / "run", settings=settings(), learners=2, held_out=0.4, seed=0, engine="ray"
    )
    for name, value in federation.load().state_dict().items():
        torch.testing.assert_close(made.load().state_dict()[name], value, rtol=1e-3, atol=1e-3)


def test_a_network_that_fails_while_it_is_trained_is_named(volumes: Cohort, tmp_path: Path) -> None:
    model = f"{__name__}:needs_more_than_one"
    config = TrainingConfig(epochs=1, batch_size=1, device="cpu")
    with pytest.raises(
        ModelError, match=r"needs_more_than_one' fails while it is trained on a batch .*batch-size"
    ):
        train(volumes, tmp_path / "run", model=model, config=config, seed=0)
