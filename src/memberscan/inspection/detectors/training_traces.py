"""What training leaves in a file: optimizer state, batch statistics, folds and vectors of people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from memberscan.inspection import column_names
from memberscan.inspection.content import InspectionFinding
from memberscan.inspection.detectors.base import Detector, FileContext
from memberscan.inspection.nodes import FEWEST_ROWS, Node
from memberscan.inspection.values import Columns

_FEWEST_VECTORS, _FEWEST_COLUMNS = 10, 4
"""Smaller arrays are not taken for vectors of people."""
_FEW_BATCHES = 10
"""After fewer batches, the running statistics of a batch norm are nearly those of single batches."""


class TrainingTraces(Detector):
    """Finds what is not needed to predict and says something about the training set."""

    def __init__(self, file: FileContext) -> None:
        super().__init__(file)
        self._found: list[InspectionFinding] = []
        self._optimizer = ""
        self._batches: dict[str, int] = {}

    def see(self, node: Node) -> None:
        """Look at a node by its name and form."""
        if isinstance(node.value, Mapping) and {"state", "param_groups"} <= set(node.value):
            self._optimizer = self._optimizer or node.place or "the whole file"
        elif isinstance(node.value, np.ndarray):
            self._see_array(node, node.value)
        elif (
            isinstance(node.value, Columns)
            and list(node.value.columns) == [node.name]
            and _is_fold(node.name)
        ):
            self._fold(node, node.value.rows)

    def _see_array(self, node: Node, array: np.ndarray) -> None:
        plain = column_names.normalised(node.name)
        # Keras and optimizers of h5 files keep their slots beside the weights.
        if "optimizer" in node.place.lower() and array.size > 1:
            self._optimizer = self._optimizer or node.place
        elif node.name.endswith("num_batches_tracked") and array.size == 1:
            self._batches[node.place] = int(array.reshape(-1)[0])
        elif _is_fold(node.name) and array.ndim == 1 and len(array) >= FEWEST_ROWS:
            self._fold(node, len(array))
        elif (
            array.ndim == 2
            and array.shape[0] >= _FEWEST_VECTORS
            and array.shape[1] >= _FEWEST_COLUMNS
            and column_names.EMBEDDED.search(plain)
        ):
            self._found.append(
                self.file.finding(
                    "embeddings",
                    "look",
                    node.place,
                    f"{array.shape[0]:,} vectors of {array.shape[1]:,} numbers, perhaps one for each person.",
                    "Remove it if its rows are people: a vector tells who was there, and often age and sex.",
                    people=array.shape[0],
                )
            )

    def _fold(self, node: Node, count: int) -> None:
        self._found.append(
            self.file.finding(
                "folds",
                "look",
                node.place,
                f"A list of {count:,} entries that says who was trained on or held out.",
                "Remove it: whoever knows the order of the people learns who the members are.",
                people=count,
            )
        )

    def findings(self) -> Iterator[InspectionFinding]:
        """Yield what was found."""
        if self.file.program:
            return
        yield from self._found
        if self._optimizer:
            yield self.file.finding(
                "optimizer state",
                "note",
                self._optimizer,
                "The state of the optimizer, which sums up the last gradients of training.",
                "Remove it: predictions do not need it, and it helps attackers who have the weights.",
            )
        few = [place for place, batches in self._batches.items() if 0 < batches <= _FEW_BATCHES]
        if few:
            yield self.file.finding(
                "batch statistics",
                "look",
                few[0],
                f"Batch statistics from only {min(self._batches[place] for place in few)} batches, which are "
                "nearly averages over a few people.",
                "Train for longer, or use group normalisation, which keeps no statistics.",
            )


def _is_fold(name: str) -> bool:
    return column_names.FOLDS.match(column_names.normalised(name)) is not None
