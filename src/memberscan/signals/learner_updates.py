"""How each scan relates to the learners' updates, as a server computes it from the models it receives.

A learner's update is the model that it sends minus the one that the round began with; its descent is minus
the update.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memberscan.signals.signal import LAYER, LEARNER, ROUND, SCAN, Observed, Provider, Signal
from memberscan.threat import Access, Attacker, ThreatModel

if TYPE_CHECKING:
    from memberscan.targets.target import Target

TOOK_PART = Signal("took-part", (ROUND, LEARNER))
"""Whether a learner took part in a round."""
START_PREDICTIONS = Signal("start-predictions", (ROUND, SCAN))
"""Predictions by the global model that the round began with, years."""
LOCAL_PREDICTIONS = Signal("local-predictions", (ROUND, SCAN, LEARNER))
"""Predictions by each learner's model at the round's end, years; NaN where it took no part."""
LOSS_DERIVATIVES = Signal("loss-derivatives", (ROUND, SCAN))
"""Derivative of each scan's loss in its prediction, by the model that the round began with."""
UPDATE_PRODUCTS = Signal("update-products", (ROUND, SCAN, LEARNER, LAYER))
"""Inner product of a scan's Jacobian and a learner's descent."""
JACOBIAN_NORMS = Signal("jacobian-norms", (ROUND, SCAN, LAYER))
"""Length of a scan's Jacobian."""
UPDATE_NORMS = Signal("update-norms", (ROUND, LEARNER, LAYER))
"""Length of a learner's descent."""
JACOBIAN_SKETCHES = Signal("jacobian-sketches", (ROUND, SCAN, "sketch"))
"""Sketches of Jacobians, on disk, one array for each round."""
UPDATE_SKETCHES = Signal("update-sketches", (ROUND, LEARNER, "sketch"))
"""Sketches of descents, by the same projection."""
_OF_GRADIENTS = {LOSS_DERIVATIVES, UPDATE_PRODUCTS, JACOBIAN_NORMS, JACOBIAN_SKETCHES}
_KINDS = (
    TOOK_PART,
    START_PREDICTIONS,
    LOCAL_PREDICTIONS,
    LOSS_DERIVATIVES,
    UPDATE_PRODUCTS,
    JACOBIAN_NORMS,
    UPDATE_NORMS,
    JACOBIAN_SKETCHES,
    UPDATE_SKETCHES,
)
_WATCHERS = frozenset({Attacker.SERVER, Attacker.AGGREGATE})


@dataclass(frozen=True)
class LearnerUpdates(Provider):
    """All signals computed from updates; under secure aggregation, from their sum."""

    def seen_by(self, threat: ThreatModel) -> bool:
        """See :class:`~memberscan.signals.signal.Provider`; sums are seen as the updates of one learner."""
        return threat.attacker in self.attackers

    def needed_access(self, threat: ThreatModel) -> Access:
        """See :class:`~memberscan.signals.signal.Provider`; the global models are enough for sums."""
        return Access.ROUNDS if threat.attacker is Attacker.AGGREGATE else self.access

    def out_of_sight(self, threat: ThreatModel) -> str:
        """See :class:`~memberscan.signals.signal.Provider`."""
        if threat.attacker is Attacker.ACTIVE_SERVER:
            return "needs rounds without a changed broadcast; use --attacker server"
        return no_updates(threat)

    def not_taken(self, signals: Sequence[Signal], target: Target) -> str | None:
        """See :class:`~memberscan.signals.signal.Provider`; gradients are tried once, on a few scans."""
        if not _OF_GRADIENTS.intersection(signals):
            return None
        return target.gradient_obstacle(None)

    def observe(self, signals: Sequence[Signal], target: Target, directory: Path) -> Observed:  # noqa: ARG002
        """See :class:`~memberscan.signals.signal.Provider`."""
        from memberscan.signals.passes.updates import observe_updates
        from memberscan.targets.party import as_party

        party = as_party(target)
        return observe_updates(
            party.run,
            party.transcript,
            party.cohort,
            party.scans.index.tolist(),
            party.rounds,
            directory / "updates",
            aggregate=party.threat.attacker is Attacker.AGGREGATE,
            gradients=party.gradient_obstacle(None) is None,
        )


def no_updates(threat: ThreatModel) -> str:
    """Return why an attacker that receives no updates cannot attack them."""
    if threat.attacker is Attacker.OUTSIDER:
        return "needs the learners' updates; an outsider sees the final model only; use --attacker server"
    return f"needs the learners' updates; this attacker ({threat.attacker}) does not have them"


UPDATES = LearnerUpdates(tuple(signal.kind for signal in _KINDS), Access.UPDATES, _WATCHERS)
