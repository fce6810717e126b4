"""unique-gradient removes what a fit to the other scans' gradients leaves over, layer by layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor, nn

from memberscan.cohort import Cohort
from memberscan.defences import defence_from
from memberscan.defences.defence import Step, TrainingSize, mean_gradient
from memberscan.defences.unique_gradient import unique_parts
from memberscan.errors import BadInputError, ModelError
from memberscan.models import MLP
from memberscan.models.gradients import parameter_layers
from memberscan.models.own_network import OwnNetwork

from ..conftest import Interrupted
from .lab import assert_resumes, go, gradients_of, step


def left_over(rows: np.ndarray) -> np.ndarray:
    """Return each row's residual of a fit by the other rows."""
    found = np.zeros_like(rows)
    for place, row in enumerate(rows):
        others = np.delete(rows, place, axis=0).T
        found[place] = row - others @ np.linalg.lstsq(others, row, rcond=1e-5)[0]
    return found


# Here the others explain the fourth row with weights of over a thousand.
@example(count=5, columns=4, spread=0, seed=5)
@given(
    count=st.integers(1, 9),
    columns=st.integers(1, 12),
    spread=st.integers(0, 6),
    seed=st.integers(0, 1000),
)
def test_the_unique_part_is_what_a_fit_by_the_others_leaves_over(
    count: int, columns: int, spread: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, columns)) * 10.0 ** rng.uniform(-spread, 0, (count, 1))
    found = (unique_parts(torch.from_numpy(rows)) @ torch.from_numpy(rows)).numpy()
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(
        found / lengths, left_over(rows / lengths) if count > 1 else rows / lengths, atol=1e-6
    )


def test_rows_that_others_explain_have_no_unique_part() -> None:
    own, rest = torch.eye(5)[0], torch.eye(5)[1:]
    rows = torch.stack([own, rest[0], rest[0], rest[1], 2 * rest[1] - 3 * rest[0], torch.zeros(5)])
    expected = torch.zeros(6, 5)
    expected[0] = own
    torch.testing.assert_close((unique_parts(rows) @ rows.double()).float(), expected)


def test_a_copy_up_to_rounding_is_a_copy() -> None:
    rows = torch.randn(4, 1000, generator=torch.Generator().manual_seed(0))
    rows[3] = rows[2] * (1 + 1e-7 * torch.randn(1000, generator=torch.Generator().manual_seed(1)))
    assert unique_parts(rows)[2:].abs().max() == 0
    assert unique_parts(rows)[:2].diagonal().min() > 0.5


def test_each_unique_part_is_orthogonal_to_all_other_gradients() -> None:
    rows = torch.randn(5, 200_000, generator=torch.Generator().manual_seed(0))
    products = unique_parts(rows) @ rows.double() @ rows.double().T
    unique = products.diagonal()
    torch.testing.assert_close(products, torch.diag(unique), atol=1e-6 * float(unique.max()), rtol=0)


def test_a_step_still_depends_on_a_unique_part_through_the_other_projections() -> None:
    rows = torch.randn(5, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unique = unique_parts(rows) @ rows
    left = unique @ (rows - unique).mean(dim=0)
    products = unique @ unique.T
    torch.testing.assert_close(left, -(products.sum(dim=1) - products.diagonal()) / 5)
    assert left.abs().min() > 1e-3


def own_gradients(whole: Step) -> list[dict[str, Tensor]]:
    """Return each scan's gradient by layer, by one backward pass each."""
    found = []
    for place in range(len(whole.targets)):
        one = step(inputs=whole.inputs[place : place + 1], targets=whole.targets[place : place + 1])
        mean_gradient(one)
        layers = {path: one.model.get_submodule(path) for path in parameter_layers(one.model)}
        found.append(
            {
                path: torch.cat([p.grad.flatten() for p in layer.parameters()])  # type: ignore[union-attr]
                for path, layer in layers.items()
            }
        )
    return found


@pytest.mark.parametrize("keep", [0, 0.25, 1])
def test_a_step_takes_the_mean_of_what_is_left_in_each_layer(keep: float) -> None:
    defended = step()
    loss = defence_from(f"unique-gradient:keep={keep}").gradients(defended)
    plain = step()
    assert loss == mean_gradient(plain)
    own, parts = own_gradients(plain), []
    for path in parameter_layers(plain.model):
        rows = torch.stack([each[path] for each in own]).double().numpy()
        parts.append(torch.from_numpy((rows - (1 - keep) * left_over(rows)).mean(axis=0)))
    torch.testing.assert_close(gradients_of(defended.model), torch.cat(parts).float(), rtol=1e-3, atol=1e-6)
    if keep == 1:
        torch.testing.assert_close(gradients_of(defended.model), gradients_of(plain.model))


def test_a_last_batch_of_one_scan_changes_nothing_and_batches_of_one_scan_are_refused(
    table: Cohort, tmp_path: Path
) -> None:
    whole = step()
    last = step(inputs=whole.inputs[:1], targets=whole.targets[:1])
    defence_from("unique-gradient").gradients(last)
    assert not gradients_of(last.model).any()
    for size in (TrainingSize(6, 6, 1, 1), TrainingSize(1, 1, 8, 1)):
        with pytest.raises(BadInputError, match="--batch-size of at least 2"):
            defence_from("unique-gradient").gradients(step(size=size))
    with pytest.raises(BadInputError, match="--batch-size of at least 2"):
        go(table, tmp_path / "run", "unique-gradient", batch_size=1)


def test_frozen_layers_stay_frozen() -> None:
    frozen = step()
    frozen.model.get_submodule("output").requires_grad_(False)
    defence_from("unique-gradient").gradients(frozen)
    assert [name for name, p in frozen.model.named_parameters() if p.grad is None] == [
        "output.weight",
        "output.bias",
    ]


def test_gradients_that_are_not_finite_are_a_typed_error() -> None:
    with pytest.raises(ModelError, match="not finite"):
        unique_parts(torch.tensor([[1.0, float("nan")], [0.0, 1.0]]))


def test_networks_whose_scans_have_no_gradient_of_their_own_are_refused(table: Cohort) -> None:
    shared = nn.Linear(7, 7)
    mixing = nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))
    tied = nn.Sequential(shared, nn.ReLU(), Transposed(shared), nn.Linear(7, 1))
    for network, words in ((mixing, r"network.1 \(BatchNorm1d\)"), (tied, "share parameters")):
        with pytest.raises(ModelError, match=words):
            defence_from("unique-gradient").require(OwnNetwork(network, "own"), table)
    model = MLP(table.shape).train()
    defence_from("unique-gradient").require(model, table)
    assert model.training


class Transposed(nn.Module):
    """Multiplies by the transpose of another layer's weight."""

    def __init__(self, other: nn.Linear) -> None:
        super().__init__()
        self.weight = other.weight

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ self.weight


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_interrupted_training_ends_in_the_same_weights(
    table: Cohort, tmp_path: Path, interrupted_in_epoch: Interrupted, precision: str
) -> None:
    assert_resumes(table, tmp_path, interrupted_in_epoch, "unique-gradient", precision=precision)


@pytest.mark.parametrize(
    "text", ["unique-gradient:keep=-0.1", "unique-gradient:keep=1.1", "unique-gradient:keep=nan"]
)
def test_a_share_outside_of_0_to_1_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="keep is"):
        defence_from(text)
