from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import Ridge

from memberscan.errors import MisalignedError
from memberscan.evidence import blind as module
from memberscan.evidence.blind import FOLDS, blind_check, explained, out_of_fold
from memberscan.evidence.design_matrix import Group


def cohort(rng, side, *, older=0.0, noise=4):
    member = np.arange(2 * side) < side
    table = pd.DataFrame({f"image_{i}": rng.normal(size=2 * side) for i in range(noise)})
    table["age"] = 60 + 7 * (rng.normal(size=2 * side) + older * member)
    table["sex"] = rng.choice(["F", "M"], 2 * side)
    return table, member


def test_out_of_fold_scores_equal_the_slow_twin():
    rng = np.random.default_rng(0)
    features, folds = rng.normal(3, 2, (37, 5)), np.stack([rng.permutation(37) % FOLDS for _ in range(2)])
    member = rng.permutation(np.arange(37) < 15)
    expected = np.zeros(37)
    for repeat in folds:
        for fold in range(FOLDS):
            test = repeat == fold
            model = Ridge(alpha=5).fit(features[~test], member[~test])
            expected[test] += (model.predict(features[test]) - member[~test].mean()) / 2
    np.testing.assert_allclose(out_of_fold(features, member, folds), expected, atol=1e-10)


@pytest.mark.parametrize("width", [0, 3])
def test_what_a_group_explains_is_the_f_statistic_of_nested_regressions(width):
    rng = np.random.default_rng(width)
    n = 60
    base, added = (columns - columns.mean(axis=0) for columns in rng.normal(size=(2, n, 3)))
    base, added = base[:, :width], np.column_stack([added, added[:, :1], base @ rng.normal(size=3)])
    labels = rng.permuted(np.tile((np.arange(n) < 25).astype(float), (4, 1)), axis=1)
    parts = (Group(("b",), base),) if width else ()
    found = explained(Group(("a", "b"), added, parts), labels)
    added = added if width == 0 else added[:, :4]
    for y, value in zip(labels, found, strict=True):
        small, large = (
            _left(y, np.column_stack([np.ones(n), columns])) for columns in (base, np.hstack([base, added]))
        )
        rank = 3 if width else 4
        rest = n - 1 - width - rank
        f = (small - large) / rank / (large / rest)
        # Paulson's cube root is close to the exact normal score.
        assert value == pytest.approx(stats.norm.isf(stats.f.sf(f, rank, rest)), abs=0.06)


def _left(y, x):
    return ((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2).sum()


def test_a_group_that_adds_nothing_tells_nothing():
    labels = (np.arange(30) < 12).astype(float)[None]
    base = Group(("a",), np.random.default_rng(0).normal(size=(30, 2)))
    assert explained(Group(("a",), base.added, (base,)), labels) == -np.inf
    assert explained(Group(("a",), np.random.default_rng(0).normal(size=(30, 40))), labels) == -np.inf


def test_a_shift_in_age_trips_and_is_named():
    table, member = cohort(np.random.default_rng(1), 60, older=1.0)
    check = blind_check(table, member, np.random.default_rng(0))
    assert check.tripped
    assert check.gates
    assert check.worst == "age"
    # No permutation reaches it, so that the closed form tells how small it is.
    assert check.p_value < 2 / (check.permutations + 1)
    assert check.covariates[0].name == "age"
    assert check.pairs > 10


def test_a_difference_in_spread_or_in_missingness_trips_too():
    rng = np.random.default_rng(2)
    member = np.arange(200) < 100
    spread = pd.DataFrame({"age": rng.normal(size=200) * np.where(member, 0.5, 1.5)})
    assert blind_check(spread, member, rng).tripped
    missing = pd.DataFrame({"age": np.where(member & (rng.random(200) < 0.4), np.nan, rng.normal(size=200))})
    assert blind_check(missing, member, rng).tripped


def humps(rng, side):
    member = np.arange(2 * side) < side
    two = 15 * rng.choice([-1, 1], 2 * side) + 6 * rng.normal(size=2 * side)
    return pd.DataFrame({"age": 50 + np.where(member, two, 12 * rng.normal(size=2 * side))}), member


def crossed(rng, side):
    """Members are older at one site, and younger at the other."""
    member = np.arange(2 * side) < side
    site = rng.integers(0, 2, 2 * side)
    age = rng.normal(size=2 * side) + np.where(member, 0.5, -0.5) * np.where(site == 1, 1, -1)
    return pd.DataFrame({"age": age, "site": np.where(site == 1, "a", "b")}), member


@pytest.mark.parametrize(
    ("sides", "noise", "worst"), [(humps, 0, "age"), (humps, 20, "age"), (crossed, 0, "age and site")]
)
def test_curves_and_products_of_covariates_are_seen(sides, noise, worst):
    rng = np.random.default_rng(0)
    table, member = sides(rng, 120)
    check = blind_check(table.assign(**{f"n{k}": rng.normal(size=240) for k in range(noise)}), member, rng)
    assert check.tripped and check.plain and check.worst == worst
    assert check.covariates[0].auc > 0.6


def test_a_small_shift_is_seen_among_many_covariates_that_tell_nothing():
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(10):
        table, member = cohort(rng, 120, older=0.5, noise=20)
        found += blind_check(table, member, rng).tripped
    assert found >= 7


def test_people_are_alike_in_what_tells_and_not_in_noise():
    rng = np.random.default_rng(2)
    table, member = humps(rng, 300)
    check = blind_check(table.assign(**{f"n{k}": rng.normal(size=600) for k in range(20)}), member, rng)
    assert check.features.shape[1] <= 600 / 8
    age = table["age"].to_numpy()
    within = [age[check.strata == k].std() for k in range(check.strata.max() + 1)]
    # A stratum may hold the young and the old, who are alike in how likely they are members.
    fitted = check.features @ np.linalg.lstsq(check.features, np.abs(age - 50), rcond=None)[0]
    assert np.corrcoef(fitted, np.abs(age - 50))[0, 1] > 0.9 and max(within) < 20


def test_an_imbalance_of_a_randomised_membership_is_reported_and_does_not_gate():
    table, member = cohort(np.random.default_rng(1), 60, older=1.0)
    check = blind_check(table, member, np.random.default_rng(0), randomised=True)
    assert check.tripped
    assert not check.gates


@pytest.mark.parametrize(("members", "nonmembers"), [(12, 11), (60, 30)])
def test_exchangeable_covariates_trip_at_most_at_the_nominal_rate(members, nonmembers):
    rng, small, repetitions = np.random.default_rng(members), 0, 120
    member = np.arange(members + nonmembers) < members
    for _ in range(repetitions):
        table = pd.DataFrame(rng.normal(size=(len(member), 3)), columns=["a", "b", "c"])
        small += blind_check(table, member, rng).p_value <= 0.05
    assert stats.binomtest(small, repetitions, 0.05, "greater").pvalue > 1e-3
    assert small > 0


def test_nothing_to_look_at_says_so():
    table = pd.DataFrame({"site": ["one"] * 30})
    check = blind_check(table, np.arange(30) < 14, np.random.default_rng(0))
    assert (check.auc, check.p_value, check.tripped, check.worst) == (None, None, False, None)
    assert check.ignored == {"site": "the same for everyone"}


def test_rows_must_match():
    with pytest.raises(MisalignedError, match="one row each"):
        blind_check(pd.DataFrame({"age": range(9)}), np.ones(8, dtype=bool), np.random.default_rng(0))


def test_the_same_seed_gives_the_same_check():
    table, member = cohort(np.random.default_rng(3), 25, older=0.4)
    one, other = (blind_check(table, member, np.random.default_rng(7)) for _ in range(2))
    assert (one.auc, one.p_value, one.covariates) == (other.auc, other.p_value, other.covariates)
    np.testing.assert_array_equal(one.score, other.score)


def test_ten_thousand_subjects_take_seconds():
    table, member = cohort(np.random.default_rng(4), 5000, noise=8)
    start = time.process_time()
    check = blind_check(table, member, np.random.default_rng(0))
    assert check.permutations == 0
    assert time.process_time() - start < 10  # about 1 s on an idle core; the rest is for slow machines


@pytest.mark.parametrize("older", [0.0, 0.25, 1.0])
def test_above_two_thousand_the_closed_form_judges_as_permutations_do(older: float, monkeypatch):
    table, member = cohort(np.random.default_rng(6), 300, older=older)
    permuted = blind_check(table, member, np.random.default_rng(0))
    monkeypatch.setattr(module, "LARGEST_PERMUTED", 599)
    closed = blind_check(table, member, np.random.default_rng(0))
    assert (permuted.permutations > 0, closed.permutations) == (True, 0)
    # The folds are other ones.
    assert closed.auc == pytest.approx(permuted.auc, abs=0.05)
    assert (closed.p_value < 0.01) == (permuted.p_value < 0.01)
    assert (closed.tripped, closed.worst) == (permuted.tripped, permuted.worst)
