"""What stacking does with two references, of which neither can play the target: its twin would betray it.

A fixed rule, and learners that see each reference beside the target, tell members first. Then the laws of
:mod:`~memberscan.attacks.references.regression` are learnt from the target itself, whose members are known by
chances only, by expectation-maximisation (Dempster, Laird and Rubin, 1977).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logit

from memberscan.attacks.references.calibration import attack_r, difficulty
from memberscan.attacks.references.confidence import base
from memberscan.attacks.references.copies import differences_of_excess, differences_of_shift, of_shifts
from memberscan.attacks.references.learners import Inputs, logistic, ranked, trees
from memberscan.attacks.references.lira import log_square, shrunk_ratio
from memberscan.attacks.references.regression import Laws, Predictors, of_residuals
from memberscan.attacks.references.trials import Trials, thinned
from memberscan.attacks.with_references import Compared

if TYPE_CHECKING:
    from jaxtyping import Float

SCANS = 15_000
"""Scans of each reference at most that are learnt from."""
STEPS = 2
"""Steps of expectation-maximisation. More follow any two clusters of residuals, whatever they are of."""


def two_references(compared: Compared) -> Float[np.ndarray, " scans"]:
    """Return log odds by a fixed rule, by learners that see each reference beside the target, and by laws."""
    target = Trials.of_target(compared)
    fixed = fixed_rule(target)[0]
    sides = compared.inside
    if not (sides.any(axis=1) & ~sides.all(axis=1)).all():
        return np.asarray(fixed)
    prior = (fixed + learnt_beside_target(compared)) / 2
    return by_laws(target, prior, (of_residuals, of_shifts) if compared.also else (of_residuals,))


def by_laws(
    target: Trials, prior: Float[np.ndarray, " scans"], predictors: tuple[Predictors, ...]
) -> Float[np.ndarray, " scans"]:
    """Add what laws say that are learnt from the target itself to the log odds so far.

    Laws of members and of others are fitted to all scans, weighted by the chance that each was a member, and
    that it was not. By Bayes' theorem, the logarithm of the ratio of both densities adds to the prior log
    odds, which gives the chances for the next step.
    """
    log_odds = prior
    for _ in range(STEPS):
        laws = [Laws.fit_to_odds(target, log_odds, each) for each in predictors]
        log_odds = prior + sum(law.log_ratio(target)[0] for law in laws)
    return log_odds


def learnt_beside_target(compared: Compared) -> Float[np.ndarray, " scans"]:
    """Return the log odds of learners that compare each reference with the target.

    The target stands in for a reference whose members are unknown. So the learners can be given only scores
    that do not need to know the members of what a model is compared with; the fixed rule uses them.
    """
    few = thinned(compared, SCANS)
    trials, member = references_beside_target(few), few.inside.ravel()
    inputs, seen = (
        Inputs.of(each, scores_without_members(each)) for each in (trials, target_beside_references(compared))
    )
    both = logistic(inputs.ranks, member)(seen.ranks) + trees(inputs.measured, member)(seen.measured)
    return np.asarray(both.reshape(len(compared.references), -1).mean(axis=0) / 2)


def fixed_rule(trials: Trials) -> Float[np.ndarray, "models scans"]:
    """Return the log odds of the mean rank of four scores."""
    chosen = [base(trials, temperature=t) for t in (0.1, 0.25, 1.0)]
    chosen.append(shrunk_ratio(log_square(trials, 3e-4)))
    return np.asarray(logit(np.mean([ranked(score) for score in chosen], axis=0)))


def references_beside_target(compared: Compared) -> Trials:
    """Return one trial for each reference, compared with the target alone."""
    models = compared.residual[None]
    nobody = np.zeros_like(models, dtype=bool)
    used = np.ones((len(compared.references), 1))
    also = tuple(references_beside_target(each) for each in compared.also)
    return Trials(compared.references, models, nobody, used, compared.label, also, compared.classes)


def target_beside_references(compared: Compared) -> Trials:
    """Return one trial of the target for each reference, which it is compared with alone."""
    count = len(compared.references)
    target = np.repeat(compared.residual[None], count, axis=0)
    nobody = np.zeros_like(compared.inside)
    also = tuple(target_beside_references(each) for each in compared.also)
    return Trials(target, compared.references, nobody, np.eye(count), compared.label, also, compared.classes)


def scores_without_members(trials: Trials) -> list[Float[np.ndarray, "models scans"]]:
    """Return scores that take no account of whom the other model was trained on."""
    of_copies = [*differences_of_excess(trials), *differences_of_shift(trials)] if trials.also else []
    centred, detrended = trials.centred, trials.detrended
    other, other_detrended = centred.moments.outs.mean, detrended.moments.outs.mean
    return [
        *(-np.abs(same.residual) for same in (trials, centred, detrended)),
        *(base(trials, temperature=t) for t in (0.1, 0.25, 1.0, 4.0)),
        difficulty(trials),
        attack_r(trials),
        np.abs(other_detrended) - np.abs(detrended.residual),
        -np.sign(other) * centred.residual,
        -np.sign(other_detrended) * detrended.residual,
        -np.sign(other_detrended) * np.sqrt(np.abs(other_detrended)) * detrended.residual,
        *of_copies,
    ]
