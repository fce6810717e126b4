"""Federations with site-noise and canary updates: what the server adds, and what an audit reads back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from memberscan import ThreatModel
from memberscan.auditing import AuditResult, audit
from memberscan.auditing.update_canaries import cosines, read_updates_back, update_canaries_of
from memberscan.cohort import Cohort
from memberscan.defences import defence_from
from memberscan.defences.canary_updates import coins, directions
from memberscan.defences.defence import Merge
from memberscan.errors import OutputConflictError
from memberscan.evidence.canary_bounds import canary_evidence
from memberscan.evidence.epsilon_of_fit import epsilon_of_two_normals
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import federate
from memberscan.report import check, render_html
from memberscan.runs import Run
from memberscan.runs.transcript import ROUNDS, Transcript
from memberscan.targets.trained_model import TrainedModel
from memberscan.threat import Access
from memberscan.training import TrainingConfig

WEIGHTS = ThreatModel(access=Access.WEIGHTS, repeats=1)
CANARIES = 40


def go(cohort: Cohort, path: Path, defence: str, rounds: int = 2) -> Run:
    training = TrainingConfig(epochs=1, device="cpu", learning_rate=0.01, defence=defence)
    settings = Settings("mlp", {"width": 64}, training, rounds=rounds)
    return federate(cohort, path, settings=settings, learners=2, held_out=0.35, seed=0)


def read(run: Run, threat: ThreatModel = WEIGHTS, path: Path | None = None) -> AuditResult:
    return audit(run.path, path, threat=threat, attacks=("error:zero-knowledge",))


@pytest.fixture(scope="module")
def run(sixty: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("canary-updates")
    return go(sixty, folder / "run", f"site-noise:epsilon=8,clip=0.002,canaries={CANARIES}")


def seed_of(run: Run) -> int:
    return int(json.loads((run.path / "request.json").read_text())["defence_seed"])


def test_the_server_adds_what_it_states(run: Run) -> None:
    rounds = Transcript.open(run.path / ROUNDS)
    names = [name for name, _ in run.load().named_parameters()]
    before, found = ({name: rounds.global_model(k)[name] for name in names} for k in (0, 1))
    models = [{name: rounds.learner_model(1, each)[name] for name in names} for each in rounds.learners]
    expected = defence_from(run.defence).merged(Merge(models, before, before, 1, 2, seed_of(run)))
    assert all(torch.equal(found[name], expected[name]) for name in names)
    stated = run.guarantee
    assert stated is not None and stated.epsilon == pytest.approx(8, rel=0.01)
    assert stated.enforced_by == "the server"


def test_a_federation_that_is_continued_ends_in_the_same_models(sixty: Cohort, tmp_path: Path) -> None:
    text = "site-noise:noise=2,canaries=10"
    whole = go(sixty, tmp_path / "whole", text)
    go(sixty, tmp_path / "part", text, rounds=1)
    assert go(sixty, tmp_path / "part", text).weights_fingerprint == whole.weights_fingerprint
    # The noise of a given epsilon depends on the number of rounds.
    fixed = "site-noise:epsilon=8"
    go(sixty, tmp_path / "fixed", fixed, rounds=1)
    with pytest.raises(OutputConflictError):
        go(sixty, tmp_path / "fixed", fixed)


def test_an_audit_reads_the_canaries_back(run: Run) -> None:
    target = TrainedModel.open(run.path, WEIGHTS)
    canaries, found = update_canaries_of(target), read_updates_back(target)
    assert canaries is not None and found is not None
    inside = coins(seed_of(run), CANARIES)
    rounds = Transcript.open(run.path / ROUNDS)
    names = sorted(name for name, _ in run.load().named_parameters())
    first, last = (rounds.global_model(k) for k in (0, 2))
    moved = torch.cat([(last[name] - first[name]).flatten() for name in names]).numpy()
    units = [unit.numpy() for unit in directions(seed_of(run), CANARIES, {n: first[n] for n in names})]
    expected = [float(np.dot(unit, moved) / np.linalg.norm(moved)) for unit in units]
    scores, weights = cosines(run, target.model, canaries)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    stated = run.guarantee
    assert stated is not None and weights == len(moved)
    plain = canary_evidence(
        {"updates": scores}, inside, epsilon=stated.epsilon, delta=stated.delta, gaussian=True
    )
    assert replace(found, estimate=None) == plain and not found.broken
    fit = scores[inside].mean(), scores[inside].std(ddof=1)
    assert found.estimate == epsilon_of_two_normals(*fit, len(moved) ** -0.5, found.delta)


def test_the_report_says_what_they_are_and_a_false_statement_is_broken(run: Run) -> None:
    result = read(run)
    content = result.content["canaries"]
    assert (content["inside"] + content["outside"], content["broken"]) == (CANARIES, False)
    assert {each["scores"] for each in content["bounds"]} == {"updates"} and content["estimate"] > 0
    check(json.loads(json.dumps(result.content)))
    shown = render_html(result.content)
    assert f"{CANARIES} canary updates were drawn" in shown and "made-up people" not in shown
    assert "It is no bound" in shown
    path = run.path / "run.json"
    before = path.read_text()
    # A server that adds far less noise than it states: here it states far less than it adds.
    path.write_text(before.replace(f'"epsilon": {run.guarantee.epsilon!r}', '"epsilon": 0.001'))  # type: ignore[union-attr]
    try:
        assert "The guarantee" in render_html(read(run).content)
        assert read(run).content["canaries"]["broken"] is True
    finally:
        path.write_text(before)


def test_without_the_weights_or_the_secret_nothing_is_read(run: Run, tmp_path: Path) -> None:
    assert "canaries" not in read(run, ThreatModel(repeats=1)).content
    read(run, path=tmp_path / "audit")
    secret = run.path / "request.json"
    kept = secret.read_bytes()
    secret.unlink()
    try:
        assert "canaries" not in read(run).content
        with pytest.raises(OutputConflictError, match="canaries"):
            read(run, path=tmp_path / "audit")
    finally:
        secret.write_bytes(kept)
