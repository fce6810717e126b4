"""What is audited: a table of predictions, a trained model, or a federation seen by one of its parties.

The last two are imported from their modules, since a table of predictions is audited without torch.
"""

from memberscan.targets.opening import open_target
from memberscan.targets.predictions_table import PredictionsTable
from memberscan.targets.target import PredictionsFrom, Target

__all__ = ["PredictionsFrom", "PredictionsTable", "Target", "open_target"]
