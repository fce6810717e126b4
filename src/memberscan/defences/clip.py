"""Answers limited to a range, so that extreme ones are not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from memberscan.configuration import configuration
from memberscan.defences.answers import AnswerDefence

if TYPE_CHECKING:
    from typing import Self

    from jaxtyping import Float

    from memberscan.defences.answers import Answers


@configuration
class Clip(AnswerDefence):
    """Limits every answer to a range.

    Parameters
    ----------
    low, high
        Ends of the range, in the unit of the target. They become public, so choose them without looking at
        the people in the training set.
    """

    strengths: ClassVar = ("low=20,high=80", "low=40,high=60")

    low: Annotated[float, Field(allow_inf_nan=False)]
    high: Annotated[float, Field(allow_inf_nan=False)]

    @model_validator(mode="after")
    def _require_a_range(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low is {self.low:g} and high is {self.high:g}; low must be below high")
        return self

    def answered(self, answers: Answers) -> Float[np.ndarray, " n"]:
        """Return the number of the range that is nearest to each answer."""
        return np.asarray(np.clip(answers.values, self.low, self.high))

    def changes_answers(self) -> str:
        """See :class:`~memberscan.defences.defence.Defence`."""
        return f"Every answer is limited to the range from {self.low:g} to {self.high:g}."
