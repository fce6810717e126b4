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
    from jaxtyping import Bool, Float

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
    values = scores_of(attack, features, comparisons, people, learners)
    if np.isnan(values).all():
        return None
    sides = np.stack([comparison.sides for comparison in comparisons])
    thresholds = np.zeros(len(comparisons))
    if not attack.learns:
        # Without known members, an attacker still knows what share of these people was trained on.
        thresholds[:] = [threshold_by_share(*row) for row in zip(values, sides, strict=True)]
    rows = tuple(comparison.row for comparison in comparisons)
    known = _known(comparisons) if attack.learns else {}
    directions = attack.directions(features, _scans_of([*known.values()], people)) if known else np.inf
    return Scores(attack.name, attack.learns, rows, values, sides, thresholds, directions)


def scores_of(
    attack: Attack,
    features: Features,
    comparisons: Sequence[Comparison],
    people: People,
    learners: Sequence[str] = (),
) -> Float[np.ndarray, "comparisons people"]:
    """Return each person's score in the given rows; NaN for people whose membership the attacker knows."""
    if not comparisons:
        return np.empty((0, len(people)))
    # A learner's rows, one for each victim, share what it knows, and so one fit.
    known = _known(comparisons) if attack.learns else {}
    asked = _scans_of([*known.values()], people) if known else [NOBODY]
    by_scan = np.stack([scores.T for scores in attack.score_each(features, asked)])
    # Independent evidence adds up; other scores have no unit in which a sum would mean anything.
    by_person = (people.total if attack.log_likelihood_ratio else people.mean)(by_scan)
    place = {key: k for k, key in enumerate(known)}
    values = by_person[[place[id(row.known)] if attack.learns else 0 for row in comparisons]]
    if attack.by_learner:
        column = {name: k for k, name in enumerate(learners)}
        values = values[np.arange(len(comparisons)), [column[row.row.target] for row in comparisons]]
    values[np.stack([row.known.everyone for row in comparisons])] = np.nan
    return values


def _known(comparisons: Sequence[Comparison]) -> dict[int, Known]:
    """Return whom the attacker knows, each once, by the identity that rows share."""
    return {id(row.known): row.known for row in comparisons}


def _scans_of(known: Sequence[Known], people: People) -> list[KnownScans]:
    # Permutations ask this of thousands of draws, so that rows of all of them are made at once.
    members, everyone = (
        np.stack(side)[:, people.of_scan]
        for side in ([k.members for k in known], [k.everyone for k in known])
    )
    return [KnownScans(all_.nonzero()[0], one[all_]) for one, all_ in zip(members, everyone, strict=True)]


def one_thread() -> threadpool_limits:
    """Use one thread for linear algebra: on small matrices, threads cost several times what they save."""
    return threadpool_limits(1, "blas")
