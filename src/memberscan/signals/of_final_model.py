"""Base of the signals of the final model: who sees it, and one pass over the scans for all of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memberscan.signals.signal import Observed, Provider, Signal
from memberscan.threat import Attacker, ThreatModel

if TYPE_CHECKING:
    import numpy as np

    from memberscan.signals.passes.final_model import Reading
    from memberscan.targets.target import Target
    from memberscan.targets.trained_model import TrainedModel

FINAL = frozenset({Attacker.OUTSIDER, Attacker.LEARNER})
"""Attackers that use the final model; a server has every learner's models, which show more."""


@dataclass(frozen=True)
class OfFinalModel(Provider):
    """A signal from a pass of the final model over the scans."""

    def absent(self, signals: Sequence[Signal], target: Target) -> str | None:  # noqa: ARG002
        """See :class:`~memberscan.signals.signal.Provider`; a table holds predictions and nothing else."""
        if target.predictions is None:
            return None
        return "needs the model itself; a predictions file holds its predictions only"

    def out_of_sight(self, threat: ThreatModel) -> str:
        """See :class:`~memberscan.signals.signal.Provider`."""
        if threat.attacker is not Attacker.OUTSIDER:
            return no_people_of_its_own(threat)
        return (
            f"needs access to {self.access}; this audit assumes {threat.access} only (--access {self.access})"
        )

    def observe(self, signals: Sequence[Signal], target: Target, directory: Path) -> Observed:
        """See :class:`~memberscan.signals.signal.Provider`."""
        return Observed(observe_final({self: signals}, target, directory))

    @abstractmethod
    def reading(self, signal: Signal, target: TrainedModel) -> Reading:
        """Return what the signal needs from the pass, and how its rows are computed."""


def observe_final(
    asked: Mapping[OfFinalModel, Sequence[Signal]], target: Target, directory: Path
) -> dict[Signal, np.ndarray]:
    """Return all signals of the final model, by one pass over the scans, or the predictions of a table."""
    if target.predictions is not None:
        return {signal: target.predictions for signals in asked.values() for signal in signals}
    from memberscan.signals.passes.final_model import observe
    from memberscan.targets.trained_model import TrainedModel

    assert isinstance(target, TrainedModel)
    # Sorted, so that the order in which attacks are named does not change the result.
    chosen = sorted((str(s), s, provider) for provider, signals in asked.items() for s in signals)
    readings = {signal: provider.reading(signal, target) for _, signal, provider in chosen}
    return observe(target, readings, directory)


def no_people_of_its_own(threat: ThreatModel) -> str:
    """Return why a party that is not a learner cannot attack the global models as a learner does."""
    return (
        f"needs the attacker's own people, as a learner has them; this attacker ({threat.attacker}) has none"
    )
