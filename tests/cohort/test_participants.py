from __future__ import annotations

import json
import math
import os
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


SESSIONS = {"sub-001": {"ses-1", "ses-2"}, "sub-002": {"ses-1"}}


@pytest.mark.parametrize(
    "written", ["1", "sub-1", "sub-01", "SUB-001", "Sub-1", "sub1", "sub-1.0", "0001", " 1 "]
)
def test_ids_that_differ_by_case_zeros_or_prefix_are_matched(tmp_path: Path, written: str) -> None:
    table = f"participant_id\tage\tgroup\n{written}\t30\tctl\nsub-002\t40\tpat\n"
    found = Participants.read(write(tmp_path, {"participants.tsv": table}), SESSIONS)
    assert found.age("sub-001", "")[1].years == 30
    assert found.age("sub-002", "")[1].years == 40
    assert found.covariates["group"].to_dict() == {"sub-001": "ctl", "sub-002": "pat"}


@pytest.mark.parametrize(
    ("rows", "folders", "message"),
    [
        ("1\t30\nsub-01\t40\n", ["sub-001"], "sub-001 on disk could be sub-01 or sub-1 in"),
        ("sub-001\t30\n", ["sub-1", "sub-01"], "sub-01, sub-1 on disk could be sub-001 in"),
        ("sub-1\t30\nsub-001\t40\n", ["sub-1", "sub-01"], "sub-01 on disk could be sub-001 in"),
        ("sub-A1\t30\nsub-a01\t40\n", ["sub-A01"], "sub-A01 on disk could be sub-A1 or sub-a01 in"),
    ],
)
def test_ids_that_could_be_two_people_are_refused(
    tmp_path: Path, rows: str, folders: list[str], message: str
) -> None:
    root = write(tmp_path, {"participants.tsv": f"participant_id\tage\n{rows}"})
    with pytest.raises(ParticipantsError, match=message):
        Participants.read(root, {folder: set() for folder in folders})


def test_ids_that_are_written_alike_are_never_moved(tmp_path: Path) -> None:
    rows = "participant_id\tage\nsub-1\t30\nsub-01\t40\nsub-10\t50\nsub-S1\t60\n"
    found = Participants.read(write(tmp_path, {"participants.tsv": rows}), {"sub-1": set(), "sub-01": set()})
    assert [found.age(name, "")[1].years for name in ("sub-1", "sub-01", "sub-10", "sub-S1")] == [
        30,
        40,
        50,
        60,
    ]


def test_people_whose_numbers_merely_look_alike_stay_apart(tmp_path: Path) -> None:
    rows = "participant_id\tage\nsub-10\t30\nsub-A100\t40\nsub-21\t50\nsub-b\t60\n"
    folders = {name: set[str]() for name in ("sub-0b", "sub-1", "sub-100", "sub-A10", "sub-2", "sub-201")}
    found = Participants.read(write(tmp_path, {"participants.tsv": rows}), folders)
    assert all(math.isnan(found.age(name, "")[1].years) for name in folders)


@pytest.mark.parametrize("key", ["Units", "units", "UNITS", "Unit", " units "])
@pytest.mark.parametrize("nested", [False, True])
def test_units_are_read_however_the_key_is_written(tmp_path: Path, key: str, nested: bool) -> None:
    about = {key: "months"}
    tables = {
        "participants.tsv": "participant_id\tage\nsub-1\t60\n",
        "participants.json": json.dumps({"age": {"Levels": about} if nested else about}),
    }
    assert Participants.read(write(tmp_path, tables)).age("sub-1", "")[1].years == 5


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"Units": "months", "units": "years"}, "several units"),
        ({"Units": "moons"}, "moons"),
        ({"Description": "Age in completed months"}, 'describes "age" in months but gives no units'),
        ({"LongName": "Age (weeks)"}, "weeks"),
        ("age in days", "days"),
    ],
)
def test_units_that_are_in_doubt_are_refused(tmp_path: Path, about: object, message: str) -> None:
    tables = {
        "participants.tsv": "participant_id\tage\nsub-1\t60\n",
        "participants.json": json.dumps({"age": about}),
    }
    with pytest.raises(ParticipantsError, match=message):
        Participants.read(write(tmp_path, tables))


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"Description": "Age in years"},
        {"Description": "age at the day of the scan"},
        {"Units": "Years", "Description": "Age in months until 2010"},
        {"Description": "age, in years and months"},
        "years",
        None,
    ],
)
def test_years_stay_years(tmp_path: Path, about: object) -> None:
    tables = {
        "participants.tsv": "participant_id\tage\nsub-1\t60\n",
        "participants.json": "\N{ZERO WIDTH NO-BREAK SPACE}" + json.dumps({"age": about}),
    }
    assert Participants.read(write(tmp_path, tables)).age("sub-1", "")[1].years == 60


@pytest.mark.parametrize("column", ["session_id", "session", "SES"])
def test_rows_for_each_session_are_used_by_session(tmp_path: Path, column: str) -> None:
    table = f"participant_id\t{column}\tage\tmmse\n1\t1\t30\t29\n1\tses-02\t33.5\t25\n2\tses-1\t40\tn/a\n"
    found = Participants.read(write(tmp_path, {"participants.tsv": table}), SESSIONS)
    ages = {row: age.years for row, (_, age) in found.by_session.items()}
    assert ages == {("sub-001", "ses-1"): 30, ("sub-001", "ses-2"): 33.5, ("sub-002", "ses-1"): 40}
    assert found.baseline == {}
    assert found.covariates["mmse"].dropna().to_dict() == {"sub-001_ses-1": 29, "sub-001_ses-2": 25}
    assert found.row("sub-001", "ses-2") == "sub-001_ses-2"


def test_a_session_listed_twice_is_refused(tmp_path: Path) -> None:
    table = "participant_id\tsession_id\tage\nsub-1\tses-1\t30\nsub-1\tses-1\t31\n"
    with pytest.raises(ParticipantsError, match=r"lists sub-1_ses-1 more than once"):
        Participants.read(write(tmp_path, {"participants.tsv": table}))


def test_a_session_column_of_single_rows_says_whose_age_it_is(tmp_path: Path) -> None:
    table = "participant_id\tsession\tage\nsub-001\t2\t33\nsub-002\t1\t40\n"
    found = Participants.read(write(tmp_path, {"participants.tsv": table}), SESSIONS)
    assert found.age("sub-001", "ses-2")[1].years == 33
    assert math.isnan(found.age("sub-001", "ses-1")[1].years)


def test_sessions_are_matched_too(tmp_path: Path) -> None:
    tables = {
        "participants.tsv": "participant_id\tage\nsub-001\t30\n",
        "sub-001/sub-001_sessions.tsv": "session_id\tage\nses-01\t30\nSES-2\t33\n",
    }
    found = Participants.read(write(tmp_path, tables), SESSIONS)
    assert found.age("sub-001", "ses-2")[1].years == 33


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_byte_order_marks_and_line_ends_of_excel(tmp_path: Path, encoding: str, newline: str) -> None:
    text = newline.join(["participant_id\tage\tname", "sub-1\t30\té", "sub-2\t31\tx", ""])
    (tmp_path / "participants.tsv").write_bytes(text.encode(encoding))
    found = Participants.read(tmp_path)
    assert [found.age(f"sub-{n}", "")[1].years for n in (1, 2)] == [30, 31]
    assert found.covariates["name"].tolist() == ["é", "x"]


def test_a_table_in_utf_16_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "participants.tsv").write_bytes("participant_id\tage\nsub-1\t30\n".encode("utf-16"))
    with pytest.raises(ParticipantsError, match=r"participants\.tsv cannot be read .* save it as UTF-8"):
        Participants.read(tmp_path)


def test_a_pipe_in_place_of_a_table_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "participants.tsv")
    with pytest.raises(ParticipantsError, match="not a regular file"):
        Participants.read(tmp_path)


def test_quotation_marks_swallow_no_rows(tmp_path: Path) -> None:
    table = (
        'participant_id\tage\tnote\nsub-1\t30\t"left\nsub-2\t31\tx\nsub-3\t32\tright"\nsub-4\t33\t5" cut\n'
    )
    found = Participants.read(write(tmp_path, {"participants.tsv": table}))
    assert [found.age(f"sub-{n}", "")[1].years for n in (1, 2, 3, 4)] == [30, 31, 32, 33]


@pytest.mark.parametrize(
    ("listed", "found"),
    [("002_S_0413", "sub-002S0413"), ("sub-A_01", "sub-A01"), ("S 7", "sub-S07"), ("p.12", "sub-P12")],
)
def test_a_label_on_the_disk_has_lost_what_is_no_letter_or_digit(
    tmp_path: Path, listed: str, found: str
) -> None:
    (tmp_path / "participants.tsv").write_text(f"participant_id\tage\n{listed}\t30\n")
    assert Participants.read(tmp_path, {found: ()}).age(found, "")[1].years == 30


@pytest.mark.parametrize(
    ("about", "unit"),
    [
        ({"Description": "Age at scan, months"}, "months"),
        ({"Description": "age days"}, "days"),
        ({"LongName": "Age: weeks"}, "weeks"),
        ({"Description": "age", "Levels": {"n/a": "not given in months"}}, ""),
        ({"Description": "age", "TermURL": "https://x.org/(days)"}, ""),
        ({"Description": "age at the visit, months after the first"}, ""),
        ({"Description": "age", "Units": "n/a"}, ""),
    ],
)
def test_what_a_sidecar_says_of_units_in_passing(tmp_path: Path, about: dict[str, object], unit: str) -> None:
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-1\t30\n")
    (tmp_path / "participants.json").write_text(json.dumps({"age": about}))
    if unit:
        with pytest.raises(ParticipantsError, match=f'in {unit} but gives no units; write "Units": "{unit}"'):
            Participants.read(tmp_path)
    else:
        assert Participants.read(tmp_path).age("sub-1", "")[1].years == 30


def test_ages_that_are_none_are_quoted(tmp_path: Path) -> None:
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-1\t20-25\n")
    with pytest.raises(ParticipantsError, match=r"no row of .* gives an age.*holds '20-25'"):
        Participants.read(tmp_path)
