"""How exposed each person is, from the reference models of an audit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from memberscan import seeds
from memberscan.errors import MisalignedError, TooFewSubjectsError
from memberscan.evidence.naming import name_members
from memberscan.evidence.person_exposure import PersonExposure, person_exposure
from memberscan.evidence.scores import Scores
from memberscan.signals import View
from memberscan.signals.reference_models import REFERENCE_MEMBERS, REFERENCE_PREDICTIONS
from memberscan.targets import Target

if TYPE_CHECKING:
    from jaxtyping import Bool

    from memberscan.people import People


def measure_exposure(target: Target, view: View, strongest: Scores | None = None) -> PersonExposure | None:
    """Return how exposed each person is, or None without references, or with too few to tell.

    Parameters
    ----------
    target
        What was audited.
    view
        What the attacker sees.
    strongest
        Scores of the attack with references that names members: one that learns from nobody.

    Raises
    ------
    MisalignedError
        If a reference was trained on some scans of a person and not on others.
    """
    if REFERENCE_PREDICTIONS not in view.values:
        return None
    residuals = target.people.mean(view.age - np.asarray(view[REFERENCE_PREDICTIONS], dtype=float))
    inside = members_of(target.people, np.asarray(view[REFERENCE_MEMBERS], dtype=bool))
    rng = seeds.generator(target.seed, "exposure")
    try:
        found = person_exposure(residuals, inside, target.people.mean(view.age), rng)
    except TooFewSubjectsError:
        # Two references say nothing of single people; the attacks with them still count.
        return None
    if strongest is None or strongest.fitted:
        return found
    return replace(found, named=name_members(strongest.attack, strongest.values[0], target.member))


def members_of(
    people: People, inside: Bool[np.ndarray, "references scans"]
) -> Bool[np.ndarray, "references people"]:
    """Return whether each reference was trained on each person.

    Raises
    ------
    MisalignedError
        If it was trained on some scans of a person and not on others.
    """
    shares = people.mean(inside)
    if ((shares > 0) & (shares < 1)).any():
        reference = int(np.argmax(((shares > 0) & (shares < 1)).any(axis=1)))
        raise MisalignedError(
            f"reference {reference} was trained on some scans of a person and not on others; train each "
            "reference on all scans of a person or on none"
        )
    return np.asarray(shares > 0.5)
