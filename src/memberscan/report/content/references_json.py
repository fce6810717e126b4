"""The reference models in audit.json: how many, and how the target compares with them."""

from __future__ import annotations

from typing import Literal

from memberscan.report.content.parts import Count, Fraction, Many, Measurement, Part, Size, Text


class Quantizer(Part):
    """An indicator of how little quantized weights tell of who was in. It is no guarantee and no bound."""

    indicator: Fraction
    """1 - exp(-n r), of weights that the same quantizer made of other trainings: near 1 if other people would
    hardly lead to other weights, near 0 if they might."""
    low: Fraction
    """What it is at least, with 95% confidence, for the weights that were compared."""
    compared: Count
    """With how many other weights the best ones were compared."""


class References(Part):
    """The reference models, and whether the target is like them."""

    count: Count
    """How many attacks compared with."""
    recipe: Text
    """How they were trained, in words."""
    rmse_in: Size
    """Their root mean squared error on people they were trained on; mean over references."""
    rmse_out: Size
    """The same on people they were not trained on."""
    correlation: Measurement | None
    """Mean correlation of the target's errors with a reference's; null with fewer than four references."""
    own_correlation: Measurement | None
    """Mean correlation of a reference's errors with those of another that is not its twin; null likewise."""
    unlike: Many[Literal["error on members", "error on others", "correlation"]]
    """In what the target clearly differs from models of the references' recipe; then attacks with them find
    less than they could."""
    quantizer: Quantizer | None = None
    """What theory says of quantized weights; missing where they are not quantized, or too few people were in
    neither of two models."""
