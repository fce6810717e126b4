"""Predictions by the models of a training: what a learner sees of each round, and who has checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memberscan.signals.of_final_model import FINAL, no_people_of_its_own
from memberscan.signals.signal import ROUND, SCAN, Observed, Provider, Signal
from memberscan.threat import Access, Attacker, ThreatModel

if TYPE_CHECKING:
    from memberscan.targets.target import Target

ROUND_PREDICTIONS = Signal("round-predictions", (SCAN, ROUND))
"""In years, by the global model at the end of each round; or by each checkpoint, the finished model last."""


@dataclass(frozen=True)
class RoundPredictions(Provider):
    """Predictions by each round's global model, or by checkpoints that an outsider has with the weights."""

    def needed_access(self, threat: ThreatModel) -> Access:
        """See :class:`~memberscan.signals.signal.Provider`."""
        return self.access if threat.attacker is Attacker.OUTSIDER else Access.ROUNDS

    def out_of_sight(self, threat: ThreatModel) -> str:
        """See :class:`~memberscan.signals.signal.Provider`."""
        if threat.attacker is not Attacker.OUTSIDER:
            return no_people_of_its_own(threat)
        return f"needs access to {self.access}; this audit assumes {threat.access} only"

    def absent(self, signals: Sequence[Signal], target: Target) -> str | None:  # noqa: ARG002
        """See :class:`~memberscan.signals.signal.Provider`."""
        if target.threat.attacker is not Attacker.OUTSIDER or target.checkpoints is not None:
            return None
        return (
            "needs every round's global model (--attacker learner), or models that were kept in training "
            "(--checkpoints)"
        )

    def observe(self, signals: Sequence[Signal], target: Target, directory: Path) -> Observed:
        """See :class:`~memberscan.signals.signal.Provider`."""
        from memberscan.signals.passes.earlier_models import predictions_by_checkpoint, predictions_by_round
        from memberscan.targets.party import as_party
        from memberscan.targets.trained_model import TrainedModel

        if target.checkpoints is None:
            party = as_party(target)
            values = predictions_by_round(party, directory / "rounds")
            return Observed(dict.fromkeys(signals, values), rounds=party.rounds)
        assert isinstance(target, TrainedModel)
        values = predictions_by_checkpoint(target, directory / "checkpoints")
        return Observed(dict.fromkeys(signals, values), rounds=tuple(range(1, values.shape[1] + 1)))


PREDICTIONS_BY_ROUND = RoundPredictions(("round-predictions",), Access.WEIGHTS, FINAL)
