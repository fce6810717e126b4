"""The audit of a run: both accesses, attacks that a model does not bear, and a user's own attack."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from memberscan import Access, ThreatModel, TrainingConfig, audit, train
from memberscan.attacks import REGISTRY, Features, FittedAttack, Rule, default_attacks, named
from memberscan.attacks.availability import needed_access
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, StaleError
from memberscan.evidence.blind import Blind
from memberscan.runs import Roles, Run
from memberscan.signals import PREDICTION
from memberscan.training import import_run

from .conftest import expected_attacks, require_valid

WEIGHTS = ThreatModel(Access.WEIGHTS, repeats=2)


@pytest.fixture(scope="module")
def audited(run: Run, tmp_path_factory: pytest.TempPathFactory):
    """A finished white-box audit; not to be changed."""
    directory = tmp_path_factory.mktemp("audit") / "audit"
    return audit(run.path, directory, threat=WEIGHTS), directory


def test_every_attack_runs_on_the_weights(audited, run: Run, volumes: Cohort):
    result, directory = audited
    content = dict(result.content)
    require_valid(content)
    runnable, hindered = expected_attacks(run.path, WEIGHTS)
    assert [f["attack"] for f in content["findings"]] == runnable
    assert [entry["attack"] for entry in content["not_run"]] == hindered
    assert {"error", "activation", "gradient:conv1", "gradient-magnitude:zero-knowledge"} <= set(runnable)
    assert content["threat"]["access"] == "weights"
    target = content["target"]
    assert target["kind"] == "run" and target["model"] == "cnn3d" and target["synthetic"]
    assert (target["members"], target["nonmembers"], target["scans"]) == (13, 13, len(volumes))
    assert {g["over"] for g in content["gains"]} == {"prediction+label"}
    tried = [REGISTRY[name] for name in runnable]
    fitted = {a.name for a in tried if a.learns and needed_access(a, ThreatModel()) is Access.WEIGHTS}
    assert {g["attack"] for g in content["gains"]} == fitted
    assert content["provenance"]["threads"] == torch.get_num_threads()
    assert content["provenance"]["source"] == "run"
    assert {c["name"] for c in content["checks"]["blind"]["covariates"]} <= {"age", "sex", "scan count"}
    assert (directory / "audit.html").stat().st_size > 10_000


def test_outputs_access_runs_no_attack_on_weights(run: Run, tmp_path: Path):
    threat = ThreatModel(repeats=1)
    content = dict(audit(run.path, tmp_path / "audit", threat=threat).content)
    require_valid(content)
    assert {f["access"] for f in content["findings"]} == {"outputs"}
    reasons = {entry["attack"]: entry["reason"] for entry in content["not_run"]}
    of_weights = [n for n in default_attacks(threat) if needed_access(named(n), threat) is Access.WEIGHTS]
    assert of_weights and all("--access weights" in reasons[name] for name in of_weights)
    assert list(reasons) == expected_attacks(run.path, threat)[1]
    assert content["gains"] == []


def test_attacks_on_request_run_only_where_they_are_named(audited, run: Run):
    result, _ = audited
    listed = {f["attack"] for f in result.content["findings"]} | {
        n["attack"] for n in result.content["not_run"]
    }
    assert not listed & {"leverage-likelihood", "quantile"}
    asked = ["leverage-likelihood", "quantile"]
    content = dict(audit(run.path, threat=WEIGHTS, attacks=asked).content)
    require_valid(content)
    assert [f["attack"] for f in content["findings"]] == ["leverage-likelihood"]
    assert [n["attack"] for n in content["not_run"]] == ["quantile"]
    assert "at least 200 known non-members" in content["not_run"][0]["reason"]


def test_outputs_say_the_same_at_both_accesses(audited, run: Run, tmp_path: Path):
    result, _ = audited
    outputs = audit(run.path, tmp_path / "audit", threat=ThreatModel(repeats=2))
    for column in ("error", "prediction+label", "error:zero-knowledge"):
        np.testing.assert_allclose(np.sort(outputs.scores[column]), np.sort(result.scores[column]), atol=1e-5)


def test_a_model_without_landmarks_says_which_attacks_that_costs(table: Cohort, tmp_path: Path):
    made = train(table, tmp_path / "run", model="mlp", config=TrainingConfig(epochs=2, device="cpu"))
    content = dict(audit(made.path, tmp_path / "audit", threat=WEIGHTS).content)
    require_valid(content)
    reasons = {entry["attack"]: entry["reason"] for entry in content["not_run"]}
    assert {"gradient:conv1", "gradient:conv6"} < set(reasons) == set(expected_attacks(made.path, WEIGHTS)[1])
    assert "gradient:output" in {f["attack"] for f in content["findings"]}
    assert "no layer conv1" in reasons["gradient:conv1"] and "module path" in reasons["gradient:conv1"]
    by_path = audit(made.path, tmp_path / "path", threat=WEIGHTS, attacks=["gradient:hidden.0", "error"])
    assert [f["attack"] for f in by_path.content["findings"]] == ["gradient:hidden.0", "error"]


def test_roles_drawn_by_train_are_reported_and_not_gated(run: Run, audited, monkeypatch: pytest.MonkeyPatch):
    result, _ = audited
    assert result.content["target"]["randomised"]
    monkeypatch.setattr(Blind, "tripped", True)
    content = dict(audit(run.path, threat=ThreatModel(repeats=1), attacks=["error"]).content)
    require_valid(content)
    assert content["checks"]["blind"]["tripped"] and not content["checks"]["blind"]["gates"]
    assert content["verdict"]["label"] != "confounded"
    assert content["findings"][0]["within_strata"] is None


def test_imported_roles_are_gated_and_their_matched_roles_can_be_imported(
    volumes: Cohort, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Blind, "tripped", True)
    by_age = volumes.scans.groupby("subject_id")["age"].mean().sort_values().index.tolist()
    pairs = [(s, "member" if n >= 13 else "non-member") for n, s in enumerate(by_age)]
    roles = Roles.from_rows(pairs)
    weights = run.path / "weights.safetensors"
    made = import_run(
        tmp_path / "run",
        cohort=volumes,
        model=f"{__name__}:narrow",
        weights=weights,
        roles=roles,
    )
    result = audit(made.path, tmp_path / "audit", threat=ThreatModel(repeats=1), model=f"{__name__}:narrow")
    assert not result.content["target"]["randomised"]
    assert result.verdict == "confounded"
    matched = Roles.read(tmp_path / "audit" / "matched.tsv") if len(result.matched) else Roles({})
    assert set(matched.of.items()) <= set(roles.of.items())
    said = result.content["checks"]["blind"]["matched"]
    assert said is None if len(matched.of) < 20 else len(matched.of) == 2 * said["members"]


def narrow() -> torch.nn.Module:
    """Build the network of the shared run, as a user's own factory would."""
    from memberscan.models import CNN3D

    return CNN3D((9, 10, 11), width=4)


@dataclass(frozen=True)
class Younger(FittedAttack):
    """A user's own attack: members are younger."""

    def observe(self, view) -> Features:
        return Features(view.scans.index, view.scans[["label"]].to_numpy(float))

    def fit(self, known: Features, member: np.ndarray) -> Rule:
        return Rule(np.array([-1.0]), 60.0)


def test_an_attack_of_one_s_own(run: Run):
    mine = Younger("younger", "the age alone", (PREDICTION,))
    content = dict(audit(run.path, attacks=["error", mine]).content)
    require_valid(content)
    assert [f["attack"] for f in content["findings"]] == ["error", "younger"]
    assert content["findings"][1]["title"] == "the age alone"


@dataclass(frozen=True)
class Blank(Younger):
    """A user's own attack that reads the same of every scan."""

    def observe(self, view) -> Features:
        return Features(view.scans.index, np.ones((len(view.scans), 2)))


def test_an_attack_that_reads_the_same_of_every_scan_is_listed_and_not_scored(run: Run):
    mine = Blank("blank", "nothing", (PREDICTION,))
    content = dict(audit(run.path, attacks=["error", mine]).content)
    require_valid(content)
    assert [f["attack"] for f in content["findings"]] == ["error"]
    (row,) = content["not_run"]
    assert row["attack"] == "blank" and "the same for every scan" in row["reason"]
    with pytest.raises(BadInputError, match=r"can be run: blank .*the same for every scan"):
        audit(run.path, attacks=[mine])


def test_a_moved_cohort_is_given_by_hand_and_another_one_refused(
    volumes: Cohort, table: Cohort, run: Run, tmp_path: Path
):
    shutil.copytree(volumes.path, tmp_path / "moved")
    shutil.copytree(run.path, tmp_path / "elsewhere" / "run")
    with pytest.raises(BadInputError):
        audit(tmp_path / "elsewhere" / "run", attacks=["error"])
    found = audit(tmp_path / "elsewhere" / "run", cohort=tmp_path / "moved", attacks=["error"])
    assert dict(found.content) == dict(audit(run.path, attacks=["error"]).content)
    with pytest.raises(StaleError, match="another cohort"):
        audit(run.path, cohort=table.path)


def test_changed_weights_are_refused(run: Run, tmp_path: Path, volumes: Cohort):
    shutil.copytree(run.path, tmp_path / "run")
    weights = tmp_path / "run" / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(StaleError, match="changed after training"):
        audit(tmp_path / "run", cohort=volumes.path)


def test_a_run_that_does_not_exist(tmp_path: Path):
    with pytest.raises(BadInputError, match="does not exist; give a run directory"):
        audit(tmp_path / "nowhere")


def test_exposure_covers_everybody(audited):
    result, _ = audited
    groups = [g for g in result.content["exposure"]["groups"] if g["by"] == "age"]
    assert sum(g["members"] + g["nonmembers"] for g in groups) == 26
    assert {g["group"] for g in result.content["exposure"]["groups"] if g["by"] == "sex"} == {"F", "M"}
    (band,) = result.content["residuals"]["bands"]
    assert band["low"] is band["high"] is None and band["members"]["n"] == band["nonmembers"]["n"] == 13
