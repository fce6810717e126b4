"""Does a model that was trained elsewhere seem to get the images that it was trained on?

A network that gets other images predicts members no better than anybody else. Attacks then find nothing,
whatever the model gives away to somebody who has the right images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

OtherImages = Literal["no better than the median", "worse than stated"]
"""Why a model probably gets other images than it was trained on."""
_TIMES_STATED = 1.5
"""An error on members may be this many times the stated one: training sets are audited in part, and many
programs state the error of the last epoch in training mode."""
_STANDARD_ERRORS = 2.33
_OF_THE_MEDIAN = 0.9
"""A network that gets images on another scale often predicts almost the same for everybody."""


@dataclass(frozen=True)
class OwnImages:
    """What shows, for a model that was trained elsewhere, that it gets the images that it was trained on.

    Parameters
    ----------
    reproduced
        Of how many scans the model gives the predictions that its makers have; None if these were not given.
    problem
        Why it probably gets other images; None if nothing says so.
    """

    reproduced: int | None
    problem: OtherImages | None = None


def judge_images(
    images: OwnImages | None,
    guess: float,
    error: Float[np.ndarray, " members"],
    stated: float | None,
) -> OwnImages | None:
    """Return what errors on members say of the images, unless the makers' own predictions say it better.

    Parameters
    ----------
    images
        What is known of a model that was trained elsewhere; None for others.
    guess, error, stated
        See :func:`other_images`.
    """
    if images is None or images.reproduced is not None:
        return images
    return replace(images, problem=other_images(guess, error, stated))


def other_images(
    guess: float, error: Float[np.ndarray, " members"], stated: float | None
) -> OtherImages | None:
    """Return why a model probably gets other images than it was trained on, or None.

    Parameters
    ----------
    guess
        Mean absolute residual of members for the best answer that is the same for everybody.
    error
        Mean absolute residual of each member.
    stated
        Mean absolute error on the training set that the model's makers state; None if they state none.

    Returns
    -------
    str or None
        ``worse than stated``: the error on members is at least 1.5 times the stated one, by a one-sided test
        at 1%. ``no better than the median``: it is at least nine tenths of the error of always answering the
        same, such as members' median age; a model that does no better on images it was trained on has learned
        nothing.
    """
    spread = float(error.std(ddof=1)) / np.sqrt(len(error))
    if stated is not None and float(error.mean()) - _STANDARD_ERRORS * spread > _TIMES_STATED * stated:
        return "worse than stated"
    if float(error.mean()) > _OF_THE_MEDIAN * guess:
        return "no better than the median"
    return None
