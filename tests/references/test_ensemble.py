"""The matrix of outputs on disk: what is read is what was written, and fits the target, or is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan.errors import NonFiniteError, ReferencesError, StaleError
from memberscan.references.ensemble import DONE, PREDICTIONS, SCANS, Ensemble, write_predictions
from memberscan.references.plan import PLAN, Plan

from .conftest import finished, learned


@pytest.fixture
def refs(tmp_path: Path, plan: Plan, scans: pd.DataFrame) -> Path:
    finished(tmp_path / "refs", plan, scans, learned(plan, scans))
    return tmp_path / "refs"


def test_what_is_read_is_what_was_written(refs: Path, plan: Plan, scans: pd.DataFrame) -> None:
    found = Ensemble.open(refs)
    assert len(found) == 6 and found.recipe == "a test"
    np.testing.assert_array_equal(found.predictions, learned(plan, scans))
    for k in range(6):
        assert set(found.scans["subject_id"][found.inside[k]]) == set(plan.members(k))
    assert found.pair[plan.subjects[3]] == plan.pair[3]


def test_only_the_owner_can_read_what_is_about_people(refs: Path) -> None:
    for path in (refs / PLAN, refs / SCANS, refs / PREDICTIONS / "reference-001.npy"):
        assert path.stat().st_mode & 0o077 == 0


def test_follows_the_order_of_the_targets_scans(refs: Path, scans: pd.DataFrame) -> None:
    found, some = Ensemble.open(refs), scans.sample(frac=0.5, random_state=1)
    fitted = found.of_scans(some, cohort="c0")
    assert fitted.scans.index.equals(some.index)
    one = fitted.scans.index[0]
    place = found.scans.index.get_loc(one)
    np.testing.assert_array_equal(fitted.predictions[:, 0], found.predictions[:, place])
    np.testing.assert_array_equal(fitted.inside[:, 0], found.inside[:, place])


def test_a_target_may_name_people_instead_of_scans(refs: Path, scans: pd.DataFrame) -> None:
    found = Ensemble.open(refs)
    by_person = scans.set_index(pd.Index(scans["subject_id"]))
    fitted = found.of_scans(by_person)
    np.testing.assert_array_equal(fitted.predictions, found.of_scans(scans).predictions)


def test_refuses_references_of_other_people(refs: Path, scans: pd.DataFrame) -> None:
    found = Ensemble.open(refs)
    with pytest.raises(ReferencesError, match="another cohort"):
        found.of_scans(scans, cohort="c1")
    with pytest.raises(ReferencesError, match="no prediction of scan 'unknown'"):
        found.of_scans(scans.rename(index={scans.index[0]: "unknown"}))
    with pytest.raises(ReferencesError, match="another age"):
        found.of_scans(scans.assign(label=scans["label"] + 1))
    with pytest.raises(ReferencesError, match="another subject_id"):
        found.of_scans(scans.assign(subject_id=scans["subject_id"].to_numpy()[::-1]))


def test_an_attacker_may_have_fewer(refs: Path) -> None:
    found = Ensemble.open(refs)
    assert len(found.first(4)) == 4
    assert found.first(4).fingerprint != found.first(2).fingerprint
    for count in (0, 1, 3, 8):
        with pytest.raises(ReferencesError, match="even number from 2 to 6"):
            found.first(count)


def test_references_may_predict_copies_too(tmp_path: Path, plan: Plan, scans: pd.DataFrame) -> None:
    predictions = learned(plan, scans)
    answers = predictions[:, :, None] + np.arange(6)
    found = finished(tmp_path / "refs", plan, scans, answers)
    assert found.copies is not None
    np.testing.assert_array_equal(found.predictions, predictions)
    np.testing.assert_array_equal(found.copies, answers[:, :, 1:])
    some = found.first(4).of_scans(scans.iloc[::-2])
    assert some.copies is not None
    np.testing.assert_array_equal(some.copies, answers[:4, ::-2, 1:])


def test_copies_count_only_if_all_references_predict_them(
    tmp_path: Path, plan: Plan, scans: pd.DataFrame
) -> None:
    predictions = learned(plan, scans)
    answers = [np.column_stack([row, row]) if k else row for k, row in enumerate(predictions)]
    found = finished(tmp_path / "refs", plan, scans, answers)
    np.testing.assert_array_equal(found.predictions, predictions)
    assert found.copies is None


def test_refuses_what_was_changed(refs: Path) -> None:
    (refs / PREDICTIONS / "reference-002.npy").write_bytes(
        (refs / PREDICTIONS / "reference-001.npy").read_bytes()
    )
    with pytest.raises(StaleError, match="reference-002"):
        Ensemble.open(refs)
    (refs / PREDICTIONS / "reference-002.npy").unlink()
    with pytest.raises(ReferencesError, match="missing"):
        Ensemble.open(refs)


def test_refuses_another_plan(refs: Path, people: pd.DataFrame) -> None:
    Plan.draw(people, count=6, size=20, seed=2).write(refs)
    with pytest.raises(StaleError, match="plan"):
        Ensemble.open(refs)


def test_refuses_unfinished_and_unknown_ones(refs: Path) -> None:
    content = json.loads((refs / DONE).read_text())
    (refs / DONE).write_text(json.dumps({**content, "schema": "memberscan.references/9"}))
    with pytest.raises(ReferencesError, match="schema"):
        Ensemble.open(refs)
    (refs / DONE).unlink()
    with pytest.raises(ReferencesError, match="finish"):
        Ensemble.open(refs)


def test_refuses_predictions_that_are_not_numbers(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError, match="1 of 3 predictions of reference-001"):
        write_predictions(tmp_path, "reference-001", np.array([1.0, np.nan, 2.0]))
