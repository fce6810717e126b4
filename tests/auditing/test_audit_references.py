"""Audits with reference models: what they find, what the report says of them, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan import audit, collect_references, plan_references, train_references
from memberscan.errors import BadInputError, OutputConflictError, ReferencesError
from memberscan.references.plan import Plan
from memberscan.runs import Run
from memberscan.signals.reference_models import REFERENCE_COPIES, REFERENCE_MEMBERS, REFERENCES
from memberscan.targets.trained_model import TrainedModel
from memberscan.threat import Attacker, ThreatModel
from memberscan.training import reference_tasks

PEOPLE, COUNT = 300, 6


def model(inside: np.ndarray, shared: np.ndarray, rng: np.random.Generator, fit: float) -> np.ndarray:
    """Return residuals of a model: what all models miss of a person, and noise; less if trained on it."""
    residual = shared + rng.normal(size=len(shared))
    return np.asarray(5 * np.where(inside, residual / fit, residual))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Predictions of a target, and the predictions of references as a lab returns them."""
    folder, rng = tmp_path_factory.mktemp("world"), np.random.default_rng(3)
    ids = [f"p{k:03d}" for k in range(PEOPLE)]
    age, shared = rng.uniform(45, 80, PEOPLE).round(2), rng.normal(size=PEOPLE)
    member = rng.permutation(PEOPLE) < PEOPLE // 2
    for name, fit in (("leaking", 1.5), ("harmless", 1.0)):
        prediction = age - model(member, shared, rng, fit)
        table = pd.DataFrame(
            {"subject_id": ids, "age": age, "prediction": prediction, "member": member.astype(int)}
        )
        table.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
        plan = plan_references(folder / f"{name}.tsv", folder / f"{name}-refs", count=COUNT)
        returned = folder / f"{name}-refs" / "returned"
        returned.mkdir()
        for k, inside in enumerate(plan.inside):
            rows = pd.DataFrame({"subject_id": ids, "prediction": age - model(inside, shared, rng, fit)})
            rows.to_csv(returned / f"reference-{k + 1:03d}.tsv", sep="\t", index=False)
        assert not collect_references(folder / f"{name}-refs", []).missing
    return folder


def test_references_find_more_than_errors_do(world: Path) -> None:
    found = audit(world / "leaking.tsv", references=world / "leaking-refs")
    findings = found.findings.set_index("attack")["auc_value"]
    assert found.verdict == "leaks"
    assert findings["stacking"] > findings["error:zero-knowledge"]
    assert found.content["threat"]["references"] == COUNT
    assert found.content["references"]["unlike"] == []
    assert found.content["person_exposure"] is not None


def test_copies_are_compared_where_model_and_references_predict_them(
    run: Run, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Processes take long to start.
    monkeypatch.setattr(
        reference_tasks, "carry_out", lambda function, tasks, **_: ((task, function(task)) for task in tasks)
    )
    made = train_references(run.path, tmp_path / "refs", count=4)
    asked = ["stacking", "stacking:copies"]
    found = audit(run.path, references=tmp_path / "refs", attacks=asked)
    assert set(found.findings["attack"]) == set(asked)
    table = audit(world / "leaking.tsv", references=world / "leaking-refs", attacks=asked)
    (row,) = table.content["not_run"]
    assert row["attack"] == "stacking:copies" and row["reason"].startswith("needs the model itself")
    target = TrainedModel.open(run.path, ThreatModel())
    assert made is not None
    without = replace(target, references=replace(made, copies=None))
    of_lab = replace(target, references=replace(made, cohort=None))
    assert "audit a file of them" in str(REFERENCES.absent([REFERENCE_COPIES], of_lab))
    lacking = "needs references that predict changed copies too, as memberscan references makes them"
    assert REFERENCES.absent([REFERENCE_COPIES], without) == lacking
    assert REFERENCES.absent([REFERENCE_MEMBERS], without) is None


def add_copies(path: Path, answers: np.ndarray, rng: np.random.Generator, *, copies: int = 3) -> None:
    """Add predictions of copies of each scan, which differ a little from one number."""
    table = pd.read_csv(path, sep="\t")
    near = answers[:, None] + 0.3 * rng.normal(size=(len(table), copies))
    table.assign(**{f"copy_{c + 1}_prediction": near[:, c] for c in range(copies)}).to_csv(
        path, sep="\t", index=False
    )


def test_a_lab_may_ask_its_models_about_copies_and_collect_them(world: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    file, directory = tmp_path / "leaking.tsv", tmp_path / "leaking-refs"
    shutil.copy(world / "leaking.tsv", file)
    shutil.copytree(world / "leaking-refs", directory, ignore=shutil.ignore_patterns("references.json"))
    table = pd.read_csv(file, sep="\t")
    age, plan = table["age"].to_numpy(), Plan.read(directory)
    member = table["member"].to_numpy(bool)
    inside = plan.inside[:, pd.Index(plan.subjects).get_indexer(table["subject_id"])]
    for path, trained in (
        (file, member),
        *zip(sorted((directory / "returned").iterdir()), inside, strict=True),
    ):
        error = age - pd.read_csv(path, sep="\t")["prediction"].to_numpy()
        add_copies(path, age - np.where(trained, 1.5 * error, error), rng)
    assert not collect_references(directory, []).missing
    asked = ["stacking", "stacking:copies", "augmented-error:zero-knowledge"]
    found = audit(file, references=directory, attacks=asked)
    assert not found.content["not_run"]
    findings = found.findings.set_index("attack")["auc_value"]
    assert findings["stacking:copies"] > findings["stacking"] + 0.05
    assert findings["augmented-error:zero-knowledge"] > 0.8

    # They are compared unasked, too, but not where there are none.
    unasked = {row["attack"] for row in audit(file, references=directory).content["findings"]}
    assert {"stacking:copies", "augmented-error"} <= unasked
    plain = audit(world / "leaking.tsv", references=world / "leaking-refs").content
    assert "stacking:copies" not in {row["attack"] for row in (*plain["findings"], *plain["not_run"])}

    # The references of others were not asked, or about other copies.
    def reason(predictions: Path, references: Path) -> str:
        (row,) = audit(predictions, references=references, attacks=["stacking", "stacking:copies"]).content[
            "not_run"
        ]
        return str(row["reason"])

    assert reason(file, world / "leaking-refs").startswith("needs references that predict changed copies too")
    assert reason(world / "leaking.tsv", directory).startswith("needs the model itself")
    pd.read_csv(file, sep="\t").drop(columns="copy_3_prediction").to_csv(file, sep="\t", index=False)
    assert reason(file, directory).endswith("the file has 2 of each scan, and the references 3")


def test_without_a_leak_the_sentence_says_that_references_were_tried(world: Path) -> None:
    found = audit(world / "harmless.tsv", references=world / "harmless-refs")
    assert found.verdict == "no leak shown"
    assert f"Attacks with {COUNT} reference models are among them" in found.content["verdict"]["sentence"]
    without = audit(world / "harmless.tsv")
    assert "reference models, which find more, were not tried" in without.content["verdict"]["sentence"]
    assert not any(row["attack"] == "stacking" for row in without.content["not_run"])


def test_the_report_names_the_references(world: Path, tmp_path: Path) -> None:
    audit(world / "leaking.tsv", tmp_path / "audit", references=world / "leaking-refs")
    page = (tmp_path / "audit" / "audit.html").read_text()
    assert f"The attacker trained {COUNT} reference models" in page
    assert "It trained 6 reference models on people like these" in page
    assert "Membership inference with reference models" not in page
    # Another set of references is another audit.
    with pytest.raises(Exception, match="reference"):
        audit(world / "leaking.tsv", tmp_path / "audit")


def test_other_references_are_another_audit_even_if_no_attack_uses_them(world: Path, tmp_path: Path) -> None:
    source, kept = world / "leaking.tsv", tmp_path / "audit"
    audit(source, kept, references=world / "leaking-refs", attacks=["error:zero-knowledge"])
    with pytest.raises(OutputConflictError, match="references"):
        audit(source, kept, attacks=["error:zero-knowledge"])


def test_references_of_another_recipe_are_noticed(world: Path, tmp_path: Path) -> None:
    table = pd.read_csv(world / "leaking.tsv", sep="\t")
    worse = table.assign(prediction=table["age"] + 4 * (table["prediction"] - table["age"]))
    worse.to_csv(tmp_path / "other.tsv", sep="\t", index=False)
    found = audit(tmp_path / "other.tsv", references=world / "leaking-refs")
    assert "error on others" in found.content["references"]["unlike"]


def test_an_attacker_may_train_fewer(world: Path) -> None:
    threat = ThreatModel(references=2)
    found = audit(world / "leaking.tsv", references=world / "leaking-refs", threat=threat)
    assert found.content["threat"]["references"] == 2
    with pytest.raises(ReferencesError, match="even number"):
        audit(world / "leaking.tsv", references=world / "leaking-refs", threat=ThreatModel(references=3))


def test_refuses_references_that_do_not_fit(world: Path, tmp_path: Path) -> None:
    table = pd.read_csv(world / "leaking.tsv", sep="\t")
    table.assign(age=table["age"] + 1).to_csv(tmp_path / "older.tsv", sep="\t", index=False)
    with pytest.raises(ReferencesError, match="another age"):
        audit(tmp_path / "older.tsv", references=world / "leaking-refs")
    table.assign(subject_id="x" + table["subject_id"]).to_csv(tmp_path / "ids.tsv", sep="\t", index=False)
    with pytest.raises(ReferencesError, match="no prediction of scan"):
        audit(tmp_path / "ids.tsv", references=world / "leaking-refs")
    with pytest.raises(ReferencesError, match="no finished references"):
        audit(world / "leaking.tsv", references=tmp_path)


def test_only_an_outsider_trains_references(world: Path) -> None:
    with pytest.raises(BadInputError):
        audit(
            world / "leaking.tsv",
            references=world / "leaking-refs",
            threat=ThreatModel(attacker=Attacker.SERVER),
        )


def test_a_collection_says_what_is_missing_and_can_be_finished_later(world: Path, tmp_path: Path) -> None:
    refs = tmp_path / "refs"
    shutil.copytree(world / "leaking-refs", refs)
    (refs / "references.json").unlink()
    late = tmp_path / "reference-002.tsv"
    shutil.move(refs / "returned" / "reference-002.tsv", late)
    assert collect_references(refs, []).missing == ("reference-002",)
    done = collect_references(refs, [refs / "returned", late])
    assert done.ensemble is not None and len(done.ensemble) == COUNT


def test_refuses_to_collect_what_was_not_planned(world: Path, tmp_path: Path) -> None:
    refs = tmp_path / "refs"
    shutil.copytree(world / "leaking-refs", refs)
    request = json.loads((refs / "request.json").read_text())
    (refs / "request.json").write_text(json.dumps({**request, "command": "references"}))
    with pytest.raises(ReferencesError, match="not made by memberscan references plan"):
        collect_references(refs, [])


def test_a_plan_does_not_depend_on_who_was_a_member(world: Path, tmp_path: Path) -> None:
    table = pd.read_csv(world / "leaking.tsv", sep="\t")
    table.assign(member=1 - table["member"]).to_csv(tmp_path / "swapped.tsv", sep="\t", index=False)
    swapped = plan_references(tmp_path / "swapped.tsv", tmp_path / "refs", count=COUNT)
    assert swapped.fingerprint == Plan.read(world / "leaking-refs").fingerprint
