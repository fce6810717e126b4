from __future__ import annotations

from functools import partial
from itertools import pairwise, permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, logit

from memberscan.evidence.epsilon_bounds import epsilon_clopper_pearson
from memberscan.evidence.one_run import (
    default_guesses,
    epsilon_one_run,
    epsilon_one_run_fdp,
    right_guesses,
)
from memberscan.gaussian_privacy import gaussian_epsilon

from .mechanisms import coins, gaussian, randomized_response, reveals_at_times

APPROXIMATE = partial(epsilon_one_run_fdp, gaussian=False)
ANY_MECHANISM = [epsilon_one_run, APPROXIMATE]
NAMES = ["Steinke", "f-DP"]
few = st.lists(st.integers(0, 2), min_size=1, max_size=3)
sides = st.lists(st.integers(-20, 20), min_size=1, max_size=30)


def fewest_right(inside, outside, guesses, side):
    """Return the fewest right guesses over all orders of the canaries that their scores allow."""
    canaries = [(score, True) for score in inside] + [(score, False) for score in outside]
    of_in = guesses if side == "in" else (guesses + 1) // 2
    fewest = {True: len(canaries), False: len(canaries)}
    for order in permutations(canaries):
        if any(a[0] < b[0] for a, b in pairwise(order)):
            continue
        fewest[True] = min(fewest[True], sum(was_in for _, was_in in order[:of_in]))
        last = order[len(order) - (guesses - of_in) :]
        fewest[False] = min(fewest[False], sum(not was_in for _, was_in in last))
    return fewest[True] + fewest[False]


@settings(max_examples=40)
@given(few, few, st.sampled_from(["in", "both"]))
def test_guesses_are_counted_with_ties_against_the_audit(inside, outside, side):
    numbers = range(1, len(inside) + len(outside) + 1)
    expected = [fewest_right(inside, outside, n, side) for n in numbers]
    assert right_guesses(inside, outside, list(numbers), side).tolist() == expected


def test_equal_scores_show_nothing():
    for bound in (partial(epsilon_one_run, delta=0), partial(epsilon_one_run_fdp, delta=1e-5)):
        for side in ("in", "both"):
            assert bound(np.ones(500), np.ones(500), sides=side).value == 0


def test_default_numbers_of_guesses_halve():
    assert default_guesses(200) == (200, 100, 50, 25, 12)
    assert default_guesses(200, "in") == (100, 50, 25, 12)
    assert default_guesses(5) == (5,) and default_guesses(1, "in") == (1,)


@given(sides, sides, st.floats(0.6, 0.99), st.floats(1e-6, 0.1), st.sampled_from(["in", "both"]))
def test_what_holds_for_any_scores(inside, outside, level, delta, side):
    for method in (*ANY_MECHANISM, epsilon_one_run_fdp):
        options = {"delta": delta, "level": level, "sides": side}
        bound = method(inside, outside, **options)
        assert 0 <= bound.value <= bound.ceiling + 1e-6
        assert bound.breaks(bound.value / 2) == (bound.value > 0)
        moved = method(*(2 * np.asarray(scores) + 1 for scores in (inside, outside)), **options)
        assert moved.value == pytest.approx(bound.value)
        assert method(inside, outside, **options | {"level": (1 + level) / 2}).value <= bound.value + 1e-6
        assert method(inside, outside, **options | {"delta": 4 * delta}).value <= bound.value + 1e-6


@pytest.mark.parametrize("guesses", [10, 40, 80])
@pytest.mark.parametrize("side", ["in", "both"])
def test_perfect_guesses_have_a_closed_form(guesses, side):
    """All r guesses right have the chance q^r, and q is the logistic function of epsilon."""
    scores = np.arange(100.0) + 100, np.arange(100.0)
    expected = logit(0.05 ** (1 / guesses))
    for method in ANY_MECHANISM:
        bound = method(*scores, delta=0.0, guesses=[guesses], sides=side)
        assert bound.value == pytest.approx(expected, abs=1e-6) == bound.ceiling
        assert (bound.guesses, bound.correct, bound.tried) == (guesses, guesses, 1)
        assert (bound.inside, bound.outside, bound.threshold) == (100, 100, None)


@pytest.mark.parametrize("method", [*ANY_MECHANISM, epsilon_one_run_fdp])
def test_the_ceiling_is_the_bound_for_perfect_separation(method):
    rng = np.random.default_rng(1)
    scores = gaussian(rng, 120, 1.0)
    separated = np.ones(len(scores[0])), np.zeros(len(scores[1]))
    weak, perfect = method(*scores, delta=1e-5), method(*separated, delta=1e-5)
    assert weak.value < weak.ceiling == pytest.approx(perfect.value)


def test_several_numbers_of_guesses_cost_their_correction():
    scores = gaussian(np.random.default_rng(2), 300, 3.0)
    alone = {n: epsilon_one_run(*scores, level=1 - 0.05 / 3, guesses=[n]).value for n in (300, 100, 30)}
    together = epsilon_one_run(*scores, guesses=[300, 100, 30])
    assert together.value == pytest.approx(max(alone.values()))
    assert alone[together.guesses] == pytest.approx(together.value)
    assert together.value < epsilon_one_run(*scores, guesses=[together.guesses]).value


@pytest.mark.parametrize("guesses", [3, 6, 8])
def test_an_attack_that_knows_how_many_are_in_makes_no_more_right_guesses(guesses):
    """As in a training whose number of people is public: right guesses stay heads of fair coins."""
    order, counts = np.random.default_rng(30), np.zeros(guesses + 1)
    scores = order.normal(size=(9, 8))
    for coin in product([False, True], repeat=8):
        inside = np.array(coin)
        mine = scores[inside.sum()]
        if inside.all() or not inside.any():
            right = (guesses + 1) // 2 if inside.all() else guesses // 2
        else:
            right = int(right_guesses(mine[inside], mine[~inside], [guesses])[0])
        counts[right] += 1
    np.testing.assert_allclose(counts / 2**8, stats.binom.pmf(np.arange(guesses + 1), guesses, 0.5))


def values_of(method, draw, runs):
    return np.array([method(*draw()).value for _ in range(runs)])


def check_level(values, truth, level=0.95):
    above = int((values > truth + 1e-9).sum())
    assert stats.binomtest(above, len(values), 1 - level, "greater").pvalue > 1e-3


@pytest.mark.parametrize("method", ANY_MECHANISM, ids=NAMES)
@pytest.mark.parametrize(("epsilon", "side"), [(0.0, "both"), (1.0, "in"), (1.0, "both"), (4.0, "both")])
def test_the_bound_of_randomized_response_seldom_exceeds_its_epsilon(method, side, epsilon):
    rng = np.random.default_rng([21, int(epsilon)])
    bound = partial(method, delta=0.0, sides=side)
    check_level(values_of(bound, lambda: randomized_response(rng, 120, epsilon), 200), epsilon)


@pytest.mark.parametrize("method", ANY_MECHANISM, ids=NAMES)
def test_the_level_is_used_up_where_every_guess_is_as_good_as_it_can_be(method):
    """Guesses among those said to be in are right as often as the coin of the theorem."""
    rng, right, runs = np.random.default_rng(22), expit(1.0), 400

    def draw():
        inside = coins(rng, 200)
        said = np.where(rng.random(200) < right, inside, ~inside)
        scores = said + rng.random(200) / 2
        return scores[inside], scores[~inside]

    values = values_of(partial(method, delta=0.0, guesses=[40], sides="in"), draw, runs)
    # The chance of a count that rejects epsilon = 1: the binomial law is discrete.
    fewest = next(v for v in range(41) if stats.binom.sf(v - 1, 40, right) <= 0.05)
    chance = stats.binom.sf(fewest - 1, 40, right)
    above = int((values > 1).sum())
    if method is epsilon_one_run:
        assert stats.binomtest(above, runs, chance).pvalue > 1e-3
    assert 0.005 * runs < above and stats.binomtest(above, runs, 0.05, "greater").pvalue > 1e-3


@pytest.mark.parametrize("method", [*ANY_MECHANISM, epsilon_one_run_fdp], ids=[*NAMES, "Gaussian"])
@pytest.mark.parametrize(("mu", "delta"), [(1.0, 1e-5), (2.0, 1e-3)])
def test_the_bound_of_a_gaussian_mechanism_seldom_exceeds_its_epsilon(method, mu, delta):
    rng = np.random.default_rng([23, int(mu)])
    values = values_of(partial(method, delta=delta), lambda: gaussian(rng, 120, mu), 200)
    check_level(values, gaussian_epsilon(mu, delta))


def test_a_gaussian_mechanism_of_little_noise_is_bounded_closely():
    """With few canaries and a low level, the bound by its own curve does exceed the truth at times."""
    rng, truth, delta = np.random.default_rng(24), gaussian_epsilon(1.0, 1e-3), 1e-3
    bound = partial(epsilon_one_run_fdp, delta=delta, level=0.6, guesses=[20])
    values = values_of(bound, lambda: gaussian(rng, 40, 1.0), 400)
    check_level(values, truth, 0.6)
    assert (values > truth).sum() > 4


@pytest.mark.parametrize("method", ANY_MECHANISM, ids=NAMES)
def test_canaries_that_fall_together_do_not_fool_the_bound(method):
    """A mechanism that tells all with a chance of 20% has delta 0.2 and epsilon 0.

    Limits that assume independent scores call it broken each time it tells.
    """
    rng, delta = np.random.default_rng(25), 0.2
    runs = [reveals_at_times(rng, 200, delta) for _ in range(200)]
    check_level(np.array([method(*scores, delta=delta).value for scores in runs]), 0.0)
    fooled = sum(epsilon_clopper_pearson(*scores, delta=delta).value > 0 for scores in runs)
    assert stats.binomtest(fooled, len(runs), 0.05, "greater").pvalue < 1e-6


@pytest.mark.parametrize(("canaries", "least"), [(200, 2.3), (1000, 3.0)])
@pytest.mark.parametrize("method", ANY_MECHANISM, ids=NAMES)
def test_power_at_epsilon_4(method, canaries, least):
    rng = np.random.default_rng(26)
    values = values_of(partial(method, delta=0.0), lambda: randomized_response(rng, canaries, 4.0), 60)
    assert least < np.median(values) < 4


def test_the_curve_of_the_mechanism_shows_more_of_it():
    rng, truth = np.random.default_rng(27), gaussian_epsilon(2.0, 1e-5)
    draws = [gaussian(rng, 500, 2.0) for _ in range(40)]
    by_coins, by_curve = (
        np.median([method(*scores, delta=1e-5).value for scores in draws])
        for method in (epsilon_one_run, epsilon_one_run_fdp)
    )
    assert 2 < by_coins < by_curve - 1 < truth - 1


def test_the_gaussian_curve_is_wrong_for_other_mechanisms():
    rng = np.random.default_rng(28)
    values = values_of(
        partial(epsilon_one_run_fdp, delta=1e-5), lambda: randomized_response(rng, 1000, 4.0), 40
    )
    assert (values > 4).mean() > 0.5
    bound = epsilon_one_run_fdp(*randomized_response(rng, 100, 4.0), delta=1e-5)
    assert bound.method == "one run, f-DP, Gaussian" and bound.is_not.startswith("It holds only if")


def test_a_guarantee_that_is_not_kept_is_seen_in_one_run():
    """Noise left out of half of the steps, say: epsilon 4 where 1 was promised."""
    rng = np.random.default_rng(29)
    bounds = [epsilon_one_run(*randomized_response(rng, 200, 4.0)) for _ in range(50)]
    assert all(bound.breaks(1.0) for bound in bounds)
    assert not any(bound.breaks(4.5) for bound in bounds)
