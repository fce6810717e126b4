"""Attacks that compare a model with reference models, of which the attacker knows who was trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.unfitted import UnfittedAttack
from memberscan.signals import PREDICTION, Signal, View
from memberscan.signals.reference_models import REFERENCE_MEMBERS, REFERENCE_PREDICTIONS

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class Compared:
    """A model and its references on the same scans.

    Parameters
    ----------
    residual
        Residuals of the model: see :meth:`.TargetVariable.residual`.
    references
        The same of each reference.
    inside
        Whether each reference was trained on each scan. Rows 2j and 2j + 1 are twins, trained on the two
        people of each matched pair: everybody was in as many references as out of them.
    label
        The true value of the target, or the position of the class.
    also
        The same of other measurements than the residual, in its place.
    classes
        Whether the target is a class, so that residuals are deviance residuals.
    """

    residual: Float[np.ndarray, " scans"]
    references: Float[np.ndarray, "references scans"]
    inside: Bool[np.ndarray, "references scans"]
    label: Float[np.ndarray, " scans"]
    also: tuple[Compared, ...] = ()
    classes: bool = False

    @classmethod
    def of(cls, view: View) -> Compared:
        """Return what a view has of the model and its references."""
        return cls(
            view.residual,
            view.residuals(view[REFERENCE_PREDICTIONS]),
            np.asarray(view[REFERENCE_MEMBERS], dtype=bool),
            view.label,
            classes=bool(view.variable.classes),
        )

    def with_target(self, k: int) -> Compared:
        """Return reference ``k`` as the model, compared with the others without its twin.

        The twin is left out because with it the number of references that saw a person would tell whether
        reference ``k`` did.
        """
        others = np.setdiff1d(np.arange(len(self.references)), [k, k ^ 1])
        also = tuple(each.with_target(k) for each in self.also)
        return replace(
            self,
            residual=self.references[k],
            references=self.references[others],
            inside=self.inside[others],
            also=also,
        )

    def take(self, scans: Int[np.ndarray, " some"]) -> Compared:
        """Return some of the scans, in this order."""
        also = tuple(each.take(scans) for each in self.also)
        return replace(
            self,
            residual=self.residual[scans],
            references=self.references[:, scans],
            inside=self.inside[:, scans],
            label=self.label[scans],
            also=also,
        )


@dataclass(frozen=True)
class ReferenceAttack(UnfittedAttack):
    """Score a statistic of the residuals of a model and its references.

    Parameters
    ----------
    statistic
        Gives one number per scan, greater for members.
    """

    reads: tuple[Signal, ...] = field(default=(PREDICTION, REFERENCE_PREDICTIONS, REFERENCE_MEMBERS))
    statistic: Callable[[Compared], Float[np.ndarray, " scans"]] = field(kw_only=True)

    def measured(self, view: View) -> Float[np.ndarray, " scans"]:
        """Return the statistic of each scan."""
        return self.statistic(Compared.of(view))
