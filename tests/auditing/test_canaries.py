"""Audits of runs with canaries: what is read back, what the page says, and what is left as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from memberscan import ThreatModel
from memberscan.auditing import AuditResult, audit
from memberscan.auditing.canary_scores import scores_of_outputs, scores_of_weights
from memberscan.cohort import Cohort
from memberscan.errors import OutputConflictError, StaleError
from memberscan.models.inputs import as_inputs
from memberscan.report import check, render_html
from memberscan.runs import Run
from memberscan.targets.trained_model import TrainedModel
from memberscan.threat import Access
from memberscan.training import TrainingConfig, train
from memberscan.training.central import new_network

pytestmark = pytest.mark.usefixtures("only_words")

WEIGHTS = ThreatModel(access=Access.WEIGHTS, repeats=1)
BROKEN = "The guarantee is broken"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Return 180 people with 80 measures of noise, which a network can only remember; some have two scans."""
    folder, rng = tmp_path_factory.mktemp("people"), np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(200, 80)), columns=[f"m{k}" for k in range(80)])
    ids = [*range(180), *range(20)]
    table.assign(id=ids, age=rng.uniform(30, 70, 200)).to_csv(folder / "t.csv", index=False)
    return Cohort.from_table(folder / "t.csv", folder / "c", subject="id", age="age")


@pytest.fixture(scope="module")
def remembering(people: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a model without a defence that learned all that it was given by heart."""
    path = tmp_path_factory.mktemp("remembering") / "run"
    config = TrainingConfig(epochs=40, device="cpu", learning_rate=3e-3)
    options: dict[str, Any] = {"options": {"width": 16}, "members": 0.2, "config": config}
    return train(people, path, model="mlp", seed=1, canaries=60, **options)


def read(run: Run, threat: ThreatModel = WEIGHTS) -> AuditResult:
    return audit(run.path, threat=threat, attacks=("error:zero-knowledge",))


def page(result: AuditResult) -> str:
    check(json.loads(json.dumps(result.content)))
    return render_html(result.content)


def stating(run: Run, **training: Any) -> dict[str, Any]:
    """Let a run state something else about its training; return what it stated before."""
    path = run.path / "run.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "training": content["training"] | training}))
    return dict(content["training"])


def test_a_model_that_remembers_shows_an_epsilon(remembering: Run) -> None:
    result = read(remembering)
    found = result.content["canaries"]
    assert found["inside"] + found["outside"] == 60 and found["broken"] is None
    assert max(each["epsilon"] for each in found["bounds"]) > 0.5
    assert {each["scores"] for each in found["bounds"]} == {"outputs", "weights"}
    shown = page(result)
    assert "60 made-up people were planted" in shown and "states no epsilon" in shown
    assert BROKEN not in shown


def test_an_attacker_on_outputs_sees_outputs_only(remembering: Run) -> None:
    found = read(remembering, ThreatModel(repeats=1)).content["canaries"]
    assert {each["scores"] for each in found["bounds"]} == {"outputs"}


def test_behind_a_service_the_page_says_that_canaries_were_read_from_the_model_itself(
    remembering: Run,
) -> None:
    said, plain = "read from answers that nothing changed", read(remembering, ThreatModel(repeats=1))
    before = stating(remembering, defence="round:step=1000")
    try:
        outputs, weights = read(remembering, ThreatModel(repeats=1)), read(remembering)
    finally:
        stating(remembering, **before)
    assert outputs.content["canaries"] == plain.content["canaries"]
    assert said in page(outputs) and said not in page(weights) and said not in page(plain)


def test_canaries_and_their_people_count_nowhere_else(remembering: Run) -> None:
    target = read(remembering).content["target"]
    # 36 of 180 people are members; 60 of the 144 others became canaries.
    assert (target["members"], target["nonmembers"]) == (36, 84)
    assert target["scans"] < 200


def test_a_false_statement_is_reported_as_broken(remembering: Run) -> None:
    said = {"statement": "Noise.", "enforced_by": "whoever trains", "epsilon": 0.1, "delta": 1e-5}
    before = stating(remembering, defence="dp-sgd:epsilon=0.1", guarantee=said)
    try:
        result = read(remembering)
        shown = page(result)
    finally:
        stating(remembering, **before)
    assert result.content["canaries"]["broken"] is True
    assert BROKEN in shown and "(above the stated one)" in shown
    assert all(each["broken"] == (each["epsilon"] > 0.1) for each in result.content["canaries"]["bounds"])


def test_a_private_training_is_not_contradicted(people: Cohort, tmp_path: Path) -> None:
    config = TrainingConfig(epochs=3, device="cpu", defence="dp-sgd:epsilon=1,delta=1e-5", batch_size=40)
    options: dict[str, Any] = {"options": {"width": 5}, "members": 0.2, "config": config}
    run = train(people, tmp_path / "run", model="mlp", seed=2, canaries=60, **options)
    result = read(run)
    assert result.content["canaries"]["broken"] is False and len(result.content["canaries"]["bounds"]) == 10
    shown = page(result)
    assert BROKEN not in shown and "so few canaries" not in shown and "do not contradict" in shown
    # No 60 canaries can contradict an epsilon of 50.
    stating(run, guarantee={**run.training["guarantee"], "epsilon": 50.0})
    assert "so few canaries" in page(read(run))
    # Without the owner's file nothing is known of them, and the audit says nothing.
    (run.path / "canaries.json").unlink()
    assert "canaries" not in read(run).content


def test_canaries_of_another_training_are_refused(remembering: Run) -> None:
    path = remembering.path / "canaries.json"
    before = path.read_bytes()
    content = json.loads(before)
    for canary in content["canaries"]:
        canary["inside"] = not canary["inside"]
    path.write_text(json.dumps(content))
    try:
        with pytest.raises(StaleError, match="changed after training"):
            read(remembering)
    finally:
        path.write_bytes(before)


def test_an_audit_is_not_taken_for_that_of_another_guarantee(people: Cohort, tmp_path: Path) -> None:
    """With the same noise, equal weights have another epsilon at another delta."""
    audited: dict[str, Any] = {"threat": WEIGHTS, "attacks": ("error:zero-knowledge",)}
    runs = []
    for delta in ("1e-5", "1e-3"):
        config = TrainingConfig(epochs=1, device="cpu", defence=f"dp-sgd:noise=2,delta={delta}")
        options: dict[str, Any] = {"options": {"width": 5}, "members": 0.2, "config": config}
        runs.append(train(people, tmp_path / delta, model="mlp", seed=2, **options))
    one, other = runs
    assert one.weights_fingerprint == other.weights_fingerprint and one.guarantee != other.guarantee
    audit(one.path, tmp_path / "audit", **audited)
    with pytest.raises(OutputConflictError, match="guarantee"):
        audit(other.path, tmp_path / "audit", **audited)


def test_the_scores_of_weights_are_those_of_a_plain_ridge_regression(remembering: Run) -> None:
    target, canaries = TrainedModel.open(remembering.path, WEIGHTS), remembering.canaries
    assert canaries is not None
    first = new_network(remembering.spec, canaries.weights_seed).eval()
    for name, buffer in first.named_buffers():
        buffer.copy_(dict(target.model.named_buffers())[name])
    cohort, rows = canaries.added_to(target.cohort), []
    for canary in canaries.canaries:
        labels = torch.tensor(cohort.labels[canary.scans].to_numpy(np.float32))
        loss = ((first(as_inputs(cohort, canary.scans)) - labels) ** 2).mean()
        parts = torch.autograd.grad(loss, list(first.parameters()))
        row = torch.cat([part.flatten() for part in parts]).double()
        rows.append((row / row.norm()).numpy())
    pairs = zip(target.model.parameters(), first.parameters(), strict=True)
    moved = torch.cat([(last - before).flatten() for last, before in pairs]).detach().double().numpy()
    unit = np.array(rows)
    expected = -np.linalg.solve(unit @ unit.T + np.eye(len(unit)), unit @ moved)
    found = scores_of_weights(target, canaries)
    # The inner products of gradients are taken of short sketches.
    assert np.corrcoef(found, expected)[0, 1] > 0.99


def test_the_scores_of_outputs_are_residuals_of_a_line_in_the_given_direction(remembering: Run) -> None:
    target, canaries = TrainedModel.open(remembering.path, WEIGHTS), remembering.canaries
    assert canaries is not None
    cohort, answers, true, sign = canaries.added_to(target.cohort), [], [], []
    with torch.no_grad():
        for canary in canaries.canaries:
            answers.append(float(target.model(as_inputs(cohort, canary.scans)).mean()))
            true.append(np.mean(canary.true))
            sign.append(np.sign(canary.labels[0] - canary.true[0]))
    slope, constant = np.polyfit(true, answers, 1)
    expected = np.array(sign) * (np.array(answers) - constant - slope * np.array(true))
    np.testing.assert_allclose(scores_of_outputs(target, canaries), expected, atol=1e-3)
