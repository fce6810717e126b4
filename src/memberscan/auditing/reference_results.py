"""What reference models say beside the attacks: how the target compares with them, and who is exposed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from memberscan import seeds
from memberscan.attacks.references.empirical_bayes import EMPIRICAL_BAYES
from memberscan.attacks.references.stacking import STACKING
from memberscan.attacks.with_references import Compared
from memberscan.defences import parts_of
from memberscan.errors import MisalignedError, NonFiniteError, TooFewSubjectsError
from memberscan.evidence.naming import name_members
from memberscan.evidence.person_exposure import PersonExposure, person_exposure
from memberscan.evidence.quantizer_security import QuantizerSecurity, quantizer_security
from memberscan.evidence.recipe_fit import compare_recipe
from memberscan.evidence.reference_power import ReferencePower, measure_power
from memberscan.evidence.roc import aucs_of_rows
from memberscan.evidence.scores import Scores
from memberscan.report.outcome import PeopleFacts, ReferenceFacts
from memberscan.signals import View, as_answered
from memberscan.signals.reference_models import REFERENCE_PREDICTIONS
from memberscan.targets import Target

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from memberscan.people import People

FEWEST_FOR_POWER = 4
"""Fewest references of which a part can be left out, to see what fewer would give."""


def compare_with_references(
    target: Target, view: View, scores: Sequence[Scores], people: PeopleFacts
) -> ReferenceFacts | None:
    """Return how the target compares with its references, and how exposed each person is; None without any.

    Parameters
    ----------
    target
        What was audited.
    view
        What the attacker sees.
    scores
        Of the attacks that ran.
    people
        The labels of people, and the model's errors.

    Raises
    ------
    MisalignedError
        If a reference was trained on some scans of a person and not on others.
    """
    found = target.references
    if found is None:
        return None
    seen = view.values
    if REFERENCE_PREDICTIONS not in seen:
        seen = as_answered(target, {REFERENCE_PREDICTIONS: found.predictions})
    residuals, inside = by_person(view.residuals(seen[REFERENCE_PREDICTIONS]), found.inside, target.people)
    exposure = _exposure(target, view, scores, people, residuals, inside)
    fit = compare_recipe(people.residual, people.member, residuals, inside)
    return ReferenceFacts(found.recipe, fit, exposure, _quantizer(target, people, residuals, inside))


def _exposure(
    target: Target,
    view: View,
    scores: Sequence[Scores],
    people: PeopleFacts,
    residuals: Float[np.ndarray, "references people"],
    inside: Bool[np.ndarray, "references people"],
) -> PersonExposure | None:
    if REFERENCE_PREDICTIONS not in view.values:
        return None
    rng = seeds.generator(target.seed, "exposure")
    try:
        found = person_exposure(residuals, inside, people.label, rng)
    except TooFewSubjectsError:
        # Two references say nothing of single people; the attacks with them still count.
        return None
    except NonFiniteError:
        # A service may answer the same to everybody of one age; this says nothing of single people either.
        if target.service is None:
            raise
        return None
    # The attack is chosen beforehand: the best of many would name too many by luck.
    naming = next((each for each in scores if each.attack == STACKING.name and not each.pairs), None)
    return replace(
        found,
        power=_power(target, view, rng) if len(residuals) >= FEWEST_FOR_POWER else None,
        named=None if naming is None else name_members(naming.attack, naming.values[0], people.member),
    )


def _quantizer(
    target: Target,
    people: PeopleFacts,
    residuals: Float[np.ndarray, "references people"],
    inside: Bool[np.ndarray, "references people"],
) -> QuantizerSecurity | None:
    """Return the indicator of a quantizer of numbers; None where the weights are not quantized.

    References are trained with the target's defence, so that their weights are what the same quantizer made
    of trainings on other people.
    """
    run = getattr(target, "run", None)
    names = () if run is None else [part.partition(":")[0] for part in parts_of(run.defence)]
    if "quantize" not in names or target.variable.classes:
        return None
    losses = np.vstack([people.residual, residuals]) ** 2
    return quantizer_security(losses, np.vstack([people.member, inside]), int(people.member.sum()))


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


def by_person(
    residuals: Float[np.ndarray, "references scans"],
    inside: Bool[np.ndarray, "references scans"],
    people: People,
) -> tuple[Float[np.ndarray, "references people"], Bool[np.ndarray, "references people"]]:
    """Return each reference's mean residual on each person's scans, and whether it was trained on the person.

    Raises
    ------
    MisalignedError
        If it was trained on some scans of a person and not on others.
    """
    means, shares = people.mean(np.stack([residuals, inside]))
    if (mixed := ((shares > 0) & (shares < 1)).any(axis=1)).any():
        raise MisalignedError(
            f"reference {int(np.argmax(mixed))} was trained on some scans of a person and not on others; "
            "train each reference on all scans of a person or on none"
        )
    return means, shares > 0.5
