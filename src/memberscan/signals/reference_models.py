"""What reference models predict, and who each of them was trained on: what an attacker compares with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memberscan.signals.signal import COPY, REFERENCE, SCAN, BehindService, Observed, Provider, Signal
from memberscan.threat import WITH_REFERENCES, Access, ThreatModel

if TYPE_CHECKING:
    from memberscan.references.ensemble import Ensemble
    from memberscan.targets.target import Target

REFERENCE_PREDICTIONS = Signal("reference-predictions", (REFERENCE, SCAN))
"""Of each scan by each reference model, as the predictions of the model itself."""
REFERENCE_MEMBERS = Signal("reference-members", (REFERENCE, SCAN))
"""Whether each reference model was trained on each scan. Rows 2j and 2j + 1 are twins: the second was trained
on the person of each matched pair that the first was not trained on."""
REFERENCE_COPIES = Signal("reference-copies", (REFERENCE, SCAN, COPY))
"""Of the same changed copies of each scan as the model's own, by each reference model."""


@dataclass(frozen=True)
class ReferenceModels(Provider):
    """Predictions of reference models, which an attacker trains for itself on people of its own choice."""

    def behind_service(self, signal: Signal) -> BehindService:
        """See :class:`~memberscan.signals.signal.Provider`."""
        return "unchanged" if signal == REFERENCE_MEMBERS else "changed"

    def absent(self, signals: Sequence[Signal], target: Target) -> str | None:
        """See :class:`~memberscan.signals.signal.Provider`."""
        if target.references is None:
            return (
                "needs reference models; train some with memberscan references, then audit with --references"
            )
        return _other_copies(target, target.references) if REFERENCE_COPIES in signals else None

    def adds(self, signals: Sequence[Signal], target: Target) -> bool:
        """See :class:`~memberscan.signals.signal.Provider`; copies do if both were asked about the same."""
        if REFERENCE_COPIES not in signals or target.references is None:
            return True
        asked = target.predictions is None or target.copies is not None
        return asked and _other_copies(target, target.references) is None

    def out_of_sight(self, threat: ThreatModel) -> str:
        """See :class:`~memberscan.signals.signal.Provider`."""
        return f"is an attack on the global model; this attacker ({threat.attacker}) attacks the updates"

    def observe(self, signals: Sequence[Signal], target: Target, directory: Path) -> Observed:  # noqa: ARG002
        """Return the rows of the references, in the order of the target's scans."""
        assert target.references is not None
        found = target.references
        values = {
            REFERENCE_PREDICTIONS: found.predictions,
            REFERENCE_MEMBERS: found.inside,
            REFERENCE_COPIES: found.copies,
        }
        return Observed({signal: values[signal] for signal in signals})


def _other_copies(target: Target, references: Ensemble) -> str | None:
    """Return why the references were not asked about the copies that the target is asked about, or None."""
    if references.copies is None:
        return "needs references that predict changed copies too, as memberscan references makes them"
    given = target.predictions is not None
    if given and target.copies is None:
        return None
    # Where a lab trained the references itself, it made their copies, too; otherwise memberscan did.
    of_lab = references.cohort is None
    if given and not of_lab:
        return (
            "needs references that were asked about the copies of the predictions file: plan and collect them"
        )
    if of_lab and not given:
        return "needs the model's predictions of the copies that the references saw: audit a file of them"
    if target.copies is not None and target.copies.shape[1] != references.copies.shape[2]:
        return (
            f"needs the same copies of both: the file has {target.copies.shape[1]} of each scan, and the "
            f"references {references.copies.shape[2]}"
        )
    return None


REFERENCES = ReferenceModels(
    ("reference-predictions", "reference-members", "reference-copies"),
    Access.OUTPUTS,
    frozenset(WITH_REFERENCES),
)
