from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, ModelError, OutputConflictError, PredictionsError
from memberscan.models.inputs import as_inputs, predict_scans
from memberscan.runs import Run
from memberscan.runs.run import WEIGHTS, Reproduced
from memberscan.training import import_run

Table = pd.DataFrame


@pytest.fixture
def own(run: Run, volumes: Cohort) -> Table:
    """The predictions of the run's makers."""
    ids = volumes.scans.index.tolist()
    return pd.DataFrame({"scan_id": ids, "prediction": predict_scans(run.load(), volumes, ids)[:, 0]})


@pytest.fixture
def take(run: Run, volumes: Cohort, tmp_path: Path) -> Callable[..., Run]:
    """Return a function that imports the run's network with a table of predictions."""

    def imported(table: Table, **changes: Any) -> Run:
        table.to_csv(tmp_path / "own.tsv", sep="\t", index=False)
        return import_run(
            tmp_path / "run",
            cohort=volumes,
            model="cnn3d",
            options={"width": 4},
            roles=run.roles,
            weights=run.path / WEIGHTS,
            predictions=tmp_path / "own.tsv",
            **changes,
        )

    return imported


def test_equal_predictions_are_recorded(take: Callable[..., Run], own: Table) -> None:
    made = take(own, training_error=3.0)
    assert made.reproduced is not None
    assert made.reproduced.scans == len(own)
    assert made.reproduced.largest < 1e-4
    assert Run.open(made.path, model="cnn3d") == made
    assert Run.open(made.path).training_error == 3.0
    assert made.imported


@pytest.mark.parametrize(("decimals", "largest"), [(2, 0.005), (0, 0.5)])
def test_they_may_be_rounded(take: Callable[..., Run], own: Table, decimals: int, largest: float) -> None:
    made = take(own.round(decimals).iloc[::-2])
    assert made.reproduced is not None
    assert 0 < made.reproduced.largest <= largest + 1e-4


def test_subjects_with_one_scan_may_be_named(take: Callable[..., Run], own: Table, volumes: Cohort) -> None:
    subject = volumes.scans["subject_id"]
    single = ~subject.duplicated(keep=False)
    predictions = own.set_index("scan_id")["prediction"]
    table = pd.DataFrame({"subject": subject[single], "prediction": predictions[single]})
    assert take(table).reproduced == Reproduced(int(single.sum()), pytest.approx(0, abs=1e-4))
    twice = subject[~single].iloc[:1]
    other = pd.DataFrame({"subject": twice, "prediction": [60.0]})
    with pytest.raises(PredictionsError, match=r"1 of 1 ids are neither .* nor subjects with one"):
        take(other)


def test_scans_that_the_cohort_excluded_are_passed_over(take: Callable[..., Run], own: Table) -> None:
    more = pd.concat([own, pd.DataFrame({"scan_id": ["lost"], "prediction": [50.0]})])
    assert take(more).reproduced == Reproduced(len(own), pytest.approx(0, abs=1e-4))
    with pytest.raises(PredictionsError, match="no prediction of a scan"):
        take(more.iloc[-1:])


def test_others_are_refused_with_scans_and_differences(
    take: Callable[..., Run], own: Table, tmp_path: Path
) -> None:
    moved = own.assign(prediction=own["prediction"].sample(frac=1, random_state=0).to_numpy())
    moved.loc[3, "prediction"] = 999.5
    with pytest.raises(ModelError, match=r"not reproduce .*own\.tsv: .* differ by more than 0\.1") as raised:
        take(moved)
    assert f"{own.loc[3, 'scan_id']} is 999.50 there" in str(raised.value)
    assert "--as-is" in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_another_unit_is_named(take: Callable[..., Run], own: Table) -> None:
    standard = own.assign(prediction=(own["prediction"] - 60) / 8)
    with pytest.raises(ModelError, match=r"the same in another unit: 0\.125 times this output plus -7\.5"):
        take(standard)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.rename(columns={"prediction": "age"}), "it needs scan_id or subject_id, and prediction"),
        (lambda t: t.assign(prediction="old"), "is 'old'; it must be a number"),
        (lambda t: pd.concat([t, t]), "is in more than one row"),
        (lambda t: t.assign(scan_id=t["scan_id"] + "x"), "ids are neither scans of"),
        (lambda t: t.iloc[:0], "no prediction of a scan|no rows"),
    ],
)
def test_bad_files_are_refused(
    take: Callable[..., Run], own: Table, change: Callable[[Table], Table], message: str
) -> None:
    with pytest.raises(PredictionsError, match=message):
        take(change(own))


@pytest.mark.parametrize("error", [-1.0, float("nan"), float("inf")])
def test_bad_training_errors_are_refused(take: Callable[..., Run], own: Table, error: float) -> None:
    with pytest.raises(BadInputError, match="--training-error"):
        take(own, training_error=error)


def test_another_file_is_another_import(take: Callable[..., Run], own: Table) -> None:
    take(own)
    take(own)
    with pytest.raises(OutputConflictError):
        take(own.iloc[1:])


def test_a_monai_bundle_is_built_by_ones_own_factory(
    run: Run, volumes: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("monai", reason="make test-all installs it")
    monkeypatch.chdir(tmp_path)
    how_to = (Path(__file__).parents[2] / "docs" / "howto" / "bring-a-model.md").read_text("utf-8")
    code = how_to[how_to.index("from monai.bundle") :]
    (tmp_path / "lab_bundle.py").write_text(code[: code.index("```")])
    (tmp_path / "bundle" / "configs").mkdir(parents=True)
    (tmp_path / "bundle" / "models").mkdir()
    network = {"_target_": "monai.networks.nets.Regressor", "in_shape": [1, *volumes.shape], "out_shape": [1]}
    config = {"network_def": network | {"channels": [2, 4], "strides": [2, 2]}}
    (tmp_path / "bundle" / "configs" / "inference.json").write_text(json.dumps(config))
    from monai.networks.nets import Regressor

    made = Regressor([1, *volumes.shape], [1], [2, 4], [2, 2])
    torch.save(made.state_dict(), tmp_path / "bundle" / "models" / "model.pt")
    taken = import_run(
        tmp_path / "run",
        cohort=volumes,
        model="lab_bundle:brain_age",
        roles=run.roles,
        weights=tmp_path / "bundle" / "models" / "model.pt",
    )
    ids = volumes.scans.index[:2].tolist()
    expected = made.eval()(as_inputs(volumes, ids)).flatten().detach().numpy()
    np.testing.assert_allclose(predict_scans(taken.load(), volumes, ids)[:, 0], expected, rtol=1e-5)
