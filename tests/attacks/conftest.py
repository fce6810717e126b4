"""Simulated signals of a model, with and without a leak, so that every attack is tried on the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest

from memberscan.attacks import Attack
from memberscan.attacks.campaign import Campaign
from memberscan.signals.signals import ACTIVATION, GRADIENT_NORMS, PREDICTION, Signals, gradient
from memberscan.threat import Access, ThreatModel

LAYERS = {"conv1": 7, "conv6": 150, "output": 5, "encoder.block.3": 11}
Simulate = Callable[..., tuple[Signals, pd.Series]]


@pytest.fixture
def simulate() -> Simulate:
    """Return a function that draws signals of subjects, of whom every second one is a member.

    With ``leak`` above 0 members' residuals are smaller and their activations shifted. Gradients are residual
    times a random Jacobian, as for squared error. Arrays are read-only, as memory-mapped ones are.
    """

    def draw(
        rng: np.random.Generator, subjects: int = 60, *, leak: float = 0.0, scans: int = 1
    ) -> tuple[Signals, pd.Series]:
        ids = [f"sub {n:03d}/é" for n in range(subjects)]
        member = pd.Series(np.arange(subjects) % 2 == 0, index=ids)
        owners = np.repeat(ids, scans)
        inside = member.loc[owners].to_numpy()
        residual = rng.normal(size=len(owners)) * np.where(inside, 4.0, 4.0 * (1 + leak))
        age = rng.uniform(45.0, 80.0, len(owners))
        jacobians = {name: rng.normal(size=(len(owners), width)) for name, width in LAYERS.items()}
        gradients = {name: -2 * residual[:, None] * j for name, j in jacobians.items()}
        arrays = {
            PREDICTION: age - residual,
            ACTIVATION: rng.normal(size=(len(owners), 9)) + leak * inside[:, None],
            GRADIENT_NORMS: np.stack([np.linalg.norm(g, axis=1) for g in gradients.values()], axis=1),
            **{gradient(name): g.astype(np.float32) for name, g in gradients.items()},
        }
        for values in arrays.values():
            values.setflags(write=False)
        table = pd.DataFrame(
            {"subject_id": owners, "age": age}, index=[f"{s}#{n}" for n, s in enumerate(owners)]
        )
        return Signals(table, arrays), member

    return draw


@pytest.fixture
def attempt() -> Callable[..., Campaign]:
    """Return a function that lets attacks see signals."""

    def observe(
        attacks: Sequence[Attack],
        signals: Signals,
        member: pd.Series,
        *,
        leaked: float = 0.5,
        repeats: int = 5,
        seed: int = 0,
    ) -> Campaign:
        return Campaign.observe(attacks, signals, member, ThreatModel(Access.WEIGHTS, leaked, repeats), seed)

    return observe
