"""Why a task failed: in the error's words, without people, places or control characters."""

from __future__ import annotations

from pathlib import Path

from memberscan.auditing.failures import LONGEST, reason_to_show
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError


def test_it_names_neither_people_nor_places(sixty: Cohort, tmp_path: Path) -> None:
    person, scan = sixty.subjects[0], sixty.scans.index[0]
    error = BadInputError(f"{tmp_path}/run: {person!r} and {scan!r} in {sixty.path} are  bad")
    said = reason_to_show(error, [tmp_path], sixty.path)
    assert said == f"run: (a person) and (a person) in {sixty.path.name} are bad"


def test_an_error_of_other_code_has_its_kind_and_a_long_one_is_cut(sixty: Cohort, tmp_path: Path) -> None:
    assert reason_to_show(ZeroDivisionError("x"), [tmp_path], sixty.path) == "ZeroDivisionError: x"
    cut = reason_to_show(ValueError("y" * 999), [tmp_path], sixty.path)
    assert len(cut) == LONGEST and cut.endswith("…")
