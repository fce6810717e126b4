"""The study of references: who each twin is trained on, who is compared, resuming, and the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan.attacks import REGISTRY
from memberscan.attacks.references.copies import CopiesAttack
from memberscan.attacks.with_references import ReferenceAttack
from memberscan.errors import BadInputError, OutputConflictError
from memberscan.people import People
from memberscan.studies import STUDIES, reference_recipes, reference_twins
from memberscan.studies import references as study
from memberscan.studies.reference_recipes import Measures, Predict
from memberscan.studies.reference_twins import Twins, halves, of_measures, paired


def measures(subjects: int = 61, seed: int = 0) -> Measures:
    """Draw people of two sites, of whom two came twice, with features that predict age."""
    rng = np.random.default_rng(seed)
    owner = np.r_[np.arange(subjects), 0, 1]
    age, noise = rng.uniform(20, 80, subjects)[owner], rng.normal(size=(len(owner), 30))
    scans = pd.DataFrame(
        {
            "subject_id": [f"s{k:03d}" for k in owner],
            "age": age,
            "sex": (owner % 2),
            "site": np.where(owner % 3, "a", "b"),
        }
    )
    return Measures(scans, noise + ((age - 50) / 20)[:, None])


def test_twins_share_nobody_and_have_one_of_every_pair():
    people = People.of(measures().scans["subject_id"])
    described = people.covariates(measures().scans[["age", "sex", "site"]])
    pairs = paired(described)
    assert len(pairs) == 30 and len(set(pairs.ravel())) == 60
    inside = halves(people, pairs, 4, seed=0)
    assert (inside.sum(axis=1) == 30).all() and not (inside[::2] & inside[1::2]).any()
    assert (inside[:, pairs].sum(axis=2) == 1).all()
    assert (inside[0] != inside[2]).any()


def test_pairs_are_of_one_sex_and_site_with_neighbouring_ages_where_possible():
    described = People.of(measures(64).scans["subject_id"]).covariates(
        measures(64).scans[["age", "sex", "site"]]
    )
    pairs = described.iloc[paired(described).ravel()]
    first, second = pairs.iloc[::2].reset_index(), pairs.iloc[1::2].reset_index()
    assert ((first["site"] == second["site"]) & (first["sex"] == second["sex"])).mean() > 0.9
    assert (first["age"] - second["age"]).abs().median() < 4


def test_a_killed_study_keeps_its_models_and_another_is_refused(tmp_path: Path, monkeypatch):
    asked: list[int] = []

    def recipe(x: np.ndarray, age: np.ndarray, seed: int) -> Predict:
        asked.append(seed)
        if len(asked) == 4:
            raise KeyboardInterrupt
        known = {row.tobytes(): value for row, value in zip(x, age, strict=True)}
        return lambda rows: np.array([known.get(row.tobytes(), 50.0) for row in rows])

    monkeypatch.setitem(reference_recipes.RECIPES, "mine", recipe)
    with pytest.raises(KeyboardInterrupt):
        of_measures(measures(), "mine", tmp_path / "mine", twins=3, seed=0)
    found = of_measures(measures(), "mine", tmp_path / "mine", twins=3, seed=0)
    # The fourth was asked for twice.
    assert len(asked) == 7 and asked[3] == asked[4]
    assert (found.predictions[found.inside] == np.tile(measures().scans["age"], (6, 1))[found.inside]).all()
    again = of_measures(measures(), "mine", tmp_path / "mine", twins=3, seed=0)
    assert len(asked) == 7
    np.testing.assert_array_equal(again.predictions, found.predictions)
    with pytest.raises(OutputConflictError):
        of_measures(measures(seed=1), "mine", tmp_path / "mine", twins=3, seed=0)


def test_the_target_is_not_compared_with_its_twin_and_nobody_unpaired_is_scored(tmp_path: Path):
    twins = of_measures(measures(), "ridge", tmp_path / "ridge", twins=4, seed=0)
    for k in (0, 3, 7):
        compared, people, member = study.comparison(twins, k, 4)
        assert len(compared.references) == 4 and len(people) == 60
        for row in compared.references:
            assert not np.allclose(row, compared.residual)
        # Every pair of rows is a pair of twins, and none is the target's.
        assert (compared.inside[::2] != compared.inside[1::2]).all()
        assert member.sum() == 30
        used = twins.inside.any(axis=0)
        for other in (k, k ^ 1):
            assert not (compared.inside == twins.inside[other, used]).all(axis=1).any()


@pytest.mark.parametrize("name", list(reference_recipes.RECIPES))
def test_every_recipe_fits_its_members_better(name: str):
    given = measures()
    inside = np.arange(len(given.scans)) % 2 == 0
    age = given.scans["age"].to_numpy(float)
    recipe, x = reference_recipes.RECIPES[name], given.features
    one, same = (recipe(x[inside], age[inside], 5)(x) for _ in range(2))
    np.testing.assert_array_equal(one, same)
    error = np.abs(one - age)
    assert error[inside].mean() < error[~inside].mean() < 25


def test_the_table_has_every_attack_and_its_standard_errors(tmp_path: Path):
    twins = of_measures(measures(), "ridge", tmp_path / "ridge", twins=4, seed=0)
    table = study.table_of(twins)
    kinds = (ReferenceAttack, CopiesAttack)
    attacks = [name for name, attack in REGISTRY.items() if isinstance(attack, kinds)]
    assert "stacking:copies" in attacks
    alone = [study.ERROR, study.ERROR_ON_COPIES]
    assert list(table["attack"].unique()) == [*alone, *attacks, *study.KNOWING, study.TAUGHT]
    assert list(table["references"].unique()) == [2, 4] and (table["targets"] == 8).all()
    assert table["auc"].between(0.4, 1).all() and (table.filter(like="_se") >= 0).all().all()
    # An error does not depend on references.
    error = table[table["attack"] == "error:zero-knowledge"]
    assert error["auc"].nunique() == 1
    # A model that knows its members by heart, and errs on every copy.
    known = np.where(twins.inside, twins.scans["age"], 0.0)
    leaks = Twins(twins.scans, np.stack([known, 0 * known, 0 * known], axis=2), twins.inside)
    found = study.table_of(leaks).query("references == 2").set_index("attack")["auc"]
    assert (found[[study.ERROR, study.ERROR_ON_COPIES, *study.KNOWING]] == 1).all()


def test_what_other_targets_teach_is_nothing_where_no_model_remembers_anybody():
    given, rng = measures(101), np.random.default_rng(3)
    people = People.of(given.scans["subject_id"])
    pairs = paired(people.covariates(given.scans[["age", "sex", "site"]]))
    inside = halves(people, pairs, 6, seed=0)[:, people.of_scan]
    age = given.scans["age"].to_numpy()
    twins = Twins(given.scans, (age + rng.normal(size=inside.shape))[:, :, None], inside)
    aucs = np.array(study.taught(twins, 4, np.arange(12)))[:, 0]
    assert abs(aucs.mean() - 0.5) < 4 * aucs.std(ddof=1) / np.sqrt(12)
    remembers = age + np.where(inside, 0.5, 1) * (twins.predictions - age)
    found = study.taught(Twins(given.scans, remembers[:, :, None], inside), 4, np.arange(12))
    assert np.mean(found, axis=0)[0] > 0.6


def test_it_says_what_data_it_needs(tmp_path: Path):
    with pytest.raises(BadInputError, match="give --data FOLDER"):
        STUDIES["references"](tmp_path, seed=0, run=None)
    with pytest.raises(BadInputError, match=r"needs .*openneuro.csv; give the folder that has it as --data"):
        STUDIES["references"](tmp_path / "out", seed=0, run=None, data=tmp_path)


def test_a_folder_of_data_gives_a_table(tmp_path: Path, monkeypatch):
    (tmp_path / "morphometry").mkdir()
    given = measures(40)
    columns = {f"thickness {k}": given.features[:, k] for k in range(5)}
    table = given.scans.assign(**columns, constant=0)
    table.rename(columns={"subject_id": "uid"}).assign(sub_id="x", sitenum=1, split="tr").to_csv(
        tmp_path / "morphometry" / "openneuro.csv", index=False
    )
    table.drop(columns="site").rename(columns={"subject_id": "participant_id"}).assign(
        participant_id=lambda t: "ixi " + t["participant_id"]
    ).to_csv(tmp_path / "morphometry" / "ixi.csv", index=False)
    ridge = {"ridge": reference_recipes.RECIPES["ridge"]}
    monkeypatch.setattr(study, "RECIPES", ridge)
    monkeypatch.setattr(study, "TWINS", 3)
    phantom = reference_twins.Network("phantom", "cnn3d", 16.0, twins=2, epochs=1, width=4, phantoms=40)
    of_people = reference_twins.Network("people", "cnn3d", 16.0, twins=2, epochs=1, width=4)
    monkeypatch.setattr(study, "SHORT", (phantom, of_people))
    found = STUDIES["references"](tmp_path / "out", seed=0, run=None, data=tmp_path)
    # There are no images of people.
    assert set(found["model"]) == {"ridge", "phantom"}
    assert list(found.columns) == ["model", "attack", "2", "4"]
    numbers = pd.read_csv(tmp_path / "out" / "references.tsv", sep="\t")
    # Two pairs of networks leave one pair of references.
    assert len(numbers) == (found[["2", "4"]] != "").to_numpy().sum() == 1.5 * len(found)
    first = numbers.iloc[0]
    assert found.loc[0, "2"].startswith(f"{first['auc']:.3f}±") and first["attack"] == found.loc[0, "attack"]
    read = reference_recipes.morphometry(tmp_path)
    # Five measures and sex of each table, and which table it is; a constant is left out.
    assert read.features.shape == (84, 13) and not read.features[:42, 6:12].any()
    np.testing.assert_allclose(read.features[:42, :6].std(axis=0), 1)


def test_networks_on_images_are_twins_too(tmp_path: Path):
    from memberscan.cohort import Cohort

    cohort = Cohort.phantom(tmp_path / "cohort", subjects=44, spacing=16, workers=1)
    kind = reference_twins.Network("mine", "cnn3d", 16.0, twins=1, epochs=1, width=4)
    found = reference_twins.of_images(cohort, tmp_path / "out", kind, seed=0)
    assert found.answers.shape == (2, 44, 6) and np.isfinite(found.answers).all()
    assert found.copies.shape == (2, 44, 5) and (found.copies != found.predictions[:, :, None]).any()
    assert (found.inside[0] != found.inside[1]).all() and found.inside.sum() == 44
