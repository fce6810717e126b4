"""What one party of a federation can learn about another's subjects: scores and results pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from memberscan.errors import MisalignedError, NonFiniteError, TooFewSubjectsError
from memberscan.evidence.intervals import Interval, auc_interval, balanced_accuracy_interval
from memberscan.evidence.roc import delong
from memberscan.evidence.scored import FEWEST

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

HELD_OUT = -1
"""Home of subjects that no learner trained on."""
AT_ONCE = 500
"""Permutations held in memory at one time."""


@dataclass(frozen=True, eq=False)
class PairScores:
    """One attack's scores of all subjects, for each attacker and victim.

    Parameters
    ----------
    attack
        Its name.
    fitted
        Whether it learnt from known subjects.
    attackers, victims
        Names of parties. Where a name stands in both, that pair is empty: nobody attacks itself.
    scores
        Higher for a likelier part of the victim's data. NaN where the attacker knows the subject, so that
        nobody is scored by an attack that was fitted on them; a pair of NaN only was not attempted.
    thresholds
        For each pair the value above which the attacker says "member", fixed without the labels of the
        scored.
    """

    attack: str
    fitted: bool
    attackers: tuple[str, ...]
    victims: tuple[str, ...]
    scores: Float[np.ndarray, "attackers victims subjects"]
    thresholds: Float[np.ndarray, "attackers victims"]

    def __post_init__(self) -> None:
        parties = (len(self.attackers), len(self.victims))
        if self.scores.ndim != 3 or self.scores.shape[:2] != parties or self.thresholds.shape != parties:
            raise MisalignedError(
                f"attack {self.attack}: scores of shape {self.scores.shape} and thresholds of shape "
                f"{self.thresholds.shape} for {parties[0]} attackers and {parties[1]} victims; give scores "
                "as attackers x victims x subjects and one threshold a pair"
            )
        for names in (self.attackers, self.victims):
            if len(set(names)) != len(names):
                raise MisalignedError(f"attack {self.attack} names a party twice in {', '.join(names)}")
        if np.isinf(self.scores).any() or np.isnan(self.thresholds[self.attempted]).any():
            raise NonFiniteError(
                f"attack {self.attack} gives scores or thresholds that are not finite; look for NaN or "
                "infinite signals"
            )
        for a, v in np.argwhere(self.attempted):
            if self.attackers[a] == self.victims[v]:
                raise MisalignedError(
                    f"attack {self.attack}: {self.victims[v]} attacks itself; leave NaN where the attacker "
                    "is the victim"
                )

    @property
    def attempted(self) -> Bool[np.ndarray, "attackers victims"]:
        """Which pairs have scores."""
        return np.asarray(~np.isnan(self.scores).all(axis=2))

    @property
    def seen(self) -> tuple[str, ...]:
        """The victims of whom some attacker saw something."""
        return tuple(self.victims[v] for v in np.flatnonzero(self.attempted.any(axis=0)))


@dataclass(frozen=True, eq=False)
class Compared:
    """Whom the pairs of an audit compare: the same subjects, whatever the attack and the attacker.

    Parameters
    ----------
    inside
        For each victim the positions of its scored subjects; none if they are too few.
    outside
        Positions of the scored held-out subjects.
    """

    inside: tuple[Int[np.ndarray, " members"], ...]
    outside: Int[np.ndarray, " nonmembers"]

    @property
    def sizes(self) -> Int[np.ndarray, " victims"]:
        """How many subjects of each victim are compared."""
        return np.array([len(inside) for inside in self.inside])

    def pairs(self, attack: PairScores) -> Bool[np.ndarray, "attackers victims"]:
        """Return which pairs of an attack have scores, and subjects enough."""
        return attack.attempted & (self.sizes > 0)


def check_homes(attacks: Sequence[PairScores], home: Int[np.ndarray, " subjects"]) -> None:
    """Refuse attacks that do not describe the same subjects and victims.

    Raises
    ------
    MisalignedError
        If there is no attack, names repeat, victims differ, or ``home`` is not one index of a victim, or -1,
        for each subject.
    """
    names = [attack.attack for attack in attacks]
    if not attacks or len(set(names)) != len(names):
        raise MisalignedError(f"give at least one attack, and names that differ, not: {', '.join(names)}")
    for attack in attacks:
        if attack.victims != attacks[0].victims:
            raise MisalignedError(
                f"attacks {names[0]} and {attack.attack} have different victims; list the same ones "
                "in the same order"
            )
        if home.shape != attack.scores.shape[2:] or not np.issubdtype(home.dtype, np.integer):
            raise MisalignedError(
                f"attack {attack.attack} scores {attack.scores.shape[2]} subjects, and homes are "
                f"{home.dtype} of shape {home.shape}; give one whole number per subject"
            )
    if home.size and not HELD_OUT <= home.min() <= home.max() < len(attacks[0].victims):
        raise MisalignedError(
            f"homes run from {home.min()} to {home.max()}; give the index of one of "
            f"{len(attacks[0].victims)} victims, or {HELD_OUT} for held-out subjects"
        )


def compared(attacks: Sequence[PairScores], home: Int[np.ndarray, " subjects"]) -> Compared:
    """Return whom all pairs compare; refuse pairs that differ in it, since they could not be pooled.

    Raises
    ------
    MisalignedError
        See :func:`check_homes`; or if some attackers score a subject of a victim, or a held-out one, and
        others do not.
    TooFewSubjectsError
        If some attack is left without a pair of ten subjects a side.
    """
    check_homes(attacks, home)
    somewhere, everywhere = np.zeros(len(home), dtype=bool), np.ones(len(home), dtype=bool)
    for attack in attacks:
        for a, v in np.argwhere(attack.attempted):
            scored = ~np.isnan(attack.scores[a, v])
            involved = (home == v) | (home == HELD_OUT)
            somewhere |= scored & involved
            everywhere &= scored | ~involved
    if (somewhere & ~everywhere).any():
        raise MisalignedError(
            f"{(somewhere & ~everywhere).sum()} subjects are scored in some pairs that compare them and not "
            "in others; let every attacker know the same held-out subjects, and score all of a victim's"
        )
    outside = np.flatnonzero(somewhere & (home == HELD_OUT))
    found = [np.flatnonzero(somewhere & (home == v)) for v in range(len(attacks[0].victims))]
    enough = [min(len(inside), len(outside)) >= FEWEST for inside in found]
    sides = Compared(
        tuple(inside if ok else inside[:0] for inside, ok in zip(found, enough, strict=True)), outside
    )
    for attack in attacks:
        if not sides.pairs(attack).any():
            raise TooFewSubjectsError(
                f"attack {attack.attack} has no pair with at least {FEWEST} subjects of the victim and "
                f"{FEWEST} held-out ones scored; hold out more subjects, or audit larger learners"
            )
    return sides


@dataclass(frozen=True)
class PairResult:
    """What one attacker showed about one victim by one attack; ``None`` with a reason if too few were scored.

    Parameters
    ----------
    attack, attacker, victim
        Names.
    members, nonmembers
        Scored subjects of the victim, and held-out ones.
    auc, accuracy
        With 95% intervals for this pair alone. Pairs share subjects: these do not add up to an interval of
        their mean.
    p_value
        By permutation, one-sided, for this pair alone.
    p_holm
        The same, corrected for all pairs of the attack.
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

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def pair_results(
    attack: PairScores,
    home: Int[np.ndarray, " subjects"],
    rng: np.random.Generator,
    *,
    permutations: int = 9999,
) -> tuple[PairResult, ...]:
    """Return what an attack showed for each attacker and each other party.

    A p-value says how often the victim's subjects and the held-out ones, shuffled, differ as much as they do.
    Scores stay as they are: the attack was fitted on other subjects. P-values are corrected by Holm's method,
    which holds although pairs share subjects.

    Parameters
    ----------
    attack
        Scores of each pair.
    home
        Index of the victim that trained on each subject; -1 for held-out ones.
    rng
        Draws the permutations; pairs of equal size share them.
    permutations
        No p-value is below 1 / (permutations + 1): with 9999 and 56 pairs, no corrected one below .0056.

    Raises
    ------
    MisalignedError
        See :func:`check_homes`.
    """
    check_homes([attack], home)
    samples = {}
    for a, attacker in enumerate(attack.attackers):
        for v, victim in enumerate(attack.victims):
            if attacker != victim:
                row = attack.scores[a, v]
                scored = ~np.isnan(row)
                samples[a, v] = row[scored & (home == v)], row[scored & (home == HELD_OUT)]
    enough = [pair for pair, sides in samples.items() if min(map(len, sides)) >= FEWEST]
    p_values = permutation_p_values([samples[pair] for pair in enough], rng, permutations)
    tested = dict(zip(enough, zip(p_values.tolist(), holm(p_values).tolist(), strict=True), strict=True))
    return tuple(_result(attack, *pair, *sides, tested.get(pair)) for pair, sides in samples.items())


def _result(
    attack: PairScores,
    a: int,
    v: int,
    inside: Float[np.ndarray, " members"],
    outside: Float[np.ndarray, " nonmembers"],
    tested: tuple[float, float] | None,
) -> PairResult:
    sides = len(inside), len(outside)
    about = attack.attack, attack.attackers[a], attack.victims[v], *sides
    if tested is None:
        reason = f"needs {FEWEST} members and {FEWEST} non-members scored, has {sides[0]} and {sides[1]}"
        return PairResult(*about, reason=reason)
    threshold = attack.thresholds[a, v]
    auc, covariance = delong(np.concatenate([inside, outside])[None], np.repeat([True, False], sides))
    right = [float(np.mean(side)) for side in (inside > threshold, outside <= threshold)]
    return PairResult(
        *about,
        auc=auc_interval(float(auc[0]), float(np.sqrt(covariance[0, 0])), *sides),
        accuracy=balanced_accuracy_interval(right[0], right[1], *sides),
        p_value=tested[0],
        p_holm=tested[1],
    )


def permutation_p_values(
    samples: Sequence[tuple[Float[np.ndarray, " members"], Float[np.ndarray, " nonmembers"]]],
    rng: np.random.Generator,
    permutations: int,
) -> Float[np.ndarray, " pairs"]:
    """Return one-sided p-values of the Mann-Whitney statistic of each pair of samples, by permutation.

    Ties get midranks. p = (1 + permutations that reach the observed statistic) / (permutations + 1), so the
    test is exact in size. Pairs of samples of equal sizes share permutations.
    """
    p_values = np.empty(len(samples))
    sizes = [(len(inside), len(outside)) for inside, outside in samples]
    for members, nonmembers in sorted(set(sizes)):
        group = [k for k, size in enumerate(sizes) if size == (members, nonmembers)]
        ranks = stats.rankdata(np.stack([np.concatenate(samples[k]) for k in group]), axis=1)
        # Rank sums are whole or half numbers, exact in floating point: equal ones compare as equal.
        observed = ranks[:, :members].sum(axis=1)
        reached = np.zeros(len(group))
        for start in range(0, permutations, AT_ONCE):
            labels = np.zeros((min(AT_ONCE, permutations - start), members + nonmembers), dtype=bool)
            labels[:, :members] = True
            rng.permuted(labels, axis=1, out=labels)
            reached += (labels.astype(float) @ ranks.T >= observed).sum(axis=0)
        p_values[group] = (1 + reached) / (1 + permutations)
    return p_values


def holm(p_values: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Return p-values corrected for all tests, however dependent (Holm, Scand. J. Statist. 6, 1979)."""
    order = np.argsort(p_values, kind="stable")
    remaining = np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1, np.maximum.accumulate(remaining * p_values[order]))
    return corrected
