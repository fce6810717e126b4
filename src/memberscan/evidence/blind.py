"""Can members be told from non-members without the model? Then an attack's success alone proves nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats
from scipy.special import ndtr

from memberscan.errors import MisalignedError
from memberscan.evidence.confounding import blind_strata, matched_pairs
from memberscan.evidence.design_matrix import (
    Group,
    as_many,
    columns_of,
    less_explained,
    standardise_covariates,
)
from memberscan.evidence.roc import aucs_of_rows, null_variance
from memberscan.limits import FEWEST_PER_SIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from jaxtyping import Bool, Float, Int

FOLDS = 5
TRIP_P = 0.05
"""Below it attacks are judged within strata; larger than SIGNIFICANCE of attacks, to miss few differences."""
PLAIN_P = 0.01
"""Below it the two sides are said to differ, whether or not an attack succeeds."""
TELLING = float(stats.norm.isf(0.2))
"""Groups of columns that tell less are not adjusted for."""
SUBJECTS_PER_COLUMN, MOST_COLUMNS = 8, 150
"""Subjects that are needed for each column that is adjusted for, and the most columns."""
LARGEST_PERMUTED = 2000
"""Above this many subjects p-values come from the closed form."""


@dataclass(frozen=True)
class BlindCovariate:
    """How well one covariate alone tells members from non-members, out of fold."""

    name: str
    auc: float
    p_value: float


@dataclass(frozen=True, eq=False)
class Blind:
    """How well covariates tell members from non-members, by a classifier that never saw the model.

    Parameters
    ----------
    auc
        Out of fold, all covariates together; ``None`` if there are none.
    p_value
        Of the group of covariates that tells most, corrected for all groups tried, by permutation of
        membership. It is not the p-value of ``auc``.
    permutations
        How many; 0 where the p-values come from the closed form.
    covariates
        Each covariate alone, the most telling first.
    ignored
        Covariates not used, with the reason.
    randomised
        Whether membership was drawn at random: then an imbalance is chance, reported, and not confounding.
    score
        Of each subject, out of fold; higher for one that looks like a member.
    strata
        Quantile bins of that score.
    matched
        A subset, as many members as non-members, paired by that score; empty if covariates tell nothing.
    features
        The covariates as columns.
    sides
        How many members, and non-members.
    """

    auc: float | None
    p_value: float | None
    permutations: int
    covariates: tuple[BlindCovariate, ...]
    ignored: dict[str, str]
    randomised: bool
    score: Float[np.ndarray, " subjects"]
    strata: Int[np.ndarray, " subjects"]
    matched: Bool[np.ndarray, " subjects"]
    features: Float[np.ndarray, "subjects features"]
    sides: tuple[int, int]

    @property
    def tripped(self) -> bool:
        """Whether covariates alone may tell members from non-members."""
        return self.p_value is not None and self.p_value < TRIP_P

    @property
    def plain(self) -> bool:
        """Whether they do so at the stricter level."""
        return self.p_value is not None and self.p_value < PLAIN_P

    @property
    def gates(self) -> bool:
        """Whether attacks are judged within strata: it tripped, and membership was not drawn at random."""
        return self.tripped and not self.randomised

    @property
    def pairs(self) -> int | None:
        """Pairs of the matched subset; None where they are too few to audit."""
        pairs = int(self.matched.sum()) // 2
        return pairs if pairs >= FEWEST_PER_SIDE else None

    @property
    def chance_error(self) -> float:
        """Standard error that an AUC of these sides has under chance; these AUCs come without an interval."""
        return float(np.sqrt(null_variance(*self.sides)))

    @property
    def worst(self) -> str | None:
        """The covariate that tells the sides apart best by itself."""
        return self.covariates[0].name if self.covariates else None


def blind_check(
    covariates: pd.DataFrame,
    member: Bool[np.ndarray, " subjects"],
    rng: np.random.Generator,
    *,
    randomised: bool = False,
) -> Blind:
    """Try to tell members from non-members by their covariates alone.

    Shifts and curves of covariates, all straight columns together, and products of two covariates (see
    :class:`~memberscan.evidence.design_matrix.Design`) are tried. Each group of columns has an F statistic
    for how much it explains of membership; the greatest of them, made comparable, is compared with the same
    under permuted membership. So covariates without any effect do no harm.

    Parameters
    ----------
    covariates
        One row per subject, in the order of ``member``: numbers or text, possibly missing. Not the model's
        outputs.
    member
        Who was trained on.
    rng
        Draws folds and permutations.
    randomised
        Whether membership was drawn at random.
    """
    if len(covariates) != len(member):
        raise MisalignedError(
            f"covariates of {len(covariates)} subjects, membership of {len(member)}; give one row each"
        )
    n = len(member)
    design = standardise_covariates(covariates)
    everyone, sides = np.zeros(n), (int(member.sum()), int((~member).sum()))
    if not design.covariates:
        nothing = np.zeros(n, dtype=int), np.ones(n, dtype=bool), np.empty((n, 0))
        return Blind(None, None, 0, (), design.ignored, randomised, everyone, *nothing, sides)
    most = min(n // SUBJECTS_PER_COLUMN, MOST_COLUMNS)
    every = design.everything(most)
    permutations = int(np.clip(200_000 // n, 199, 999)) if n <= LARGEST_PERMUTED else 0
    labels = np.tile(member.astype(float), (permutations + 1, 1))
    labels[1:] = rng.permuted(labels[1:], axis=1)
    folds = np.stack([rng.permutation(n) % FOLDS for _ in range(3 if n <= 500 else 1)])
    mains, pairs = (*design.shifts, *design.curves, design.straight), design.pairs
    told = {id(group): explained(group, labels) for group in (*mains, *pairs)}
    # Products are many: they share one half of the error, so that they hide no difference in one covariate.
    p_values = [_p_value([told[id(group)] for group in family]) for family in (mains, pairs) if family]
    p_value = min(1.0, len(p_values) * min(p_values))
    ranked = sorted((*mains, *pairs), key=lambda group: -told[id(group)][0])
    # Covariates that do not differ between the sides need no adjustment, and each column takes something from
    # the scores by chance.
    telling = [group for group in ranked if group is ranked[0] or told[id(group)][0] > TELLING]
    features = columns_of(as_many(telling, most))
    score = out_of_fold(features, member, folds)
    return Blind(
        auc=_auc(every, member, folds),
        p_value=p_value,
        permutations=permutations,
        covariates=tuple(
            BlindCovariate(" and ".join(g.names), _auc([g], member, folds), _p_value([told[id(g)]]))
            for g in ranked
            if g in design.curves or (g is ranked[0] and g in pairs)
        ),
        ignored=design.ignored,
        randomised=randomised,
        score=score,
        strata=blind_strata(score, member),
        matched=matched_pairs(score, member) if p_value < TRIP_P else np.zeros(n, dtype=bool),
        features=features,
        sides=sides,
    )


def explained(group: Group, labels: Float[np.ndarray, "rows subjects"]) -> Float[np.ndarray, " rows"]:
    """Return how much a group explains of each row of labels beyond its base, standard normal by chance.

    It is the F statistic of a linear regression, made normal by Paulson's cube root (Ann. Math. Stat. 13,
    1942), so that groups of different width can be compared. Minus infinity where nothing is left to explain.
    """
    n = labels.shape[1]
    beyond, taken = less_explained(group.added, columns_of(group.base) if group.base else None)
    # Eigenvectors of the products of columns give directions at right angles; zero ones repeat others.
    values, vectors = np.linalg.eigh(beyond.T @ beyond)
    kept = values > 1e-9 * n
    rank, rest = int(kept.sum()), n - 1 - taken - int(kept.sum())
    if not rank or rest < 2:
        return np.full(len(labels), -np.inf)
    directions = beyond @ (vectors[:, kept] / np.sqrt(values[kept]))
    # Columns have a mean of zero, so that labels need not be centred; all rows hold as many members.
    share = ((labels @ directions) ** 2).sum(axis=1) / (n * labels[0].var())
    f = np.cbrt(share / rank / np.maximum((1 - share) / rest, 1e-12))
    a, b = 2 / (9 * rank), 2 / (9 * rest)
    return np.asarray(((1 - b) * f - (1 - a)) / np.sqrt(b * f**2 + a))


def _p_value(told: Sequence[Float[np.ndarray, " rows"]]) -> float:
    """Return the share of rows whose greatest reaches the first's, or less where none but the first does.

    Rows resolve no share below one of them, and a correction for many groups of people would then hide any
    difference. There Bonferroni's bound by the normal distribution serves, as it does for one row only.
    """
    greatest = np.max(told, axis=0)
    reached, rows = int((greatest >= greatest[0] - 1e-9).sum()), len(greatest)
    bound = float(min(1.0, len(told) * ndtr(-greatest[0])))
    return min(bound, 1 / rows) if reached == 1 else reached / rows


def out_of_fold(
    features: Float[np.ndarray, "subjects features"],
    member: Bool[np.ndarray, " subjects"],
    folds: Int[np.ndarray, "repeats subjects"],
) -> Float[np.ndarray, " subjects"]:
    """Return out-of-fold scores of a ridge classifier, averaged over repeats; higher for members.

    The penalty equals the number of features, as if they explained half of the variance. Scores have no
    intercept: a training fold with more members would otherwise give its test fold, which has fewer, the
    higher scores.
    """
    label = member.astype(float)
    scores = np.zeros(len(label))
    penalty = features.shape[1] * np.eye(features.shape[1])
    for repeat in folds:
        parts = [np.flatnonzero(repeat == fold) for fold in range(FOLDS)]
        held = [features[part] for part in parts]
        # Sums over a training fold are sums over all folds less those of the one held out, and centring
        # afterwards takes n times the outer product of the means away.
        sums = np.array([x.sum(axis=0) for x in held])
        products = np.array([x.T @ x for x in held])
        answers = np.array([x.T @ label[part] for x, part in zip(held, parts, strict=True)])
        for k, part in enumerate(parts):
            n = len(label) - len(part)
            mean = (sums.sum(axis=0) - sums[k]) / n
            total = label.sum() - label[part].sum()
            gram = products.sum(axis=0) - products[k] - n * np.outer(mean, mean)
            answer = answers.sum(axis=0) - answers[k] - mean * total
            slope = np.linalg.solve(gram + penalty, answer)
            scores[part] += held[k] @ slope - mean @ slope
    return scores / len(folds)


def _auc(
    groups: Sequence[Group],
    member: Bool[np.ndarray, " subjects"],
    folds: Int[np.ndarray, "repeats subjects"],
) -> float:
    scores = out_of_fold(columns_of(groups), member, folds)
    return float(aucs_of_rows(scores[None], member[None].astype(float))[0])
