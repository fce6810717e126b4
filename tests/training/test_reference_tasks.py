"""Training references: resumed at the task, the same bytes whatever was interrupted, stale ones refused."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from memberscan.auditing.making_references import train_references
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, OutputConflictError, ReferencesError, StaleError
from memberscan.references.ensemble import DONE, PREDICTIONS, Ensemble
from memberscan.runs import Run
from memberscan.training import TrainingConfig, reference_tasks, train
from memberscan.training.reference_tasks import TASKS, seconds_of

from ..children import start
from .user_recipes import __name__ as recipes

# Its worker is forked from it, and so has all modules.
CHILD = """
import multiprocessing
from memberscan.auditing.making_references import train_references

fork = multiprocessing.get_context("fork")
multiprocessing.get_context = lambda _: fork
train_references(target, refs, count=4, workers=1)
"""


@pytest.fixture(scope="module")
def target(table: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = TrainingConfig(epochs=2, device="cpu")
    return train(table, tmp_path_factory.mktemp("target") / "run", model="mlp", config=config, seed=0)


@pytest.fixture(scope="module")
def whole(target: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """References of two workers."""
    directory = tmp_path_factory.mktemp("whole") / "refs"
    made = train_references(target.path, directory, count=4, workers=2)
    assert made is not None and len(made) == 4
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    """Return all files but that of times."""
    files = (p for p in directory.rglob("*") if p.is_file() and p.name != "timings.jsonl")
    return {str(p.relative_to(directory)): p.read_bytes() for p in files}


def test_references_are_models_of_the_targets_recipe(target: Run, whole: Path, table: Cohort) -> None:
    found = Ensemble.open(whole)
    assert found.cohort == table.fingerprint
    assert (found.inside.sum(axis=1) == 20).all()
    assert np.abs(np.diff(found.predictions, axis=0)).max() > 0
    assert "mlp" in found.recipe and target.spec.name == "mlp"


@pytest.mark.usefixtures("here")
def test_the_number_of_workers_does_not_change_a_byte(target: Run, whole: Path, tmp_path: Path) -> None:
    train_references(target.path, tmp_path / "refs", count=4, workers=1)
    assert contents(tmp_path / "refs") == contents(whole)


def test_a_finished_directory_is_left_alone(target: Run, whole: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in whole.rglob("*")}
    train_references(target.path, whole, count=4)
    assert {p: p.stat().st_mtime_ns for p in whole.rglob("*")} == before


def test_killed_at_random_moments_it_ends_in_the_same_bytes(target: Run, whole: Path, tmp_path: Path) -> None:
    child = start(CHILD, target=target.path, refs=tmp_path / "whole")
    started = time.monotonic()
    child.join()
    duration = time.monotonic() - started
    assert child.exitcode == 0 and contents(tmp_path / "whole") == contents(whole)
    moments, killed = random.Random(0), 0
    for _ in range(4):
        child = start(CHILD, target=target.path, refs=tmp_path / "refs")
        time.sleep(duration * moments.uniform(0.05, 0.5))
        child.kill()
        child.join()
        killed += child.exitcode == -signal.SIGKILL
    assert killed, "all were faster than the kill, so the test shows nothing"
    child = start(CHILD, target=target.path, refs=tmp_path / "refs")
    child.join()
    assert child.exitcode == 0 and contents(tmp_path / "refs") == contents(whole)


@pytest.mark.usefixtures("here")
def test_only_missing_references_are_trained(
    target: Run, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs, asked = tmp_path / "refs", []
    shutil.copytree(whole, refs)
    for path in (refs / DONE, refs / TASKS / "reference-003.json", refs / PREDICTIONS / "reference-003.npy"):
        path.unlink()
    real = reference_tasks.carry_out

    def watched(function, tasks, **options):  # type: ignore[no-untyped-def]
        asked.extend(task.name for task in tasks)
        return real(function, tasks, **options)

    monkeypatch.setattr(reference_tasks, "carry_out", watched)
    train_references(target.path, refs, count=4, workers=1)
    assert asked == ["reference-003"]
    assert contents(refs) == contents(whole)


@pytest.mark.usefixtures("here")
def test_more_are_added_to_those_that_are_there(target: Run, whole: Path, tmp_path: Path) -> None:
    refs = tmp_path / "refs"
    train_references(target.path, refs, count=2, workers=1)
    assert len(Ensemble.open(refs)) == 2
    train_references(target.path, refs, count=4, workers=1)
    assert contents(refs) == contents(whole)
    with pytest.raises(OutputConflictError, match="count was 4"):
        train_references(target.path, refs, count=2)


def test_refuses_a_directory_of_another_target_or_seed(
    target: Run, whole: Path, table: Cohort, tmp_path: Path
) -> None:
    with pytest.raises(OutputConflictError, match="seed is different"):
        train_references(target.path, whole, count=4, seed=9)
    other = train(table, tmp_path / "run", model="mlp", config=TrainingConfig(epochs=3, device="cpu"), seed=0)
    with pytest.raises(OutputConflictError, match="recipe is different"):
        train_references(other.path, whole, count=4)


@pytest.mark.usefixtures("here")
def test_refuses_a_reference_that_was_trained_in_another_way(target: Run, tmp_path: Path) -> None:
    refs = tmp_path / "refs"
    train_references(target.path, refs, count=2, workers=1)
    (refs / DONE).unlink()
    record = refs / TASKS / "reference-001.json"
    record.write_text(record.read_text().replace('"task": "', '"task": "0'))
    with pytest.raises(StaleError, match="reference-001"):
        train_references(target.path, refs, count=2, workers=1)


@pytest.mark.usefixtures("here")
def test_a_spent_budget_ends_it_and_a_further_run_goes_on(target: Run, whole: Path, tmp_path: Path) -> None:
    refs = tmp_path / "refs"
    assert train_references(target.path, refs, count=4, workers=1, budget=1e-9) is None
    with pytest.raises(ReferencesError, match="no finished references"):
        Ensemble.open(refs)
    assert train_references(target.path, refs, count=4, workers=1) is not None
    assert contents(refs) == contents(whole)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("name", "says"), [("of_everybody", "equal predictions"), ("constant", "one prediction for everybody")]
)
def test_refuses_a_recipe_that_ignores_whom_to_train_on(
    target: Run, tmp_path: Path, name: str, says: str
) -> None:
    with pytest.raises(ReferencesError, match=says):
        train_references(target.path, tmp_path / "refs", count=2, workers=1, recipe=f"{recipes}:{name}")
    assert not (tmp_path / "refs" / DONE).exists()


@pytest.mark.parametrize(("text", "seconds"), [("2h", 7200), ("90m", 5400), ("45s", 45), ("1.5h", 5400)])
def test_durations_are_read(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["2", "h", "-1h", "0s", "2 hours", ""])
def test_refuses_what_is_no_duration(text: str) -> None:
    with pytest.raises(BadInputError, match="2h, 90m"):
        seconds_of(text)


@pytest.mark.usefixtures("here")
def test_any_model_has_references_by_a_function(target: Run, table: Cohort, tmp_path: Path) -> None:
    made = train_references(target.path, tmp_path / "a", count=2, workers=1, recipe=f"{recipes}:ridge")
    assert made is not None and "ridge" in made.recipe
    predictions = tmp_path / "p.tsv"
    scans = table.scans.assign(prediction=made.predictions[0], member=made.inside[0].astype(int))
    scans[["subject_id", "age", "prediction", "member"]].to_csv(predictions, sep="\t", index=False)
    again = train_references(
        predictions, tmp_path / "b", count=2, workers=1, recipe=f"{recipes}:ridge", cohort=table.path
    )
    assert again is not None
    with pytest.raises(ReferencesError, match="--recipe"):
        train_references(predictions, tmp_path / "c", count=2, cohort=table.path)
    with pytest.raises(BadInputError, match="give --cohort"):
        train_references(predictions, tmp_path / "d", count=2, recipe=f"{recipes}:ridge")
