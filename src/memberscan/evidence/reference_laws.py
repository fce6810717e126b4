"""Laws of each residual with and without the person in training, from few references: empirical Bayes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize
from scipy.special import digamma, gammaln, polygamma

from memberscan.errors import TooFewSubjectsError
from memberscan.evidence.two_normals import TwoNormals
from memberscan.limits import FEWEST_PER_SIDE

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from memberscan.evidence.twins import Twins

FEWEST_TWINS = 2
"""Fewest references with a person, and without it, that its laws can be learned from."""
_LEAST_VARIANCE = 1e-10
"""Share of the pooled variance below which no variance is taken to be."""
_WIDEST = 23.0
"""Greatest logarithm of a ratio of variances: one of 1e10 settles everything."""
_TERMS = 300
"""Of a series in the squared correlation of twins, which is held below 0.97."""
_PENALTY = 1e-3
"""Ridge penalty of the regression of the shift, per person."""


@dataclass(frozen=True, eq=False)
class Shift:
    """How far training on a person moves its residual, as learned from all people.

    Parameters
    ----------
    fitted
        The regression's value for each person.
    without
        The same if the person itself is left out of the regression.
    leverage
        The person's own weight in its fitted value.
    """

    fitted: Float[np.ndarray, " people"]
    without: Float[np.ndarray, " people"]
    leverage: Float[np.ndarray, " people"]


def enough(twins: Twins) -> Bool[np.ndarray, " people"]:
    """Return for whom enough references were trained, both with the person and without.

    Raises
    ------
    TooFewSubjectsError
        If that holds for fewer than ten people.
    """
    kept = twins.count >= FEWEST_TWINS
    if kept.sum() < FEWEST_PER_SIDE:
        raise TooFewSubjectsError(
            f"for {int(kept.sum())} of {len(kept)} people there are {FEWEST_TWINS} references with them and "
            f"{FEWEST_TWINS} without; train at least {2 * FEWEST_TWINS} references on one of each matched "
            "pair"
        )
    return np.asarray(kept)


@dataclass(frozen=True, eq=False)
class Learned:
    """What references say of the two laws of each person.

    Parameters
    ----------
    laws
        Both laws.
    shift_doubt
        How far the true shift of the mean may lie from the learned one because that was drawn towards other
        people's, as a standard deviation.
    ratio_doubt
        The same of the logarithm of the ratio of variances.
    """

    laws: TwoNormals
    shift_doubt: Float[np.ndarray, " people"]
    ratio_doubt: Float[np.ndarray, " people"]


def learn_laws(twins: Twins) -> TwoNormals:
    """Return the laws alone: see :func:`learn_with_doubt`."""
    return learn_with_doubt(twins).laws


def learn_with_doubt(twins: Twins) -> Learned:
    """Learn both laws of each person; people with too few references get those of people alike in label.

    References are few, so that no mean or variance of one person alone is reliable. Each is drawn towards
    what all people say, by as much as the data themselves support:

    - The *level* of a person's variance, towards the common level (an inverse gamma prior, whose weight is
      estimated: Smyth, Stat. Appl. Genet. Mol. Biol. 3, 2004).
    - The *ratio* of the two variances, towards that of all people, by the share of the spread of their
      logarithms that chance does not explain.
    - The *shift* of the mean by training on the person, towards a regression over all people on its residual
      and label: models move towards those they train on, and farther the farther those lie off.

    Notes
    -----
    The shift is regressed on a weighted mean of all residuals of a person, and not on its mean "out": the
    errors of the latter would enter the shift with the opposite sign, and make people look exposed where
    nothing leaks.

    Twins are trained on complementary halves of one cohort. What one half has too much of, the other lacks,
    so that the errors of twins are correlated, often below -0.5. The error of a shift counts that.
    """
    kept = enough(twins)
    variance_in, variance_out, correlation, ratio_doubt = _variances(twins, kept)
    n = np.maximum(twins.count, 1)
    mean_in, mean_out = twins.inside.sum(axis=0) / n, twins.outside.sum(axis=0) / n
    difference = mean_in - mean_out
    common = correlation * np.sqrt(variance_in * variance_out)
    # Of the difference of twins. The weights of the mean make its error uncorrelated with the difference's.
    variance = variance_in + variance_out - 2 * common
    share = (variance_in - common) / variance
    middle = (1 - share) * mean_in + share * mean_out
    error = variance / n
    shift = regress_shift(difference, middle, twins.label, np.where(kept, n, 0))
    spread = _spread(difference - shift.fitted, middle, error, shift.leverage, kept)
    # Without references the person's own shift and residual are unknown: nothing but the regression is left.
    own = np.where(kept, spread / np.maximum(spread + error, np.finfo(float).tiny), 0.0)
    posterior = shift.fitted + own * (difference - shift.fitted)
    laws = TwoNormals(middle + share * posterior, variance_in, middle - (1 - share) * posterior, variance_out)
    # The mean squared error of what is drawn in, less the part that comes from the references at hand.
    return Learned(laws, (1 - own) * np.sqrt(spread), ratio_doubt)


def regress_shift(
    difference: Float[np.ndarray, " people"],
    middle: Float[np.ndarray, " people"],
    label: Float[np.ndarray, " people"],
    weight: Float[np.ndarray, " people"],
) -> Shift:
    """Regress the shift over all people on residual and label, with a small ridge penalty.

    Parameters
    ----------
    difference, middle
        Mean residual with the person less that without, and the mean of both.
    label
        Years.
    weight
        Of each person; 0 leaves it out.
    """
    low, high = _range(middle[weight > 0])
    # So that one person who is far off everybody else does not decide for all.
    weight = weight / np.maximum(1.0, np.abs(2 * middle - low - high) / (high - low)) ** 2
    y = (label - np.average(label, weights=weight)) / (label.std() or 1.0)
    curves = np.stack([middle, y, y**2, y * np.abs(y)], axis=1)
    centre = np.average(curves, axis=0, weights=weight)
    scale = np.sqrt(np.average((curves - centre) ** 2, axis=0, weights=weight))
    curves = np.column_stack([np.ones_like(y), (curves - centre) / np.where(scale > 0, scale, 1.0)])
    penalty = np.diag([0.0, *[_PENALTY * weight.sum()] * 4])
    inverse = np.linalg.inv((curves * weight[:, None]).T @ curves + penalty)
    fitted = curves @ (inverse @ (curves.T @ (weight * difference)))
    leverage = np.minimum(weight * np.einsum("pc,cd,pd->p", curves, inverse, curves), 1 - 1e-6)
    return Shift(fitted, (fitted - leverage * difference) / (1 - leverage), leverage)


def moderated(
    squares: Float[np.ndarray, " people"],
    terms: Float[np.ndarray, " people"],
    kept: Bool[np.ndarray, " people"],
    share: float = 1.0,
) -> Float[np.ndarray, " people"]:
    """Return variances drawn towards a common one, whose weight in degrees of freedom is estimated.

    Parameters
    ----------
    squares
        Centred sum of squares of each person.
    terms
        Its expectation, in units of the variance.
    kept
        Whose variances count for the common one.
    share
        Degrees of freedom by term, below 1 where the terms are correlated.
    """
    least = _LEAST_VARIANCE * squares[kept].sum() / terms[kept].sum() or _LEAST_VARIANCE
    half = share * terms[kept] / 2
    logs = np.log(np.maximum(squares[kept] / terms[kept], least)) - digamma(half) + np.log(half)
    prior = _half_freedom(float(logs.var() - polygamma(1, half).mean()))
    common = float(np.exp(logs.mean()))
    if np.isinf(prior):
        return np.full(len(squares), common)
    common *= float(np.exp(digamma(prior))) / prior
    return np.asarray((2 * prior * common + share * squares) / (2 * prior + share * terms))


def _variances(
    twins: Twins, kept: Bool[np.ndarray, " people"]
) -> tuple[Float[np.ndarray, " people"], Float[np.ndarray, " people"], float, Float[np.ndarray, " people"]]:
    """Return the variance of each person's residual with it in training, and without.

    Also the correlation of twins, in common to all people, and the doubt about the ratio: see
    :class:`Learned`.
    """
    inside, outside, product = _squares(twins)
    freedom = np.where(kept, twins.count - 1.0, 0.0)
    ratio, correlation = pooled_ratio(inside[kept], outside[kept], product[kept])
    # Correlated sums of squares have fewer degrees of freedom together than twice those of one.
    level = moderated(inside / ratio + outside, 2 * freedom, kept, 1 / (1 + correlation**2))
    line, rest, _ = _regress_log_ratio(twins, level, kept)
    chance = _chance(np.maximum(freedom, 1), correlation)
    beyond = max(0.0, float((rest[kept] ** 2).mean() - chance[kept].mean()))
    # With one degree of freedom a ratio of one person says next to nothing.
    own = np.where(kept & (freedom > 1), beyond / (beyond + chance), 0.0)
    return (
        level * np.exp(np.clip(line + own * rest, -_WIDEST, _WIDEST)),
        level,
        correlation,
        (1 - own) * np.sqrt(beyond),
    )


def _chance(freedom: Float[np.ndarray, " people"], correlation: float) -> Float[np.ndarray, " people"]:
    """Return the variance that chance gives the logarithm of the ratio of two correlated mean squares.

    Twice the trigamma function, less twice the covariance of the two logarithms. Given the one sample, the
    square of the other is a Poisson mixture of independent chi-squares, whose moments give that as a series.
    """
    k = np.arange(1, _TERMS)[:, None]
    # Few numbers of references differ.
    values, place = np.unique(freedom, return_inverse=True)
    half = values / 2
    logs = 2 * k * np.log(max(abs(correlation), 1e-6)) + gammaln(half) + gammaln(k) - gammaln(half + k)
    return np.asarray((2 * polygamma(1, half) - 2 * (np.exp(logs) / k).sum(axis=0))[place])


def log_variance_ratio(
    twins: Twins, level: Float[np.ndarray, " people"], kept: Bool[np.ndarray, " people"]
) -> Float[np.ndarray, " people"]:
    """Return the logarithm of the variance with a person in training over that without, as others say.

    By the level of the person's variance: those whose residuals vary most from model to model are those whom
    models follow most.

    Parameters
    ----------
    twins
        Residuals.
    level
        Of each person's variance.
    kept
        Who counts.
    """
    line, rest, leverage = _regress_log_ratio(twins, level, kept)
    return np.asarray(np.clip(line - leverage / (1 - leverage) * rest, -_WIDEST, _WIDEST))


def _regress_log_ratio(
    twins: Twins, level: Float[np.ndarray, " people"], kept: Bool[np.ndarray, " people"]
) -> tuple[Float[np.ndarray, " people"], ...]:
    """Return the regression of the logarithm of the ratio on that of the level.

    What it predicts for each person, what it leaves, and each person's own weight in its prediction.
    """
    inside, outside, _ = _squares(twins)
    least = _LEAST_VARIANCE * (inside + outside)[kept].mean() or _LEAST_VARIANCE
    # Logarithms of mean squares of equal degrees of freedom: their difference is unbiased.
    found = np.log(np.maximum(inside, least)) - np.log(np.maximum(outside, least))
    logs = np.log(level)
    held = np.clip(logs, *_range(logs[kept]))
    curves = np.column_stack([np.ones_like(level), held - held[kept].mean()])
    # The pseudo-inverse copes with equal levels.
    inverse = np.linalg.pinv(curves[kept].T @ curves[kept], rcond=1e-9, hermitian=True)
    line = curves @ (inverse @ (curves[kept].T @ found[kept]))
    leverage = np.where(kept, np.minimum(np.einsum("pc,cd,pd->p", curves, inverse, curves), 1 - 1e-6), 0.0)
    return line, found - line, leverage


def pooled_ratio(
    inside: Float[np.ndarray, " people"],
    outside: Float[np.ndarray, " people"],
    product: Float[np.ndarray, " people"],
) -> tuple[float, float]:
    """Return the pooled variance with people in training over that without, and the correlation of twins.

    Parameters
    ----------
    inside, outside, product
        Centred sums of squares of each person, and of products of twins.
    """
    least = _LEAST_VARIANCE * (inside.sum() + outside.sum()) or _LEAST_VARIANCE
    one, other = max(inside.sum(), least), max(outside.sum(), least)
    correlation = float(np.clip(product.sum() / np.sqrt(one * other), -0.985, 0.985))
    return float(one / other), correlation


def _squares(twins: Twins) -> tuple[Float[np.ndarray, " people"], ...]:
    """Return centred sums of squares with each person in training, without it, and of products of twins."""
    n = np.maximum(twins.count, 1)
    inside, outside = (
        np.where(twins.told, part - part.sum(axis=0) / n, 0.0) for part in (twins.inside, twins.outside)
    )
    return (inside**2).sum(axis=0), (outside**2).sum(axis=0), (inside * outside).sum(axis=0)


def _range(values: Float[np.ndarray, " people"]) -> tuple[float, float]:
    """Return the median less and plus four standard deviations, told from the median distance to it."""
    middle = float(np.median(values))
    width = 4 * 1.4826 * float(np.median(np.abs(values - middle)))
    width = max(width, 1e-9 * abs(middle), np.finfo(float).tiny)
    return middle - width, middle + width


def _spread(
    rest: Float[np.ndarray, " people"],
    middle: Float[np.ndarray, " people"],
    error: Float[np.ndarray, " people"],
    leverage: Float[np.ndarray, " people"],
    kept: Bool[np.ndarray, " people"],
) -> Float[np.ndarray, " people"]:
    """Return the variance of people's true shifts around the regression.

    What chance does not explain of the squared rest is regressed on 1 and the squared residual, with
    coefficients of at least zero: those far off differ more in how far a model follows them.
    """
    beyond = (rest**2 - error * (1 - leverage))[kept]
    far = middle**2 / ((middle[kept] ** 2).mean() or 1.0)
    both = np.column_stack([np.ones(len(beyond)), far[kept]])
    # Squares vary in proportion to themselves: without weights a few people would decide.
    weight = 1 / (error[kept] * (1 + far[kept]))
    coefficients, _ = optimize.nnls(both * weight[:, None], beyond * weight)
    return np.asarray(coefficients[0] + coefficients[1] * far)


def _half_freedom(excess: float) -> float:
    """Return x with trigamma(x) equal to ``excess``; infinity where that is not positive."""
    if excess <= 1e-8:
        return np.inf
    return float(optimize.brentq(lambda x: polygamma(1, x) - excess, 1e-6, 1e9))
