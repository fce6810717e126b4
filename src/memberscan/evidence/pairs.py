"""What one party of a federation can learn about another's people: results pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.errors import MisalignedError
from memberscan.evidence.alignment import aligned
from memberscan.evidence.intervals import Interval, auc_interval, balanced_accuracy_interval
from memberscan.evidence.multiple import holm
from memberscan.evidence.permutation import permutation_p_values
from memberscan.evidence.roc import delong, influences
from memberscan.evidence.scores import ASIDE, IN, OUT, Draw, Pair, Scores
from memberscan.limits import FEWEST_PER_SIDE

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FEWEST_PERMUTATIONS, MOST_PERMUTATIONS = 9_999, 99_999


@dataclass(frozen=True)
class PairResult:
    """What one attacker showed about one victim by one attack; ``None`` with a reason if too few were scored.

    Parameters
    ----------
    attack, attacker, victim
        Names.
    members, nonmembers
        Scored people of the victim, and held-out ones.
    auc, accuracy
        With 95% intervals for this pair alone. Pairs share people: these do not add up to an interval of
        their mean.
    p_value
        By permutation, one-sided, for this pair alone.
    p_holm
        The same, corrected for all pairs of all attacks.
    reason
        Why there is no result.
    """

    attack: str
    attacker: str
    victim: str
    members: int
    nonmembers: int
    auc: Interval | None = None
    accuracy: Interval | None = None
    p_value: float | None = None
    p_holm: float | None = None
    reason: str | None = None


def pair_results(
    attacks: Sequence[Scores], rng: np.random.Generator, *, permutations: int | None = None
) -> tuple[PairResult, ...]:
    """Return what each attack showed in each of its pairs, attempted or not.

    A p-value is the share of permutations of the victim's people and the held-out people in which they differ
    at least as much. Scores are not recomputed: the attack was fitted on other people. P-values are corrected
    by Holm's method over all pairs of all attacks, so they hold for an attack that is selected afterwards.
    The correction is valid although pairs share people and attacks share pairs.

    Parameters
    ----------
    attacks
        Scores whose rows are pairs; may be empty.
    rng
        Draws the permutations; pairs of equal size share them.
    permutations
        No p-value is below 1 / (permutations + 1). By default 200 for each test, but at least 9,999 and at
        most 99,999: the smallest corrected p-value is then .005, or .05 with 5,000 tests.

    Raises
    ------
    MisalignedError
        If the rows are not pairs.
    """
    rows = [
        (attack.attack, row, float(threshold), *sides)
        for attack in attacks
        for row, threshold, sides in zip(_pairs(attack), attack.thresholds, attack.split(), strict=True)
    ]
    enough = [
        k for k, (*_, inside, outside) in enumerate(rows) if min(len(inside), len(outside)) >= FEWEST_PER_SIDE
    ]
    if permutations is None:
        permutations = int(np.clip(200 * len(enough) - 1, FEWEST_PERMUTATIONS, MOST_PERMUTATIONS))
    p_values = permutation_p_values([rows[k][-2:] for k in enough], rng, permutations)
    tested = dict(zip(enough, zip(p_values.tolist(), holm(p_values).tolist(), strict=True), strict=True))
    return tuple(_result(*row, tested.get(k)) for k, row in enumerate(rows))


def _pairs(attack: Scores) -> list[Pair]:
    """Return the rows of an attack, refusing draws."""
    pairs = [row for row in attack.rows if isinstance(row, Pair)]
    if len(pairs) < len(attack.rows):
        raise MisalignedError(f"attack {attack.attack} has draws and no pairs; give scores of a federation")
    return pairs


def _result(
    attack: str,
    pair: Pair,
    threshold: float,
    inside: Float[np.ndarray, " members"],
    outside: Float[np.ndarray, " nonmembers"],
    tested: tuple[float, float] | None,
) -> PairResult:
    sides = len(inside), len(outside)
    about = attack, pair.attacker, pair.victim, *sides
    if tested is None:
        needed = f"{FEWEST_PER_SIDE} members and {FEWEST_PER_SIDE} non-members"
        return PairResult(*about, reason=f"needs {needed} scored; there are {sides[0]} and {sides[1]}")
    # The rows share people, but each result is for one row only, so DeLong's variance of one row is valid.
    auc, covariance = delong(np.concatenate([inside, outside])[None], np.repeat([True, False], sides))
    right = [float(np.mean(side)) for side in (inside > threshold, outside <= threshold)]
    return PairResult(
        *about,
        auc=auc_interval(float(auc[0]), float(np.sqrt(covariance[0, 0])), *sides),
        accuracy=balanced_accuracy_interval(right[0], right[1], *sides),
        p_value=tested[0],
        p_holm=tested[1],
    )


def pooled_influences(attack: Scores) -> tuple[float, Float[np.ndarray, " people"]]:
    """Return the mean AUC over pairs, and what each person adds to its deviation from the true one.

    A person who is in several pairs adds to each of them, so that the squares sum to the variance of the mean
    although pairs share people. It is over people given this federation; not over training again. NaN for
    people whom no pair compares.

    Parameters
    ----------
    attack
        Scores whose rows are pairs.

    Raises
    ------
    MisalignedError, TooFewSubjectsError
        See :func:`memberscan.evidence.alignment.aligned`, which also says which pairs count.
    """
    (pairs,) = aligned([attack])
    total, influence = 0.0, np.zeros(pairs.values.shape[1])
    for values, sides, kept in zip(pairs.values, pairs.sides, pairs.compared, strict=True):
        auc, of_people, _ = influences(values[None, kept], sides[kept] == IN)
        total += float(auc[0])
        influence[kept] += of_people[0]
    influence[~pairs.compared.any(axis=0)] = np.nan
    return total / len(pairs.rows), influence / len(pairs.rows)


def placements(attack: Scores, strata: Mapping[str, Int[np.ndarray, " people"]] | None = None) -> Scores:
    """Return one score per person, as one draw: its mean placement among the non-members of each pair.

    This makes pairs comparable whose scores have different scales. People that no pair compares are set
    aside; the threshold is the mean placement of the pairs' own thresholds.

    Parameters
    ----------
    attack
        Scores whose rows are pairs.
    strata
        For each target, the stratum of each person: the placement is then among the non-members of the same
        stratum. People whose stratum has no one of the other side are set aside.

    Raises
    ------
    MisalignedError, TooFewSubjectsError
        See :func:`memberscan.evidence.alignment.aligned`.
    """
    (pairs,) = aligned([attack])
    total, count = np.zeros((2, pairs.values.shape[1]))
    thresholds = []
    everyone = np.zeros(len(total), dtype=int)
    rows = zip(pairs.rows, pairs.values, pairs.compared, pairs.sides, pairs.thresholds, strict=True)
    for row, values, kept, sides, threshold in rows:
        label = everyone if strata is None else strata[row.target]
        for level in np.unique(label[kept]):
            alike = kept & (label == level)
            outside = np.sort(values[alike & (sides == OUT)])
            if not len(outside) or not (alike & (sides == IN)).any():
                continue
            total[alike] += _place(outside, values[alike])
            count[alike] += 1
        thresholds.append(_place(np.sort(values[kept & (sides == OUT)]), threshold[None])[0])
    means = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    member = (pairs.sides == IN).any(axis=0)
    sides = np.where(count > 0, np.where(member, IN, OUT), ASIDE).astype(np.int8)
    mean_threshold = np.array([np.mean(thresholds)])
    return Scores(attack.attack, True, (Draw(0),), means[None], sides[None], mean_threshold)


def _place(sorted_values: Float[np.ndarray, " n"], values: Float[np.ndarray, " m"]) -> np.ndarray:
    """Return the share of sorted values below each value; ties count half."""
    left, right = (np.searchsorted(sorted_values, values, side=side) for side in ("left", "right"))
    return np.asarray((left + right) / (2 * len(sorted_values)))
