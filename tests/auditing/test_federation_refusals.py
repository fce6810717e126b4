"""Audits of a federation that are refused or lack something, and attacks of the user's own."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from memberscan import ThreatModel, audit
from memberscan.attacks import named
from memberscan.attacks.on_learners import AttackOnLearners
from memberscan.cohort import Cohort
from memberscan.errors import (
    BadInputError,
    OutputConflictError,
    RolesError,
    TooFewSubjectsError,
    TranscriptError,
)
from memberscan.runs import Role, Roles, Run
from memberscan.signals import View
from memberscan.signals.learner_updates import LOCAL_PREDICTIONS
from memberscan.threat import Attacker
from memberscan.training import TrainingConfig

from .conftest import MakePredictions, expected_attacks, require_valid
from .test_audit_federation import Federated, finding, moved, threat


def test_a_round_that_is_gone_or_damaged_is_named(federated: Federated, tmp_path: Path):
    shutil.copytree(federated().path, tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone" / "rounds" / "0002")
    with pytest.raises(TranscriptError, match="lacks round 2"):
        audit(tmp_path / "gone", threat=threat("learner"))
    shutil.copytree(federated().path, tmp_path / "cut")
    cut = tmp_path / "cut" / "rounds" / "0003" / "learner-4.safetensors"
    cut.write_bytes(cut.read_bytes()[:100])
    with pytest.raises(TranscriptError, match=r"learner-4.*truncated or has changed"):
        audit(tmp_path / "cut", threat=threat("server"))


def test_members_of_an_unknown_learner_or_of_none_are_refused(federated: Federated, tmp_path: Path):
    roles = federated().roles
    first = roles.subjects(Role.MEMBER)[0]
    stranger = Roles(roles.of, {**roles.learner, first: "learner-9"})
    homeless = Roles(roles.of, {s: its for s, its in roles.learner.items() if s != first})
    for name, its in (("learner-9", stranger), ("no learner", homeless)):
        run = moved(federated(), tmp_path / name, its, "uniform-iid")
        with pytest.raises(RolesError, match=f"{first}.* is held by {name}.*learner-1"):
            audit(run.path, threat=threat("learner"))


def test_too_few_held_out_people_are_said_with_what_to_do(federated: Federated):
    with pytest.raises(TooFewSubjectsError, match=r"32 people are held out, and attackers know 28.*--leaked"):
        audit(federated().path, threat=threat("learner", leaked=0.9))


def test_attackers_that_know_nobody_held_out_do_without_learning(federated: Federated):
    run, nobody = federated(), threat("learner", leaked=0.0)
    content = dict(audit(run.path, threat=nobody).content)
    require_valid(content)
    found = [f["attack"] for f in content["findings"]]
    assert found == expected_attacks(run.path, nobody)[0] and "loss-series:zero-knowledge" in found
    assert not any(named(attack).learns for attack in found)
    assert {p["nonmembers"] for p in content["federation"]["pairs"]} == {32}


@pytest.mark.parametrize("attacker", ["learner", "server", "aggregate"])
def test_a_run_of_no_federation_has_no_parties(attacker: str, run: Run):
    with pytest.raises(BadInputError, match=r"is not a federated run, so it has no parties.*outsider"):
        audit(run.path, threat=threat(attacker))


@pytest.mark.parametrize("attacker", ["learner", "server", "aggregate"])
def test_a_predictions_file_has_no_parties(attacker: str, predictions: MakePredictions):
    with pytest.raises(BadInputError, match=f"a {attacker} is a party of a federation.*give a run"):
        audit(predictions(), threat=threat(attacker))


@pytest.mark.parametrize(
    ("attacker", "attack", "reason"),
    [
        ("server", "error", "attacker's own people"),
        ("learner", "gradient-cosine", "the learners' updates"),
        ("outsider", "gradient-cosine", "needs the learners' updates"),
        ("outsider", "loss-series", "every round's global model"),
        ("aggregate", "fedmia:error", "sees at most 0"),
    ],
)
def test_an_attack_of_another_party_says_what_it_needs(
    attacker: str, attack: str, reason: str, federated: Federated
):
    with pytest.raises(BadInputError, match=f"none of the attacks can be run: {attack}.*{reason}"):
        audit(federated().path, threat=threat(attacker), attacks=[attack])


@dataclass(frozen=True)
class LastError(AttackOnLearners):
    """A user's own: the error of the learner's model in the last round."""

    def by_round(self, view: View) -> np.ndarray:
        scores = np.full(view[LOCAL_PREDICTIONS].shape, np.nan)
        scores[-1] = -np.abs(view.label[:, None] - view[LOCAL_PREDICTIONS][-1])
        return scores


def test_a_user_s_own_attack_on_updates_runs_beside_ours(federated: Federated):
    result = audit(
        federated().path,
        threat=threat("server"),
        attacks=[LastError("mine", "mine", (LOCAL_PREDICTIONS,)), "local-error"],
    )
    assert list(result.findings["attack"]) == ["mine", "local-error"]
    assert finding(result, "mine") > 0.6


def test_an_audit_of_a_federation_that_was_extended_is_another_audit(people: Cohort, tmp_path: Path) -> None:
    from memberscan.federation.settings import Settings
    from memberscan.federation.simulated_run import federate

    threat = ThreatModel(attacker=Attacker.SERVER)

    def federated_for(rounds: int) -> Path:
        its = Settings("mlp", {"width": 4}, TrainingConfig(epochs=1), rounds=rounds)
        return federate(people, tmp_path / "run", settings=its, learners=3, held_out=0.3, seed=0).path

    audit(federated_for(1), tmp_path / "audit", threat=threat, attacks=["local-error"])
    with pytest.raises(OutputConflictError, match="weights is different"):
        audit(federated_for(2), tmp_path / "audit", threat=threat, attacks=["local-error"])
    again = audit(federated_for(2), tmp_path / "again", threat=threat, attacks=["local-error"])
    assert again.content["federation"]["rounds"] == 2
