"""Simulated signals of models and federations, with and without a leak, for all attacks alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memberscan.attacks import Attack
from memberscan.attacks.attack import NOBODY
from memberscan.attacks.attempt import attempt, carry_out, observe, one_thread
from memberscan.evidence.scores import ASIDE, IN, OUT, Pair, Scores
from memberscan.people import People
from memberscan.signals import PREDICTION, Signal, View
from memberscan.signals.activations import ACTIVATION
from memberscan.signals.augmented_activations import AUGMENTED_ACTIVATIONS
from memberscan.signals.augmented_predictions import AUGMENTED_PREDICTIONS
from memberscan.signals.broadcast_answers import ANSWER_PREDICTIONS, BROADCAST_PREDICTIONS
from memberscan.signals.covariates import COVARIATES
from memberscan.signals.head_outputs import HEAD_OUTPUTS
from memberscan.signals.layer_gradients import GRADIENT_NORMS, gradient
from memberscan.signals.learner_updates import (
    JACOBIAN_NORMS,
    JACOBIAN_SKETCHES,
    LOCAL_PREDICTIONS,
    LOSS_DERIVATIVES,
    START_PREDICTIONS,
    TOOK_PART,
    UPDATE_NORMS,
    UPDATE_PRODUCTS,
    UPDATE_SKETCHES,
)
from memberscan.signals.nearby_predictions import NEARBY_PREDICTION
from memberscan.signals.reference_models import REFERENCE_COPIES, REFERENCE_MEMBERS, REFERENCE_PREDICTIONS
from memberscan.signals.round_predictions import ROUND_PREDICTIONS
from memberscan.targets import PredictionsTable
from memberscan.targets.known import Comparison, Known, draws, everybody
from memberscan.threat import Access, ThreatModel

LAYERS = {"conv1": 7, "conv6": 150, "output": 5, "encoder.block.3": 11}
Simulate = Callable[..., tuple[View, pd.Series]]
SimulateUpdates = Callable[..., tuple[View, np.ndarray]]


def of_references(
    rng: np.random.Generator, age: np.ndarray, owner: np.ndarray, leak: float, references: int = 4
) -> dict[Signal, np.ndarray]:
    """Return signals of reference models in twins, each trained on one of every two neighbours."""
    first = rng.integers(0, 2, (references // 2, owner.max() // 2 + 1)).astype(bool)
    one = first[:, owner // 2] ^ (owner % 2 == 1)
    inside = np.stack([one, ~one], axis=1).reshape(references, len(age))
    residual = 4 * rng.normal(size=inside.shape) * np.where(inside, 1.0, 1 + 2 * leak)
    # Of a generator of their own, so that the other signals do not depend on them.
    noise = rng.spawn(1)[0].normal(size=(*inside.shape, 5))
    moved = (residual + np.sign(residual) * 4 * leak * inside)[:, :, None] + noise
    return {
        REFERENCE_PREDICTIONS: age - residual,
        REFERENCE_COPIES: age[:, None] - moved,
        REFERENCE_MEMBERS: inside,
    }


def of_final_model(rng: np.random.Generator, age: np.ndarray, residual: np.ndarray, shift: np.ndarray):
    """Return signals of a final model, whose gradients are residuals times random Jacobians."""
    jacobians = {name: rng.normal(size=(len(age), width)) for name, width in LAYERS.items()}
    years = (age - 62.5) / 10
    # Of a generator of their own, so that the other signals do not depend on them.
    moved = residual + np.sign(residual) * 2 * shift + rng.spawn(1)[0].normal(size=(5, len(age)))
    later = rng.normal(size=(len(age), 3)) * [2.0, 1.0, 0.0]
    gradients = {name: -2 * residual[:, None] * j for name, j in jacobians.items()}
    activation = rng.normal(size=(len(age), 9)) + shift[:, None]
    return {
        PREDICTION: age - residual,
        # Before it has learnt, a model errs on members as on others.
        ROUND_PREDICTIONS: age[:, None]
        - residual[:, None] * (np.array([1.5, 1.2, 1.0]) + shift[:, None] * [3.0, 1.5, 0.0])
        - later,
        AUGMENTED_PREDICTIONS: (age - moved).T,
        # Jumps of up to one year, as if by chance, and larger ones of members.
        NEARBY_PREDICTION: age - residual + np.abs(np.sin(1e4 * residual)) + shift,
        COVARIATES: np.column_stack([years, years**2]),
        ACTIVATION: activation,
        HEAD_OUTPUTS: np.column_stack(
            [np.square(residual), 3 + rng.spawn(1)[0].exponential(size=len(age)) - np.tanh(shift)]
        ),
        GRADIENT_NORMS: np.stack([np.linalg.norm(g, axis=1) for g in gradients.values()], axis=1),
        **{gradient(name): g.astype(np.float32) for name, g in gradients.items()},
        AUGMENTED_ACTIVATIONS: activation[:, None]
        + rng.spawn(1)[0].normal(size=(len(age), 5, 9)) / (1 + 2 * shift[:, None, None]),
    }


def read_only(values: dict[Signal, Any]) -> dict[Signal, Any]:
    """Return signals that nobody can write into, as memory-mapped ones are."""
    for array in values.values():
        for part in array if isinstance(array, list) else [array]:
            part.setflags(write=False)
    return values


def draw_signals(
    rng: np.random.Generator, subjects: int = 60, *, leak: float = 0.0, scans: int = 1
) -> tuple[View, pd.Series]:
    """Draw signals of subjects, of whom every second one is a member.

    With ``leak`` above 0 members' residuals are smaller and their activations shifted.
    """
    ids = [f"sub {n:03d}/é" for n in range(subjects)]
    member = pd.Series(np.arange(subjects) % 2 == 0, index=ids)
    owners = np.repeat(ids, scans)
    inside = member.loc[owners].to_numpy()
    residual = rng.normal(size=len(owners)) * np.where(inside, 4.0, 4.0 * (1 + leak))
    age = rng.uniform(45.0, 80.0, len(owners))
    values = of_final_model(rng, age, residual, leak * inside)
    values |= of_references(rng, age, np.repeat(np.arange(subjects), scans), leak / 2)
    table = pd.DataFrame(
        {"subject_id": owners, "label": age}, index=[f"{s}#{n}" for n, s in enumerate(owners)]
    )
    return View(table, read_only(values)), member


def draw_updates(
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
    scans: int = 1,
) -> tuple[View, np.ndarray]:
    """Draw what updates show of a model that is linear in its parameters.

    Learners take one step on their own scans: their descent is ``leak`` times the sum of the loss gradients,
    plus noise. With ``leak`` 0 it is noise alone, and nobody can be told from anybody. Also returns whose
    each scan is, -1 for nobody's.
    """
    home = np.repeat([*range(learners), -1], [*[each * scans] * learners, held_out * scans])
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
    local = np.where(took_part[:, None], before[:, :, None] - products.sum(axis=-1), np.nan)
    table = pd.DataFrame(
        {"subject_id": [f"sub {k // scans:03d}" for k in range(n)], "label": age},
        index=[f"scan {k}" for k in range(n)],
    )
    values = {
        TOOK_PART: took_part,
        START_PREDICTIONS: before,
        BROADCAST_PREDICTIONS: before,
        LOCAL_PREDICTIONS: local,
        ANSWER_PREDICTIONS: local,
        LOSS_DERIVATIVES: -2 * residual,
        UPDATE_PRODUCTS: products,
        JACOBIAN_NORMS: np.stack([np.linalg.norm(jacobians[..., p], axis=2) for p in layers], axis=-1),
        UPDATE_NORMS: np.stack([np.linalg.norm(descents[..., p], axis=2) for p in layers], axis=-1),
        JACOBIAN_SKETCHES: list(jacobians),
        UPDATE_SKETCHES: descents,
    }
    names = tuple(f"site {c}" for c in range(learners))
    return View(table, read_only(values), names, tuple(range(1, rounds + 1))), home


def part_of(view: View, scans: np.ndarray) -> View:
    """Return what is seen of some scans; simulated sketches are lists, which a view does not take apart."""
    lists = {signal: values for signal, values in view.values.items() if isinstance(values, list)}
    rest = View(
        view.scans, {s: v for s, v in view.values.items() if s not in lists}, view.learners, view.rounds
    )
    part = rest.at(view.scans.index[scans].tolist())
    taken = {signal: [array[scans] for array in values] for signal, values in lists.items()}
    return View(part.scans, {**part.values, **taken}, view.learners, view.rounds)


def of_learners(view: View, learners: np.ndarray) -> View:
    """Return what is seen of some learners, in this order."""
    values = {
        s: np.take(v, learners, s.dimensions.index("learner")) if "learner" in s.dimensions else v
        for s, v in view.values.items()
    }
    return View(view.scans, values, tuple(view.learners[c] for c in learners), view.rounds)


def of_rounds(view: View, rounds: Sequence[int]) -> View:
    """Return what is seen of some rounds of the updates, by their places."""

    def part(values: Any) -> Any:
        return [values[t] for t in rounds] if isinstance(values, list) else values[list(rounds)]

    taken = {s: part(v) if s.dimensions[0] == "round" else v for s, v in view.values.items()}
    return View(view.scans, taken, view.learners, tuple(view.rounds[t] for t in rounds))


def changed(view: View, changes: dict[Signal, Any]) -> View:
    """Return the view with other values of some signals."""
    return View(view.scans, {**view.values, **changes}, view.learners, view.rounds)


def scored(attack: Attack, view: View) -> np.ndarray:
    """Return the scores of scans by an attack that needs nobody's membership."""
    return attack.score(attack.observe(view), NOBODY)


@dataclass(frozen=True, eq=False)
class World:
    """All signals there are of the scans of one federation, and whose each person is.

    Parameters
    ----------
    view
        What would be seen by somebody who sees everything.
    home
        By person, the learner that trained on it; -1 for those held out.
    known
        Which of the held-out people every attacker knows.
    """

    view: View
    home: np.ndarray
    known: np.ndarray

    @property
    def people(self) -> People:
        return People.of(self.view.scans["subject_id"])

    @property
    def member(self) -> np.ndarray:
        return self.home >= 0

    def rows(self, attack: Attack, repeats: int = 3) -> list[Comparison]:
        """Return the rows of the audit in which such an attack is tried: a server's pairs, or draws."""
        if attack.by_learner:
            knows = Known(np.zeros(len(self.home), dtype=bool), self.known)
            return [
                Comparison(Pair("server", victim), knows, self._sides(place))
                for place, victim in enumerate(self.view.learners)
            ]
        if not attack.learns:
            return everybody(self.member)
        return draws(self.member, ThreatModel(repeats=repeats), np.random.default_rng(0))

    def _sides(self, place: int) -> np.ndarray:
        held_out = (self.home < 0) & ~self.known
        return np.where(self.home == place, IN, np.where(held_out, OUT, ASIDE)).astype(np.int8)

    def carry_out(self, attack: Attack, view: View | None = None, **options: Any) -> Scores:
        """Let an attack see, and score everybody it does not know."""
        view = self.view if view is None else view
        people = People.of(view.scans["subject_id"])
        with one_thread():
            features, rows = observe(attack, view), self.rows(attack, **options)
            found = carry_out(attack, features, rows, people, view.learners)
        assert found is not None
        return found


def draw_world(rng: np.random.Generator, *, leak: float, scans: int = 1, **options: Any) -> World:
    """Draw a federation whose learners are attacked by their updates and by the final model."""
    seen, home = draw_updates(rng, leak=leak, scans=scans, **options)
    inside = home >= 0
    residual = 4 * rng.normal(size=len(home)) * np.where(inside, 1.0, 1 + 2 * leak)
    final = of_final_model(rng, seen.label, residual, 2 * leak * inside)
    final |= of_references(rng, seen.label, np.arange(len(home)) // scans, leak)
    final = read_only(final)
    view = View(seen.scans, {**seen.values, **final}, seen.learners, seen.rounds)
    people = home[::scans]
    known = np.zeros(len(people), dtype=bool)
    known[np.flatnonzero(people < 0)[::2]] = True
    return World(view, people, known)


@pytest.fixture
def simulate() -> Simulate:
    """Return :func:`draw_signals`."""
    return draw_signals


@pytest.fixture
def federate() -> SimulateUpdates:
    """Return :func:`draw_updates`."""
    return draw_updates


def table_of(
    view: View, member: pd.Series, *, leaked: float = 0.5, repeats: int = 5, seed: int = 0
) -> PredictionsTable:
    """Return the target of which an outsider has these signals."""
    return PredictionsTable(
        scans=view.scans,
        is_member=member,
        covariates=pd.DataFrame(index=view.scans.index),
        ignored=(),
        threat=ThreatModel(Access.WEIGHTS, leaked, repeats),
        seed=seed,
        predictions=view[PREDICTION],
        digest="",
        answers=pd.DataFrame({"prediction": view[PREDICTION]}, index=view.scans.index),
    )


def attempt_all(attacks: Sequence[Attack], view: View, member: pd.Series, **options: Any) -> list[Scores]:
    """Let an outsider carry out attacks."""
    target = table_of(view, member, **options)
    with one_thread():
        found = [attempt(attack, observe(attack, view), target) for attack in attacks]
    return [scores for scores in found if scores is not None]
