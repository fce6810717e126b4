"""The passes over the answers to changed broadcasts: whose error a server raises, and what it receives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memberscan import seeds
from memberscan.signals.broadcast_answers import ANSWER_PREDICTIONS, BROADCAST_PREDICTIONS
from memberscan.signals.learner_updates import LOCAL_PREDICTIONS, START_PREDICTIONS
from memberscan.signals.passes.updates import observe_updates
from memberscan.signals.signal import Observed

if TYPE_CHECKING:
    from memberscan.targets.party import Party

BROADCASTS = 4


def observe_broadcasts(party: Party, directory: Path) -> Observed:
    """Raise the error of everybody who is scored, a random group of subjects in each broadcast.

    The held-out people that the server knows are left out.

    Returns
    -------
    Observed
        The broadcasts as rounds, numbered after the federation's. They never took place.
    """
    from memberscan.federation.changed_broadcast import answers

    ids = party.scans.index.to_numpy()
    order = seeds.generator(party.seed, "ascent").permutation(np.flatnonzero(~party.known_nonmembers))
    groups = [
        ids[np.isin(party.people.of_scan, subjects)].tolist()
        for subjects in np.array_split(order, BROADCASTS)
    ]
    seen = []
    for place, group in enumerate(groups, start=1):
        folder = directory / f"{place:04d}"
        answered = answers(party.run, party.cohort, group, place, folder / "broadcast")
        seen.append(
            observe_updates(party.run, answered, party.cohort, ids.tolist(), (1,), folder / "answers")
        )
    last = len(party.transcript.rounds)
    return Observed(
        {
            BROADCAST_PREDICTIONS: np.concatenate([one.values[START_PREDICTIONS] for one in seen]),
            ANSWER_PREDICTIONS: np.concatenate([one.values[LOCAL_PREDICTIONS] for one in seen]),
        },
        learners=seen[0].learners,
        rounds=tuple(range(last + 1, last + len(seen) + 1)),
    )
