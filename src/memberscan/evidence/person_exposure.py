"""How exposed each person is: how well an attacker with references could tell if it was trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from memberscan.evidence.exposed_people import q_values, swap_evidence
from memberscan.evidence.left_out import (
    FEWEST_FOR_ERRORS,
    Average,
    jackknife_error,
    laws_without_each,
    leave_out,
    share_of_right,
)
from memberscan.evidence.pair_information import BestAccuracy, PairInformation, best_accuracy, measure_pairs
from memberscan.evidence.reference_laws import FEWEST_TWINS, Learned, enough, learn_laws, learn_with_doubt
from memberscan.evidence.twins import Twins
from memberscan.limits import FEWEST_PER_SIDE

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from memberscan.evidence.naming import NamedMembers
    from memberscan.evidence.reference_power import ReferencePower
    from memberscan.evidence.two_normals import TwoNormals

RATES = (0.01, 0.05)
"""False-positive rates at which each person's true-positive rate is given."""
DISCOVERY_RATE = 0.1
"""Expected share of false discoveries in the list of exposed people."""
_SPLITS = 10


@dataclass(frozen=True)
class Stability:
    """How far two halves of the references agree on who is exposed, as means over several ways to halve them.

    Parameters
    ----------
    rank_correlation
        Spearman's, of the AUCs of people by either half.
    overlap
        Share of the most exposed tenth by one half who are among that tenth by the other; 0.1 by chance.
    references
        How many a half has.
    """

    rank_correlation: float
    overlap: float
    references: int


@dataclass(frozen=True)
class MeanExposure:
    """How exposed a group of people is, as means over them.

    Parameters
    ----------
    people
        How many they are.
    auc
        Mean AUC, with its error over references: the errors of people go together.
    rates, rate_spreads
        Mean true-positive rate at each of :data:`RATES`, and its standard deviation over people.
    right
        Share of right answers about them, by laws learned without the twins that are asked; None where too
        few references can be left out.
    """

    people: int
    auc: Average
    rates: tuple[float, ...]
    rate_spreads: tuple[float, ...]
    right: Average | None


@dataclass(frozen=True, eq=False)
class PersonExposure:
    """How exposed each person is; nobody's membership of the audited model is used.

    All numbers are of an attacker who knows the two laws of the model's mean residual on a person's scans:
    with the person in training, and without. They are about models of the references' recipe and size,
    trained on other people of this cohort; not about the one model that was audited. NaN for people with too
    few references.

    Parameters
    ----------
    references
        How many reference models there were.
    count
        How many of them were trained on each person, as many as were not.
    d_prime
        How far training on a person moves the mean residual towards zero, in standard deviations "out".
    auc
        Area under the ROC curve of the likelihood ratio of the two laws: 0.5 if they are equal.
    true_positive_rates
        Of the same test, by false-positive rate: see :data:`RATES`.
    q_value
        Least false discovery rate at which a list of exposed people has this person.
    doubt
        How far each AUC may lie from the truth because few references make each person's laws resemble other
        people's, as a standard deviation.
    auc_without
        The AUCs learned without each pair of twins; no rows where too few can be left out.
    right
        Share of right answers about each pair of twins by the laws learned without it, 0.5 by guessing; NaN
        where the pair says nothing of a person.
    stability
        Of the ranking; None with fewer than eight references.
    information, best
        What outputs say at most; None where too few references can be left out, or nobody has a partner.
    named
        Members of the audited model who can be named; None where no attack with references was run.
    power
        The attack's AUC by the number of references; None where it was not measured.
    """

    references: int
    count: Int[np.ndarray, " people"]
    d_prime: Float[np.ndarray, " people"]
    auc: Float[np.ndarray, " people"]
    true_positive_rates: Float[np.ndarray, "rates people"]
    q_value: Float[np.ndarray, " people"]
    doubt: Float[np.ndarray, " people"]
    auc_without: Float[np.ndarray, "twins people"]
    right: Float[np.ndarray, "twins people"]
    stability: Stability | None = None
    information: PairInformation | None = None
    best: BestAccuracy | None = None
    named: NamedMembers | None = None
    power: ReferencePower | None = None

    @property
    def judged(self) -> Bool[np.ndarray, " people"]:
        """For whom there are enough references."""
        return self.count >= FEWEST_TWINS

    @property
    def listed(self) -> Bool[np.ndarray, " people"]:
        """Who is on the list of exposed people."""
        return self.q_value <= DISCOVERY_RATE

    @property
    def auc_error(self) -> Float[np.ndarray, " people"]:
        """Standard error of each AUC: over references (jackknife over twins), and :attr:`doubt`.

        NaN where there are too few references.
        """
        twins = len(self.auc_without)
        if not twins:
            return np.full(len(self.auc), np.nan)
        error = np.sqrt((twins - 1) * self.auc_without.var(axis=0) + self.doubt**2)
        return np.where(self.count >= FEWEST_FOR_ERRORS, error, np.nan)

    def about(self, people: Bool[np.ndarray, " people"]) -> MeanExposure:
        """Return how exposed some people are; those with too few references are left out."""
        part = people & self.judged
        without = self.auc_without[:, part].mean(axis=1) if len(self.auc_without) else np.zeros(0)
        error = jackknife_error(without)
        if error is not None:
            # At least that of half an answer: AUCs of 1 by all twins do not mean that there is none.
            error = max(error, 0.5 / float(self.count[part].sum()))
        rates, right = self.true_positive_rates[:, part], self.right[:, part]
        return MeanExposure(
            people=int(part.sum()),
            auc=Average(float(self.auc[part].mean()), error, len(without)),
            rates=tuple(rates.mean(axis=1).tolist()),
            rate_spreads=tuple(rates.std(axis=1).tolist()),
            right=None if np.isnan(right).all() else share_of_right(right),
        )

    def most_exposed(self, people: int) -> Bool[np.ndarray, " people"]:
        """Return the given number of people with the greatest AUC."""
        return _greatest(np.where(self.judged, self.auc, -np.inf), people)

    def about_most_exposed(self, people: int) -> MeanExposure:
        """Return how exposed the given number of people are that are exposed most.

        People who stand out do so by luck too. For the share of right answers, those who are most exposed by
        all other references are asked about in each pair of twins in turn, so that it has no such luck in it.
        """
        found = self.about(self.most_exposed(people))
        if not len(self.auc_without):
            return found
        chosen = [_greatest(np.where(self.judged, row, -np.inf), people) for row in self.auc_without]
        return replace(found, right=share_of_right(np.where(chosen, self.right, np.nan)))


def person_exposure(
    residuals: Float[np.ndarray, "references people"],
    inside: Bool[np.ndarray, "references people"],
    label: Float[np.ndarray, " people"],
    rng: np.random.Generator,
) -> PersonExposure:
    """Estimate how exposed each person is from models of the target's recipe.

    Parameters
    ----------
    residuals
        Of each reference model and person, see :meth:`.TargetVariable.residual`; means over a person's scans.
    inside
        Whether each reference was trained on each person. Rows 2j and 2j + 1 are twins: the second was
        trained on the one of each matched pair of people that the first was not trained on.
    label
        Mean label of each person at its scans.
    rng
        Draws permuted masks, and halves of the references.

    Raises
    ------
    MisalignedError, NonFiniteError
        See :class:`memberscan.evidence.twins.Twins`.
    TooFewSubjectsError
        If fewer than ten people have two references with them and two without.
    """
    twins = Twins.of(residuals, inside, label)
    kept, learned = enough(twins), learn_with_doubt(twins)
    laws = learned.laws
    without = laws_without_each(twins)
    ratios = leave_out(twins, without)
    some = bool(without)
    return PersonExposure(
        references=len(residuals),
        count=twins.count,
        d_prime=np.where(kept, _d_prime(laws), np.nan),
        auc=np.where(kept, laws.auc, np.nan),
        true_positive_rates=np.where(kept, [laws.true_positive_rate(rate) for rate in RATES], np.nan),
        q_value=np.where(kept, q_values(swap_evidence(twins)), np.nan),
        doubt=np.where(kept, _doubt(learned), np.nan),
        auc_without=np.array([each.auc for each in without]).reshape(len(without), len(label)),
        right=ratios.balanced,
        stability=_stability(twins, rng),
        information=measure_pairs(twins, ratios, rng) if some else None,
        best=best_accuracy(twins, without, ratios, rng) if some else None,
    )


def _doubt(learned: Learned) -> Float[np.ndarray, " people"]:
    """Return how far AUCs move as far as the laws are in doubt: half of the distance between both sides."""
    laws, none = learned.laws, np.zeros_like(learned.shift_doubt)
    sides = [
        [laws.moved(sign * learned.shift_doubt, none).auc for sign in (-1, 1)],
        [laws.moved(none, sign * learned.ratio_doubt).auc for sign in (-1, 1)],
    ]
    return np.asarray(np.hypot(*((one - other) / 2 for one, other in sides)))


def _d_prime(laws: TwoNormals) -> Float[np.ndarray, " people"]:
    """Return the shift in standard deviations "out", above zero if it takes the prediction to the label."""
    towards = -np.sign(laws.mean_out)
    return np.asarray(towards * (laws.mean_in - laws.mean_out) / np.sqrt(laws.variance_out))


def _stability(twins: Twins, rng: np.random.Generator) -> Stability | None:
    half = len(twins) // 2
    found = []
    for _ in range(_SPLITS):
        order = rng.permutation(len(twins))
        parts = [twins.take(order[:half]), twins.take(order[half : 2 * half])]
        both = np.all([part.count >= FEWEST_TWINS for part in parts], axis=0)
        if both.sum() >= FEWEST_PER_SIDE:
            one, other = (learn_laws(part).auc[both] for part in parts)
            tenth = max(1, len(one) // 10)
            overlap = (_greatest(one, tenth) & _greatest(other, tenth)).sum() / tenth
            # Without any differences there is no ranking to agree on.
            ranked = np.ptp(one) > 0 and np.ptp(other) > 0
            found.append((float(stats.spearmanr(one, other).statistic) if ranked else 0.0, float(overlap)))
    if not found:
        return None
    correlation, overlap = np.mean(found, axis=0).tolist()
    return Stability(correlation, overlap, 2 * half)


def _greatest(values: Float[np.ndarray, " people"], people: int) -> Bool[np.ndarray, " people"]:
    chosen = np.zeros(len(values), dtype=bool)
    chosen[np.argsort(-values, kind="stable")[:people]] = True
    return chosen
