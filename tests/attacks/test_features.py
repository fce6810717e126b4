"""What each attack makes of its signals: formulas against naive twins, and what must not change them."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import optimize, stats
from sklearn.metrics import roc_auc_score

from memberscan.attacks import REGISTRY, gradient_attack
from memberscan.attacks import error as error_attack
from memberscan.attacks.attack import Features, FittedAttack, KnownScans
from memberscan.attacks.error import ERROR, crossing
from memberscan.attacks.gradient_magnitude import log_norms
from memberscan.attacks.learned import symmetric_log
from memberscan.attacks.prediction_label import residual_and_label
from memberscan.evidence.delong import DeLong
from memberscan.evidence.estimates import estimate_aucs
from memberscan.signals import PREDICTION, View
from memberscan.signals.layer_gradients import GRADIENT_NORMS, gradient

from .conftest import attempt_all, scored

columns = hnp.arrays(
    float,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.one_of(st.just(0.0), st.floats(1e-3, 1e6), st.floats(-1e6, -1e-3)),
)


@given(columns, st.floats(1e-6, 1e6))
def test_symmetric_log_is_the_same_in_any_unit(values, unit):
    np.testing.assert_allclose(symmetric_log(values * unit), symmetric_log(values), rtol=1e-9)


@given(columns)
def test_symmetric_log_keeps_signs_and_order_and_is_odd(values):
    tamed = symmetric_log(values)
    np.testing.assert_array_equal(symmetric_log(-values), -tamed)
    alive = np.median(np.abs(values), axis=0) > 0
    np.testing.assert_array_equal(np.sign(tamed[:, alive]), np.sign(values[:, alive]))
    assert (tamed[:, ~alive] == 0).all()
    order = np.argsort(values[:, alive], axis=0, kind="stable")
    assert (np.diff(np.take_along_axis(tamed[:, alive], order, axis=0), axis=0) >= 0).all()


def test_symmetric_log_of_the_median_size_is_log_two():
    assert symmetric_log(np.array([[-1.0], [3.0], [-7.0]]))[1, 0] == pytest.approx(np.log(2))


@given(st.floats(0.1, 50), st.floats(1.01, 20), st.integers(0, 1000))
def test_crossing_is_where_the_two_densities_meet(spread, ratio, seed):
    rng = np.random.default_rng(seed)
    inside = np.abs(rng.normal(size=30)) * spread
    outside = inside * ratio
    s1, s0 = (np.sqrt(np.mean(e**2)) for e in (inside, outside))

    def difference(error: float) -> float:
        return float(stats.norm.logpdf(error, scale=s1) - stats.norm.logpdf(error, scale=s0))

    assert crossing(inside, outside) == pytest.approx(
        optimize.brentq(difference, 1e-9 * s1, 50 * s0), rel=1e-6
    )


@pytest.mark.parametrize(
    ("inside", "outside"), [([3.0, 5.0], [1.0, 2.0]), ([1.0, 2.0], [1.0, 2.0]), ([0.0], [4.0])]
)
def test_crossing_is_the_median_where_members_are_not_predicted_better(inside, outside):
    assert crossing(np.array(inside), np.array(outside)) == np.median(inside + outside)


def crossing_by_formula(inside: np.ndarray, outside: np.ndarray) -> float:
    s1, s0 = (float(np.sqrt(np.mean(side**2))) for side in (inside, outside))
    if not 0 < s1 < s0 * (1 - 1e-9):
        return float(np.median(np.concatenate([inside, outside])))
    return s1 * s0 * float(np.sqrt(2 * np.log(s0 / s1) / (s0**2 - s1**2)))


@pytest.mark.parametrize("most", [1, 100, 10**6])
def test_thresholds_found_together_are_those_found_one_by_one(most, monkeypatch):
    """To the bit, for groups of different sizes, of which some have no crossing."""
    monkeypatch.setattr(error_attack, "_MOST_NUMBERS", most)
    rng = np.random.default_rng(0)
    values = np.abs(rng.normal(size=90)).round(1)
    features = Features(pd.Index(range(90)), values[:, None])
    known = []
    for size in [40, 40, 41, 2, 87] * 6:
        places = np.sort(rng.permutation(90)[:size])
        known.append(KnownScans(places, rng.permutation(np.arange(size) < max(1, size // 3))))
    found = list(ERROR.score_each(features, known))
    for each, scores in zip(known, found, strict=True):
        error = values[each.places]
        threshold = crossing_by_formula(error[each.member], error[~each.member])
        np.testing.assert_array_equal(scores, threshold - values)
        np.testing.assert_array_equal(scores, ERROR.score(features, each))


def test_the_error_attack_ranks_as_the_loss_does(simulate):
    """Yeom's loss attack, by its formula: the AUC of minus the squared error."""
    view, member = simulate(np.random.default_rng(0), leak=0.7)
    (found,) = estimate_aucs(attempt_all([REGISTRY["error:zero-knowledge"]], view, member), DeLong()).auc
    loss = (view.scans["label"].to_numpy() - view[PREDICTION]) ** 2
    assert found == pytest.approx(roc_auc_score(member.loc[view.scans["subject_id"]], -loss), abs=1e-9)
    assert found > 0.5


def test_the_known_subjects_set_the_threshold_of_the_error_attack(simulate):
    view, member = simulate(np.random.default_rng(1), leak=1.0)
    attack, inside = REGISTRY["error"], member.to_numpy()
    assert isinstance(attack, FittedAttack)
    features = attack.observe(view)
    rule = attack.fit(features, inside)
    threshold = crossing(np.abs(view.residual[inside]), np.abs(view.residual[~inside]))
    np.testing.assert_array_equal(rule.score(features) > 0, np.abs(view.residual) < threshold)


def test_prediction_and_label_columns(simulate):
    view, _ = simulate(np.random.default_rng(2), 20)
    age = view.scans["label"].to_numpy()
    residual = age - view[PREDICTION]
    for row, scan in enumerate(residual_and_label(view)):
        r, y = residual[row], age[row] - age.mean()
        with_age = [(r - residual.mean()) * y, (abs(r) - np.abs(residual).mean()) * y]
        np.testing.assert_allclose(scan, [r, abs(r), r * r, *with_age])


def test_prediction_and_label_do_not_see_age_where_errors_do_not_follow_it():
    """Members are older, and the model is as wrong of everybody: age itself must not show."""
    rng = np.random.default_rng(0)
    n = 4000
    age = rng.normal(50, 12, n) + 12 * (np.arange(n) < n / 2)
    scans = pd.DataFrame({"subject_id": [f"s{k}" for k in range(n)], "label": age})
    columns = residual_and_label(View(scans, {PREDICTION: age - 3 - rng.choice([-1, 1], n) * 4.0}))
    for column in columns.T:
        assert abs(np.corrcoef(column, age)[0, 1]) < 0.06 or column.std() < 1e-9


def test_the_zero_knowledge_gradient_attack_sums_the_layers_norms(simulate):
    view, _ = simulate(np.random.default_rng(3), 20)
    norms = view[GRADIENT_NORMS].sum(axis=1)
    np.testing.assert_allclose(scored(REGISTRY["gradient-magnitude:zero-knowledge"], view), -norms)


def test_exact_predictions_and_dead_layers_have_finite_log_norms():
    ids = list("abcde")
    norms = np.array([[1.0, 0], [2.0, 0], [0.0, 0], [4.0, 0], [3.0, 0]])
    scans = pd.DataFrame({"subject_id": ids, "label": 50.0}, index=ids)
    logs = log_norms(View(scans, {PREDICTION: np.full(5, 50.0), GRADIENT_NORMS: norms}))
    np.testing.assert_allclose(logs[:, 0], np.log([1, 2, 2e-3, 4, 3]))
    assert (logs[:, 1] == 0).all()


def test_wide_gradients_are_read_in_tiles(tmp_path):
    """Forty megabytes of signals must not take hundreds of memory."""
    rng, count, width = np.random.default_rng(4), 100, 50_000
    stored = np.lib.format.open_memmap(tmp_path / "g.npy", "w+", np.float32, (count, width))
    stored[:] = rng.normal(size=(count, width))
    ids = [f"s{n}" for n in range(count)]
    scans = pd.DataFrame({"subject_id": ids, "label": rng.uniform(50, 60, count)}, index=ids)
    wide = np.load(tmp_path / "g.npy", mmap_mode="r")
    view = View(scans, {PREDICTION: np.full(count, 55.0), gradient("conv6"): wide})
    tracemalloc.start()
    try:
        features = gradient_attack("conv6").observe(view)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert features.values.shape[1] <= count
    assert peak < wide.nbytes / 2
