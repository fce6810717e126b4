"""What audit.json says of canaries, with which a guarantee is read back."""

from __future__ import annotations

from typing import Literal

from memberscan.report.content.parts import Count, Fraction, Many, Part, Size


class CanaryBound(Part):
    """A lower bound of epsilon. It is no estimate: other canaries or a stronger attack may show more."""

    scores: Literal["outputs", "weights", "updates"]
    """What the scores of canaries were made from."""
    method: Literal["one run", "one run, f-DP", "one run, f-DP, Gaussian", "Gaussian", "Gaussian, AUC"]
    """How it was found. The last three hold only if the training leaks as a mechanism with Gaussian noise
    does, and the last two only if canaries do not influence each other."""
    epsilon: Size
    """The bound, rounded down; 0 says that nothing was shown."""
    ceiling: Size
    """The bound if every guess had been right: so many canaries cannot show more."""
    guesses: Count | None
    """How many canaries were guessed for it; null where nothing was shown, and where rates are bounded."""
    correct: Count | None
    """How many of these guesses were right."""
    broken: bool | None
    """Whether it lies above the stated epsilon; null where none is stated."""


class Canaries(Part):
    """Made-up people, or updates of a federation, that a coin put in or left out, and what they show."""

    inside: Count
    """How many were trained on, or added to the sums of updates."""
    outside: Count
    """How many were left out."""
    level: Fraction
    """Confidence with which all bounds hold together, where what they assume is true."""
    delta: Fraction
    """Of all bounds: that of the stated guarantee, or 1e-5 where none is stated."""
    bounds: Many[CanaryBound]
    """All bounds that were made."""
    broken: bool | None
    """Whether one lies above the epsilon that is stated; null where none is. False is no proof of safety.
    True shows less where only "Gaussian" or "Gaussian, AUC" does: these take canaries for independent."""
    estimate: Size | None = None
    """Of canary updates, an estimate of epsilon that is no bound; missing where it is above 500."""
