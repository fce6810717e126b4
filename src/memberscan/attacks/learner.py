"""The classifier of all learned attacks: ridge regression with the least leave-one-out error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.attack import Features, Rule

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

_PENALTIES = np.logspace(-3, 2, 11)


def standardise(values: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Return columns with mean 0 and standard deviation 1; a constant column becomes zero."""
    centred = values - np.mean(values, axis=0)
    spread = centred.std(axis=0)
    varying = spread > 1e-12 * np.abs(values).max(axis=0, initial=1e-300)
    return np.asarray(np.divide(centred, spread, out=np.zeros_like(centred), where=varying))


def joined(blocks: Iterable[Iterable[Float[np.ndarray, "n tile"]]]) -> Float[np.ndarray, "n d"]:
    """Return the columns of all blocks, each block scaled to a total variance of 1.

    Parameters
    ----------
    blocks
        Each as its standardised columns, some at a time.
    """
    wholes = [np.hstack(list(tiles)) for tiles in blocks]
    return np.hstack([whole / np.sqrt(max(_varying(whole), 1)) for whole in wholes])


def coordinates(blocks: Iterable[Iterable[Float[np.ndarray, "n tile"]]]) -> Float[np.ndarray, "n r"]:
    """Return coordinates, at most as many as scans, with the same inner products as :func:`joined` columns.

    A ridge classifier uses features through their inner products only, so nothing is lost. Coordinates come
    from the eigenvectors of the Gram matrix, and no block is ever in memory as a whole.
    """
    gram = np.zeros(())
    for tiles in blocks:
        products, varying = np.zeros(()), 0
        for tile in tiles:
            products = products + tile @ tile.T
            varying += _varying(tile)
        gram = gram + products / max(varying, 1)
    return _of_gram(gram)


def narrowed(parts: Sequence[Float[np.ndarray, "n columns"]]) -> Float[np.ndarray, "n r"]:
    """Return all columns beside each other, or as many coordinates as rows with the same inner products."""
    if sum(part.shape[1] for part in parts) <= len(parts[0]):
        return np.hstack(parts)
    return _of_gram(np.sum([part @ part.T for part in parts], axis=0))


def _of_gram(gram: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n r"]:
    values, vectors = np.linalg.eigh(gram)
    kept = values > values[-1] * 1e-10
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept]))


def _varying(standardised: Float[np.ndarray, "n d"]) -> int:
    return int(standardised.any(axis=0).sum())


def ridge(known: Features, member: Bool[np.ndarray, " n"]) -> Rule:
    """Fit a ridge classifier to +1 and -1, with equal weight of both sides and the best leave-one-out error.

    The leave-one-out residual of a linear smoother with hat matrix H is (y - Hy) / (1 - diag H) (Allen,
    1974); one eigendecomposition is enough for all penalties.
    """
    n, share = len(member), member.mean()
    y = np.where(member, 1.0, -1.0)
    # These sum to n, and the mean of y with them is 0.
    weight = np.where(member, 0.5 / share, 0.5 / (1 - share))
    root = np.sqrt(weight)
    mean = weight @ known.values / n
    target = root * y
    u, s, vt = _thin_svd((known.values - mean) * root[:, None])
    energy = s**2
    projected = u.T @ target
    # One column for each penalty.
    penalties = _PENALTIES * (float(energy.sum()) or n)
    shrink = energy[:, None] / (energy[:, None] + penalties)
    residual = target[:, None] - u @ (shrink * projected[:, None])
    leverage = (u**2) @ shrink + (weight / n)[:, None]
    errors = np.mean((residual / np.maximum(1 - leverage, 1e-6)) ** 2, axis=0)
    coefficients = vt.T @ (s / (energy + penalties[np.argmin(errors)]) * projected)
    return Rule(coefficients, -float(mean @ coefficients))


def _thin_svd(x: Float[np.ndarray, "n d"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a thin SVD through the smaller Gram matrix, which is several times faster than of x itself."""
    wide = x.shape[1] > x.shape[0]
    values, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    kept = values > max(values[-1], 0.0) * 1e-12
    s, vectors = np.sqrt(values[kept]), vectors[:, kept]
    other = (x.T @ vectors if wide else x @ vectors) / s
    return (vectors, s, other.T) if wide else (other, s, vectors.T)
