"""How much privacy noise buys: epsilon from noise, and the noise for an epsilon, by Opacus' accountant."""

from __future__ import annotations

import functools
import logging
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from memberscan.errors import BadInputError, MissingExtraError

_LARGEST_NOISE = 1e4
_SMALLEST_NOISE = 1e-2
_PRECISION = 1e-3


Steps = int | tuple[tuple[float, int], ...]
"""A number of steps with the same noise; or several numbers of steps, each after a factor of their noise."""


@functools.lru_cache(maxsize=256)
def epsilon_of(noise: float, rate: float, steps: Steps, delta: float) -> float:
    """Return epsilon of the subsampled Gaussian mechanism, by Renyi differential privacy.

    It is an upper bound: the true epsilon is smaller. Adjacent training sets differ by adding or removing one
    person, whom each step draws with probability ``rate``, on its own (Poisson).

    Parameters
    ----------
    noise
        Standard deviation of the noise in each step, in units of the clipping norm.
    rate
        Probability that a step draws a person.
    steps
        Number of steps; or pairs of a factor, by which ``noise`` is multiplied, and the number of steps that
        have this noise.
    delta
        Probability with which the bound may fail.

    Raises
    ------
    MissingExtraError
        If Opacus is not installed.
    BadInputError
        If the noise is so small that epsilon overflows.

    Notes
    -----
    Source: Mironov, Talwar and Zhang, "Renyi Differential Privacy of the Sampled Gaussian Mechanism" (2019).
    Renyi divergences of steps add up, whatever the noise of each: Mironov, "Renyi Differential Privacy"
    (2017), Proposition 1.
    """
    return _best(noise, rate, steps, delta)[0]


def _best(
    noise: float, rate: float, steps: Steps, delta: float, orders: tuple[float, ...] = ()
) -> tuple[float, float]:
    """Return the least epsilon over some orders, by default all of the accountant, and its order.

    It is infinite if some orders were given and none of them has a finite one.
    """
    accountant, rdp = _opacus()
    asked = list(orders) or accountant.DEFAULT_ALPHAS
    with warnings.catch_warnings():
        # It says that the best order is the first or last one, so a tighter bound may exist; this one holds.
        warnings.simplefilter("ignore")
        groups = ((1.0, steps),) if isinstance(steps, int) else steps
        spent = np.sum(
            [
                rdp.compute_rdp(q=rate, noise_multiplier=factor * noise, steps=count, orders=asked)
                for factor, count in groups
            ],
            axis=0,
        )
        usable = bool(np.isfinite(spent).any())
        found = rdp.get_privacy_spent(orders=asked, rdp=spent, delta=delta) if usable else (math.inf, 0.0)
    epsilon, order = map(float, found)
    if not orders and not math.isfinite(epsilon):
        raise BadInputError(f"noise is {noise:g}, too little for any epsilon; give more")
    # With much noise, delta alone covers everything, and the conversion from Renyi's form goes below zero.
    return max(epsilon, 0.0), order


def default_delta(people: int) -> float:
    """Return the largest power of ten below one over the number of people."""
    # 10^(-k) with the least k that makes it smaller than 1 / people.
    return float(10.0 ** -(math.floor(math.log10(people)) + 1))


@functools.lru_cache(maxsize=256)
def noise_for(epsilon: float, rate: float, steps: Steps, delta: float) -> float:
    """Return the least noise whose :func:`epsilon_of` is at most ``epsilon``, to a thousandth.

    Raises
    ------
    BadInputError
        If no noise between a hundredth and ten thousand clipping norms gives this epsilon.
    """
    # Epsilon falls as noise grows, so bisection on the logarithm of the noise finds it. Starting from 1 and
    # doubling avoids very small noise, for which the accountant is slow and may overflow.
    least = most = 1.0
    suffices = _sufficient(epsilon, rate, steps, delta)
    while not suffices(most):
        least, most = most, 2 * most
        if most > _LARGEST_NOISE:
            raise BadInputError(
                f"epsilon is {epsilon:g}, which no noise up to {_LARGEST_NOISE:g} clipping norms gives at "
                f"delta {delta:g}; give a larger epsilon or delta"
            )
    while suffices(least):
        least, most = least / 2, least
        if least < _SMALLEST_NOISE:
            raise BadInputError(
                f"epsilon is {epsilon:g}, and noise of {_SMALLEST_NOISE:g} clipping norms gives less, so it "
                "protects nobody: leave out the defence, or give a smaller epsilon"
            )
    while most / least > 1 + _PRECISION:
        middle = math.sqrt(least * most)
        if suffices(middle):
            most = middle
        else:
            least = middle
    return most


def _sufficient(epsilon: float, rate: float, steps: Steps, delta: float) -> Callable[[float], bool]:
    """Return whether :func:`epsilon_of` of a noise is at most ``epsilon``, as a function."""
    order = _best(1.0, rate, steps, delta)[1]

    def suffices(noise: float) -> bool:
        nonlocal order
        # Epsilon is the least over all orders: where one is small enough, the others need not be computed.
        if _best(noise, rate, steps, delta, (order,))[0] <= epsilon * (1 - 1e-9):
            return True
        found, order = _best(noise, rate, steps, delta)
        return found <= epsilon

    return suffices


def _opacus() -> tuple[Any, Any]:
    """Return Opacus' accountant and its functions of Renyi divergences."""
    # When imported, Opacus sends the messages of all libraries to the terminal, unless there is a handler.
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    try:
        from opacus.accountants import RDPAccountant
        from opacus.accountants.analysis import rdp
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "the accountant of dp-sgd needs Opacus: pip install 'memberscan[dp]'"
        ) from error
    finally:
        logging.root.removeHandler(handler)
    return RDPAccountant, rdp
