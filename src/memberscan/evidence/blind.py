"""Can members be told from non-members without the model? Then an attack's success alone proves nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from memberscan.errors import MisalignedError
from memberscan.evidence.confounding import blind_strata, matched_pairs
from memberscan.evidence.design_matrix import Design, standardise_covariates
from memberscan.evidence.roc import aucs_of_rows, null_variance
from memberscan.limits import FEWEST_PER_SIDE

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Bool, Float, Int

FOLDS = 5
TRIP_P, TRIP_AUC = 0.01, 0.55
ALONE = 199
"""Permutations, at most, for single covariates: they name a culprit and decide nothing."""
LARGEST_PERMUTED = 100_000
"""Above this many subjects p-values come from the closed form.

There an AUC of .55 is more than 25 standard errors from chance, so that the p-value decides nothing.
"""


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
        By permutation of membership, cross-validation repeated each time. A DeLong interval would not hold
        here: out-of-fold scores share their training subjects.
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
        A subset, as many members as non-members, paired by that score; nobody where covariates do not tell.
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
        """Whether covariates alone tell members from non-members."""
        return (
            self.auc is not None
            and self.p_value is not None
            and self.p_value < TRIP_P
            and self.auc > TRIP_AUC
        )

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
        """The covariate that tells most by itself."""
        return self.covariates[0].name if self.covariates else None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; nothing about single subjects."""
        return {
            "auc": self.auc,
            "p_value": self.p_value,
            "permutations": self.permutations,
            "tripped": self.tripped,
            "randomised": self.randomised,
            "gates": self.gates,
            "covariates": [asdict(covariate) for covariate in self.covariates],
            "ignored": [{"name": name, "reason": reason} for name, reason in self.ignored.items()],
            "strata": int(self.strata.max()) + 1 if self.gates else None,
            "matched_per_side": self.pairs if self.gates else None,
        }


def blind_check(
    covariates: pd.DataFrame,
    member: Bool[np.ndarray, " subjects"],
    rng: np.random.Generator,
    *,
    randomised: bool = False,
) -> Blind:
    """Try to tell members from non-members by their covariates alone.

    A ridge classifier is fitted and scored by five-fold cross-validation, for the labels as they are and
    permuted. Folds do not depend on the labels, so that the permutation test is exact, and the projection of
    a fold is computed once for all permutations.

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
    columns = standardise_covariates(covariates)
    everyone, sides = np.zeros(n), (int(member.sum()), int((~member).sum()))
    if not columns.columns:
        nothing = np.zeros(n, dtype=int), np.ones(n, dtype=bool), np.empty((n, 0))
        return Blind(None, None, 0, (), columns.ignored, randomised, everyone, *nothing, sides)
    permutations = int(np.clip(1_000_000 // n, 199, 999)) if n <= LARGEST_PERMUTED else 0
    labels = np.tile(member.astype(float), (permutations + 1, 1))
    labels[1:] = rng.permuted(labels[1:], axis=1)
    folds = np.stack([rng.permutation(n) % FOLDS for _ in range(3 if n <= 500 else 1)])
    score = out_of_fold(columns.matrix, labels, folds)
    auc, p_value = _judge(score, labels)
    differ = p_value < TRIP_P and auc > TRIP_AUC
    return Blind(
        auc=auc,
        p_value=p_value,
        permutations=permutations,
        covariates=_each_alone(columns, labels[: ALONE + 1], folds, (auc, p_value)),
        ignored=columns.ignored,
        randomised=randomised,
        score=score[0],
        strata=blind_strata(score[0], member),
        matched=matched_pairs(score[0], member) if differ else np.zeros(n, dtype=bool),
        features=columns.matrix,
        sides=sides,
    )


def out_of_fold(
    features: Float[np.ndarray, "subjects features"],
    labels: Float[np.ndarray, "rows subjects"],
    folds: Int[np.ndarray, "repeats subjects"],
) -> Float[np.ndarray, "rows subjects"]:
    """Return out-of-fold scores of a ridge classifier for each row of labels, averaged over repeats.

    The penalty equals the number of features, as if they explained half of the variance. Scores have no
    intercept: a training fold with more members would otherwise give its test fold, which has fewer, the
    higher scores.
    """
    if len(labels) == 1 and labels.size > LARGEST_PERMUTED:
        return _of_one_row(features, labels[0], folds)
    scores = np.zeros(labels.shape)
    penalty = features.shape[1] * np.eye(features.shape[1])
    for repeat in folds:
        coefficients, held_out = [], []
        for fold in range(FOLDS):
            test = (repeat == fold)[:, None]
            centred = features - features.mean(axis=0, where=~test)
            train = np.where(test, 0, centred)
            coefficients.append(np.linalg.solve(train.T @ train + penalty, train.T @ labels.T))
            held_out.append(np.where(test, centred, 0))
        # Each person's held-out row is zero in all folds but its own, so that one product of the stacked
        # folds gives everyone the score of the fold it was held out of, for all rows of labels at once.
        scores += np.vstack(coefficients).T @ np.hstack(held_out).T
    return scores / len(folds)


def _of_one_row(
    features: Float[np.ndarray, "subjects features"],
    label: Float[np.ndarray, " subjects"],
    folds: Int[np.ndarray, "repeats subjects"],
) -> Float[np.ndarray, "1 subjects"]:
    """Return the same as :func:`out_of_fold` for one row of labels, without masks as large as the data."""
    scores = np.zeros((1, len(label)))
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
            scores[0, part] += (held[k] - mean) @ np.linalg.solve(gram + penalty, answer)
    return scores / len(folds)


def _judge(
    scores: Float[np.ndarray, "rows subjects"], labels: Float[np.ndarray, "rows subjects"]
) -> tuple[float, float]:
    """Return the AUC of the first row and the share of rows that reach it, or its one-sided normal p-value.

    One row stands for no permutation at all.
    """
    aucs = aucs_of_rows(scores, labels)
    if len(aucs) == 1:
        members = int(labels.sum())
        error = np.sqrt(null_variance(members, labels.size - members))
        return float(aucs[0]), float(stats.norm.sf((aucs[0] - 0.5) / error))
    return float(aucs[0]), float(np.mean(aucs >= aucs[0] - 1e-12))


def _each_alone(
    columns: Design,
    labels: Float[np.ndarray, "rows subjects"],
    folds: Int[np.ndarray, "repeats subjects"],
    together: tuple[float, float],
) -> tuple[BlindCovariate, ...]:
    if len(columns.columns) == 1:
        return tuple(BlindCovariate(name, *together) for name in columns.columns)
    alone = [
        BlindCovariate(name, *_judge(out_of_fold(features, labels, folds[:1]), labels))
        for name, features in columns.columns.items()
    ]
    return tuple(sorted(alone, key=lambda covariate: -covariate.auc))
