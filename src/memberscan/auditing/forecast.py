"""What training references will take, and what it should give, before it is begun."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memberscan.auditing.facts import reported_variable
from memberscan.auditing.scratch import scratch
from memberscan.evidence.expected_power import expected_auc
from memberscan.evidence.gap import auc_of_ratio
from memberscan.progress import clock
from memberscan.received import JSON_LIMIT, read_limited
from memberscan.report.content.variable_json import Variable
from memberscan.report.words import amount, error_of_model
from memberscan.signals import PREDICTION, see
from memberscan.targets import Target

_TIMINGS = "timings.jsonl"


@dataclass(frozen=True)
class Forecast:
    """What references will take and give.

    Parameters
    ----------
    variable
        What the target predicts.
    count
        How many.
    seconds
        In all, if each takes as long as the run's own training did; None where that was not recorded.
    rmse_members, rmse_nonmembers
        Errors of the target, in the unit of what it predicts; for classes, root mean square deviance
        residuals.
    error_auc, references_auc
        AUC that follows from these errors in a linear model, without references and with as many.
    """

    variable: Variable
    count: int
    seconds: float | None
    rmse_members: float
    rmse_nonmembers: float
    error_auc: float
    references_auc: float

    def __str__(self) -> str:
        length = "an unknown time" if self.seconds is None else f"about {clock(self.seconds)}"
        inside = error_of_model(self.rmse_members, self.variable)
        return (
            f"training {self.count} references takes {length}. The target's errors are {inside} on members "
            f"and {amount(self.rmse_nonmembers, self.variable)} on others: in a linear model, an attack "
            f"has an AUC of {self.error_auc:.2f} without references and of {self.references_auc:.2f} with "
            f"{self.count}; on networks attacks with references usually find more"
        )


def forecast(target: Target, count: int, workers: int) -> Forecast:
    """Return what training references for a target will take and give.

    Parameters
    ----------
    target
        The target; its predictions are computed once.
    count
        How many references.
    workers
        How many are trained at a time.
    """
    with scratch() as directory:
        view = see(target, [PREDICTION], directory)
    squares = target.people.mean(view.residual**2)
    inside, outside = (float(np.sqrt(squares[side].mean())) for side in (target.member, ~target.member))
    ratio = outside / inside if inside > 0 else np.inf
    own = _seconds(target)
    return Forecast(
        variable=reported_variable(target.variable, target.people.mean(view.label)),
        count=count,
        seconds=None if own is None else own * -(-count // workers),
        rmse_members=inside,
        rmse_nonmembers=outside,
        error_auc=float(auc_of_ratio(np.array(ratio))),
        references_auc=expected_auc(min(ratio, 1e3) - 1, count),
    )


def _seconds(target: Target) -> float | None:
    """Return how long the training of a run took, or None."""
    run = getattr(target, "run", None)
    path = None if run is None else Path(run.path) / _TIMINGS
    if path is None or not path.is_file():
        return None
    for line in read_limited(path, JSON_LIMIT).decode(errors="replace").splitlines():
        try:
            entry = json.loads(line)
            if entry["stage"] in ("train", "federate"):
                return float(entry["seconds"])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return None
