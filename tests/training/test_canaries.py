"""Drawing canaries, and trainings with them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, OutputConflictError, TooFewSubjectsError
from memberscan.received import load_json
from memberscan.runs import Role, Roles, Run
from memberscan.runs.canaries import Canaries
from memberscan.training import TrainingConfig, train
from memberscan.training.canaries import SHIFT, draw_canaries

from ..conftest import Interrupted

CONFIG = TrainingConfig(epochs=3, device="cpu", seed=5)


def half(cohort: Cohort) -> Roles:
    return Roles({s: Role.MEMBER if n % 2 else Role.NONMEMBER for n, s in enumerate(cohort.subjects)})


def go(cohort: Cohort, path: Path, **changes: Any) -> Run:
    defaults: dict[str, Any] = {"model": "mlp", "options": {"width": 5}, "members": 0.4, "config": CONFIG}
    return train(cohort, path, **(defaults | {"seed": 4, "canaries": 20} | changes))


@settings(max_examples=15)
@given(count=st.integers(10, 60), seed=st.integers(0, 2**32))
def test_canaries_are_made_of_people_who_are_then_on_no_side(sixty: Cohort, count: int, seed: int) -> None:
    roles = half(sixty)
    made, left = draw_canaries(sixty, roles, count, seed, CONFIG)
    person = sixty.scans["subject_id"]
    used = {person[scan] for each in made.canaries for scan in (*each.sources, *each.mixed_with)}
    assert len(made) == count and len({each.name for each in made.canaries}) == count
    assert set(roles.of) - set(left.of) == used
    assert used <= set(roles.subjects(Role.NONMEMBER)) and len(used) == min(count, 15)
    assert left.subjects(Role.MEMBER) == roles.subjects(Role.MEMBER)
    # Copied as they are while there are people, then mixed of two.
    assert [each.sources == each.mixed_with for each in made.canaries] == [n < 15 for n in range(count)]
    spread = sixty.labels[person.isin(roles.subjects(Role.NONMEMBER))].std()
    moved = np.concatenate([np.subtract(each.labels, each.true) for each in made.canaries])
    np.testing.assert_allclose(np.abs(moved), SHIFT * spread)
    assert all(len(set(np.sign(np.subtract(each.labels, each.true)))) == 1 for each in made.canaries)
    assert draw_canaries(sixty, roles, count, seed, CONFIG)[0] == made
    # No canary changes with the members, so that a guarantee for one member stays true.
    fewer = Roles({s: role for s, role in roles.of.items() if s not in roles.subjects(Role.MEMBER)[:5]})
    assert draw_canaries(sixty, fewer, count, seed, CONFIG)[0] == made


def test_coins_are_fair_and_independent_of_what_canaries_are(sixty: Cohort) -> None:
    made = [draw_canaries(sixty, half(sixty), 60, seed, CONFIG)[0] for seed in range(40)]
    inside = np.array([each.inside for each in made])
    up = np.array([[c.labels[0] > c.true[0] for c in each.canaries] for each in made])
    # 2400 coins: a share of 0.5 has a standard error of 0.0102.
    assert abs(inside.mean() - 0.5) < 0.04 and abs(up.mean() - 0.5) < 0.04
    assert abs((inside == up).mean() - 0.5) < 0.04
    assert inside.sum(axis=1).std() > 2, "the number of canaries that are in is not fixed"


def test_of_classes_another_one_is_given(sixty: Cohort, table: Cohort) -> None:
    classes = table.with_target("sex")
    made, _ = draw_canaries(classes, half(classes), 20, 3, CONFIG)
    assert all(each.labels[0] == 1 - each.true[0] for each in made.canaries)


def test_a_run_says_that_it_has_canaries_but_not_which_are_in(sixty: Cohort, tmp_path: Path) -> None:
    run = go(sixty, tmp_path / "run", config=TrainingConfig(epochs=1, device="cpu", defence="dp-sgd:noise=2"))
    stated = load_json(run.path / "run.json")["training"]["canaries"]
    assert (stated["count"], stated["gaussian_noise"]) == (20, True)
    kept = run.canaries
    assert kept is not None and len(kept) == 20
    assert kept == Canaries.read(run.path / "canaries.json")
    assert (run.path / "canaries.json").stat().st_mode & 0o077 == 0
    # A canary is a person of its own, beside the 24 members; 18 of the 36 others are left.
    assert len(run.roles.subjects(Role.MEMBER)) == 24 and len(run.roles.subjects(Role.NONMEMBER)) == 18
    people = 24 + int(kept.inside.sum())
    assert run.guarantee is not None
    rate = float(re.findall(r"probability (\d\.\d+)", run.guarantee.statement)[0])
    assert rate == pytest.approx(8 / people, rel=1e-2)


def test_canaries_change_the_model_and_nothing_else_of_a_run_without(sixty: Cohort, tmp_path: Path) -> None:
    with_them, without = go(sixty, tmp_path / "with"), go(sixty, tmp_path / "without", canaries=0)
    assert with_them.weights_fingerprint != without.weights_fingerprint
    assert with_them.roles.subjects(Role.MEMBER) == without.roles.subjects(Role.MEMBER)
    assert without.canaries is None and not (without.path / "canaries.json").exists()
    assert "canaries" not in load_json(without.path / "run.json")["training"]
    assert not {"canaries", "canary_seed"} & set(load_json(without.path / "request.json"))


def test_an_interrupted_training_ends_in_the_same_bytes(
    sixty: Cohort, tmp_path: Path, interrupted_in_epoch: Interrupted
) -> None:
    whole = go(sixty, tmp_path / "whole")
    with interrupted_in_epoch(1):
        go(sixty, tmp_path / "part")
    part = go(sixty, tmp_path / "part")
    for name in ("canaries.json", "weights.safetensors", "roles.tsv", "history.jsonl", "request.json"):
        assert (part.path / name).read_bytes() == (whole.path / name).read_bytes(), name


def test_without_a_seed_the_coins_are_secret_and_found_again(
    sixty: Cohort, tmp_path: Path, interrupted_in_epoch: Interrupted
) -> None:
    one = go(sixty, tmp_path / "one", seed=None)
    with interrupted_in_epoch(1):
        go(sixty, tmp_path / "two", seed=None)
    before = (tmp_path / "two" / "canaries.json").read_bytes()
    two = go(sixty, tmp_path / "two", seed=None)
    assert (two.path / "canaries.json").read_bytes() == before
    assert one.canaries != two.canaries
    seed = load_json(one.path / "request.json")["canary_seed"]
    assert seed > 2**40 and str(seed) not in (one.path / "run.json").read_text()


@pytest.mark.parametrize("count", [-1, 9, 2001])
def test_numbers_of_canaries_that_make_no_sense_are_refused(
    sixty: Cohort, tmp_path: Path, count: int
) -> None:
    with pytest.raises(BadInputError, match="canaries"):
        go(sixty, tmp_path / "run", canaries=count)
    assert not (tmp_path / "run").exists()


def test_too_few_people_and_another_number_are_refused(sixty: Cohort, table: Cohort, tmp_path: Path) -> None:
    with pytest.raises(TooFewSubjectsError):
        go(table, tmp_path / "few", members=0.6)
    go(sixty, tmp_path / "run")
    with pytest.raises(OutputConflictError, match="canaries"):
        go(sixty, tmp_path / "run", canaries=30)
