from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.cohort.cells import MISSING
from memberscan.cohort.ids import alike
from memberscan.errors import DataLeakageError, NonFiniteError, PredictionsError
from memberscan.shown import from_cell
from memberscan.targets.predictions_file import read_predictions

# Python's csv dialect, which spreadsheets share, has no way to write these; all else may stand in an id.
ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
# A spreadsheet writes text as a formula, ="text", and means the text; so does our own mark before a formula.
ids = ids.map(str.strip).filter(
    lambda text: text not in MISSING and not text.startswith('="') and from_cell(text) == text
)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def rows(*lines: str, header: str = "subject_id\tage\tprediction\tmember") -> str:
    return "\n".join([header, *lines]) + "\n"


GOOD = ("a\t60\t61.5\t1", "b\t70.5\t66\t0")


@given(
    st.dictionaries(
        ids, st.tuples(st.floats(18, 100), st.floats(-50, 150), st.booleans()), min_size=2, max_size=20
    ).filter(lambda people: not alike(list(people))),
    st.sampled_from([".tsv", ".csv"]),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, people: dict[str, tuple[float, float, bool]], suffix: str
) -> None:
    table = pd.DataFrame(
        [(s, age, p, int(m)) for s, (age, p, m) in people.items()],
        columns=["subject_id", "age", "prediction", "member"],
    )
    table.loc[:1, "member"] = [0, 1]
    path = tmp_path_factory.mktemp("predictions") / f"p{suffix}"
    table.to_csv(path, sep="\t" if suffix == ".tsv" else ",", index=False)
    read = read_predictions(path)
    assert read.scans.index.tolist() == read.scans["subject_id"].tolist() == list(people)
    np.testing.assert_allclose(read.scans["label"], table["age"], rtol=1e-15)
    np.testing.assert_allclose(read.predictions, table["prediction"], rtol=1e-15)
    assert read.member.to_dict() == dict(zip(table["subject_id"], table["member"] == 1, strict=True))


def test_repeat_scans_and_covariates_are_kept_by_scan_and_names_are_ignored(tmp_path: Path) -> None:
    header = "scan_id\tsubject_id\tsite\tage\tprediction\tmember\theight\tname"
    lines = [
        f"s{n} x/ß\tp {n // 2}\t{'AB'[n % 2]}\t{50 + n}\t{52 + n}\t{n // 2 % 2}\t"
        f"{'n/a' if n == 3 else 1.5 + n}\tname{n}"
        for n in range(44)
    ]
    read = read_predictions(write(tmp_path / "p.tsv", rows(*lines, header=header)))
    assert len(read.scans) == 44
    assert read.member.size == 22
    assert read.member["p 3"] and not read.member["p 2"]
    assert read.ignored == ("name",)
    assert list(read.covariates) == ["site", "height"]
    assert read.covariates.index.equals(read.scans.index)
    assert read.covariates.loc["s1 x/ß"].tolist() == ["B", 2.5]
    assert np.isnan(read.covariates.loc["s3 x/ß", "height"])


@pytest.mark.parametrize("levels", [20, 21])
def test_text_of_over_20_levels_is_as_good_as_a_name(tmp_path: Path, levels: int) -> None:
    lines = [f"s{n}\t60\t61\t{n % 2}\tlevel {n % levels}" for n in range(2 * levels)]
    text = rows(*lines, header="subject_id\tage\tprediction\tmember\tscanner")
    read = read_predictions(write(tmp_path / "p.tsv", text))
    assert read.ignored == (() if levels == 20 else ("scanner",))


@pytest.mark.parametrize(
    ("yes", "no"), [("1", "0"), ("True", "FALSE"), ("yes", " No"), ("member", "non-member")]
)
def test_membership_may_be_written_in_words(tmp_path: Path, yes: str, no: str) -> None:
    read = read_predictions(write(tmp_path / "p.tsv", rows(f"a\t60\t61\t{yes}", f"b\t60\t61\t{no}")))
    assert read.member.to_dict() == {"a": True, "b": False}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (rows(*GOOD, "a\t61\t60\t1"), "subject_id 'a' is in more than one row; .*column scan_id"),
        (
            rows("x\ta\t6\t6\t1", "x\tb\t6\t6\t0", header="scan_id\tsubject_id\tage\tprediction\tmember"),
            "scan_id 'x'",
        ),
        (
            rows("a\t60\t1", header="subject_id\tage\tmember"),
            "no column prediction; it has subject_id, age, member",
        ),
        (rows("a", header="id"), "no column subject_id, age, prediction, member"),
        (rows("a\tsixty\t61\t1", *GOOD[1:]), "column age holds 'sixty' .scan 'a'.*must hold numbers"),
        (rows("a\t89+\t61\t1", *GOOD[1:]), "column age holds '89\\+'"),
        (rows("a\t60\t61,5\t1", *GOOD[1:]), "column prediction holds '61,5'"),
        (rows("a\t\t61\t1", *GOOD[1:]), "scan 'a' has no age"),
        (rows("a\tn/a\t61\t1", *GOOD[1:]), "scan 'a' has no age"),
        (rows("a\tinf\t61\t1", *GOOD[1:]), "scan 'a' has no age"),
        (rows("a\t60\t61\tmaybe", *GOOD[1:]), "column member holds 'maybe'.*write 1 for members"),
        (rows("a\t60\t61\t", *GOOD[1:]), "column member holds ''"),
        (rows("a\t60\t61\t1"), "holds members only"),
        (rows("a\t60\t61\t0", "b\t60\t61\t0"), "holds non-members only"),
        (rows("\t60\t61\t0", *GOOD), "has no subject_id"),
        (rows(), "header and no rows"),
        ("", "cannot be read as a table"),
        (rows(*GOOD, header="subject_id\tage\tage\tmember"), "several columns called age"),
    ],
)
def test_bad_files_are_errors_that_name_the_file_and_the_cell(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(PredictionsError, match=rf"p\.tsv.*{message}") as caught:
        read_predictions(write(tmp_path / "p.tsv", text))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("written", ["nan", "NaN", "n/a", "", "inf", "-inf"])
def test_predictions_that_are_nan_or_infinite_are_refused(tmp_path: Path, written: str) -> None:
    with pytest.raises(NonFiniteError, match="1 of 2 predictions"):
        read_predictions(write(tmp_path / "p.tsv", rows(f"a\t60\t{written}\t1", *GOOD[1:])))


def test_a_subject_on_both_sides_is_leakage(tmp_path: Path) -> None:
    text = rows("1\ta\t60\t6\t1", "2\ta\t60\t6\t0", header="scan_id\tsubject_id\tage\tprediction\tmember")
    with pytest.raises(DataLeakageError, match="'a' is both a member and a non-member"):
        read_predictions(write(tmp_path / "p.tsv", text))


def test_a_file_that_is_missing_or_binary_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match="does not exist"):
        read_predictions(tmp_path / "p.tsv")
    (tmp_path / "p.tsv").write_bytes(b"\x89HDF\r\n\x1a\n\xff\xfe" * 9)
    with pytest.raises(PredictionsError, match=r"p\.tsv"):
        read_predictions(tmp_path / "p.tsv")


def test_torch_is_not_needed(tmp_path: Path) -> None:
    write(tmp_path / "p.tsv", rows(*GOOD))
    code = (
        "import sys; from pathlib import Path\n"
        "from memberscan.targets.predictions_file import read_predictions\n"
        f"read_predictions(Path({str(tmp_path / 'p.tsv')!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


ROWS = 40


def many(**columns: object) -> str:
    """Return a predictions file of forty people with these columns added or replaced."""
    rng = np.random.default_rng(0)
    age = rng.uniform(45, 80, ROWS).round(1)
    table = pd.DataFrame(
        {
            "subject_id": [f"s{n:04d}" for n in range(ROWS)],
            "age": age,
            "prediction": (age + rng.normal(0, 4, ROWS)).round(2),
            "member": np.arange(ROWS) % 2,
        }
    )
    return table.assign(**columns).to_csv(sep="\t", index=False)


VOLUMES = [str(1500.5 + n) for n in range(ROWS)]


@pytest.mark.parametrize(
    "written", ["#NULL!", "-", "NULL", "", " ", ".", "None", "#N/A", "<NA>", "NaN ", " n/a"]
)
def test_one_missing_cell_leaves_a_column_of_numbers_however_it_is_written(
    tmp_path: Path, written: str
) -> None:
    read = read_predictions(write(tmp_path / "p.tsv", many(volume=[written, *VOLUMES[1:]])))
    assert read.ignored == ()
    assert read.covariates["volume"].isna().tolist() == [True] + [False] * (ROWS - 1)
    assert read.covariates["volume"].iloc[1:].tolist() == [float(v) for v in VOLUMES[1:]]


@pytest.mark.parametrize("written", ["unknown", "n.d.", "1500,5", "<5", "12 ml", "1.500,25"])
def test_a_column_of_numbers_but_for_a_cell_is_refused_and_the_cell_quoted(
    tmp_path: Path, written: str
) -> None:
    text = many(volume=[*VOLUMES[:7], written, *VOLUMES[8:]])
    with pytest.raises(PredictionsError, match=f"column 'volume' .*'{written}' in row 9; write a number"):
        read_predictions(write(tmp_path / "p.tsv", text))


def test_a_column_of_codes_is_text(tmp_path: Path) -> None:
    text = many(batch=["1", "2", "3a", "3b"] * 10, operator=["1a", "2b", "7", "n/a"] * 10)
    read = read_predictions(write(tmp_path / "p.tsv", text))
    assert read.covariates["batch"].unique().tolist() == ["1", "2", "3a", "3b"]
    assert read.covariates["operator"].dropna().unique().tolist() == ["1a", "2b", "7"]


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("", range(ROWS)),
        ("Unnamed: 0", range(ROWS)),
        ("X", range(1, ROWS + 1)),
        ("index", range(ROWS)),
        ("", VOLUMES),
    ],
)
def test_row_numbers_and_columns_without_a_name_are_no_covariates(
    tmp_path: Path, name: str, numbers: object
) -> None:
    text = many(**{"there": 1.5}).splitlines()
    lines = [f"{n}\t{line}" for n, line in zip([name, *map(str, numbers)], text, strict=True)]
    read = read_predictions(write(tmp_path / "p.tsv", "\n".join(lines)))
    assert list(read.covariates) == ["there"]
    assert read.ignored == (name or "column 1 (no name)",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda age: age * 365.25, "seem to be in days"),
        (lambda age: age * 12, "seem to be in weeks or months"),
        (lambda age: 2020 - age.round(), "seem to be years of birth"),
        (lambda age: (age - age.mean()) / age.std(), "seem to be standardised or centred"),
        (lambda age: age.mask(age.index == 3, -9), "scan 's0003' has an implausible age .-9 years."),
        (lambda age: age.mask(age.index == 3, 999), "scan 's0003' has an implausible age .999 years."),
        (lambda age: age.mask(age.index % 3 == 0, 999), "scan 's0000' has an implausible age"),
    ],
    ids=["days", "months", "birth", "z-scores", "-9", "999", "many 999"],
)
def test_ages_that_are_no_years_are_refused_as_in_a_cohort(tmp_path: Path, change, message: str) -> None:
    age = pd.Series(np.random.default_rng(1).uniform(45, 80, ROWS))
    with pytest.raises(PredictionsError, match=message):
        read_predictions(write(tmp_path / "p.tsv", many(age=change(age))))


def test_the_ages_of_neonates_in_years_pass(tmp_path: Path) -> None:
    age = np.linspace(0.0, 0.2, ROWS)
    assert read_predictions(write(tmp_path / "p.tsv", many(age=age))).scans["label"].max() == 0.2


@pytest.mark.parametrize("variant", ["s0001 ", "S0001", "s1", "s01", "\u00a0s0001"])
def test_a_person_again_on_the_other_side_under_a_variant_of_the_id_is_leakage(
    tmp_path: Path, variant: str
) -> None:
    lines = [*many().splitlines(), f"{variant}\t60\t61\t0"]
    text = "\n".join(lines)
    if variant.strip() == "s0001":
        text = text.replace("subject_id", "scan_id\tsubject_id")
        text = "\n".join(f"{n}\t{line}" if n else line for n, line in enumerate(text.splitlines()))
    with pytest.raises(DataLeakageError, match=r"'s0001'.* a member and .*non-member"):
        read_predictions(write(tmp_path / "p.tsv", text))


def test_a_person_twice_on_one_side_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match=r"'s0001' and 'S1' differ only by case.*one way"):
        read_predictions(write(tmp_path / "p.tsv", many() + "S1\t60\t61\t1\n"))


@pytest.mark.parametrize("written", ["n/a", "NA", "nan", "NULL", "", "#N/A", "."])
def test_a_missing_code_is_no_id(tmp_path: Path, written: str) -> None:
    with pytest.raises(PredictionsError, match="row 42 has no subject_id"):
        read_predictions(write(tmp_path / "p.tsv", many() + f"{written}\t60\t61\t1\n"))


def test_a_file_of_a_german_spreadsheet_is_read_right(tmp_path: Path) -> None:
    plain = read_predictions(write(tmp_path / "p.tsv", many(volume=VOLUMES)))
    german = many(volume=VOLUMES).replace(".", ",").replace("\t", ";")
    read = read_predictions(write(tmp_path / "p.csv", german))
    assert read.scans.equals(plain.scans)
    assert read.covariates.equals(plain.covariates)
    np.testing.assert_array_equal(read.predictions, plain.predictions)


def test_decimal_commas_between_tabs_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match="it must hold numbers, with a decimal point"):
        read_predictions(write(tmp_path / "p.tsv", many().replace(".", ",")))


def people(count: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.uniform(20, 80, count).round(1)
    return pd.DataFrame(
        {
            "subject_id": [f"s{n}" for n in range(count)],
            "age": age,
            "prediction": (age + rng.normal(0, 4, count)).round(2),
            "member": np.arange(count) % 2,
        }
    )


def saved(folder: Path, table: pd.DataFrame) -> Path:
    table.to_csv(folder / "p.csv", index=False)
    return folder / "p.csv"


@pytest.mark.parametrize("code", [-9, 999, -999, -99, -1, 9999])
def test_a_code_for_a_missing_prediction_is_no_prediction(tmp_path: Path, code: float) -> None:
    table = people(100)
    table.loc[[7, 20], "prediction"] = code
    with pytest.raises(PredictionsError, match=rf"p\.csv: the prediction of scan 's7' is {code}, a code"):
        read_predictions(saved(tmp_path, table))


def test_young_ages_predicted_as_whole_numbers_are_no_codes(tmp_path: Path) -> None:
    table = people(100).assign(age=np.arange(100) % 4 + 0.5, prediction=np.arange(100) % 4 - 1)
    assert len(read_predictions(saved(tmp_path, table)).scans) == 100


@pytest.mark.parametrize("form", ["{}_T1w", "p{}x", "NDAR{}"])
def test_members_who_stand_there_again_as_others_are_leakage(tmp_path: Path, form: str) -> None:
    table = people(300)
    again = table.assign(subject_id=[form.format(s) for s in table["subject_id"]])
    both = pd.concat([table.assign(member=1), again.assign(member=0)])
    with pytest.raises(DataLeakageError, match="300 members and non-members have the same age and predict"):
        read_predictions(saved(tmp_path, both))


def test_rounded_ages_and_predictions_may_repeat(tmp_path: Path) -> None:
    table = people(1000).round({"age": 0, "prediction": 0})
    assert len(read_predictions(saved(tmp_path, table)).member) == 1000


def test_of_very_many_people_a_part_shows_who_stands_there_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = people(30_000).assign(member=1)
    table["prediction"] += rng.uniform(0, 0.01, 30_000)
    again = table.assign(member=0, subject_id=[f"p{n}x" for n in rng.permutation(30_000)])
    with pytest.raises(DataLeakageError, match="the same age and prediction to the last"):
        read_predictions(saved(tmp_path, pd.concat([table, again.sample(frac=1, random_state=1)])))
    others = people(60_000, seed=1)
    assert len(read_predictions(saved(tmp_path, others)).member) == 60_000


COPIES = "subject_id\tage\tprediction\tmember\tcopy_1_prediction\tcopy_2_prediction\tcopy_number"


def test_predictions_of_changed_copies_are_no_covariates(tmp_path: Path) -> None:
    lines = ("a\t60\t61.5\t1\t62\t63\t1", "b\t70.5\t66\t0\t65\t64\t2")
    read = read_predictions(write(tmp_path / "p.tsv", rows(*lines, header=COPIES)))
    np.testing.assert_array_equal(read.copies, [[62, 63], [65, 64]])
    assert list(read.covariates.columns) == ["copy_number"]
    assert read_predictions(write(tmp_path / "q.tsv", rows(*GOOD))).copies is None


@pytest.mark.parametrize(
    ("header", "lines", "message"),
    [
        (
            COPIES.replace("copy_1_", "copy_3_"),
            ("a\t60\t61\t1\t62\t63\t1", "b\t70\t66\t0\t65\t64\t2"),
            "predictions of 2 copies, but no column copy_1_prediction; number copies from 1",
        ),
        (
            COPIES,
            ("a\t60\t61\t1\t62\t63\t1", "b\t70\t66\t0\t65\tNA\t2"),
            "a prediction of a copy of scan 'b' is no number",
        ),
        (
            COPIES,
            ("a\t60\t61\t1\t62\tinf\t1", "b\t70\t66\t0\t65\t64\t2"),
            "a prediction of a copy of scan 'a' is no number",
        ),
    ],
)
def test_says_what_is_wrong_with_copies(
    tmp_path: Path, header: str, lines: tuple[str, ...], message: str
) -> None:
    with pytest.raises(PredictionsError, match=message):
        read_predictions(write(tmp_path / "p.tsv", rows(*lines, header=header)))
