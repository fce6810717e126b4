"""Predictions by the global model of each round: what every learner of a federation sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memberscan.signals.of_final_model import no_people_of_its_own
from memberscan.signals.signal import ROUND, SCAN, Observed, Provider, Signal
from memberscan.threat import Access, Attacker, ThreatModel

if TYPE_CHECKING:
    from memberscan.targets.target import Target

ROUND_PREDICTIONS = Signal("round-predictions", (SCAN, ROUND))
"""In years, by the global model at the end of each round."""


@dataclass(frozen=True)
class RoundPredictions(Provider):
    """Predictions by each round's global model."""

    def out_of_sight(self, threat: ThreatModel) -> str:
        """See :class:`~memberscan.signals.signal.Provider`."""
        if threat.attacker is not Attacker.OUTSIDER:
            return no_people_of_its_own(threat)
        return (
            "needs every round's global model; an outsider sees the final model only; use --attacker learner"
        )

    def observe(self, signals: Sequence[Signal], target: Target, directory: Path) -> Observed:
        """See :class:`~memberscan.signals.signal.Provider`."""
        from memberscan.signals.passes.global_models import predictions_by_round
        from memberscan.targets.party import as_party

        party = as_party(target)
        values = predictions_by_round(party, directory / "rounds")
        return Observed(dict.fromkeys(signals, values), rounds=party.rounds)


PREDICTIONS_BY_ROUND = RoundPredictions(("round-predictions",), Access.ROUNDS, frozenset({Attacker.LEARNER}))
