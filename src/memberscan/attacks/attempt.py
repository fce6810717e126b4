"""Carry out attacks: fit them on the people the attacker knows in each row, and score everybody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from memberscan.attacks.attack import NOBODY, Attack, Features, KnownScans
from memberscan.errors import MisalignedError
from memberscan.evidence.scores import ASIDE, Scores
from memberscan.people import People
from memberscan.targets import Target
from memberscan.targets.known import Comparison, Known, threshold_by_share

if TYPE_CHECKING:
    from jaxtyping import Bool

    from memberscan.signals import View


def observe(attack: Attack, view: View) -> Features:
    """Compute the features of an attack, in the order of the view's scans.

    Raises
    ------
    MisalignedError
        If its features are not of these scans.
    """
    features = attack.observe(view)
    if len(features.scan_ids) != len(view.scans):
        raise MisalignedError(
            f"attack {attack.name} describes {len(features.scan_ids)} scans of {len(view.scans)}; "
            "its observe() must keep every scan"
        )
    return features.at(view.scans.index)


def attempt(
    attack: Attack,
    features: Features,
    target: Target,
    learners: Sequence[str] = (),
    *,
    asked: Bool[np.ndarray, " people"] | None = None,
) -> Scores | None:
    """Carry out an attack in every row of an audit.

    In each row, people whose membership the attacker knows are not scored.

    Parameters
    ----------
    attack, features
        The attack, and what it saw of the scans of the target.
    target
        Says which people the attacker knows, and which are compared.
    learners
        Names of the columns of an attack that scores each learner separately.
    asked
        Which people are compared; by default everybody that the rows compare.

    Returns
    -------
    Scores or None
        None if the attack saw nothing: equal scores for everybody would mean that it was tried and failed.
    """
    rows = target.comparisons(learns=attack.learns)
    if asked is not None:
        rows = [replace(row, sides=np.where(asked, row.sides, ASIDE)) for row in rows]
    return carry_out(attack, features, rows, target.people, learners) if features.vary else None


def carry_out(
    attack: Attack,
    features: Features,
    comparisons: Sequence[Comparison],
    people: People,
    learners: Sequence[str] = (),
) -> Scores | None:
    """Carry out an attack in the given rows; None if it has no scores."""
    scored: dict[int, np.ndarray] = {}
    values = np.empty((len(comparisons), len(people)))
    for row, comparison in zip(values, comparisons, strict=True):
        # A learner's rows, one for each victim, share what it knows, and so one fit.
        known = comparison.known
        if id(known) not in scored:
            by_scan = attack.score(features, _scans_of(known, people) if attack.learns else NOBODY)
            # Independent evidence adds up; other scores have no unit in which a sum would mean anything.
            of_people = people.total if attack.log_likelihood_ratio else people.mean
            scored[id(known)] = of_people(by_scan.T)
        found = scored[id(known)]
        if attack.by_learner:
            found = found[list(learners).index(comparison.row.target)]
        row[:] = np.where(known.everyone, np.nan, found)
    if np.isnan(values).all():
        return None
    sides = np.stack([comparison.sides for comparison in comparisons])
    thresholds = np.zeros(len(comparisons))
    if not attack.learns:
        # Without known members, an attacker still knows what share of these people was trained on.
        thresholds[:] = [threshold_by_share(*row) for row in zip(values, sides, strict=True)]
    rows = tuple(comparison.row for comparison in comparisons)
    return Scores(attack.name, attack.learns, rows, values, sides, thresholds)


def _scans_of(known: Known, people: People) -> KnownScans:
    places = people.scans_of(known.everyone)
    return KnownScans(places, known.members[people.of_scan[places]])


def one_thread() -> threadpool_limits:
    """Use one thread for linear algebra: on small matrices, threads cost several times what they save."""
    return threadpool_limits(1, "blas")
