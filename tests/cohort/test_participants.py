from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from memberscan.cohort.participants import Participants
from memberscan.errors import BadInputError, ParticipantsError


def write(root: Path, tables: dict[str, str]) -> Path:
    for name, text in tables.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({}, "does not exist"),
        ({"participants.tsv": "id\tage\n1\t30\n"}, 'no column "participant_id"'),
        ({"participants.tsv": "participant_id,age\nsub-1,30\n"}, "tab-separated"),
        ({"participants.tsv": "participant_id\nsub-1\n"}, "nothing else"),
        ({"participants.tsv": "participant_id\tage\nsub-1\tn/a\nsub-2\t\n"}, "no row of .* gives an age"),
        ({"participants.tsv": "participant_id\tage\n"}, "no row of .* gives an age"),
        ({"participants.tsv": ""}, "cannot be read"),
        ({"participants.tsv": "participant_id\tage\nsub-1\t30\n1\t31\n"}, "sub-1 more than once"),
        (
            {
                "participants.tsv": "participant_id\tage\nsub-1\t30\n",
                "participants.json": json.dumps({"age": {"Units": "moons"}}),
            },
            "moons",
        ),
    ],
)
def test_tables_that_give_no_ages(tmp_path: Path, tables: dict[str, str], message: str) -> None:
    with pytest.raises(ParticipantsError, match=message):
        Participants.read(write(tmp_path, tables))


@pytest.mark.parametrize("sidecar", ["{", "[1]"])
def test_a_broken_sidecar_is_named(tmp_path: Path, sidecar: str) -> None:
    tables = {"participants.tsv": "participant_id\tage\nsub-1\t30\n", "participants.json": sidecar}
    with pytest.raises(BadInputError, match=r"participants\.json"):
        Participants.read(write(tmp_path, tables))


def test_ids_with_and_without_the_prefix_and_repeated_rows(tmp_path: Path) -> None:
    table = "participant_id\tAGE\tgroup\n01\t30\tctl\nsub-02\t>89\tctl\nsub-02\t>89\tctl\n"
    found = Participants.read(write(tmp_path, {"participants.tsv": table}))
    assert found.age("sub-01", "")[1].years == 30
    assert found.age("sub-02", "ses-1") == (">89", (89, "written >89"))
    assert math.isnan(found.age("sub-03", "")[1].years)
    assert found.covariates.to_dict() == {"group": {"sub-01": "ctl", "sub-02": "ctl"}}


def test_sessions_have_the_last_word_where_they_speak(tmp_path: Path) -> None:
    found = Participants.read(
        write(
            tmp_path,
            {
                "participants.tsv": "participant_id\tage\nsub-1\t30\nsub-2\t40\n",
                "sub-1/sub-1_sessions.tsv": "session_id\tage\nses-1\t360\nses-2\tn/a\n",
                "sub-2/sub-2_sessions.tsv": "session_id\tmood\nses-1\tgood\n",
                "sessions.json": json.dumps({"age": {"Units": "months"}}),
            },
        )
    )
    assert found.age("sub-1", "ses-1")[1].years == 30
    assert math.isnan(found.age("sub-1", "ses-2")[1].years)
    assert found.age("sub-1", "ses-3")[1].years == 30
    assert found.age("sub-2", "ses-1")[1].years == 40


def test_sessions_alone_are_enough(tmp_path: Path) -> None:
    found = Participants.read(write(tmp_path, {"sub-1/sub-1_sessions.tsv": "session_id\tage\nses-1\t33\n"}))
    assert found.age("sub-1", "ses-1")[1].years == 33
    assert found.covariates.empty


def test_the_tables_of_a_dataset_follow_the_rules_of_all_tables(tmp_path: Path) -> None:
    rows = "".join(f"sub-{n:02d}\t{30 + n}\t{60.5 + n}\n" for n in range(1, 30))
    head = "participant_id\tage\tweight\n"
    read = Participants.read(
        write(tmp_path / "a", {"participants.tsv": head + rows + "sub-30\t40\t#NULL!\n"})
    )
    assert read.covariates["weight"].notna().sum() == 29
    with pytest.raises(ParticipantsError, match=r"column 'weight' .*'refused' in row 31"):
        Participants.read(write(tmp_path / "b", {"participants.tsv": head + rows + "sub-30\t40\trefused\n"}))
    months = "".join(f"sub-{n:02d}\t{12 * (30 + n)}\t1\n" for n in range(1, 30))
    with pytest.raises(ParticipantsError, match="ages seem to be in weeks or months"):
        Participants.read(write(tmp_path / "c", {"participants.tsv": head + months}))
