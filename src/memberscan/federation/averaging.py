"""Averages of the learners' models, and limits on the influence of one learner; numbers only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median

import torch
from torch import Tensor

MOST_OFTEN = 4
"""A learner's weight is at most this many times the sum of the others': four fifths of the average."""
OUTSIZED = 10.0
"""An update longer than this many times the others' median and the global model is left out."""


def weights_of(samples: Sequence[int]) -> list[int]:
    """Return each learner's weight: its number of samples, at most :data:`MOST_OFTEN` times the others' sum.

    The server cannot check how many scans a learner has. Without the limit, a learner that claims far too
    many would determine the average alone.
    """
    if len(samples) == 1:
        return list(samples)
    total = sum(samples)
    return [min(count, MOST_OFTEN * (total - count)) for count in samples]


def shares(weights: Sequence[int]) -> list[float]:
    """Return weights as shares of their sum."""
    return [weight / sum(weights) for weight in weights]


def outsized(sizes: Mapping[str, float], own: float) -> dict[str, float]:
    """Return the learners with outsized updates, the largest first, with the others' median length.

    An update is outsized if its norm is more than :data:`OUTSIZED` times the median norm of the others, and
    more than :data:`OUTSIZED` times the norm of the global model. A single update cannot be compared and
    passes.

    Parameters
    ----------
    sizes
        Length of each learner's update.
    own
        Length of the global model that they began with.
    """
    left = dict(sizes)
    odd: dict[str, float] = {}
    while len(left) > 1:
        name = max(left, key=left.__getitem__)
        others = median(size for other, size in left.items() if other != name)
        if left[name] <= OUTSIZED * max(others, own):
            break
        odd[name] = others
        del left[name]
    return odd


def federated_average(models: Sequence[Mapping[str, Tensor]], samples: Sequence[int]) -> dict[str, Tensor]:
    """Return the average of state dicts weighted by samples, summed in double precision.

    Integers, such as batch counters, are taken from the first model. Source: McMahan, Moore, Ramage,
    Hampson and Aguera y Arcas, "Communication-Efficient Learning of Deep Networks from Decentralized Data"
    (AISTATS 2017).
    """
    total = sum(samples)
    average = {}
    for name, first in models[0].items():
        if first.is_floating_point():
            weighted = [
                model[name].double() * (count / total) for model, count in zip(models, samples, strict=True)
            ]
            average[name] = torch.stack(weighted).sum(dim=0).to(first.dtype)
        else:
            average[name] = first.clone()
    return average


def norm(tensors: Sequence[Tensor]) -> float:
    """Return the Euclidean norm of all tensors together, in double precision."""
    return math.sqrt(sum(float(tensor.double().square().sum()) for tensor in tensors))
