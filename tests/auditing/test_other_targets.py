"""Models of a score and of classes: trained, audited with references and in a federation, and reported."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memberscan.auditing import AuditResult, audit
from memberscan.auditing.making_references import train_references
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, ModelError, PredictionsError, ReferencesError
from memberscan.federation.settings import LOCAL, Settings
from memberscan.federation.simulated_run import federate
from memberscan.models.inputs import as_inputs
from memberscan.report import render_html
from memberscan.runs import Role, Run
from memberscan.threat import Access, Attacker, ThreatModel
from memberscan.training import train
from memberscan.training.config import TrainingConfig

TARGETS: dict[str, dict[str, Any]] = {"dx": {}, "sex": {}, "mmse": {"unit": "points"}}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder, rng = tmp_path_factory.mktemp("people"), np.random.default_rng(0)
    x = rng.normal(size=(120, 20))
    table = pd.DataFrame(x, columns=[f"f{k}" for k in range(20)])
    severity = x[:, 0] + 0.5 * rng.normal(size=120)
    table["id"], table["age"] = [f"p{n:03d}" for n in range(120)], rng.uniform(50, 80, 120).round(1)
    table["dx"] = np.select([severity > 0.7, severity > -0.4], ["AD", "MCI"], "CN")
    table["mmse"] = (27 - 2 * severity + rng.normal(size=120)).clip(5, 30).round(1)
    table["sex"] = rng.choice(["F", "M"], 120)
    table.to_csv(folder / "t.csv", index=False)
    return Cohort.from_table(
        folder / "t.csv", folder / "c", subject="id", age="age", covariates=["dx", "mmse", "sex"]
    )


@pytest.fixture(scope="module")
def runs(people: Cohort, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder, config = (
        tmp_path_factory.mktemp("runs"),
        TrainingConfig(epochs=40, batch_size=20, learning_rate=3e-3),
    )
    return {
        name: train(people.with_target(name, **options), folder / name, model="mlp", config=config, seed=1)
        for name, options in TARGETS.items()
    }


def words_of(result: AuditResult) -> str:
    """Return the words of a page, without those of age bands, which are in years whatever the target."""
    page = re.sub(r"<(style|script)\b.*?</\1>", "", render_html(result.content), flags=re.S)
    text = re.sub(r"<[^>]+>", " ", page)
    return re.sub(r"(under \d+|\d+ to \d+|\d+ and over) years", "", text)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", TARGETS)
def test_a_model_of_another_target_is_audited_and_its_page_speaks_of_it(
    runs: dict[str, Run], name: str, tmp_path: Path
) -> None:
    run = Run.open(runs[name].path)
    assert run.target.name == name
    announced: list[str] = []
    made = train_references(
        run.path, tmp_path / "refs", count=4, workers=1, announce=lambda said: announced.append(str(said))
    )
    assert made is not None and made.variable == run.target
    (said,) = announced
    unit = "(deviance residual)" if run.target.classes else "points"
    assert f"{unit} on members" in said and "year" not in said
    threat = ThreatModel(access=Access.WEIGHTS, repeats=1)
    result = audit(run.path, threat=threat, references=tmp_path / "refs")
    found = {each["attack"]: each["auc"]["value"] for each in result.content["findings"]}
    assert result.verdict == "leaks" and found["error"] > 0.7 and found["lira:signed"] > 0.7
    expected = {"gradient:output", "gradient-magnitude", "rmia", "stacking"}
    assert expected | ({"head-loss:zero-knowledge"} if run.target.classes else set()) <= set(found)
    page = words_of(result)
    assert not re.search(r"\byears?\b", page), re.findall(r".{40}\byears?\b.{20}", page)
    assert "true age" not in page and name in page
    assert bool(re.search(r"\bpoints\b", page)) == (name == "mmse")
    by = {group["by"] for group in result.content["exposure"]["groups"]}
    assert {"target", "age"} <= by and ("sex" in by) == (name != "sex")
    covariates = {each["name"] for each in result.content["checks"]["blind"]["covariates"]}
    assert "age" in " ".join(covariates) and name in " ".join(covariates)


def test_people_drawn_at_random_after_training_are_at_chance(
    people: Cohort, runs: dict[str, Run], tmp_path: Path
) -> None:
    seen = people.with_target("sex")
    outside = runs["sex"].roles.subjects(Role.NONMEMBER)
    rng = np.random.default_rng(3)
    drawn = set(rng.permutation(outside)[: len(outside) // 2])
    scans = seen.scans[seen.scans["subject_id"].isin(outside)]
    logits = runs["sex"].load().outputs(as_inputs(seen, scans.index.tolist())).detach()
    p = logits.double().softmax(dim=1).numpy()
    table = pd.DataFrame({"subject_id": scans["subject_id"], "sex": scans["sex"], "p_F": p[:, 0]})
    table = table.assign(p_M=p[:, 1], age=scans["age"], member=scans["subject_id"].isin(drawn).astype(int))
    table.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
    result = audit(tmp_path / "p.tsv", target="sex", attacks=["error:zero-knowledge"])
    assert 0.3 < result.content["findings"][0]["auc"]["value"] < 0.7
    assert result.content["target"]["variable"]["classes"] == ["F", "M"]
    assert not re.search(r"\byears?\b", words_of(result))


def predictions(path: Path, **columns: Any) -> Path:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"subject_id": [f"s{n}" for n in range(60)], "member": [0, 1] * 30})
    p = rng.uniform(0.2, 0.8, 60).round(3)
    table = table.assign(dx=["AD", "CN", "CN"] * 20, p_AD=p, p_CN=(1 - p).round(3)).assign(**columns)
    table.to_csv(path, sep="\t", index=False)
    return path


def test_a_file_of_probabilities_needs_no_ages(tmp_path: Path) -> None:
    result = audit(predictions(tmp_path / "p.tsv"), target="dx")
    assert result.content["target"]["variable"]["name"] == "dx"
    assert "prediction+label" in set(result.findings["attack"])


@pytest.mark.parametrize(
    ("columns", "options", "error", "message"),
    [
        ({"p_AD": 0.9}, {"target": "dx"}, PredictionsError, "has the probabilities 0.9, .*with sum 1"),
        ({"p_AD": "x"}, {"target": "dx"}, PredictionsError, "has the probabilities x"),
        ({"dx": "AD"}, {"target": "dx"}, BadInputError, "one class only, 'AD'"),
        ({"dx": ["AD", "MCI", "CN"] * 20}, {"target": "dx"}, PredictionsError, "no column p_MCI"),
        ({}, {"target": "dx", "unit": "points"}, PredictionsError, "no column prediction"),
        ({"prediction": 1}, {"target": "dx", "unit": "points"}, BadInputError, "'dx' holds text"),
        ({}, {"unit": "points"}, BadInputError, "name its column too, with --target"),
        ({}, {"target": "member"}, BadInputError, "another meaning in a file of predictions"),
        ({}, {}, PredictionsError, "no column age, prediction"),
    ],
)
def test_what_does_not_fit_the_target_is_an_error(
    tmp_path: Path, columns: dict[str, Any], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        audit(predictions(tmp_path / "p.tsv", **columns), **options)


def test_a_run_says_itself_what_it_predicts(runs: dict[str, Run], people: Cohort, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="a run records what its model predicts"):
        audit(runs["sex"].path, target="sex")
    with pytest.raises(ModelError, match="tells classes apart, but the target 'age' is a number"):
        train(people, tmp_path / "r", model="mlp", options={"head": "classes"})
    with pytest.raises(ModelError, match="predicts a number, but the target 'dx' has the classes"):
        train(people.with_target("dx"), tmp_path / "r", model="mlp", options={"head": "bins"})


@pytest.mark.usefixtures("here")
def test_references_of_another_target_are_refused(runs: dict[str, Run], tmp_path: Path) -> None:
    train_references(runs["sex"].path, tmp_path / "refs", count=2, workers=1)
    with pytest.raises(ReferencesError, match="the references predict 'sex' and the target 'dx'"):
        audit(runs["dx"].path, references=tmp_path / "refs")


@pytest.mark.parametrize("name", ["dx", "mmse"])
def test_a_federation_of_another_target_is_audited_by_its_parties(
    people: Cohort, name: str, tmp_path: Path
) -> None:
    import dataclasses

    training = dataclasses.replace(LOCAL, epochs=8)
    settings = Settings("mlp", {"width": 16}, training, rounds=3)
    seen = people.with_target(name, **TARGETS[name])
    run = federate(
        seen, tmp_path / "run", settings=settings, learners=3, environment="uniform-noniid", seed=0
    )
    assert Run.open(run.path).target == seen.target
    gradients = {"gradient-cosine", "gradient-difference", "least-squares", "local-error", "signed-residual"}
    for attacker, wanted in (
        (Attacker.LEARNER, {"loss-series"}),
        (Attacker.SERVER, gradients),
        (Attacker.ACTIVE_SERVER, {"gradient-ascent"}),
    ):
        result = audit(run.path, attacks=sorted(wanted), threat=ThreatModel(attacker=attacker, repeats=1))
        assert set(result.findings["attack"]) == wanted
        assert not re.search(r"\b(years?|ages)\b", words_of(result))


def test_what_was_computed_from_the_answers_is_no_covariate(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    label = rng.integers(0, 3, 300)
    p = rng.dirichlet(np.ones(3), 300).round(4)
    p[:, 2] = (1 - p[:, :2].sum(axis=1)).round(4)
    names = np.array(["AD", "CN", "MCI"])
    own = p[np.arange(300), label]
    computed = {"answer": names[p.argmax(axis=1)], "confidence": own, "loss": -np.log(own + 1e-6)}
    kept = {"second": rng.choice(names, 300), "sex": rng.choice(["F", "M"], 300)}
    table = pd.DataFrame({"subject_id": [f"s{n}" for n in range(300)], "dx": names[label]})
    table = table.assign(member=[0, 1] * 150, p_AD=p[:, 0], p_CN=p[:, 1], p_MCI=p[:, 2], **computed, **kept)
    table.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
    result = audit(tmp_path / "p.tsv", target="dx", attacks=["error:zero-knowledge"])
    reasons = dict(result.content["checks"]["blind"]["reasons"])
    assert {reasons.pop(name) for name in computed} == {"computed from the model's predictions"}
    assert not {*kept} & {*reasons}


def test_a_matched_subset_of_probabilities_can_be_audited_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    member = np.arange(400) % 2
    age = (65 + 4 * member + 6 * rng.normal(size=400)).round(1)
    p = rng.uniform(0.2, 0.8, 400).round(3)
    table = pd.DataFrame({"subject_id": [f"s{n}" for n in range(400)], "dx": rng.choice(["AD", "CN"], 400)})
    table = table.assign(age=age, p_AD=p, p_CN=(1 - p).round(3), member=member)
    table.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
    result = audit(tmp_path / "p.tsv", tmp_path / "audit", target="dx", attacks=["error:zero-knowledge"])
    assert result.content["checks"]["blind"]["gates"]
    matched = tmp_path / "audit" / "matched.tsv"
    kept = pd.read_csv(matched, sep="\t").set_index("subject_id")
    expected = table.set_index("subject_id").loc[kept.index, ["dx", "p_AD", "p_CN", "age", "member"]]
    pd.testing.assert_frame_equal(kept[list(expected)], expected)
    again = audit(matched, target="dx", attacks=["error:zero-knowledge"])
    assert again.content["target"]["members"] == len(kept) // 2
