"""Another column than age as the target: which columns can be one, and who is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, ModelError
from memberscan.models.network_inputs import NetworkInputs
from memberscan.target_variable import AGE, TargetVariable


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder, rng = tmp_path_factory.mktemp("targets"), np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(30, 3)), columns=["a", "b", "c"])
    table["id"], table["age"] = [f"p{n:02d}" for n in range(30)], rng.uniform(50, 80, 30).round(1)
    table["dx"] = ["AD", "CN", "MCI"] * 10
    table["code"] = [0, 1, 2] * 10
    table["mmse"] = rng.integers(20, 31, 30)
    table["one"] = "same"
    table.loc[[3, 7], ["dx", "mmse"]] = None
    table.to_csv(folder / "t.csv", index=False)
    described = ["dx", "code", "mmse", "one"]
    return Cohort.from_table(
        folder / "t.csv", folder / "cohort", subject="id", age="age", covariates=described
    )


def test_classes_are_positions_and_people_without_one_are_excluded_with_the_reason(people: Cohort) -> None:
    seen = people.with_target("dx")
    assert seen.target == TargetVariable("dx", classes=("AD", "CN", "MCI"))
    assert len(seen) == 28 and len(people) == 30
    assert set(seen.excluded["reason"]) == {"no value of dx"} and len(seen.excluded) == 2
    assert seen.target.written(seen.labels).tolist() == seen.scans["dx"].tolist()
    assert seen.covariates == ("age", "code", "mmse", "one")
    assert seen.fingerprint != people.fingerprint == Cohort.open(people.path).fingerprint
    np.testing.assert_array_equal(seen.read(["p10"]), people.read(["p10"]))
    assert people.with_target(seen.target).fingerprint == seen.fingerprint
    assert seen.with_target(seen.target) is seen


def test_a_number_has_a_unit_and_its_own_values(people: Cohort) -> None:
    seen = people.with_target("mmse", unit="points")
    assert seen.target == TargetVariable("mmse", "points")
    assert seen.labels.tolist() == seen.scans["mmse"].tolist()
    assert people.with_target("age") is people.with_target("age", unit="years") is people
    assert people.target is AGE and people.labels.equals(people.scans["age"])


def test_the_order_of_classes_can_be_given(people: Cohort) -> None:
    seen = people.with_target("dx", classes=["CN", "MCI", "AD", "PD"])
    assert seen.target.classes == ("CN", "MCI", "AD", "PD")
    assert people.with_target("code").target.classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("dx", {"unit": "points"}, "'dx' holds text, such as 'AD'.*leave out --unit"),
        ("one", {}, "one class only, 'same'"),
        ("one", {"unit": "points"}, "holds text"),
        ("dx", {"unit": "points", "classes": ["AD"]}, "give one"),
        ("dx", {"classes": ["AD", "CN"]}, "holds 'MCI', which is none of --classes"),
        ("a", {"unit": "mm"}, "one of the features.*--covariates a"),
        ("nothing", {}, "no column 'nothing'.*dx, code, mmse, one"),
        ("age", {"unit": "months"}, "ages are in years"),
    ],
)
def test_what_cannot_be_a_target_says_why(
    people: Cohort, target: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        people.with_target(target, **options)  # type: ignore[arg-type]


def test_many_numbers_without_a_unit_and_two_with_one_are_refused(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": [f"p{n}" for n in range(40)], "age": np.linspace(50, 80, 40)})
    table["x"], table["score"], table["two"] = np.arange(40) ** 0.5, np.arange(40) / 7, [0, 1] * 20
    table.to_csv(tmp_path / "t.csv", index=False)
    made = Cohort.from_table(
        tmp_path / "t.csv", tmp_path / "c", subject="id", age="age", covariates=["score", "two"]
    )
    with pytest.raises(BadInputError, match=r"40 different values, .* at most 20 are .*--unit points"):
        made.with_target("score")
    with pytest.raises(BadInputError, match="only 2 different values, like class labels; leave out --unit"):
        made.with_target("two", unit="points")
    with pytest.raises(BadInputError, match="open it again"):
        made.with_target("two").with_target("score", unit="points")


def test_a_covariate_may_be_called_label(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": [f"p{n}" for n in range(20)], "age": np.linspace(50, 80, 20)})
    table["x"], table["dx"], table["label"] = (
        np.arange(20) ** 0.5,
        ["AD", "CN"] * 10,
        ["u", "v", "w", "w"] * 5,
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    made = Cohort.from_table(
        tmp_path / "t.csv", tmp_path / "c", subject="id", age="age", covariates=["dx", "label"]
    )
    assert made.with_target("dx").scans["label"].tolist() == table["label"].tolist()
    assert made.with_target("label").labels.tolist() == [0.0, 1.0, 2.0, 2.0] * 5


def test_age_may_enter_a_network_that_predicts_something_else(people: Cohort) -> None:
    seen = NetworkInputs(("image", "age")).of(people.with_target("mmse", unit="points"))
    assert seen.shape == (4,)
    np.testing.assert_allclose(seen.read(["p01"])[0, 3], people.scans.loc["p01", "age"], rtol=1e-6)
    for target, name in (("dx", "dx"), ("age", "age")):
        with pytest.raises(ModelError, match=f"names the {name}, which is what the network predicts"):
            NetworkInputs(("image", name)).of(people.with_target(target))


def test_the_images_of_those_who_have_a_value_can_be_read(phantoms: Cohort) -> None:
    scans = phantoms.scans.astype({"site": object})
    scans.loc[scans.index[3], "site"] = None
    seen = replace(phantoms, scans=scans).with_target("site")
    left = seen.scans.index.tolist()
    assert len(left) == len(phantoms) - 1
    np.testing.assert_array_equal(seen.read(left), phantoms.read(left))
