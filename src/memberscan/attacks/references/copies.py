"""What changed copies of a scan add to reference models: both were asked about the scan and about its copies.

A model's error on a scan that it was not trained on is nearly that on a changed copy of it. So the difference
of the two hardly varies from one reference to the next, and training on the scan changes it. It is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.references.empirical_bayes import empirical_bayes
from memberscan.attacks.references.lira import shrunk_ratio
from memberscan.attacks.references.trials import Trials, standardised
from memberscan.attacks.unfitted import UnfittedAttack
from memberscan.attacks.with_references import Compared
from memberscan.signals import PREDICTION, Signal, View
from memberscan.signals.augmented_predictions import AUGMENTED_PREDICTIONS
from memberscan.signals.reference_models import REFERENCE_COPIES, REFERENCE_MEMBERS, REFERENCE_PREDICTIONS

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class CopiesAttack(UnfittedAttack):
    """Score a statistic of a model and its references on scans and on copies.

    Parameters
    ----------
    statistic
        Gives one number per scan, greater for members, from what :func:`with_copies` returns.
    """

    reads: tuple[Signal, ...] = field(
        default=(
            PREDICTION,
            AUGMENTED_PREDICTIONS,
            REFERENCE_PREDICTIONS,
            REFERENCE_COPIES,
            REFERENCE_MEMBERS,
        )
    )
    statistic: Callable[[Compared], Float[np.ndarray, " scans"]] = field(kw_only=True)

    def measured(self, view: View) -> Float[np.ndarray, " scans"]:
        """Return the statistic of each scan."""
        of_model, of_references = (
            view.residuals(view[signal], scans=-2) for signal in (AUGMENTED_PREDICTIONS, REFERENCE_COPIES)
        )
        return self.statistic(with_copies(Compared.of(view), of_model, of_references))


def with_copies(
    plain: Compared,
    of_model: Float[np.ndarray, "scans copies"],
    of_references: Float[np.ndarray, "references scans copies"],
) -> Compared:
    """Return what is compared of residuals, and three measurements that copies add.

    These are the shift, the residual less its mean over copies; the excess, the mean absolute error on copies
    less that on the scan; and the mean residual over copies.

    Parameters
    ----------
    plain
        The model and its references on the scans.
    of_model, of_references
        Their residuals on the copies.
    """
    sides = ((plain.residual, of_model), (plain.references, of_references))
    shift, excess, mean = (
        tuple(measure(own, copies) for own, copies in sides) for measure in (_shift, _excess, _mean)
    )
    also = tuple(replace(plain, residual=m, references=r) for m, r in (shift, excess, mean))
    return replace(plain, also=also)


def _shift(own: np.ndarray, copies: np.ndarray) -> np.ndarray:
    return np.asarray(own - copies.mean(axis=-1))


def _excess(own: np.ndarray, copies: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(copies).mean(axis=-1) - np.abs(own))


def _mean(own: np.ndarray, copies: np.ndarray) -> np.ndarray:  # noqa: ARG001
    return np.asarray(copies.mean(axis=-1))


def scores_of_copies(trials: Trials) -> list[Float[np.ndarray, "models scans"]]:
    """Return the scores that are stacked beside those of residuals."""
    shift, excess, mean = trials.also
    return [
        *differences_of_excess(trials),
        shrunk_ratio(excess),
        *differences_of_shift(trials),
        shrunk_ratio(shift),
        shrunk_ratio(shift.detrended),
        empirical_bayes(shift),
        shrunk_ratio(mean.detrended),
    ]


def differences_of_excess(trials: Trials) -> list[Float[np.ndarray, "models scans"]]:
    """Return scores of the excess that need one model to compare with, and not its members."""
    _, excess, _ = trials.also
    return [excess.residual, excess.residual - excess.moments.outs.mean]


def differences_of_shift(trials: Trials) -> list[Float[np.ndarray, "models scans"]]:
    """Return such scores of the shift: members' shifts are towards zero error."""
    shift, _, mean = trials.also
    toward_zero, moved = -np.sign(mean.residual), shift.residual - shift.moments.outs.mean
    return [toward_zero * shift.residual, toward_zero * moved, -mean.residual * moved]


def of_shifts(trials: Trials) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return shifts, and what their mean and log variance are regressed on for members and for others.

    Members' shifts are towards zero error: against the sign of the model's residual on the copies.
    """
    shift, _, mean = (each.detrended for each in trials.also)
    ins, outs = shift.moments.ins.mean, shift.moments.outs.mean
    copies, y = mean.residual, standardised(trials.label)
    one = np.ones_like(outs)
    on = [one, copies, copies * np.abs(copies), outs, ins, y * copies, one * y, one * y**2]
    spread_on = [one, np.abs(copies), np.abs(outs), np.abs(ins - outs), one * y, one * y**2]
    return shift.residual, np.stack(on, axis=-1), np.stack(spread_on, axis=-1)
