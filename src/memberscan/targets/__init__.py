"""What is audited: a table of predictions, a trained model, or a party's place in a federation."""

from memberscan.targets.opening import open_target
from memberscan.targets.party import Party
from memberscan.targets.predictions_table import PredictionsTable
from memberscan.targets.target import Target
from memberscan.targets.trained_model import TrainedModel

__all__ = ["Party", "PredictionsTable", "Target", "TrainedModel", "open_target"]
