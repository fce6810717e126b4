"""The verdict of an audit: one of four labels, and a sentence for a data-protection officer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from memberscan.evidence.power import SMALL, people_to_detect, smallest_detectable_auc
from memberscan.evidence.rounding import (
    error_of,
    floored,
    rounded,
    step_below,
    two_decimals,
    two_decimals_up,
)
from memberscan.limits import FEWEST_PER_SIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memberscan.evidence.blind import Blind
    from memberscan.evidence.estimates import Estimates
    from memberscan.evidence.overlap import Overlap
    from memberscan.evidence.own_images import OtherImages
    from memberscan.evidence.permutation import NullCheck

Label = Literal["leaks", "no leak shown", "inconclusive", "confounded"]
Rule = Literal["simultaneous bound", "permutation", "within strata", "none"]

SIGNIFICANCE = 0.01
TELLING = 0.65
"""An audit that could not have detected an AUC of this size never says "no leak shown"."""


@dataclass(frozen=True)
class Basis:
    """The basis of a verdict: how attacks are judged, and their resulting order.

    Parameters
    ----------
    rule
        ``simultaneous bound``: by the one-sided lower bounds that hold for all attacks together.
        ``permutation``: by max-T p-values. ``within strata``: by such bounds among people who are alike in
        the covariates. ``none``: no attack ran, or too few people are alike to judge any.
    ranking
        Names of the attacks, the strongest first.
    shown
        Those that are shown to succeed.
    bound
        The strongest attack's lower bound, where bounds decide.
    p_value
        Its p-value, where p-values decide.
    """

    rule: Rule
    ranking: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    bound: float | None = None
    p_value: float | None = None

    @property
    def attack(self) -> str | None:
        """The strongest attack; None where none ran."""
        return self.ranking[0] if self.ranking else None


@dataclass(frozen=True)
class Verdict:
    """What the audit concludes about these subjects and this trained model.

    Parameters
    ----------
    label
        "leaks", "no leak shown", "inconclusive" or "confounded". None says that a model gives nothing away.
    sentence
        The same in plain words, with its numbers, rounded to steps that fit their standard errors. The label
        is decided before they are rounded.
    smallest_detectable_auc
        The least AUC that this audit would have found four times out of five; 1 if none.
    basis
        What it rests on.
    would_change
        What could give another answer: more people, other people, or other attacks.
    """

    label: Label
    sentence: str
    smallest_detectable_auc: float
    basis: Basis
    would_change: str


@dataclass(frozen=True)
class Sides:
    """How a sentence names the two sides and what leaks, what was tried, and what a confounded audit advises.

    What leaks is what the attacker sees: for a server these are the updates, and not the final model.
    ``references`` is the number of reference models that attacks compared with.
    """

    names: str = "Members and non-members"
    remedy: str | None = None
    leak: str = "This model leaks who was in its training set"
    references: int = 0

    @classmethod
    def of_learners(cls, names: Sequence[str], leak: str) -> Self:
        """Return how to name the people of some learners, and the held-out people."""
        return cls(
            f"The people of {', '.join(names) or 'the learners'} and those held out",
            "Hold out people of each learner's own kind, and audit again.",
            leak,
        )


def with_other_images(verdict: Verdict, why: OtherImages) -> Verdict:
    """Return the verdict on a model that probably gets other images than it was trained on.

    What attacks found they have found, with a leak or with a difference between the sides. That they find
    nothing says nothing.
    """
    errs = (
        "more than was stated of its training"
        if why == "worse than stated"
        else "about as much as always answering the same would, or more"
    )
    doubt = (
        "The images are probably not those that the model was trained on: on the members themselves it errs "
        f"{errs}."
    )
    if verdict.label in ("leaks", "confounded"):
        more = "With the right images, it may leak more."
        return replace(verdict, sentence=f"{verdict.sentence} {doubt} {more}")
    remedy = (
        "The images that the model was trained on, prepared as they were: build the cohort with --as-is, and "
        "compare with your own predictions (memberscan import --predictions)."
    )
    sentence = f"{doubt} An attack then finds nothing, whatever the model gives away. {remedy}"
    return replace(verdict, label="inconclusive", sentence=sentence, would_change=remedy)


def nothing_seen() -> Verdict:
    """Return the verdict on an attacker that saw nothing that an attack could use."""
    sentence = (
        "No attack could be run: this attacker sees nothing that an attack could use. This is not a finding "
        "about the model. Other attackers see more, so audit those, too."
    )
    return Verdict("inconclusive", sentence, 1.0, Basis("none"), "An audit of an attacker that sees more.")


def judge(
    estimates: Estimates,
    null: NullCheck,
    blind: Blind,
    within: Estimates | None = None,
    sides: Sides | None = None,
    overlap: Overlap | None = None,
) -> Verdict:
    """Apply the rule, in its order.

    Where covariates alone tell members from non-members (p < .05), and membership was not drawn at random,
    attacks are judged within strata: success there is a leak, and without it the last rules are applied to
    the results within strata. The audit is ``confounded`` only where overlap fails, so that nothing can be
    said of people alike, and the sides plainly differ (p < .01) or attacks succeed among people of all kinds.
    Elsewhere ``leaks`` if a simultaneous one-sided 99% lower bound exceeds .5; with fewer than 30 subjects
    scored on a side, if a max-T p-value is below .01. Otherwise ``inconclusive`` if an attack is
    significantly worse than chance, or if the smallest AUC detectable with 80% power exceeds .65; else
    ``no leak shown``.

    Parameters
    ----------
    estimates
        Of all attacks, over all subjects.
    null
        Their p-values.
    blind
        The check without the model.
    within
        Estimates within strata; ``None`` if not needed or too few subjects are comparable.
    sides
        How to name the two sides, if they are not simply members and non-members.
    overlap
        How far the sides overlap; ``None`` if not needed or too few subjects are comparable.
    """
    sides, detectable = sides or Sides(), smallest_detectable_auc(estimates)
    if estimates.fewest < SMALL:
        basis = _by_p_values(estimates, null)
        certainty = f"max-T permutation p < {SIGNIFICANCE:g} over the {_attacks(estimates)} tried"
    else:
        basis = _by_bounds("simultaneous bound", estimates)
        certainty = _bound(estimates, _strongest(estimates, basis))
    if blind.gates:
        return _judge_within(estimates, basis, within, blind, sides, overlap)
    if basis.shown:
        success = _success(estimates, _strongest(estimates, basis))
        sentence = f"{sides.leak}: {success} ({certainty})."
        return _leaks(sentence, detectable, basis, blind, sides)
    return _judge_without_success(estimates, basis, sides)


def _leaks(sentence: str, detectable: float, basis: Basis, blind: Blind, sides: Sides) -> Verdict:
    if blind.randomised:
        change = "Training with a defence, or showing the attacker less. Another audit would not change it."
        return Verdict("leaks", sentence, detectable, basis, change)
    # Covariates do not record everything that differs between groups of people who were not randomised.
    sentence += (
        f" {sides.names} were chosen, not drawn at random: a difference between them that no covariate "
        "records, such as another scanner, could give the same result."
    )
    change = "An audit with members drawn at random before training, or with people who are more alike."
    return Verdict("leaks", sentence, detectable, basis, change)


def _by_bounds(rule: Rule, estimates: Estimates) -> Basis:
    """Rank attacks by their simultaneous lower bounds; the greater AUC breaks ties."""
    low = estimates.simultaneous_low
    order = np.lexsort((estimates.auc, low))[::-1].tolist()
    ranking = tuple(estimates.attacks[k] for k in order)
    shown = tuple(estimates.attacks[k] for k in order if low[k] > 0.5)
    return Basis(rule, ranking, shown, bound=float(low[order[0]]))


def _by_p_values(estimates: Estimates, null: NullCheck) -> Basis:
    """Rank attacks by their max-T p-values; the greater AUC breaks ties, of which permutations make many."""
    order = np.lexsort((-estimates.auc, null.p_values)).tolist()
    ranking = tuple(estimates.attacks[k] for k in order)
    # Max-T p-values are corrected for all attacks tried, so each may be compared with the level by itself.
    shown = tuple(estimates.attacks[k] for k in order if null.p_values[k] < SIGNIFICANCE)
    return Basis("permutation", ranking, shown, p_value=float(null.p_values[order[0]]))


def _strongest(estimates: Estimates, basis: Basis) -> int:
    return estimates.attacks.index(basis.ranking[0])


def _judge_without_success(estimates: Estimates, basis: Basis, sides: Sides) -> Verdict:
    detectable = smallest_detectable_auc(estimates)
    missed = f"an AUC of {two_decimals_up(detectable)} (chance is 0.50)"
    if estimates.below_chance.any():
        worst = estimates.attacks[int(np.argmin(np.where(estimates.below_chance, estimates.auc, np.inf)))]
        sentence = (
            f"This audit cannot answer: attack {worst} does significantly worse than chance, so members and "
            "non-members differ in a way that no attack expected. Find that difference and audit again."
        )
        return Verdict(
            "inconclusive",
            sentence,
            detectable,
            basis,
            "An audit of members and non-members who are more alike.",
        )
    if detectable > TELLING:
        sentence = (
            "This audit is too small to answer: no attack was shown to succeed, but a leak would have been "
            f"found reliably only from {missed} upwards."
        )
        needed = people_to_detect(TELLING, estimates.critical)
        change = (
            f"An audit that scores about {needed} members and {needed} non-members: it would reliably find a "
            f"leak with an AUC of {TELLING}."
        )
        return Verdict("inconclusive", sentence, detectable, basis, change)
    sentence = (
        f"No leak was shown by the {_attacks(estimates)} tried; a leak weaker than {missed} could have been "
        "missed. "
    )
    if sides.references:
        sentence += f"Attacks with {sides.references} reference models are among them."
        more = "More reference models"
    else:
        sentence += "Attacks with reference models, which find more, were not tried."
        more = "Attacks with reference models"
    change = f"{more}, an attacker that sees more, or more people, so that a weaker leak can be found."
    return Verdict("no leak shown", sentence, detectable, basis, change)


def _judge_within(
    estimates: Estimates,
    basis: Basis,
    within: Estimates | None,
    blind: Blind,
    sides: Sides,
    overlap: Overlap | None,
) -> Verdict:
    alike = None if within is None else _by_bounds("within strata", within)
    if within is not None and alike is not None and alike.shown:
        best = _strongest(within, alike)
        sentence = (
            f"{sides.leak}: even among people alike in the covariates, "
            f"{_success(within, best)} ({_bound(within, best)}). {sides.names} also differ "
            f"without the model, most of all in {_culprit(blind)}."
        )
        return _leaks(sentence, smallest_detectable_auc(within), alike, blind, sides)
    failed = overlap is not None and overlap.extent == "failed"
    if within is not None and alike is not None and not failed:
        verdict = _judge_without_success(within, alike, sides)
        return _of_people_alike(verdict, estimates, basis, blind, sides, overlap)
    if not (blind.plain or basis.shown):
        # The difference is small, and there is no success that it would have to explain.
        return _judge_without_success(within or estimates, alike or basis, sides)
    return _confounded(estimates, within, blind, sides, overlap)


def _of_people_alike(
    verdict: Verdict, estimates: Estimates, basis: Basis, blind: Blind, sides: Sides, overlap: Overlap | None
) -> Verdict:
    """Return a verdict on people alike in the covariates that says so, and what differs among all people."""
    can = "can" if blind.plain else "may"
    said = f"{sides.names} {can} be told apart without the model, most of all by {_culprit(blind)}."
    if basis.shown:
        success = _success(estimates, _strongest(estimates, basis))
        said += f" Among all people {success}; the difference between the two sides may explain that."
    share = ""
    if overlap is not None:
        share = f"; {_percent(overlap.members)} of the members have such people on the other side"
    said += f" This answer is only about people who are alike in the covariates{share}."
    change = verdict.would_change
    if verdict.label == "inconclusive":
        change = "An audit of more people of both sides who are alike in the covariates."
    return replace(verdict, sentence=f"{verdict.sentence} {said}", would_change=change)


def _confounded(
    estimates: Estimates, within: Estimates | None, blind: Blind, sides: Sides, overlap: Overlap | None
) -> Verdict:
    if within is None or overlap is None:
        # Attacks are still listed in the order of their bounds, but none of these is evidence of a leak.
        basis, detectable = Basis("none", _by_bounds("none", estimates).ranking), 1.0
        few = "too few people are alike in the covariates to judge the attacks among them"
    else:
        basis, detectable = _by_bounds("within strata", within), smallest_detectable_auc(within)
        few = (
            "the comparison of people alike in the covariates has the weight of only "
            f"{_percent(overlap.effective_members)} of the members, too little for an answer about them"
        )
    remedy = sides.remedy or _remedy(blind)
    sentence = (
        f"{sides.names} can be told apart without the model, most of all by {_culprit(blind)}, and {few}: "
        f"a leak is neither shown nor excluded. {remedy}"
    )
    return Verdict("confounded", sentence, detectable, basis, remedy)


def _culprit(blind: Blind) -> str:
    auc = rounded(blind.covariates[0].auc, step_below(blind.chance_error))
    return f"{blind.worst} (AUC {auc:.2f} by itself)"


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _remedy(blind: Blind) -> str:
    if blind.pairs is None:
        return (
            f"Fewer than {FEWEST_PER_SIDE} people of each side have a match on the other: audit again with "
            "people of both sides who are alike."
        )
    return f"Audit again on the matched subset of {blind.pairs} members and {blind.pairs} non-members."


def _success(estimates: Estimates, k: int) -> str:
    auc = rounded(float(estimates.auc[k]), _step(estimates, k))
    pairs = f"{_percent(float(two_decimals(auc)))} of pairs, where chance gives 50%"
    return f"attack {estimates.attacks[k]} ranks a member above a non-member in {pairs}"


def _bound(estimates: Estimates, k: int) -> str:
    low = floored(float(estimates.simultaneous_low[k]), _step(estimates, k), side=0.5)
    least = _percent(float(two_decimals(low, down=True)))
    return f"at least {least} with 99% confidence over the {_attacks(estimates)} tried"


def _step(estimates: Estimates, k: int) -> float:
    """Return the step to which an attack's AUC and its bounds are rounded wherever they are published."""
    interval = estimates.intervals[k]
    return step_below(error_of(interval.low, interval.high))


def _attacks(estimates: Estimates) -> str:
    number = len(estimates.attacks)
    return "one attack" if number == 1 else f"{number} attacks"
