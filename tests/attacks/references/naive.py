"""Attacks with references written person by person, as a reader of their pages would: slow and plain."""

from __future__ import annotations

import numpy as np
from scipy import stats

from memberscan.attacks.with_references import Compared


def sides(values: np.ndarray, inside: np.ndarray, scan: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of the references with, and without, a scan."""
    return values[inside[:, scan], scan], values[~inside[:, scan], scan]


def pooled(values: np.ndarray, inside: np.ndarray) -> list[float]:
    """Return each side's centred pooled variance."""
    found = []
    for side in (0, 1):
        lists = [sides(values, inside, scan)[side] for scan in range(values.shape[1])]
        squares = sum(((one - one.mean()) ** 2).sum() for one in lists)
        found.append(squares / sum(len(one) - 1 for one in lists))
    return found


def centred(c: Compared) -> tuple[np.ndarray, np.ndarray]:
    models = [(r - r.mean()) / r.std() for r in (c.residual, *c.references)]
    return models[0], np.stack(models[1:])


def detrended(c: Compared) -> tuple[np.ndarray, np.ndarray]:
    rest = [r - np.polyval(np.polyfit(c.label, r, 2), c.label) for r in (c.residual, *c.references)]
    models = [r / r.std() for r in rest]
    return models[0], np.stack(models[1:])


def log_square(c: Compared) -> tuple[np.ndarray, np.ndarray]:
    floor = 1e-3 * np.mean(c.references**2)
    return np.log(c.residual**2 + floor), np.log(c.references**2 + floor)


def lira(c: Compared) -> list[float]:
    target, values = log_square(c)
    floors = [0.01 * v for v in pooled(values, c.inside)]
    scores = []
    for scan, u in enumerate(target):
        densities = [
            stats.norm.logpdf(u, one.mean(), np.sqrt(max(one.var(), floor)))
            for one, floor in zip(sides(values, c.inside, scan), floors, strict=True)
        ]
        scores.append(densities[0] - densities[1])
    return scores


def shrunk(one: np.ndarray, pool: float) -> float:
    return float((4 * pool + ((one - one.mean()) ** 2).sum()) / (4 + len(one) - 1))


def lira_signed(c: Compared) -> list[float]:
    target, values = detrended(c)
    pools = pooled(values, c.inside)
    scores = []
    for scan, r in enumerate(target):
        densities = []
        for one, pool in zip(sides(values, c.inside, scan), pools, strict=True):
            scale = np.sqrt(shrunk(one, pool) * (1 + 1 / len(one)))
            densities.append(stats.t.logpdf(r, 4 + len(one) - 1, one.mean(), scale))
        scores.append(densities[0] - densities[1])
    return scores


def lira_offline(c: Compared) -> list[float]:
    target, values = (np.abs(r) for r in centred(c))
    pool = pooled(values, c.inside)[1]
    outs = [sides(values, c.inside, scan)[1] for scan in range(len(target))]
    return [
        stats.norm.logsf(r, one.mean(), np.sqrt(shrunk(one, pool)))
        for r, one in zip(target, outs, strict=True)
    ]


def attack_r(c: Compared) -> list[float]:
    target, values = log_square(c)
    pool = pooled(values, c.inside)[1]
    outs = [sides(values, c.inside, scan)[1] for scan in range(len(target))]
    return [
        stats.norm.logsf(u, one.mean(), np.sqrt(shrunk(one, pool)))
        for u, one in zip(target, outs, strict=True)
    ]


def difficulty(c: Compared) -> list[float]:
    target, values = centred(c)
    return [(sides(values, c.inside, scan)[1] ** 2).mean() - r**2 for scan, r in enumerate(target)]


def base(c: Compared, temperature: float) -> list[float]:
    target, values = centred(c)
    return [
        -(r**2) / 2 / temperature - np.log(np.exp(-(values[:, scan] ** 2) / 2 / temperature).mean())
        for scan, r in enumerate(target)
    ]


def rmia(c: Compared, temperature: float, a: float) -> list[float]:
    target, values = centred(c)
    scores = []
    for scan, r in enumerate(target):
        p = np.exp(-(sides(values, c.inside, scan)[1] ** 2) / 2 / temperature).mean()
        scores.append(-(r**2) / 2 / temperature - np.log(((1 + a) * p + 1 - a) / 2))
    return scores


def leverage(c: Compared, kappa: float) -> list[float]:
    target, values = centred(c)
    pool = pooled(values, c.inside)[1]
    outs = [sides(values, c.inside, scan)[1] for scan in range(len(target))]
    variances = [shrunk(one, pool) for one in outs]
    noise = np.mean([one.mean() ** 2 - v / len(one) for one, v in zip(outs, variances, strict=True)])
    scores = []
    for r, one, v in zip(target, outs, variances, strict=True):
        h, m = kappa * v / noise, one.mean()
        inside = stats.norm.logpdf(r, m / (1 + h), np.sqrt(v) / (1 + h))
        scores.append(inside - stats.norm.logpdf(r, m, np.sqrt(v)))
    return scores


def empirical_bayes(c: Compared, weight: float) -> list[float]:
    target, values = detrended(c)
    pools = pooled(values, c.inside)
    both = [sides(values, c.inside, scan) for scan in range(len(target))]
    age = (c.label - c.label.mean()) / c.label.std()
    design = np.array([[1, outs.mean(), a, a**2, a * abs(a)] for (_, outs), a in zip(both, age, strict=True)])
    shift = np.array([ins.mean() - outs.mean() for ins, outs in both])
    root = np.sqrt([1 / (1 / len(ins) + 1 / len(outs)) for ins, outs in both])
    coefficients = np.linalg.lstsq(design * root[:, None], shift * root, rcond=None)[0]
    scores = []
    for r, (ins, outs), row in zip(target, both, design, strict=True):
        mean = (weight * (outs.mean() + row @ coefficients) + len(ins) * ins.mean()) / (weight + len(ins))
        densities = []
        for one, centre, pool in ((ins, mean, pools[0]), (outs, outs.mean(), pools[1])):
            scale = np.sqrt(shrunk(one, pool) * (1 + 1 / len(one)))
            densities.append(stats.t.logpdf(r, 4 + len(one) - 1, centre, scale))
        scores.append(densities[0] - densities[1])
    return scores
