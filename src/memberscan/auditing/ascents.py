"""What an audit lets an active server do: whom it harms, and where that cannot be simulated."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from memberscan import seeds
from memberscan.attacks.parties import Parties
from memberscan.auditing.source import RunSource
from memberscan.signals.updates import Updates

BROADCASTS = 4


def cannot_simulate(target: RunSource) -> str | None:
    """Return why learners cannot be made to answer once more, or None."""
    if target.run.training and (target.run.federation or {}).get("environment"):
        return None
    return (
        "has the learners train once more on what the server changed; this federation was imported, so how "
        "they train, and all their scans, are not here"
    )


def ascents(target: RunSource, parties: Parties, directory: Path, seed: int) -> Updates:
    """Let the server harm everybody who is scored, a random group of subjects in each broadcast.

    Parameters
    ----------
    target, parties
        The federation, and who is whose; the held-out people that the server knows are left in peace.
    directory
        Where what is simulated is kept.
    seed
        Root seed.
    """
    from memberscan.federation.gradient_ascent import observe_ascents

    ids = target.scans.index.to_numpy()
    order = seeds.generator(seed, "ascent").permutation(np.flatnonzero(~parties.known))
    groups = [
        ids[np.isin(parties.subject, subjects)].tolist() for subjects in np.array_split(order, BROADCASTS)
    ]
    return observe_ascents(target.run, target.cohort, ids.tolist(), groups, directory)
