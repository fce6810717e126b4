"""Covariates of each scan: the label, and what else was recorded of people, as columns of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memberscan.evidence.design_matrix import columns_of, standardise_covariates
from memberscan.signals.of_final_model import FINAL, no_people_of_its_own
from memberscan.signals.signal import SCAN, BehindService, Observed, Provider, Signal
from memberscan.threat import Access, ThreatModel

if TYPE_CHECKING:
    from memberscan.evidence.design_matrix import Group
    from memberscan.targets.target import Target

COVARIATES = Signal("covariates", (SCAN, "column"))
"""Cubic splines of numbers and a column for each level of text, standardised over scans."""


@dataclass(frozen=True)
class Covariates(Provider):
    """Columns that any smooth function of each covariate can be made of; no model and no membership."""

    def out_of_sight(self, threat: ThreatModel) -> str:
        """See :class:`~memberscan.signals.signal.Provider`; an outsider always sees them."""
        return no_people_of_its_own(threat)

    def behind_service(self, signal: Signal) -> BehindService:  # noqa: ARG002
        """See :class:`~memberscan.signals.signal.Provider`."""
        return "unchanged"

    def absent(self, signals: Sequence[Signal], target: Target) -> str | None:  # noqa: ARG002
        """See :class:`~memberscan.signals.signal.Provider`."""
        return None if _curves(target) else "needs a covariate that differs between people, such as age"

    def observe(self, signals: Sequence[Signal], target: Target, directory: Path) -> Observed:  # noqa: ARG002
        """Return the columns of all scans of the target."""
        return Observed(dict.fromkeys(signals, columns_of(_curves(target))))


def _curves(target: Target) -> tuple[Group, ...]:
    # A copy of membership would be the answer, and no covariate.
    recorded = target.covariates.drop(columns=list(target.copied_columns))
    return standardise_covariates(recorded.assign(**{target.variable.name: target.label_as_covariate})).curves


COVARIATES_OF_SCANS = Covariates(("covariates",), Access.OUTPUTS, FINAL)
