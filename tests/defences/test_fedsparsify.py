"""FedSparsify: schedule, threshold and vote beside naive twins, and what it refuses."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memberscan.cohort import Cohort
from memberscan.defences import defence_from, written_in_full
from memberscan.defences.defence import Merge, Step, TrainingSize, Update, generator_of
from memberscan.defences.fedsparsify import FedSparsify, pruned, share_of_zeros, voted
from memberscan.errors import BadInputError
from memberscan.federation.settings import Settings
from memberscan.models import MLP
from memberscan.training import TrainingConfig, train

PLACES = ("learner", "server")
VALUES = st.lists(st.integers(-6, 6), min_size=2, max_size=30)


@given(st.integers(2, 40), st.integers(1, 39), st.integers(1, 9), st.floats(0.01, 0.99))
def test_the_schedule_is_the_formula(rounds: int, start: int, every: int, final: float) -> None:
    defence = FedSparsify(sparsity=final, start=start, every=every)
    for number in range(start, rounds):
        pruned_at = every * math.floor(number / every)
        formula = final + (0 - final) * (1 - (pruned_at - start) / (rounds - start)) ** 3
        assert defence.share(number, rounds) == pytest.approx(max(formula, 0), abs=1e-12)
    shares = [defence.share(number, rounds) for number in range(rounds + 1)]
    assert shares == sorted(shares) and shares[-1] == final
    assert not any(shares[: min(start, rounds)])


def test_a_schedule_of_forty_rounds_prunes_most_at_its_beginning() -> None:
    shares = [FedSparsify().share(number, 40) for number in (0, 1, 2, 14, 39, 40)]
    one_third = 0.95 * (1 - (2 / 3) ** 3)
    expected = [0, 0, 0.95 * (1 - (38 / 39) ** 3), one_third, 0.95 * (1 - (1 / 39) ** 3), 0.95]
    assert shares == pytest.approx(expected)


@pytest.mark.parametrize("rounds", [1, 2])
def test_without_rounds_to_increase_in_the_last_one_prunes_all_at_once(rounds: int) -> None:
    assert FedSparsify(start=2).share(rounds, rounds) == 0.95


def naively_pruned(values: list[float], share: float) -> list[float]:
    threshold = sorted(abs(value) for value in values)[int(share * len(values))]
    return [value if abs(value) >= threshold else 0 for value in values]


@given(VALUES, st.floats(0, 0.99), st.integers(1, 9))
def test_one_threshold_prunes_all_tensors(values: list[int], share: float, first: int) -> None:
    flat = torch.tensor(values, dtype=torch.float32)
    parts = {"a": flat[:first], "b": flat[first:].reshape(1, -1, 1)}
    found = pruned(parts, share)
    assert all(found[name].shape == part.shape for name, part in parts.items())
    assert torch.cat([part.flatten() for part in found.values()]).tolist() == naively_pruned(values, share)


def test_different_weights_are_pruned_to_the_very_share() -> None:
    weights = {"a": torch.randn(30, 30, generator=generator_of(0)), "b": torch.full((100,), 9.0)}
    found = pruned(weights, 0.4)
    assert share_of_zeros(list(found.values())) == 0.4 and bool(found["b"].all())


def test_weights_that_are_not_numbers_are_not_hidden() -> None:
    found = pruned({"a": torch.tensor([math.nan, 1.0, 2.0, math.inf])}, 0.5)["a"]
    assert found.isnan().tolist() == [True, False, False, False] and found[1:].tolist() == [0, 0, math.inf]


@given(st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_a_weight_needs_the_votes_of_half_of_the_learners(learners: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    models = rng.integers(1, 5, (learners, 2, 6)) * rng.integers(0, 2, (learners, 2, 6))
    average = models.mean(0)
    found = voted([{"w": torch.tensor(model)} for model in models], {"w": torch.tensor(average)})["w"]
    for row in range(2):
        for column in range(6):
            votes = sum(1 for model in models if model[row, column] != 0)
            survives = votes >= math.floor(learners / 2)
            assert found[row, column] == (average[row, column] if survives else 0)


def test_each_place_leaves_the_other_alone() -> None:
    one, other = {"w": torch.tensor([4.0, 0, 0, 2, 1])}, {"w": torch.tensor([4.0, 0, 3, 2, 1])}
    average = {"w": torch.tensor([4.0, 0, 1, 2, 1])}
    update = Update(average, other, 9, 2, 2, generator_of(0))
    merge = Merge([one, other, one, one], average, average, 2, 2, None)
    learner, server = (defence_from(f"fedsparsify:sparsity=0.6,where={where}") for where in PLACES)
    assert learner.update(update)["w"].tolist() == [4, 0, 3, 0, 0]
    assert server.update(update)["w"].tolist() == other["w"].tolist()
    assert learner.merged(merge)["w"].tolist() == [4, 0, 0, 2, 1]
    assert server.merged(merge)["w"].tolist() == [4, 0, 0, 2, 0]
    unpruned = Merge(merge.models, average, average, 1, 9, None)
    assert learner.merged(unpruned)["w"].tolist() == average["w"].tolist()


def test_it_can_be_joined_with_another_defence() -> None:
    both = defence_from("fedsparsify:sparsity=0.4+fedsparsify:sparsity=0.8,where=server")
    with pytest.raises(BadInputError, match="use 'prune'"):
        both.require_training(None)
    with pytest.raises(BadInputError, match="ciphertexts"):
        both.require_training(2, encrypted=True)
    assert not both.extendable()
    models = [{"w": torch.tensor([4.0, 0, 3, 2, 1])}, *[{"w": torch.tensor([4.0, 0, 0, 2, 1])}] * 3]
    average = {"w": torch.tensor([4.0, 0, 9, 2, 1])}
    merge = Merge(models, average, average, 2, 2, None)
    assert both.merged(merge)["w"].tolist() == [4, 0, 0, 0, 0]
    model = MLP((4,), width=5)
    with torch.no_grad():
        model.output.weight[0, :3] = 0
    step = Step(
        model, torch.randn(6, 4), torch.randn(6), torch.arange(6), TrainingSize(6, 6, 6, 4, rounds=2), 2,
        torch.autocast("cpu", enabled=False), generator_of(0),
    )  # fmt: skip
    both.gradients(step)
    before = model.output.weight.grad.clone()
    both.restrict(replace(step, epoch=1))
    assert torch.equal(model.output.weight.grad, before) and step.round == 2
    both.restrict(step)
    assert torch.equal(model.output.weight.grad, before * (model.output.weight != 0))


def test_of_one_place_it_says_what_to_use_instead(sixty: Cohort, tmp_path: Path) -> None:
    config = TrainingConfig(epochs=1, device="cpu", defence="fedsparsify")
    with pytest.raises(BadInputError, match=r"rounds of a federation.*use 'prune'"):
        train(sixty, tmp_path / "run", model="mlp", config=config)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("where", PLACES)
def test_an_encrypted_federation_is_refused_everywhere(where: str) -> None:
    training = TrainingConfig(defence=f"fedsparsify:where={where}")
    with pytest.raises(BadInputError, match="sees ciphertexts only; use secure 'none'"):
        Settings("mlp", training=training, secure="ckks")
    text = Settings("mlp", training=training).to_json().replace('"secure": "none"', '"secure": "ckks"')
    with pytest.raises(BadInputError, match="sees ciphertexts only"):
        Settings.from_json(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fedsparsify:sparsity=1", "sparsity is '1'"),
        ("fedsparsify:sparsity=0", "sparsity is '0'; it must be above 0"),
        ("fedsparsify:sparsity=nan", "sparsity is 'nan'"),
        ("fedsparsify:start=0", "start is '0'; at least 1 is needed"),
        ("fedsparsify:every=0.5", "every is '0.5'"),
        ("fedsparsify:where=site", "where is 'site'; choose learner or server"),
    ],
)
def test_an_option_out_of_range_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        written_in_full(text)


def test_a_run_records_all_options() -> None:
    full = "fedsparsify:sparsity=0.95,start=1,every=1,where=learner"
    assert written_in_full("fedsparsify") == full == written_in_full(full)
