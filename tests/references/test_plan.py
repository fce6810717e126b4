"""Who is in each reference: pairs who are alike, twins, sizes, balance, the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.errors import ReferencesError
from memberscan.references.plan import ALONE, PLAN, Plan, matched_pairs

from .conftest import some_people


@given(st.integers(2, 60), st.integers(0, 9))
def test_nearly_everybody_has_a_partner(count: int, seed: int) -> None:
    pair = matched_pairs(some_people(count, seed))
    numbers, sizes = np.unique(pair[pair != ALONE], return_counts=True)
    assert (sizes == 2).all() and len(numbers) == count // 2
    assert (pair == ALONE).sum() == count % 2


def test_partners_agree_in_sex_and_site_and_are_neighbours_in_age() -> None:
    people = some_people(200)
    people["pair"] = matched_pairs(people)
    alike = people.groupby("pair").agg({"sex": "nunique", "site": "nunique", "label": np.ptp})
    # At most one person is left over in each of the four cells.
    assert (alike["sex"] > 1).sum() <= 1 and (alike["site"] > 1).sum() <= 2
    strict = alike[(alike["sex"] == 1) & (alike["site"] == 1)]
    assert strict["label"].mean() < 2


def test_people_are_matched_on_age_where_nothing_else_is_known() -> None:
    people = pd.DataFrame({"label": [70.0, 20.0, 21.0, 69.0, 45.0]}, index=list("abcde"))
    pair = matched_pairs(people)
    assert (pair[0] == pair[3] and pair[1] == pair[2]) or pair[4] != ALONE
    assert (pair == ALONE).sum() == 1


@given(st.integers(4, 40), st.integers(1, 4), st.data())
def test_every_reference_has_the_size_of_the_target(count: int, twins: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, count - 1))
    plan = Plan.draw(some_people(count), count=2 * twins, size=size, seed=3)
    assert (plan.inside.sum(axis=1) == size).all()
    assert plan.members(0) == [s for s, kept in zip(plan.subjects, plan.inside[0], strict=True) if kept]


def test_twins_are_trained_on_opposite_halves() -> None:
    plan = Plan.draw(some_people(40), count=6, size=20, seed=1)
    assert (plan.inside[::2] == ~plan.inside[1::2]).all()
    assert len({row.tobytes() for row in plan.inside}) == 6
    # So everybody is in as many references as out of them.
    assert (plan.inside.sum(axis=0) == 3).all()


def test_one_person_of_each_pair_is_in() -> None:
    plan = Plan.draw(some_people(40), count=4, size=20, seed=1)
    for row in plan.inside:
        assert (np.bincount(plan.pair, row) == 1).all()


def test_with_more_than_half_in_everybody_has_a_turn_out() -> None:
    plan = Plan.draw(some_people(40), count=16, size=30, seed=1)
    assert (plan.inside.sum(axis=1) == 30).all()
    out = (~plan.inside).sum(axis=0)
    assert out.min() >= 1 and out.max() <= 8


def test_more_references_begin_with_the_same_ones() -> None:
    people = some_people(30)
    few, many = (Plan.draw(people, count=n, size=15, seed=1) for n in (4, 10))
    assert (many.inside[:4] == few.inside).all()
    assert many.first(4).fingerprint == few.fingerprint
    other = Plan.draw(people, count=4, size=15, seed=2)
    assert other.fingerprint != few.fingerprint


def test_the_order_of_people_does_not_matter() -> None:
    people = some_people(30)
    shuffled = people.sample(frac=1, random_state=0)
    one, two = (Plan.draw(p, count=4, size=15, seed=1) for p in (people, shuffled))
    assert one.fingerprint == two.fingerprint


@pytest.mark.parametrize("count", [0, 1, 3, -2, 5000])
def test_refuses_a_count_that_makes_no_twins(count: int) -> None:
    with pytest.raises(ReferencesError, match="even number"):
        Plan.draw(some_people(), count=count, size=20, seed=1)


@pytest.mark.parametrize("size", [0, 40, 41])
def test_refuses_a_size_that_leaves_nobody_in_or_out(size: int) -> None:
    with pytest.raises(ReferencesError, match="some must be in"):
        Plan.draw(some_people(), count=2, size=size, seed=1)


def test_the_file_gives_the_same_plan(tmp_path: Path, plan: Plan) -> None:
    plan.write(tmp_path)
    assert Plan.read(tmp_path).fingerprint == plan.fingerprint
    assert (tmp_path / PLAN).stat().st_mode & 0o077 == 0


def test_refuses_a_file_that_is_no_plan(tmp_path: Path, plan: Plan) -> None:
    with pytest.raises(ReferencesError, match="references plan"):
        Plan.read(tmp_path)
    plan.write(tmp_path)
    text = (tmp_path / PLAN).read_text()
    (tmp_path / PLAN).write_text(text.replace("\t1\t", "\t2\t", 1))
    with pytest.raises(ReferencesError, match="other values"):
        Plan.read(tmp_path)
    (tmp_path / PLAN).write_text(text.replace("reference-002", "reference-009"))
    with pytest.raises(ReferencesError, match="not a plan"):
        Plan.read(tmp_path)
