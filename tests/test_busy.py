"""Two calls at work in one output directory: the second is refused in words, and the first goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from memberscan import TrainingConfig, audit, train
from memberscan.auditing.merging import merge
from memberscan.cohort import Cohort
from memberscan.errors import BusyError
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import federate
from memberscan.runs import Run
from memberscan.training import import_run

TRAINING = TrainingConfig(epochs=1, device="cpu")


def build(table: Cohort, run: Run, path: Path) -> None:
    Cohort.phantom(path, subjects=22, spacing=16, workers=1)


def build_from_table(table: Cohort, run: Run, path: Path) -> None:
    lines = ["id,age,thickness", *(f"p{n},{50 + n},{n}.5" for n in range(9))]
    path.with_suffix(".csv").write_text("\n".join(lines))
    Cohort.from_table(path.with_suffix(".csv"), path, subject="id", age="age")


def fit(table: Cohort, run: Run, path: Path) -> None:
    train(table, path, model="mlp", options={"width": 4}, config=TRAINING, seed=0)


def bring(table: Cohort, run: Run, path: Path) -> None:
    roles, weights = run.path / "roles.tsv", run.path / "weights.safetensors"
    import_run(
        path, cohort=run.cohort_path, model="cnn3d", options={"width": 4}, roles=roles, weights=weights
    )


def collaborate(table: Cohort, run: Run, path: Path) -> None:
    settings = Settings("mlp", {"width": 4}, TRAINING, rounds=1)
    federate(table, path, settings=settings, learners=2, held_out=0.5, seed=0)


def examine(table: Cohort, run: Run, path: Path) -> None:
    audit(run.path, path, attacks=["error"])


def join(table: Cohort, run: Run, path: Path) -> None:
    merge({"one": dict(audit(run.path, attacks=["error"]).content)}, path)


@pytest.mark.parametrize("call", [build, build_from_table, fit, bring, collaborate, examine, join])
def test_the_second_call_in_a_directory_is_refused_and_the_first_goes_on(
    call: Callable[[Cohort, Run, Path], None],
    table: Cohort,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, refused = tmp_path / "out", []
    real = os.fsync

    def meanwhile(descriptor: int) -> None:
        """Call again once, when the first call has stored its request."""
        real(descriptor)
        if not refused and (path / "request.json").exists():
            refused.append("not yet")
            with pytest.raises(BusyError, match="is being written by process"):
                call(table, run, path)
            refused[0] = "yes"

    monkeypatch.setattr(os, "fsync", meanwhile)
    call(table, run, path)
    assert refused == ["yes"]
    assert not list(path.rglob("*.partial"))
