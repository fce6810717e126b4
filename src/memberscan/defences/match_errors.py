"""Answers to people trained on that are moved by the least, until their errors are those of other people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from memberscan.configuration import configuration
from memberscan.defences.answers import AnswerDefence

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.defences.answers import Answers


@configuration
class MatchErrors(AnswerDefence):
    """Moves the answer to a scan that was trained on, so that its residual is as likely as of other people.

    The service knows which inputs it was trained on, and their labels. It moves the residual r of such an
    input to F_out^-1(F_in(r)), with the distribution functions of residuals of people trained on and of
    people held out. Answers to all other inputs stay as they are.

    Parameters
    ----------
    most
        Greatest change of an answer, in the unit of the target; None for any.
    """

    strengths: ClassVar = ("most=2", "")

    most: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    def needs_held_out(self) -> bool:
        """Return True: what errors of other people are is seen from those held out."""
        return True

    def answered(self, answers: Answers) -> Float[np.ndarray, " n"]:
        """Return label - F_out^-1(F_in(label - value)) for inputs that were trained on, within ``most``."""
        own, values = answers.own(), np.array(answers.values)
        known = np.isfinite(own.labels)
        residual = own.labels[known] - values[known]
        change = residual - matched(residual, own.members, own.others)
        values[known] += change if self.most is None else np.clip(change, -self.most, self.most)
        return values

    def changes_answers(self) -> str:
        """See :class:`~memberscan.defences.defence.Defence`."""
        limit = "" if self.most is None else f", by {self.most:g} at most"
        return (
            f"Answers to scans that the model was trained on are moved{limit}, so that their errors are as "
            "likely as those of other people. Answers to all other scans are not changed."
        )


def matched(
    residuals: Float[np.ndarray, " n"],
    members: Float[np.ndarray, " scans"],
    others: Float[np.ndarray, " held_out"],
) -> Float[np.ndarray, " n"]:
    """Return F_out^-1(F_in(r)), by linear interpolation between sorted residuals.

    Of all maps that give members the law of the others, an increasing one moves residuals by the least on
    average (optimal transport on a line: Villani, "Topics in Optimal Transportation", 2003, section 2.2).

    Parameters
    ----------
    residuals
        Of answers.
    members, others
        Residuals from which both laws are taken, at least one each.
    """
    sizes = len(members), len(others)
    at, to = ((np.arange(size) + 0.5) / size for size in sizes)
    # Beyond the smallest and the largest residual the places 0 and 1 would be extrapolated; they are not.
    place = np.interp(residuals, np.sort(members), at)
    return np.asarray(np.interp(place, to, np.sort(others)))
