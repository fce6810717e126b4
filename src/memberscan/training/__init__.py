"""One training loop for every regime, resumable at any moment."""

from memberscan.training.imports import import_run
from memberscan.training.loop import TrainingConfig, fit
from memberscan.training.train import train

__all__ = ["TrainingConfig", "fit", "import_run", "train"]
