"""Join what several sites found about their own people: means over sites, Holm's correction over all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from memberscan.evidence.multiple import holm
from memberscan.report.content.federation_json import Pair
from memberscan.report.content.parts import Estimate, Part

R = TypeVar("R", bound=Part)

_TWO_SIDED = float(norm.ppf(0.975))


def mean_over_sites(estimates: Sequence[Estimate]) -> Estimate:
    """Return the unweighted mean of fractions that sites found independently, with its 95% interval.

    Each site's standard error is derived from its interval: on the logit scale, v (1 - v) times the
    interval's length there over 2 x 1.96 (delta method), or where an end is 0 or 1 and has no logit, the
    greater part of the interval over 1.96. The error of the mean is the root of the summed squares over
    the number of sites, and the interval is computed on the logit scale. One site is returned unchanged.

    What it is not: a value for all people (a site of 10 has the weight of one of 1,000), an interval over
    other sites or over training again, or valid where sites share people, including held-out people. All
    sites audit the same trained models, and that common part is not in the interval.

    Parameters
    ----------
    estimates
        One of each site.
    """
    if len(estimates) == 1:
        return Estimate(value=estimates[0].value, low=estimates[0].low, high=estimates[0].high)
    value, low, high = (np.array([getattr(e, key) for e in estimates]) for key in ("value", "low", "high"))
    inside = (low > 0) & (high < 1)
    errors = np.maximum(high - value, value - low) / _TWO_SIDED
    # d logit(v) / dv = 1 / (v (1 - v)), so an error on the logit scale is v (1 - v) times as large on v's.
    spread = logit(high[inside]) - logit(low[inside])
    errors[inside] = value[inside] * (1 - value[inside]) * spread / (2 * _TWO_SIDED)
    mean = float(value.mean())
    error = float(np.sqrt((errors**2).sum())) / len(estimates)
    if mean in (0, 1):
        half = _TWO_SIDED * error
        return Estimate(value=mean, low=max(0.0, mean - half), high=min(1.0, mean + half))
    half = _TWO_SIDED * error / (mean * (1 - mean))
    return Estimate(value=mean, low=float(expit(logit(mean) - half)), high=float(expit(logit(mean) + half)))


def correct(pairs: Sequence[Pair]) -> list[Pair]:
    """Return pairs with Holm's correction over all pairs of all attacks, as one audit has it."""
    tested = [k for k, pair in enumerate(pairs) if pair.p_value is not None]
    p_values = holm(np.array([pairs[k].p_value for k in tested], dtype=float)).tolist()
    of_pair = dict(zip(tested, p_values, strict=True))
    return [pair.model_copy(update={"p_holm": of_pair.get(k)}) for k, pair in enumerate(pairs)]


def rows(parts: Iterable[Sequence[R]], key: Callable[[R], Any], values: Sequence[str]) -> tuple[R, ...]:
    """Return one row for each key that several lists have, with means over sites.

    Parameters
    ----------
    parts
        Each site's rows.
    key
        What rows to join have in common; it must be sortable.
    values
        Names of the estimates to average; null where no site has one.
    """
    grouped: dict[Any, list[R]] = {}
    for part in parts:
        for row in part:
            grouped.setdefault(key(row), []).append(row)
    joined = []
    for _, same in sorted(grouped.items(), key=lambda item: item[0]):
        known = {name: [e for row in same if (e := getattr(row, name)) is not None] for name in values}
        means = {name: mean_over_sites(e) if e else None for name, e in known.items()}
        joined.append(same[0].model_copy(update=means))
    return tuple(joined)
