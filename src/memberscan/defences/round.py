"""Answers rounded to multiples of a step, so that small differences between people are not seen."""

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
class Round(AnswerDefence):
    """Rounds every answer to a multiple of a step.

    Parameters
    ----------
    step
        Distance between two possible answers, in the unit of the target.
    """

    strengths: ClassVar = ("step=1", "step=5")

    step: Annotated[float, Field(ge=1e-9, allow_inf_nan=False)]

    def answered(self, answers: Answers) -> Float[np.ndarray, " n"]:
        """Return step k with the whole number k nearest to value / step; of two, the even one."""
        # Adding 0 turns -0 into 0: its sign would tell small negative answers from small positive ones.
        return np.asarray(self.step * np.rint(answers.values / self.step) + 0.0)

    def changes_answers(self) -> str:
        """See :class:`~memberscan.defences.defence.Defence`."""
        return f"Every answer is rounded to a multiple of {self.step:g}."
