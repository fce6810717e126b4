"""The classifier of all learned attacks: ridge regression with the least leave-one-out error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
    """Fit a ridge classifier to +1 and -1: sides weigh the same, and the leave-one-out error is least."""
    fits = ridges(known.values[None], member[None], np.ones((1, len(member)), dtype=bool))
    return Rule(fits.weights[0], float(fits.offsets[0]))


@dataclass(frozen=True, eq=False)
class Ridges:
    """Ridge classifiers that were fitted at once.

    Parameters
    ----------
    weights, offsets
        The weights of features, and the offset, of each.
    directions
        Among how many directions each chose: (sum of w)^2 / sum of w^2, where w is the squared factor by
        which the penalty shrinks what is found along a principal axis. It counts axes of equal factors.
    """

    weights: Float[np.ndarray, "fits d"]
    offsets: Float[np.ndarray, " fits"]
    directions: Float[np.ndarray, " fits"]


def ridges(
    values: Float[np.ndarray, "fits n d"],
    member: Bool[np.ndarray, "fits n"],
    given: Bool[np.ndarray, "fits n"],
) -> Ridges:
    """Fit many ridge classifiers at once; see :func:`ridge`.

    The leave-one-out residual of a linear smoother with hat matrix H is (y - Hy) / (1 - diag H) (Allen,
    1974); one eigendecomposition is enough for all penalties.

    Parameters
    ----------
    values
        The features of the known scans of each fit.
    member
        Whether each was trained on.
    given
        Which rows there are, since fits may have different numbers of scans.
    """
    n = given.sum(axis=1)[:, None]
    share = (member & given).sum(axis=1)[:, None] / n
    y = np.where(member, 1.0, -1.0)
    # These sum to n, and the mean of y with them is 0. Rows that are not there weigh nothing.
    weight = np.where(given, np.where(member, 0.5 / share, 0.5 / (1 - share)), 0.0)
    root = np.sqrt(weight)
    target = root * y
    mean = np.einsum("fn,fnd->fd", weight, values) / n
    u, s, v = _thin_svds((values - mean[:, None]) * root[:, :, None])
    energy = s**2
    projected = np.einsum("fnr,fn->fr", u, target)
    # The last axis is the penalty.
    total = energy.sum(axis=1)[:, None]
    penalties = _PENALTIES * np.where(total > 0, total, n)
    shrink = energy[:, :, None] / (energy[:, :, None] + penalties[:, None])
    residual = target[:, :, None] - u @ (shrink * projected[:, :, None])
    leverage = u**2 @ shrink + (weight / n)[:, :, None]
    errors = np.sum((residual / np.maximum(1 - leverage, 1e-6)) ** 2, axis=1)
    best = np.take_along_axis(penalties, np.argmin(errors, axis=1)[:, None], axis=1)
    coefficients = np.einsum("fdr,fr->fd", v, s / (energy + best) * projected)
    kept = (energy / (energy + best)) ** 2
    directions = kept.sum(axis=1) ** 2 / np.maximum((kept**2).sum(axis=1), 1e-300)
    return Ridges(coefficients, -np.einsum("fd,fd->f", mean, coefficients), directions)


def _thin_svds(x: Float[np.ndarray, "fits n d"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return thin SVDs through the smaller Gram matrices, which is several times faster than of x itself.

    Singular values that are zero but for rounding are zero, with zeros as vectors.
    """
    wide, turned = x.shape[2] > x.shape[1], x.swapaxes(1, 2)
    values, vectors = np.linalg.eigh(x @ turned if wide else turned @ x)
    kept = values > np.maximum(values[:, -1:], 0.0) * 1e-12
    s, vectors = np.sqrt(np.where(kept, values, 0.0)), vectors * kept[:, None]
    other = (turned if wide else x) @ vectors / np.where(kept, s, 1.0)[:, None]
    return (vectors, s, other) if wide else (other, s, vectors)
