"""Moments, against loops over scans and models, and laws, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from memberscan.attacks.references.moments import PRIOR_WEIGHT, Moments, normal, student_t

from .conftest import draw, twins


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_moments_are_those_of_a_loop_even_far_from_zero(shift: float):
    compared, _ = draw(0, references=6, scans=30)
    values = compared.references + shift
    used = np.array([[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1]], dtype=float)
    found = Moments.of(values, compared.inside, used)
    for model, rows in enumerate(used.astype(bool)):
        for side, mask in ((found.ins, compared.inside), (found.outs, ~compared.inside)):
            lists = [values[rows & mask[:, scan], scan] for scan in range(30)]
            np.testing.assert_array_equal(side.count[model], [len(one) for one in lists])
            np.testing.assert_allclose(side.mean[model], [one.mean() for one in lists], rtol=1e-12)
            squares = [((one - one.mean()) ** 2).sum() for one in lists]
            np.testing.assert_allclose(side.squares[model], squares, atol=1e-7)
            freedom = sum(len(one) - 1 for one in lists)
            if freedom:
                assert side.pooled[model, 0] == pytest.approx(sum(squares) / freedom)
                total = sum(map(len, lists))
                assert side.same_variance[model, 0] == pytest.approx(sum(squares) / total)


def test_pooled_variances_do_not_hold_the_differences_between_scans():
    """A defect of other tools: variances pooled without centring grow with the spread of people's means."""
    rng = np.random.default_rng(1)
    inside = twins(rng, 8, 500)
    values = 100 * rng.normal(size=500) + rng.normal(size=(8, 500))
    moments = Moments.of(values, inside, np.ones((1, 8)))
    assert moments.ins.pooled[0, 0] == pytest.approx(1, abs=0.1)
    assert moments.outs.pooled[0, 0] == pytest.approx(1, abs=0.1)


def test_with_one_reference_a_side_the_spread_of_their_differences_stands_in():
    rng = np.random.default_rng(2)
    inside = twins(rng, 2, 4000)
    values = 30 * rng.normal(size=4000) + 2 * rng.normal(size=(2, 4000)) + 5 * inside
    moments = Moments.of(values, inside, np.ones((1, 2)))
    assert moments.ins.pooled[0, 0] == moments.outs.pooled[0, 0] == pytest.approx(4, rel=0.1)
    assert (moments.ins.own_variance == moments.ins.pooled).all()


def test_a_scan_without_a_reference_on_a_side_has_finite_densities():
    compared, _ = draw(3, references=4, scans=20)
    everybody_out = compared.inside.copy()
    everybody_out[:, 0] = False
    moments = Moments.of(compared.references, everybody_out, np.ones((1, 4)))
    assert moments.ins.count[0, 0] == 0
    for side in (moments.ins, moments.outs):
        assert np.isfinite(side.log_density(compared.residual[None])).all()


def test_the_predictive_law_is_the_student_t_of_a_normal_inverse_gamma_prior():
    compared, _ = draw(4, references=8, scans=26)
    side = Moments.of(compared.references, compared.inside, np.ones((1, 8))).ins
    freedom = PRIOR_WEIGHT + side.count - 1
    scale = np.sqrt((PRIOR_WEIGHT * side.pooled + side.squares) / freedom * (1 + 1 / side.count))
    expected = stats.t.logpdf(compared.residual, freedom, side.mean, scale)
    np.testing.assert_allclose(
        side.log_density(compared.residual[None]) - np.log(np.pi) / 2, expected, atol=1e-10
    )


def test_densities_are_scipy_s_up_to_a_constant():
    x, variance, freedom = np.random.default_rng(5).uniform(0.5, 4, (3, 10))
    theirs = stats.norm.logpdf(x, scale=np.sqrt(variance))
    np.testing.assert_allclose(normal(x, variance) - np.log(2 * np.pi) / 2, theirs)
    theirs = stats.t.logpdf(x, freedom, scale=np.sqrt(variance))
    np.testing.assert_allclose(student_t(x, variance, freedom) - np.log(np.pi) / 2, theirs)
