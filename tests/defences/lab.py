"""Small trainings, steps and federations on which defences are tried."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from pydantic import Field
from torch import Tensor

from memberscan.cohort import Cohort
from memberscan.configuration import configuration
from memberscan.defences.answers import Answers, digests_of
from memberscan.defences.defence import Defence, Step, TrainingSize, generator_of
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import federate
from memberscan.guarantee import Guarantee
from memberscan.models import MLP, AgeRegressor
from memberscan.runs import Run
from memberscan.training import TrainingConfig, train

from ..conftest import Interrupted


@configuration
class Noise(Defence):
    """Adds Gaussian noise to the gradient of every step."""

    strengths = ("scale=0.1", "scale=3")
    scale: Annotated[float, Field(gt=0)] = 0.1

    def gradients(self, step: Step) -> Tensor:
        loss = super().gradients(step)
        for p in step.model.parameters():
            assert p.grad is not None
            p.grad += self.scale * torch.randn(p.shape, generator=step.generator, device=p.device)
        return loss

    def guarantee(self, size: TrainingSize) -> Guarantee | None:
        steps = size.epochs * -(-size.scans // size.batch_size)
        said = f"Noise of {self.scale} in each of {steps} steps, on {size.people} people."
        return Guarantee(said, "whoever trains")


def go(
    table: Cohort,
    path: Path,
    defence: str | None,
    seed: int | None = 4,
    validation: float = 0.0,
    **changes: Any,
) -> Run:
    config = TrainingConfig(**{"epochs": 3, "device": "cpu", "defence": defence, **changes})
    options: dict[str, Any] = {"options": {"width": 5}, "validation": validation}
    return train(table, path, model="mlp", config=config, seed=seed, **options)


def answers(values: ArrayLike, inputs: ArrayLike | None = None, secret: bytes = b"secret") -> Answers:
    """Return what a model answers to these inputs, by default to as many numbers."""
    found = np.asarray(values, dtype=float)
    asked = np.arange(len(found))[:, None] if inputs is None else np.asarray(inputs)
    return Answers(found, lambda: digests_of(asked), lambda: secret)


def step(**changes: Any) -> Step:
    torch.manual_seed(0)
    model = MLP((4,), width=5)
    parts = {"inputs": torch.randn(6, 4), "targets": torch.randn(6), "people": torch.arange(6)}
    precise = torch.autocast("cpu", dtype=torch.bfloat16, enabled=False)
    whole = {"size": TrainingSize(6, 6, 6, 1), "epoch": 0, "autocast": precise, "generator": generator_of(1)}
    return Step(**{"model": model, **parts, **whole, **changes})


def gradients_of(model: AgeRegressor) -> Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters()])  # type: ignore[union-attr]


def federated(table: Cohort, path: Path, defence: str | None, **changes: Any) -> Run:
    training = TrainingConfig(epochs=1, device="cpu", learning_rate=0.01, defence=defence)
    settings = Settings("mlp", {"width": 5}, training, rounds=2, **changes)
    return federate(table, path, settings=settings, learners=2, held_out=0.35, seed=0)


def assert_resumes(
    cohort: Cohort, folder: Path, interrupted_in_epoch: Interrupted, defence: str, **changes: Any
) -> None:
    """Assert that a defence changes the weights, and that an interrupted training ends in the same ones."""
    plain = go(cohort, folder / "plain", None, **changes)
    whole = go(cohort, folder / "whole", defence, **changes)
    assert whole.weights_fingerprint != plain.weights_fingerprint
    with interrupted_in_epoch(2):
        go(cohort, folder / "part", defence, **changes)
    resumed = go(cohort, folder / "part", defence, **changes)
    assert resumed.weights_fingerprint == whole.weights_fingerprint
