"""Groups of few people are joined or hidden, and what hides one is hidden too."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from memberscan import audit
from memberscan.auditing import disclosure
from memberscan.auditing.disclosure import age_bands, hidden
from memberscan.auditing.federation import _learners
from memberscan.errors import BadInputError, TooFewSubjectsError
from memberscan.evidence.rounding import step_below

from .conftest import MakePredictions, predictions_table

sides = st.tuples(st.integers(0, 40), st.integers(0, 40))


@pytest.mark.parametrize(
    ("cells", "rest", "expected"),
    [
        ([(20, 30), (15, 12)], (0, 0), [False, False]),
        ([(20, 30), (3, 12), (15, 15)], (0, 0), [False, True, True]),
        ([(20, 30), (1, 0)], (0, 0), [True, True]),
        ([(20, 30), (5, 6), (5, 4)], (0, 0), [False, True, True]),
        ([(20, 30), (22, 25)], (2, 2), [True, False]),
        ([], (1, 1), []),
    ],
)
def test_a_small_cell_is_hidden_and_cannot_be_subtracted(cells, rest, expected):
    assert hidden(cells, 10, rest=rest) == expected


@given(st.lists(sides, max_size=6), sides, st.integers(5, 15))
def test_what_the_total_leaves_is_nobody_or_enough(cells, rest, smallest):
    hide = hidden(cells, smallest, rest=rest)
    assert all(min(cell) >= smallest for cell, h in zip(cells, hide, strict=True) if not h)
    left = np.array(rest) + sum(
        (np.array(c) for c, h in zip(cells, hide, strict=True) if h), np.zeros(2, int)
    )
    assert not left.any() or left.min() >= smallest or all(hide)


ages = hnp.arrays(float, st.integers(40, 300), elements=st.floats(18, 95).map(lambda x: round(x, 1)))


@settings(max_examples=60, deadline=None)
@given(ages, st.integers(0, 10**6), st.integers(5, 20))
def test_bands_hold_everybody_once_and_enough_of_both_sides(age, seed, smallest):
    member = np.random.default_rng(seed).random(len(age)) < 0.5
    bands = age_bands(age, member, people=25, most=8, smallest=smallest)
    assert (np.sum([band.inside for band in bands], axis=0) == 1).all()
    assert bands[0].low is None and bands[-1].high is None
    if len(bands) > 1:
        for band in bands:
            assert min((band.inside & member).sum(), (band.inside & ~member).sum()) >= smallest
            assert {band.low, band.high} <= {None, *np.arange(0.0, 120)}


@settings(max_examples=60, deadline=None)
@given(ages, st.integers(0, 10**6), st.sampled_from([0.1, 0.3, 0.5, 0.8]), st.integers(5, 12))
def test_two_sets_of_bands_leave_no_few_people_between_their_cuts(age, seed, share, smallest):
    member = np.random.default_rng(seed).random(len(age)) < share
    one = age_bands(age, member, people=30, most=5, smallest=smallest)
    other = age_bands(age, member, people=25, most=8, smallest=smallest, beside=one)
    cuts = sorted({band.low for band in (*one, *other) if band.low is not None})
    if not cuts:
        return
    for low, high in itertools.pairwise([-np.inf, *cuts, np.inf]):
        part = (age >= low) & (age < high)
        assert min((part & member).sum(), (part & ~member).sum()) >= smallest


def test_exposure_and_residuals_of_one_audit_cannot_be_subtracted(tmp_path: Path):
    table = predictions_table(np.random.default_rng(3), 700)
    table["member"] = (np.random.default_rng(4).random(len(table)) < 0.15).astype(int)
    table.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
    content = audit(tmp_path / "p.tsv", attacks=["error"]).content
    edges = [re.findall(r"\d+", g["group"]) for g in content["exposure"]["groups"] if g["by"] == "age"]
    cuts = {float(edge) for named in edges for edge in named}
    cuts |= {band["low"] for band in content["residuals"]["bands"] if band["low"] is not None}
    assert len(cuts) >= 3
    for low, high in itertools.pairwise([-np.inf, *sorted(cuts), np.inf]):
        inside = table.loc[(table["age"] >= low) & (table["age"] < high), "member"]
        assert min(inside.sum(), (1 - inside).sum()) >= 10


def test_the_oldest_is_not_alone_in_a_band():
    age = np.r_[np.linspace(60, 87.4, 119), 89.0]
    member = np.arange(120) % 2 == 1
    names = [band.name for band in age_bands(age, member, people=25, most=8, smallest=10)]
    assert names[0].startswith("under ") and names[-1].endswith(" and over")
    assert not any(written in " ".join(names) for written in ("87", "88", "89"))


def test_quantiles_have_enough_people_beyond_them():
    values = np.random.default_rng(0).normal(size=45)
    assert [q for q, v in disclosure.quantiles(values, 10).items() if v is not None] == ["q25", "q50", "q75"]
    assert set(disclosure.quantiles(values[:12], 10).values()) == {None}


def test_no_person_moves_a_mean_by_more_than_a_step():
    rng = np.random.default_rng(1)
    for outlier in (0.0, 10.0, 60.0):
        values = np.r_[np.abs(rng.normal(0, 3, 59)), outlier]
        furthest = np.abs(values - values.mean()).max()
        step = step_below(max(values.std() / np.sqrt(60), 2.5 * furthest / 60), finest=0.1)
        moved = [disclosure.mean_of(np.delete(values, k)) for k in range(59)]
        assert np.abs(np.array(moved) - disclosure.mean_of(values)).max() <= step + 1e-9
        assert furthest / 59 <= step + 1e-9


def test_a_learner_of_few_people_says_neither_how_many_nor_how_old():
    table = pd.DataFrame(
        {
            "name": ["a", "b", "c"],
            "members": [40, 1, 30],
            "age_mean": [61.23456, 83.2, 70.1],
            "age_sd": [8.4, 0.0, 7.7],
        }
    )
    rows = _learners(table, 10)
    assert (
        rows[0] == {"name": "a", "members": 40, "age_mean": 61.0, "age_sd": 8.5} or rows[0]["members"] == 40
    )
    assert all(row[key] is None for row in rows[1:] for key in ("members", "age_mean", "age_sd"))


def test_published_numbers_are_rounded_wherever_an_estimate_stands():
    exact = {"value": 0.61234, "low": 0.50345, "high": 0.71111}
    tree = {"a": [{"auc": exact | {"simultaneous": {"level": 0.99, "low": 0.50012}}, "p_value": 0.01234}]}
    (row,) = disclosure.published(tree)["a"]
    assert row["auc"]["value"] == 0.6 and row["auc"]["high"] == 0.7
    assert 0.5 < row["auc"]["low"] <= 0.505 and 0.5 < row["auc"]["simultaneous"]["low"] <= 0.50012
    assert row["p_value"] == 0.015


def test_the_rule_can_be_stricter_but_never_below_five(predictions: MakePredictions):
    path = predictions(subjects=80)
    with pytest.raises(BadInputError, match="smallest_cell is 4; no cell of fewer than 5"):
        audit(path, smallest_cell=4)
    with pytest.raises(TooFewSubjectsError, match=r"40 members and 40 non-members.* at least 41"):
        audit(path, smallest_cell=41)
    for smallest in (5, 20):
        content = audit(path, attacks=["error"], smallest_cell=smallest).content
        assert content["disclosure"] == {"smallest_cell": smallest}
        counts = [g[s] for g in content["exposure"]["groups"] for s in ("members", "nonmembers")]
        assert all(count is None or count >= smallest for count in counts)


def test_a_group_of_one_hides_its_complement(tmp_path: Path):
    table = predictions_table(np.random.default_rng(7), 80)
    table.loc[0, "sex"] = "X"
    table.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
    groups = audit(tmp_path / "p.tsv", attacks=["error"]).content["exposure"]["groups"]
    by_sex = {g["group"]: g for g in groups if g["by"] == "sex"}
    assert by_sex["X"]["members"] is by_sex["X"]["auc"] is None and "fewer than 10" in by_sex["X"]["reason"]
    assert sum(g["members"] is None for g in by_sex.values()) == 2
