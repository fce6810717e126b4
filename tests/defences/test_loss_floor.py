"""loss-floor turns the gradient around in steps whose loss is below the floor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from memberscan.cohort import Cohort
from memberscan.defences import defence_from
from memberscan.defences.defence import mean_gradient
from memberscan.errors import BadInputError, ModelError
from memberscan.models import MLP
from memberscan.training import TrainingConfig, train

from ..conftest import Interrupted
from .lab import assert_resumes, go, gradients_of, step


@pytest.mark.parametrize("head", ["squared-error", "quantiles", "bins", "classes"])
@pytest.mark.parametrize("share", [0.99, 1.01])
def test_the_gradient_is_that_of_the_distance_to_the_floor(head: str, share: float) -> None:
    torch.manual_seed(3)
    model = MLP((4,), width=5, head=head)
    model.age_spread.fill_(7)
    plain = step(model=model, targets=torch.tensor([0.0, 1, 1, 0, 1, 0]))
    loss = mean_gradient(plain)
    expected = gradients_of(model).clone()
    model.zero_grad(set_to_none=True)
    level = {"squared-error": 7 * float(loss) ** 0.5, "quantiles": 7 * float(loss)}.get(head, float(loss))
    assert defence_from(f"loss-floor:floor={share * level}").gradients(plain) == loss
    torch.testing.assert_close(gradients_of(model), expected if share < 1 else -expected)


def last_error(cohort: Cohort, path: Path, defence: str | None) -> float:
    """Return the root mean squared training residual, in the unit, of the last epoch of a long training."""
    config = TrainingConfig(epochs=150, device="cpu", learning_rate=0.003, weight_decay=0, defence=defence)
    run = train(cohort, path, model="mlp", options={"width": 16}, config=config, seed=0)
    rows = [json.loads(line) for line in (run.path / "history.jsonl").read_text().splitlines()]
    return float(sum(row["train"] for row in rows[-20:]) / 20) ** 0.5


def test_the_training_error_stays_near_the_floor(table: Cohort, tmp_path: Path) -> None:
    assert last_error(table, tmp_path / "plain", None) < 1
    assert last_error(table, tmp_path / "floor", "loss-floor:floor=4") == pytest.approx(4, abs=1)


def test_an_interrupted_training_ends_in_the_same_weights(
    table: Cohort, tmp_path: Path, interrupted_in_epoch: Interrupted
) -> None:
    assert_resumes(table, tmp_path / "years", interrupted_in_epoch, "loss-floor:floor=20")
    cohort = table.with_target("sex")
    assert_resumes(cohort, tmp_path / "classes", interrupted_in_epoch, "loss-floor:floor=0.8")


def test_a_head_whose_loss_has_no_lower_bound_is_refused(table: Cohort) -> None:
    with pytest.raises(ModelError, match="'gaussian' has no lower bound"):
        defence_from("loss-floor:floor=1").require(MLP((7,), head="gaussian"), table)


@pytest.mark.parametrize("text", ["loss-floor", "loss-floor:floor=0", "loss-floor:floor=inf"])
def test_a_floor_above_0_is_needed(text: str) -> None:
    with pytest.raises(BadInputError, match="floor"):
        defence_from(text)


def test_a_floor_does_not_touch_parameters_without_gradient(table: Cohort, tmp_path: Path) -> None:
    network = step()
    network.model.get_submodule("output").requires_grad_(False)
    defence_from("loss-floor:floor=1e9").gradients(network)
    assert network.model.get_parameter("output.weight").grad is None
    assert go(table, tmp_path / "run", "loss-floor:floor=1e-9").load()
