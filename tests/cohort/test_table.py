from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memberscan.cohort import Cohort
from memberscan.cohort.cells import MISSING
from memberscan.cohort.ids import alike
from memberscan.cohort.people_table import _scan_ids
from memberscan.errors import BadInputError, CohortError, OutputConflictError, ParticipantsError, StaleError
from memberscan.shown import from_cell


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def measures(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(2.5, 0.2, (rows, 3)), columns=["thick a", "thick/b", "vol,c"])
    table.insert(0, "uid", [f"p {n} é/\\" for n in range(rows)])
    return table.assign(years=rng.uniform(20, 80, rows), sex=["F", "M"] * (rows // 2) + ["F"] * (rows % 2))


def test_features_ids_and_covariates(tmp_path: Path) -> None:
    table = measures(7).assign(note=[f"n{n}" for n in range(7)], nothing="")
    table.to_csv(tmp_path / "t.csv", index=False)
    cohort = Cohort.from_table(
        tmp_path / "t.csv", tmp_path / "c", subject="uid", age="years", covariates=["sex"]
    )
    assert (cohort.kind, cohort.shape, cohort.spacing, cohort.synthetic) == ("table", (3,), None, False)
    assert cohort.features == ("thick a", "thick/b", "vol,c")
    assert cohort.covariates == ("sex",)
    assert cohort.ignored == ("note", "nothing")
    assert cohort.scans.index.tolist() == table["uid"].tolist()
    np.testing.assert_array_equal(cohort.scans["age"], table["years"])
    chosen = [table["uid"][5], table["uid"][2]]
    np.testing.assert_array_equal(cohort.read(chosen), table.iloc[[5, 2], 1:4].to_numpy(np.float32))


def test_repeated_subjects_have_several_scans(tmp_path: Path) -> None:
    path = write(tmp_path / "t.tsv", "id\tage\tx\na\t30\t1\nb\t40\t2\na\t31\t3\na\t31\t1\n")
    cohort = Cohort.from_table(path, tmp_path / "c", subject="id", age="age")
    assert cohort.scans["subject_id"].to_dict() == {"a": "a", "b": "b", "a#2": "a", "a#3": "a"}
    assert cohort.subjects == ["a", "b"]
    assert cohort.read(["a#2"]).tolist() == [[3]]


@given(st.lists(st.sampled_from(["a", "b", "a#2", "a#3", "a#2#2"]), max_size=12))
def test_scan_ids_are_unique_and_begin_with_their_subject(subjects: list[str]) -> None:
    ids = _scan_ids(subjects)
    assert len(set(ids)) == len(ids) == len(subjects)
    firsts = dict(zip(reversed(subjects), reversed(ids), strict=True))
    assert all(scan == subject for subject, scan in firsts.items())
    assert all(scan.startswith(subject) for scan, subject in zip(ids, subjects, strict=True))


IDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), min_size=1)


@settings(max_examples=50, deadline=None)
@given(
    names=st.lists(
        # An apostrophe before a formula is the mark that our own tables carry, and is taken off.
        IDS.map(str.strip).filter(lambda text: text not in MISSING and from_cell(text) == text),
        min_size=2,
        max_size=6,
        unique=True,
    ).filter(lambda names: not alike(names))
)
def test_any_id_survives_the_way_to_disk_and_back(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ids")
    pd.DataFrame({"id": names, "age": 40.0, "x": np.arange(len(names))}).to_csv(folder / "t.csv", index=False)
    cohort = Cohort.from_table(folder / "t.csv", folder / "c", subject="id", age="age")
    assert cohort.scans["subject_id"].tolist() == names
    assert cohort.read(cohort.scans.index.tolist())[:, 0].tolist() == list(range(len(names)))


def test_bad_rows_are_listed_with_their_reason(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.csv",
        "id,age,x,y\nok,30,1,2\nlate,200,1,3\nnone,n/a,1,4\ngap,30,1,\nhuge,30,1e300,1\n"
        "endless,30,inf,1\ntwin,30,7,7\nmate,44,7,7\nold,89+,5,5\n,30,8,8\n",
    )
    cohort = Cohort.from_table(path, tmp_path / "c", subject="id", age="age")
    assert cohort.scans["age_note"].to_dict() == {"ok": "", "old": "written 89+"}
    assert cohort.scans["row"].tolist() == [0, 1]
    assert cohort.read(["old"]).tolist() == [[5, 5]]
    assert cohort.excluded.fillna("").set_index("scan_id")["reason"].to_dict() == {
        "late": "implausible age (200 years)",
        "none": "no age (written 'n/a')",
        "gap": "feature y is missing or not finite",
        "huge": "feature x is missing or not finite",
        "endless": "feature x is missing or not finite",
        "twin": "the same features under two ids (also mate)",
        "mate": "the same features under two ids (also twin)",
        "": "no subject id",
    }


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("id,age,x\na,1,2\n", {"subject": "uid"}, BadInputError, "no column 'uid'; it has: id, age, x"),
        ("id,age,x\na,1,2\n", {"covariates": ["sex", "site"]}, BadInputError, "'sex', 'site'"),
        ("id,age,x\na,1,2\n", {"age": "id"}, BadInputError, "named twice"),
        ("id,age,x\na,1,b\n", {}, CohortError, "no numeric column"),
        ("id,age,x\n", {}, CohortError, "no rows"),
        ("id,age,x\na,n/a,3\n", {}, CohortError, "all 1 scans are excluded"),
        ("", {}, ParticipantsError, "cannot be read"),
    ],
)
def test_bad_tables(
    tmp_path: Path, text: str, options: dict[str, object], error: type[Exception], message: str
) -> None:
    path = write(tmp_path / "t.csv", text)
    with pytest.raises(error, match=message):
        Cohort.from_table(path, tmp_path / "c", **({"subject": "id", "age": "age"} | options))


def test_a_changed_table_is_refused_and_another_request_too(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "id,age,x,z\na,30,2,1\n")
    first = Cohort.from_table(path, tmp_path / "c", subject="id", age="age")
    assert Cohort.from_table(path, tmp_path / "c", subject="id", age="age").fingerprint == first.fingerprint
    with pytest.raises(OutputConflictError):
        Cohort.from_table(path, tmp_path / "c", subject="id", age="age", covariates=["z"])
    write(path, "id,age,x,z\na,30,2,2\n")
    with pytest.raises(StaleError):
        Cohort.from_table(path, tmp_path / "c", subject="id", age="age")


def test_the_fingerprint_follows_values_ages_and_covariates(tmp_path: Path) -> None:
    texts = [
        "id,age,x,s\na,30,2,F\n",
        "id,age,x,s\na,31,2,F\n",
        "id,age,x,s\na,30,3,F\n",
        "id,age,x,s\na,30,2,M\n",
    ]
    prints = set()
    for number, text in enumerate([*texts, texts[0]]):
        path = write(tmp_path / f"{number}.csv", text)
        options = {"subject": "id", "age": "age", "covariates": ["s"]}
        prints.add(Cohort.from_table(path, tmp_path / f"c{number}", **options).fingerprint)
    assert len(prints) == len(texts)


def numbered(rows: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.normal(2.5, 0.2, (rows, 2)).round(4), columns=["a", "b"])
    table.insert(0, "id", [f"s{n:03d}" for n in range(rows)])
    return table.assign(age=rng.uniform(20, 80, rows).round(1), site=["A", "B"] * (rows // 2))


def build(folder: Path, text: str, name: str = "t.csv", **options: Any) -> Cohort:
    write(folder / name, text)
    Cohort.from_table(folder / name, folder / "c", subject="id", age="age", **options)
    return Cohort.open(folder / "c")


def test_nameless_columns_and_row_numbers_are_no_features(tmp_path: Path) -> None:
    table = numbered().assign(X=range(1, 13))
    cohort = build(tmp_path, table.to_csv(), covariates=["site"])
    assert (cohort.features, cohort.ignored) == (("a", "b"), ("column 1 (no name)", "X"))


@pytest.mark.parametrize("header", [True, False])
def test_lines_that_end_in_a_separator_make_a_cohort_that_opens(tmp_path: Path, header: bool) -> None:
    lines = numbered().to_csv(index=False).splitlines()
    lines = [line + "," if n or header else line for n, line in enumerate(lines)]
    cohort = build(tmp_path, "\n".join(lines), covariates=["site"])
    assert (cohort.features, cohort.covariates, cohort.ignored) == (("a", "b"), ("site",), ())


@pytest.mark.parametrize("code", ["#NULL!", "-", "NULL", " ", "."])
def test_a_missing_cell_costs_a_row_and_not_the_feature(tmp_path: Path, code: str) -> None:
    table = numbered().astype(str)
    table.loc[3, "b"] = code
    cohort = build(tmp_path, table.to_csv(index=False))
    assert cohort.features == ("a", "b")
    assert cohort.excluded["reason"].tolist() == ["feature b is missing or not finite"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": lambda t: t["b"].astype(str).where(t.index != 3, "n.d.")}, "column 'b' .*'n.d.' in row 5"),
        ({"site": lambda t: t["a"].astype(str).where(t.index != 3, "?x")}, "column 'site' .*'\\?x' in row 5"),
        (
            {"id": lambda t: t["id"].where(t.index != 3, "S1")},
            "'s001' and 'S1' differ only by",
        ),
        ({"age": lambda t: t["age"] * 365.25}, "ages seem to be in days.*column 'age' in years"),
        ({"age": lambda t: (t["age"] - 50) / 10}, "standardised"),
    ],
    ids=["feature", "covariate", "ids", "days", "z-scores"],
)
def test_what_would_be_misread_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ParticipantsError, match=message):
        build(tmp_path, numbered().assign(**change).to_csv(index=False), covariates=["site"])


@pytest.mark.parametrize("code", ["n/a", "NA", "NULL", "#N/A", "."])
def test_a_missing_code_is_no_subject(tmp_path: Path, code: str) -> None:
    table = numbered()
    table.loc[3, "id"] = code
    assert build(tmp_path, table.to_csv(index=False)).excluded["reason"].tolist() == ["no subject id"]


def test_a_german_spreadsheet_gives_the_same_cohort(tmp_path: Path) -> None:
    text = numbered().to_csv(index=False)
    plain = build(tmp_path, text)
    german = write(tmp_path / "g.csv", text.replace(",", ";").replace(".", ","))
    other = Cohort.from_table(german, tmp_path / "g", subject="id", age="age")
    assert other.fingerprint == plain.fingerprint


def test_ids_are_stripped(tmp_path: Path) -> None:
    table = numbered().assign(id=lambda t: t["id"].where(t.index != 3, "s002 "))
    cohort = build(tmp_path, table.to_csv(index=False))
    assert cohort.scans["subject_id"]["s002#2"] == "s002"


def test_features_can_be_named(tmp_path: Path) -> None:
    rows = {
        "id": ["a", "b", "c"],
        "age": [50, 60, 70],
        "site": [3, 1, 2],
        "right": [1.5, 2.5, 3.5],
        "left": [0.1, 0.2, 0.3],
        "sex": ["F", "M", "F"],
    }
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    options = {"subject": "id", "age": "age"}
    silent = Cohort.from_table(tmp_path / "t.csv", tmp_path / "silent", **options)
    assert silent.features == ("site", "right", "left")
    named = Cohort.from_table(tmp_path / "t.csv", tmp_path / "named", **options, features=["left", "right"])
    assert named.features == ("left", "right")
    assert named.covariates == ("site", "sex")
    np.testing.assert_array_equal(named.read(["b"])[0], np.float32([0.2, 2.5]))
    both = {"features": ["left"], "covariates": ["sex"]}
    assert Cohort.from_table(tmp_path / "t.csv", tmp_path / "both", **options, **both).covariates == ("sex",)
    with pytest.raises(OutputConflictError):
        Cohort.from_table(tmp_path / "t.csv", tmp_path / "named", **options)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (["sex"], "column 'sex' holds no numbers"),
        (["depth"], "no column 'depth'"),
        (["left", "left"], "named twice"),
        (["age"], "named twice"),
    ],
)
def test_features_that_cannot_be_are_refused(tmp_path: Path, features: list[str], message: str) -> None:
    rows = {"id": ["a", "b"], "age": [50, 60], "left": [0.1, 0.2], "sex": ["F", "M"]}
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(BadInputError, match=message):
        Cohort.from_table(tmp_path / "t.csv", tmp_path / "c", subject="id", age="age", features=features)
