"""A defence is one class: it changes steps, updates and finished models, and is named in the request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import pytest
import torch
from pydantic import Field
from torch import Tensor

from memberscan.cohort import Cohort
from memberscan.configuration import configuration
from memberscan.defences import DEFENCES, defence_from, written_in_full
from memberscan.defences.defence import (
    Defence,
    Step,
    Update,
    generator_of,
    mean_gradient,
)
from memberscan.errors import BadInputError, OutputConflictError
from memberscan.models import AgeRegressor
from memberscan.models.gradients import set_gradients
from memberscan.training import TrainingConfig

from ..conftest import Interrupted
from .lab import Noise, federated, go, gradients_of, step

Positive = Annotated[float, Field(gt=0)]


@configuration
class Clip(Defence):
    """Clips each scan's gradient to a norm."""

    norm: Positive

    def gradients(self, step: Step) -> Tensor:
        losses, gradients = step.sample_gradients()
        norms = torch.stack([rows.norm(dim=1) for rows in gradients.values()]).norm(dim=0)
        factors = (self.norm / norms.clamp_min(1e-12)).clamp_max(1)
        set_gradients(step.model, {path: factors @ rows / len(rows) for path, rows in gradients.items()})
        return losses.mean()


@configuration
class Halve(Defence):
    """Sends half of every update, and sets the finished model's output bias to one."""

    def update(self, update: Update) -> dict[str, Tensor]:
        return {name: (update.before[name] + after) / 2 for name, after in update.after.items()}

    def finished(self, model: AgeRegressor, generator: torch.Generator) -> None:
        with torch.no_grad():
            model.get_submodule("output").bias.fill_(1)  # type: ignore[operator,union-attr]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the test's defences alone, as a new one is: by one entry each."""
    for name in tuple(DEFENCES):
        monkeypatch.delitem(DEFENCES, name)
    for name, kind in {"noise": Noise, "clip": Clip, "halve": Halve}.items():
        monkeypatch.setitem(DEFENCES, name, f"{kind.__module__}:{kind.__name__}")


@pytest.mark.parametrize(
    ("text", "full"),
    [("noise", "noise:scale=0.1"), ("noise:scale=2", "noise:scale=2.0"), ("halve", "halve"), (None, None)],
)
def test_a_configuration_names_a_defence_with_all_its_parameters(text: str | None, full: str | None) -> None:
    assert written_in_full(text) == TrainingConfig(defence=text).defence == full
    assert written_in_full(full) == full


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gloves", "'gloves' is unknown; choose noise or clip or halve"),
        ("noise:scale=-1", "scale is '-1'; it must be above 0"),
        ("noise:scale=much", "scale is 'much'"),
        ("noise:size=1", "size is unknown"),
        ("noise:scale", "of the form name:parameter=value"),
        ("noise:scale=1,scale=2", "of the form name:parameter=value"),
        ("clip", "norm is missing; give it a value"),
    ],
)
def test_a_defence_that_cannot_be_made_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        TrainingConfig(defence=text)


def test_without_any_defence_a_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memberscan.defences.DEFENCES", {})
    with pytest.raises(BadInputError, match="this version has none"):
        TrainingConfig(defence="noise")


def test_noise_is_added_to_the_gradient_of_the_step() -> None:
    plain, noisy = step(), step()
    assert mean_gradient(plain) == defence_from("noise:scale=0.5").gradients(noisy)
    added = gradients_of(noisy.model) - gradients_of(plain.model)
    assert float(added.std()) == pytest.approx(0.5, rel=0.3)


@pytest.mark.parametrize("norm", [1e-3, 0.2, 1e6])
def test_clipping_bounds_each_scans_part_in_a_step(norm: float) -> None:
    clipped = step()
    defence_from(f"clip:norm={norm}").gradients(clipped)
    parts = []
    for place in range(6):
        one = step(inputs=clipped.inputs[place : place + 1], targets=clipped.targets[place : place + 1])
        mean_gradient(one)
        own = gradients_of(one.model)
        parts.append(own * min(1.0, norm / float(own.norm())))
    torch.testing.assert_close(gradients_of(clipped.model), torch.stack(parts).mean(0), rtol=1e-4, atol=1e-7)


def test_without_a_bound_that_binds_clipping_trains_as_no_defence(table: Cohort, tmp_path: Path) -> None:
    plain = go(table, tmp_path / "plain", None).load().state_dict()
    for precision in ("fp32", "bf16"):
        loose = go(table, tmp_path / precision, "clip:norm=1e9", precision=precision).load().state_dict()
        for name, value in plain.items():
            torch.testing.assert_close(loose[name], value, rtol=1e-2, atol=2e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_steps_are_noisy_and_an_interrupted_training_ends_in_the_same_weights(
    table: Cohort, tmp_path: Path, interrupted_in_epoch: Interrupted, precision: str
) -> None:
    plain = go(table, tmp_path / "plain", None, precision=precision)
    whole = go(table, tmp_path / "whole", "noise", precision=precision)
    assert whole.weights_fingerprint != plain.weights_fingerprint
    assert whole.training["defence"] == "noise:scale=0.1" and plain.training["guarantee"] is None
    assert whole.training["guarantee"] == {
        "statement": "Noise of 0.1 in each of 9 steps, on 20 people.",
        "enforced_by": "whoever trains",
        "epsilon": None,
        "delta": None,
    }
    with interrupted_in_epoch(2):
        go(table, tmp_path / "part", "noise", precision=precision)
    resumed = go(table, tmp_path / "part", "noise", precision=precision)
    assert resumed.weights_fingerprint == whole.weights_fingerprint


def test_resuming_with_another_defence_is_refused(table: Cohort, tmp_path: Path) -> None:
    go(table, tmp_path / "run", "noise:scale=0.2")
    for other in (None, "noise", "clip:norm=1"):
        with pytest.raises(OutputConflictError, match="defence"):
            go(table, tmp_path / "run", other)


def test_without_a_seed_the_noise_is_drawn_in_secret_and_kept_for_the_owner(
    table: Cohort, tmp_path: Path
) -> None:
    runs = [go(table, tmp_path / name, "noise", seed=None) for name in ("a", "b")]
    kept = [json.loads((run.path / "request.json").read_text())["defence_seed"] for run in runs]
    assert kept[0] != kept[1]
    for run, seed in zip(runs, kept, strict=True):
        assert str(seed) not in (run.path / "run.json").read_text()
        assert (run.path / "request.json").stat().st_mode & 0o077 == 0
        assert go(table, run.path, "noise", seed=None).weights_fingerprint == run.weights_fingerprint


def test_a_finished_model_is_changed_before_it_is_written(table: Cohort, tmp_path: Path) -> None:
    weights = go(table, tmp_path / "run", "halve").load().state_dict()
    assert weights["output.bias"].tolist() == [1.0]


def test_every_learner_changes_its_update_before_it_leaves(table: Cohort, tmp_path: Path) -> None:
    plain = federated(table, tmp_path / "plain", None).transcript
    halved = federated(table, tmp_path / "halved", "halve")
    start = plain.global_model(0)
    assert all(torch.equal(value, halved.transcript.global_model(0)[name]) for name, value in start.items())
    for learner in plain.learners:
        whole, half = (t.learner_model(1, learner) for t in (plain, halved.transcript))
        for name, value in start.items():
            torch.testing.assert_close(half[name], (value + whole[name]) / 2)
    assert halved.load().state_dict()["output.bias"].tolist() == [1.0]
    assert halved.training["guarantee"] == dict.fromkeys(plain.learners)


def test_learners_draw_their_own_noise_and_a_federation_resumes(table: Cohort, tmp_path: Path) -> None:
    whole = federated(table, tmp_path / "run", "noise")
    digests = {path: path.read_bytes() for path in (whole.path / "rounds").rglob("*.safetensors")}
    assert set(whole.training["guarantee"]) == set(whole.transcript.learners)
    (whole.path / "run.json").unlink()
    for path in (whole.path / "rounds" / "0002").iterdir():
        path.unlink()
    (whole.path / "rounds" / "0002").rmdir()
    federated(table, whole.path, "noise")
    assert digests == {path: path.read_bytes() for path in digests}
    with pytest.raises(OutputConflictError, match="training"):
        federated(table, whole.path, None)


def test_several_defences_are_applied_in_their_order(table: Cohort, tmp_path: Path) -> None:
    text = "noise+halve"
    assert written_in_full(text) == "noise:scale=0.1+halve"
    run = go(table, tmp_path / "run", text)
    assert run.training["defence"] == "noise:scale=0.1+halve"
    assert run.load().state_dict()["output.bias"].tolist() == [1.0]
    assert run.training["guarantee"]["statement"].startswith("Noise of 0.1")
    before, after = {"w": torch.zeros(1)}, {"w": torch.ones(1)}
    update = Update(before, after, 1, 1, 1, generator_of(0))
    assert defence_from("halve+halve").update(update)["w"] == 0.25 and after["w"] == 1


@pytest.mark.parametrize("text", ["noise+clip:norm=1", "noise:scale=1e+2+clip:norm=1", "noise+noise"])
def test_two_defences_that_decide_the_same_are_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="both decide the gradients"):
        defence_from(text)


@pytest.mark.parametrize("text", ["noise+", "+noise", "noise+gloves"])
def test_every_part_must_be_a_defence(text: str) -> None:
    with pytest.raises(BadInputError, match="unknown"):
        defence_from(text)
