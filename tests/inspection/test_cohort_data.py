"""What of a cohort is in a file is proven, and what is not, is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError
from memberscan.inspection.cohort_index import CohortIndex, index_of
from memberscan.inspection.content import InspectionFinding
from memberscan.inspection.values import Columns, Instance
from tests.inspection.conftest import FEATURES
from tests.inspection.looking import look


def proven(value: object, index: CohortIndex) -> dict[str, InspectionFinding]:
    return {each.kind: each for each in look(value, index=index) if each.proof is not None}


def test_stored_rows_of_a_standardised_model_are_proven(people: pd.DataFrame, index: CohortIndex):
    rows = people[FEATURES].to_numpy()[:30]
    scaled = (rows - rows.mean(0)) / rows.std(0)
    model = Instance("lab.Neighbours", state={"stored": scaled, "answers": people["age"].to_numpy()[:30]})
    found = proven({"model": model}, index)
    inputs, labels = found["cohort's inputs"], found["cohort's labels"]
    assert inputs.proof is not None and labels.proof is not None
    assert (inputs.proof.people, inputs.proof.of) == (30, 60) and "scaling" in inputs.proof.exact
    assert labels.proof.people == 30 and labels.place == "model.answers"


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_exact_rows_are_proven_in_any_order(people: pd.DataFrame, index: CohortIndex, dtype: type):
    rows = people[FEATURES].to_numpy(dtype)[::-3]
    found = proven({"x": rows}, index)["cohort's inputs"]
    assert found.proof is not None and found.proof.exact == "number by number" and found.people == len(rows)


def test_a_table_with_other_names_and_order_of_columns(people: pd.DataFrame, index: CohortIndex):
    table = Columns({name: people[name].to_numpy() for name in reversed(FEATURES[:4])})
    found = proven(table, index)["cohort's inputs"]
    assert found.people == 60


def test_ids_in_texts_keys_and_columns(people: pd.DataFrame, index: CohortIndex):
    ids = people["subject"].tolist()
    for value in (
        {"log": f"fitted {ids[3]}_T1.nii and {ids[4]}"},
        {ids[3]: [1], ids[4]: [2, 3]},
        {"n": ids[3:5] * 2},
    ):
        found = proven(value, index)["cohort's ids"]
        assert found.people == 2 and ids[3] not in found.what


def test_ages_are_proven_by_their_decimals_only(people: pd.DataFrame, index: CohortIndex):
    rng = np.random.default_rng(1)
    ages = people["age"].to_numpy()
    assert proven({"y": rng.permutation(ages)}, index)["cohort's labels"].people == 60
    assert proven({"y": rng.permutation(np.round(ages))}, index) == {}
    assert proven({"y": rng.uniform(20, 80, 60).round(2)}, index) == {}


def test_other_people_and_weights_prove_nothing(index: CohortIndex):
    rng = np.random.default_rng(2)
    others = {"x": rng.normal(2.5, 0.3, (50, len(FEATURES))), "coef": rng.normal(size=len(FEATURES)), "n": 3}
    assert proven(others, index) == {}


def test_members_are_counted_apart(cohort: Cohort, people: pd.DataFrame, members: Path):
    index = index_of(cohort, members)
    assert index is not None
    found = proven({"x": people[FEATURES].to_numpy()[30:50]}, index)["cohort's inputs"]
    assert found.proof is not None
    assert (found.proof.members, found.proof.members_of, found.proof.people) == (10, 40, 20)


def test_a_list_of_ids_needs_no_cohort(members: Path):
    index = index_of(None, members)
    assert index is not None
    (listed, *_) = members.read_text().splitlines()
    assert proven({"note": f"without {listed}"}, index)["cohort's ids"].people == 1


def test_volumes_are_proven_by_their_numbers(tmp_path: Path):
    cohort = Cohort.phantom(tmp_path / "phantom", subjects=12, spacing=20.0, seed=1)
    index = index_of(cohort, None)
    assert index is not None
    volumes = cohort.read(cohort.scans.index.tolist())
    found = proven({"thumbnails": volumes[2:5]}, index)["cohort's inputs"]
    assert found.people == 3
    assert proven({"one": volumes[7]}, index)["cohort's inputs"].people == 1
    assert proven({"moved": volumes[2:5] + 0.5}, index) == {}


@pytest.mark.parametrize("text", ["", "subject_id\n", "nobody1\nnobody2\n"])
def test_lists_of_nobody_are_refused(text: str, cohort: Cohort, tmp_path: Path):
    path = tmp_path / "ids.txt"
    path.write_text(text)
    with pytest.raises(BadInputError, match=r"ids"):
        index_of(cohort, path)


def test_a_missing_list_is_refused(tmp_path: Path):
    with pytest.raises(BadInputError, match="does not exist"):
        index_of(None, tmp_path / "nothing.txt")


def in_parts(table: pd.DataFrame, ends: list[int]) -> list[Columns]:
    starts = [0, *ends]
    parts = [table.iloc[start:end] for start, end in zip(starts, [*ends, len(table)], strict=True)]
    return [Columns({name: part[name].tolist() for name in part}) for part in parts]


@pytest.mark.parametrize("place", ["", "measures"])
def test_a_table_in_parts_is_one_table(people: pd.DataFrame, index: CohortIndex, place: str):
    parts = in_parts(people.drop(columns="subject"), [20, 45])
    found = {each.kind: each for each in look(*parts, index=index, place=place) if each.proof is not None}
    inputs, labels = found["cohort's inputs"], found["cohort's labels"]
    assert inputs.people == 60 and inputs.what.startswith("60 of 60 rows")
    assert labels.people == 60 and labels.proof is not None and "matched row" in labels.proof.exact


def test_scalings_are_not_looked_for_in_every_part_of_a_large_table(
    people: pd.DataFrame, index: CohortIndex, monkeypatch: pytest.MonkeyPatch
):
    rng = np.random.default_rng(3)
    strangers = pd.DataFrame(rng.normal(2.5, 0.3, (200, len(FEATURES))), columns=FEATURES)
    table = pd.concat([strangers, people[FEATURES][:30]])
    asked: list[bool] = []
    rows = CohortIndex.rows

    def counted(self: CohortIndex, *args: object, scaled: bool = True) -> object:
        asked.append(scaled)
        return rows(self, *args, scaled=scaled)  # type: ignore[arg-type]

    monkeypatch.setattr(CohortIndex, "rows", counted)
    found = look(*in_parts(table, [40, 80, 120, 160, 200]), index=index)
    assert asked == [True] * 3 + [False] * 3
    (inputs,) = (each for each in found if each.kind == "cohort's inputs")
    assert inputs.people == 30 and inputs.what.startswith("30 of 230 rows")
