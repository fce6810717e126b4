"""Target models: the two models of the paper, a perceptron for tables, and users' own networks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memberscan.models.cnn3d import CNN3D
    from memberscan.models.mlp import MLP
    from memberscan.models.regressor import AgeRegressor
    from memberscan.models.slice_mean import SliceMean
    from memberscan.models.spec import MODELS, ModelSpec, build, importable
    from memberscan.models.weights import load_weights, read_weights

# Imported lazily: this package also has the names of options and heads, which are read without loading torch.
_HOME = {
    "CNN3D": "cnn3d",
    "MLP": "mlp",
    "MODELS": "spec",
    "AgeRegressor": "regressor",
    "ModelSpec": "spec",
    "SliceMean": "slice_mean",
    "build": "spec",
    "importable": "spec",
    "load_weights": "weights",
    "read_weights": "weights",
}

__all__ = [
    "CNN3D",
    "MLP",
    "MODELS",
    "AgeRegressor",
    "ModelSpec",
    "SliceMean",
    "build",
    "importable",
    "load_weights",
    "read_weights",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
