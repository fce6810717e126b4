"""Optimizers by name, and the default learning rate of each."""

from __future__ import annotations

import torch

from memberscan.models import AgeRegressor
from memberscan.training.config import TrainingConfig

_MOMENTUM = 0.9
_SGD_LEARNING_RATE = 3e-3


def learning_rate(config: TrainingConfig, model: AgeRegressor) -> float:
    """Return the learning rate for training: the configured one, or a default."""
    own = model.learning_rate if config.optimizer == "adam" else _SGD_LEARNING_RATE
    return config.learning_rate or own


def new_optimizer(config: TrainingConfig, model: AgeRegressor) -> torch.optim.Optimizer:
    """Return a fresh optimizer of this model's parameters."""
    rate, decay = learning_rate(config, model), config.weight_decay
    if config.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=_MOMENTUM, weight_decay=decay)
