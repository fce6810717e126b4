"""What the audits of all draws found, gathered by what it is about; not yet rounded or judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from memberscan.evidence.intervals import Interval
from memberscan.evidence.over_draws import OverDraws
from memberscan.reproduction import paper
from memberscan.reproduction.tasks import Cell

Content = Mapping[str, Any]
"""The content of one audit.json."""


@dataclass(frozen=True, eq=False)
class Attacked:
    """What one attack did, over draws.

    Parameters
    ----------
    access
        What it sees.
    accuracy, auc
        Balanced accuracy and area under the ROC curve.
    """

    access: str
    accuracy: OverDraws
    auc: OverDraws


@dataclass(frozen=True, eq=False)
class Central:
    """One model that was trained in one place, for the paper's number of epochs or fewer.

    Parameters
    ----------
    epochs
        Of training.
    members, nonmembers
        People on each side.
    error_members, error_nonmembers
        Mean absolute errors in each draw.
    attacked
        By attack.
    gain
        What the weights add to the outputs: difference of AUCs on the same people; None where not measured.
    """

    epochs: int
    members: int
    nonmembers: int
    error_members: tuple[float, ...]
    error_nonmembers: tuple[float, ...]
    attacked: Mapping[str, Attacked]
    gain: OverDraws | None

    @property
    def overfitting(self) -> tuple[float, ...]:
        """By how much the error on non-members is greater, in each draw."""
        return tuple(b - a for a, b in zip(self.error_members, self.error_nonmembers, strict=True))


@dataclass(frozen=True, eq=False)
class Federated:
    """One federation, attacked by its learners.

    Parameters
    ----------
    rounds
        Accuracy of the black-box attack after each round, over draws.
    white_box
        Accuracy of the white-box attack after the last round; None where it saw nothing.
    told_blind
        Learners whose people are told by covariates alone, in the draw where they are most.
    """

    rounds: Mapping[int, OverDraws]
    white_box: OverDraws | None
    told_blind: int


@dataclass(frozen=True, eq=False)
class Found:
    """All that was found.

    Parameters
    ----------
    central
        By model, with the paper's rule of when to stop.
    lengths
        By model: trainings of several lengths that keep the last epoch, the shortest first.
    federated
        By model and environment.
    failed
        Why a cell has no figures.
    weaker
        Why models may leak less here than the paper's, so that no figure can disagree; None if they do not.
    """

    central: Mapping[str, Central]
    lengths: Mapping[str, Sequence[Central]]
    federated: Mapping[tuple[str, str], Federated]
    failed: Mapping[Cell, str] = field(default_factory=dict)
    weaker: str | None = None


def central_of(audits: Sequence[Content], epochs: int) -> Central:
    """Return what the audits of all draws of one model found."""
    targets = [each["target"] for each in audits]
    attacks = [finding["attack"] for finding in audits[0]["findings"]]
    gains = [_gain(each) for each in audits]
    return Central(
        epochs=epochs,
        members=targets[0]["members"],
        nonmembers=targets[0]["nonmembers"],
        error_members=tuple(each["mae_members"] for each in targets),
        error_nonmembers=tuple(each["mae_nonmembers"] for each in targets),
        attacked={name: found for name in attacks if (found := _attacked(audits, name))},
        gain=OverDraws.of([gain for gain in gains if gain]) if all(gains) else None,
    )


def federated_of(audits: Sequence[Content]) -> Federated:
    """Return what the audits of all draws of one federation found."""
    parts = [each["federation"] for each in audits]
    by_round: dict[int, list[Interval]] = {}
    for part in parts:
        for entry in part["by_round"]:
            if entry["accuracy"]:
                by_round.setdefault(entry["round"], []).append(_interval(entry["accuracy"]))
    white = _attacked(audits, paper.WHITE_BOX)
    return Federated(
        # A round that not every draw has would mix draws.
        rounds={n: OverDraws.of(found) for n, found in sorted(by_round.items()) if len(found) == len(audits)},
        white_box=white.accuracy if white else None,
        told_blind=max(sum(v["tripped"] and v["gates"] for v in part["victims"]) for part in parts),
    )


def correlation_of(lengths: Sequence[Central]) -> OverDraws | None:
    """Return the correlation of overfitting with leakage over the lengths of training, for each draw.

    Pearson's, between the difference of the errors and the accuracy of the black-box attack. None where one
    of them is the same at all lengths.
    """
    if len(lengths) < 3:
        return None
    overfitting = np.array([each.overfitting for each in lengths])
    accuracy = np.array([each.attacked[paper.BLACK_BOX].accuracy.values for each in lengths])
    if not (np.ptp(overfitting, axis=0) > 0).all() or not (np.ptp(accuracy, axis=0) > 0).all():
        return None
    pairs = zip(overfitting.T, accuracy.T, strict=True)
    return OverDraws.alone([float(np.corrcoef(x, y)[0, 1]) for x, y in pairs])


def _attacked(audits: Sequence[Content], attack: str) -> Attacked | None:
    """Return what one attack found in all draws; None if it did not run in one of them."""
    found = [next((f for f in each["findings"] if f["attack"] == attack), None) for each in audits]
    there = [f for f in found if f is not None]
    if len(there) < len(found):
        return None
    accuracy, auc = ([_interval(f[name]) for f in there] for name in ("accuracy", "auc"))
    return Attacked(there[0]["access"], OverDraws.of(accuracy), OverDraws.of(auc))


def _gain(audit: Content) -> Interval | None:
    found = (g["difference"] for g in audit["gains"] if g["attack"] == paper.WHITE_BOX)
    return next((_interval(difference) for difference in found), None)


def _interval(found: Content) -> Interval:
    return Interval(found["value"], found["low"], found["high"])
