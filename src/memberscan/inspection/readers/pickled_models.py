"""Objects of models whose state has no names in pickles: search trees of nearest neighbours."""

from __future__ import annotations

from typing import Final

from memberscan.inspection.readers.pickle_machine import Build, PickleMachine
from memberscan.inspection.values import Instance, Value

_TREE: Final = ("data", "idx_array", "node_data", "node_bounds")
"""What the first parts of the state of scikit-learn's trees are; the rest are settings."""


def _tree(machine: PickleMachine, made: Instance, state: Value) -> Value:
    machine.budget.look(len(state))
    made.state.update(zip(_TREE, state[: len(_TREE)], strict=True))
    made.state["__state__"] = state[len(_TREE) :]
    return made


def _scipy_tree(machine: PickleMachine, made: Instance, state: Value) -> Value:
    machine.budget.look(len(state))
    made.state["__state__"] = state
    made.state["data"] = state[1]
    return made


BUILDS: Final[dict[str, Build]] = {
    **dict.fromkeys(
        (
            f"sklearn.neighbors.{module}{kind}Tree{bits}"
            for kind in ("KD", "Ball")
            for module in ("", f"{kind.lower()}_tree.", f"_{kind.lower()}_tree.")
            for bits in ("", "32", "64")
        ),
        _tree,
    ),
    **dict.fromkeys(
        (
            f"scipy.spatial.{module}{kind}"
            for module in ("", "ckdtree.", "_ckdtree.", "kdtree.", "_kdtree.")
            for kind in ("cKDTree", "KDTree")
        ),
        _scipy_tree,
    ),
}
"""Classes whose state is known, by their full names."""
