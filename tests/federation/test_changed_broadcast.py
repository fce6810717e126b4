"""The simulated active server: what it broadcasts, how honestly it is answered, what it leaves alone."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from memberscan import ThreatModel, audit
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, OutputConflictError
from memberscan.federation import changed_broadcast, engines
from memberscan.federation.client import train
from memberscan.federation.simulated_run import federate
from memberscan.files import write_json
from memberscan.models.inputs import as_inputs
from memberscan.received import load_json
from memberscan.runs import Run, Transcript
from memberscan.signals.broadcast_answers import ANSWER_PREDICTIONS, BROADCAST_PREDICTIONS
from memberscan.signals.passes.broadcasts import BROADCASTS, observe_broadcasts
from memberscan.targets.party import Party
from memberscan.threat import Attacker

from .consortium import contents, settings

THREAT = ThreatModel(attacker=Attacker.ACTIVE_SERVER, leaked=0.2)


@pytest.fixture(scope="module")
def federation(table: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("active") / "run"
    return federate(table, path, settings=settings(), learners=2, held_out=0.35, seed=0)


@pytest.fixture(scope="module")
def encrypted(table: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Run:
    pytest.importorskip("tenseal")
    path = tmp_path_factory.mktemp("encrypted") / "run"
    its = settings(secure="ckks", rounds=1)
    return federate(table, path, settings=its, learners=2, held_out=0.35, seed=0)


def flat(run: Run, state: dict[str, Tensor]) -> Tensor:
    return torch.cat([p.detach().flatten() for p in run.model_with(state).parameters()])


def loss(run: Run, cohort: Cohort, state: dict[str, Tensor], scans: list[str]) -> Tensor:
    ages = torch.tensor(cohort.scans.loc[scans, "age"].to_numpy(np.float32))
    return ((ages - run.model_with(state)(as_inputs(cohort, scans))) ** 2).mean()


def test_the_step_goes_up_the_mean_loss_and_is_as_long_as_the_last_round(
    federation: Run, table: Cohort, precise: list[bool]
):
    transcript, group = federation.transcript, table.scans.index[3:20].tolist()
    last, earlier = (transcript.global_model(n) for n in (3, 2))
    moved = changed_broadcast.ascended(federation, table, group)
    assert precise and all(precise)
    step = flat(federation, moved) - flat(federation, last)
    change = flat(federation, last) - flat(federation, earlier)
    assert float(step.norm()) == pytest.approx(float(change.norm()), rel=1e-4)
    assert loss(federation, table, moved, group) > loss(federation, table, last, group)
    model = federation.model_with(last)
    ages = torch.tensor(table.scans.loc[group, "age"].to_numpy(np.float32))
    twin = torch.autograd.grad(
        ((ages - model(as_inputs(table, group))) ** 2).mean(), list(model.parameters())
    )
    up = torch.cat([g.flatten() for g in twin])
    assert torch.allclose(step / step.norm(), up / up.norm(), atol=1e-4)
    # Only parameters move, never the scale of ages.
    assert torch.equal(moved["age_mean"], last["age_mean"])


def test_learners_answer_by_their_own_code_and_the_transcript_is_only_read(
    federation: Run, table: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    before = contents(federation.path)
    trained = []

    def watched(content, site):
        trained.append((site.learner, site.members))
        return train(content, site)

    monkeypatch.setattr("memberscan.federation.client.train", watched)
    party = Party.open(federation.path, THREAT)
    seen = observe_broadcasts(party, tmp_path)
    ids = party.scans.index.tolist()
    assert contents(federation.path) == before
    assert [name for name, _ in trained] == [*federation.roles.learners] * BROADCASTS
    for name, members in trained:
        assert set(table.scans.loc[list(members), "subject_id"]) == set(federation.roles.members_of(name))
    assert seen.rounds == (4, 5, 6, 7) and seen.learners == federation.transcript.learners
    answered = seen.values[ANSWER_PREDICTIONS]
    assert answered.shape == (BROADCASTS, len(ids), 2) and np.isfinite(answered).all()
    for place, predictions in enumerate(seen.values[BROADCAST_PREDICTIONS], start=1):
        broadcast = Transcript.open(tmp_path / f"{place:04d}" / "broadcast" / "rounds").global_model(0)
        with torch.no_grad():
            expected = federation.model_with(broadcast)(as_inputs(table, ids))
        np.testing.assert_allclose(predictions, expected, rtol=1e-5)


def test_it_resumes_with_the_same_answers_and_refuses_those_of_other_groups(
    federation: Run, table: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    party = Party.open(federation.path, THREAT)
    whole = observe_broadcasts(party, tmp_path / "whole")
    simulate, calls = engines.simulate, []

    def dies(*args, **options):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        simulate(*args, **options)

    monkeypatch.setattr(engines, "simulate", dies)
    with pytest.raises(KeyboardInterrupt):
        observe_broadcasts(party, tmp_path / "part")
    resumed = observe_broadcasts(party, tmp_path / "part")
    assert len(calls) == 1 + BROADCASTS
    for signal, values in whole.values.items():
        np.testing.assert_array_equal(resumed.values[signal], values)
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")
    with pytest.raises(OutputConflictError, match="group"):
        observe_broadcasts(Party.open(federation.path, THREAT, seed=1), tmp_path / "part")


def test_an_audit_says_that_it_simulated_and_leaves_the_known_in_peace(
    federation: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    harmed: list[str] = []
    answers = changed_broadcast.answers

    def watched(run, cohort, group, place, directory):
        harmed.extend(group)
        return answers(run, cohort, group, place, directory)

    monkeypatch.setattr(changed_broadcast, "answers", watched)
    result = audit(federation.path, tmp_path / "audit", threat=THREAT)
    found = result.content["federation"]
    assert found["simulated"] is True and found["attacker"] == "active-server"
    assert [f["attack"] for f in result.content["findings"]] == ["gradient-ascent"]
    assert [row["round"] for row in found["by_round"]] == [4, 5, 6, 7]
    assert len(harmed) == len(set(harmed)) == 40 - found["known_nonmembers"]
    assert (tmp_path / "audit" / "signals" / "active").is_dir()


def test_no_other_attacker_simulates(federation: Run, tmp_path: Path):
    passive = dataclasses.replace(THREAT, attacker=Attacker.SERVER)
    result = audit(
        federation.path, tmp_path / "a", threat=passive, attacks=["local-error", "gradient-ascent"]
    )
    assert result.content["federation"]["simulated"] is False
    (row,) = result.content["not_run"]
    assert row["attack"] == "gradient-ascent" and "--attacker active-server" in row["reason"]
    assert not (tmp_path / "a" / "signals" / "active").exists()
    with pytest.raises(BadInputError, match="rounds without a changed broadcast"):
        audit(federation.path, tmp_path / "b", threat=THREAT, attacks=["local-error"])


def test_an_imported_federation_cannot_be_made_to_answer(federation: Run, table: Cohort, tmp_path: Path):
    run = tmp_path / "run"
    run.mkdir()
    for path in federation.path.iterdir():
        if path.name != "run.json":
            (run / path.name).symlink_to(path)
    facts = json.loads(json.dumps(load_json(federation.path / "run.json")))
    facts["cohort"]["path"] = str(table.path)
    write_json(run / "run.json", {**facts, "training": {}})
    with pytest.raises(BadInputError, match=r"gradient-ascent needs learners to train once more .* imported"):
        audit(run, tmp_path / "audit", threat=THREAT)


def test_an_encrypted_federation_has_no_model_to_change(encrypted: Run, tmp_path: Path):
    result = audit(encrypted.path, tmp_path / "audit", threat=THREAT)
    assert result.content["findings"] == [] and result.content["verdict"]["label"] == "inconclusive"
    assert result.content["federation"]["simulated"] is False
    (row,) = result.content["not_run"]
    assert row["attack"] == "gradient-ascent" and "ciphertexts only" in row["reason"]


@pytest.mark.parametrize("defence", ["label-noise:spread=5", "dp-sgd:noise=1", "prune:sparsity=0.5"])
def test_answers_of_defended_learners_are_repeatable_but_not_equal(
    table: Cohort, tmp_path: Path, defence: str
):
    training = dataclasses.replace(settings().training, defence=defence)
    run = federate(
        table, tmp_path / "run", settings=settings(training=training), learners=2, held_out=0.35, seed=0
    )
    group = table.scans.index[3:20].tolist()
    first, again, other = (
        changed_broadcast.answers(run, table, group, place, tmp_path / name)
        for place, name in ((1, "a"), (1, "b"), (2, "c"))
    )
    learner = run.transcript.learners[0]
    sent = [flat(run, answered.learner_model(1, learner)) for answered in (first, again, other)]
    assert torch.equal(sent[0], sent[1]) and not torch.equal(sent[0], sent[2])
    if defence.startswith("dp-sgd"):
        # Equal noise in two answers would cancel in their difference.
        start = flat(run, first.global_model(0))
        moved = [answer - start for answer in sent]
        assert abs(float(torch.corrcoef(torch.stack([moved[0], moved[2]]))[0, 1])) < 0.9
