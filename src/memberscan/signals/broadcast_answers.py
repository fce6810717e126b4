"""How learners respond to a server that changes its broadcast; this is only ever simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memberscan.signals.learner_updates import no_updates
from memberscan.signals.signal import LEARNER, ROUND, SCAN, Observed, Provider, Signal
from memberscan.threat import Access, Attacker, ThreatModel

if TYPE_CHECKING:
    from memberscan.targets.target import Target

BROADCAST_PREDICTIONS = Signal("broadcast-predictions", (ROUND, SCAN))
"""Predictions by the model that was broadcast, years; the broadcasts are numbered after the rounds."""
ANSWER_PREDICTIONS = Signal("answer-predictions", (ROUND, SCAN, LEARNER))
"""Predictions by each learner's model after it trained on the broadcast, years."""


@dataclass(frozen=True)
class BroadcastAnswers(Provider):
    """Predictions by changed broadcasts, and by the models that the learners trained on them."""

    def out_of_sight(self, threat: ThreatModel) -> str:
        """See :class:`~memberscan.signals.signal.Provider`."""
        if threat.attacker in (Attacker.SERVER, Attacker.AGGREGATE):
            return "needs a server that changes its broadcast; use --attacker active-server"
        return no_updates(threat)

    def not_taken(self, signals: Sequence[Signal], target: Target) -> str | None:  # noqa: ARG002
        """Return why learners cannot be trained once more, or None."""
        from memberscan.targets.party import as_party

        run = as_party(target).run
        if run.training and (run.federation or {}).get("environment"):
            return None
        return (
            "needs learners to train once more on the changed model; this federation was imported, so their "
            "training configuration and scans are not available"
        )

    def observe(self, signals: Sequence[Signal], target: Target, directory: Path) -> Observed:  # noqa: ARG002
        """See :class:`~memberscan.signals.signal.Provider`."""
        from memberscan.signals.passes.broadcasts import observe_broadcasts
        from memberscan.targets.party import as_party

        return observe_broadcasts(as_party(target), directory / "active")


ANSWERS = BroadcastAnswers(
    (BROADCAST_PREDICTIONS.kind, ANSWER_PREDICTIONS.kind),
    Access.UPDATES,
    frozenset({Attacker.ACTIVE_SERVER}),
)
