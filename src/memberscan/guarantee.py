"""What a training guarantees its people: stated by a defence, recorded by a run, shown by a report."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Guarantee:
    """What a defence guarantees.

    Parameters
    ----------
    statement
        The guarantee in one sentence, with its numbers.
    enforced_by
        Who applied the defence, and must be trusted for the statement to hold.
    epsilon, delta
        Of differential privacy for each person under adding or removing that person; None for another kind
        of guarantee.
    """

    statement: str
    enforced_by: str
    epsilon: float | None = None
    delta: float | None = None


def weakest(guarantees: Iterable[Guarantee | None]) -> Guarantee | None:
    """Return the guarantee with the largest epsilon, which holds for everybody; None if one has none."""
    found = list(guarantees)
    stated = [each for each in found if each is not None]
    if len(stated) < len(found):
        return None
    return max(stated, key=lambda each: math.inf if each.epsilon is None else each.epsilon, default=None)
