"""A reproduction on a few small volumes, in this process; and made-up findings of audits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memberscan import report
from memberscan.auditing import failures
from memberscan.cohort import Cohort
from memberscan.reproduction import ReproductionContent, making, paper, reproduce
from memberscan.reproduction.found import Found, central_of, federated_of
from memberscan.reproduction.tasks import Cell
from memberscan.task_pool import within_a_task
from memberscan.training import TrainingConfig

Make = Callable[..., ReproductionContent]
CELLS = [
    Cell("cnn3d"),
    Cell("cnn3d", None, 1),
    Cell("cnn3d", "uniform-iid"),
    Cell("slice-mean", "skewed-noniid"),
]


def in_this_process(function: Callable[[Any], Any], tasks: Sequence[Any], **_: Any) -> Iterator[Any]:
    """Carry out tasks one after the other, as a worker does."""
    for task in tasks:
        yield task, within_a_task(function, task)


@pytest.fixture(scope="session")
def few(cohort_maker: Callable[..., Cohort], tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Forty-eight people with small volumes."""
    ages = np.random.default_rng(3).uniform(45, 80, 48).round(1)
    people = [f"v {n:02d}" for n in range(48)]
    return cohort_maker(tmp_path_factory.mktemp("few") / "cohort", ages.tolist(), people)


@pytest.fixture
def make(few: Cohort, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a function that makes a tiny reproduction of some cells in this process."""
    monkeypatch.setattr(failures, "carry_out", in_this_process)
    monkeypatch.setattr(making, "cells_of", lambda _: CELLS)
    monkeypatch.setattr(paper, "ATTACKS", ("error", paper.BLACK_BOX, paper.WHITE_BOX))
    # The pages of single audits take time, and have tests of their own.
    monkeypatch.setattr(report, "render_html", lambda _: "")

    def run(path: Path, **changes: Any) -> ReproductionContent:
        arguments: dict[str, Any] = {
            "draws": 1,
            "length": 0.05,
            "validation": 0.0,
            "held_out": 0.45,
            "learners": 2,
            "options": {"width": 4},
            "config": TrainingConfig(learning_rate=1e-3, device="cpu"),
            "seed": 5,
            **changes,
        }
        return reproduce(paper.NAME, few, path, **arguments)

    return run


def interval(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def central_audit(
    accuracy: float | Mapping[str, float] = 0.7,
    *,
    half: float = 0.04,
    errors: tuple[float, float] = (3.0, 8.0),
    gain: float = 0.1,
) -> dict[str, Any]:
    """Return what is read of an audit.json of a model trained in one place."""
    given = accuracy if isinstance(accuracy, Mapping) else dict.fromkeys(paper.ATTACKS, accuracy)
    findings = [
        {
            "attack": name,
            "access": "outputs" if name in ("error", paper.BLACK_BOX) else "weights",
            "accuracy": interval(value, half),
            "auc": interval(value, half),
        }
        for name, value in given.items()
    ]
    gains = [{"attack": paper.WHITE_BOX, "over": paper.BLACK_BOX, "difference": interval(gain, half)}]
    target = {"members": 13, "nonmembers": 13, "mae_members": errors[0], "mae_nonmembers": errors[1]}
    return {"target": target, "findings": findings, "gains": gains, "federation": None}


def federated_audit(
    model: str, *, last: float | None = None, half: float = 0.03, told: int = 0, rounds: int | None = None
) -> dict[str, Any]:
    """Return what is read of an audit.json of a federation; accuracies rise from chance to ``last``."""
    count = rounds or paper.ROUNDS[model]
    end = paper.CURVES[model][paper.ROUNDS[model]] if last is None else last
    course = np.linspace(0.504, end, count)
    by_round = [
        {"round": n, "attack": paper.BLACK_BOX, "accuracy": interval(float(v), half), "auc": None}
        for n, v in enumerate(course, start=1)
    ]
    victims = [{"name": f"learner-{k}", "tripped": k < told, "gates": k < told} for k in range(8)]
    findings = central_audit(end, half=half)["findings"]
    return {"federation": {"by_round": by_round, "victims": victims}, "findings": findings, "gains": []}


def found_with(
    draws: int = 5, *, weaker: str | None = None, federated: Mapping[str, Any] | None = None, **central: Any
) -> Found:
    """Return findings in which all that the paper claims is true, apart from what is changed."""
    epochs = (12, 25, 50, 100)
    grown = [
        [central_audit(0.5 + 0.1 * k + 0.001 * d, errors=(8.0 - k, 8.0)) for d in range(draws)]
        for k in range(len(epochs))
    ]
    per_draw = {"accuracy": 0.82, "half": 0.005, **central}
    offsets = {"cnn3d": 0.0, "slice-mean": -0.15}
    values = {
        model: [central_audit(**{**per_draw, "accuracy": per_draw["accuracy"] + offset})] * draws
        for model, offset in offsets.items()
    }
    return Found(
        central={model: central_of(audits, 100) for model, audits in values.items()},
        lengths={m: [central_of(a, n) for a, n in zip(grown, epochs, strict=True)] for m in paper.MODELS},
        federated={
            (model, environment): federated_of([federated_audit(model, **(federated or {}))])
            for model in paper.MODELS
            for environment in paper.ENVIRONMENTS
        },
        weaker=weaker,
    )
