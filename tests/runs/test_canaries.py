"""The owner's file of canaries: written, read, damaged, and of another cohort."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, StaleError
from memberscan.runs.canaries import Canaries, Canary


def two(first: str, second: str) -> Canaries:
    return Canaries(
        7,
        8,
        (
            Canary("canary 1", (first,), (first,), (50.0,), (90.0,), inside=True),
            Canary("canary 2", (first, second), (second, first), (55.0, 56.0), (5.0, 6.0), inside=False),
        ),
    )


def test_it_is_read_as_it_was_written_and_only_by_its_owner(tmp_path: Path) -> None:
    path, written = tmp_path / "canaries.json", two("a", "b")
    written.write(path)
    assert Canaries.read(path) == written
    assert path.stat().st_mode & 0o077 == 0
    assert written.inside.tolist() == [True, False]
    assert written.scans() == ["canary 1/0", "canary 2/0", "canary 2/1"]
    assert written.scans(~written.inside) == ["canary 2/0", "canary 2/1"]
    assert written.fingerprint != two("a", "c").fingerprint


@pytest.mark.parametrize(
    "damage", [{"schema": "memberscan.canaries/9"}, {"canaries": "none"}, {"mixing_seed": None}]
)
def test_a_damaged_file_is_refused(tmp_path: Path, damage: dict[str, Any]) -> None:
    path = tmp_path / "canaries.json"
    two("a", "b").write(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(BadInputError, match=r"canaries\.json"):
        Canaries.read(path)


def test_a_canary_has_one_source_and_one_label_for_each_scan() -> None:
    with pytest.raises(BadInputError, match="canary 3"):
        Canary("canary 3", ("a", "b"), ("a", "b"), (50.0, 51.0), (90.0,), inside=True)


def test_they_are_added_to_the_cohort_that_they_were_made_from(table: Cohort) -> None:
    first, second = table.scans.index[:2]
    both = two(first, second).added_to(table)
    assert both.labels[["canary 2/0", "canary 1/0"]].tolist() == [5.0, 90.0]
    with pytest.raises(StaleError, match="'nowhere'"):
        two(first, "nowhere").added_to(table)
