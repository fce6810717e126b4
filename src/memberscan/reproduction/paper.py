"""What the paper did, and what it found: Gupta et al., MIDL 2021 (arXiv:2105.02866)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

NAME: Final = "midl2021"
TITLE: Final = (
    "Membership Inference Attacks on Deep Regression Models for Neuroimaging (Gupta et al., MIDL 2021)"
)
MODELS = ("cnn3d", "slice-mean")
BLACK_BOX = "prediction+label"
WHITE_BOX = "prediction+label+gradient:conv6+gradient:output"
BLACK_BOX_ATTACKS = ("error", BLACK_BOX)
WHITE_BOX_ATTACKS = (
    "activation",
    "gradient-magnitude",
    "gradient:conv1",
    "gradient:output",
    "gradient:conv6",
    WHITE_BOX,
)
ATTACKS = (*BLACK_BOX_ATTACKS, *WHITE_BOX_ATTACKS)
"""The rows of the centralized table."""
DRAWS = 5
EPOCHS, LEARNING_RATE, WEIGHT_DECAY, BATCH_SIZE, DROPOUT = 100, 1e-4, 1e-4, 8, 0.5
WIDTH = 32
"""Channels of the first block of both models."""
LEARNERS, LOCAL_EPOCHS, HELD_OUT = 8, 4, 0.2
ROUNDS = MappingProxyType({"cnn3d": 25, "slice-mean": 40})
IID = "uniform-iid"
ENVIRONMENTS = (IID, "uniform-noniid", "skewed-noniid")
"""The paper's; "skewed-iid" is of its authors' later configurations, and the paper claims nothing of it."""
PEOPLE = 10_446
GRID = (91, 109, 91)

CURVES = MappingProxyType(
    {
        "cnn3d": dict(
            enumerate(
                (
                    *(0.504, 0.504, 0.502, 0.504, 0.504, 0.506, 0.506, 0.510, 0.511, 0.520, 0.520, 0.533),
                    *(0.544, 0.549, 0.558, 0.562, 0.570, 0.576, 0.580, 0.586, 0.592, 0.597, 0.600, 0.605),
                    0.613,
                ),
                start=1,
            )
        ),
        "slice-mean": {
            15: 0.514,
            20: 0.526,
            25: 0.537,
            26: 0.546,
            31: 0.564,
            36: 0.576,
            38: 0.587,
            40: 0.585,
        },
    }
)
"""Accuracy of learners' attacks after each round in the uniform, IID environment, read off a figure.

The authors' figure counts rounds from 0, and these from 1. Of the second model, the rounds before the first
one given are flat between 0.504 and 0.513.
"""
RISES = MappingProxyType({"cnn3d": "+0.109", "slice-mean": "+0.072 to +0.081"})
"""Differences between the last round and the first; of the second model the first is known by its range."""
