"""A reproduction as a whole: what it writes, failing tasks, interruptions, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, DiskFullError, OutputConflictError, TooFewSubjectsError
from memberscan.reproduction import ReproductionContent, making, paper, tasks
from memberscan.reproduction.making import DONE, PAGE, TABLE, cells_of
from memberscan.reproduction.tasks import Cell, Shared
from memberscan.runs import Roles
from memberscan.training import TrainingConfig

from .conftest import CELLS, Make

OUTPUTS = (DONE, TABLE, PAGE)


class Whole(NamedTuple):
    """A reproduction that nothing interrupted."""

    path: Path
    found: ReproductionContent


@pytest.fixture(scope="module")
def _kept() -> list[Whole]:
    return []


@pytest.fixture
def whole(make: Make, _kept: list[Whole], tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A finished reproduction, made once; nobody may write into it."""
    if not _kept:
        out = tmp_path_factory.mktemp("whole") / "out"
        _kept.append(Whole(out, make(out)))
    return _kept[0]


def contents(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in OUTPUTS}


def test_it_holds_what_the_audits_found(whole: Whole) -> None:
    out, found = whole
    assert (found.people, found.members, found.nonmembers, found.validation) == (48, 24, 24, 0)
    assert [row.attack for row in found.central] == list(paper.ATTACKS)
    audit = json.loads((out / "tasks" / "cnn3d" / "draw-1" / "audit" / "audit.json").read_text())
    for row, finding in zip(found.central, audit["findings"], strict=True):
        assert row.attack == finding["attack"]
        assert row.accuracy.value == pytest.approx(finding["accuracy"]["value"], abs=0.0051)
        assert row.accuracy.low <= finding["accuracy"]["low"] + 0.03
    assert [(each.model, each.epochs) for each in found.lengths] == [("cnn3d", 1), ("cnn3d", 5)]
    curves = {(c.model, c.environment): c for c in found.curves if not c.failed}
    assert set(curves) == {("cnn3d", "uniform-iid"), ("slice-mean", "skewed-noniid")}
    assert [entry.round for entry in curves["cnn3d", "uniform-iid"].rounds] == [1]
    assert [entry.round for entry in curves["slice-mean", "skewed-noniid"].rounds] == [1, 2]
    assert not found.failed and len(found.claims) == 21
    here = {each.name: each for each in found.settings}
    assert here["epochs in one place"].here == "5" and here["dropout"].same and not here["learners"].same


def test_what_is_written_agrees_and_only_the_owner_reads_of_people(whole: Whole, few: Cohort) -> None:
    out, found = whole
    assert ReproductionContent.model_validate(json.loads((out / DONE).read_text())) == found
    table = pd.read_csv(out / TABLE)
    assert set(table["part"]) == {"central", "length", "federated", "claim"}
    accuracies = table[(table["part"] == "central") & (table["measure"] == "accuracy")]
    assert accuracies["value"].tolist() == [row.accuracy.value for row in found.central]
    claims = table[table["part"] == "claim"]
    assert claims["outcome"].tolist() == [claim.outcome for claim in found.claims]
    for private in (out / "tasks", out / "request.json"):
        assert private.stat().st_mode & 0o077 == 0
    for name in OUTPUTS:
        text = (out / name).read_text()
        assert str(out.parent) not in text and not any(person in text for person in few.subjects)


def test_what_can_be_computed_again_and_is_large_is_not_kept(whole: Whole) -> None:
    made = whole.path / "tasks"
    assert not list(made.glob("*/*/audit/signals"))
    assert (made / "cnn3d" / "draw-1" / "run").is_dir()
    assert not (made / "cnn3d-uniform-iid" / "draw-1" / "run").exists()


def test_interrupted_at_every_stage_it_ends_in_the_same_bytes(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Whole
) -> None:
    out = tmp_path / "out"
    stages = [(tasks, name) for name in ("train", "federate", "audit")]
    for module, stage in [*stages, (making, "collect"), (making, "render"), (making, "write_json")]:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(module, stage, interrupting(getattr(module, stage)))
            make(out)
        assert not (out / DONE).exists()
    make(out)
    assert contents(out) == contents(whole.path)


def interrupting(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is interrupted after its work, as if the process were killed there."""

    def run(*arguments: Any, **named: Any) -> Any:
        if real.__name__ != "write_json":
            real(*arguments, **named)
        raise KeyboardInterrupt

    return run


def test_a_failed_task_does_not_end_the_others(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tasks.federate

    def federate(*arguments: Any, **named: Any) -> Any:
        if named["environment"] == "uniform-iid":
            raise TooFewSubjectsError("'v 03' is alone")
        return real(*arguments, **named)

    monkeypatch.setattr(tasks, "federate", federate)
    monkeypatch.setattr(making, "cells_of", lambda _: CELLS[2:])
    found = make(tmp_path / "out")
    assert [(each.what, each.reason) for each in found.failed] == [
        ("cnn3d, federated, uniform-iid, draw 1", "(a person) is alone")
    ]
    curves = {(c.model, c.environment): c for c in found.curves}
    assert curves["cnn3d", "uniform-iid"].failed == "(a person) is alone"
    assert curves["slice-mean", "skewed-noniid"].failed is None
    assert "(a person) is alone" in (tmp_path / "out" / PAGE).read_text()
    assert found.central == () and "No model was measured" in (tmp_path / "out" / PAGE).read_text()


def test_a_full_disk_is_no_fault_of_a_task(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "train", lambda *_, **__: (_ for _ in ()).throw(DiskFullError("full")))
    with pytest.raises(DiskFullError):
        make(tmp_path / "out")


def test_further_draws_are_added_and_another_request_is_refused(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "cells_of", lambda _: CELLS[1:2])
    first = make(tmp_path / "out")
    assert make(tmp_path / "out") == first
    with pytest.raises(OutputConflictError, match="length"):
        make(tmp_path / "out", length=0.1)
    assert make(tmp_path / "out", draws=2).draws == 2
    drawn = [Roles.read(path) for path in sorted((tmp_path / "out").glob("tasks/*/draw-*/run/roles.tsv"))]
    assert len({each.fingerprint for each in drawn}) == 2
    assert contents(tmp_path / "out") != {} and make(tmp_path / "again", draws=2).draws == 2
    assert contents(tmp_path / "out") == contents(tmp_path / "again")


@pytest.mark.parametrize("validation", [0.0, 0.1])
def test_everything_that_the_paper_did_is_planned(few: Cohort, validation: float) -> None:
    shared = Shared(few.path, 0.5, validation, 0.2, 8, 1.0, {}, TrainingConfig(learning_rate=1e-4))
    cells = cells_of(shared)
    assert [(shared.epochs, shared.rounds("cnn3d"), shared.rounds("slice-mean"))] == [(100, 25, 40)]
    assert sum(cell.environment is not None for cell in cells) == 8
    lengths = [cell.epochs for cell in cells if cell.epochs and cell.model == "cnn3d"]
    assert lengths == [12, 25, 50] + [100] * bool(validation)
    assert cells[:2] == [Cell("cnn3d"), Cell("slice-mean")] and len(set(cells)) == len(cells)
    assert len({cell.directory for cell in cells}) == len(cells)
    assert shared.settings("slice-mean").training.epochs == 4


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"draws": 0}, "draws is 0; give at least 1"),
        ({"federated_draws": 0}, "federated_draws is 0; give at least 1"),
        ({"length": 0.0}, "length is 0.0; give a share above 0"),
        ({"length": 1.5}, "length is 1.5"),
        ({"learners": 1}, "learners is 1"),
        ({"learners": 40}, "too few for 40 learners"),
        ({"held_out": 1.0}, "held_out is 1.0"),
        ({"config": TrainingConfig(defence="prune")}, "the paper has none"),
        ({"options": {"width": 4, "depth": 3}}, "depth"),
    ],
)
def test_bad_input_is_refused_before_anything_is_trained(
    make: Make, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadInputError, match=says):
        make(tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_other_papers_tables_and_targets_are_refused(few: Cohort, table: Cohort, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="'midl2022' is unknown; choose midl2021"):
        making.reproduce("midl2022", few, tmp_path / "out")
    with pytest.raises(BadInputError):
        making.reproduce(paper.NAME, table, tmp_path / "out")
    with pytest.raises(BadInputError, match="predict the age"):
        making.reproduce(paper.NAME, few.with_target("sex"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
