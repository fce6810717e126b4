"""Simulated signals of a model, with and without a leak, so that every attack is tried on the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from memberscan.attacks import Attack
from memberscan.attacks.campaign import Campaign
from memberscan.signals.signals import (
    ACTIVATION,
    GRADIENT_NORMS,
    PREDICTION,
    ROUND_PREDICTIONS,
    Signals,
    gradient,
)
from memberscan.signals.updates import Updates
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
        later = rng.normal(size=(len(owners), 3)) * [2.0, 1.0, 0.0]
        gradients = {name: -2 * residual[:, None] * j for name, j in jacobians.items()}
        arrays = {
            PREDICTION: age - residual,
            ROUND_PREDICTIONS: age[:, None] - residual[:, None] * [1.5, 1.2, 1.0] - later,
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


SimulateUpdates = Callable[..., tuple[Updates, np.ndarray]]


@pytest.fixture
def federate() -> SimulateUpdates:
    """Return a function that draws what updates show of a model that is linear in its parameters.

    Learners take one step on their own scans: their descent is ``leak`` times the sum of the loss gradients,
    plus noise. With ``leak`` 0 it is noise alone, and nobody can be told from anybody. Also returns whose
    each scan is, -1 for nobody's.
    """

    def draw(
        rng: np.random.Generator,
        *,
        learners: int = 5,
        each: int = 12,
        held_out: int = 20,
        rounds: int = 3,
        width: int = 120,
        leak: float = 1.0,
        noise: float = 0.3,
        absent: Sequence[tuple[int, int]] = (),
    ) -> tuple[Updates, np.ndarray]:
        home = np.repeat([*range(learners), -1], [*[each] * learners, held_out])
        n = len(home)
        age, residual = rng.uniform(45, 80, n), 5 * rng.normal(size=(rounds, n))
        took_part = np.ones((rounds, learners), dtype=bool)
        for t, c in absent:
            took_part[t, c] = False
        jacobians = rng.normal(size=(rounds, n, width)) / np.sqrt(width)
        own = home[:, None] == np.arange(learners)
        descents = 0.2 * leak * np.einsum("tnp,tn,nc->tcp", jacobians, -2 * residual, own)
        descents += 5 * noise * rng.normal(size=descents.shape) / np.sqrt(width / each)
        descents[~took_part] = 0
        cuts = [0, 5, 50, width]
        layers = [slice(*pair) for pair in pairwise(cuts)]
        products = np.stack(
            [jacobians[..., part] @ descents[..., part].swapaxes(1, 2) for part in layers], axis=-1
        )
        before = age - residual
        scans = pd.DataFrame(
            {"subject_id": [f"sub {k:03d}" for k in range(n)], "age": age},
            index=[f"scan {k}" for k in range(n)],
        )
        updates = Updates(
            scans=scans,
            learners=tuple(f"site {c}" for c in range(learners)),
            rounds=tuple(range(1, rounds + 1)),
            took_part=took_part,
            before=before,
            local=np.where(took_part[:, None], before[:, :, None] - products.sum(axis=-1), np.nan),
            products=products,
            norms=np.stack([np.linalg.norm(jacobians[..., part], axis=2) for part in layers], axis=-1),
            descent_norms=np.stack([np.linalg.norm(descents[..., part], axis=2) for part in layers], axis=-1),
            sketches=list(jacobians),
            descent_sketches=descents,
        )
        return updates, home

    return draw
