"""Why a task failed: in the error's words, without people, places or control characters."""

from __future__ import annotations

from pathlib import Path

import pytest

from memberscan.auditing.failures import LONGEST, NOT_THE_TASKS_FAULT, attempt, reason_to_show
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError


def test_it_names_neither_people_nor_places(sixty: Cohort, tmp_path: Path) -> None:
    person, scan = sixty.subjects[0], sixty.scans.index[0]
    error = BadInputError(f"{tmp_path}/run: {person!r} and {scan!r} in {sixty.path} are  bad")
    said = reason_to_show(error, tmp_path, sixty.path)
    assert said == f"run: (a person) and (a person) in {sixty.path.name} are bad"


def test_an_error_of_other_code_has_its_kind_and_a_long_one_is_cut(sixty: Cohort, tmp_path: Path) -> None:
    assert reason_to_show(ZeroDivisionError("x"), tmp_path, sixty.path) == "ZeroDivisionError: x"
    cut = reason_to_show(ValueError("y" * 999), tmp_path, sixty.path)
    assert len(cut) == LONGEST and cut.endswith("…")


def test_an_id_without_quotes_is_not_named_either(sixty: Cohort, tmp_path: Path) -> None:
    person = sixty.subjects[0]
    assert len(person) > 2
    said = reason_to_show(ValueError(f"no {person}, nor sub-{person}_T1w.nii"), tmp_path, sixty.path)
    assert person not in said and said == "ValueError: no (a person), nor sub-(a person)_T1w.nii"
    longer = reason_to_show(ValueError(f"no x{person}9"), tmp_path, sixty.path)
    assert longer == f"ValueError: no x{person}9"


def test_a_task_that_fails_does_not_raise_unless_all_would_fail(sixty: Cohort, tmp_path: Path) -> None:
    def fail(error: Exception) -> None:
        raise error

    reason, seconds = attempt(lambda: fail(BadInputError("no")), tmp_path, sixty.path)
    assert reason == "no" and seconds >= 0
    assert attempt(lambda: None, tmp_path, sixty.path)[0] is None
    for kind in NOT_THE_TASKS_FAULT:
        with pytest.raises(kind):
            attempt(lambda kind=kind: fail(kind("all")), tmp_path, sixty.path)  # type: ignore[misc]
