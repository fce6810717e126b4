"""What all seeds of one point found of every person, and which attack counts in each seed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.errors import BadInputError
from memberscan.evidence.operating import mean_rate
from memberscan.evidence.over_seeds import OverSeeds, auc_over_seeds, mean_over_seeds
from memberscan.report.disclosure import few

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

MOST_EXPOSED = 10
"""The most exposed people are one in so many."""
_FACTS = ("error", "label", "member", "exposure_auc", "exposure_se")

RATES = (0.05, 0.01)
"""False-positive rates at which true-positive rates are given."""


@dataclass(frozen=True, eq=False)
class Leak:
    """What attacks found of some people.

    Parameters
    ----------
    auc
        Area under the ROC curve.
    rates
        True-positive rate with its interval at each of ``RATES``, means over seeds; None where too few
        non-members were compared in some seed.
    """

    auc: OverSeeds
    rates: tuple[tuple[float, float, float] | None, ...]


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
    def everybody(self) -> Leak:
        """Return what the chosen attacks find of all people."""

    @abstractmethod
    def most_exposed(self, smallest: int) -> Leak | str:
        """Return what they find of the tenth of people whom references show to be exposed most.

        The threshold is that of all non-members: an attacker does not know who is exposed. Instead the reason
        where nothing can be said of these people, or fewer than ``smallest`` are on a side.
        """


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
        attacks = in_all([[str(column) for column in table if column not in _FACTS] for table in tables])
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

    def everybody(self) -> Leak:
        """See :class:`SeedsOfPeople`."""
        return self._among(self.counted)

    def most_exposed(self, smallest: int) -> Leak | str:
        """See :class:`SeedsOfPeople`."""
        exposed = self.exposed
        if not exposed.any():
            return "too few references to say who is exposed; four or more are needed"
        sides = (self.member & exposed).sum(axis=1), (~self.member & exposed).sum(axis=1)
        return self._among(exposed) if np.min(sides) >= smallest else few(smallest)

    @property
    def exposed(self) -> Bool[np.ndarray, "seeds people"]:
        """Who is in the most exposed tenth, by references alone; nobody where they say nothing."""
        found = np.zeros_like(self.counted)
        for row, exposure, part in zip(found, self.exposure, self.counted, strict=True):
            known = part & ~np.isnan(exposure)
            order = np.argsort(np.where(known, -exposure, np.inf), kind="stable")
            row[order[: int(known.sum()) // MOST_EXPOSED]] = True
        return found

    def _among(self, people: Bool[np.ndarray, "seeds people"]) -> Leak:
        sides = [
            (score[self.member[k] & people[k]], score[~self.member[k] & self.counted[k]])
            for k, score in enumerate(self.score)
        ]
        rates = tuple(mean_rate(sides, fpr) for fpr in RATES)
        return Leak(auc_over_seeds(self.score, self.member, people), rates)


def rows_of(
    tables: Sequence[pd.DataFrame], subjects: Sequence[str]
) -> Callable[[str], Float[np.ndarray, "seeds people"]]:
    """Return a function that gives a column of all tables, for these subjects; NaN where there is nothing."""
    together = [table.reindex(list(subjects)) for table in tables]
    nothing = np.full(len(subjects), np.nan)

    def rows(column: str) -> Float[np.ndarray, "seeds people"]:
        return np.stack([t[column].to_numpy(float) if column in t else nothing for t in together])

    return rows


def in_all(attacks: Sequence[Sequence[str]]) -> list[str]:
    """Return the attacks that ran with every seed.

    Raises
    ------
    BadInputError
        If there is none.
    """
    names = [name for name in attacks[0] if all(name in others for others in attacks)]
    if not names:
        raise BadInputError("no attack ran with every seed")
    return names


def strongest_elsewhere(aucs: Mapping[str, Float[np.ndarray, " seeds"]]) -> tuple[str, ...]:
    """Return for each seed the attack with the greatest mean AUC over all other seeds.

    The best of several attacks on one model looks strong by luck too; on a model that did not choose it, an
    attack has no such luck.
    """
    names, found = list(aucs), np.stack(list(aucs.values()))
    others = found.sum(axis=1, keepdims=True) - found
    return tuple(names[k] for k in others.argmax(axis=0).tolist())
