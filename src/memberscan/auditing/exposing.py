"""How exposed each person is, from the reference models of an audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from memberscan import seeds
from memberscan.attacks.references.empirical_bayes import EMPIRICAL_BAYES
from memberscan.attacks.references.stacking import STACKING
from memberscan.attacks.with_references import Compared
from memberscan.errors import MisalignedError, TooFewSubjectsError
from memberscan.evidence.naming import name_members
from memberscan.evidence.person_exposure import PersonExposure, person_exposure
from memberscan.evidence.reference_power import ReferencePower, measure_power
from memberscan.evidence.roc import aucs_of_rows
from memberscan.evidence.scores import Scores
from memberscan.signals import View
from memberscan.signals.reference_models import REFERENCE_MEMBERS, REFERENCE_PREDICTIONS
from memberscan.targets import Target

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

    from memberscan.people import People

FEWEST_FOR_POWER = 4
"""Fewest references of which a part can be left out, to see what fewer would give."""


def measure_exposure(target: Target, view: View, scores: Sequence[Scores]) -> PersonExposure | None:
    """Return how exposed each person is, or None without references, or with too few to tell.

    Parameters
    ----------
    target
        What was audited.
    view
        What the attacker sees.
    scores
        Of the attacks that ran.

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
    if len(residuals) >= FEWEST_FOR_POWER:
        found = replace(found, power=_power(target, view, rng))
    # The attack is chosen beforehand: the best of many would name too many by luck.
    naming = next((each for each in scores if each.attack == STACKING.name), None)
    if naming is None or naming.pairs:
        return found
    return replace(found, named=name_members(naming.attack, naming.values[0], target.member))


def _power(target: Target, view: View, rng: np.random.Generator) -> ReferencePower:
    """Return what fewer references give an attacker, and what more would; by a fast attack."""
    compared = Compared.of(view)

    def auc_with(twins: Int[np.ndarray, " twins"]) -> float:
        # References 2j and 2j + 1 are twins.
        rows = (2 * twins[:, None] + np.arange(2)).ravel()
        few = replace(compared, references=compared.references[rows], inside=compared.inside[rows])
        scores = target.people.total(EMPIRICAL_BAYES.statistic(few))
        return float(aucs_of_rows(scores[None], target.member[None].astype(float))[0])

    return measure_power(EMPIRICAL_BAYES.name, auc_with, len(compared.references) // 2, rng)


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
