"""Federations that FedSparsify prunes: what is zero when, how they resume, and that they can be audited."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from memberscan import ThreatModel, audit
from memberscan.cohort import Cohort
from memberscan.defences.fedsparsify import FedSparsify, share_of_zeros
from memberscan.errors import OutputConflictError
from memberscan.federation import changed_broadcast, reference_recipe
from memberscan.federation.reference_recipe import FederationRecipe
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import federate
from memberscan.federation.sparsity_by_round import sparsity_by_round
from memberscan.runs import Role, Run
from memberscan.threat import Attacker
from memberscan.training import TrainingConfig
from memberscan.training.recipes import answers_of

ROUNDS = 4
PLACES = ("learner", "server")
Weights = dict[str, Tensor]


def settings(defence: str | None, rounds: int = ROUNDS, **changes: Any) -> Settings:
    config = {"epochs": 3, "device": "cpu", "learning_rate": 0.01, "defence": defence, **changes}
    return Settings("mlp", {"width": 64}, TrainingConfig(**config), rounds=rounds)


def federated(sixty: Cohort, path: Path, defence: str | None, **changes: Any) -> Run:
    return federate(sixty, path, settings=settings(defence, **changes), learners=4, held_out=0.25, seed=0)


@pytest.fixture(scope="module")
def runs(sixty: Cohort, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A federation pruned at the learners, and one at the server; nobody may write into them."""
    folder = tmp_path_factory.mktemp("fedsparsify")
    return {where: federated(sixty, folder / where, f"fedsparsify:where={where}") for where in PLACES}


def trainable(state: Weights, run: Run) -> Weights:
    return {name: state[name] for name, _ in run.load().named_parameters()}


def flat(state: Weights, run: Run) -> Tensor:
    return torch.cat([weight.flatten() for weight in trainable(state, run).values()])


@pytest.mark.parametrize("where", PLACES)
def test_the_sparsity_of_every_round_is_reached_where_it_is_applied(where: str, runs: dict[str, Run]) -> None:
    run, defence = runs[where], FedSparsify()
    transcript = run.transcript
    for number in range(1, ROUNDS + 1):
        own = [flat(transcript.learner_model(number, name), run) for name in transcript.learners]
        models = own if where == "learner" else [flat(transcript.global_model(number), run)]
        for weights in models:
            expected = int(defence.share(number, ROUNDS) * len(weights))
            # The output's bias is zero before it is trained.
            assert expected <= int((weights == 0).sum()) <= expected + 1
    if where == "server":
        planned = int(defence.share(ROUNDS - 1, ROUNDS) * len(own[0]))
        assert all(planned <= int((weights == 0).sum()) <= planned + 1 for weights in own)
    assert share_of_zeros([flat(runs["server"].load().state_dict(), run)]) == pytest.approx(0.95, abs=3e-3)


@pytest.mark.parametrize("where", PLACES)
def test_a_pruned_weight_stays_zero_while_learners_train(where: str, runs: dict[str, Run]) -> None:
    run = runs[where]
    for number in range(2, ROUNDS):
        gone = flat(run.transcript.global_model(number), run) == 0
        assert gone.any()
        for name in run.transcript.learners:
            assert not flat(run.transcript.learner_model(number + 1, name), run)[gone].any()
        assert not flat(run.transcript.global_model(number + 1), run)[gone].any()


def test_momentum_and_weight_decay_do_not_revive_a_weight(sixty: Cohort, tmp_path: Path) -> None:
    changes = {"optimizer": "sgd", "weight_decay": 0.1, "learning_rate": 0.003}
    run = federated(sixty, tmp_path / "run", "fedsparsify:where=server", **changes)
    gone = flat(run.transcript.global_model(ROUNDS - 1), run) == 0
    sent = [flat(run.transcript.learner_model(ROUNDS, name), run) for name in run.transcript.learners]
    assert gone.any() and all(not model[gone].any() and model[~gone].all() for model in sent)


def test_before_the_first_pruning_weights_that_begin_at_zero_are_trained(runs: dict[str, Run]) -> None:
    for run in runs.values():
        assert not run.transcript.global_model(0)["output.bias"].any()
        assert run.transcript.global_model(1)["output.bias"].all()


def half_frozen() -> nn.Module:
    """Return a network whose first layer is not trained and has smaller weights than the others."""
    network = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
    for p in network[0].parameters():
        nn.init.uniform_(p, 1e-4, 1e-3).requires_grad_(False)
    return network


@pytest.mark.parametrize("where", PLACES)
def test_weights_that_are_not_trained_are_not_pruned(where: str, sixty: Cohort, tmp_path: Path) -> None:
    training = TrainingConfig(epochs=1, device="cpu", defence=f"fedsparsify:sparsity=0.5,where={where}")
    its = Settings(f"{__name__}:half_frozen", training=training, rounds=2)
    run = federate(sixty, tmp_path / "run", settings=its, learners=4, held_out=0.25, seed=0)
    first, last = (run.transcript.global_model(number) for number in (0, 2))
    frozen = [name for name, p in run.load().named_parameters() if not p.requires_grad]
    assert len(frozen) == 2 and all(torch.equal(first[name], last[name]) for name in frozen)
    assert sparsity_by_round(run)[-1]["reached"] == pytest.approx(0.5, abs=0.1)


def test_the_vote_decides_what_the_global_model_keeps(runs: dict[str, Run]) -> None:
    run = runs["learner"]
    for number in range(2, ROUNDS + 1):
        sent = [flat(run.transcript.learner_model(number, name), run) for name in run.transcript.learners]
        votes = sum((model != 0).int() for model in sent)
        made = flat(run.transcript.global_model(number), run)
        assert torch.equal(made != 0, votes >= 2)


@pytest.mark.parametrize("where", PLACES)
def test_the_table_of_a_run_says_what_was_planned_and_reached(where: str, runs: dict[str, Run]) -> None:
    rows = sparsity_by_round(runs[where])
    assert [row["round"] for row in rows] == [1, 2, 3, 4]
    planned = [0.95 * (1 - (1 - step / 3) ** 3) for step in range(4)]
    assert [row["planned"] for row in rows] == pytest.approx(planned, abs=1e-6)
    models = [flat(runs[where].transcript.global_model(number), runs[where]) for number in range(1, 5)]
    zeros = [float((model == 0).double().mean()) for model in models]
    assert [row["reached"] for row in rows] == pytest.approx(zeros, abs=1e-6)


def test_a_run_without_it_has_no_table(sixty: Cohort, tmp_path: Path) -> None:
    assert sparsity_by_round(federated(sixty, tmp_path / "run", None, rounds=1)) == []


def test_an_interrupted_federation_ends_in_the_same_models(
    runs: dict[str, Run], sixty: Cohort, tmp_path: Path
) -> None:
    part = shutil.copytree(runs["learner"].path, tmp_path / "run")
    (part / "run.json").unlink()
    for number in (3, 4):
        shutil.rmtree(part / "rounds" / f"{number:04d}")
    federated(sixty, part, "fedsparsify")
    models = sorted((part / "rounds").rglob("*.safetensors"))
    assert len(models) == 1 + 4 * 5
    for path in models:
        assert path.read_bytes() == (runs["learner"].path / path.relative_to(part)).read_bytes()


@pytest.mark.parametrize("finished", [True, False])
def test_a_federation_cannot_be_continued_for_more_rounds(
    sixty: Cohort, tmp_path: Path, finished: bool
) -> None:
    run = federated(sixty, tmp_path / "run", "fedsparsify", rounds=2)
    if not finished:
        (run.path / "run.json").unlink()
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(OutputConflictError, match="rounds was 2 and is now 3"):
        federated(sixty, run.path, "fedsparsify", rounds=3)
    assert before == {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("where", PLACES)
def test_a_reference_repeats_the_defence(
    where: str, runs: dict[str, Run], sixty: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs[where]
    monkeypatch.setattr(reference_recipe, "divide_members", lambda *_: dict(run.roles.learner))
    members, weights = run.roles.subjects(Role.MEMBER), tmp_path / "weights"
    recipe = FederationRecipe.of(run)
    again = recipe.train(sixty, members, run.transcript.settings["training"]["seed"], tmp_path / "r", weights)
    np.testing.assert_array_equal(again, answers_of(run.load(), sixty, "cpu"))
    assert (weights / "weights.safetensors").read_bytes() == (run.path / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize(
    ("attacker", "attack"), [(Attacker.LEARNER, "error:zero-knowledge"), (Attacker.SERVER, "local-error")]
)
def test_the_parties_of_a_pruned_federation_can_be_audited(
    where: str, attacker: Attacker, attack: str, runs: dict[str, Run]
) -> None:
    result = audit(runs[where].path, threat=ThreatModel(attacker=attacker, leaked=0.2), attacks=[attack])
    assert [found["attack"] for found in result.content["findings"]] == [attack]
    assert len(result.content["federation"]["pairs"]) == (12 if attacker is Attacker.LEARNER else 4)


@pytest.mark.parametrize("where", PLACES)
def test_an_active_server_gets_answers_as_of_the_last_round(
    where: str, runs: dict[str, Run], sixty: Cohort, tmp_path: Path
) -> None:
    run = runs[where]
    threat = ThreatModel(attacker=Attacker.ACTIVE_SERVER, leaked=0.2)
    result = audit(run.path, tmp_path / "audit", threat=threat)
    assert [found["attack"] for found in result.content["findings"]] == ["gradient-ascent"]
    scans = sixty.scans.index[:4].tolist()
    answers = changed_broadcast.answers(run, sixty, scans, 0, tmp_path / "answers")
    gone = flat(answers.global_model(0), run) == 0
    for name in answers.learners:
        answer = flat(answers.learner_model(1, name), run)
        assert gone.any() and not answer[gone].any()
        assert where == "server" or share_of_zeros([answer]) == pytest.approx(0.95, abs=1e-3)
