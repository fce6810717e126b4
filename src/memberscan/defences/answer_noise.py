"""Noise on answers that a repeated question does not average out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy import special

from memberscan.configuration import configuration
from memberscan.defences.answers import AnswerDefence

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

    from memberscan.defences.answers import Answers


@configuration
class AnswerNoise(AnswerDefence):
    """Adds noise to every answer that depends on the input and a secret alone.

    The same input has the same noise every time. An input that differs in a single bit has other noise, so
    that the mean answer to k slightly changed inputs has noise of scale / sqrt(k).

    Parameters
    ----------
    scale
        Standard deviation of the noise of one answer, in the unit of the target, under either law.
    law
        "gaussian" or "laplace".
    """

    strengths: ClassVar = ("scale=1", "scale=3")

    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    law: Literal["gaussian", "laplace"] = "gaussian"

    def answered(self, answers: Answers) -> Float[np.ndarray, " n"]:
        """Return value + scale F^-1(u), with u from HMAC-SHA256 of the input and F of variance 1."""
        uniform = uniform_of(answers.random_bytes())
        drawn = special.ndtri(uniform) if self.law == "gaussian" else laplace(uniform)
        return np.asarray(answers.values + self.scale * drawn)

    def changes_answers(self) -> str:
        """See :class:`~memberscan.defences.defence.Defence`."""
        law = "Gaussian" if self.law == "gaussian" else "Laplace"
        return (
            f"{law} noise with a standard deviation of {self.scale:g} is added to every answer. It is the "
            "same each time for the same input."
        )


def uniform_of(drawn: UInt8[np.ndarray, "n 32"]) -> Float[np.ndarray, " n"]:
    """Return numbers strictly between 0 and 1: the middle of one of 2^52 equal parts, by the first bits."""
    # 52 bits and a half are exact in a double; 53 would round the largest number to 1.
    whole = np.ascontiguousarray(drawn[:, :8]).view(">u8")[:, 0] >> np.uint64(12)
    return np.asarray((whole.astype(np.float64) + 0.5) / 2.0**52)


def laplace(uniform: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return quantiles of the Laplace law with mean 0 and variance 1, whose parameter b is 1 / sqrt(2)."""
    # By the smaller tail: 1 - |2 u - 1| would lose digits near its end, and 2 min(u, 1 - u) is exact.
    tail = 2 * np.minimum(uniform, 1 - uniform)
    return np.asarray(-np.sign(uniform - 0.5) * np.log(tail) / math.sqrt(2))
