"""A service between a model and an outsider: what it answers of scans, of copies, and of references."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memberscan.cohort import Cohort
from memberscan.defences.answers import Answers
from memberscan.defences.defence import Defence
from memberscan.defences.match_errors import matched
from memberscan.errors import BadInputError, NonFiniteError
from memberscan.models.copies import Copies
from memberscan.models.inputs import as_inputs, predict_scans
from memberscan.runs import Role, Run
from memberscan.targets import PredictionsTable, open_target
from memberscan.targets.service import Service
from memberscan.targets.trained_model import TrainedModel
from memberscan.targets.trained_scans import TrainedScans
from memberscan.threat import Access, ThreatModel
from memberscan.training import TrainingConfig, train

SCALE = 2.0


@pytest.fixture(scope="module")
def noisy(volumes: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A model of images behind noise; nobody may write into it."""
    config = TrainingConfig(epochs=1, device="cpu", defence=f"answer-noise:scale={SCALE}")
    return train(
        volumes, tmp_path_factory.mktemp("noisy") / "run", model="cnn3d", options={"width": 4}, config=config
    )


def service_of(run: Run, access: Access = Access.OUTPUTS, seed: int = 0) -> Service:
    target = TrainedModel.open(run.path, ThreatModel(access), seed=seed)
    assert target.service is not None
    return target.service


def slowly(secret: bytes, scan: np.ndarray) -> float:
    """Return the noise of one answer."""
    said = hmac.new(
        secret, bytes(4) + hashlib.sha256(scan.astype("<f4").tobytes()).digest(), "sha256"
    ).digest()
    return SCALE * NormalDist().inv_cdf((int.from_bytes(said[:8], "big") // 2**12 + 0.5) / 2**52)


def test_the_noise_of_scans_and_copies_is_that_of_their_bytes_and_the_runs_secret(noisy: Run) -> None:
    cohort, service = noisy.cohort(), service_of(noisy)
    secret = str(json.loads((noisy.path / "request.json").read_text())["defence_seed"]).encode()
    scans = as_inputs(cohort, service.scan_ids)
    raw = np.linspace(40, 80, len(scans))
    expected = [age + slowly(secret, scan.numpy()) for age, scan in zip(raw, scans, strict=True)]
    np.testing.assert_allclose(service.of_model(raw, of_copies=False), expected)
    moved = np.stack([copy.numpy() for copy in Copies.of(service.cohort)(scans)], axis=1)
    raw = np.random.default_rng(0).normal(60, 10, moved.shape[:2])
    expected = raw + np.array([[slowly(secret, copy) for copy in each] for each in moved])
    np.testing.assert_allclose(service.of_model(raw, of_copies=True), expected)


def test_the_code_of_the_documentation_gives_these_answers(volumes: Cohort, tmp_path: Path) -> None:
    text = "round:step=0.5+prune+answer-noise:scale=1+answer-noise:scale=1,law=laplace"
    config = TrainingConfig(epochs=1, device="cpu", defence=text)
    run = train(volumes, tmp_path / "run", model="cnn3d", options={"width": 4}, config=config)
    page = (Path(__file__).parents[2] / "docs" / "defences" / "index.md").read_text("utf-8")
    code: dict[str, Any] = {}
    exec(page.partition("```python\n")[2].partition("```")[0], code)
    service = service_of(run)
    raw, scans = np.linspace(40, 80, len(service.scan_ids)), as_inputs(volumes, service.scan_ids)
    found = code["served"](run, raw, scans.numpy())
    np.testing.assert_array_equal(found, service.of_model(raw, of_copies=False))


def test_each_reference_has_a_secret_of_the_attackers_own(noisy: Run) -> None:
    service = service_of(noisy)
    count = len(service.scan_ids)
    noise = service.of_references(np.zeros((3, count)), of_copies=False)
    own = service.of_model(np.zeros(count), of_copies=False)
    each = np.vstack([own, noise])
    assert all(not (each[i] == each[j]).any() for i in range(4) for j in range(i))
    # Equal bytes for an equal seed, whatever the target's secret is, and others for another seed.
    np.testing.assert_array_equal(
        service_of(noisy).of_references(np.zeros((3, count)), of_copies=False), noise
    )
    other = service_of(noisy, seed=1).of_references(np.zeros((3, count)), of_copies=False)
    assert not (other == noise).any()
    # References 0 and 1 are the same whether or not there is a third.
    np.testing.assert_array_equal(service.of_references(np.zeros((2, count)), of_copies=False), noise[:2])
    assert service.of_references(np.zeros((2, count, 5)), of_copies=True).shape == (2, count, 5)


def test_only_an_outsider_who_reads_answers_is_behind_a_service(noisy: Run, run: Run, tmp_path: Path) -> None:
    assert service_of(noisy).name == f"answer-noise:scale={SCALE},law=gaussian"
    assert TrainedModel.open(noisy.path, ThreatModel(Access.WEIGHTS)).service is None
    assert TrainedModel.open(run.path, ThreatModel()).service is None
    table = pd.DataFrame(
        {"subject_id": range(40), "age": np.arange(40.0) + 30, "prediction": 50.0, "member": [0, 1] * 20}
    )
    table.to_csv(tmp_path / "p.csv", index=False)
    target = open_target(tmp_path / "p.csv", ThreatModel())
    assert isinstance(target, PredictionsTable) and target.service is None


def test_without_the_secret_no_answer_is_made_up(volumes: Cohort, tmp_path: Path) -> None:
    for name, text in (("noise", "answer-noise:scale=1"), ("round", "round:step=1")):
        config = TrainingConfig(epochs=1, device="cpu", defence=text)
        run = train(volumes, tmp_path / name, model="cnn3d", options={"width": 4}, config=config)
        known = service_of(run).fingerprint
        (run.path / "request.json").unlink()
        service = service_of(run)
        assert known["secret"] is not None and service.fingerprint == {**known, "secret": None}
        raw = np.full(len(service.scan_ids), 60.4)
        if name == "round":
            assert (service.of_model(raw, of_copies=False) == 60).all()
            continue
        with pytest.raises(
            BadInputError, match=r"lacks the secret of answer-noise.*audit with --access weights"
        ):
            service.of_model(raw, of_copies=False)


def test_a_defence_of_ones_own_must_give_one_answer_for_each_prediction(noisy: Run) -> None:
    class First(Defence):
        def answered(self, answers: Answers) -> np.ndarray:
            return answers.values[:1]

    service = dataclasses.replace(service_of(noisy), name="lab:First", defence=First())
    with pytest.raises(BadInputError, match=r"lab:First gives answers of shape \(1,\) for 33 predictions"):
        service.of_model(np.zeros(33), of_copies=False)


def test_a_defence_of_ones_own_cannot_change_what_the_model_said(noisy: Run) -> None:
    class InPlace(Defence):
        def answered(self, answers: Answers) -> np.ndarray:
            answers.values[:] = 0
            return answers.values

    service, raw = dataclasses.replace(service_of(noisy), name="lab:InPlace", defence=InPlace()), np.ones(33)
    assert (service.of_model(raw, of_copies=False) == 0).all() and (raw == 1).all()


def test_a_defence_of_ones_own_must_answer_with_numbers(noisy: Run) -> None:
    class Nothing(Defence):
        def answered(self, answers: Answers) -> np.ndarray:
            return answers.values * np.nan

    service = dataclasses.replace(service_of(noisy), name="lab:Nothing", defence=Nothing())
    with pytest.raises(NonFiniteError, match="lab:Nothing gives answers that are NaN or infinite"):
        service.of_references(np.ones((2, 33)), of_copies=False)


def test_a_stated_defence_of_answers_of_classes_is_refused(noisy: Run, volumes: Cohort) -> None:
    with pytest.raises(BadInputError, match="target 'sex' has classes; audit with --access weights"):
        dataclasses.replace(service_of(noisy), cohort=volumes.with_target("sex"))


def test_the_fingerprint_does_not_show_the_secret(noisy: Run) -> None:
    secret = json.loads((noisy.path / "request.json").read_text())["defence_seed"]
    assert str(secret) not in json.dumps(service_of(noisy).fingerprint)


def test_only_the_very_scans_that_were_trained_on_get_moved_answers(volumes: Cohort, tmp_path: Path) -> None:
    config = TrainingConfig(epochs=1, device="cpu", defence="match-errors")
    options: dict[str, Any] = {"options": {"width": 4}, "validation": 0.2, "config": config, "seed": 1}
    run = train(volumes, tmp_path / "run", model="cnn3d", **options)
    service = service_of(run)
    labels = volumes.labels[list(service.scan_ids)].to_numpy()
    whose = volumes.scans["subject_id"][list(service.scan_ids)]
    member = whose.isin(run.roles.subjects(Role.MEMBER)).to_numpy()
    known = TrainedScans.of(run)
    assert len(known.labels) == member.sum() and len(known.others) > 0
    model = run.load()
    np.testing.assert_allclose(
        known.members, labels[member] - predict_scans(model, volumes, service.scan_ids)[member, 0], rtol=1e-5
    )
    raw = labels - np.where(member, known.members.mean(), 3.0)
    found = service.of_model(raw, of_copies=False)
    expected = matched((labels - raw)[member], known.members, known.others)
    np.testing.assert_allclose((labels - found)[member], expected, atol=1e-6)
    np.testing.assert_array_equal(found[~member], raw[~member])
    count = sum(1 for _ in Copies.of(volumes)(as_inputs(volumes, list(service.scan_ids[:1]))))
    moved = np.random.default_rng(0).normal(60, 9, (len(raw), count))
    np.testing.assert_array_equal(service.of_model(moved, of_copies=True), moved)
    both, inside = np.stack([moved, moved]), np.stack([member, ~member])
    np.testing.assert_array_equal(service.of_references(both, of_copies=True, inside=inside), both)
    rows = service.of_references(np.stack([raw, raw]), of_copies=False, inside=inside)
    for row, own in zip(rows, inside, strict=True):
        np.testing.assert_allclose(
            np.sort((labels - row)[own]),
            np.sort(matched((labels - raw)[own], (labels - raw)[own], (labels - raw)[~own])),
        )
        np.testing.assert_array_equal(row[~own], raw[~own])
    with pytest.raises(BadInputError, match="on whom each reference was trained"):
        service.of_references(raw[None], of_copies=False)
