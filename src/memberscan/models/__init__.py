"""Target models: the paper's two, a perceptron for tables, and the way in for a user's own."""

from memberscan.models.build import MODELS, ModelSpec, build, importable
from memberscan.models.cnn3d import CNN3D
from memberscan.models.mlp import MLP
from memberscan.models.regressor import AgeRegressor
from memberscan.models.slice_mean import SliceMean
from memberscan.models.weights import load_weights, read_weights

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
