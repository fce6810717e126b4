from __future__ import annotations

from typing import ClassVar

import pytest
from torch import nn

from memberscan.models import MLP
from memberscan.models.landmarks import guessed, landmarks_of


class Declared(nn.Linear):
    landmarks: ClassVar = {"output": "elsewhere"}


CONVOLUTIONS = (nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2), nn.Conv3d(2, 2, 3), nn.Flatten())


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (nn.Sequential(*CONVOLUTIONS, nn.Linear(9, 1)), {"conv1": "0", "conv6": "2", "output": "4"}),
        # A site classifier after the age: the layer with one output is the age.
        (
            nn.Sequential(*CONVOLUTIONS, nn.Linear(9, 1), nn.Linear(9, 4)),
            {"conv1": "0", "conv6": "2", "output": "4"},
        ),
        (nn.Sequential(*CONVOLUTIONS, nn.Linear(9, 40)), {"conv1": "0", "conv6": "2", "output": "4"}),
        # All convolutions, as networks with bins of age: the last one is the output.
        (nn.Sequential(*CONVOLUTIONS, nn.Conv3d(2, 1, 1)), {"conv1": "0", "conv6": "2", "output": "4"}),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(9, 1)), {"conv1": "0", "conv6": "0", "output": "1"}),
        (nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1)), {"output": "2"}),
        (nn.Identity(), {}),
        (nn.Linear(4, 1), {}),
    ],
)
def test_layers_are_guessed_from_their_order(network: nn.Module, expected: dict[str, str]) -> None:
    assert landmarks_of(network) == expected
    assert guessed(network)


def test_declared_ones_are_taken() -> None:
    assert landmarks_of(Declared(3, 1)) == {"output": "elsewhere"}
    assert not guessed(Declared(3, 1))
    assert landmarks_of(MLP((4,))) == {"output": "output"}
