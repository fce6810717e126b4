"""Audits of models that were trained with a defence: what the file and the page say of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memberscan import ThreatModel
from memberscan.auditing import AuditResult, audit
from memberscan.auditing.stages import attack_run
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError
from memberscan.guarantee import Guarantee, weakest
from memberscan.report import check, render_html
from memberscan.runs import Role, Run
from memberscan.threat import Attacker
from memberscan.training import TrainingConfig, train

from ..defences.lab import federated

HEADING = "Protection in training"
BEYOND = "more members than the guarantee allows"
THREAT = ThreatModel(repeats=1)
ATTACKS = ("error", "error:zero-knowledge")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Return 160 people with 60 measures of noise, which a network can only remember."""
    folder, rng = tmp_path_factory.mktemp("people"), np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(160, 60)), columns=[f"m{k}" for k in range(60)])
    table.assign(id=range(160), age=rng.uniform(30, 70, 160)).to_csv(folder / "t.csv", index=False)
    return Cohort.from_table(folder / "t.csv", folder / "c", subject="id", age="age")


def trained(people: Cohort, path: Path, defence: str | None, **changes: Any) -> Run:
    usual = {"epochs": 60, "device": "cpu", "batch_size": 20, "learning_rate": 3e-3}
    config = TrainingConfig(**{**usual, "defence": defence, **changes})
    return train(people, path, model="mlp", config=config, seed=1)


def stating(run: Run, **training: Any) -> None:
    """Let a run state something else about its training."""
    path = run.path / "run.json"
    content = json.loads(path.read_text())
    content["training"] |= training
    path.write_text(json.dumps(content))


def page(result: AuditResult) -> str:
    check(json.loads(json.dumps(result.content)))
    return render_html(result.content)


def test_without_a_defence_the_page_says_nothing_of_one(people: Cohort, tmp_path: Path) -> None:
    result = audit(trained(people, tmp_path / "run", None).path, threat=THREAT, attacks=ATTACKS)
    assert not {"defence", "guarantee"} & set(result.content["target"])
    assert HEADING not in page(result)


def test_a_guarantee_is_shown_beside_what_attacks_found(people: Cohort, tmp_path: Path) -> None:
    run = trained(people, tmp_path / "run", "dp-sgd:epsilon=2", batch_size=40)
    result = audit(run.path, threat=THREAT, attacks=ATTACKS)
    target, shown = result.content["target"], page(result)
    assert target["defence"] == run.training["defence"]
    assert target["guarantee"] == run.training["guarantee"]
    assert HEADING in shown and "epsilon 2" in shown and "Allowed at most" in shown
    # Twenty of a hundred false alarms may not find more than e^2 x .2 + delta, or 1 - e^-2 (.8 - delta).
    assert result.content["verdict"]["label"] != "leaks" and BEYOND not in shown
    assert "Hatched" in shown


@pytest.mark.parametrize("defence", ["distillation", "teachers:epsilon=8,count=3"])
def test_a_student_is_said_to_be_trained_on_people_of_whom_nothing_is_known(
    people: Cohort, tmp_path: Path, defence: str
) -> None:
    config = TrainingConfig(epochs=2, device="cpu", defence=defence)
    run = train(people, tmp_path / "run", model="mlp", config=config, seed=1, members=0.6, validation=0.3)
    held_out = len(run.roles.subjects(Role.VALIDATION))
    result = audit(run.path, threat=THREAT, attacks=ATTACKS)
    assert held_out == 29 and result.content["target"]["taught_on"] == held_out
    assert "scans of 29 people held out" in page(result)
    plain = train(people, tmp_path / "plain", model="mlp", config=replace(config, defence=None), seed=1)
    content = audit(plain.path, threat=THREAT, attacks=ATTACKS).content
    assert "taught_on" not in content["target"]


def test_a_defence_without_a_guarantee_is_said_to_have_none(people: Cohort, tmp_path: Path) -> None:
    run = trained(people, tmp_path / "run", "label-noise:spread=3")
    shown = page(audit(run.path, threat=THREAT, attacks=ATTACKS))
    assert "label-noise:spread=3" in shown and "It guarantees nothing" in shown
    assert "Allowed at most" not in shown


def test_a_finding_beyond_the_guarantee_is_reported(people: Cohort, tmp_path: Path) -> None:
    run = trained(people, tmp_path / "run", None)
    # A training that left its noise out, and states it nevertheless.
    false = {"statement": "Noise.", "enforced_by": "whoever trains", "epsilon": 0.1, "delta": 0.001}
    stating(run, defence="dp-sgd:epsilon=0.1", guarantee=false)
    result = audit(run.path, threat=THREAT, attacks=ATTACKS)
    assert result.content["verdict"]["label"] == "leaks"
    assert BEYOND in page(result)


@pytest.mark.parametrize("training", [{"defence": 3}, {"guarantee": "yes"}, {"guarantee": {"epsilon": 1}}])
def test_a_damaged_statement_is_refused(people: Cohort, tmp_path: Path, training: dict[str, Any]) -> None:
    run = trained(people, tmp_path / "run", None)
    stating(run, **training)
    with pytest.raises(BadInputError, match=r"run\.json is damaged"):
        audit(run.path, threat=THREAT, attacks=ATTACKS)


def test_a_federation_states_the_guarantee_of_its_least_protected_learner(
    table: Cohort, tmp_path: Path
) -> None:
    run = Run.open(federated(table, tmp_path / "run", "dp-sgd:noise=2").path)
    epsilons = [each["epsilon"] for each in run.training["guarantee"].values()]
    assert run.guarantee is not None and run.guarantee.epsilon == max(epsilons)


def test_the_weakest_guarantee_is_that_with_the_largest_epsilon() -> None:
    strong, weak, of_labels = (
        Guarantee("a", "b", 1.0, 0.1),
        Guarantee("c", "d", 3.0, 0.1),
        Guarantee("e", "f"),
    )
    assert weakest([strong, weak]) == weak
    assert weakest([strong, of_labels]) == of_labels
    assert weakest([strong, None]) is None and weakest([]) is None


def test_parties_attack_the_model_that_they_saw_before_it_was_pruned(people: Cohort, tmp_path: Path) -> None:
    runs = {name: federated(people, tmp_path / f"{name}", name) for name in ("prune:sparsity=0.9", None)}
    found = {}
    for attacker in ("learner", "outsider"):
        threat = ThreatModel(repeats=1, attacker=Attacker.parse(attacker))
        works = [
            attack_run(run.path, tmp_path / f"{attacker}-{name}", threat=threat, attacks=ATTACKS[1:])
            for name, run in runs.items()
        ]
        found[attacker] = [work.scores[0].values for work in works]
    np.testing.assert_array_equal(*found["learner"])
    assert not np.allclose(*found["outsider"])
