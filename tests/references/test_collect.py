"""Predictions that a lab sends back: files of the plan are read, and every kind of mistake is named."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan.errors import ReferencesError
from memberscan.references.collect import LISTS, SLURM, collect_predictions, write_lists
from memberscan.references.plan import Plan, name_of

from .conftest import learned


@pytest.fixture
def returned(tmp_path: Path, plan: Plan, scans: pd.DataFrame) -> Path:
    directory = tmp_path / "returned"
    directory.mkdir()
    for k, row in enumerate(learned(plan, scans)):
        table = pd.DataFrame({"scan_id": scans.index, "prediction": row}).sample(frac=1, random_state=k)
        table.to_csv(directory / f"{name_of(k)}.tsv", sep="\t", index=False)
    return directory


def change(path: Path, **columns: object) -> None:
    pd.read_csv(path, sep="\t").assign(**columns).to_csv(path, sep="\t", index=False)


def test_reads_the_predictions_of_the_plan(returned: Path, plan: Plan, scans: pd.DataFrame) -> None:
    found = collect_predictions([returned], plan, scans)
    assert not found.missing
    np.testing.assert_allclose(np.stack(list(found.predictions.values()))[:, :, 0], learned(plan, scans))


def test_reads_predictions_of_changed_copies_of_all_or_of_none(
    returned: Path, plan: Plan, scans: pd.DataFrame
) -> None:
    copies = np.random.default_rng(1).uniform(20, 80, (6, len(scans), 3))
    for k, path in enumerate(sorted(returned.iterdir())):
        of_scan = pd.DataFrame(copies[k], index=scans.index)
        table = pd.read_csv(path, sep="\t")
        change(
            path,
            **{f"copy_{c + 1}_prediction": of_scan[c].loc[table["scan_id"]].to_numpy() for c in range(3)},
        )
    found = collect_predictions([returned], plan, scans)
    answers = np.stack(list(found.predictions.values()))
    np.testing.assert_allclose(answers[:, :, 0], learned(plan, scans))
    np.testing.assert_allclose(answers[:, :, 1:], copies)
    path = returned / "reference-004.tsv"
    table = pd.read_csv(path, sep="\t")
    table.drop(columns="copy_3_prediction").to_csv(path, sep="\t", index=False)
    with pytest.raises(ReferencesError, match=r"001.tsv has predictions of 3 copies.*004.tsv of 2"):
        collect_predictions([returned], plan, scans)
    table.drop(columns="copy_1_prediction").to_csv(path, sep="\t", index=False)
    with pytest.raises(ReferencesError, match=r"004.tsv: .*no column copy_1_prediction"):
        collect_predictions([returned], plan, scans)
    table.assign(copy_2_prediction=np.nan).to_csv(path, sep="\t", index=False)
    with pytest.raises(ReferencesError, match="no number as the prediction of"):
        collect_predictions([returned], plan, scans)


def test_says_which_are_missing(returned: Path, plan: Plan, scans: pd.DataFrame) -> None:
    (returned / "reference-003.tsv").unlink()
    found = collect_predictions([returned], plan, scans)
    assert found.missing == ("reference-003",)
    assert len(found.predictions) == 5


def test_subjects_may_be_named_instead_of_scans(returned: Path, plan: Plan, scans: pd.DataFrame) -> None:
    path = returned / "reference-001.tsv"
    table = pd.read_csv(path, sep="\t")
    subjects = scans["subject_id"].loc[table["scan_id"]].to_numpy()
    table.assign(subject_id=subjects).drop(columns="scan_id").to_csv(path, sep="\t", index=False)
    found = collect_predictions([returned], plan, scans)
    np.testing.assert_allclose(found.predictions["reference-001"][:, 0], learned(plan, scans)[0])


def test_refuses_files_that_are_not_of_the_plan(returned: Path, plan: Plan, scans: pd.DataFrame) -> None:
    first = returned / "reference-001.tsv"
    with pytest.raises(ReferencesError, match="not a table"):
        collect_predictions([returned / "nothing.tsv"], plan, scans)
    (returned / "reference-001.csv").write_text(first.read_text().replace("\t", ","))
    with pytest.raises(ReferencesError, match=r"reference-001.tsv are both|both reference-001"):
        collect_predictions([returned], plan, scans)
    (returned / "reference-001.csv").unlink()
    first.rename(returned / "reference-007.tsv")
    with pytest.raises(ReferencesError, match="not named as a reference"):
        collect_predictions([returned], plan, scans)
    empty = returned / "empty"
    empty.mkdir()
    with pytest.raises(ReferencesError, match="holds no table"):
        collect_predictions([empty], plan, scans)


def test_refuses_other_scans(returned: Path, plan: Plan, scans: pd.DataFrame) -> None:
    path = returned / "reference-001.tsv"
    table = pd.read_csv(path, sep="\t")
    table.iloc[1:].to_csv(path, sep="\t", index=False)
    with pytest.raises(ReferencesError, match="no prediction of 1 of 40 scans"):
        collect_predictions([returned], plan, scans)
    pd.concat([table, table.iloc[:1]]).to_csv(path, sep="\t", index=False)
    with pytest.raises(ReferencesError, match="more than one row"):
        collect_predictions([returned], plan, scans)
    pd.concat([table, table.iloc[:1].assign(scan_id="x")]).to_csv(path, sep="\t", index=False)
    with pytest.raises(ReferencesError, match="not in the plan, such as 'x'"):
        collect_predictions([returned], plan, scans)
    table.rename(columns={"prediction": "age"}).to_csv(path, sep="\t", index=False)
    with pytest.raises(ReferencesError, match="prediction"):
        collect_predictions([returned], plan, scans)


def test_refuses_useless_predictions(returned: Path, plan: Plan, scans: pd.DataFrame) -> None:
    path = returned / "reference-002.tsv"
    text = path.read_text()
    change(path, prediction=50.0)
    with pytest.raises(ReferencesError, match="one prediction for everybody"):
        collect_predictions([returned], plan, scans)
    change(path, prediction="none")
    with pytest.raises(ReferencesError, match="no number"):
        collect_predictions([returned], plan, scans)
    path.write_text(text)
    (returned / "reference-004.tsv").write_text(text)
    with pytest.raises(ReferencesError, match="equal predictions"):
        collect_predictions([returned], plan, scans)


@pytest.fixture(scope="module")
def many() -> tuple[Plan, pd.DataFrame]:
    from .conftest import scans_of, some_people

    people = some_people(200)
    return Plan.draw(people, count=6, size=100, seed=1), scans_of(people)


def written(directory: Path, scans: pd.DataFrame, rows: np.ndarray) -> Path:
    directory.mkdir()
    for k, row in enumerate(rows):
        table = pd.DataFrame({"scan_id": scans.index, "prediction": row})
        table.to_csv(directory / f"{name_of(k)}.tsv", sep="\t", index=False)
    return directory


@pytest.mark.parametrize("order", [(1, 0, 2, 3, 4, 5), (0, 1, 4, 3, 2, 5)])
def test_notices_exchanged_files(
    tmp_path: Path, many: tuple[Plan, pd.DataFrame], order: tuple[int, ...]
) -> None:
    plan, scans = many
    directory = written(tmp_path / "r", scans, learned(plan, scans)[list(order)])
    with pytest.raises(ReferencesError, match=r"exchanged|not to be trained on"):
        collect_predictions([directory], plan, scans)


def test_notices_a_reference_that_was_trained_on_everybody(
    tmp_path: Path, many: tuple[Plan, pd.DataFrame]
) -> None:
    plan, scans = many
    rows = learned(plan, scans)
    rows[3] = scans["label"] + np.random.default_rng(5).normal(size=len(scans))
    directory = written(tmp_path / "r", scans, rows)
    with pytest.raises(ReferencesError, match="trained on everybody"):
        collect_predictions([directory], plan, scans)


@pytest.mark.parametrize("seed", range(20))
def test_accepts_models_that_are_not_overfit(
    tmp_path: Path, many: tuple[Plan, pd.DataFrame], seed: int
) -> None:
    plan, scans = many
    directory = written(tmp_path / "r", scans, learned(plan, scans, overfit=1.0, seed=seed))
    assert not collect_predictions([directory], plan, scans).missing


def test_writes_a_list_of_subjects_for_each_reference(tmp_path: Path, plan: Plan) -> None:
    write_lists(tmp_path, plan)
    lists = sorted((tmp_path / LISTS).iterdir())
    assert [path.stem for path in lists] == [name_of(k) for k in range(6)]
    assert lists[2].read_text().splitlines() == plan.members(2)
    assert lists[2].stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) == 0
    assert "--array=1-6" in (tmp_path / SLURM).read_text()
