"""What all seeds of one point found of every person, and which attack counts in each seed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.evidence.operating import tpr_interval
from memberscan.evidence.over_seeds import OverSeeds, auc_over_seeds, mean_over_seeds

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

MOST_EXPOSED = 10
"""The most exposed people are one in so many."""
_FACTS = ("error", "label", "member", "exposure_auc", "exposure_se")


@dataclass(frozen=True, eq=False)
class SeedsOfPeople(ABC):
    """What was found of every person at one point, with every seed.

    Parameters
    ----------
    error, label
        Mean absolute error, and mean true value of the target; NaN for people who are on neither side.
    member, counted
        Who was trained on, and who is on one of the two sides.
    chosen
        The attack of each seed.
    """

    error: Float[np.ndarray, "seeds people"]
    label: Float[np.ndarray, "seeds people"]
    member: Bool[np.ndarray, "seeds people"]
    counted: Bool[np.ndarray, "seeds people"]
    chosen: tuple[str, ...]

    def mean_error(self, *, of_members: bool) -> OverSeeds:
        """Return the mean absolute error on one of the sides."""
        side = self.member if of_members else ~self.member
        return mean_over_seeds(self.error, side & self.counted)

    @abstractmethod
    def auc(self, among: Bool[np.ndarray, "seeds people"] | None = None) -> OverSeeds:
        """Return the AUC of the chosen attacks, among some people or all."""

    @abstractmethod
    def rate(self, fpr: float, among: Bool[np.ndarray, "seeds people"]) -> tuple[float, float, float] | None:
        """Return the true-positive rate of some members with its interval, as means over seeds.

        The threshold is that of all non-members: an attacker does not know who is exposed. None where they
        are too few in some seed to resolve the rate.
        """

    @property
    def most_exposed(self) -> Bool[np.ndarray, "seeds people"]:
        """Who is in the most exposed tenth, by references alone; nobody where they say nothing."""
        return np.zeros_like(self.counted)

    def fewest(self, among: Bool[np.ndarray, "seeds people"]) -> int:
        """Return how many people are on the smaller side of some people, in the seed with the fewest."""
        return int(min((self.member & among).sum(axis=1).min(), (~self.member & among).sum(axis=1).min()))


@dataclass(frozen=True, eq=False)
class SeedsOfModels(SeedsOfPeople):
    """Of models of one training each.

    Parameters
    ----------
    exposure
        Of each person, by the references; NaN where they say nothing.
    scores
        By attack.
    """

    exposure: Float[np.ndarray, "seeds people"]
    scores: Mapping[str, Float[np.ndarray, "seeds people"]]

    @classmethod
    def of(cls, tables: Sequence[pd.DataFrame], subjects: Sequence[str], only: str) -> SeedsOfModels:
        """Return what the tables of all seeds say of these subjects.

        Parameters
        ----------
        tables
            From :func:`memberscan.frontier.tasks.read_people`.
        subjects
            Everybody in the cohort, so that all points have their people in one order.
        only
            The attack to take where there is one seed only.
        """
        rows = rows_of(tables, subjects)
        attacks = [str(c) for c in tables[0] if c not in _FACTS and all(c in table for table in tables)]
        member, scores = rows("member"), {name: rows(name) for name in attacks}
        counted = ~np.isnan(member)
        aucs = {
            name: auc_over_seeds(list(found), member == 1, counted).values for name, found in scores.items()
        }
        return cls(
            error=rows("error"),
            label=rows("label"),
            member=member == 1,
            counted=counted,
            chosen=strongest_elsewhere(aucs) if len(tables) > 1 else (only,),
            exposure=rows("exposure_auc"),
            scores=scores,
        )

    @property
    def score(self) -> list[Float[np.ndarray, " people"]]:
        """The scores of the chosen attacks."""
        return [self.scores[name][k] for k, name in enumerate(self.chosen)]

    def auc(self, among: Bool[np.ndarray, "seeds people"] | None = None) -> OverSeeds:
        """See :class:`SeedsOfPeople`."""
        return auc_over_seeds(self.score, self.member, self.counted if among is None else among)

    @property
    def most_exposed(self) -> Bool[np.ndarray, "seeds people"]:
        """See :class:`SeedsOfPeople`."""
        found = np.zeros_like(self.counted)
        for row, exposure, part in zip(found, self.exposure, self.counted, strict=True):
            known = part & ~np.isnan(exposure)
            order = np.argsort(np.where(known, -exposure, np.inf), kind="stable")
            row[order[: int(known.sum()) // MOST_EXPOSED]] = True
        return found

    def rate(self, fpr: float, among: Bool[np.ndarray, "seeds people"]) -> tuple[float, float, float] | None:
        """See :class:`SeedsOfPeople`."""
        found = []
        for k, score in enumerate(self.score):
            outside = score[self.counted[k] & ~self.member[k]]
            if len(outside) < people_for(fpr):
                return None
            found.append(tpr_interval(score[self.member[k] & among[k]], outside, fpr))
        value, low, high = np.mean(found, axis=0).tolist()
        return value, low, high


def rows_of(
    tables: Sequence[pd.DataFrame], subjects: Sequence[str]
) -> Callable[[str], Float[np.ndarray, "seeds people"]]:
    """Return a function that gives a column of all tables, for these subjects; NaN where there is nothing."""
    together = [table.reindex(list(subjects)) for table in tables]
    nothing = np.full(len(subjects), np.nan)

    def rows(column: str) -> Float[np.ndarray, "seeds people"]:
        return np.stack([t[column].to_numpy(float) if column in t else nothing for t in together])

    return rows


def people_for(fpr: float) -> int:
    """Return how many non-members resolve a false-positive rate."""
    return round(3 / fpr)


def strongest_elsewhere(aucs: Mapping[str, Float[np.ndarray, " seeds"]]) -> tuple[str, ...]:
    """Return for each seed the attack with the greatest mean AUC over all other seeds.

    The best of several attacks on one model looks strong by luck too; on a model that did not choose it, an
    attack has no such luck.
    """
    names, found = list(aucs), np.stack(list(aucs.values()))
    others = found.sum(axis=1, keepdims=True) - found
    return tuple(names[k] for k in others.argmax(axis=0).tolist())
