from __future__ import annotations

import json
import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import Ridge

from memberscan.errors import MisalignedError
from memberscan.evidence import blind as module
from memberscan.evidence.blind import FOLDS, blind_check, out_of_fold


def cohort(rng, side, *, older=0.0, noise=4):
    member = np.arange(2 * side) < side
    table = pd.DataFrame({f"image_{i}": rng.normal(size=2 * side) for i in range(noise)})
    table["age"] = 60 + 7 * (rng.normal(size=2 * side) + older * member)
    table["sex"] = rng.choice(["F", "M"], 2 * side)
    return table, member


def test_out_of_fold_scores_equal_the_slow_twin():
    rng = np.random.default_rng(0)
    features, folds = rng.normal(size=(37, 5)), np.stack([rng.permutation(37) % FOLDS for _ in range(2)])
    labels = rng.permuted(np.tile((np.arange(37) < 15).astype(float), (3, 1)), axis=1)
    expected = np.zeros((3, 37))
    for row, y in zip(expected, labels, strict=True):
        for repeat in folds:
            for fold in range(FOLDS):
                test = repeat == fold
                model = Ridge(alpha=5).fit(features[~test], y[~test])
                row[test] += (model.predict(features[test]) - y[~test].mean()) / 2
    np.testing.assert_allclose(out_of_fold(features, labels, folds), expected, atol=1e-10)


def test_a_shift_in_age_trips_and_is_named():
    table, member = cohort(np.random.default_rng(1), 60, older=1.0)
    check = blind_check(table, member, np.random.default_rng(0))
    assert check.tripped
    assert check.gates
    assert check.worst == "age"
    assert check.p_value == pytest.approx(1 / (check.permutations + 1))
    value = json.loads(json.dumps(check.to_dict(), allow_nan=False))
    assert value["covariates"][0]["name"] == "age"
    assert value["matched_per_side"] > 10


def test_a_difference_in_spread_or_in_missingness_trips_too():
    rng = np.random.default_rng(2)
    member = np.arange(200) < 100
    spread = pd.DataFrame({"age": rng.normal(size=200) * np.where(member, 0.5, 1.5)})
    assert blind_check(spread, member, rng).tripped
    missing = pd.DataFrame({"age": np.where(member & (rng.random(200) < 0.4), np.nan, rng.normal(size=200))})
    assert blind_check(missing, member, rng).tripped


def test_an_imbalance_of_a_randomised_membership_is_reported_and_does_not_gate():
    table, member = cohort(np.random.default_rng(1), 60, older=1.0)
    check = blind_check(table, member, np.random.default_rng(0), randomised=True)
    assert check.tripped
    assert not check.gates
    assert check.to_dict()["matched_per_side"] is None


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
    assert check.to_dict()["ignored"] == [{"name": "site", "reason": "the same for everyone"}]


def test_rows_must_match():
    with pytest.raises(MisalignedError, match="one row each"):
        blind_check(pd.DataFrame({"age": range(9)}), np.ones(8, dtype=bool), np.random.default_rng(0))


def test_the_same_seed_gives_the_same_check():
    table, member = cohort(np.random.default_rng(3), 25, older=0.4)
    one, other = (blind_check(table, member, np.random.default_rng(7)) for _ in range(2))
    assert one.to_dict() == other.to_dict()
    np.testing.assert_array_equal(one.score, other.score)


def test_ten_thousand_subjects_take_seconds():
    table, member = cohort(np.random.default_rng(4), 5000, noise=8)
    start = time.process_time()
    check = blind_check(table, member, np.random.default_rng(0))
    assert check.permutations >= 199
    assert time.process_time() - start < 10  # about 1 s on an idle core; the rest is for slow machines


def test_the_way_of_a_million_gives_the_scores_of_the_way_of_thousands(monkeypatch):
    rng = np.random.default_rng(5)
    features, folds = rng.normal(3, 2, (400, 4)), np.stack([rng.permutation(400) % FOLDS for _ in range(2)])
    labels = (features[:, :1].T + rng.normal(size=400) > 3).astype(float)
    slow = out_of_fold(features, labels, folds)
    monkeypatch.setattr(module, "LARGEST_PERMUTED", 399)
    np.testing.assert_allclose(out_of_fold(features, labels, folds), slow, atol=1e-12)


@pytest.mark.parametrize("older", [0.0, 0.25, 1.0])
def test_above_a_hundred_thousand_the_closed_form_judges_as_permutations_do(older: float, monkeypatch):
    table, member = cohort(np.random.default_rng(6), 300, older=older)
    permuted = blind_check(table, member, np.random.default_rng(0))
    monkeypatch.setattr(module, "LARGEST_PERMUTED", 599)
    closed = blind_check(table, member, np.random.default_rng(0))
    assert (permuted.permutations > 0, closed.permutations) == (True, 0)
    # The folds are other ones.
    assert closed.auc == pytest.approx(permuted.auc, abs=0.05)
    assert (closed.p_value < 0.01) == (permuted.p_value < 0.01)
    assert (closed.tripped, closed.worst) == (permuted.tripped, permuted.worst)
