"""Groups of few people are joined or hidden, and what hides one is hidden too."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from memberscan.evidence.rounding import Measured, step_below
from memberscan.report import disclosure, exposure
from memberscan.report.content.audit_json import Null, Target
from memberscan.report.content.federation_json import Pair, Victim
from memberscan.report.content.finding_json import Rate, Roc
from memberscan.report.content.parts import Auc, Bound, Estimate
from memberscan.report.content.variable_json import AGE
from memberscan.report.disclosure import hidden
from memberscan.report.exposure import bands_of
from memberscan.report.outcome import FederationFacts, LearnerFacts
from memberscan.report.publication import mean_error
from memberscan.report.published_parties import federation

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
    bands = bands_of(age, member, people=25, most=8, smallest=smallest)
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
    one = bands_of(age, member, people=30, most=5, smallest=smallest)
    other = bands_of(age, member, people=25, most=8, smallest=smallest, beside=one)
    cuts = sorted({band.low for band in (*one, *other) if band.low is not None})
    if not cuts:
        return
    for low, high in itertools.pairwise([-np.inf, *cuts, np.inf]):
        part = (age >= low) & (age < high)
        assert min((part & member).sum(), (part & ~member).sum()) >= smallest


def test_the_oldest_is_not_alone_in_a_band():
    age = np.r_[np.linspace(60, 87.4, 119), 89.0]
    member = np.arange(120) % 2 == 1
    names = [band.name for band in bands_of(age, member, people=25, most=8, smallest=10)]
    assert names[0].startswith("under ") and names[-1].endswith(" and over")
    assert not any(written in " ".join(names) for written in ("87", "88", "89"))


def test_quantiles_have_enough_people_beyond_them():
    values = np.random.default_rng(0).normal(size=45)
    many, few = (exposure.quantiles(part, 10, 0.1).dump() for part in (values, values[:12]))
    assert [q for q, v in many.items() if v is not None] == ["n", "q25", "q50", "q75"]
    assert set(few.values()) == {12, None}


def published_mean(values):
    nothing = {"model": "", "kind": "run", "parameters": None, "synthetic": True, "randomised": True}
    counts = dict.fromkeys(("members", "nonmembers", "scans"), len(values))
    error = mean_error(values, 0.1)
    errors = dict.fromkeys(("mae_members", "mae_nonmembers", "rmse_members", "rmse_nonmembers"), error)
    return disclosure.published(Target(**nothing, **counts, **errors)).mae_members


def test_no_person_moves_a_mean_by_more_than_a_step():
    rng = np.random.default_rng(1)
    for outlier in (0.0, 10.0, 60.0):
        values = np.r_[np.abs(rng.normal(0, 3, 59)), outlier]
        furthest = np.abs(values - values.mean()).max()
        step = step_below(max(values.std() / np.sqrt(60), 2.5 * furthest / 60), finest=0.1)
        moved = [published_mean(np.delete(values, k)) for k in range(59)]
        assert np.abs(np.array(moved) - published_mean(values)).max() <= step + 1e-9
        assert furthest / 59 <= step + 1e-9


def test_a_learner_of_few_people_says_neither_how_many_nor_how_old():
    facts = [
        LearnerFacts("a", 40, 61.23456, 8.4),
        LearnerFacts("b", 1, 83.2, 0.0),
        LearnerFacts("c", 30, 70.1, 7.7),
    ]
    told = FederationFacts(
        environment=None,
        secure="none",
        simulated=False,
        rounds=1,
        local_epochs=1,
        transcript="",
        held_out_randomised=True,
        learners=facts,
    )
    first, *others = disclosure.published(federation(told, "server", 10, AGE)).learners
    assert (first.members, first.age_mean) == (40, 61.0)
    assert all((row.members, row.age_mean, row.age_sd) == (None, None, None) for row in others)


def test_published_numbers_are_rounded_wherever_an_estimate_stands():
    bound = Bound(level=0.99, low=0.50012)
    exact = {"value": 0.61234, "low": 0.50345, "high": 0.71111}
    pair = Pair(
        attack="error",
        attacker="a",
        victim="b",
        members=40,
        nonmembers=40,
        auc=Auc(**exact, simultaneous=bound),
        accuracy=Estimate(**exact, level=0.95),
        p_value=0.01234,
        p_holm=None,
        reason=None,
    )
    found = disclosure.published(pair)
    assert found.auc.value == found.accuracy.value == 0.6
    assert found.auc.high == found.accuracy.high == 0.7
    assert 0.5 < found.auc.low <= 0.505
    assert 0.5 < found.auc.simultaneous.low <= 0.50012
    assert found.accuracy.level == 0.95
    assert (found.p_value, found.p_holm) == (0.015, None)


def test_a_measured_number_keeps_its_error_until_it_is_rounded():
    row = Victim(name="a", auc=Measured(0.61234, 0.04), p_value=None, tripped=False, gates=False, worst=None)
    assert isinstance(row.auc, Measured)
    found = disclosure.published(row)
    assert (type(found.auc), found.auc) == (float, 0.62)
    null = Null(method="permutation", permutations=9, p_values={}, mean_auc={"a": Measured(0.5123, 0.02)})
    assert disclosure.published(null).mean_auc == {"a": 0.52}
    with pytest.raises(ValidationError):
        row.model_validate({**row.dump(), "auc": Measured(1.2, 0.04)})


def test_what_an_accusation_is_worth_follows_from_the_rounded_rate():
    exact = {"value": 0.4321, "low": 0.30123, "high": 0.55432}
    worth = {"prior": 0.1, "value": 0.1, "low": 0.05, "high": 0.2}
    rate = Rate.model_validate({"fpr": 0.1, **exact, "reason": None, "ppv": [worth]})
    found = disclosure.published(rate, "tpr")
    assert found.value == pytest.approx(0.45)
    assert found.ppv[0].value == round(0.1 * 0.45 / (0.1 * 0.45 + 0.9 * 0.1), 3)


def test_of_a_curve_only_rates_that_enough_people_reach_are_published():
    steps = np.linspace(0, 1, 41)
    roc = Roc(fpr=tuple(steps.tolist()), tpr=tuple(np.sqrt(steps).tolist()))
    few = disclosure.curve(roc, [], (40, 40), 10)
    assert few.fpr == (0.3, 0.5, 0.7, 1.0)
    assert list(few.tpr) == sorted(few.tpr) and few.tpr[-1] == 1
    assert disclosure.curve(roc, [], (40, 40), 50).dump() == {"fpr": [1.0], "tpr": [1.0]}
